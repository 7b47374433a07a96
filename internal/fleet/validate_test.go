package fleet_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
)

// IPv6 addresses that stand for IPv4 ones are in no network: their claims would
// have the same keys.
func TestMappedAddresses(t *testing.T) {
	for _, prefix := range []string{"::/64", "::ffff:c000:200/120"} {
		n := &fleet.Network{Head: fleet.Head{Kind: fleet.KindNetwork, Name: "lan"}, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}}
		if err := n.Validate(); err == nil || !strings.Contains(err.Error(), "prefixes[0]") {
			t.Errorf("%s: %v", prefix, err)
		}
	}
	n := &fleet.Network{Head: fleet.Head{Kind: fleet.KindNetwork, Name: "lan"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}}
	if err := n.Validate(); err != nil {
		t.Error(err)
	}
}

// Roles are of people, of groups, and of processes beside the controller.
func TestSubjects(t *testing.T) {
	for subject, good := range map[string]bool{
		"user:alice": true, "group:dev": true, "local:1001": true,
		"local:alice": false, "local:": false, "local:-1": false, "node:n1": false, "user:": false, "alice": false, "user: alice": false,
	} {
		p := &fleet.Project{Head: fleet.Head{Kind: fleet.KindProject, Name: "p"}, Roles: fleet.Roles{Member: []string{subject}}}
		if err := p.Validate(); (err == nil) != good {
			t.Errorf("%q: %v", subject, err)
		}
	}
}

// What is read is written so that it is read again; what would not fit is
// refused.
func TestDuration(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0s", "90s": "1m30s", "36h": "36h0m0s", "24h": "1d", "90d": "90d", "2w": "14d", "1w2d3h": "219h0m0s", "36500d": "36500d",
		"36501d": "", "999999d": "", "99999999w": "", "36500d1s": "", "1d-1h": "", "-1d": "", "1.5d": "", "d": "", "2562047h": "", "x": "",
	} {
		var d, again fleet.Duration
		err := d.UnmarshalText([]byte(text))
		if (err == nil) != (want != "") {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil {
			continue
		}
		out, err := d.MarshalText()
		if err != nil || string(out) != want || again.UnmarshalText(out) != nil || again != d {
			t.Errorf("%q is written %q, %v", text, out, err)
		}
	}
}
