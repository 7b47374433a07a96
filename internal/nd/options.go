package nd

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/dnsname"
	"github.com/berth-net/berth/internal/nic"
)

// Option types (IANA "IPv6 Neighbor Discovery Option Formats").
const (
	optSourceLinkLayer = 1
	optTargetLinkLayer = 2
	optPrefix          = 3
	optMTU             = 5
	optRoute           = 24 // RFC 4191
	optRDNSS           = 25 // RFC 8106
	optDNSSL           = 31 // RFC 8106
	optPortal          = 37 // RFC 8910
	optPREF64          = 38 // RFC 8781
)

const (
	// maxOption is the longest that the length field can say.
	maxOption = 255 * 8
	// perOption servers or names go into one option, so that of a long list
	// what fits is told. Seven of the longest names are less than maxOption.
	perOption = 7
)

// options are those of s, what matters most first.
func (s said) options() [][]byte {
	var out [][]byte
	add := func(o []byte) {
		if len(o) > 0 && len(o) <= maxOption {
			out = append(out, o)
		}
	}
	if !s.mac.IsZero() {
		add(linkLayer(optSourceLinkLayer, s.mac))
	}
	for _, p := range s.prefixes {
		add(p.option())
	}
	for list := range slices.Chunk(s.dns, perOption) {
		add(rdnss(list, s.ttl))
	}
	if s.mtu > 0 {
		add(binary.BigEndian.AppendUint32([]byte{optMTU, 1, 0, 0}, uint32(s.mtu)))
	}
	for _, r := range s.routes {
		add(routeOption(r))
	}
	for _, p := range s.pref64 {
		add(pref64(p, s.ttl))
	}
	for list := range slices.Chunk(s.search, perOption) {
		add(dnssl(list, s.ttl))
	}
	if s.portal != "" {
		add(finish(append([]byte{optPortal, 0}, s.portal...)))
	}
	return out
}

// finish pads an option with zeros to its unit of eight bytes and writes the
// length.
func finish(o []byte) []byte {
	for len(o)%8 != 0 {
		o = append(o, 0)
	}
	o[1] = byte(len(o) / 8)
	return o
}

func linkLayer(kind byte, mac nic.MAC) []byte { return append([]byte{kind, 1}, mac[:]...) }

// option is RFC 4861 4.6.2.
func (p prefix) option() []byte {
	o := []byte{optPrefix, 4, byte(p.Bits()), p.flags}
	o = appendSeconds(o, p.valid)
	o = appendSeconds(o, p.preferred)
	o = append(o, 0, 0, 0, 0)
	return append(o, p.Addr().AsSlice()...)
}

// rdnss is RFC 8106 5.1.
func rdnss(servers []netip.Addr, lifetime nic.Seconds) []byte {
	o := appendSeconds([]byte{optRDNSS, 0, 0, 0}, lifetime)
	for _, a := range servers {
		o = append(o, a.AsSlice()...)
	}
	return finish(o)
}

// dnssl is RFC 8106 5.2. A name that has no wire form is not written.
func dnssl(names []string, lifetime nic.Seconds) []byte {
	o := appendSeconds([]byte{optDNSSL, 0, 0, 0}, lifetime)
	list := dnsname.List(names)
	if len(list) == 0 {
		return nil
	}
	return finish(append(o, list...))
}

// routeOption is RFC 4191 2.3: of the prefix, as many of its halves as the
// length needs.
func routeOption(r nic.RARoute) []byte {
	o := []byte{optRoute, 0, byte(r.To.Bits()), byte(r.Preference) << preferenceShift}
	o = appendSeconds(o, r.Lifetime)
	halves := (r.To.Bits() + 63) / 64
	return finish(append(o, r.To.Addr().AsSlice()[:halves*8]...))
}

// pref64 is RFC 8781 section 4: the lifetime in units of 8 s, rounded up, in
// 13 bits, then the code of the prefix length.
func pref64(p netip.Prefix, lifetime nic.Seconds) []byte {
	const most = 1<<13 - 1
	codes := map[int]uint16{96: 0, 64: 1, 56: 2, 48: 3, 40: 4, 32: 5}
	code, ok := codes[p.Bits()]
	if !ok {
		return nil
	}
	scaled := uint16(min((uint64(lifetime)+7)/8, most))
	o := binary.BigEndian.AppendUint16([]byte{optPREF64, 2}, scaled<<3|code)
	return append(o, p.Addr().AsSlice()[:12]...)
}

func appendSeconds(b []byte, s nic.Seconds) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(s))
}
