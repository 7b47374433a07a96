package nic

import (
	"net/netip"
	"slices"
)

// BerthMAC is the Ethernet source of every answer: locally administered, the
// same on every NIC and node, so that neither a change of the host interface's
// MAC nor a migration is visible to the guest. Nothing but DHCP and
// solicitations is ever taken at it.
func BerthMAC() MAC { return MAC{0x02, 'b', 'e', 'r', 't', 'h'} }

// BerthLinkLocal is berth's own IPv6 address on every NIC's link: the source
// of DHCPv6 replies, and of router advertisements where the gateway's
// link-local is not known. It exists on no other wire.
func BerthLinkLocal() netip.Addr { return BerthMAC().EUI64() }

// Answers4 returns the IPv4 addresses whose ARP requests are answered on the
// NIC's link, sorted; id is the server identifier in force, zero if none. There
// are none on a link that others serve.
func (b *Binding) Answers4(id netip.Addr) []netip.Addr {
	if b.ServedBy != ServedByBerth {
		return nil
	}
	var out []netip.Addr
	// RFC 3927 2.1 keeps 169.254.0.0/24 from every host: an identifier of it is made up.
	madeUp := netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 24)
	if id.Is4() && id != b.Gateway && (b.Neighbours >= NeighboursServer || madeUp.Contains(id)) {
		out = append(out, id)
	}
	if b.answersGateways() && b.Gateway.Is4() {
		out = append(out, b.Gateway)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// Answers6 returns the IPv6 addresses whose neighbour solicitations are
// answered on the NIC's link, sorted.
func (b *Binding) Answers6() []netip.Addr {
	if !b.ServesIPv6() {
		return nil
	}
	out := []netip.Addr{BerthLinkLocal()}
	if b.answersGateways() && b.Gateway6.Is6() {
		out = append(out, b.Gateway6)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// AnswersAll reports whether every neighbour is answered for, but for the
// NIC's own addresses.
func (b *Binding) AnswersAll() bool {
	return b.ServedBy == ServedByBerth && b.Routed && b.Neighbours == NeighboursAll
}

func (b *Binding) answersGateways() bool {
	return b.Neighbours >= NeighboursGateway && (b.Routed || !b.GatewayMAC.IsZero())
}
