package corpus

import "net/netip"

// The frames of the NIC that tests of their own are made of.

// From6 is IPv6 from an address to another VM.
func From6(src netip.Addr) []byte { return udp6(src, func(p *packet6) { p.dst = B6 }) }

// Probe is duplicate address detection of an address.
func Probe(target netip.Addr) []byte { return nd(Any6, solicitedNode(target), solicit(target)) }

// Claim6 is an unsolicited advertisement of one address from another.
func Claim6(src, target netip.Addr) []byte {
	return nd(src, allNodes, advert(flagOverride, target, lla(2, M)))
}

// Ask6 is a neighbour solicitation.
func Ask6(src, target netip.Addr) []byte {
	return nd(src, solicitedNode(target), solicit(target, lla(1, M)))
}

// Solicit is a router solicitation.
func Solicit(src netip.Addr) []byte {
	return nd(src, allRouters, icmp6Type(133, 0, cat([]byte{0, 0, 0, 0}, lla(1, M))...))
}

// Advertise is a rogue router advertisement.
func Advertise(src netip.Addr) []byte { return nd(src, allNodes, router(1800, M)) }

// AskARP is an ARP request.
func AskARP(src, target netip.Addr) []byte {
	return arp(BC, arpMsg{op: 1, sha: M, spa: src, tpa: target})
}
