package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/wire"
)

// Next header values of RFC 8200.
const (
	hopByHop    = 0
	fragment    = 44
	destination = 60
)

// ip6Start and ip6End are where a frame's IPv6 header begins and ends.
const ip6Start, ip6End = 14, 54

func allNodes() netip.Addr { return netip.MustParseAddr("ff02::1") }

// datagram6 is honest.
func (a attacker) datagram6() wire.UDP6 {
	return wire.UDP6{
		EthSrc: a.vm.mac, EthDst: wire.GroupMAC(allNodes()), Src: a.own6, Dst: allNodes(),
		SrcPort: 40000, DstPort: 40001, Payload: []byte("forged"),
	}
}

// advertise is a DHCPv6 server's ADVERTISE to whoever listens (RFC 8415 8).
func (a attacker) advertise() []byte {
	d := a.datagram6()
	d.SrcPort, d.DstPort = 547, 546
	d.Payload = append([]byte{2, 0xba, 0xd0, 0xba, 0, 2, 0, 10, 0, 3, 0, 1}, a.vm.mac[:]...) // DUID-LL as server identifier
	return wire.AppendUDP6(nil, d)
}

// advertisement is a neighbour advertisement that says the gateway's address
// is at the attacker's MAC (RFC 4861 4.4).
func (a attacker) advertisement() []byte {
	m := []byte{136, 0, 0, 0, 0x20, 0, 0, 0} // override
	m = append(m, a.gateway.AsSlice()...)
	m = append(append(m, 2, 1), a.vm.mac[:]...) // target link-layer address
	return a.icmp6(m)
}

// target is how tcpdump recognises the target of a neighbour advertisement: by
// its last four octets, which tells those of the story apart.
func target(a netip.Addr) string {
	b := a.As16()
	return fmt.Sprintf("ip6[60:4] == %#x", b[12:])
}

// routerAdvert is a router advertisement of the attacker's link-local (RFC
// 4861 4.2), behind the extension headers that are asked for.
func (a attacker) routerAdvert(headers ...byte) []byte {
	m := []byte{134, 0, 0, 0, 64, 0, 1800 >> 8, 1800 & 0xff, 0, 0, 0, 0, 0, 0, 0, 0}
	a.own6 = a.vm.mac.EUI64()
	frame := a.icmp6(append(append(m, 1, 1), a.vm.mac[:]...)) // source link-layer address
	for _, h := range slices.Backward(headers) {
		frame = behind(h, frame)
	}
	return frame
}

func (a attacker) icmp6(message []byte) []byte {
	return wire.AppendICMP6(nil, wire.ICMP6{
		EthSrc: a.vm.mac, EthDst: wire.GroupMAC(allNodes()), Src: a.own6, Dst: allNodes(), HopLimit: 255, Message: message,
	})
}

// behind puts an extension header of padding alone into a frame, first of all.
func behind(header byte, frame []byte) []byte {
	padding := []byte{frame[ip6Start+6], 0, 1, 4, 0, 0, 0, 0}
	frame = slices.Insert(frame, ip6End, padding...)
	frame[ip6Start+6] = header
	return sized(frame)
}

// sized makes the payload length what the frame carries.
func sized(frame []byte) []byte {
	binary.BigEndian.PutUint16(frame[ip6Start+4:], uint16(len(frame)-ip6End))
	return frame
}

// fragment is the first one of a router advertisement, and ends before the
// ICMPv6 header: what it is a part of, only the second would tell.
func (a attacker) fragment() []byte {
	whole := behind(destination, a.routerAdvert())
	first := slices.Clone(whole[:ip6End+8])
	first = slices.Insert(first, ip6End, destination, 0, 0, 1, 0xba, 0xd0, 0xba, 0xd0) // offset 0, more to come
	first[ip6Start+6] = fragment
	return sized(first)
}
