package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

// UDP4 is one UDP datagram over IPv4 with the Ethernet addresses it travels
// between.
type UDP4 struct {
	EthSrc, EthDst   nic.MAC
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	Payload          []byte
}

const (
	ip4Len = 20 // without options

	flagDF       = 0x4000
	fragmentMask = 0x3fff // MF and offset: everything of the field but DF and the reserved bit

	// MaxPayload is the longest UDP payload an IPv4 packet can carry.
	MaxPayload = 0xffff - ip4Len - udpLen
)

// ParseUDP4 reads an Ethernet II frame as the kernel hands it up. IPv4 options
// are skipped; the total length and the UDP length decide what the payload is,
// so Ethernet padding is never part of it. Fragments are refused: a DHCP
// client never needs them, and only the first one has ports.
//
// The UDP checksum is not verified: a guest with checksum offload leaves only
// the pseudo-header's sum in the field (CHECKSUM_PARTIAL), and nothing between
// its driver and us ever completes it. The IPv4 header's own checksum is never
// offloaded that way and is verified (RFC 1122 3.2.1.2).
//
// Payload aliases frame.
func ParseUDP4(frame []byte) (UDP4, error) {
	if len(frame) < ethLen+ip4Len+udpLen {
		return UDP4{}, fmt.Errorf("frame of %d bytes: too short for UDP over IPv4", len(frame))
	}
	if t := binary.BigEndian.Uint16(frame[12:]); t != etherTypeIPv4 {
		return UDP4{}, fmt.Errorf("ethertype 0x%04x: want 0x0800", t)
	}
	u := UDP4{EthDst: nic.MAC(frame[0:6]), EthSrc: nic.MAC(frame[6:12])}
	datagram, err := u.parseIP4(frame[ethLen:])
	if err != nil {
		return UDP4{}, err
	}
	d, err := parseUDP(datagram)
	if err != nil {
		return UDP4{}, err
	}
	u.SrcPort, u.DstPort, u.Payload = d.srcPort, d.dstPort, d.payload
	return u, nil
}

// parseIP4 takes the addresses from the header and returns what it carries.
func (u *UDP4) parseIP4(p []byte) ([]byte, error) {
	ihl := int(p[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(p[2:]))
	switch {
	case p[0]>>4 != 4:
		return nil, fmt.Errorf("ip version %d: want 4", p[0]>>4)
	case ihl < ip4Len || ihl > total:
		return nil, fmt.Errorf("ip header length %d: want 20 to the total length %d", ihl, total)
	case total > len(p):
		return nil, fmt.Errorf("ip total length %d: the frame holds %d", total, len(p))
	case Checksum(p[:ihl]) != 0:
		return nil, fmt.Errorf("ip header checksum 0x%04x: wrong", binary.BigEndian.Uint16(p[10:]))
	case binary.BigEndian.Uint16(p[6:])&fragmentMask != 0:
		return nil, fmt.Errorf("ip fragment field 0x%04x: fragments are refused", binary.BigEndian.Uint16(p[6:]))
	case p[9] != protoUDP:
		return nil, fmt.Errorf("ip protocol %d: want 17", p[9])
	}
	u.Src, u.Dst = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	return p[ihl:total], nil
}

// AppendUDP4 appends u as an Ethernet II frame: TTL 64, DF, both checksums
// filled (clients such as systemd-networkd drop a reply without a UDP
// checksum), padded with zeros to 60 bytes. The identification is 0, as RFC
// 6864 4.1 allows for what is never fragmented.
//
// An address that is not IPv4 is written as 0.0.0.0; a payload longer than
// MaxPayload cannot be framed, and dst is returned as it was.
func AppendUDP4(dst []byte, u UDP4) []byte {
	if len(u.Payload) > MaxPayload {
		return dst
	}
	start := len(dst)
	dst = appendEthernet(dst, u.EthDst, u.EthSrc, etherTypeIPv4)
	dst = appendIP4(dst, u)
	header := len(dst)
	dst = appendUDP(dst, udp{u.SrcPort, u.DstPort, u.Payload})
	binary.BigEndian.PutUint16(dst[header+6:], UDP4Checksum(u.Src, u.Dst, dst[header:]))
	return pad(dst, start)
}

func appendIP4(dst []byte, u UDP4) []byte {
	start := len(dst)
	src, to := as4(u.Src), as4(u.Dst)
	dst = append(dst, 0x45, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(ip4Len+udpLen+len(u.Payload)))
	dst = append(dst, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, flagDF)
	dst = append(dst, 64, protoUDP, 0, 0)
	dst = append(dst, src[:]...)
	dst = append(dst, to[:]...)
	binary.BigEndian.PutUint16(dst[start+10:], Checksum(dst[start:]))
	return dst
}

// as4 never panics, unlike netip's As4 on an address that is not IPv4.
func as4(a netip.Addr) [4]byte {
	if a = a.Unmap(); a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}
