package nfdhcpd

import (
	"regexp"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/docstest"
)

// The table of the conf has every key, and which are needed.
func TestDocsListTheConfKeys(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| [^|]+ \\|([^|]*)\\| [^|]+ \\|$")
	var got, want []string
	for _, m := range row.FindAllStringSubmatch(docstest.Section(t, "nfdhcpd.md", "nfdhcpd.conf"), -1) {
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
	for _, m := range row.FindAllStringSubmatch(docstest.Section(t, "nfdhcpd.md", "Binding files"), -1) {
		got = append(got, m[1])
	}
	equal(t, known(), got)
}

// What is said to be different names a test that exists.
func TestDocsNameExistingTests(t *testing.T) {
	exists := docstest.Tests(t, "internal/compat/nfdhcpd")
	rows := regexp.MustCompile("(?m)^\\| [^|]+ \\| [^|]+ \\| `(\\w+)` \\|$").FindAllStringSubmatch(docstest.Section(t, "nfdhcpd.md", "What is different"), -1)
	if len(rows) != 9 {
		t.Errorf("%d rows name a test, want 9", len(rows))
	}
	for _, m := range rows {
		if !exists[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
}
