package nic

import (
	"net/netip"
	"slices"
)

// VirtualMACs returns the MACs of the shares' virtual routers, sorted and each
// once: 00-00-5E-00-01-{VRID} where a share has IPv4 addresses,
// 00-00-5E-00-02-{VRID} where it has IPv6 ones (RFC 9568 section 7.3).
func (b *Binding) VirtualMACs() []MAC {
	var out []MAC
	for _, s := range b.Shared {
		if s.VRID == 0 {
			continue
		}
		if slices.ContainsFunc(s.Addresses, netip.Addr.Is4) {
			out = append(out, MAC{0, 0, 0x5e, 0, 1, s.VRID})
		}
		if slices.ContainsFunc(s.Addresses, netip.Addr.Is6) {
			out = append(out, MAC{0, 0, 0x5e, 0, 2, s.VRID})
		}
	}
	slices.SortFunc(out, func(a, b MAC) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}
