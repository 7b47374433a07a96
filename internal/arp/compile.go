package arp

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// Compiled is whom one NIC gets answers for, prepared for whoever answers
// without this package, byte for byte as Answer does. Whoever does must hand
// over what Compiled says nothing about: a request that is not valid, and one of
// All for an address that is the NIC's or allowed to it.
type Compiled struct {
	Always []Neighbour  // whoever asks
	Former []Neighbour  // for a sender that is neither 0.0.0.0 nor the NIC's own; to others as one of All, at their MAC
	All    bool         // every host is answered for, to a sender that has an address and asks for another
	Others nic.MAC      // of those that are in no list; zero: silence
	Not    []netip.Addr // is no host: the broadcast addresses of the NIC's subnets
}

// Neighbour is an address that is answered for.
type Neighbour struct {
	IP  netip.Addr
	MAC nic.MAC
}

// Compile prepares the answers of a responder; false if it has none.
func Compile(r Responder) (Compiled, bool) {
	if r.Binding == nil || r.Binding.Suspended {
		return Compiled{}, false
	}
	c := Compiled{Always: r.neighbours(r.Binding.Answers4(r.ServerID), nil), All: r.Binding.AnswersAll(), Others: r.GatewayMAC}
	c.Former = r.neighbours(r.Former, c.Always)
	if c.All {
		c.Not = broadcasts(r.Binding)
	}
	return c, c.All || len(c.Always)+len(c.Former) > 0
}

// neighbours leaves out what is not answered for, and what is in but already.
func (r Responder) neighbours(list []netip.Addr, but []Neighbour) []Neighbour {
	var out []Neighbour
	for _, a := range list {
		n := Neighbour{a, r.mac(a)}
		if a.Is4() && !isOwn(r.Binding, a) && !n.MAC.IsZero() && !slices.Contains(but, n) && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// broadcasts are the declared one and those of the subnets, each once.
func broadcasts(b *nic.Binding) []netip.Addr {
	var out []netip.Addr
	add := func(a netip.Addr) {
		if a.Is4() && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	add(b.Broadcast)
	for _, p := range b.Addresses {
		if a := last(p); isBroadcast(p, a) {
			add(a)
		}
	}
	return out
}

// last is the highest address of an IPv4 prefix, the zero Addr of another.
func last(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() {
		return netip.Addr{}
	}
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}
