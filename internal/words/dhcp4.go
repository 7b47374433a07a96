package words

import (
	"fmt"

	"github.com/berth-net/berth/internal/nic"
)

// option4 is one option of DHCPv4 as it is told.
type option4 struct {
	name string
	form format
}

// options4 are those that one meets (IANA "BOOTP Vendor Extensions and DHCP
// Options").
func options4() map[uint8]option4 {
	return map[uint8]option4{
		1: {"subnet mask", addresses4}, 2: {"time offset", number}, 3: {"router", addresses4}, 6: {"DNS", addresses4},
		12: {"host name", quoted}, 15: {"domain", quoted}, 17: {"root path", quoted}, 26: {"MTU", number},
		28: {"broadcast", addresses4}, 33: {"static routes", addresses4}, 42: {"NTP", addresses4}, 43: {"vendor", inHex},
		44: {"NetBIOS name servers", addresses4}, 46: {"NetBIOS node type", number}, 50: {"requested address", addresses4},
		51: {"lease", seconds}, 52: {"overload", number}, 53: {"message type", kind4}, 54: {"server identifier", addresses4},
		55: {"parameter request list", numbers8}, 56: {"message", quoted}, 57: {"maximum message size", number},
		58: {"renewal, T1", seconds}, 59: {"rebinding, T2", seconds}, 60: {"vendor class", quoted}, 61: {"client identifier", inHex},
		66: {"TFTP server", quoted}, 67: {"boot file", quoted}, 77: {"user class", inHex}, 80: {"rapid commit", inHex},
		81: {"client FQDN", fqdn4}, 82: {"relay agent", inHex}, 93: {"client architecture", numbers16},
		94: {"client network interface", inHex}, 97: {"client machine identifier", inHex}, 108: {"IPv6-only preferred", seconds},
		114: {"captive portal", quoted}, 116: {"auto-configure", number}, 119: {"domain search", compressed},
		121: {"classless routes", routes4}, 145: {"forcerenew nonce", inHex}, 249: {"classless routes, Microsoft", routes4},
		252: {"proxy", quoted},
	}
}

// kind4 names a message by its type (option 53).
func kind4(b []byte) string {
	kinds := [...]string{1: "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}
	if len(b) == 1 && b[0] > 0 && int(b[0]) < len(kinds) {
		return kinds[b[0]]
	}
	return "type " + number(b)
}

// fqdn4 is option 81: flags, two result codes, and a name of either encoding
// (RFC 4702 section 2).
func fqdn4(b []byte) string {
	if len(b) < 3 {
		return inHex(b)
	}
	name := quoted(b[3:])
	if b[0]&4 != 0 {
		name = names(b[3:])
	}
	return fmt.Sprintf("flags 0x%02x, name %s", b[0], name)
}

// dhcp4 tells a message (RFC 2131 section 2).
func (t *Told) dhcp4(m []byte) {
	if len(m) < 240 || be32(m[236:]) != 0x63825363 {
		t.Text += ", not DHCP"
		return
	}
	t.Text += fmt.Sprintf(", DHCPv4 %s xid %08x", kindOf4(m), be32(m[4:]))
	t.add("client: %s", nic.MAC(m[28:34]))
	for _, f := range []struct {
		name string
		at   int
	}{{"has already", 12}, {"address", 16}, {"next server", 20}, {"relay agent", 24}} {
		if a := addr4(m[f.at:]); !a.IsUnspecified() {
			t.add("%s: %s", f.name, a)
		}
	}
	if m[10]&0x80 != 0 {
		t.add("wants its answer by broadcast")
	}
	t.text4("server name", m[44:108])
	t.text4("boot file", m[108:236])
	t.options4(m[240:])
}

// kindOf4 finds option 53.
func kindOf4(m []byte) string {
	kind := "without a type, BOOTP"
	each4(m[240:], func(code uint8, data []byte) {
		if code == 53 {
			kind = kind4(data)
		}
	})
	return kind
}

// text4 is a field that ends with a zero, if not before.
func (t *Told) text4(name string, field []byte) {
	n := 0
	for n < len(field) && field[n] != 0 {
		n++
	}
	if n > 0 {
		t.add("%s: %s", name, quoted(field[:n]))
	}
}

// options4 tells the options as they come, one line each.
func (t *Told) options4(b []byte) {
	known := options4()
	whole := each4(b, func(code uint8, data []byte) {
		o, ok := known[code]
		if !ok {
			o = option4{"option", inHex}
		}
		if code != 53 {
			t.option(0, o.name, int(code), o.form(data))
		}
	})
	if !whole {
		t.add("options that end within one")
	}
}

// each4 hands over every option up to the end option; false if one is cut.
func each4(b []byte, f func(code uint8, data []byte)) bool {
	for len(b) > 0 && b[0] != 255 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return false
		}
		f(b[0], b[2:2+int(b[1])])
		b = b[2+int(b[1]):]
	}
	return true
}
