package wire

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

func solicitation(t testing.TB) ICMP6 {
	t.Helper()
	return ICMP6{
		EthSrc:   nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1},
		EthDst:   nic.MAC{0x33, 0x33, 0xff, 0, 0, 1},
		Src:      guest6(),
		Dst:      netip.MustParseAddr("ff02::1:ff00:1"),
		HopLimit: 255,
		Message:  unhex(t, "8700cb1b00000000"+addr6Far+"0101525400aa0001"),
	}
}

func TestParseICMP6ReadsWhatTheKernelSent(t *testing.T) {
	for name, frame := range map[string]string{
		"plain":             kernel6Solicit,
		"ethernet padding":  kernel6Solicit + "ffff",
		"behind hop-by-hop": strings.Replace(strings.Replace(kernel6Solicit, "00203aff", "002800ff", 1), "8700cb1b", "3a00050200000100"+"8700cb1b", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseICMP6(unhex(t, frame))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(solicitation(t), got, sameAddr()); d != "" {
				t.Errorf("message (-want +got):\n%s", d)
			}
		})
	}
}

func TestParseICMP6Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"no ipv6":           {nil, "frame of 0 bytes: too short for IPv6"},
		"udp":               {unhex(t, kernel6UDP), "ip next header 17: want 58"},
		"icmp of ipv4":      {chain(t, 1, "0800f7ff00000000"), "ip next header 1: want 58"},
		"no checksum field": {chain(t, 58, "870000"), "icmp message of 3 bytes: want at least 4"},
		"fragment":          {chain(t, 44, "3a00000000000001"+"8700cb1b00000000"), "ip fragment header: fragments are refused"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseICMP6(c.frame)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// Whatever stands in the checksum field is replaced, in the frame alone.
func TestAppendICMP6WritesWhatTheKernelWould(t *testing.T) {
	for _, field := range []string{"0000", "ffff", "cb1b"} {
		m := solicitation(t)
		copy(m.Message[2:], unhex(t, field))
		before := bytes.Clone(m.Message)
		got := AppendICMP6([]byte{0xee}, m)
		if d := cmp.Diff("ee"+kernel6Solicit, hex.EncodeToString(got)); d != "" {
			t.Errorf("frame of a message with checksum %s (-want +got):\n%s", field, d)
		}
		if !bytes.Equal(before, m.Message) {
			t.Errorf("the message was changed to %x", m.Message)
		}
	}
}

func TestAppendICMP6Length(t *testing.T) {
	for n, want := range map[int]int{4: 60, 6: 60, 7: 61, 1460: 1514, 65535: 65589} {
		m := solicitation(t)
		m.Message = make([]byte, n)
		if got := len(AppendICMP6(nil, m)); got != want {
			t.Errorf("message of %d bytes: frame of %d, want %d", n, got, want)
		}
	}
	for _, n := range []int{0, 3, 65536} {
		m := solicitation(t)
		m.Message = make([]byte, n)
		if got := AppendICMP6([]byte{1, 2}, m); !bytes.Equal(got, []byte{1, 2}) {
			t.Errorf("message of %d bytes: %d appended, want none", n, len(got)-2)
		}
	}
}

func FuzzParseICMP6(f *testing.F) {
	f.Add(unhex(f, kernel6Echo))
	f.Add(unhex(f, kernel6Solicit))
	f.Add(unhex(f, kernel6Solicit)[:58])
	f.Add(chain(f, 0, "3a00050200000100"+"85000000"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		m, err := ParseICMP6(frame)
		if !bytes.Equal(before, frame) {
			t.Fatal("parsing changed the frame")
		}
		if err != nil {
			return
		}
		again := AppendICMP6(nil, m)
		checkSum6(t, again)
		back, err := ParseICMP6(again)
		if err != nil {
			t.Fatalf("own frame %x: %v", again, err)
		}
		copy(back.Message[2:4], m.Message[2:4])
		if d := cmp.Diff(m, back, sameAddr()); d != "" {
			t.Errorf("message (-want +got):\n%s", d)
		}
	})
}
