package nic

import "net/netip"

// HostProblem says why an address cannot be one host's in a subnet, "" if it
// can: it is the subnet's network, broadcast or anycast address, or of a kind
// that no host has.
func HostProblem(a netip.Addr, subnet netip.Prefix) string { return hostProblem(a, subnet) }
