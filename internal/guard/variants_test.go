package guard_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// variant is a binding that differs from the corpus's, and what that changes.
type variant struct {
	name   string
	change func(*nic.Binding)
	// flips are the vectors with another outcome; the last one stands for the
	// rest of the frames.
	flips map[string][]corpus.Want
	// also changes whole classes; what it changes may have any reason.
	also func(v *corpus.Vector, frame []byte, w corpus.Want) guard.Action
}

func passes() []corpus.Want { return []corpus.Want{{Action: guard.Pass}} }

func drops(rs ...reason.Reason) []corpus.Want {
	var w []corpus.Want
	for _, r := range rs {
		w = append(w, corpus.Want{Action: guard.Drop, Reason: r})
	}
	return w
}

// all gives several vectors the same outcome.
func all(want []corpus.Want, ids ...string) map[string][]corpus.Want {
	m := map[string][]corpus.Want{}
	for _, id := range ids {
		m[id] = want
	}
	return m
}

func join(ms ...map[string][]corpus.Want) map[string][]corpus.Want {
	out := map[string][]corpus.Want{}
	for _, m := range ms {
		for id, w := range m {
			out[id] = w
		}
	}
	return out
}

// Every variant of the binding changes the outcome of its own vectors, and of
// no other one. Checks that are off (U5) have a test of their own; an unmanaged
// port, two NICs of a VM and a MAC on two bridges (U8, U10, U11) are shown on
// the wire.
func TestVariants(t *testing.T) {
	for _, c := range slices.Concat(variants4(), grants6(), families(), routers(), served(), sharing(), visited()) {
		t.Run(c.name, func(t *testing.T) {
			b := corpus.Binding()
			c.change(b)
			r := guard.Compile(b)
			known := map[string]bool{}
			for _, v := range corpus.All() {
				known[v.ID] = true
				for i, f := range v.Frames {
					c.hold(t, &r, &v, i, f)
				}
			}
			for id := range c.flips {
				if !known[id] {
					t.Errorf("%s is not in the corpus", id)
				}
			}
		})
	}
}

func (c *variant) hold(t *testing.T, r *guard.Rules, v *corpus.Vector, i int, f []byte) {
	t.Helper()
	got, want := judge(r, v, f), v.At(i)
	if flip, ok := c.flips[v.ID]; ok {
		want = flip[min(i, len(flip)-1)]
	} else if c.also != nil {
		if a := c.also(v, f, want); a != want.Action {
			want = corpus.Want{Action: a, Reason: got.Reason}
		}
		if want.Action == guard.Drop && !contained(v.ID, want) {
			want.Reason = got.Reason // which of two faults comes first may differ
		}
	}
	if got.Action != want.Action || got.Reason != want.Reason {
		t.Errorf("%s %s frame %d: %s %s, want %s %s", v.ID, v.Case, i, got.Action, got.Reason, want.Action, want.Reason)
	}
}

func variants4() []variant {
	return []variant{
		{
			name: "U6: VRRP MAC granted", change: func(b *nic.Binding) { b.Guard.AllowMACs = []nic.MAC{corpus.V} },
			flips: join(all(passes(), "A13", "C26", "D37"), all(drops(reason.ARPSpoofIP), "C28"), map[string][]corpus.Want{
				"A15": {passes()[0], drops(reason.ARPSpoofIP)[0], passes()[0]},
			}),
		},
		{
			name: "U7: a trunk of VLAN 42", change: func(b *nic.Binding) { b.Guard.AllowVLANs = []uint16{42} },
			flips: map[string][]corpus.Want{"H10": drops(reason.IP4Spoof), "H11": drops(reason.ARPSpoofIP), "H12": passes(), "H203": drops(reason.NDTarget), "H54": drops(reason.RoutingControl), "N16": passes(), "N37": {passes()[0], drops(reason.LLC)[0]}},
		},
		{
			name: "ethertype granted", change: func(b *nic.Binding) { b.Guard.AllowEthertypes = []uint16{0x88cc} },
			flips: all(passes(), "H72", "K10"),
		},
		{
			name: "suspended", change: func(b *nic.Binding) { b.Suspended = true },
			flips: all(drops(reason.IP4Spoof), "G38", "G22"),
			also: func(v *corpus.Vector, f []byte, w corpus.Want) guard.Action {
				if w.Action == guard.Pass && !v.ToGuest || isIP6(f) {
					return guard.Drop
				}
				return w.Action
			},
		},
	}
}

func isIP6(f []byte) bool { return f[12] == 0x86 && f[13] == 0xdd }

// grants6 are the ways to own IPv6 addresses.
func grants6() []variant {
	return []variant{
		{
			// The gateway's link-local is the NIC's no more than before: others name it.
			name: "U1: a prefix, with a gateway in it", change: func(b *nic.Binding) {
				b.SLAAC = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
				b.Gateway6 = netip.MustParseAddr("2001:db8:a::1")
			},
			flips: join(all(passes(), "I44", "I45", "D35", "D36"), all(drops(reason.LLTaken), "I03", "D01"), map[string][]corpus.Want{
				"D16": {takes(reason.NeighbourSolicit)},
				"E18": drops(reason.ICMPRedirect), "G63": {takes(reason.DHCP6), drops(reason.IP6Spoof)[0]},
			}),
		},
		{
			name: "U2: addresses only, the gateway in their subnet", change: func(b *nic.Binding) { b.Gateway6 = corpus.G6 },
			flips: join(all(drops(reason.LLTaken), "I03", "D01"), map[string][]corpus.Want{
				"D16": {takes(reason.NeighbourSolicit)},
				"E18": drops(reason.ICMPRedirect), "G63": {takes(reason.DHCP6), drops(reason.IP6Spoof)[0]},
			}),
		},
		{
			name: "a delegated prefix", change: func(b *nic.Binding) { b.Delegated = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/56")} },
			flips: all(passes(), "I44", "I45", "I47", "I48", "D35", "D36"),
		},
		{
			// No subnet has its routers in a single address (RFC 4291 2.6.1).
			name: "an address that ends in zeros", change: func(b *nic.Binding) {
				b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, netip.MustParsePrefix("2001:db8:a::/128"))
			},
			flips: all(passes(), "I46", "D39"),
		},
		{
			name: "EUI-64 link-local only", change: func(b *nic.Binding) { b.LinkLocal.Kind = nic.EUI64Only },
			flips: join(withoutItsChoice(), all(drops(reason.IP6Spoof), "I04", "E25", "G62"), all(drops(reason.NDTarget), "D04", "D27")),
		},
		{
			name: "what it would choose is a further router's", change: func(b *nic.Binding) { b.Guard.Routers = []netip.Addr{corpus.LLS} },
			flips: withoutItsChoice(),
		},
		{
			// As it is where the binding names it gateway, by its link-local.
			name: "the gateway named as a router", change: func(b *nic.Binding) {
				b.Gateway6, b.Guard.Routers = netip.Addr{}, []netip.Addr{chosen(1), corpus.GLL, chosen(2), chosen(3)}
			},
		},
	}
}

// withoutItsChoice is what becomes of a guest that may not have corpus.LLS.
func withoutItsChoice() map[string][]corpus.Want {
	return join(all(drops(reason.IP6Spoof), "P23", "E37", "G26"), all(drops(reason.NDTarget), "P25"), map[string][]corpus.Want{
		"P27": {passes()[0], drops(reason.IP6Spoof)[0]}, "P30": {passes()[0], drops(reason.IP6Spoof)[0]},
		"P34": {passes()[0], passes()[0], passes()[0], drops(reason.IP6Spoof)[0]},
	})
}

func takes(why reason.Reason) corpus.Want { return corpus.Want{Action: guard.Take, Reason: why} }

// families are NICs with one family only.
func families() []variant {
	only := func(b *nic.Binding, is func(netip.Addr) bool) {
		not := func(p netip.Prefix) bool { return !is(p.Addr()) }
		b.Addresses = slices.DeleteFunc(b.Addresses, not)
		b.Guard.AllowAddresses = slices.DeleteFunc(b.Guard.AllowAddresses, not)
	}
	return []variant{
		{
			name: "U3: IPv4 only", change: func(b *nic.Binding) { only(b, netip.Addr.Is4) },
			also: func(_ *corpus.Vector, f []byte, w corpus.Want) guard.Action {
				if isIP6(f) {
					return guard.Drop
				}
				return w.Action
			},
		},
		{
			name: "U3: IPv4, and link-local IPv6", change: func(b *nic.Binding) { only(b, netip.Addr.Is4); b.IPv6 = nic.IPv6LinkLocal },
			flips: join(all(drops(reason.NDTarget), "P26", "D41"), map[string][]corpus.Want{
				"D28": {passes()[0], drops(reason.ToBerth)[0], passes()[0]}, // nobody asks, and nobody answers
				"P31": {drops(reason.IP6Spoof)[0], drops(reason.NDTarget)[0]},
				"P70": {drops(reason.IP6Spoof)[0], passes()[0]},
			}),
			also: func(v *corpus.Vector, f []byte, w corpus.Want) guard.Action {
				if isIP6(f) && !v.ToGuest && isGlobalSource(f) {
					return guard.Drop
				}
				return w.Action
			},
		},
		{
			name: "U4: IPv6 only", change: func(b *nic.Binding) { only(b, netip.Addr.Is6) },
			flips: all(drops(reason.IP4Spoof), "G38", "G22"),
			also: func(v *corpus.Vector, f []byte, w corpus.Want) guard.Action {
				if w.Action == guard.Pass && !v.ToGuest && !isIP6(f) {
					return guard.Drop
				}
				return w.Action
			},
		},
	}
}

// isGlobalSource reports an IPv6 source that is neither link-local nor ::.
func isGlobalSource(f []byte) bool {
	src, ok := netip.AddrFromSlice(f[14+8 : 14+24])
	return ok && !src.IsLinkLocalUnicast() && !src.IsUnspecified()
}

// routers are NICs that may do what routers do.
func routers() []variant {
	router, site := all(passes(), "E17", "L01", "L03", "L04", "L05", "D05", "D20", "D24", "E16", "E36", "E19", "L08", "L10", "L11", "L12", "L14", "L15", "L16", "L17", "L18"), siteRouters()
	return []variant{
		{name: "U9: router", change: func(b *nic.Binding) { b.Guard.Router = true }, flips: router},
		{name: "U9: router that advertises", change: func(b *nic.Binding) { b.Guard.Router, b.Guard.Advertise = true, true }, flips: join(router, advertises())},
		{name: "U12: the site's routers", change: func(b *nic.Binding) { b.RA.Mode = nic.RASite }, flips: site},
	}
}

// advertises is what becomes of a guest's router advertisements that pass.
func advertises() map[string][]corpus.Want {
	tagged := map[string][]corpus.Want{"E35": drops(reason.VLANTag, reason.LLC, reason.VLANTag), "H42": drops(reason.LLC, reason.LLC, reason.LLC, reason.VLANTag)}
	for n := range 13 {
		tagged[fmt.Sprintf("H1%02d", n)] = drops(reason.VLANTag)
	}
	return join(tagged, all(passes(), "E01", "E02", "E04", "E05", "E06", "E13", "E14", "E28", "E31", "D05"), map[string][]corpus.Want{
		"E03": drops(reason.IP6Spoof), "E07": drops(reason.NDFragment), "E09": drops(reason.FragmentTiny), "E10": drops(reason.FragmentTiny),
		"E12": drops(reason.IP6Options), "E15": drops(reason.NDMalformed, reason.NDMalformed, reason.IP6Spoof), "E33": drops(reason.NDMalformed),
	})
}

// siteRouters is what becomes of solicitations and the site's answers where
// they pass.
func siteRouters() map[string][]corpus.Want {
	return join(all(passes(), "E20", "E21", "E30", "E37", "E38", "N04", "N20"), map[string][]corpus.Want{
		"E25": drops(reason.LLTaken), "E26": drops(reason.VLANTag, reason.LLC),
	})
}

// The kernel moves a tag into the frame's metadata on receive: it is the same
// tag, and one behind it is a second.
func TestTrunkTagInMetadata(t *testing.T) {
	b := corpus.Binding()
	b.Guard.AllowVLANs = []uint16{42}
	r := guard.Compile(b)
	own := corpus.From6(corpus.M6)
	stacked := slices.Concat(own[:12], []byte{0x81, 0, 0, 42}, own[12:])
	for name, c := range map[string]struct {
		frame guard.Frame
		want  guard.Verdict
	}{
		"granted":                {guard.Frame{Data: own, Tagged: true, VID: 42}, guard.Verdict{}},
		"another":                {guard.Frame{Data: own, Tagged: true, VID: 43}, dropped(reason.VLANTag)},
		"priority tag":           {guard.Frame{Data: own, Tagged: true}, dropped(reason.VLANTag)},
		"granted behind granted": {guard.Frame{Data: stacked, Tagged: true, VID: 42}, dropped(reason.VLANTag)},
		"in the frame":           {guard.Frame{Data: stacked}, guard.Verdict{}},
		"another's address":      {guard.Frame{Data: corpus.From6(corpus.B6), Tagged: true, VID: 42}, dropped(reason.IP6Spoof)},
		"a solicitation":         {guard.Frame{Data: corpus.Solicit(corpus.LL), Tagged: true, VID: 42}, dropped(reason.NDFragment)},
		"a router advertisement": {guard.Frame{Data: corpus.Advertise(corpus.LL), Tagged: true, VID: 42}, dropped(reason.RARogue)},
	} {
		if got := guard.FromGuest(&r, c.frame); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
