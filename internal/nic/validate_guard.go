package nic

import (
	"fmt"
	"net/netip"
	"slices"
)

func (c *checker) guard() {
	g := &c.b.Guard
	if g.Mode > Off {
		c.bad("guard.mode", fmt.Sprint(g.Mode), "unknown mode")
	}
	if g.Rate.PerSecond == 0 {
		c.bad("guard.rate.per-second", "0", "at least 1: a NIC that may ask nothing gets no address")
	}
	if g.Rate.Burst == 0 {
		c.bad("guard.rate.burst", "0", "at least 1: a NIC that may ask nothing gets no address")
	}
	c.allowAddresses()
	c.allowMACs()
	c.ethertypes()
	c.vlans()
	c.peers()
	c.routers()
}

func (c *checker) allowAddresses() {
	list := c.b.Guard.AllowAddresses
	if n := len(list); n > MaxAllowAddresses {
		c.bad("guard.allow-addresses", fmt.Sprint(n), "at most %d entries", MaxAllowAddresses)
		return
	}
	for i, p := range list {
		if q := c.allowProblem(p); q != "" {
			c.bad(at("guard.allow-addresses", i), prefixText(p), "%s", q)
		}
	}
}

// allowProblem refuses sources that would let a guest speak as the world, as
// everybody or as its own gateway.
func (c *checker) allowProblem(p netip.Prefix) string {
	if !p.IsValid() {
		return "not an address or prefix"
	}
	if q := wideProblem(p); q != "" {
		return q
	}
	if p != p.Masked() {
		return "host bits are set; the prefix is " + p.Masked().String()
	}
	for _, gateway := range []netip.Addr{c.b.Gateway, c.b.Gateway6} {
		if p.Contains(gateway) {
			return fmt.Sprintf("the gateway %s must stay out of a guest's reach", gateway)
		}
	}
	return addressProblem(p.Addr())
}

// wideProblem refuses a prefix that would allow nearly any source.
func wideProblem(p netip.Prefix) string {
	least := minAllowBits
	if p.Addr().Is6() {
		least = minAllowBits6
	}
	if p.Bits() < least {
		return fmt.Sprintf("a prefix shorter than /%d would allow nearly any source", least)
	}
	return ""
}

func (c *checker) allowMACs() {
	list := c.b.Guard.AllowMACs
	if n := len(list); n > MaxAllowMACs {
		c.bad("guard.allow-macs", fmt.Sprint(n), "at most %d entries", MaxAllowMACs)
		return
	}
	seen := map[MAC]string{c.b.MAC: "mac"}
	for i, m := range list {
		field := at("guard.allow-macs", i)
		if q := macProblem(m); q != "" {
			c.bad(field, m.String(), "%s", q)
		} else if first, ok := seen[m]; ok {
			c.bad(field, m.String(), "the same address as %s", first)
		} else {
			seen[m] = field
		}
	}
}

// peers holds whom the NIC may hear to beginnings that unicast sources have.
func (c *checker) peers() {
	list := c.b.Guard.Peers
	if n := len(list); n > MaxPeers {
		c.bad("guard.peers", fmt.Sprint(n), "at most %d entries", MaxPeers)
		return
	}
	for i, r := range list {
		field := at("guard.peers", i)
		if q := peerProblem(r); q != "" {
			c.bad(field, r.String(), "%s", q)
		} else if j := slices.Index(list, r); j < i {
			c.bad(field, r.String(), "the same as %s", at("guard.peers", j))
		}
	}
}

func peerProblem(r MACRange) string {
	switch {
	case r.Bits == 0 || r.Bits > macBits:
		return fmt.Sprintf("must have 1 to %d bits", macBits)
	case r.masked() != r:
		return "bits are set beyond the range; it is " + r.masked().String()
	case r.MAC.IsGroup():
		return "a group address (IEEE 802 I/G bit) cannot be a source"
	}
	return ""
}

func (c *checker) vlans() {
	list := c.b.Guard.AllowVLANs
	if n := len(list); n > MaxVLANs {
		c.bad("guard.allow-vlans", fmt.Sprint(n), "at most %d entries", MaxVLANs)
		return
	}
	seen := map[uint16]int{}
	for i, v := range list {
		field, value := at("guard.allow-vlans", i), fmt.Sprint(v)
		if v == 0 || v > 4094 {
			c.bad(field, value, "not a VLAN: want 1 to 4094 (IEEE 802.1Q 9.6)")
		} else if j, ok := seen[v]; ok {
			c.bad(field, value, "the same VLAN as %s", at("guard.allow-vlans", j))
		}
		seen[v] = i
	}
}

func (c *checker) ethertypes() {
	list := c.b.Guard.AllowEthertypes
	if n := len(list); n > MaxEthertypes {
		c.bad("guard.allow-ethertypes", fmt.Sprint(n), "at most %d entries", MaxEthertypes)
		return
	}
	seen := map[uint16]int{}
	for i, t := range list {
		field, value := at("guard.allow-ethertypes", i), fmt.Sprintf("0x%04x", t)
		if q := ethertypeProblem(t); q != "" {
			c.bad(field, value, "%s", q)
		} else if j, ok := seen[t]; ok {
			c.bad(field, value, "the same type as %s", at("guard.allow-ethertypes", j))
		}
		seen[t] = i
	}
}

// routers holds the site's further routers to link-locals that nobody else has.
// The gateway may be among them: a network lists its routers once, whichever of
// them is a NIC's gateway.
func (c *checker) routers() {
	const list = "guard.routers"
	routers := c.b.Guard.Routers
	if n := len(routers); n > MaxRouters {
		c.bad(list, fmt.Sprint(n), "at most %d entries", MaxRouters)
		return
	}
	for i, a := range routers {
		if q := c.linkLocalProblem(a); q != "" {
			c.bad(at(list, i), addrText(a), "%s", q)
		} else if j := slices.Index(c.b.LinkLocal.Fixed, a); j >= 0 {
			c.bad(at(list, i), a.String(), "the NIC's own: %s", at("link-local", j))
		} else if j := slices.Index(routers, a); j < i {
			c.bad(at(list, i), a.String(), "the same address as %s", at(list, j))
		}
	}
}

func ethertypeProblem(t uint16) string {
	switch t {
	case 0x0800, 0x0806, 0x86dd:
		return "IPv4, ARP and IPv6 have rules of their own and are not listed"
	case 0x8035:
		return "reverse ARP is never allowed"
	case 0x8100, 0x88a8, 0x9100, 0x9200, 0x9300:
		return "a VLAN tag would hide the frame behind it"
	}
	if t < 0x600 {
		return "below 0x0600 it is a length, not a type (IEEE 802.3)"
	}
	return ""
}
