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
