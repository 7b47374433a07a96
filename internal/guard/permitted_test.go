package guard_test

import (
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func TestPermitted(t *testing.T) {
	a4 := netip.MustParsePrefix("192.0.2.10/32")
	r := guard.Rules{
		MACs: []nic.MAC{corpus.M}, IP4: []netip.Prefix{a4}, IP6: []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")},
		Gateway6: corpus.GLL, Routers: []netip.Addr{corpus.BLL}, Ethertypes: []uint16{0x88cc}, VLANs: []uint16{10, 20},
		VRIDs4: []uint8{5}, Peers: []nic.MACRange{{MAC: corpus.G, Bits: 48}},
	}
	many, fixed, eui, shut := r, r, r, guard.ClosedRules()
	for i := range 9 {
		many.VLANs = append(many.VLANs, uint16(100+i))
	}
	fixed.LinkLocal, fixed.Locals, fixed.Gateway6, fixed.Routers = nic.FixedLinkLocal, []netip.Addr{corpus.LLS}, netip.Addr{}, nil
	eui.LinkLocal = nic.EUI64Only
	for _, c := range []struct {
		r    guard.Rules
		why  reason.Reason
		want string
	}{
		{r, reason.MACSpoof, "MACs: 52:54:00:aa:00:01"},
		{r, reason.IP4Spoof, "IPv4 sources: 192.0.2.10"},
		{guard.Rules{}, reason.ARPProbe, "IPv4 sources: none"},
		{r, reason.IP6Spoof, "IPv6 sources: 2001:db8:a::/64; link-locals: its own choice, if nobody has it, never fe80::1, fe80::5054:ff:febb:2"},
		{fixed, reason.NDTarget, "IPv6 sources: 2001:db8:a::/64; link-locals: fe80::7c3a:91ff:22ab:5d10"},
		{eui, reason.LLTaken, "link-locals: fe80::5054:ff:feaa:1, never fe80::1, fe80::5054:ff:febb:2"},
		{r, reason.PeerForeign, "peers: 52:54:00:ff:00:01"},
		{many, reason.VLANTag, "VLANs: 10, 20, 100, 101, 102, 103, 104, 105, 3 more"},
		{r, reason.Ethertype, "ethertypes: IPv4, ARP, IPv6, 0x88cc"},
		{r, reason.RoutingControl, "VRRP of the groups: IPv4 5; IPv6 none"},
		{r, reason.DHCPServer, ""},
		{shut, reason.MACSpoof, ""},
	} {
		if got := c.r.Permitted(c.why); got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}
