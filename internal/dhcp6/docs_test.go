package dhcp6

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// section returns the part of docs/dhcpv6.md under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/dhcpv6.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/dhcpv6.md has no section %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// The conformance table has every number once, in order, and names tests that
// exist.
func TestDocsNameExistingTests(t *testing.T) {
	exists := testNames(t, ".", "../wire")
	row := regexp.MustCompile(`(?m)^\| (V6-\d+) \| [^|]+ \| ([^|]+) \|$`)
	name := regexp.MustCompile("`([A-Za-z0-9_]+)`")
	var numbers []string
	for _, m := range row.FindAllStringSubmatch(section(t, "Conformance"), -1) {
		numbers = append(numbers, m[1])
		tests := name.FindAllStringSubmatch(m[2], -1)
		if len(tests) == 0 {
			t.Errorf("%s names no test", m[1])
		}
		for _, n := range tests {
			if !exists[n[1]] {
				t.Errorf("%s: there is no %s", m[1], n[1])
			}
		}
	}
	var want []string
	for i := 1; i <= 22; i++ {
		want = append(want, fmt.Sprintf("V6-%02d", i))
	}
	if d := cmp.Diff(want, numbers); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
}

func testNames(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	decl := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	names := map[string]bool{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d test files, %v", dir, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range decl.FindAllStringSubmatch(string(b), -1) {
				names[m[1]] = true
			}
		}
	}
	return names
}

// The table of options lists exactly what replies can carry without options
// of the binding's own.
func TestDocsListTheOptions(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \|`)
	documented := map[uint16]bool{}
	for _, m := range row.FindAllStringSubmatch(section(t, "Options"), -1) {
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
