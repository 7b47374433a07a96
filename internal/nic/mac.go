package nic

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// MAC is a 48-bit Ethernet address.
type MAC [6]byte

// ParseMAC reads six octets in any case, separated by ':' or '-', or as three
// dotted groups of four digits.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	digits, ok := macDigits(s)
	if !ok {
		return m, fmt.Errorf("%q is not a MAC address: want six octets like 52:54:00:aa:00:01", s)
	}
	if _, err := hex.Decode(m[:], []byte(digits)); err != nil {
		return MAC{}, fmt.Errorf("%q is not a MAC address: %w", s, err)
	}
	return m, nil
}

func macDigits(s string) (string, bool) {
	var sep string
	group := 2
	switch {
	case strings.Contains(s, ":"):
		sep = ":"
	case strings.Contains(s, "-"):
		sep = "-"
	case strings.Contains(s, "."):
		sep, group = ".", 4
	default:
		return "", false
	}
	parts := strings.Split(s, sep)
	if len(parts)*group != 12 {
		return "", false
	}
	for _, p := range parts {
		if len(p) != group {
			return "", false
		}
	}
	return strings.Join(parts, ""), true
}

// String prints the address in lower case with colons.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// IsZero reports whether all bits are zero.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsGroup reports whether this is a multicast or broadcast address
// (IEEE 802 I/G bit).
func (m MAC) IsGroup() bool { return m[0]&1 != 0 }

// MarshalText writes what String prints.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what ParseMAC accepts.
func (m *MAC) UnmarshalText(b []byte) error {
	p, err := ParseMAC(string(b))
	if err != nil {
		return err
	}
	*m = p
	return nil
}

// ParseMACRange reads what ParseMAC accepts, alone or with a number of bits
// behind a slash; Validate says whether the range makes sense.
func ParseMACRange(s string) (MACRange, error) {
	addr, bits, ranged := strings.Cut(s, "/")
	m, err := ParseMAC(addr)
	if err != nil || !ranged {
		return MACRange{m, macBits}, err
	}
	n, err := strconv.ParseUint(bits, 10, 8)
	if err != nil {
		return MACRange{}, fmt.Errorf("%q is not a number of bits: %w", bits, err)
	}
	return MACRange{m, uint8(n)}, nil
}

// macBits is how many bits a MAC has.
const macBits = 48

// String prints the address alone if the range is that one only.
func (r MACRange) String() string {
	if r.Bits == macBits {
		return r.MAC.String()
	}
	return fmt.Sprintf("%s/%d", r.MAC, r.Bits)
}

// masked is the range without the bits beyond it.
func (r MACRange) masked() MACRange {
	for i := int(r.Bits); i < macBits; i++ {
		r.MAC[i/8] &^= 0x80 >> (i % 8)
	}
	return r
}
