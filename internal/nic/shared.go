package nic

import (
	"net/netip"
	"slices"
)

// VirtualMACs returns the MACs of the virtual router, if there is one:
// 00-00-5E-00-01-{VRID} if the share has IPv4 addresses, 00-00-5E-00-02-{VRID}
// if it has IPv6 ones (RFC 9568 section 7.3).
func (s *Shared) VirtualMACs() []MAC {
	if s.VRID == 0 {
		return nil
	}
	var out []MAC
	if slices.ContainsFunc(s.Addresses, netip.Addr.Is4) {
		out = append(out, MAC{0, 0, 0x5e, 0, 1, s.VRID})
	}
	if slices.ContainsFunc(s.Addresses, netip.Addr.Is6) {
		out = append(out, MAC{0, 0, 0x5e, 0, 2, s.VRID})
	}
	return out
}

// VirtualMACs returns those of all shares, sorted.
func (b *Binding) VirtualMACs() []MAC {
	var out []MAC
	for i := range b.Shared {
		out = append(out, b.Shared[i].VirtualMACs()...)
	}
	slices.SortFunc(out, func(a, b MAC) int { return slices.Compare(a[:], b[:]) })
	return out
}
