package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

const arpLen = 28

// ARP is one ARP packet for IPv4 over Ethernet (RFC 826).
type ARP struct {
	EthSrc, EthDst       nic.MAC
	Op                   uint16 // 1 request, 2 reply
	SenderMAC, TargetMAC nic.MAC
	SenderIP, TargetIP   netip.Addr
}

// ParseARP reads an Ethernet II frame as the kernel hands it up. What follows
// the packet is padding.
func ParseARP(frame []byte) (ARP, error) {
	if len(frame) < ethLen+arpLen {
		return ARP{}, fmt.Errorf("frame of %d bytes: too short for ARP", len(frame))
	}
	if t := binary.BigEndian.Uint16(frame[12:]); t != etherTypeARP {
		return ARP{}, fmt.Errorf("ethertype 0x%04x: want 0x0806", t)
	}
	p := frame[ethLen:]
	if s := [6]byte(p[:6]); s != arpSpaces() {
		return ARP{}, fmt.Errorf("arp address spaces %x: want %x", s, arpSpaces())
	}
	return ARP{
		EthDst: nic.MAC(frame[0:6]), EthSrc: nic.MAC(frame[6:12]),
		Op:        binary.BigEndian.Uint16(p[6:]),
		SenderMAC: nic.MAC(p[8:14]), SenderIP: netip.AddrFrom4([4]byte(p[14:18])),
		TargetMAC: nic.MAC(p[18:24]), TargetIP: netip.AddrFrom4([4]byte(p[24:28])),
	}, nil
}

// AppendARP appends a as an Ethernet II frame, padded with zeros to 60 bytes.
// An address that is not IPv4 is written as 0.0.0.0.
func AppendARP(dst []byte, a ARP) []byte {
	start := len(dst)
	spaces, from, to := arpSpaces(), as4(a.SenderIP), as4(a.TargetIP)
	dst = appendEthernet(dst, a.EthDst, a.EthSrc, etherTypeARP)
	dst = append(dst, spaces[:]...)
	dst = binary.BigEndian.AppendUint16(dst, a.Op)
	dst = append(dst, a.SenderMAC[:]...)
	dst = append(dst, from[:]...)
	dst = append(dst, a.TargetMAC[:]...)
	dst = append(dst, to[:]...)
	return pad(dst, start)
}

// arpSpaces is hardware Ethernet and protocol IPv4 with their address lengths.
func arpSpaces() [6]byte { return [6]byte{0, 1, 8, 0, 6, 4} }
