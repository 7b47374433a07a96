package nd

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// section returns the part of docs/ra.md under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/ra.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/ra.md has no section %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// The conformance table has every number once, in order, and names tests that
// exist, or says that only the daemon can show it.
func TestDocsNameExistingTests(t *testing.T) {
	exists := testNames(t, ".", "../wire", "../arp", "../dhcp6", "../answerer", "../../test/story")
	row := regexp.MustCompile(`(?m)^\| ((?:RA|ND)-\d+) \| [^|]+ \| ([^|]+) \|$`)
	name := regexp.MustCompile("`([^`]+)`")
	var numbers []string
	for _, m := range row.FindAllStringSubmatch(section(t, "Conformance"), -1) {
		numbers = append(numbers, m[1])
		tests := name.FindAllStringSubmatch(m[2], -1)
		if len(tests) == 0 && !strings.Contains(m[2], "see test/story") {
			t.Errorf("%s names no test", m[1])
		}
		for _, n := range tests {
			if !exists[strings.TrimPrefix(n[1], "test/story: ")] {
				t.Errorf("%s: there is no %s", m[1], n[1])
			}
		}
	}
	want := strings.Fields("RA-01 RA-02 RA-03 RA-04 RA-05 RA-06 RA-07 RA-08 RA-09 RA-10 ND-01 ND-02 ND-03 ND-04")
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

// The table of options lists exactly what an advertisement can carry, in the
// order it is carried.
func TestDocsListTheOptions(t *testing.T) {
	var documented []byte
	row := regexp.MustCompile(`(?m)^\| [^|]+ \| (\d+) \| [^|]+ \|$`)
	for _, m := range row.FindAllStringSubmatch(section(t, "What it says"), -1) {
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
