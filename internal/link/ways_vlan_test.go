//go:build debiankernel

// A kernel built without CONFIG_BRIDGE_VLAN_FILTERING can't run this; Debian's,
// on which test/kernel runs it, can.

package link

import (
	"slices"
	"testing"
)

// TestWaysOfVLANs: with VLAN filtering the ports of the port's VLAN, tagged as
// they have it.
func TestWaysOfVLANs(t *testing.T) {
	p := newPorts(t)
	p.ns.Sh("ip link set br0 type bridge vlan_filtering 1; bridge vlan del vid 1 dev tap0; bridge vlan add vid 7 pvid untagged dev tap0; bridge vlan add vid 7 dev up0")
	if got := p.ways(); !slices.Equal(got, []Way{{p.up0, 7}}) {
		t.Errorf("in VLAN 7: %v, want %d tagged", got, p.up0)
	}
	p.ns.Sh("bridge link set dev up0 state 0")
	if got := p.ways(); len(got) != 0 {
		t.Errorf("by a port that is disabled: %v", got)
	}
}
