package nd

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// routed is a NIC whose host answers for everything.
func routed(b *nic.Binding) {
	b.Routed, b.Neighbours = true, nic.NeighboursAll
	b.SLAAC, b.Delegated = prefixList("2001:db8:a::/64"), prefixList("2001:db8:100::/56")
	b.LinkLocal = nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{ip("fe80::77")}}
	b.Guard.AllowAddresses = prefixList("2001:db8:bad::/48", "198.51.100.0/24")
}

func advert(t *testing.T, target, flags string, mac nic.MAC) []byte {
	t.Helper()
	m := append(unhex(t, "88000000"+flags+"000000"), ip(target).AsSlice()...)
	return append(append(m, 2, 1), mac[:]...)
}

// Whom a NIC gets an answer for: the flags and the MAC that it is told.
func TestNeighbourAdvertisement(t *testing.T) {
	host := nic.MAC{0x52, 0x54, 0, 0xee, 0, 1}
	for name, c := range map[string]struct {
		change func(*nic.Binding)
		target string
		flags  string
		mac    nic.MAC
	}{
		"gateway":                      {set(func(*nic.Binding) {}), gateway, "e0", host},
		"global gateway":               {set(func(b *nic.Binding) { b.Gateway6 = ip("2001:db8:1::1") }), "2001:db8:1::1", "e0", host},
		"berth":                        {set(func(*nic.Binding) {}), berthLL, "60", nic.BerthMAC()},
		"berth, no neighbours at all":  {set(func(b *nic.Binding) { b.Neighbours = nic.NeighboursOff }), berthLL, "60", nic.BerthMAC()},
		"berth, the source of adverts": {set(func(b *nic.Binding) { b.Gateway6 = ip("") }), berthLL, "e0", nic.BerthMAC()},
		"berth for a global gateway":   {set(func(b *nic.Binding) { b.Gateway6 = ip("2001:db8:1::1") }), berthLL, "e0", host},
		"the same, but no default route": {set(func(b *nic.Binding) {
			b.Gateway6, b.NoDefaultRoute = ip("2001:db8:1::1"), true
		}), berthLL, "e0", nic.BerthMAC()},
		"the same, with routes": {set(func(b *nic.Binding) {
			b.Gateway6, b.NoDefaultRoute = ip("2001:db8:1::1"), true
			b.RA.Routes = []nic.RARoute{{To: netip.MustParsePrefix("2001:db8:ff::/48")}}
		}), berthLL, "e0", host},
		"berth, adverts are the site's":       {set(func(b *nic.Binding) { b.Gateway6, b.RA.Mode = ip("2001:db8:1::1"), nic.RASite }), berthLL, "60", nic.BerthMAC()},
		"gateway, adverts are the site's":     {set(func(b *nic.Binding) { b.RA.Mode = nic.RASite }), gateway, "e0", host},
		"routed: gateway":                     {routed, gateway, "e0", host},
		"routed: berth":                       {routed, berthLL, "60", nic.BerthMAC()},
		"routed: a neighbour of its subnet":   {routed, "2001:db8:1::11", "40", host},
		"routed: somebody far away":           {routed, "2001:db8:ffff::1", "40", host},
		"routed: a unique local address":      {routed, "fd00::1", "40", host},
		"routed: its subnet's anycast router": {routed, "2001:db8:1::", "40", host},
	} {
		t.Run(name, func(t *testing.T) {
			r := router(c.change)
			r.GatewayMAC = host
			want := Outcome{Request: "NS", Answer: "NA", Address: ip(c.target), Reply: &Reply{
				SrcMAC: c.mac, DstMAC: guestMAC(), Src: ip(c.target), Dst: ip(guestLL),
				Message: advert(t, c.target, c.flags, c.mac),
			}}
			for _, s := range []Solicitation{ns(t, c.target), unicast(t, c.target)} {
				if d := cmp.Diff(want, Answer(r, s, Withdrawn{}), sameAddr()); d != "" {
					t.Errorf("outcome for destination %v (-want +got):\n%s", s.Dst, d)
				}
			}
		})
	}
}

// unicast is what a guest asks to see whether a neighbour is still there.
func unicast(t *testing.T, target string) Solicitation {
	t.Helper()
	s := ns(t, target)
	s.Dst, s.Message = ip(target), s.Message[:24]
	return s
}

func TestNeighbourUnanswered(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*nic.Binding)
		target string
	}{
		"a neighbour on the bridge":           {set(func(*nic.Binding) {}), "2001:db8:1::11"},
		"its own address":                     {set(func(*nic.Binding) {}), "2001:db8:1::10"},
		"its own link-local":                  {set(func(*nic.Binding) {}), guestLL},
		"gateway, neighbours off":             {set(func(b *nic.Binding) { b.Neighbours = nic.NeighboursOff }), gateway},
		"gateway, server only":                {set(func(b *nic.Binding) { b.Neighbours = nic.NeighboursServer }), gateway},
		"gateway, MAC not known":              {set(func(b *nic.Binding) { b.GatewayMAC = nic.MAC{} }), gateway},
		"berth, suspended":                    {set(func(b *nic.Binding) { b.Suspended = true }), berthLL},
		"berth, no IPv6":                      {addresses("192.0.2.10/24"), berthLL},
		"all, but not routed":                 {set(func(b *nic.Binding) { b.Neighbours = nic.NeighboursAll }), "2001:db8:1::11"},
		"routed: its own address":             {routed, "2001:db8:1::10"},
		"routed: of its SLAAC prefix":         {routed, "2001:db8:a::1"},
		"routed: of its delegated prefix":     {routed, "2001:db8:100:7::1"},
		"routed: of its allowed prefix":       {routed, "2001:db8:bad::1"},
		"routed: its EUI-64 link-local":       {routed, guestLL},
		"routed: its fixed link-local":        {routed, "fe80::77"},
		"routed: any other link-local":        {routed, "fe80::5"},
		"routed: unspecified":                 {routed, "::"},
		"routed: loopback":                    {routed, "::1"},
		"routed: IPv4-mapped":                 {routed, "::ffff:192.0.2.1"},
		"routed: suspended":                   {func(b *nic.Binding) { routed(b); b.Suspended = true }, "2001:db8:ffff::1"},
		"routed: without IPv6":                {func(b *nic.Binding) { routed(b); b.IPv6 = nic.IPv6Off }, "2001:db8:ffff::1"},
		"an own address called the gateway":   {addresses(gateway + "/64"), gateway},
		"a link-local called the gateway":     {set(func(b *nic.Binding) { b.Gateway6 = ip(guestLL) }), guestLL},
		"a fixed link-local like a gateway's": {set(func(b *nic.Binding) { b.LinkLocal.Fixed = []netip.Addr{ip(gateway)} }), gateway},
	} {
		t.Run(name, func(t *testing.T) {
			want := Outcome{Request: "NS", Address: ip(c.target), Reason: reason.NDUnanswered}
			asked := []Solicitation{ns(t, c.target), unicast(t, c.target)}
			// Of these a probe would mean that another NIC has it: a conflict, below.
			conflict := []string{"gateway, neighbours off", "gateway, server only", "gateway, MAC not known", "routed: any other link-local"}
			if !slices.Contains(conflict, name) {
				asked = append(asked, dad(t, c.target))
			}
			for _, s := range asked {
				if d := cmp.Diff(want, Answer(router(c.change), s, Withdrawn{}), sameAddr()); d != "" {
					t.Errorf("outcome from %v to %v (-want +got):\n%s", s.Src, s.Dst, d)
				}
			}
		})
	}
}

// Duplicate address detection sees a conflict over berth's own address, the
// gateway's and a link-local that is another's, told to all nodes; for everything else it meets silence, whoever
// is answered for otherwise (RFC 4862 5.4.3).
func TestDuplicateAddressDetection(t *testing.T) {
	for target, c := range map[string]struct {
		mac   nic.MAC
		flags string
	}{gateway: {gatewayMAC(), "a0"}, berthLL: {nic.BerthMAC(), "20"}, "fe80::5": {nic.BerthMAC(), "20"}} {
		want := Outcome{Request: "NS", Answer: "NA", Address: ip(target), Reply: &Reply{
			SrcMAC: c.mac, DstMAC: everyMAC(), Src: ip(target), Dst: ip("ff02::1"),
			Message: advert(t, target, c.flags, c.mac),
		}}
		for _, change := range []func(*nic.Binding){func(*nic.Binding) {}, routed} {
			if d := cmp.Diff(want, Answer(router(change), dad(t, target), Withdrawn{}), sameAddr()); d != "" {
				t.Errorf("%s (-want +got):\n%s", target, d)
			}
		}
	}
	for _, target := range []string{"2001:db8:1::11", "2001:db8:1::10", "2001:db8:ffff::1", guestLL} {
		o := Answer(router(routed), dad(t, target), Withdrawn{})
		if o.Reply != nil || o.Reason != reason.NDUnanswered {
			t.Errorf("%s: %+v", target, o)
		}
	}
}

// A guest that asks for the address it speaks from asks about itself.
func TestNobodyIsAnsweredAboutHimself(t *testing.T) {
	s := ns(t, "2001:db8:ffff::1")
	s.Src = ip("2001:db8:ffff::1")
	if o := Answer(router(routed), s, Withdrawn{}); o.Reply != nil || o.Reason != reason.NDUnanswered {
		t.Errorf("outcome %+v", o)
	}
}
