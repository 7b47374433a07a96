package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

// MaxPayload6 is the longest UDP payload an IPv6 packet can carry without the
// jumbo option.
const MaxPayload6 = 0xffff - udpLen

// hopLimit is what UDP is sent with; only neighbour discovery needs 255.
const hopLimit = 64

// UDP6 is one UDP datagram over IPv6 with the Ethernet addresses it travels
// between.
type UDP6 struct {
	EthSrc, EthDst   nic.MAC
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	Payload          []byte
}

// ParseUDP6 reads a frame as ParseIP6 does. The UDP checksum is not verified,
// for ParseUDP4's reason. Payload aliases frame.
func ParseUDP6(frame []byte) (UDP6, error) {
	h, err := ParseIP6(frame)
	if err != nil {
		return UDP6{}, err
	}
	if h.Protocol != protoUDP {
		return UDP6{}, fmt.Errorf("ip next header %d: want 17", h.Protocol)
	}
	d, err := parseUDP(h.Payload)
	if err != nil {
		return UDP6{}, err
	}
	return UDP6{
		EthSrc: h.EthSrc, EthDst: h.EthDst, Src: h.Src, Dst: h.Dst,
		SrcPort: d.srcPort, DstPort: d.dstPort, Payload: d.payload,
	}, nil
}

// AppendUDP6 appends u as an Ethernet II frame: hop limit 64, the checksum
// filled and never 0 (RFC 8200 8.1), padded with zeros to 60 bytes.
//
// An address that is not IPv6 is written as ::; a payload longer than
// MaxPayload6 cannot be framed, and dst is returned as it was.
func AppendUDP6(dst []byte, u UDP6) []byte {
	if len(u.Payload) > MaxPayload6 {
		return dst
	}
	start := len(dst)
	h := IP6{EthSrc: u.EthSrc, EthDst: u.EthDst, Src: u.Src, Dst: u.Dst, HopLimit: hopLimit, Protocol: protoUDP}
	dst = appendIP6(dst, h, udpLen+len(u.Payload))
	header := len(dst)
	dst = appendUDP(dst, udp{u.SrcPort, u.DstPort, u.Payload})
	sum := pseudo6(h, dst[header:])
	binary.BigEndian.PutUint16(dst[header+6:], checksumOrOnes(sum))
	return pad(dst, start)
}
