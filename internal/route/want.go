// Package route derives what makes the host the router of a routed NIC: host
// routes to the NIC's addresses and prefixes, and permanent neighbours in
// place of ARP and neighbour discovery, which would need an address of the
// host's in the guest's subnet. docs/decisions/0008-routed.md says why so.
//
// Not here: the kernel's tables (hostroute).
package route

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// Want is everything one link shall have: routes sorted by destination,
// neighbours by address, nothing twice.
type Want struct {
	Index      int     // of the host interface; Of leaves it to the caller
	MAC        nic.MAC // the guest's, of every neighbour
	Routes     []Route
	Neighbours []netip.Addr
}

// Route leads to the guest. Without Via the destination is one address, and a
// neighbour itself; a prefix goes via a neighbour that stands for the guest.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Neighbour is one permanent entry of the neighbour table.
type Neighbour struct {
	Addr netip.Addr
	MAC  nic.MAC
}

// State is what a link has of ours, in Want's order.
type State struct {
	Routes     []Route
	Neighbours []Neighbour
}

// Of derives what follows from a binding: everything the guard permits it as
// a source is routed to it. A suspended NIC, and one that is not routed, gets
// nothing.
func Of(b *nic.Binding) Want {
	w := Want{MAC: b.MAC}
	if !b.Routed || b.Suspended {
		return w
	}
	for _, to := range destinations(b) {
		r := Route{To: to}
		if to.IsSingleIP() {
			w.Neighbours = append(w.Neighbours, to.Addr())
		} else {
			r.Via = standIn(b, to)
			w.Neighbours = append(w.Neighbours, r.Via)
		}
		w.Routes = append(w.Routes, r)
	}
	slices.SortFunc(w.Neighbours, netip.Addr.Compare)
	w.Neighbours = slices.Compact(w.Neighbours)
	return w
}

// destinations returns the NIC's own addresses, each alone, and every prefix
// it has or is allowed, sorted.
func destinations(b *nic.Binding) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range b.Addresses {
		all = append(all, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
	}
	for _, p := range slices.Concat(b.SLAAC, b.Delegated, b.Guard.AllowAddresses) {
		all = append(all, p.Masked())
	}
	if b.IPv6 != nic.IPv6Auto {
		all = slices.DeleteFunc(all, func(p netip.Prefix) bool { return p.Addr().Is6() })
	}
	slices.SortFunc(all, comparePrefix)
	return slices.Compact(all)
}

// standIn returns the address whose neighbour entry carries a whole prefix:
// were the prefix on link, the host would have to resolve every address in
// it. Any address will do that leads to the guest's MAC, since the guest takes
// a frame by its Ethernet destination and a packet by what it is addressed to.
func standIn(b *nic.Binding, to netip.Prefix) netip.Addr {
	if to.Addr().Is6() {
		return b.MAC.EUI64()
	}
	for _, p := range b.Addresses {
		if p.Addr().Is4() {
			return p.Addr()
		}
	}
	return to.Addr() // no address of its own, but the whole prefix is
}

// Is reports whether the kernel's state is what is wanted.
func (s State) Is(w Want) bool {
	return slices.Equal(s.Routes, w.Routes) && slices.Equal(s.Neighbours, w.entries())
}

func (w Want) entries() []Neighbour {
	out := make([]Neighbour, len(w.Neighbours))
	for i, a := range w.Neighbours {
		out[i] = Neighbour{a, w.MAC}
	}
	return out
}

// Sort brings what was read into Want's order.
func (s *State) Sort() {
	slices.SortFunc(s.Routes, func(a, b Route) int {
		return cmp.Or(comparePrefix(a.To, b.To), a.Via.Compare(b.Via))
	})
	slices.SortFunc(s.Neighbours, func(a, b Neighbour) int { return a.Addr.Compare(b.Addr) })
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
