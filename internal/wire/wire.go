// Package wire turns Ethernet frames into UDP datagrams, ICMPv6 messages and
// ARP packets, and back. It is pure and bounds-checked: every byte it reads
// was written by a guest.
//
// Not here: what a message says (dhcp4, dhcp6, nd, arp), who may send it
// (guard), and sockets (answerer).
package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/berth-net/berth/internal/nic"
)

// Sizes and numbers of the headers.
const (
	ethLen   = 14
	udpLen   = 8
	minFrame = 60 // IEEE 802.3 minimum, without the FCS

	etherTypeIPv4 = 0x0800
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd

	protoUDP = 17
)

func appendEthernet(dst []byte, to, from nic.MAC, ethertype uint16) []byte {
	dst = append(dst, to[:]...)
	dst = append(dst, from[:]...)
	return binary.BigEndian.AppendUint16(dst, ethertype)
}

// pad brings the frame that begins at start to the minimum length.
func pad(dst []byte, start int) []byte {
	if short := minFrame - (len(dst) - start); short > 0 {
		dst = append(dst, make([]byte, short)...)
	}
	return dst
}

// udp is a UDP datagram without its checksum.
type udp struct {
	srcPort, dstPort uint16
	payload          []byte
}

// parseUDP reads what an IP packet carries; payload aliases p.
func parseUDP(p []byte) (udp, error) {
	if len(p) < udpLen {
		return udp{}, fmt.Errorf("udp header of %d bytes: want 8", len(p))
	}
	length := int(binary.BigEndian.Uint16(p[4:]))
	if length < udpLen || length > len(p) {
		return udp{}, fmt.Errorf("udp length %d: want 8 to %d", length, len(p))
	}
	return udp{
		srcPort: binary.BigEndian.Uint16(p[0:]),
		dstPort: binary.BigEndian.Uint16(p[2:]),
		payload: p[udpLen:length:length],
	}, nil
}

// appendUDP leaves the checksum zero.
func appendUDP(dst []byte, d udp) []byte {
	dst = binary.BigEndian.AppendUint16(dst, d.srcPort)
	dst = binary.BigEndian.AppendUint16(dst, d.dstPort)
	dst = binary.BigEndian.AppendUint16(dst, uint16(udpLen+len(d.payload)))
	dst = append(dst, 0, 0)
	return append(dst, d.payload...)
}
