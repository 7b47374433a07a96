package dhcp6

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// claim names a part of what the binding has. An IA that the binding lists,
// with something of its kind, claims its own part; every other IA claims the
// rest of its kind; an IA_TA claims the temporary addresses.
type claim struct {
	code  uint16
	iaid  uint32 // if named
	named bool
}

func claimOf(b *nic.Binding, a ia) claim {
	for _, e := range b.DHCP6.IAs {
		if e.IAID == a.iaid && len(listedBy(e, a.code)) > 0 {
			return claim{code: a.code, iaid: a.iaid, named: true}
		}
	}
	return claim{code: a.code}
}

// claims lists every claim that is worth something.
func claims(b *nic.Binding) []claim {
	all := []claim{{code: optIANA}, {code: optIATA}, {code: optIAPD}}
	for _, e := range b.DHCP6.IAs {
		all = append(all,
			claim{code: optIANA, iaid: e.IAID, named: true},
			claim{code: optIAPD, iaid: e.IAID, named: true})
	}
	return slices.DeleteFunc(all, func(c claim) bool { return len(c.leases(b)) == 0 })
}

// leases returns the claim's part, addresses as /128.
func (c claim) leases(b *nic.Binding) []netip.Prefix {
	switch {
	case c.named:
		i := slices.IndexFunc(b.DHCP6.IAs, func(e nic.IA) bool { return e.IAID == c.iaid })
		return listedBy(b.DHCP6.IAs[i], c.code)
	case c.code == optIATA:
		return hosts(b.DHCP6.Temporary)
	default:
		return rest(b, c.code)
	}
}

// rest is what no IA of the binding lists and what is not temporary.
func rest(b *nic.Binding, code uint16) []netip.Prefix {
	elsewhere := map[netip.Prefix]bool{}
	for _, p := range hosts(b.DHCP6.Temporary) {
		elsewhere[p] = true
	}
	for _, e := range b.DHCP6.IAs {
		for _, p := range listedBy(e, code) {
			elsewhere[p] = true
		}
	}
	all := b.Delegated
	if code == optIANA {
		all = own(b)
	}
	return slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool { return elsewhere[p] })
}

func listedBy(e nic.IA, code uint16) []netip.Prefix {
	switch code {
	case optIANA:
		return hosts(e.Addresses)
	case optIAPD:
		return e.Prefixes
	}
	return nil
}

// own returns the NIC's IPv6 addresses as /128.
func own(b *nic.Binding) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range b.Addresses6() {
		list = append(list, netip.PrefixFrom(p.Addr(), 128))
	}
	return list
}

func hosts(list []netip.Addr) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, a := range list {
		out[i] = netip.PrefixFrom(a, 128)
	}
	return out
}

// held is everything DHCPv6 can give the NIC.
func held(b *nic.Binding) []netip.Prefix { return slices.Concat(own(b), b.Delegated) }

// holdings is the set of what is held.
func holdings(b *nic.Binding) map[netip.Prefix]bool {
	set := map[netip.Prefix]bool{}
	for _, p := range held(b) {
		set[p] = true
	}
	return set
}

// onLink reports whether an address is in one of the NIC's subnets.
func onLink(b *nic.Binding, a netip.Addr) bool {
	return slices.ContainsFunc(slices.Concat(b.Addresses6(), b.SLAAC),
		func(p netip.Prefix) bool { return p.Contains(a) })
}
