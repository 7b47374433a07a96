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

// Of the same Linux 6.18 sender as the IPv6 frames.
const (
	kernelARPRequest = "ffffffffffff525400aa00010806" +
		"0001080006040001" + "525400aa0001" + "c000020a" + "000000000000" + "c0000201"
	kernelARPReply = "525400aa0001525400aa00020806" +
		"0001080006040002" + "525400aa0002" + "c0000201" + "525400aa0001" + "c000020a"
)

func arpRequest() ARP {
	guest := nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1}
	return ARP{
		EthSrc: guest, EthDst: nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		Op: 1, SenderMAC: guest,
		SenderIP: netip.MustParseAddr("192.0.2.10"), TargetIP: netip.MustParseAddr("192.0.2.1"),
	}
}

func arpReply() ARP {
	guest, far := nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1}, nic.MAC{0x52, 0x54, 0, 0xaa, 0, 2}
	return ARP{
		EthSrc: far, EthDst: guest, Op: 2, SenderMAC: far, TargetMAC: guest,
		SenderIP: netip.MustParseAddr("192.0.2.1"), TargetIP: netip.MustParseAddr("192.0.2.10"),
	}
}

func TestARPIsReadAndWrittenAsTheKernelDoes(t *testing.T) {
	padding := strings.Repeat("00", 18)
	for frame, want := range map[string]ARP{kernelARPRequest: arpRequest(), kernelARPReply: arpReply()} {
		for _, tail := range []string{"", padding, "ffff"} {
			got, err := ParseARP(unhex(t, frame+tail))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, sameAddr()); d != "" {
				t.Errorf("packet (-want +got):\n%s", d)
			}
		}
		if d := cmp.Diff("ee"+frame+padding, hex.EncodeToString(AppendARP([]byte{0xee}, want))); d != "" {
			t.Errorf("frame (-want +got):\n%s", d)
		}
	}
}

func TestParseARPRefuses(t *testing.T) {
	whole := unhex(t, kernelARPRequest)
	edit := func(offset int, value ...byte) []byte {
		f := bytes.Clone(whole)
		copy(f[offset:], value)
		return f
	}
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"nothing":         {nil, "frame of 0 bytes: too short for ARP"},
		"cut":             {whole[:41], "frame of 41 bytes: too short for ARP"},
		"reverse ARP":     {edit(12, 0x80, 0x35), "ethertype 0x8035: want 0x0806"},
		"hardware type":   {edit(14, 0, 6), "arp address spaces 000608000604: want 000108000604"},
		"protocol type":   {edit(16, 0x86, 0xdd), "arp address spaces 000186dd0604: want 000108000604"},
		"hardware length": {edit(18, 8), "arp address spaces 000108000804: want 000108000604"},
		"protocol length": {edit(19, 16), "arp address spaces 000108000610: want 000108000604"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseARP(c.frame)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestAppendARPWritesZeroForWhatIsNotIPv4(t *testing.T) {
	a := arpReply()
	a.SenderIP, a.TargetIP = netip.Addr{}, netip.MustParseAddr("2001:db8::1")
	got := AppendARP(nil, a)
	if !bytes.Equal(got[28:32], make([]byte, 4)) || !bytes.Equal(got[38:42], make([]byte, 4)) {
		t.Errorf("addresses %x and %x, want zeros", got[28:32], got[38:42])
	}
}

func FuzzParseARP(f *testing.F) {
	f.Add(unhex(f, kernelARPRequest))
	f.Add(unhex(f, kernelARPReply))
	f.Add(unhex(f, kernelARPReply)[:30])
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		a, err := ParseARP(frame)
		if !bytes.Equal(before, frame) {
			t.Fatal("parsing changed the frame")
		}
		if err != nil {
			return
		}
		again := AppendARP(nil, a)
		if len(again) != minFrame || !bytes.Equal(again[:42], frame[:42]) {
			t.Fatalf("%x was written as %x", frame, again)
		}
	})
}
