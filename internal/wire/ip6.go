package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

const (
	ip6Len = 40

	// maxExtensions headers are walked; no honest packet has as many.
	maxExtensions = 8
)

// IPv6 next header values (IANA "IPv6 Extension Header Types").
const (
	protoHopByHop = 0
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoICMP6    = 58
	protoDestOpts = 60
	protoMobility = 135
	protoHIP      = 139
	protoShim6    = 140
)

// IP6 is one IPv6 packet behind its extension headers, with the Ethernet
// addresses it travels between.
type IP6 struct {
	EthSrc, EthDst nic.MAC
	Src, Dst       netip.Addr
	HopLimit       uint8
	Protocol       uint8 // of Payload: the last next header value
	Payload        []byte
}

// ParseIP6 reads an Ethernet II frame as the kernel hands it up. Extension
// headers are skipped, hop-by-hop options only where RFC 8200 4.1 has them:
// first. Fragments are refused, an atomic one too: RFC 6980 takes no neighbour
// discovery from them, and DHCP never needs them. The payload length decides
// what the payload is, so Ethernet padding is never part of it; 0, which a
// jumbogram has, is taken at its word.
//
// Payload aliases frame.
func ParseIP6(frame []byte) (IP6, error) {
	if len(frame) < ethLen+ip6Len {
		return IP6{}, fmt.Errorf("frame of %d bytes: too short for IPv6", len(frame))
	}
	if t := binary.BigEndian.Uint16(frame[12:]); t != etherTypeIPv6 {
		return IP6{}, fmt.Errorf("ethertype 0x%04x: want 0x86dd", t)
	}
	p := frame[ethLen:]
	length := int(binary.BigEndian.Uint16(p[4:]))
	switch {
	case p[0]>>4 != 6:
		return IP6{}, fmt.Errorf("ip version %d: want 6", p[0]>>4)
	case length > len(p)-ip6Len:
		return IP6{}, fmt.Errorf("ip payload length %d: the frame holds %d", length, len(p)-ip6Len)
	}
	h := IP6{
		EthDst: nic.MAC(frame[0:6]), EthSrc: nic.MAC(frame[6:12]),
		Src: netip.AddrFrom16([16]byte(p[8:24])), Dst: netip.AddrFrom16([16]byte(p[24:40])),
		Protocol: p[6], HopLimit: p[7],
		Payload: p[ip6Len : ip6Len+length : ip6Len+length],
	}
	if err := h.skipExtensions(); err != nil {
		return IP6{}, err
	}
	return h, nil
}

func (h *IP6) skipExtensions() error {
	for n := 0; ; n++ {
		size, err := extensionLen(h.Protocol, h.Payload)
		switch {
		case err != nil:
			return err
		case size == 0:
			return nil
		case h.Protocol == protoHopByHop && n > 0:
			return fmt.Errorf("hop-by-hop options are extension header %d: want the first", n+1)
		case n == maxExtensions:
			return fmt.Errorf("more than %d extension headers", maxExtensions)
		}
		h.Protocol, h.Payload = h.Payload[0], h.Payload[size:]
	}
}

// extensionLen is the length of the extension header that p begins with, 0 if
// proto is none: what it carries is the payload.
func extensionLen(proto uint8, p []byte) (int, error) {
	unit, extra := 8, 1
	switch proto {
	case protoHopByHop, protoRouting, protoDestOpts, protoMobility, protoHIP, protoShim6:
	case protoAH:
		unit, extra = 4, 2 // RFC 4302 2.2
	case protoFragment:
		return 0, fmt.Errorf("ip fragment header: fragments are refused")
	default:
		return 0, nil
	}
	if len(p) < 2 {
		return 0, fmt.Errorf("extension header %d of %d bytes", proto, len(p))
	}
	size := (int(p[1]) + extra) * unit
	if size > len(p) {
		return 0, fmt.Errorf("extension header %d of %d bytes: the packet holds %d", proto, size, len(p))
	}
	return size, nil
}

// appendIP6 appends the headers of h up to its payload, of length bytes.
func appendIP6(dst []byte, h IP6, length int) []byte {
	src, to := as16(h.Src), as16(h.Dst)
	dst = appendEthernet(dst, h.EthDst, h.EthSrc, etherTypeIPv6)
	dst = append(dst, 0x60, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(length))
	dst = append(dst, h.Protocol, h.HopLimit)
	dst = append(dst, src[:]...)
	return append(dst, to[:]...)
}

// GroupMAC is the Ethernet address of an IPv6 multicast group: 33:33 and the
// last four bytes (RFC 2464 section 7).
func GroupMAC(a netip.Addr) nic.MAC {
	b := as16(a)
	return nic.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// as16 writes what is not IPv6 as ::.
func as16(a netip.Addr) [16]byte {
	if a.Is6() {
		return a.As16()
	}
	return [16]byte{}
}
