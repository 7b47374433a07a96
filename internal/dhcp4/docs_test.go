package dhcp4

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/docstest"
	"github.com/berth-net/berth/internal/nic"
)

// The conformance table has every number once, in order, and names tests that
// exist.
func TestDocsNameExistingTests(t *testing.T) {
	exists := docstest.Tests(t, "internal/dhcp4", "internal/wire")
	numbers := docstest.Numbered(t, docstest.Section(t, "dhcpv4.md", "Conformance"), `V4-\d+`, exists)
	var want []string
	for i := 1; i <= 40; i++ {
		want = append(want, fmt.Sprintf("V4-%02d", i))
	}
	if d := cmp.Diff(want, numbers); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
}

// The table of options lists exactly what replies can carry without options
// of the binding's own, and marks the basic set.
func TestDocsListTheOptions(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \|`)
	documented, basic := map[uint8]bool{}, map[uint8]bool{}
	for _, m := range row.FindAllStringSubmatch(docstest.Section(t, "dhcpv4.md", "Options"), -1) {
		code, err := strconv.ParseUint(m[1], 10, 8)
		if err != nil {
			t.Fatal(err)
		}
		documented[uint8(code)] = true
		basic[uint8(code)] = m[2] == "yes"
	}
	maps.DeleteFunc(basic, func(_ uint8, yes bool) bool { return !yes })
	if d := cmp.Diff(codes(documented), codes(sendable(t))); d != "" {
		t.Errorf("options (-documented +sent):\n%s", d)
	}
	want := map[uint8]bool{}
	for _, code := range basics() {
		want[code] = true
	}
	if d := cmp.Diff(codes(want), codes(basic)); d != "" {
		t.Errorf("basic set (-want +documented):\n%s", d)
	}
}

func codes(m map[uint8]bool) []uint8 { return slices.Sorted(maps.Keys(m)) }

// sendable gathers the options of several replies, to clients that ask for
// every code there is.
func sendable(t *testing.T) map[uint8]bool {
	t.Helper()
	ask := "37ff"
	for code := range 255 {
		ask += fmt.Sprintf("%02x", code)
	}
	ask += "3d0101 5103000000 5000 3c0a" + text("HTTPClient")
	b := everything()
	netboot(b)
	b.DHCP4.Relay, b.DHCP4.RapidCommit = true, true
	b.CaptivePortal = "https://portal/"
	b.DHCP4.Boot.File = "" // file is free for overload
	b.DNS = slices.Repeat([]netip.Addr{ip("192.0.2.53")}, 60)
	found := map[uint8]bool{}
	for _, change := range []func(*nic.Binding){
		func(*nic.Binding) {},
		func(b *nic.Binding) { b.DNS = b.DNS[:1]; b.DHCP4.Boot.File = "x" },
	} {
		change(b)
		for _, p := range []packet{{options: "350101" + ask + agentInfo}, {options: "350103" + ask}} {
			r := Answer(server(b), relayedBy(t, p)).Reply
			o, ok := parseOptions(r.Message)
			if !ok {
				t.Fatalf("reply does not parse: %x", r.Message)
			}
			for code := range o {
				found[code] = true
			}
		}
	}
	return found
}
