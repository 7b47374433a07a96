package words

import (
	"testing"

	"github.com/berth-net/berth/internal/guard/corpus"
)

func TestLine(t *testing.T) {
	want := map[string]string{
		"A02": "52:54:00:ff:00:01 to 52:54:00:bb:00:02, IPv4 192.0.2.10 to 192.0.2.20 protocol 17 port 40000 to 40001",
		"B01": "52:54:00:aa:00:01 to 52:54:00:ff:00:01, IPv4 192.0.2.20 to 192.0.2.1 protocol 17 port 40000 to 40001",
		"C01": "52:54:00:aa:00:01 to 52:54:00:bb:00:02, ARP 192.0.2.1 is at 52:54:00:aa:00:01",
		"K04": "52:54:00:aa:00:01 to 01:80:c2:00:00:0e, type 0x88cc",
		"D01": "52:54:00:aa:00:01 to 33:33:00:00:00:01, IPv6 fe80::5054:ff:feaa:1 to ff02::1 neighbour advertisement for fe80::1",
		"D12": "52:54:00:aa:00:01 to 33:33:ff:00:00:20, IPv6 :: to ff02::1:ff00:20 neighbour solicitation for 2001:db8:1::20",
		"D10": "52:54:00:aa:00:01 to 33:33:00:00:00:01, IPv6 2001:db8:1::10 to ff02::1 fragment",
		"E01": "52:54:00:aa:00:01 to 33:33:00:00:00:01, IPv6 fe80::5054:ff:feaa:1 to ff02::1 router advertisement",
		"E16": "52:54:00:aa:00:01 to 52:54:00:bb:00:02, IPv6 fe80::5054:ff:feaa:1 to fe80::5054:ff:febb:2 redirect for fe80::5054:ff:feaa:1",
		"E20": "52:54:00:aa:00:01 to 33:33:00:00:00:02, IPv6 fe80::5054:ff:feaa:1 to ff02::2 router solicitation",
		"F13": "52:54:00:aa:00:01 to 52:54:00:bb:00:02, IPv6 fe80::5054:ff:feaa:1 to fe80::5054:ff:febb:2 protocol 17 port 547 to 546",
		"L08": "52:54:00:aa:00:01 to 33:33:00:00:00:01, IPv6 fe80::5054:ff:feaa:1 to ff02::1 MLD query",
	}
	for _, v := range corpus.All() {
		if w, ok := want[v.ID]; ok {
			if got := Line(v.Frames[0]); got != w {
				t.Errorf("%s: %q, want %q", v.ID, got, w)
			}
			delete(want, v.ID)
		}
		for n := range min(len(v.Frames[0]), 100) {
			_ = Tell(v.Frames[0][:n]) // whatever is cut off, it must not panic
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the corpus: %v", want)
	}
}

// The kernel hands up a frame's first 128 bytes. Who sent what to whom is in
// them, whatever the frame says of its own length.
func TestLineOfCutFrames(t *testing.T) {
	for _, v := range corpus.All() {
		whole := v.Frames[0]
		if len(whole) <= 128 || v.ID == "E28" { // whose headers alone are longer
			continue
		}
		if got, want := Line(whole[:128]), Line(whole); got != want {
			t.Errorf("%s, cut: %q, want %q", v.ID, got, want)
		}
	}
}
