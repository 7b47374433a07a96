package nic

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
)

// gateway6 holds the IPv6 gateway to where a guest can reach it: by its
// link-local, or within a subnet of the NIC. Then its MAC must be known: a
// guest sends to the router whose advertisement it has (RFC 4861 section
// 6.3.4), which is not at this address. A NIC without any of IPv6 is not held
// to what its network gives.
func (c *checker) gateway6() {
	const field = "gateway6"
	a := c.b.Gateway6
	p, on := c.onLink(a)
	if !a.IsValid() {
		return
	}
	switch q := c.gateway6Problem(a, p); {
	case q != "":
		c.bad(field, a.String(), "%s", q)
	case a.IsLinkLocalUnicast() || len(c.b.Addresses6())+len(c.b.SLAAC)+len(c.b.Delegated) == 0:
	case !on && !containsAddr(c.b.SLAAC, a):
		c.bad(field, a.String(), "not on link: in none of the NIC's IPv6 subnets; write the gateway's link-local")
	case c.b.GatewayMAC.IsZero() && !c.b.Routed:
		c.bad(field, a.String(), "a gateway that is not a link-local needs gateway-mac")
	}
}

// gateway6Problem says why a is nobody's but the gateway's.
func (c *checker) gateway6Problem(a netip.Addr, subnet netip.Prefix) string {
	switch {
	case a.Is4():
		return "not an IPv6 address; an IPv4 gateway is written as gateway"
	case a.IsLinkLocalUnicast():
		return c.linkLocalProblem(a)
	case c.own(a):
		return "the NIC's own address"
	case containsAddr(c.b.Delegated, a):
		return "in a prefix that is delegated to the NIC"
	}
	return hostProblem(a, subnet)
}

// linkLocalProblem says why a cannot be somebody else's link-local.
func (c *checker) linkLocalProblem(a netip.Addr) string {
	if a == c.b.MAC.EUI64() {
		return "the NIC's own link-local: it follows from its MAC"
	}
	return linkLocalProblem(a)
}

// linkLocalProblem says why a is no node's link-local (RFC 4291 section 2.5.6).
func linkLocalProblem(a netip.Addr) string {
	host := a.As16()
	switch {
	case a.Zone() != "":
		return "a zone means nothing outside one host (RFC 4007 section 6)"
	case a.Is4() || a.Is4In6() || !a.IsLinkLocalUnicast():
		return "not a link-local: not in fe80::/10"
	case [8]byte(host[8:]) == [8]byte{}:
		return "has no interface identifier (RFC 4291 section 2.5.6)"
	case a == BerthLinkLocal():
		return "berth's own address on every NIC's link"
	}
	return ""
}

func containsAddr(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (c *checker) gatewayMAC() {
	const field = "gateway-mac"
	m := c.b.GatewayMAC
	switch q := macProblem(m); {
	case m.IsZero():
	case q != "":
		c.bad(field, m.String(), "%s", q)
	case m == c.b.MAC:
		c.bad(field, m.String(), "the NIC's own MAC")
	case slices.Contains(c.b.Guard.AllowMACs, m):
		c.bad(field, m.String(), "one of guard.allow-macs: the guest may not speak as its gateway")
	case slices.Contains(c.b.VirtualMACs(), m):
		c.bad(field, m.String(), "the MAC of a vrid of shared: the guest may not speak as its gateway")
	}
}

// ipv6 refuses an identity of IPv6 where there is none. What a network gives
// to all its NICs is no mistake at one that has no use for it.
func (c *checker) ipv6() {
	mode, known := map[IPv6Mode]string{IPv6Off: "off", IPv6LinkLocal: "link-local"}[c.b.IPv6]
	if !known {
		if c.b.IPv6 != IPv6Auto {
			c.bad("ipv6", fmt.Sprint(c.b.IPv6), "unknown mode")
		}
		return
	}
	for i, p := range c.b.Addresses {
		if p.Addr().Is6() {
			c.bad(at("addresses", i), prefixText(p), "an IPv6 address, but ipv6 is %s", mode)
		}
	}
	for i, p := range c.b.SLAAC {
		c.bad(at("slaac", i), prefixText(p), "an IPv6 prefix, but ipv6 is %s", mode)
	}
	for i, p := range c.b.Delegated {
		c.bad(at("delegated", i), prefixText(p), "an IPv6 prefix, but ipv6 is %s", mode)
	}
	if c.b.IPv6 == IPv6Off && len(c.b.LinkLocal.Fixed) > 0 {
		c.bad("link-local", "", "lists addresses, but ipv6 is off")
	}
}

func (c *checker) linkLocal() {
	const field = "link-local"
	l := c.b.LinkLocal
	switch {
	case l.Kind > FixedLinkLocal:
		c.bad(field, fmt.Sprint(l.Kind), "unknown policy")
	case l.Kind != FixedLinkLocal:
		if len(l.Fixed) > 0 {
			c.bad(field, "", "addresses go with the fixed policy only")
		}
	case len(l.Fixed) == 0 || len(l.Fixed) > MaxLinkLocals:
		c.bad(field, fmt.Sprint(len(l.Fixed)), "a list has 1 to %d addresses", MaxLinkLocals)
	default:
		c.fixedLinkLocals()
	}
}

func (c *checker) fixedLinkLocals() {
	seen := map[netip.Addr]int{}
	for i, a := range c.b.LinkLocal.Fixed {
		field := at("link-local", i)
		if q := linkLocalProblem(a); q != "" {
			c.bad(field, addrText(a), "%s", q)
		} else if a == c.b.Gateway6 {
			c.bad(field, a.String(), "the gateway's address")
		} else if j, ok := seen[a]; ok {
			c.bad(field, a.String(), "the same address as %s", at("link-local", j))
		}
		seen[a] = i
	}
}

func (c *checker) slaac() {
	if n := len(c.b.SLAAC); n > MaxSLAAC {
		c.bad("slaac", fmt.Sprint(n), "at most %d prefixes", MaxSLAAC)
		return
	}
	for i, p := range c.b.SLAAC {
		field := at("slaac", i)
		if q := ownPrefixProblem(p); q != "" {
			c.bad(field, prefixText(p), "%s", q)
		} else if p.Bits() != 64 {
			c.bad(field, p.String(), "autoconfiguration needs a /64 (RFC 4862 section 5.5.3)")
		} else if j := slices.Index(c.b.SLAAC, p); j < i {
			c.bad(field, p.String(), "the same prefix as %s", at("slaac", j))
		}
	}
}

func (c *checker) delegatedPrefixes() {
	list := c.b.Delegated
	if n := len(list); n > MaxDelegated {
		c.bad("delegated", fmt.Sprint(n), "at most %d prefixes", MaxDelegated)
		return
	}
	for i, p := range list {
		field := at("delegated", i)
		overlaps := func(o netip.Prefix) bool { return o.Overlaps(p) }
		if q := ownPrefixProblem(p); q != "" {
			c.bad(field, prefixText(p), "%s", q)
		} else if p.Bits() == 128 {
			c.bad(field, p.String(), "one address is no prefix; write it as one of addresses")
		} else if j := slices.IndexFunc(c.b.SLAAC, overlaps); j >= 0 {
			c.bad(field, p.String(), "overlaps %s of %s", c.b.SLAAC[j], at("slaac", j))
		} else if j := slices.IndexFunc(list[:i], overlaps); j >= 0 {
			c.bad(field, p.String(), "overlaps %s of %s", list[j], at("delegated", j))
		}
	}
}

// ownPrefixProblem says why p cannot be wholly one NIC's. The guest may send
// from all of it.
func ownPrefixProblem(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "not a prefix"
	case p.Addr().Is4():
		return "not an IPv6 prefix"
	case p != p.Masked():
		return "host bits are set; the prefix is " + p.Masked().String()
	}
	if q := addressProblem6(p.Addr()); q != "" {
		return q
	}
	return wideProblem(p)
}

func (c *checker) neighbours() {
	const field = "neighbours"
	switch n := c.b.Neighbours; {
	case n > NeighboursAll:
		c.bad(field, fmt.Sprint(n), "unknown level")
	case c.b.Routed:
	case n == NeighboursAll:
		c.bad(field, "all", "only for a routed NIC: on a bridge the others answer for themselves")
	case n == NeighboursGateway && c.b.GatewayMAC.IsZero():
		c.bad(field, "gateway", "needs gateway-mac to answer with")
	}
}

func (c *checker) captivePortal() {
	s := c.b.CaptivePortal
	if s == "" {
		return
	}
	if q := uriProblem(s); q != "" {
		c.bad("captive-portal", s, "%s", q)
		return
	}
	// RFC 8910 section 2 has this name for "there is none".
	u, _ := url.Parse(s)
	if s != "urn:ietf:params:capport:unrestricted" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		c.bad("captive-portal", s, "must begin with http:// or https:// and name a host")
	}
}

// maxURI is what fits one DHCPv4 option (RFC 8910 section 2.1).
const maxURI = 255

func (c *checker) uri(field, s string) {
	if q := uriProblem(s); s != "" && q != "" {
		c.bad(field, s, "%s", q)
	}
}

// uriProblem holds s to RFC 3986: printable ASCII, with a scheme.
func uriProblem(s string) string {
	if len(s) > maxURI {
		return fmt.Sprintf("%d bytes; at most %d are allowed", len(s), maxURI)
	}
	for _, r := range s {
		if r <= ' ' || r >= 0x7f {
			return fmt.Sprintf("character %q is not allowed in a URI (RFC 3986 section 2)", r)
		}
	}
	if u, err := url.Parse(s); err != nil || u.Scheme == "" {
		return "not a URI such as https://example.org/path"
	}
	return ""
}
