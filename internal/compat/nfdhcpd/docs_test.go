package nfdhcpd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// section returns the part of docs/nfdhcpd.md under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	b, err := os.ReadFile("../../../docs/nfdhcpd.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/nfdhcpd.md has no section %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// The table of the conf has every key, and which are needed.
func TestDocsListTheConfKeys(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| [^|]+ \\|([^|]*)\\| [^|]+ \\|$")
	var got, want []string
	for _, m := range row.FindAllStringSubmatch(section(t, "nfdhcpd.conf"), -1) {
		key := m[1]
		if strings.TrimSpace(m[2]) == "needed" {
			key += " needed"
		}
		got = append(got, key)
	}
	for _, k := range confKeys() {
		key := k.name
		if k.required {
			key += " needed"
		}
		want = append(want, key)
	}
	equal(t, want, got)
}

// The table of a binding file has every key that is read.
func TestDocsListTheFileKeys(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\| [^|]+ \\|$")
	var got []string
	for _, m := range row.FindAllStringSubmatch(section(t, "Binding files"), -1) {
		got = append(got, m[1])
	}
	equal(t, known(), got)
}

// What is said to be different names a test that exists.
func TestDocsNameExistingTests(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(b)
	}
	rows := regexp.MustCompile("(?m)^\\| [^|]+ \\| [^|]+ \\| `(\\w+)` \\|$").FindAllStringSubmatch(section(t, "What is different"), -1)
	if len(rows) != 9 {
		t.Errorf("%d rows name a test, want 9", len(rows))
	}
	for _, m := range rows {
		if !strings.Contains(tests.String(), "func "+m[1]+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
}
