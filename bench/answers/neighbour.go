package main

import (
	"encoding/binary"
	"net/netip"
)

// neighbours answers what a server's kernel asks before it sends a unicast:
// who has a client's address.
type neighbours struct {
	macs map[netip.Addr][6]byte
}

func newNeighbours(clients []client) neighbours {
	n := neighbours{macs: map[netip.Addr][6]byte{}}
	for _, c := range clients {
		n.macs[c.addr4], n.macs[c.local] = c.mac, c.mac
	}
	return n
}

// answer returns the reply to an ARP request or neighbour solicitation for one
// of the clients; nil for any other frame.
func (n neighbours) answer(frame []byte) []byte {
	if len(frame) < ethHeader+28 {
		return nil
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case arpProto:
		return n.arp(frame)
	case ipv6Proto:
		return n.solicited(frame)
	}
	return nil
}

// arp answers a request, RFC 826.
func (n neighbours) arp(frame []byte) []byte {
	a := frame[ethHeader:]
	mac, ours := n.macs[netip.AddrFrom4([4]byte(a[24:]))]
	if binary.BigEndian.Uint16(a[6:]) != 1 || !ours {
		return nil
	}
	b := append(append(append([]byte{}, a[8:14]...), mac[:]...), frame[12:14]...)
	b = append(b, a[:6]...)
	b = append(append(append(b, 0, 2), mac[:]...), a[24:28]...)
	return append(b, a[8:18]...)
}

// solicited answers a solicitation, RFC 4861 section 4.4.
func (n neighbours) solicited(frame []byte) []byte {
	const icmp = ethHeader + ip6Header
	if len(frame) < icmp+24 || frame[ethHeader+6] != icmp6Proto || frame[icmp] != 135 {
		return nil
	}
	target := netip.AddrFrom16([16]byte(frame[icmp+8:]))
	mac, ours := n.macs[target]
	if !ours {
		return nil
	}
	body := append([]byte{136, 0, 0, 0, 0x60, 0, 0, 0}, target.AsSlice()...) // solicited, override
	body = append(append(body, 2, 1), mac[:]...)
	header := ip6(target, netip.AddrFrom16([16]byte(frame[ethHeader+8:])), len(body), icmp6Proto)
	sum := sumOf(header[8:]) + sumOf(body) + uint32(len(body)) + icmp6Proto
	binary.BigEndian.PutUint16(body[2:], fold(sum))
	b := append(append(append([]byte{}, frame[6:12]...), mac[:]...), frame[12:14]...)
	return append(append(b, header...), body...)
}
