package manifest

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// encoder makes an option's bytes of one value.
type encoder func(string) ([]byte, error)

// encoders are the types of option values, in the order they are told.
type encoders []struct {
	name   string
	encode encoder
}

func encoders4() encoders {
	return encoders{
		{"ipv4", optionAddr4},
		{"int8", optionInt(1)},
		{"int16", optionInt(2)},
		{"int32", optionInt(4)},
		{"string", optionText},
		{"hex", optionHex},
		{"domain", optionDomain},
		{"route", optionRoute},
		{"bool", optionBool},
	}
}

func encoders6() encoders {
	return encoders{
		{"ipv6", optionAddr6},
		{"ipv4", optionAddr4},
		{"int8", optionInt(1)},
		{"int16", optionInt(2)},
		{"int32", optionInt(4)},
		{"string", optionText},
		{"hex", optionHex},
		{"domain", optionDomain},
		{"prefix", optionPrefix},
		{"bool", optionBool},
	}
}

func (e encoders) names() string {
	var names []string
	for _, t := range e {
		names = append(names, t.name)
	}
	return either(names)
}

// of returns how a value of a type becomes an option's bytes, nil for a type
// that does not exist.
func (e encoders) of(name string) encoder {
	for _, t := range e {
		if t.name == name {
			return t.encode
		}
	}
	return nil
}

func (b *builder) options4(list []rawOption) []nic.Option {
	var out []nic.Option
	for i, o := range list {
		code, data := b.option(fmt.Sprintf("dhcp4.options[%d]", i), o, encoders4(), 0xff)
		out = append(out, nic.Option{Code: uint8(code), Data: data})
	}
	return out
}

func (b *builder) options6(list []rawOption) []nic.Option6 {
	var out []nic.Option6
	for i, o := range list {
		code, data := b.option(fmt.Sprintf("dhcp6.options[%d]", i), o, encoders6(), 0xffff)
		out = append(out, nic.Option6{Code: uint16(code), Data: data})
	}
	return out
}

func (b *builder) option(path string, o rawOption, types encoders, most int64) (int64, []byte) {
	if o.Code == nil {
		b.bad(path+".code", "", errors.New("missing: an option needs its number"))
		return 0, nil
	}
	return b.number(path+".code", o.Code, most), b.optionData(path, o, types)
}

func (b *builder) optionData(path string, o rawOption, types encoders) []byte {
	if o.Type == nil {
		b.bad(path+".type", "", errors.New("missing: must be "+types.names()))
		return nil
	}
	encode := types.of(*o.Type)
	switch {
	case encode == nil:
		b.bad(path+".type", *o.Type, errors.New("must be "+types.names()))
		return nil
	case (o.Value == nil) == (o.Values == nil):
		b.bad(path, "", errors.New("an option needs either value or values"))
		return nil
	case o.Values != nil && *o.Type == "string":
		b.bad(path+".values", "", errors.New("a string has one value"))
		return nil
	}
	values, at := o.Values, func(i int) string { return fmt.Sprintf("%s.values[%d]", path, i) }
	if o.Value != nil {
		values, at = []string{*o.Value}, func(int) string { return path + ".value" }
	}
	var data []byte
	for i, v := range values {
		bytes, err := encode(v)
		if err != nil {
			b.bad(at(i), v, err)
		}
		data = append(data, bytes...)
	}
	return data
}

func optionAddr4(s string) ([]byte, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return nil, errors.New("not an IPv4 address")
	}
	return a.AsSlice(), nil
}

func optionAddr6(s string) ([]byte, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return nil, errors.New("not an IPv6 address")
	}
	return a.AsSlice(), nil
}

func optionText(s string) ([]byte, error) { return []byte(s), nil }

func optionInt(size int) encoder {
	return func(s string) ([]byte, error) { return intBytes(s, size) }
}

// intBytes accepts a value that fits signed or unsigned: RFC 2132 has both.
func intBytes(s string, size int) ([]byte, error) {
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

// optionPrefix writes a length and the significant octets, as the options with
// prefixes do (RFC 7598 section 4.1, RFC 8115 section 3).
func optionPrefix(s string) ([]byte, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is6() || p != p.Masked() {
		return nil, errors.New("not an IPv6 prefix such as 2001:db8::/32")
	}
	return append([]byte{byte(p.Bits())}, p.Addr().AsSlice()[:(p.Bits()+7)/8]...), nil
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
