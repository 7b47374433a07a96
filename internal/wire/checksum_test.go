package wire

import (
	"net/netip"
	"testing"
)

func TestChecksum(t *testing.T) {
	for name, c := range map[string]struct {
		bytes string
		want  uint16
	}{
		"nothing":               {"", 0xffff},
		"RFC 1071 section 3":    {"0001f203f4f5f6f7", 0x220d},
		"odd byte is high half": {"0001f203f4f5f6f701", 0x210d},
		"carries fold twice":    {"ffffffff0001", 0xfffe},
		"header to be filled":   {"450000730000400040110000c0a80001c0a800c7", 0xb861},
		"header that is right":  {"45000073000040004011b861c0a80001c0a800c7", 0x0000},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Checksum(unhex(t, c.bytes)); got != c.want {
				t.Errorf("checksum 0x%04x, want 0x%04x", got, c.want)
			}
		})
	}
}

func TestUDP4Checksum(t *testing.T) {
	src, dst := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]struct {
		datagram string
		want     uint16
	}{
		"as the kernel filled it":  {"00440043000d3e676265727468", 0x3e67},
		"its own field is ignored": {"00440043000dffff6265727468", 0x3e67},
		"header alone":             {"0044004300081234", 0x7b4b},
		"router alert frame":       {"00440043000b97d46f7074", 0x97d4},
		// 0x7b47 makes the words sum to 0xffff, whose complement is 0: sent
		// as ones, because 0 would mean that there is no checksum.
		"zero is sent as ones": {"00440043000a00007b47", 0xffff},
		"less than a header":   {"00440043", 0x7b57},
	} {
		t.Run(name, func(t *testing.T) {
			if got := UDP4Checksum(src, dst, unhex(t, c.datagram)); got != c.want {
				t.Errorf("checksum 0x%04x, want 0x%04x", got, c.want)
			}
		})
	}
}
