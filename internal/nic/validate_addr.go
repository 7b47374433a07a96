package nic

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// addressProblem says why a cannot belong to one host, whatever its subnet.
func addressProblem(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "not an address"
	case a.Is6():
		return addressProblem6(a)
	case a.As4()[0] == 0:
		return "in 0.0.0.0/8, which is no host's address (RFC 1122 section 3.2.1.3)"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsMulticast():
		return "a multicast address"
	case a.As4()[0] >= 240:
		return "in 240.0.0.0/4, which is reserved (RFC 1112 section 4)"
	}
	return ""
}

// addressProblem6 is addressProblem for an IPv6 address.
func addressProblem6(a netip.Addr) string {
	switch siteLocal := netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0xc0}), 10); {
	case a.Zone() != "":
		return "a zone means nothing outside one host (RFC 4007 section 6)"
	case a.Is4In6():
		return "an IPv4-mapped address; write " + a.Unmap().String()
	case a.IsUnspecified():
		return "the unspecified address"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsMulticast():
		return "a multicast address"
	case a.IsLinkLocalUnicast():
		return "a link-local address, which means something on one link only (RFC 4291 section 2.5.6)"
	case siteLocal.Contains(a):
		return "a site-local address; they are deprecated (RFC 3879)"
	}
	return ""
}

// problem4 is addressProblem where only an IPv4 address can stand.
func problem4(a netip.Addr) string {
	if a.Is6() {
		return "not an IPv4 address"
	}
	return addressProblem(a)
}

// hostProblem says why a cannot be a host of subnet p. RFC 3021: a /31 has no
// network and no broadcast address. RFC 6164: a /127 has no anycast address.
func hostProblem(a netip.Addr, p netip.Prefix) string {
	q := addressProblem(a)
	switch {
	case q != "" || !p.Contains(a) || p.Bits() >= a.BitLen()-1:
		return q
	case a.Is6() && a == p.Masked().Addr():
		return fmt.Sprintf("the subnet-router anycast address of %s (RFC 4291 section 2.6.1)", p.Masked())
	case a.Is6():
		return ""
	}
	switch a {
	case p.Masked().Addr():
		return "the network address of " + p.Masked().String()
	case lastAddr(p):
		return "the broadcast address of " + p.Masked().String()
	}
	return ""
}

// lastAddr returns the highest address of an IPv4 prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(a)
}

func (c *checker) addresses() {
	if n := len(c.b.Addresses); n > MaxAddresses {
		c.bad("addresses", fmt.Sprint(n), "at most %d addresses", MaxAddresses)
		return
	}
	seen := map[netip.Addr]int{}
	for i, p := range c.b.Addresses {
		field := at("addresses", i)
		if q := prefixProblem(p); q != "" {
			c.bad(field, prefixText(p), "%s", q)
			continue
		}
		if j, ok := seen[p.Addr()]; ok {
			c.bad(field, p.String(), "the same address as %s", at("addresses", j))
			continue
		}
		seen[p.Addr()] = i
	}
}

func prefixProblem(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "not an address with a prefix length"
	case p.Bits() == 0:
		return "a subnet cannot be /0"
	}
	return hostProblem(p.Addr(), p)
}

// own reports whether a is one of the NIC's own addresses.
func (c *checker) own(a netip.Addr) bool {
	return slices.ContainsFunc(c.b.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// onLink returns the NIC's subnet that contains a.
func (c *checker) onLink(a netip.Addr) (netip.Prefix, bool) {
	for _, p := range c.b.Addresses {
		if p.IsValid() && p.Contains(a) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// routedOnLink reports whether a route says that a is on the link although no
// subnet of the NIC contains it, as a /32 address needs.
func (c *checker) routedOnLink(a netip.Addr) bool {
	return slices.ContainsFunc(c.b.Routes, func(r Route) bool {
		return !r.Via.IsValid() && r.To.IsValid() && r.To.Contains(a)
	})
}

// nextHop checks a gateway or a route's via. A NIC without IPv4 addresses has
// no subnets to hold it to: DHCP tells it nothing.
func (c *checker) nextHop(field string, a netip.Addr) {
	p, on := c.onLink(a)
	switch q := hostProblem(a, p); {
	case q != "":
		c.bad(field, a.String(), "%s", q)
	case !slices.ContainsFunc(c.b.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() }):
	case c.own(a):
		c.bad(field, a.String(), "the NIC's own address")
	case !on && !c.routedOnLink(a):
		c.bad(field, a.String(), "not on link: in none of the NIC's subnets; if it is, add a route to %s/32 without via", a)
	}
}

func (c *checker) gateway() {
	switch a := c.b.Gateway; {
	case !a.IsValid():
	case a.Is6():
		c.bad("gateway", a.String(), "not an IPv4 address; an IPv6 gateway is written as gateway6")
	default:
		c.nextHop("gateway", a)
	}
}

func (c *checker) broadcast() {
	a, p := c.b.Broadcast, c.b.Delivered()
	switch {
	case !a.IsValid():
	case a.Is6():
		c.bad("broadcast", a.String(), "not an IPv4 address; IPv6 has no broadcast")
	case !p.IsValid():
	case p.Bits() >= 31:
		c.bad("broadcast", a.String(), "%s has no broadcast address (RFC 3021)", p)
	case !p.Contains(a):
		c.bad("broadcast", a.String(), "not in the delivered subnet %s", p.Masked())
	case c.own(a):
		c.bad("broadcast", a.String(), "the NIC's own address")
	}
}

func (c *checker) routes() {
	if n := len(c.b.Routes); n > MaxRoutes {
		c.bad("routes", fmt.Sprint(n), "at most %d routes", MaxRoutes)
		return
	}
	seen := map[netip.Prefix]int{}
	for i, r := range c.b.Routes {
		field := at("routes", i)
		if q := destinationProblem(r.To); q != "" {
			c.bad(field+".to", prefixText(r.To), "%s", q)
		} else if j, ok := seen[r.To]; ok {
			c.bad(field+".to", r.To.String(), "the same destination as %s", at("routes", j))
		} else {
			seen[r.To] = i
		}
		switch {
		case !r.Via.IsValid():
		case r.Via.Is6():
			c.bad(field+".via", r.Via.String(), "not an IPv4 address; %s", routes6Elsewhere)
		default:
			c.nextHop(field+".via", r.Via)
		}
	}
}

const routes6Elsewhere = "IPv6 routes are announced with ra.routes"

func destinationProblem(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "not a prefix"
	case p.Addr().Is6():
		return "not an IPv4 prefix; " + routes6Elsewhere
	case p != p.Masked():
		return "host bits are set; the prefix is " + p.Masked().String()
	case p.Bits() > 0 && p.Addr().IsLoopback():
		return "a loopback prefix"
	case p.Addr().IsMulticast():
		return "a multicast prefix"
	}
	return ""
}

func (c *checker) servers(field string, list []netip.Addr) {
	seen := map[netip.Addr]int{}
	for i, a := range list {
		if q := addressProblem(a); q != "" {
			c.bad(at(field, i), addrText(a), "%s", q)
		} else if j, ok := seen[a]; ok {
			c.bad(at(field, i), a.String(), "the same address as %s", at(field, j))
		}
		seen[a] = i
	}
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
