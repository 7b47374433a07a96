package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

func TestTakeovers(t *testing.T) {
	key := func(group, addr string) sharedKey { return sharedKey{group: group, addr: netip.MustParseAddr(addr)} }
	before := map[sharedKey]holding{
		key("web", "192.0.2.100"): {nic: "tap1"}, key("web", "192.0.2.101"): {nic: "tap1"}, key("web", "192.0.2.102"): {nic: "tap2"},
	}
	now := map[sharedKey]holding{
		key("web", "192.0.2.101"): {nic: "tap2"}, key("web", "192.0.2.100"): {nic: "tap2"}, key("web", "192.0.2.102"): {nic: "tap2"},
		key("db", "192.0.2.100"): {nic: "tap3"},
	}
	var got []string
	for _, e := range takeovers(before, now) {
		got = append(got, e.NIC+" "+e.Text)
	}
	want := []string{
		"tap2 holds 192.0.2.100 192.0.2.101 of group web now, taken over from NIC tap1",
		"tap3 holds 192.0.2.100 of group db now",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestHolderIsWhoAnnouncedLast(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.100")
	sharing := func(network, group string) *plan.Want {
		return &plan.Want{Binding: &nic.Binding{Network: network, Shared: []nic.Shared{{Group: group, Addresses: []netip.Addr{vip}}}}}
	}
	wants := plan.Wants{ByNIC: map[string]*plan.Want{
		"tap1": sharing("", "web"), "tap2": sharing("", "web"), "tap3": sharing("", "web"),
		"tap4": sharing("other", "web"), // the same address in another network is another one
		"tap5": {Binding: &nic.Binding{}},
	}}
	var links []plan.Link
	for i, name := range []string{"tap1", "tap2", "tap4", "tap5", "tap6"} { // tap3 has no link
		links = append(links, plan.Link{Name: name, Index: 11 + i})
	}
	got := holders(wants, links, map[datapath.Share]time.Duration{
		{Index: 11, Addr: vip}: 5, {Index: 12, Addr: vip}: 7, {Index: 13, Addr: vip}: 0,
	})
	names := map[string]string{}
	for key, h := range got {
		names[key.network+"/"+key.group+"/"+key.addr.String()] = h.nic
	}
	if d := cmp.Diff(map[string]string{"/web/192.0.2.100": "tap2"}, names); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
