package statichcpd

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/docstest"
)

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
	for _, m := range row.FindAllStringSubmatch(docstest.Section(t, "statichcpd.md", "statichcpd.conf"), -1) {
		got = append(got, m[1]+" "+strings.TrimSpace(m[2]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-code +documented):\n%s", diff)
	}
}

// The tables of attributes have every code with its number of rows and type.
func TestDocsListTheAttributes(t *testing.T) {
	row := regexp.MustCompile(`(?m)^\| (\d+) \| (\d+) \| ([A-Z0-9]+) \| [^|]+ \|$`)
	v4, v6, ok := strings.Cut(docstest.Section(t, "statichcpd.md", "Attributes"), "Of `client_v6configuration`:")
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
	exists := docstest.Tests(t, "internal/compat/statichcpd", "internal/source/statichcpd", "internal/dhcp4", "internal/dhcp6", "internal/guard")
	got := docstest.Numbered(t, docstest.Section(t, "statichcpd.md", "Known bugs of statichcpd"), `S\d+`, exists)
	var want []string
	for i := range 18 {
		want = append(want, fmt.Sprintf("S%d", i+1))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bugs (-want +got):\n%s", diff)
	}
}
