package statichcpd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/berth-net/berth/internal/dnsname"
)

// value is one row's attr_val as its type reads it.
type value struct {
	row    *Row
	addr   netip.Addr   // IPV4, IPV6, STATICRT (the gateway), IA
	prefix netip.Prefix // STATICRT, PD
	iaid   uint32       // IA and PD, if they have one
	number uint32       // INT16, INT32
	text   string       // STRING, DOMAIN
	wire   []byte       // what the option gets of it; none for IA and PD
}

func addrs(list []value) []netip.Addr {
	out := make([]netip.Addr, 0, len(list))
	for _, v := range list {
		out = append(out, v.addr)
	}
	return out
}

func texts(list []value) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, v.text)
	}
	return out
}

func wire(list []value) []byte {
	var b []byte
	for _, v := range list {
		b = append(b, v.wire...)
	}
	return b
}

// read reads a row's value; withIAID says in which form IA and PD are.
func (t Type) read(row *Row, withIAID bool) (value, error) {
	v := value{row: row}
	var err error
	if t == INT16 || t == INT32 {
		err = v.integer(t, row.Value)
		return v, err
	}
	s, err := text(row.Value)
	if err != nil {
		return v, err
	}
	switch t {
	case IPV4, IPV6:
		err = v.address(s, t)
	case STRING:
		v.text, v.wire = s, []byte(s)
	case DOMAIN:
		err = v.domain(s)
	case STATICRT:
		err = v.route(row.Code, s)
	case IA, PD:
		err = v.association(t, s, withIAID)
	default:
		err = fmt.Errorf("has the unknown datatype %d", t)
	}
	return v, err
}

// text is a value that must be text. A number in a column without a type is
// as good as its digits.
func text(v any) (string, error) {
	s := ""
	switch v := v.(type) {
	case string:
		s = v
	case []byte:
		s = string(v)
	case int64:
		s = strconv.FormatInt(v, 10)
	case float64:
		return "", errors.New("a REAL; must be text")
	default:
		return "", errors.New("NULL; must be text")
	}
	switch {
	case strings.TrimSpace(s) == "":
		return "", errors.New("empty")
	case !utf8.ValidString(s):
		return "", errors.New("not UTF-8")
	}
	return s, nil
}

// integer takes clean digits as the number they are: they can mean nothing
// else. A negative one is sent as its two's complement.
func (v *value) integer(t Type, raw any) error {
	n, ok := raw.(int64)
	if !ok {
		s, err := text(raw)
		if err != nil {
			return errors.New("must be an integer")
		}
		if n, err = strconv.ParseInt(strings.TrimSpace(s), 10, 64); err != nil {
			return errors.New("must be an integer")
		}
	}
	least, most := int64(math.MinInt16), int64(math.MaxUint16)
	if t == INT32 {
		least, most = math.MinInt32, math.MaxUint32
	}
	if n < least || n > most {
		return fmt.Errorf("must be an integer from %d to %d", least, most)
	}
	if t == INT16 {
		v.number = uint32(uint16(n))
		v.wire = binary.BigEndian.AppendUint16(nil, uint16(n))
		return nil
	}
	v.number = uint32(n)
	v.wire = binary.BigEndian.AppendUint32(nil, uint32(n))
	return nil
}

func (v *value) address(s string, t Type) (err error) {
	v.addr, err = parseAddr(s, t == IPV6)
	v.wire = v.addr.AsSlice()
	return err
}

func parseAddr(s string, v6 bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	switch {
	case v6 && (err != nil || !a.Is6() || a.Zone() != ""):
		return netip.Addr{}, errors.New("not an IPv6 address")
	case !v6 && (err != nil || !a.Is4()):
		return netip.Addr{}, errors.New("not an IPv4 address")
	}
	return a, nil
}

func (v *value) domain(s string) error {
	v.text = strings.TrimSuffix(strings.TrimSpace(s), ".")
	labels, ok := dnsname.Append(nil, v.text)
	if !ok {
		return errors.New("not a domain name with labels of 1 to 63 bytes (RFC 1035 section 2.3.4)")
	}
	v.wire = append(labels, 0)
	return nil
}

// codeStaticRoute is RFC 2132 section 5.8, of pairs of addresses.
const codeStaticRoute = 33

func (v *value) route(code int, s string) (err error) {
	to, via, found := strings.Cut(s, ",")
	if !found {
		return errors.New("not a route such as 10.0.0.0/8,192.0.2.1")
	}
	v.prefix, err = netip.ParsePrefix(strings.TrimSpace(to))
	if err != nil || !v.prefix.Addr().Is4() {
		return errors.New("not a route such as 10.0.0.0/8,192.0.2.1")
	}
	if v.prefix != v.prefix.Masked() {
		return fmt.Errorf("host bits are set; the destination is %s", v.prefix.Masked())
	}
	if v.addr, err = parseAddr(via, false); err != nil {
		return errors.New("what stands behind the comma is not an IPv4 address")
	}
	if code == codeStaticRoute {
		return v.pair()
	}
	octets := v.prefix.Addr().AsSlice()[:(v.prefix.Bits()+7)/8]
	v.wire = append(append([]byte{byte(v.prefix.Bits())}, octets...), v.addr.AsSlice()...)
	return nil
}

// pair writes a route of option 33, which has no length: it is for one host,
// or for the network that the address was of before CIDR.
func (v *value) pair() error {
	first := v.prefix.Addr().As4()[0]
	class := 24
	switch {
	case first < 128:
		class = 8
	case first < 192:
		class = 16
	}
	if v.prefix.Addr().IsUnspecified() {
		return errors.New("option 33 has no default route (RFC 2132 section 5.8); use 3 or 121")
	}
	if v.prefix.Bits() != 32 && v.prefix.Bits() != class {
		return fmt.Errorf("option 33 has no prefix lengths (RFC 2132 section 5.8): %s can only be a /%d or a /32; use 121", v.prefix.Addr(), class)
	}
	v.wire = append(v.prefix.Addr().AsSlice(), v.addr.AsSlice()...)
	return nil
}

// association reads "address" or "prefix", behind "iaid_hex," if withIAID.
func (v *value) association(t Type, s string, withIAID bool) (err error) {
	if head, rest, found := strings.Cut(s, ","); found != withIAID {
		if withIAID {
			return errors.New("has no IAID; disable_ia_id is false, so write one such as 0x1,2001:db8::77")
		}
		return errors.New("has an IAID, but disable_ia_id is true")
	} else if withIAID {
		if v.iaid, err = parseIAID(head); err != nil {
			return err
		}
		s = rest
	}
	if t == IA {
		v.addr, err = parseAddr(s, true)
		return err
	}
	v.prefix, err = netip.ParsePrefix(strings.TrimSpace(s))
	if err != nil || !v.prefix.Addr().Is6() {
		return errors.New("not an IPv6 prefix such as 2001:db8:100::/56")
	}
	return nil
}

func parseIAID(s string) (uint32, error) {
	digits := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "0x")
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not an IAID in hexadecimal", strings.TrimSpace(s))
	}
	return uint32(n), nil
}
