package dhcp4

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// ServerID resolves a binding's server identifier. host holds the host
// interface's own addresses, for ServerIDInterface. The reason, if any, is
// WaitServerID: the choice has no address (yet).
//
// A delivered prefix without a second host, such as a /32, has 169.254.0.1 in
// place of the first host. RFC 3927 2.1 keeps 169.254.0.0/24 from every host,
// so nobody else has it; it never appears on a wire but the NIC's own, and a
// renewal sent to it is taken at the NIC like any other.
func ServerID(b *nic.Binding, host []netip.Addr) (netip.Addr, reason.Reason) {
	switch b.DHCP4.ServerID.Kind {
	case nic.ServerIDFixed:
		return orWait(b.DHCP4.ServerID.Addr)
	case nic.ServerIDInterface:
		for _, a := range host {
			if usable(a) && !owns(b, a.Unmap()) {
				return a.Unmap(), reason.None
			}
		}
		return orWait(netip.Addr{})
	case nic.ServerIDFirstHost:
		return firstHost(b), reason.None
	case nic.ServerIDGateway:
	}
	if g := b.Gateway.Unmap(); usable(g) && b.Delivered().Masked().Contains(g) && !owns(b, g) {
		return g, reason.None
	}
	return firstHost(b), reason.None
}

func orWait(a netip.Addr) (netip.Addr, reason.Reason) {
	if !usable(a) {
		return netip.Addr{}, reason.WaitServerID
	}
	return a.Unmap(), reason.None
}

// firstHost is the lowest host address of the delivered prefix that is not
// the NIC's own. It looks at one address more than the NIC has.
func firstHost(b *nic.Binding) netip.Addr {
	p := b.Delivered().Masked()
	if p.IsValid() && p.Addr().Is4() && p.Bits() < 32 {
		first, last := p.Addr(), lastAddress(p)
		if p.Bits() < 31 { // RFC 3021: both addresses of a /31 are hosts
			first, last = first.Next(), last.Prev()
		}
		for a := first; a.IsValid() && a.Compare(last) <= 0; a = a.Next() {
			if usable(a) && !owns(b, a) {
				return a
			}
		}
	}
	dummy := netip.AddrFrom4([4]byte{169, 254, 0, 1})
	for owns(b, dummy) {
		dummy = dummy.Next()
	}
	return dummy
}
