package guard

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// macs returns the permitted Ethernet sources: the NIC's own, then what it is
// granted and the virtual MACs of the virtual routers it has a share in.
func macs(b *nic.Binding) []nic.MAC {
	all := slices.Clone(b.Guard.AllowMACs)
	if !b.Suspended {
		all = append(all, b.VirtualMACs()...)
	}
	all = slices.DeleteFunc(all, func(m nic.MAC) bool { return m == b.MAC })
	slices.SortFunc(all, compareMAC)
	return append([]nic.MAC{b.MAC}, slices.Compact(all)...)
}

func compareMAC(x, y nic.MAC) int { return slices.Compare(x[:], y[:]) }

// vrids returns the virtual routers of a family that the NIC has a share in.
func vrids(b *nic.Binding, family func(netip.Addr) bool) []uint8 {
	var out []uint8
	for _, s := range b.Shared {
		if s.VRID != 0 && slices.ContainsFunc(s.Addresses, family) {
			out = append(out, s.VRID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// peers returns who may reach the NIC, its gateway among them, without any
// that another one covers. A routed NIC has nobody to reach it but its host.
func peers(b *nic.Binding) []nic.MACRange {
	if b.Routed {
		return nil
	}
	all := slices.Clone(b.Guard.Peers)
	if len(all) > 0 && !b.GatewayMAC.IsZero() {
		all = append(all, nic.MACRange{MAC: b.GatewayMAC, Bits: 48})
	}
	slices.SortFunc(all, func(x, y nic.MACRange) int {
		return cmp.Or(compareMAC(x.MAC, y.MAC), cmp.Compare(x.Bits, y.Bits))
	})
	var out []nic.MACRange
	for _, p := range all {
		// Sorted by MAC then length, so a cover comes before what it covers.
		if n := len(out); n == 0 || !covers(out[n-1], p.MAC) {
			out = append(out, p)
		}
	}
	return out
}

// covers reports whether a MAC begins as the range does.
func covers(p nic.MACRange, m nic.MAC) bool {
	return (number(p.MAC)^number(m))>>(48-p.Bits) == 0
}

func number(m nic.MAC) uint64 {
	var n uint64
	for _, b := range m {
		n = n<<8 | uint64(b)
	}
	return n
}

// isPeer reports whether an Ethernet source may reach the NIC.
func (r *Rules) isPeer(m nic.MAC) bool {
	return len(r.Peers) == 0 || slices.ContainsFunc(r.Peers, func(p nic.MACRange) bool { return covers(p, m) })
}

// shared returns the addresses of all shares that the NIC may use.
func (r *Rules) shared(b *nic.Binding) []netip.Addr {
	var out []netip.Addr
	for _, s := range b.Shared {
		for _, a := range s.Addresses {
			if r.owns(a) || r.owns6(a) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// speaksVRRP reports whether a VRRP packet to a group is of one of the virtual
// routers, by its second byte (RFC 9568 5.2.3).
func speaksVRRP(vrids []uint8, payload []byte) bool {
	return len(payload) > 1 && slices.Contains(vrids, payload[1])
}

// Announced returns the address that a frame says its sender has: an ARP
// sender's, or the target of a neighbour advertisement; zero for every other
// frame. A NIC that announces an address it shares is the one that holds it.
func Announced(f Frame) netip.Addr {
	h := parseL2(f)
	if h.short || h.tooDeep || h.tagged || h.llc {
		return netip.Addr{}
	}
	switch h.ethertype {
	case typeARP:
		return announcedARP(f.Data[h.off:])
	case typeIPv6:
		p := parseIP6(f.Data, h.off)
		if p.icmp() && p.kind == neighborAdvert && !p.fragmented && p.end-p.up >= 24 {
			return addr6(f.Data[p.up+8:])
		}
	}
	return netip.Addr{}
}

func announcedARP(a []byte) netip.Addr {
	if len(a) < 28 || !isEthernetARP(a) || be16(a, 6) != 1 && be16(a, 6) != 2 {
		return netip.Addr{}
	}
	return addr4(a[14:])
}
