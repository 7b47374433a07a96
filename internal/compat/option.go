package compat

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/dnsname"
	"github.com/berth-net/berth/internal/nic"
)

// Kind is how the value of an option is written.
type Kind uint8

// The kinds.
const (
	Bytes  Kind = iota // hex, or a text taken as its bytes
	Addrs4             // IPv4 addresses
	Addrs6             // IPv6 addresses
	Int8               // numbers, also several
	Int16
	Int32
	Flag    // true or false
	Text    // one text
	Domains // domain names, RFC 1035 section 3.1
	Routes4 // classless static routes, RFC 3442
	Text16  // texts each with its length in 16 bits, RFC 5970
)

// Definition is one option: its names are those of isc-dhcpd and kea first,
// that of dnsmasq last where it differs.
type Definition struct {
	Code  uint16
	Kind  Kind
	Names []string
}

// Option is an option as it goes on the wire, and where it was written.
type Option struct {
	Code  uint16
	Data  []byte
	Place Place
}

// Options are those of one family in one scope, by code.
type Options map[uint16]Option

// Encode makes the bytes of an option's values.
func (k Kind) Encode(values []string) ([]byte, error) {
	if k == Routes4 {
		return routes4(values)
	}
	if len(values) == 0 {
		return nil, errors.New("has no value")
	}
	if k == Text && len(values) > 1 {
		return []byte(strings.Join(values, ",")), nil
	}
	var data []byte
	for _, v := range values {
		b, err := k.one(v)
		if err != nil {
			return nil, err
		}
		data = append(data, b...)
	}
	return data, nil
}

func (k Kind) one(v string) ([]byte, error) {
	switch k {
	case Addrs4, Addrs6:
		return address(v, k == Addrs6)
	case Int8:
		return number(v, 1)
	case Int16:
		return number(v, 2)
	case Int32:
		return number(v, 4)
	case Flag:
		return flag(v)
	case Domains:
		return domain(v)
	case Text16:
		return text16(v)
	case Text:
		return []byte(v), nil
	default: // Bytes; Routes4 has a form of its own
		return hexOrText(v), nil
	}
}

func address(v string, six bool) ([]byte, error) {
	a, err := netip.ParseAddr(strings.Trim(v, "[]"))
	if err != nil || a.Is6() != six || a.Zone() != "" {
		return nil, fmt.Errorf("%q is not an address of its family", v)
	}
	return a.AsSlice(), nil
}

func number(v string, size int) ([]byte, error) {
	n, err := strconv.ParseInt(v, 0, 64)
	if err != nil || n < -(1<<(8*size-1)) || n > 1<<(8*size)-1 {
		return nil, fmt.Errorf("%q is not a number of %d bytes", v, size)
	}
	return binary.BigEndian.AppendUint64(nil, uint64(n))[8-size:], nil
}

func flag(v string) ([]byte, error) {
	switch strings.ToLower(v) {
	case "true", "on", "1":
		return []byte{1}, nil
	case "false", "off", "0":
		return []byte{0}, nil
	}
	return nil, fmt.Errorf("%q is neither true nor false", v)
}

func domain(v string) ([]byte, error) {
	b, ok := dnsname.Append(nil, strings.TrimSuffix(v, "."))
	if !ok {
		return nil, fmt.Errorf("%q is not a domain name", v)
	}
	return append(b, 0), nil
}

func text16(v string) ([]byte, error) {
	if len(v) > math.MaxUint16 {
		return nil, errors.New("is too long")
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(v))), v...), nil
}

// hexOrText takes 0a:1b:2c, with one or two digits in each, for bytes and
// everything else for text.
func hexOrText(v string) []byte {
	if b, ok := HexBytes(v); ok {
		return b
	}
	return []byte(v)
}

// HexBytes reads octets of one or two digits, with ":" between.
func HexBytes(v string) ([]byte, bool) {
	if !strings.Contains(v, ":") {
		return nil, false
	}
	var out []byte
	for octet := range strings.SplitSeq(v, ":") {
		n, err := strconv.ParseUint(octet, 16, 8)
		if err != nil || len(octet) > 2 {
			return nil, false
		}
		out = append(out, byte(n))
	}
	return out, true
}

// routes4 takes either octets, as isc-dhcpd has them (16, 10, 1, 192, 0, 2, 1
// for 10.1.0.0/16), pairs of prefix and router, as dnsmasq has them, or
// "10.1.0.0/16 - 192.0.2.1", as kea has them.
func routes4(values []string) ([]byte, error) {
	if len(values) > 0 && !strings.Contains(values[0], "/") {
		data, err := Int8.Encode(values)
		if err != nil {
			return nil, err
		}
		_, err = decodeRoutes(data)
		return data, err
	}
	var words []string
	for _, v := range values {
		for _, w := range strings.Fields(v) {
			if w != "-" {
				words = append(words, w)
			}
		}
	}
	if len(words) == 0 || len(words)%2 != 0 {
		return nil, errors.New("is not pairs of a destination and a router")
	}
	var data []byte
	for pair := range slices.Chunk(words, 2) {
		to, err := netip.ParsePrefix(pair[0])
		via, err2 := netip.ParseAddr(pair[1])
		if err != nil || err2 != nil || !to.Addr().Is4() || !via.Is4() {
			return nil, fmt.Errorf("%q and %q are not a destination and a router", pair[0], pair[1])
		}
		data = append(append(data, byte(to.Bits())), to.Masked().Addr().AsSlice()[:(to.Bits()+7)/8]...)
		data = append(data, via.AsSlice()...)
	}
	return data, nil
}

// decodeRoutes reads descriptors of RFC 3442.
func decodeRoutes(data []byte) ([]Route, error) {
	var out []Route
	for len(data) > 0 {
		bits := int(data[0])
		octets := (bits + 7) / 8
		if bits > 32 || len(data) < 1+octets+4 {
			return nil, errors.New("is not a list of routes as of RFC 3442")
		}
		var to [4]byte
		copy(to[:], data[1:1+octets])
		via := netip.AddrFrom4([4]byte(data[1+octets:]))
		if via.IsUnspecified() {
			via = netip.Addr{}
		}
		out = append(out, Route{To: netip.PrefixFrom(netip.AddrFrom4(to), bits).Masked(), Via: via})
		data = data[1+octets+4:]
	}
	return out, nil
}

// hexOption is an option of no key.
func hexOption(o Option) HexOption {
	return HexOption{Code: o.Code, Type: "hex", Value: hex.EncodeToString(o.Data)}
}

// HexText returns the text that hexadecimal bytes are, if they are printable
// ASCII and not empty.
func HexText(s string) (string, bool) {
	b, err := hex.DecodeString(s)
	printable := func(c byte) bool { return c >= ' ' && c <= '~' }
	if err != nil || len(b) == 0 || slices.ContainsFunc(b, func(c byte) bool { return !printable(c) }) {
		return "", false
	}
	return string(b), true
}

// MaskBits returns the length of a netmask in dotted form.
func MaskBits(mask string) (int, bool) {
	a, err := netip.ParseAddr(mask)
	if err != nil || !a.Is4() {
		return 0, false
	}
	n := binary.BigEndian.Uint32(a.AsSlice())
	ones := bits.LeadingZeros32(^n)
	return ones, bits.TrailingZeros32(n) >= 32-ones
}

// MAC reads six octets of one or two digits each, as these systems write them.
func MAC(s string) (nic.MAC, error) {
	if b, ok := HexBytes(s); ok && len(b) == 6 {
		return nic.MAC(b), nil
	}
	m, err := nic.ParseMAC(s)
	if err != nil {
		return m, fmt.Errorf("%q is not a MAC address", s)
	}
	return m, nil
}

// DUIDMAC returns the Ethernet address in a DUID that is made of one
// (RFC 9915 section 11: types 1 and 3), given as hexadecimal digits.
func DUIDMAC(duid string) (nic.MAC, bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(duid, ":", ""))
	if err != nil || len(b) < 4 || b[2] != 0 || b[3] != 1 || b[0] != 0 {
		return nic.MAC{}, false
	}
	switch {
	case b[1] == 1 && len(b) == 14:
		return nic.MAC(b[8:]), true
	case b[1] == 3 && len(b) == 10:
		return nic.MAC(b[4:]), true
	}
	return nic.MAC{}, false
}
