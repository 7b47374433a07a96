package words

import (
	"fmt"
	"net/netip"
)

// option6 is one option of DHCPv6 as it is told: fixed bytes in words, and
// behind them more options.
type option6 struct {
	name  string
	form  format
	fixed int // bytes before the options in it; 0: it has none
}

// options6 are those that one meets (IANA "DHCPv6 Option Codes").
func options6() map[uint16]option6 {
	return map[uint16]option6{
		1: {"client identifier", inHex, 0}, 2: {"server identifier", inHex, 0}, 3: {"IA_NA", ia, 12}, 4: {"IA_TA", ia, 4},
		5: {"address", iaAddress, 24}, 6: {"option request", numbers16, 0}, 7: {"preference", number, 0}, 8: {"elapsed", hundredths, 0},
		9: {"relayed message", inHex, 0}, 12: {"server unicast", addresses6, 0}, 13: {"status", status6, 0}, 14: {"rapid commit", inHex, 0},
		15: {"user class", inHex, 0}, 16: {"vendor class", inHex, 0}, 18: {"interface identifier", inHex, 0},
		19: {"reconfigure message", number, 0}, 20: {"reconfigure accept", inHex, 0}, 23: {"DNS", addresses6, 0}, 24: {"domain search", names, 0},
		25: {"IA_PD", ia, 12}, 26: {"prefix", iaPrefix, 25}, 31: {"SNTP", addresses6, 0}, 32: {"refresh time", seconds, 0},
		39: {"client FQDN", fqdn6, 0}, 56: {"NTP", inHex, 0}, 59: {"boot URL", quoted, 0}, 60: {"boot arguments", inHex, 0},
		61: {"client architecture", numbers16, 0}, 79: {"client link-layer address", inHex, 0}, 82: {"SOL_MAX_RT", seconds, 0},
		83: {"INF_MAX_RT", seconds, 0}, 103: {"captive portal", quoted, 0},
	}
}

func kind6(kind byte) string {
	kinds := [...]string{
		1: "SOLICIT", "ADVERTISE", "REQUEST", "CONFIRM", "RENEW", "REBIND", "REPLY", "RELEASE", "DECLINE", "RECONFIGURE",
		"INFORMATION-REQUEST", "RELAY-FORW", "RELAY-REPL",
	}
	if kind > 0 && int(kind) < len(kinds) {
		return kinds[kind]
	}
	return fmt.Sprintf("type %d", kind)
}

// dhcp6 tells a message (RFC 8415 section 8; of relay agents' the kind alone).
func (t *Told) dhcp6(m []byte) {
	if len(m) < 4 {
		t.Text += ", not DHCPv6"
		return
	}
	t.Text += ", DHCPv6 " + kind6(m[0])
	if m[0] == 12 || m[0] == 13 {
		return
	}
	t.Text += fmt.Sprintf(" xid %06x", be32(m)&0xffffff)
	t.options6(m[4:], 0)
}

// options6 tells a list of options, and the lists in them, of which RFC 8415
// has two levels.
func (t *Told) options6(b []byte, depth int) {
	known := options6()
	whole := each6(b, func(code uint16, data []byte) {
		o, ok := known[code]
		if !ok {
			o = option6{"option", inHex, 0}
		}
		if o.fixed == 0 || len(data) < o.fixed || depth > 2 {
			t.option(depth, o.name, int(code), o.form(data))
			return
		}
		t.option(depth, o.name, int(code), o.form(data[:o.fixed]))
		t.options6(data[o.fixed:], depth+1)
	})
	if !whole {
		t.add("options that end within one")
	}
}

// each6 hands over every option; false if one is cut.
func each6(b []byte, f func(code uint16, data []byte)) bool {
	for len(b) > 0 {
		if len(b) < 4 || len(b) < 4+int(be16(b[2:])) {
			return false
		}
		n := 4 + int(be16(b[2:]))
		f(be16(b), b[4:n])
		b = b[n:]
	}
	return true
}

// ia is the head of an identity association: IAID, and T1 and T2 but for
// temporary addresses (21.4, 21.5, 21.21).
func ia(b []byte) string {
	switch len(b) {
	case 4:
		return fmt.Sprintf("IAID %08x", be32(b))
	case 12:
		return fmt.Sprintf("IAID %08x, T1 %s, T2 %s", be32(b), lifetime(be32(b[4:])), lifetime(be32(b[8:])))
	}
	return inHex(b)
}

func iaAddress(b []byte) string {
	if len(b) != 24 {
		return inHex(b)
	}
	return fmt.Sprintf("%s, preferred %s, valid %s", addr6(b), lifetime(be32(b[16:])), lifetime(be32(b[20:])))
}

func iaPrefix(b []byte) string {
	if len(b) != 25 || b[8] > 128 {
		return inHex(b)
	}
	return fmt.Sprintf("%s, preferred %s, valid %s", netip.PrefixFrom(addr6(b[9:]), int(b[8])), lifetime(be32(b)), lifetime(be32(b[4:])))
}

// hundredths is the elapsed time (21.9).
func hundredths(b []byte) string {
	if len(b) != 2 {
		return inHex(b)
	}
	return fmt.Sprintf("%d.%02ds", be16(b)/100, be16(b)%100)
}

func status6(b []byte) string {
	if len(b) < 2 {
		return inHex(b)
	}
	codes := [...]string{"Success", "UnspecFail", "NoAddrsAvail", "NoBinding", "NotOnLink", "UseMulticast", "NoPrefixAvail"}
	text := fmt.Sprintf("code %d", be16(b))
	if int(be16(b)) < len(codes) {
		text = codes[be16(b)]
	}
	if len(b) > 2 {
		text += " " + quoted(b[2:])
	}
	return text
}

// fqdn6 is option 39: flags and a name (RFC 4704 section 4).
func fqdn6(b []byte) string {
	if len(b) < 1 {
		return inHex(b)
	}
	return fmt.Sprintf("flags 0x%02x, name %s", b[0], names(b[1:]))
}
