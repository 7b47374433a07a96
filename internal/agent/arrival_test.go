package agent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/source"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// TestArrival: a NIC that was suspended and is in force is announced on the
// bridge three times, with its guest's MAC; one that never was is not. Another NIC
// sees what the site sees.
func TestArrival(t *testing.T) {
	n := newNode(t, 2)
	site := testenv.NewNS(t)
	testenv.Veth(t, n.ns, "uplink", site, "lan", nic.MAC{2, 0, 0, 0, 9, 9})
	testenv.Bridge(t, n.ns, "br0", "uplink", "tap0", "tap1")
	outside := testenv.Capture(t, site, "lan")
	there := testenv.Capture(t, n.guest, "eth1")
	own := testenv.Capture(t, n.guest, "eth0")

	b := from("dir", "tap0", 0, 10)
	b.Addresses = append(b.Addresses, netip.MustParsePrefix("2001:db8::10/64"))
	other := from("dir", "tap1", 1, 11)
	generation := uint64(1)
	says := func(suspended bool) {
		b.Suspended = suspended
		generation++
		n.hear(source.Update{Source: "dir", Generation: generation, Bindings: []nic.Binding{b, other}})
		n.do("pass", func() error { n.pass(); return nil })
	}
	says(false)
	says(true)
	outside.None("from a NIC that had not been suspended", announced(b.MAC))
	says(false)
	testenv.Wait(t, 20*time.Second, "the third announcement", func() bool {
		n.do("pass", func() error { n.pass(); return nil })
		return len(n.arrivals) == 0
	})
	const frames = announcements * 3 // two of ARP and one NA
	testenv.Wait(t, 10*time.Second, "all frames", func() bool { return count(outside.Frames(), announced(b.MAC)) >= frames })
	if got := count(outside.Frames(), announced(b.MAC)); got != frames {
		t.Errorf("the site saw %d frames, want %d", got, frames)
	}
	if got := count(there.Stop(), announced(b.MAC)); got != frames {
		t.Errorf("the other NIC saw %d of them, want %d", got, frames)
	}
	if got := count(own.Stop(), announced(b.MAC)); got != 0 {
		t.Errorf("the guest itself saw %d", got)
	}
	outside.None("of DHCP", func(f testenv.Frame) bool {
		_, err4 := wire.ParseUDP4(f.Data)
		_, err6 := wire.ParseUDP6(f.Data)
		return f.Data[6] == b.MAC[0] && (err4 == nil || err6 == nil)
	})
	if fdb := n.ns.Exec("bridge", "fdb", "show", "dev", "tap0"); !strings.Contains(fdb, b.MAC.String()+" master br0") {
		t.Errorf("the bridge does not look for %s at tap0:\n%s", b.MAC, fdb)
	}
}

// announced is of announcements of what tap0 has, whole and with its MAC.
func announced(mac nic.MAC) testenv.Filter {
	return func(f testenv.Frame) bool {
		if nic.MAC(f.Data[6:12]) != mac {
			return false
		}
		if a, err := wire.ParseARP(f.Data); err == nil {
			return a.SenderMAC == mac && a.SenderIP == a.TargetIP && a.SenderIP == netip.MustParseAddr("192.0.2.10")
		}
		m, err := wire.ParseICMP6(f.Data)
		const override = 0x20 // RFC 4861 4.4
		return err == nil && m.Message[0] == 136 && m.Message[4] == override && m.Src == netip.MustParseAddr("2001:db8::10") &&
			nic.MAC(m.Message[26:32]) == mac
	}
}

func count(frames []testenv.Frame, match testenv.Filter) (n int) {
	for _, f := range frames {
		if match(f) {
			n++
		}
	}
	return n
}
