package dhcp6

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/docstest"
)

// The conformance table has every number once, in order, and names tests that
// exist.
func TestDocsNameExistingTests(t *testing.T) {
	exists := docstest.Tests(t, "internal/dhcp6", "internal/wire")
	numbers := docstest.Numbered(t, docstest.Section(t, "dhcpv6.md", "Conformance"), `V6-\d+`, exists)
	var want []string
	for i := 1; i <= 22; i++ {
		want = append(want, fmt.Sprintf("V6-%02d", i))
	}
	if d := cmp.Diff(want, numbers); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
}

// The table of options lists exactly what replies can carry without options
// of the binding's own.
func TestDocsListTheOptions(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \|`)
	documented := map[uint16]bool{}
	for _, m := range row.FindAllStringSubmatch(docstest.Section(t, "dhcpv6.md", "Options"), -1) {
		code, err := strconv.ParseUint(m[1], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		documented[uint16(code)] = true
	}
	want := slices.Sorted(maps.Keys(documented))
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(sendable(t)))); d != "" {
		t.Errorf("options (-documented +sent):\n%s", d)
	}
}

// sendable gathers the options of several replies, to clients that ask for
// every code there is.
func sendable(t *testing.T) map[uint16]bool {
	t.Helper()
	b := everything()
	b.DHCP6.Options = nil
	b.DHCP6.Relay, b.DHCP6.RapidCommit, b.DHCP6.Unicast, b.DHCP6.Preference = true, true, true, 1
	all := make([]int, 300)
	for i := range all {
		all[i] = i
	}
	ias := na(1) + pd(1) + ta(1) + opt(39, "00")
	found := map[uint16]bool{}
	for _, m := range [][]byte{
		message16(t, solicit, clientID, ias, oro(all...)),
		message16(t, solicit, clientID, ias, oro(all...), rapid),
		message16(t, informationRequest, clientID, oro(all...)),
		relayed(t, 0, opt(18, "01"), message16(t, informationRequest)),
	} {
		collect(t, Answer(server(b), from(m)).Reply.Message, found)
	}
	return found
}

// collect adds the codes of a message and of the options inside its options.
func collect(t *testing.T, b []byte, found map[uint16]bool) {
	t.Helper()
	header := 4
	if b[0] == 13 {
		header = 34
	}
	list := tlvs(t, b[header:])
	for len(list) > 0 {
		o := list[0]
		list = list[1:]
		found[o.code] = true
		switch {
		case o.code == 9:
			collect(t, o.data, found)
		case o.code == 4:
			list = append(list, tlvs(t, o.data[4:])...)
		case isIA(o.code):
			list = append(list, tlvs(t, o.data[12:])...)
		}
	}
}
