package statichcpd

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// section returns the part of docs/statichcpd.md under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	b, err := os.ReadFile("../../../docs/statichcpd.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/statichcpd.md has no section %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// The table of the configuration has every key, with its default.
func TestDocsListTheKeys(t *testing.T) {
	d := DefaultConfig()
	defaults := map[string]string{
		"dhcp_db_filename": "needed", "served_interface_regex": "needed",
		"dhcp_ratelimit": fmt.Sprint(d.RateLimit), "default_lease_time": fmt.Sprint(d.Lease), "max_lease_time": fmt.Sprint(d.MaxLease),
		"disable_routing_with_udpsock": "", "disable_routing_with_rawsock": "",
		"use_mac_as_client_duid": fmt.Sprint(d.UseMACAsDUID), "disable_ia_id": fmt.Sprint(d.DisableIAID),
		"default_renew_time": fmt.Sprint(d.T1), "default_rebind_time": fmt.Sprint(d.T2),
		"default_pref_lifetime": fmt.Sprint(d.Preferred), "default_valid_lifetime": fmt.Sprint(d.Valid),
		"additional_attributes_file": "none", "additional_v6attributes_file": "none",
	}
	var want, got []string
	for _, key := range Keys() {
		want = append(want, key+" "+defaults[key])
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|([^|]*)\\| [^|]+ \\|$")
	for _, m := range row.FindAllStringSubmatch(section(t, "statichcpd.conf"), -1) {
		got = append(got, m[1]+" "+strings.TrimSpace(m[2]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-code +documented):\n%s", diff)
	}
}

// The tables of attributes have every code with its number of rows and type.
func TestDocsListTheAttributes(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| (\d+) \| (\d+) \| ([A-Z0-9]+) \| [^|]+ \|$`)
	v4, v6, ok := strings.Cut(section(t, "Attributes"), "Of `client_v6configuration`:")
	if !ok {
		t.Fatal("no table of client_v6configuration")
	}
	for text, list := range map[string][]Attribute{v4: attributes().V4, v6: attributes().V6} {
		var want, got []string
		slices.SortFunc(list, func(a, b Attribute) int { return a.Code - b.Code })
		for _, a := range list {
			want = append(want, fmt.Sprintf("%d %d %s", a.Code, a.Max, a.Type))
		}
		for _, m := range row.FindAllStringSubmatch(text, -1) {
			got = append(got, m[1]+" "+m[2]+" "+m[3])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attributes (-code +documented):\n%s", diff)
		}
	}
}

// The table of bugs has each once, in order, and names tests that exist.
func TestDocsNameExistingTests(t *testing.T) {
	exists := map[string]bool{}
	decl := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, dir := range []string{".", "../../source/statichcpd", "../../dhcp4", "../../dhcp6", "../../guard"} {
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
				exists[m[1]] = true
			}
		}
	}
	var got, want []string
	for i := range 18 {
		want = append(want, fmt.Sprintf("S%d", i+1))
	}
	name := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	for _, m := range regexp.MustCompile(`(?m)^\| (S\d+) \|.*\| ([^|]+) \|$`).FindAllStringSubmatch(section(t, "Known bugs of statichcpd"), -1) {
		got = append(got, m[1])
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
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bugs (-want +got):\n%s", diff)
	}
}
