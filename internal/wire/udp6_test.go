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

func datagram6(payload string) UDP6 {
	return UDP6{
		EthSrc:  nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1},
		EthDst:  nic.MAC{0x52, 0x54, 0, 0xaa, 0, 2},
		Src:     guest6(),
		Dst:     far6(),
		SrcPort: 546,
		DstPort: 547,
		Payload: []byte(payload),
	}
}

func TestParseUDP6ReadsWhatTheKernelSent(t *testing.T) {
	for name, c := range map[string]struct{ frame, payload string }{
		"plain":                  {kernel6UDP, "berth"},
		"ethernet padding":       {kernel6UDP + "ffffffff", "berth"},
		"options are skipped":    {kernel6Options, "opt"},
		"nothing but headers":    {kernel6Empty, ""},
		"udp checksum is wrong":  {strings.Replace(kernel6UDP, "6332", "dead", 1), "berth"},
		"udp checksum is absent": {strings.Replace(kernel6UDP, "6332", "0000", 1), "berth"},
		"udp shorter than ip":    {strings.Replace(kernel6UDP, "000d6332", "000a6332", 1), "be"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseUDP6(unhex(t, c.frame))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(datagram6(c.payload), got, sameAddr()); d != "" {
				t.Errorf("datagram (-want +got):\n%s", d)
			}
		})
	}
}

func TestParseUDP6Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"no ipv6":          {unhex(t, kernelShort), "frame of 47 bytes: too short for IPv6"},
		"icmp":             {unhex(t, kernel6Echo), "ip next header 58: want 17"},
		"no udp header":    {chain(t, 17, udp6[:14]), "udp header of 7 bytes: want 8"},
		"udp length small": {chain(t, 17, strings.Replace(udp6, "000d", "0007", 1)), "udp length 7: want 8 to 13"},
		"udp length large": {chain(t, 17, strings.Replace(udp6, "000d", "000e", 1)), "udp length 14: want 8 to 13"},
		"udp length zero":  {chain(t, 17, strings.Replace(udp6, "000d", "0000", 1)), "udp length 0: want 8 to 13"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseUDP6(c.frame)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// The kernel's frame without its flow label, which no checksum covers.
func TestAppendUDP6WritesWhatTheKernelWould(t *testing.T) {
	want := "ee" + strings.Replace(kernel6UDP, "600212c4", "60000000", 1)
	got := AppendUDP6([]byte{0xee}, datagram6("berth"))
	if d := cmp.Diff(want, hex.EncodeToString(got)); d != "" {
		t.Errorf("frame (-want +got):\n%s", d)
	}
}

// Ones are sent where the checksum comes out as 0 (RFC 8200 8.1): this payload
// makes the words sum to 0xffff, as the kernel's sum of an empty datagram and
// its two added bytes show (0xa016 less 2 for the UDP length, 2 for the
// pseudo-header's).
func TestAppendUDP6SendsZeroAsOnes(t *testing.T) {
	got := AppendUDP6(nil, datagram6("\xa0\x12"))
	if !bytes.Equal(got[60:62], []byte{0xff, 0xff}) {
		t.Errorf("checksum %x, want ffff", got[60:62])
	}
}

func TestAppendUDP6Length(t *testing.T) {
	for n, want := range map[int]int{0: 62, 1: 63, 1452: 1514, MaxPayload6: 65589} {
		if got := len(AppendUDP6(nil, datagram6(strings.Repeat("x", n)))); got != want {
			t.Errorf("payload of %d bytes: frame of %d, want %d", n, got, want)
		}
	}
	dst := []byte{1, 2}
	if got := AppendUDP6(dst, datagram6(strings.Repeat("x", MaxPayload6+1))); !bytes.Equal(got, dst) {
		t.Errorf("payload over the maximum: %d bytes appended, want none", len(got)-len(dst))
	}
}

func TestAppendUDP6WritesZeroForWhatIsNotIPv6(t *testing.T) {
	u := datagram6("x")
	u.Src, u.Dst = netip.Addr{}, netip.MustParseAddr("192.0.2.1")
	got := AppendUDP6(nil, u)
	if want := make([]byte, 32); !bytes.Equal(got[22:54], want) {
		t.Errorf("addresses %x, want zeros", got[22:54])
	}
}

// checkSum6 verifies a frame's checksum word by word, as RFC 1071 states it:
// the one's complement sum of pseudo-header and packet is all ones.
func checkSum6(t *testing.T, frame []byte) {
	t.Helper()
	p := frame[14:]
	length := int(p[4])<<8 | int(p[5])
	words := append(bytes.Clone(p[8:40]), 0, 0, p[4], p[5], 0, 0, 0, p[6])
	words = append(append(words, p[40:40+length]...), make([]byte, length%2)...)
	var sum uint32
	for i := 0; i < len(words); i += 2 {
		sum += uint32(words[i])<<8 | uint32(words[i+1])
		if sum > 0xffff {
			sum -= 0xffff
		}
	}
	if sum != 0xffff {
		t.Fatalf("checksum of %x: the words sum to 0x%04x", frame, sum)
	}
}

// Of the kernel's own frames, so that the check itself is right.
func TestKernelFramesPassTheChecksum(t *testing.T) {
	for _, f := range []string{kernel6UDP, kernel6Empty, kernel6Echo, kernel6Solicit} {
		checkSum6(t, unhex(t, f))
	}
}

func FuzzParseUDP6(f *testing.F) {
	for _, s := range []string{kernel6UDP, kernel6Empty, kernel6Options, kernel6Echo} {
		f.Add(unhex(f, s))
	}
	f.Add(unhex(f, kernel6Options)[:70])
	f.Add(chain(f, 44, "1100000000000001"+udp6))
	f.Add(chain(f, 51, "11040000"+strings.Repeat("00", 20)+udp6))
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		u, err := ParseUDP6(frame)
		if !bytes.Equal(before, frame) {
			t.Fatal("parsing changed the frame")
		}
		if err != nil {
			return
		}
		again := AppendUDP6(nil, u)
		back, err := ParseUDP6(again)
		if err != nil {
			t.Fatalf("own frame %x: %v", again, err)
		}
		if d := cmp.Diff(u, back, sameAddr()); d != "" {
			t.Errorf("datagram (-want +got):\n%s", d)
		}
		checkSum6(t, again)
		if again[60] == 0 && again[61] == 0 {
			t.Fatal("no checksum")
		}
	})
}
