package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

const (
	icmp6Len = 4 // type, code, checksum
	maxICMP6 = 0xffff
)

// ICMP6 is one ICMPv6 message with the Ethernet addresses it travels between.
type ICMP6 struct {
	EthSrc, EthDst nic.MAC
	Src, Dst       netip.Addr
	HopLimit       uint8
	Message        []byte // from the type on, at least type, code and checksum
}

// ParseICMP6 reads a frame as ParseIP6 does. The checksum is not verified, for
// ParseUDP4's reason. Message aliases frame.
func ParseICMP6(frame []byte) (ICMP6, error) {
	h, err := ParseIP6(frame)
	if err != nil {
		return ICMP6{}, err
	}
	switch {
	case h.Protocol != protoICMP6:
		return ICMP6{}, fmt.Errorf("ip next header %d: want 58", h.Protocol)
	case len(h.Payload) < icmp6Len:
		return ICMP6{}, fmt.Errorf("icmp message of %d bytes: want at least 4", len(h.Payload))
	}
	return ICMP6{
		EthSrc: h.EthSrc, EthDst: h.EthDst, Src: h.Src, Dst: h.Dst,
		HopLimit: h.HopLimit, Message: h.Payload,
	}, nil
}

// AppendICMP6 appends m as an Ethernet II frame, padded with zeros to 60
// bytes. Whatever m's checksum field holds, the frame's is right; m is not
// changed.
//
// An address that is not IPv6 is written as ::; a message without a checksum
// field or longer than 65535 bytes cannot be framed, and dst is returned as it
// was.
func AppendICMP6(dst []byte, m ICMP6) []byte {
	if len(m.Message) < icmp6Len || len(m.Message) > maxICMP6 {
		return dst
	}
	start := len(dst)
	h := IP6{EthSrc: m.EthSrc, EthDst: m.EthDst, Src: m.Src, Dst: m.Dst, HopLimit: m.HopLimit, Protocol: protoICMP6}
	dst = appendIP6(dst, h, len(m.Message))
	header := len(dst)
	dst = append(dst, m.Message...)
	sum := dst[header+2 : header+4]
	clear(sum)
	binary.BigEndian.PutUint16(sum, ^fold(pseudo6(h, dst[header:])))
	return pad(dst, start)
}
