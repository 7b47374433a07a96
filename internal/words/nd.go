package words

import (
	"fmt"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

// nd tells neighbour discovery (RFC 4861 section 4); any other ICMPv6 has
// nothing to tell but what the line says.
func (t *Told) nd(m []byte) {
	before := map[byte]int{133: 8, 134: 16, 135: 24, 136: 24, 137: 40} // the options, by type
	at, ok := before[m[0]]
	if !ok || len(m) < at {
		return
	}
	switch m[0] {
	case 134:
		t.router(m)
	case 136:
		t.add("flags: %s", flags(m[4], "router", "solicited", "override"))
	case 137:
		t.add("destination: %s", addr6(m[24:]))
	}
	for o := m[at:]; len(o) > 0; {
		if len(o) < 8 || o[1] == 0 || len(o) < int(o[1])*8 {
			t.add("options that end within one")
			return
		}
		n := int(o[1]) * 8
		t.ndOption(o[:n])
		o = o[n:]
	}
}

// router tells the fixed part of an advertisement (RFC 4861 4.2, RFC 4191 2.2).
func (t *Told) router(m []byte) {
	if life := be16(m[6:]); life > 0 {
		t.add("default router: for %s, preference %s", lifetime(uint32(life)), preference(m[5]))
	} else {
		t.add("default router: no")
	}
	t.add("flags: %s", flags(m[5], "managed", "other"))
	t.add("hop limit: %d", m[4])
	if reachable, again := be32(m[8:]), be32(m[12:]); reachable > 0 || again > 0 {
		t.add("reachable for %d ms, asked again after %d ms", reachable, again)
	}
}

// flags names the bits that are set, from the highest on.
func flags(b byte, names ...string) string {
	text := ""
	for i, name := range names {
		if b&(0x80>>i) != 0 {
			if text != "" {
				text += ", "
			}
			text += name
		}
	}
	if text == "" {
		return "none"
	}
	return text
}

// preference is in bits 3 and 4 (RFC 4191 2.1).
func preference(b byte) string { return [...]string{"medium", "high", "reserved", "low"}[b>>3&3] }

// ndOptions are those that one meets (IANA "IPv6 Neighbor Discovery Option
// Formats"); each is given whole, at least eight bytes.
func ndOptions() map[byte]option4 {
	return map[byte]option4{
		1: {"source link-layer address", linkLayer}, 2: {"target link-layer address", linkLayer},
		3: {"prefix", ndPrefix}, 5: {"MTU", func(o []byte) string { return number(o[4:8]) }},
		14: {"nonce", func(o []byte) string { return inHex(o[2:]) }}, 24: {"route", ndRoute},
		25: {"DNS", func(o []byte) string { return addresses6(o[8:]) + ", for " + seconds(o[4:8]) }},
		31: {"domain search", func(o []byte) string { return names(o[8:]) + ", for " + seconds(o[4:8]) }},
		37: {"captive portal", func(o []byte) string { return quoted(trim(o[2:])) }}, 38: {"PREF64", pref64},
	}
}

func (t *Told) ndOption(o []byte) {
	known, ok := ndOptions()[o[0]]
	if !ok {
		known = option4{"option", func(o []byte) string { return inHex(o[2:]) }}
	}
	t.option(0, known.name, int(o[0]), known.form(o))
}

func trim(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

func linkLayer(o []byte) string { return nic.MAC(o[2:8]).String() }

// ndPrefix is RFC 4861 4.6.2.
func ndPrefix(o []byte) string {
	if len(o) != 32 || o[2] > 128 {
		return inHex(o[2:])
	}
	return fmt.Sprintf("%s, %s, valid %s, preferred %s", netip.PrefixFrom(addr6(o[16:]), int(o[2])),
		flags(o[3], "on-link", "autonomous"), seconds(o[4:8]), seconds(o[8:12]))
}

// ndRoute is RFC 4191 2.3: of the prefix, as many halves as its length needs.
func ndRoute(o []byte) string {
	if o[2] > 128 || len(o) > 24 {
		return inHex(o[2:])
	}
	var to [16]byte
	copy(to[:], o[8:])
	return fmt.Sprintf("%s, preference %s, for %s", netip.PrefixFrom(netip.AddrFrom16(to), int(o[2])), preference(o[3]), seconds(o[4:8]))
}

// pref64 is RFC 8781 section 4.
func pref64(o []byte) string {
	lengths := [...]int{96, 64, 56, 48, 40, 32}
	code := be16(o[2:]) & 7
	if len(o) != 16 || int(code) >= len(lengths) {
		return inHex(o[2:])
	}
	var to [16]byte
	copy(to[:], o[4:])
	return fmt.Sprintf("%s, for %s", netip.PrefixFrom(netip.AddrFrom16(to), lengths[code]), lifetime(uint32(be16(o[2:])&^7)))
}
