package dhcp6

import (
	"encoding/binary"
	"net/netip"
)

const (
	// maxIAs is how many identity associations are answered: the 16 a binding
	// can list, with addresses and with prefixes, and one more of each kind.
	maxIAs = 2*16 + 3
	// maxListed is how many addresses or prefixes of one IA are looked at.
	maxListed = 64

	ianaHeader  = 12 // IAID, T1, T2; of an IA_PD too
	iataHeader  = 4  // IAID
	addrHeader  = 24 // address, preferred, valid
	prefixFixed = 25 // preferred, valid, length, prefix
	prefixAt    = 9
)

// ia is an identity association as the client sent it (RFC 8415 21.4, 21.5,
// 21.21).
type ia struct {
	code   uint16
	iaid   uint32
	listed []netip.Prefix // addresses as /128
}

// takeIA reads an identity association; its lengths are checked also where it
// is one too many.
func (m *message) takeIA(code uint16, data []byte) bool {
	header := ianaHeader
	if code == optIATA {
		header = iataHeader
	}
	if len(data) < header {
		return false
	}
	a := ia{code: code, iaid: binary.BigEndian.Uint32(data)}
	if !walk(data[header:], a.take) {
		return false
	}
	if len(m.ias) < maxIAs {
		m.ias = append(m.ias, a)
	}
	return true
}

// take reads what an identity association lists (21.6, 21.22).
func (a *ia) take(code uint16, data []byte) bool {
	switch {
	case code == optIAAddr && a.code != optIAPD:
		if len(data) < addrHeader {
			return false
		}
		a.list(netip.PrefixFrom(netip.AddrFrom16([16]byte(data[:16])), 128))
		return wellFormed(data[addrHeader:])
	case code == optIAPrefix && a.code == optIAPD:
		if len(data) < prefixFixed || data[prefixAt-1] > 128 {
			return false
		}
		addr := netip.AddrFrom16([16]byte(data[prefixAt:prefixFixed]))
		a.list(netip.PrefixFrom(addr, int(data[prefixAt-1])))
		return wellFormed(data[prefixFixed:])
	}
	return true
}

// list keeps what was listed. The unspecified address with a length is a hint,
// a length of 0 says nothing (21.22).
func (a *ia) list(p netip.Prefix) {
	hint := p.Addr().IsUnspecified() || p.Bits() == 0
	if !hint && len(a.listed) < maxListed {
		a.listed = append(a.listed, p)
	}
}
