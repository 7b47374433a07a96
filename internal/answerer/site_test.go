package answerer

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// TestAnnouncement: the site is told in both forms of ARP, and by a
// neighbour advertisement with the O flag alone.
func TestAnnouncement(t *testing.T) {
	up := nic.MAC{0x52, 0x54, 0, 0xff, 0, 1}
	broadcast := nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	a := netip.MustParseAddr("192.0.2.10")
	frames := Announcement(a, up)
	want := []wire.ARP{
		{EthSrc: up, EthDst: broadcast, Op: 1, SenderMAC: up, SenderIP: a, TargetIP: a},
		{EthSrc: up, EthDst: broadcast, Op: 2, SenderMAC: up, TargetMAC: broadcast, SenderIP: a, TargetIP: a},
	}
	var got []wire.ARP
	for _, f := range frames {
		m, err := wire.ParseARP(f)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	a = netip.MustParseAddr("2001:db8::10")
	frames = Announcement(a, up)
	if len(frames) != 1 {
		t.Fatalf("%d frames for IPv6", len(frames))
	}
	m, err := wire.ParseICMP6(frames[0])
	if err != nil {
		t.Fatal(err)
	}
	na := append([]byte{136, 0, m.Message[2], m.Message[3], 0x20, 0, 0, 0}, a.AsSlice()...)
	na = append(append(na, 2, 1), up[:]...)
	all := wire.ICMP6{
		EthSrc: up, EthDst: nic.MAC{0x33, 0x33, 0, 0, 0, 1}, Src: a, Dst: netip.MustParseAddr("ff02::1"), HopLimit: 255, Message: na,
	}
	if diff := cmp.Diff(all, m, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
