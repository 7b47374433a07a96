package wire

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// Frames written by a Linux 6.18 sender over veth with transmit checksumming
// off, captured on the far end: the kernel is the oracle.
const (
	kernel6UDP = "525400aa0002525400aa000186dd" +
		"600212c4000d1140" + addr6Guest + addr6Far +
		"02220223000d6332" + "6265727468"
	kernel6Empty = "525400aa0002525400aa000186dd" +
		"600212c400081140" + addr6Guest + addr6Far +
		"022202230008a016"
	kernel6Options = "525400aa0002525400aa000186dd" + // hop-by-hop, then destination options
		"600212c4001b0040" + addr6Guest + addr6Far +
		"3c00050200000100" + "1100010400000000" +
		"02220223000bbc9f" + "6f7074"
	kernel6Echo = "525400aa0002525400aa000186dd" +
		"60022a4b00403a40" + addr6Guest + addr6Far +
		"800082b609280001b84f016b000000001a95050000000000101112131415161718191a1b1c1d1e1f" +
		"202122232425262728292a2b2c2d2e2f3031323334353637"
	kernel6Solicit = "3333ff000001525400aa000186dd" +
		"6000000000203aff" + addr6Guest + "ff0200000000000000000001ff000001" +
		"8700cb1b00000000" + addr6Far + "0101525400aa0001"

	addr6Guest = "20010db8000000000000000000000010"
	addr6Far   = "20010db8000000000000000000000001"
)

func guest6() netip.Addr { return netip.MustParseAddr("2001:db8::10") }
func far6() netip.Addr   { return netip.MustParseAddr("2001:db8::1") }

func sameAddr() cmp.Option {
	return cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
}

// chain is a frame whose IPv6 header is followed by the given bytes, the first
// next header value and a payload length that is right.
func chain(t testing.TB, next byte, rest string) []byte {
	t.Helper()
	f := unhex(t, kernel6UDP)[:54]
	body := unhex(t, rest)
	f[18], f[19], f[20] = byte(len(body)>>8), byte(len(body)), next
	return append(f, body...)
}

const udp6 = "02220223000d6332" + "6265727468"

func TestParseIP6WalksExtensionHeaders(t *testing.T) {
	eight := strings.Repeat("3c00010400000000", 7) + "1100010400000000"
	for name, c := range map[string]struct {
		next byte
		rest string
	}{
		"none":                {17, udp6},
		"hop-by-hop":          {0, "1100010400000000" + udp6},
		"destination options": {60, "1100010400000000" + udp6},
		"routing":             {43, "1100040000000000" + udp6},
		"mobility":            {135, "1100000000000000" + udp6},
		"host identity":       {139, "1100000000000000" + udp6},
		"shim6":               {140, "1100000000000000" + udp6},
		"of two units":        {60, "1101010c" + strings.Repeat("00", 12) + udp6},
		"authentication":      {51, "11040000" + strings.Repeat("00", 20) + udp6},
		"eight":               {60, eight + udp6},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := ParseIP6(chain(t, c.next, c.rest))
			if err != nil {
				t.Fatal(err)
			}
			want := IP6{
				EthSrc: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1}, EthDst: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 2},
				Src: guest6(), Dst: far6(), HopLimit: 64, Protocol: 17, Payload: unhex(t, udp6),
			}
			if d := cmp.Diff(want, h, sameAddr()); d != "" {
				t.Errorf("packet (-want +got):\n%s", d)
			}
		})
	}
}

// What is no extension header ends the walk, whatever follows.
func TestParseIP6StopsAtWhatItDoesNotKnow(t *testing.T) {
	for _, proto := range []byte{6, 50, 58, 59, 136, 253} {
		h, err := ParseIP6(chain(t, 60, fmt.Sprintf("%02x00010400000000", proto)+"2c00"))
		if err != nil || h.Protocol != proto || !bytes.Equal(h.Payload, []byte{0x2c, 0}) {
			t.Errorf("next header %d: protocol %d, payload %x, %v", proto, h.Protocol, h.Payload, err)
		}
	}
}

func TestParseIP6Refuses(t *testing.T) {
	whole := unhex(t, kernel6UDP)
	edit := func(offset int, value ...byte) []byte {
		f := bytes.Clone(whole)
		copy(f[offset:], value)
		return f
	}
	nine := strings.Repeat("3c00010400000000", 8) + "1100010400000000"
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"nothing":              {nil, "frame of 0 bytes: too short for IPv6"},
		"header cut":           {whole[:53], "frame of 53 bytes: too short for IPv6"},
		"payload cut":          {whole[:66], "ip payload length 13: the frame holds 12"},
		"payload length lies":  {edit(18, 0, 14), "ip payload length 14: the frame holds 13"},
		"802.1Q tag":           {edit(12, 0x81, 0x00), "ethertype 0x8100: want 0x86dd"},
		"ipv4":                 {edit(12, 0x08, 0x00), "ethertype 0x0800: want 0x86dd"},
		"version":              {edit(14, 0x40), "ip version 4: want 6"},
		"jumbogram":            {edit(18, 0, 0, 0), "extension header 0 of 0 bytes"},
		"fragment":             {chain(t, 44, "1100000100000001"+udp6), "ip fragment header: fragments are refused"},
		"atomic fragment":      {chain(t, 44, "1100000000000001"+udp6), "ip fragment header: fragments are refused"},
		"fragment in a chain":  {chain(t, 60, "2c00010400000000"+"1100000000000001"+udp6), "ip fragment header: fragments are refused"},
		"hop-by-hop second":    {chain(t, 60, "0000010400000000"+"1100010400000000"+udp6), "hop-by-hop options are extension header 2: want the first"},
		"extension header cut": {chain(t, 60, "11"), "extension header 60 of 1 bytes"},
		"extension too long":   {chain(t, 60, "1102010400000000"+udp6), "extension header 60 of 24 bytes: the packet holds 21"},
		"authentication long":  {chain(t, 51, "1104000000000000"), "extension header 51 of 24 bytes: the packet holds 8"},
		"nine headers":         {chain(t, 60, nine+udp6), "more than 8 extension headers"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseIP6(c.frame)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

// Padding is not payload, and a payload cannot grow into what follows it.
func TestParseIP6PayloadEndsWhereTheHeaderSays(t *testing.T) {
	h, err := ParseIP6(append(unhex(t, kernel6Empty), 0xff, 0xff, 0xff))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Payload) != 8 || cap(h.Payload) != 8 {
		t.Errorf("payload of %d bytes, capacity %d: want 8", len(h.Payload), cap(h.Payload))
	}
}

func TestGroupMAC(t *testing.T) {
	for a, want := range map[string]string{
		"ff02::1":               "33:33:00:00:00:01",
		"ff02::1:2":             "33:33:00:01:00:02",
		"ff02::1:ffaa:1":        "33:33:ff:aa:00:01",
		"ff05::1:2345:6789":     "33:33:23:45:67:89",
		"ff02::1:ff00:0%eth0":   "33:33:ff:00:00:00",
		"ff0e:1:2:3:4:5:6:abcd": "33:33:00:06:ab:cd",
	} {
		if got := GroupMAC(netip.MustParseAddr(a)).String(); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}
