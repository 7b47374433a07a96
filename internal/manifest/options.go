package manifest

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// optionEncoder returns how a value of a type becomes an option's bytes, nil
// for a type that does not exist.
func optionEncoder(typ string) func(string) ([]byte, error) {
	switch typ {
	case "ipv4":
		return optionAddr
	case "int8", "int16", "int32":
		size := map[string]int{"int8": 1, "int16": 2, "int32": 4}[typ]
		return func(s string) ([]byte, error) { return optionInt(s, size) }
	case "string":
		return func(s string) ([]byte, error) { return []byte(s), nil }
	case "hex":
		return optionHex
	case "domain":
		return optionDomain
	case "route":
		return optionRoute
	case "bool":
		return optionBool
	}
	return nil
}

func optionAddr(s string) ([]byte, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return nil, errors.New("not an IPv4 address")
	}
	return a.AsSlice(), nil
}

// optionInt accepts a value that fits signed or unsigned: RFC 2132 has both.
func optionInt(s string, size int) ([]byte, error) {
	n, err := parseInt(s)
	if err != nil {
		return nil, errors.New("not a whole number")
	}
	low, high := -int64(1)<<(8*size-1), int64(1)<<(8*size)-1
	if n < low || n > high {
		return nil, fmt.Errorf("does not fit %d bytes: want %d to %d", size, low, high)
	}
	var buf [8]byte
	binary.BigEndian.PutUint64(buf[:], uint64(n))
	return buf[8-size:], nil
}

func optionHex(s string) ([]byte, error) {
	s = strings.NewReplacer(":", "", " ", "").Replace(strings.TrimPrefix(s, "0x"))
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, errors.New("not hexadecimal bytes such as 0a1b2c or 0a:1b:2c")
	}
	return b, nil
}

// optionDomain writes the labels of RFC 1035 section 3.1, uncompressed.
func optionDomain(s string) ([]byte, error) {
	var b []byte
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 {
			return nil, errors.New("not a domain name with labels of 1 to 63 bytes")
		}
		b = append(append(b, byte(len(label))), label...)
	}
	if b = append(b, 0); len(b) > 255 {
		return nil, errors.New("a domain name has at most 255 bytes (RFC 1035 section 2.3.4)")
	}
	return b, nil
}

// optionRoute writes a descriptor of RFC 3442: width, significant octets,
// router; 0.0.0.0 for a destination on link.
func optionRoute(s string) ([]byte, error) {
	to, via, found := strings.Cut(s, " via ")
	p, err := netip.ParsePrefix(strings.TrimSpace(to))
	if err != nil || !p.Addr().Is4() || p != p.Masked() {
		return nil, errors.New("not a route such as 10.0.0.0/8 via 192.0.2.1, or 10.0.0.0/8 if it is on link")
	}
	router := netip.IPv4Unspecified()
	if found {
		if router, err = netip.ParseAddr(strings.TrimSpace(via)); err != nil || !router.Is4() {
			return nil, errors.New("what stands behind via is not an IPv4 address")
		}
	}
	b := append([]byte{byte(p.Bits())}, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
	return append(b, router.AsSlice()...), nil
}

func optionBool(s string) ([]byte, error) {
	switch s {
	case "true":
		return []byte{1}, nil
	case "false":
		return []byte{0}, nil
	}
	return nil, errors.New("must be true or false")
}
