package nd

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// look is what whoever has c alone says of a valid solicitation, and whether
// that is all that there is to say.
func look(c Compiled, b *nic.Binding, s Solicitation) (n Neighbour, known bool) {
	a := target(s)
	if i := slices.IndexFunc(c.Neighbours, func(n Neighbour) bool { return n.Addr == a }); i >= 0 {
		return c.Neighbours[i], true
	}
	if s.Src.IsUnspecified() {
		if c.Conflicts && a.IsLinkLocalUnicast() {
			n = Neighbour{a, nic.BerthMAC(), flagOverride}
		}
		return n, true
	}
	if isOwn(b, a) || !isElsewhere(b, a) {
		return n, false
	}
	if a != s.Src {
		n = Neighbour{Addr: a, MAC: c.Others}
	}
	return n, true
}

// Compile knows of every neighbour what Answer says.
func TestCompileNeighbours(t *testing.T) {
	unknown := func(b *nic.Binding) { b.GatewayMAC = nic.MAC{} }
	for name, r := range map[string]Router{
		"bridged":               router(),
		"off":                   router(set(func(b *nic.Binding) { b.Neighbours = nic.NeighboursOff })),
		"routed":                router(routed),
		"routed, MAC not known": router(routed, unknown),
		"global gateway":        router(gateway6("2001:db8:1::1")),
		"its own gateway":       router(gateway6("2001:db8:1::10")),
		"link-local only":       router(set(func(b *nic.Binding) { b.IPv6 = nic.IPv6LinkLocal })),
		"served by the site":    router(set(func(b *nic.Binding) { b.ServedBy = nic.ServedBySite })),
	} {
		c, ok := Compile(r, Withdrawn{})
		if !ok {
			t.Errorf("%s: nothing is compiled", name)
		}
		for _, a := range []string{
			gateway, berthLL, guestLL, "fe80::77", "fe80::2", "2001:db8:1::1", "2001:db8:1::10", "2001:db8:1::11",
			"2001:db8:a::7", "2001:db8:100::1", "2001:db8:bad::1", "2001:db8:ffff::1", "fd00::1", "::", "::1",
		} {
			own := ns(t, a)
			own.Src = ip(a)
			for _, s := range []Solicitation{ns(t, a), dad(t, a), own} {
				n, known := look(c, r.Binding, s)
				if !known || !validNS(s) {
					continue
				}
				got := Answer(r, s, Withdrawn{}).Reply
				if n.MAC.IsZero() {
					if got != nil {
						t.Errorf("%s: %v asks for %s: %+v, want silence", name, s.Src, a, got)
					}
					continue
				}
				want := n.Flags
				if !s.Src.IsUnspecified() {
					want |= flagSolicited
				}
				if d := cmp.Diff(neighbourAdvertisement(ip(a), n.MAC, want), got.Message); d != "" || got.SrcMAC != n.MAC {
					t.Errorf("%s: %v asks for %s (-compiled +answer):\n%s", name, s.Src, a, d)
				}
			}
		}
	}
}

// The advertisement is compiled as it is answered, to all nodes; while something
// is withdrawn it is not.
func TestCompileRA(t *testing.T) {
	r := router()
	nobody := rs(t)
	nobody.Src, nobody.Message = netip.IPv6Unspecified(), nobody.Message[:lenRS]
	c, _ := Compile(r, Withdrawn{})
	if d := cmp.Diff(Answer(r, nobody, Withdrawn{}).Reply, c.RA, sameAddr()); d != "" || c.Multicast {
		t.Errorf("to all: %t (-answer +compiled):\n%s", c.Multicast, d)
	}
	if c, _ = Compile(router(set(func(b *nic.Binding) { b.RA.Multicast = true })), Withdrawn{}); !c.Multicast {
		t.Error("multicast is lost")
	}
	gone := Withdraw(router(set(func(b *nic.Binding) { b.Domain = "example.net" })), r, Withdrawn{})
	for name, c := range map[string]struct {
		r    Router
		gone Withdrawn
	}{
		"withdrawn":            {r, gone},
		"the site's":           {router(set(func(b *nic.Binding) { b.RA.Mode = nic.RASite })), Withdrawn{}},
		"of a link-local only": {router(set(func(b *nic.Binding) { b.IPv6 = nic.IPv6LinkLocal })), Withdrawn{}},
	} {
		if got, ok := Compile(c.r, c.gone); !ok || got.RA != nil {
			t.Errorf("%s: compiled %t, %+v", name, ok, got.RA)
		}
	}
}

func TestCompileNothing(t *testing.T) {
	for name, r := range map[string]Router{
		"no binding": {},
		"suspended":  router(set(func(b *nic.Binding) { b.Suspended = true })),
		"no IPv6":    router(set(func(b *nic.Binding) { b.IPv6 = nic.IPv6Off })),
	} {
		if c, ok := Compile(r, Withdrawn{}); ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
