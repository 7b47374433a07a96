package story_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// shouter asks for an address 20 times a second, fewer than berth answers at
// most. The number of a DISCOVER is in its xid.
func shouter(t *testing.T, g *guest) *injector {
	t.Helper()
	return inject(t, g.NS, 50*time.Millisecond, func(n int) []byte {
		return g.broadcast(g.request(t, dhcpv4.MessageTypeDiscover,
			dhcpv4.WithTransactionID(dhcpv4.TransactionID{0xbe, byte(n >> 16), byte(n >> 8), byte(n)})))
	})
}

func number(m *dhcpv4.DHCPv4) int {
	x := m.TransactionID
	return int(x[1])<<16 | int(x[2])<<8 | int(x[3])
}

// offered waits for the OFFER of an address to a DISCOVER sent from now on.
func offered(ear *testenv.Sniffer, i *injector, addr string) {
	i.t.Helper()
	first := i.count()
	ear.Wait(5*time.Second, "an OFFER of "+addr, func(f testenv.Frame) bool {
		m := dhcpIn(f)
		return m != nil && m.MessageType() == dhcpv4.MessageTypeOffer && number(m) >= first && m.YourIPAddr.String() == addr
	})
}

// crowd is the three VMs shouting, and who listens.
type crowd struct {
	*site
	w     *watch
	inner *testenv.Sniffer // the unmanaged VM's own eth0
	outer *testenv.Sniffer // the LAN's
	ears  []*testenv.Sniffer
	mouth []*injector
}

func newCrowd(t *testing.T, s *site) *crowd {
	c := &crowd{
		site: s, w: s.watch(),
		inner: testenv.Capture(t, s.free.NS, "eth0"), outer: testenv.Capture(t, s.lan.NS, "eth0"),
	}
	for _, g := range s.vms {
		c.ears = append(c.ears, testenv.Capture(t, g.NS, "eth0"))
		c.mouth = append(c.mouth, shouter(t, g))
	}
	return c
}

// served waits until everybody has what is theirs.
func (c *crowd) served(addrs ...string) {
	c.t.Helper()
	for i, addr := range addrs {
		offered(c.ears[i], c.mouth[i], addr)
	}
	c.freeLease()
}

// freeLease has the unmanaged VM get a lease, which only the site can give.
func (c *crowd) freeLease() {
	c.t.Helper()
	cmd := []string{needTool(c.t, "udhcpc"), "-i", "eth0", "-f", "-n", "-q", "-t", "5", "-T", "1", "-s", "/bin/true"}
	out, err := c.free.Try(append([]string{"sh", "-c", `exec "$@" 2>&1`, "-"}, cmd...)...)
	if err != nil || !strings.Contains(out, "obtained from 192.0.2.1, lease time 3600") {
		c.t.Fatalf("the unmanaged VM has no lease from the site (%v):\n%s", err, out)
	}
}

// TestContainment: three VMs shout all the time, and so does a rogue server,
// while berthd is killed, started, stopped, hung and given another binding.
// Nobody hears the VMs, they hear no server but berth, and the VM that is not
// berth's gets its lease from the site all the while.
func TestContainment(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.serveLAN()
	s.start()
	s.bindAll()
	c := newCrowd(t, s)
	rogue := c.rogue()
	c.served("192.0.2.11", "192.0.2.12", "192.0.2.13")

	s.kill()
	time.Sleep(200 * time.Millisecond) // some unanswered DISCOVERs each
	c.freeLease()
	s.start()
	c.served("192.0.2.11", "192.0.2.12", "192.0.2.13")

	s.stop()
	time.Sleep(200 * time.Millisecond)
	c.freeLease()
	s.start()
	c.served("192.0.2.11", "192.0.2.12", "192.0.2.13")

	s.p.signal(syscall.SIGSTOP) // it hangs
	time.Sleep(200 * time.Millisecond)
	c.freeLease()
	s.p.signal(syscall.SIGCONT)
	c.served("192.0.2.11", "192.0.2.12", "192.0.2.13")

	s.write("vm1.yaml", s.vms[0].bindingWith("192.0.2.31", ""))
	s.vms[0].addr = ip("192.0.2.31")
	c.served("192.0.2.31", "192.0.2.12", "192.0.2.13")

	s.remove("vm2.yaml")
	s.waitState("vm2", api.Closed, 5*time.Second)
	c.served("192.0.2.31")
	rogue.atLeast(100)
	c.end()
	for i, ear := range c.ears {
		ear.None("an OFFER of the site at "+s.vms[i].port, isSpoof())
	}
}

// rogue has the site's side broadcast OFFERs to everybody, all the time.
func (c *crowd) rogue() *injector {
	c.t.Helper()
	stranger := &guest{mac: strangerMAC(), addr: rogueServer()}
	offers := stranger.spoofs()
	return inject(c.t, c.lan.NS, 5*time.Millisecond, func(int) []byte { return offers[len(offers)-1] })
}

// end stops the noise and judges all that was captured.
func (c *crowd) end() {
	c.t.Helper()
	for _, i := range c.mouth {
		i.atLeast(10)
	}
	for _, g := range []*guest{c.vms[0], c.vms[2]} { // vm2 is closed
		fence(c.t, g, c.w.at[uplink])
	}
	c.free.addr = ip("192.0.2.44") // nobody checks it
	fence(c.t, c.free, c.outer)
	fence(c.t, c.lan.at("192.0.2.1"), c.inner)
	c.w.contained()
	c.untouched()
	c.onlyFree()
}

// fence sends an ordinary frame and waits until it was seen: what was sent
// before it has arrived by then, or never will.
func fence(t testing.TB, g *guest, at *testenv.Sniffer) {
	t.Helper()
	text := "fence of " + g.port
	testenv.Inject(t, g.NS, "eth0", g.hello(g.addr, text))
	at.Wait(2*time.Second, text, carrying(text))
}

// untouched compares what the unmanaged VM and the site's server sent each
// other with what the other one got, byte by byte.
func (c *crowd) untouched() {
	c.t.Helper()
	for _, pair := range []struct {
		src, dst  nic.MAC
		sent, got *testenv.Sniffer
	}{
		{c.free.mac, c.lan.mac, c.inner, c.outer},
		{c.lan.mac, c.free.mac, c.outer, c.inner},
	} {
		match := between(pair.src, pair.dst)
		sent, got := data(pair.sent.Frames(), match), data(pair.got.Frames(), match)
		if len(sent) < 2 {
			c.t.Errorf("%s sent %d frames", pair.src, len(sent))
		}
		if diff := cmp.Diff(sent, got); diff != "" {
			c.t.Errorf("frames from %s on their way (-sent +received):\n%s", pair.src, diff)
		}
	}
}

// between matches DHCP from one MAC to another or to everybody.
func between(src, dst nic.MAC) testenv.Filter {
	return func(f testenv.Frame) bool {
		to := nic.MAC(f.Data[:6])
		return dhcpIn(f) != nil && from(src)(f) && (to == dst || to == broadcastMAC())
	}
}

func data(frames []testenv.Frame, match testenv.Filter) [][]byte {
	all := [][]byte{}
	for _, f := range frames {
		if match(f) {
			all = append(all, f.Data)
		}
	}
	return all
}

// onlyFree asserts that the site's server gave a lease to the unmanaged VM
// and to nobody else.
func (c *crowd) onlyFree() {
	c.t.Helper()
	leases := c.leases()
	if _, ok := leases[c.free.mac.String()]; !ok || len(leases) != 1 {
		c.t.Errorf("the site's leases are %v, want one for %s", leases, c.free.mac)
	}
}

// TestShoutingBeforeTheStart: a port is made, and its VM shouts from the first
// instant, while berthd is down. The name was armed by the berthd before, so
// nothing passes, and once berthd runs the VM is answered.
func TestShoutingBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.serveLAN()
	s.start()
	s.bindAll()
	s.kill()
	vm := s.vms[0]
	s.ns.Delete("vm1")
	testenv.Veth(t, s.ns, "vm1", vm.NS, "eth0", vm.mac)
	c := newCrowd(t, s)
	s.ns.SetMaster("vm1", "br0")
	time.Sleep(300 * time.Millisecond)
	s.start()
	c.served("192.0.2.11", "192.0.2.12", "192.0.2.13")
	c.end()
}

// TestFirstStart: on a host that berth has never seen, the VM is heard until
// its binding is in force, and from that moment on never again.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.bindAll()
	w, vm := s.watch(), s.vms[0]
	ear, mouth := testenv.Capture(t, vm.NS, "eth0"), shouter(t, vm)
	w.at[uplink].Wait(2*time.Second, "a DISCOVER before berthd", dhcpOf(vm.mac))
	s.start()
	s.attach("vm1")
	safe := mouth.count() + 1 // one may be on its way
	offered(ear, mouth, "192.0.2.11")
	mouth.halt()
	fence(t, vm, w.at[uplink])
	w.nowhere("vm1", "a DISCOVER after `berth attach`", func(f testenv.Frame) bool {
		m := dhcpIn(f)
		return m != nil && m.ClientHWAddr.String() == vm.mac.String() && number(m) > safe
	})
}
