package nd

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/docstest"
	"github.com/berth-net/berth/internal/nic"
)

// The conformance table has every number once, in order, and names tests that
// exist.
func TestDocsNameExistingTests(t *testing.T) {
	exists := docstest.Tests(t, "internal/nd", "internal/wire", "internal/arp", "internal/dhcp6", "internal/answerer", "test/story")
	numbers := docstest.Numbered(t, docstest.Section(t, "ra.md", "Conformance"), `(?:RA|ND)-\d+`, exists)
	want := strings.Fields("RA-01 RA-02 RA-03 RA-04 RA-05 RA-06 RA-07 RA-08 RA-09 RA-10 ND-01 ND-02 ND-03 ND-04")
	if d := cmp.Diff(want, numbers); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
}

// The table of options lists exactly what an advertisement can carry, in the
// order it is carried.
func TestDocsListTheOptions(t *testing.T) {
	var documented []byte
	row := regexp.MustCompile(`(?m)^\| [^|]+ \| (\d+) \| [^|]+ \|$`)
	for _, m := range row.FindAllStringSubmatch(docstest.Section(t, "ra.md", "What it says"), -1) {
		code, err := strconv.ParseUint(m[1], 10, 8)
		if err != nil {
			t.Fatal(err)
		}
		documented = append(documented, byte(code))
	}
	m := one(t, router(set(func(b *nic.Binding) {
		b.MTU, b.CaptivePortal = 1500, "https://example.org/"
		b.RA.PREF64 = prefixList("64:ff9b::/96")[0]
		b.RA.Routes = []nic.RARoute{{To: prefixList("2001:db8:ff::/48")[0]}}
	})), Withdrawn{}).Message
	var sent []byte
	for b := m[16:]; len(b) > 0; b = b[int(b[1])*8:] {
		sent = append(sent, b[0])
	}
	if d := cmp.Diff(documented, sent); d != "" {
		t.Errorf("options (-documented +sent):\n%s", d)
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(decode(t, m).options)), slices.Sorted(slices.Values(sent))); d != "" {
		t.Errorf("options come more than once:\n%s", d)
	}
}
