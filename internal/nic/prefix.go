package nic

import "net/netip"

// ShortPrefix prints a prefix, without its length if it is one address.
func ShortPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
