// Package route derives what makes the host the router of a routed NIC: host
// routes to the NIC's addresses and prefixes, and permanent neighbours in
// place of ARP and neighbour discovery, which would need an address of the
// host's in the guest's subnet; and towards the site a routing table of its own
// and proxy entries. docs/decisions/0008-routed.md says why so.
//
// Not here: the kernel's tables (hostroute).
package route

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// Want is everything one link shall have: routes sorted by destination,
// neighbours by address, nothing twice.
type Want struct {
	Index      int     // of the host interface; Of leaves it to the caller
	MAC        nic.MAC // the guest's, of every neighbour
	Routes     []Route
	Neighbours []netip.Addr
	Rules      []Rule
	Proxies    []Proxy
}

// Route leads to the guest. Without Via the destination is one address, and a
// neighbour itself; a prefix goes via a neighbour that stands for the guest.
type Route struct {
	To    netip.Prefix
	Via   netip.Addr
	Table uint32 // 0: the main one
}

// Rule sends what comes from a link to a routing table.
type Rule struct {
	Link  string
	Table uint32
	IPv6  bool
}

// Proxy is one address that the host answers for on the link to the site.
type Proxy struct {
	Addr   netip.Addr
	Uplink string
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

// Common is what the host has of ours outside of the guests' links: none of it
// goes with a link.
type Common struct {
	Rules   map[Rule]bool
	Proxies map[Proxy]bool
}

// Of derives what follows from a binding: everything the guard permits it as
// a source is routed to it, and every single address of that is answered for on
// its uplink: a prefix has no proxy entry, it has to be routed here. A
// suspended NIC, and one that is not routed, gets nothing.
func Of(b *nic.Binding) Want {
	w := Want{MAC: b.MAC}
	if !b.Routed || b.Suspended {
		return w
	}
	for _, to := range destinations(b) {
		r := Route{To: to, Table: table(b)}
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
	w.Rules, w.Proxies = rules(b, w.Routes), proxies(b, w.Routes)
	return w
}

// mainTable is RT_TABLE_MAIN of linux/rtnetlink.h: the one without a rule.
const mainTable = 254

func table(b *nic.Binding) uint32 {
	if b.Routing.Table == mainTable {
		return 0
	}
	return b.Routing.Table
}

// rules has one for each family that is routed.
func rules(b *nic.Binding, routes []Route) []Rule {
	var all []Rule
	for _, is6 := range []bool{false, true} {
		if table(b) != 0 && slices.ContainsFunc(routes, func(r Route) bool { return r.To.Addr().Is6() == is6 }) {
			all = append(all, Rule{Link: b.NIC, Table: table(b), IPv6: is6})
		}
	}
	return all
}

func proxies(b *nic.Binding, routes []Route) []Proxy {
	var all []Proxy
	for _, r := range routes {
		if b.Routing.Uplink != "" && r.To.IsSingleIP() {
			all = append(all, Proxy{Addr: r.To.Addr(), Uplink: b.Routing.Uplink})
		}
	}
	return all
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

// LeadsTo reports whether there is a route to this one address.
func (s State) LeadsTo(a netip.Addr) bool {
	return slices.ContainsFunc(s.Routes, func(r Route) bool { return r.To.IsSingleIP() && r.To.Addr() == a })
}

// Add adds what w wants outside of its link.
func (c *Common) Add(w Want) {
	if c.Rules == nil {
		*c = Common{map[Rule]bool{}, map[Proxy]bool{}}
	}
	for _, r := range w.Rules {
		c.Rules[r] = true
	}
	for _, p := range w.Proxies {
		c.Proxies[p] = true
	}
}

// Has reports whether all that w wants outside of its link is there.
func (c Common) Has(w Want) bool {
	return !slices.ContainsFunc(w.Rules, func(r Rule) bool { return !c.Rules[r] }) &&
		!slices.ContainsFunc(w.Proxies, func(p Proxy) bool { return !c.Proxies[p] })
}

func (w Want) entries() []Neighbour {
	out := make([]Neighbour, len(w.Neighbours))
	for i, a := range w.Neighbours {
		out[i] = Neighbour{a, w.MAC}
	}
	return out
}

// Compare orders rules by link, then table and family.
func (r Rule) Compare(o Rule) int {
	return cmp.Or(strings.Compare(r.Link, o.Link), cmp.Compare(r.Table, o.Table), strings.Compare(r.String(), o.String()))
}

// Compare orders entries by uplink, then address.
func (p Proxy) Compare(o Proxy) int {
	return cmp.Or(strings.Compare(p.Uplink, o.Uplink), p.Addr.Compare(o.Addr))
}

// Sort brings what was read into Want's order.
func (s *State) Sort() {
	slices.SortFunc(s.Routes, func(a, b Route) int {
		return cmp.Or(comparePrefix(a.To, b.To), a.Via.Compare(b.Via), cmp.Compare(a.Table, b.Table))
	})
	slices.SortFunc(s.Neighbours, func(a, b Neighbour) int { return a.Addr.Compare(b.Addr) })
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
