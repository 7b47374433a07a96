package story_test

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// noRouter matches the router advertisement of what is no router (any more).
func noRouter(f testenv.Frame) bool {
	m, ok := icmpIn(f)
	return ok && m.Message[0] == routerAdvertisement && m.Message[6] == 0 && m.Message[7] == 0
}

// withdraws matches a router advertisement in which a prefix is at its end.
func withdraws(prefix string) testenv.Filter {
	ended := append(make([]byte, 12), ip(prefix).AsSlice()...)
	return both(isND(routerAdvertisement), func(f testenv.Frame) bool { return bytes.Contains(f.Data, ended) })
}

// TestLastWords: a NIC whose binding is removed is told so once, by whichever
// process of berthd finds it out. What was never announced is not taken back
// by the one that announced.
func TestLastWords(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	s.write("vm1.yaml", s.vms[0].dual("2001:db8:1::11", "delegated: [\"2001:db8:d::/64\"]\n"))
	s.write("vm2.yaml", s.vms[1].dual("2001:db8:1::12", ""))
	s.attach("vm1", "vm2")
	words := func(g *guest, remove func()) *testenv.Sniffer {
		ear := testenv.Capture(t, g.NS, "eth0")
		ear.Wait(30*time.Second, "an advertisement", isND(routerAdvertisement))
		remove()
		s.waitState(g.port, api.Closed, 30*time.Second)
		text := "closed by now"
		testenv.Inject(t, g.NS, "eth0", g.hello6(g.eui(), text))
		ear.Wait(30*time.Second, text, carrying(text))
		ear.Stop()
		if n := len(data(ear.Frames(), noRouter)); n != 1 {
			t.Errorf("%s heard %d last advertisements, want 1", g.port, n)
		}
		if len(data(ear.Frames(), withdraws("2001:db8:1::"))) != 1 {
			t.Errorf("the prefix of %s was not taken back", g.port)
		}
		return ear
	}
	ear := words(s.vms[0], func() { s.remove("vm1.yaml") })
	ear.None("what was delegated", withdraws("2001:db8:d::"))
	words(s.vms[1], func() { s.kill(); s.remove("vm2.yaml"); s.start() })
}

// TestHeirOfAnIndexHearsNoLastWords: what a deleted NIC was told is not taken
// back from whoever gets its ifindex.
func TestHeirOfAnIndexHearsNoLastWords(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	s.write("vm1.yaml", s.vms[0].dual("2001:db8:1::11", ""))
	s.attach("vm1")
	ear := testenv.Capture(t, s.vms[0].NS, "eth0")
	ear.Wait(30*time.Second, "vm1's advertisement", isND(routerAdvertisement))
	ear.Stop()
	heir := &guest{NS: testenv.NewNS(t), port: "heir", mac: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 9}, addr: ip("192.0.2.19")}
	s.write("heir.yaml", heir.dual("2001:db8:2::19", ""))
	s.p.signal(syscall.SIGSTOP)
	index := s.ns.Index("vm1")
	s.ns.Delete("vm1")
	s.ns.Exec("ip", "link", "add", "heir", "index", fmt.Sprint(index), "type", "veth",
		"peer", "name", "eth0", "netns", heir.Name, "address", heir.mac.String())
	heir.SetUp("eth0")
	s.ns.Exec("ip", "link", "set", "heir", "up")
	ear = testenv.Capture(t, heir.NS, "eth0")
	s.ns.SetMaster("heir", "br0")
	testenv.Wait(t, 30*time.Second, "the heir's carrier", func() bool { return strings.Contains(s.ns.Exec("ip", "link", "show", "heir"), "state UP") })
	s.p.signal(syscall.SIGCONT)
	announces := func(f testenv.Frame) bool { return isND(routerAdvertisement)(f) && !noRouter(f) }
	ear.Wait(30*time.Second, "its own advertisement", announces)
	ear.Stop()
	ear.None("last words", noRouter)
	ear.None("vm1's prefix", withdraws("2001:db8:1::"))
}
