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

// Frames written by a Linux 6.18 sender (a UDP socket over veth with transmit
// checksumming off), captured on the far end: the kernel is the oracle.
const (
	kernelShort = "525400aa0002525400aa00010800" +
		"45000021919f400040112521c000020ac0000201" +
		"00440043000d3e67" + "6265727468"
	kernelEmpty = "525400aa0002525400aa00010800" + // derived: no payload, no padding
		"4500001c919f400040112526c000020ac0000201" +
		"0044004300084242"
	kernelRouterAlert = "525400aa0002525400aa00010800" +
		"46000023d52a400040114c8fc000020ac000020194040000" +
		"00440043000b97d4" + "6f7074"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func datagram(payload string) UDP4 {
	return UDP4{
		EthSrc:  nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1},
		EthDst:  nic.MAC{0x52, 0x54, 0, 0xaa, 0, 2},
		Src:     netip.MustParseAddr("192.0.2.10"),
		Dst:     netip.MustParseAddr("192.0.2.1"),
		SrcPort: 68,
		DstPort: 67,
		Payload: []byte(payload),
	}
}

func diff(t *testing.T, want, got UDP4) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("datagram (-want +got):\n%s", d)
	}
}

func TestParseReadsWhatTheKernelSent(t *testing.T) {
	for name, c := range map[string]struct{ frame, payload string }{
		"plain":                  {kernelShort, "berth"},
		"ethernet padding":       {kernelShort + "00000000000000000000000000", "berth"},
		"padding is not zero":    {kernelShort + "ffffffff", "berth"},
		"option is skipped":      {kernelRouterAlert, "opt"},
		"option and padding":     {kernelRouterAlert + "000000", "opt"},
		"udp checksum is wrong":  {strings.Replace(kernelShort, "3e67", "dead", 1), "berth"},
		"udp checksum is absent": {strings.Replace(kernelShort, "3e67", "0000", 1), "berth"},
		"udp shorter than ip":    {strings.Replace(kernelShort, "000d3e67", "000a3e67", 1), "be"},
		"nothing but headers":    {kernelEmpty, ""},
		"empty payload":          {strings.Replace(kernelShort, "000d3e67", "00083e67", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseUDP4(unhex(t, c.frame))
			if err != nil {
				t.Fatal(err)
			}
			diff(t, datagram(c.payload), got)
		})
	}
}

// replaceIP swaps one piece of the IPv4 header and repairs its checksum by the
// same amount in one's complement arithmetic (RFC 1624), so that only the
// field under test is wrong.
func replaceIP(t *testing.T, offset int, value ...byte) []byte {
	t.Helper()
	f := unhex(t, kernelShort)
	copy(f[14+offset:], value)
	f[24], f[25] = 0, 0
	header := f[14:34]
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(header[i])<<8 | uint32(header[i+1])
	}
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	f[24], f[25] = byte(^sum>>8), byte(^sum)
	return f
}

func TestParseRefuses(t *testing.T) {
	whole := unhex(t, kernelShort)
	edit := func(offset int, value ...byte) []byte {
		f := bytes.Clone(whole)
		copy(f[offset:], value)
		return f
	}
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"nothing":          {nil, "frame of 0 bytes: too short for UDP over IPv4"},
		"headers cut":      {whole[:41], "frame of 41 bytes: too short for UDP over IPv4"},
		"payload cut":      {whole[:46], "ip total length 33: the frame holds 32"},
		"802.1Q tag":       {edit(12, 0x81, 0x00), "ethertype 0x8100: want 0x0800"},
		"ipv6":             {edit(12, 0x86, 0xdd), "ethertype 0x86dd: want 0x0800"},
		"version":          {edit(14, 0x65), "ip version 6: want 4"},
		"header too short": {edit(14, 0x44), "ip header length 16: want 20 to the total length 33"},
		"header too long":  {edit(14, 0x4f), "ip header length 60: want 20 to the total length 33"},
		"total under ihl":  {edit(16, 0, 19), "ip header length 20: want 20 to the total length 19"},
		"ip checksum":      {edit(24, 0x25, 0x20), "ip header checksum 0x2520: wrong"},
		"more fragments":   {replaceIP(t, 6, 0x20, 0), "ip fragment field 0x2000: fragments are refused"},
		"last fragment":    {replaceIP(t, 6, 0x00, 1), "ip fragment field 0x0001: fragments are refused"},
		"tcp":              {replaceIP(t, 9, 6), "ip protocol 6: want 17"},
		"no udp header":    {replaceIP(t, 2, 0, 27), "udp header of 7 bytes: want 8"},
		"udp length small": {edit(38, 0, 7), "udp length 7: want 8 to 13"},
		"udp length large": {edit(38, 0, 14), "udp length 14: want 8 to 13"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseUDP4(c.frame)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// The kernel's frame with identification 0 in place of 0x919f: the header
// checksum grows by what the field lost (0x2521 + 0x919f), the UDP checksum is
// the kernel's own.
func TestAppendWritesWhatTheKernelWould(t *testing.T) {
	want := "525400aa0002525400aa00010800" +
		"45000021000040004011b6c0c000020ac0000201" +
		"00440043000d3e67" + "6265727468" + "00000000000000000000000000"
	got := AppendUDP4([]byte{0xee}, datagram("berth"))
	if d := cmp.Diff("ee"+want, hex.EncodeToString(got)); d != "" {
		t.Errorf("frame (-want +got):\n%s", d)
	}
}

func TestAppendDoesNotPadLongFrames(t *testing.T) {
	for n, want := range map[int]int{0: 60, 18: 60, 19: 61, 300: 342, 1472: 1514} {
		got := AppendUDP4(nil, datagram(strings.Repeat("x", n)))
		if len(got) != want {
			t.Errorf("payload of %d bytes: frame of %d, want %d", n, len(got), want)
		}
	}
}

func TestAppendRefusesWhatDoesNotFit(t *testing.T) {
	if got := len(AppendUDP4(nil, datagram(strings.Repeat("x", MaxPayload)))); got != 65549 {
		t.Errorf("longest payload: frame of %d, want 65549", got)
	}
	dst := []byte{1, 2}
	if got := AppendUDP4(dst, datagram(strings.Repeat("x", MaxPayload+1))); !bytes.Equal(got, dst) {
		t.Errorf("payload over the maximum: %d bytes appended, want none", len(got)-len(dst))
	}
}

func TestAppendWritesZeroForWhatIsNotIPv4(t *testing.T) {
	u := datagram("x")
	u.Src, u.Dst = netip.Addr{}, netip.MustParseAddr("2001:db8::1")
	got := AppendUDP4(nil, u)
	if want := make([]byte, 8); !bytes.Equal(got[26:34], want) {
		t.Errorf("addresses %x, want %x", got[26:34], want)
	}
	u.Dst = netip.MustParseAddr("::ffff:192.0.2.1")
	if got := AppendUDP4(nil, u)[30:34]; !bytes.Equal(got, []byte{192, 0, 2, 1}) {
		t.Errorf("mapped address written as %x, want c0000201", got)
	}
}

func FuzzParseUDP4(f *testing.F) {
	f.Add(unhex(f, kernelShort))
	f.Add(unhex(f, kernelRouterAlert))
	f.Add(unhex(f, kernelShort)[:42])
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := bytes.Clone(frame)
		u, err := ParseUDP4(frame)
		if !bytes.Equal(before, frame) {
			t.Fatal("parsing changed the frame")
		}
		if err != nil {
			return
		}
		again := AppendUDP4(nil, u)
		back, err := ParseUDP4(again)
		if err != nil {
			t.Fatalf("own frame %x: %v", again, err)
		}
		diff(t, u, back)
		if len(again) < minFrame || again[40] == 0 && again[41] == 0 {
			t.Fatalf("frame of %d bytes with udp checksum %x", len(again), again[40:42])
		}
	})
}
