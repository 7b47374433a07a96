package nd

import (
	"encoding/binary"
	"testing"
)

// decoded is an advertisement as an independent reader sees it.
type decoded struct {
	hopLimit, flags byte
	lifetime        uint16
	options         map[byte][][]byte // whole options by type, in order
}

// decode reads a router advertisement by RFC 4861 4.2 alone and fails the test
// over anything that is not as it must be.
func decode(t testing.TB, m []byte) decoded {
	t.Helper()
	if len(m) < 16 || m[0] != 134 || m[1] != 0 || m[2] != 0 || m[3] != 0 {
		t.Fatalf("no router advertisement: %x", m)
	}
	if binary.BigEndian.Uint64(m[8:]) != 0 {
		t.Fatalf("reachable and retransmission time %x, want 0", m[8:16])
	}
	d := decoded{m[4], m[5], binary.BigEndian.Uint16(m[6:]), map[byte][][]byte{}}
	for b := m[16:]; len(b) > 0; {
		size := 0
		if len(b) >= 8 {
			size = int(b[1]) * 8
		}
		if size == 0 || size > len(b) || !wellFormed(b[:size]) {
			t.Fatalf("option %x", b)
		}
		d.options[b[0]] = append(d.options[b[0]], b[:size])
		b = b[size:]
	}
	return d
}

// wellFormed checks an option's length and reserved bits against its RFC.
func wellFormed(o []byte) bool {
	switch o[0] {
	case 1:
		return len(o) == 8
	case 3:
		valid, preferred := binary.BigEndian.Uint32(o[4:]), binary.BigEndian.Uint32(o[8:])
		return len(o) == 32 && o[2] <= 128 && o[3]&0x3f == 0 && o[3] != 0 && preferred <= valid &&
			(o[3]&0x40 == 0 || o[2] == 64)
	case 5:
		return len(o) == 8 && binary.BigEndian.Uint32(o[4:]) >= 1280
	case 24:
		return o[2] <= 128 && len(o) == 8+(int(o[2])+63)/64*8 && o[3]&^0x18 == 0 && o[3] != 0x10
	case 25:
		return len(o) >= 24 && len(o)%16 == 8 && o[2] == 0 && o[3] == 0
	case 31:
		return len(o) >= 16 && o[2] == 0 && o[3] == 0 && o[len(o)-1] == 0
	case 37:
		return o[2] != 0
	case 38:
		return len(o) == 16 && o[3]&7 <= 5
	}
	return false
}
