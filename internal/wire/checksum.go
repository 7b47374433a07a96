package wire

import (
	"encoding/binary"
	"net/netip"
)

// Checksum is the Internet checksum of b (RFC 1071): the value to store in a
// field that is zero in b, and 0 for bytes whose stored checksum is right.
func Checksum(b []byte) uint16 { return ^fold(add(0, b)) }

// UDP4Checksum is the checksum of a UDP datagram (header and payload) between
// two IPv4 addresses, computed as if its own field were zero. It is never 0,
// which would say that there is none (RFC 768).
func UDP4Checksum(src, dst netip.Addr, datagram []byte) uint16 {
	s, d := as4(src), as4(dst)
	sum := add(add(0, s[:]), d[:])
	sum += protoUDP + uint64(len(datagram))
	if len(datagram) < udpLen {
		return checksumOrOnes(add(sum, datagram))
	}
	sum = add(sum, datagram[:6])
	return checksumOrOnes(add(sum, datagram[udpLen:]))
}

// pseudo6 is the sum of an IPv6 pseudo-header and what it covers, whose
// checksum field is zero (RFC 8200 8.1).
func pseudo6(h IP6, upper []byte) uint64 {
	src, dst := as16(h.Src), as16(h.Dst)
	sum := add(add(0, src[:]), dst[:])
	return add(sum+uint64(len(upper))+uint64(h.Protocol), upper)
}

func checksumOrOnes(sum uint64) uint16 {
	if c := ^fold(sum); c != 0 {
		return c
	}
	return 0xffff
}

// add adds b as 16-bit words; an odd last byte is the high half of a word
// (RFC 1071 section 1).
func add(sum uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

func fold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
