package link

import (
	"slices"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// TestWays: all other ports; with VLAN filtering those of the port's VLAN, tagged
// as they have it; never one that does not forward.
func TestWays(t *testing.T) {
	testenv.NeedBridgeVLAN(t)
	ns := testenv.NewNS(t)
	for i, name := range []string{"tap0", "tap1", "up0", "up1"} {
		testenv.Veth(t, ns, name, ns, name+"p", nic.MAC{2, 0, 0, 0, 1, byte(i)})
	}
	testenv.Bridge(t, ns, "br0", "tap0", "tap1", "up0")
	testenv.Bridge(t, ns, "br1", "up1")
	ways := func() []Way {
		t.Helper()
		var list []Way
		var err error
		ns.Do(func() { list, err = Ways(ns.Index("br0"), ns.Index("tap0")) })
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(list, func(a, b Way) int { return a.Index - b.Index })
		return list
	}
	tap1, up0 := ns.Index("tap1"), ns.Index("up0")
	sorted := func(w ...Way) []Way {
		slices.SortFunc(w, func(a, b Way) int { return a.Index - b.Index })
		return w
	}
	testenv.Wait(t, testenv.Limit(t, 10*time.Second), "both ports forward", func() bool { return slices.Equal(ways(), sorted(Way{Index: tap1}, Way{Index: up0})) })
	ns.Sh("ip link set br0 type bridge vlan_filtering 1; bridge vlan del vid 1 dev tap0; bridge vlan add vid 7 pvid untagged dev tap0; bridge vlan add vid 7 dev up0")
	if got := ways(); !slices.Equal(got, []Way{{up0, 7}}) {
		t.Errorf("in VLAN 7: %v, want %d tagged", got, up0)
	}
	ns.Sh("bridge link set dev up0 state 4")
	if got := ways(); len(got) != 0 {
		t.Errorf("by a port that blocks: %v", got)
	}
}
