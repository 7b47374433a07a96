package story_test

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// dual is a binding of both families, told often, whose gateway is answered
// for and has no other voice on the site: what says it is fe80::1 is berth.
func (g *guest) dual(addr6, more string) string {
	return fmt.Sprintf(`nic: %s
mac: %s
addresses: [%s/24, "%s/64"]
gateway: 192.0.2.1
gateway6: fe80::1
gateway-mac: 52:54:00:fe:00:01
neighbours: gateway
ra: {interval: 4s}
%s`, g.port, g.mac, g.addr, addr6, more)
}

// asking is everything that a guest asks its link of IPv6, over and over, 40
// messages a second: fewer than berth answers at most.
func asking(t testing.TB, g *guest) *injector {
	t.Helper()
	return inject(t, g.NS, 25*time.Millisecond, func(n int) []byte {
		return [][]byte{
			g.toServers(g.message6(solicit6, n)),
			g.rs(ip("::")),
			g.toServers(g.message6(request6, n)),
			g.rs(g.eui()),
			g.toServers(g.message6(information6, n)),
			g.ns(g.eui(), ip("fe80::1")),
			g.toServers(g.forwarded(g.message6(solicit6, n))),
			g.ns(ip("::"), nic.BerthLinkLocal()),
		}[n%8]
	})
}

// crowd6 is three VMs that ask, the unmanaged VM and the site's router that
// speak to each other, and who listens.
type crowd6 struct {
	*site
	w            *watch
	inner, outer *testenv.Sniffer // the unmanaged VM's and the router's own eth0
	ears         []*testenv.Sniffer
	mouths       []*injector
	talk         []*injector // of those berth has no business with
}

func newCrowd6(t *testing.T, s *site) *crowd6 {
	t.Helper()
	c := &crowd6{
		site: s, w: s.watch(),
		inner: testenv.Capture(t, s.free.NS, "eth0"), outer: testenv.Capture(t, s.lan.NS, "eth0"),
	}
	for _, g := range s.vms {
		c.ears = append(c.ears, testenv.Capture(t, g.NS, "eth0"))
		c.mouths = append(c.mouths, asking(t, g))
	}
	free, lan := s.free, s.lan
	c.talk = append(c.talk,
		inject(t, free.NS, 20*time.Millisecond, func(n int) []byte {
			return [][]byte{
				free.rs(free.eui()), free.toServers(free.message6(solicit6, n)), free.ra(free.eui()),
				free.toServers(free.message6(information6, n)), free.toServers(free.forwarded(free.message6(request6, n))),
			}[n%5]
		}),
		inject(t, lan.NS, 20*time.Millisecond, func(n int) []byte {
			return [][]byte{lan.ra(lan.eui()), lan.advertise6(free, n), lan.rs(lan.eui())}[n%3]
		}))
	return c
}

// served waits until each VM is answered from now on: an address by DHCPv6, an
// advertisement, and who the gateway is.
func (c *crowd6) served(addrs ...string) {
	c.t.Helper()
	for i, addr := range addrs {
		ear := testenv.Capture(c.t, c.vms[i].NS, "eth0")
		ear.Wait(30*time.Second, "an Advertise of "+addr, gives(dhcpv6.MessageTypeAdvertise, addr))
		ear.Wait(30*time.Second, "an advertisement of the gateway", both(saidBy(ip("fe80::1")), isND(routerAdvertisement)))
		ear.Wait(30*time.Second, "who the gateway is", aboutTarget(neighbourAdvert, ip("fe80::1")))
		ear.Stop()
	}
}

// TestContainment6: three VMs ask for routers, addresses and relaying all the
// time, while berthd is killed, started, stopped, hung, given another binding,
// and a port is made anew. Nobody but berth hears them, nobody but they hear
// berth, they hear no other router or server, and what the unmanaged VM and the
// site say to each other arrives as it was sent.
func TestContainment6(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	for i, g := range s.vms {
		s.write(g.port+".yaml", g.dual(fmt.Sprintf("2001:db8:1::%d", 11+i), ""))
	}
	s.attach(s.managed()...)
	c := newCrowd6(t, s)
	everybody := []string{"2001:db8:1::11", "2001:db8:1::12", "2001:db8:1::13"}
	c.served(everybody...)

	c.without("kill -9", s.kill, s.start, everybody)
	c.without("SIGTERM", s.stop, s.start, everybody)
	c.without("SIGSTOP", func() { s.p.signal(syscall.SIGSTOP) }, func() { s.p.signal(syscall.SIGCONT) }, everybody)
	c.without("kill -9, a port made anew", func() { s.kill(); c.remake(0) }, s.start, everybody)
	// What comes to a port without a guard is not filtered: from here on it is.
	c.ears[0] = testenv.Capture(t, s.vms[0].NS, "eth0")

	s.write("vm1.yaml", s.vms[0].dual("2001:db8:1::31", "slaac: [\"2001:db8:a::/64\"]\n"))
	c.served("2001:db8:1::31", everybody[1], everybody[2])
	s.remove("vm2.yaml")
	s.waitState("vm2", api.Closed, 30*time.Second)
	c.served("2001:db8:1::31")
	c.end()
}

// without takes berthd away for some unanswered messages of each VM.
func (c *crowd6) without(how string, down, up func(), addrs []string) {
	c.t.Helper()
	c.t.Log(how)
	down()
	first := c.mouths[2].count()
	testenv.Wait(c.t, 30*time.Second, "unanswered messages", func() bool { return c.mouths[2].count() > first+8 })
	up()
	c.served(addrs...)
}

// remake deletes a port and makes it again with the same VM, which asks from
// the first instant.
func (c *crowd6) remake(i int) {
	c.t.Helper()
	g := c.vms[i]
	// What it was told until now is not looked at again: the capture ends with the port.
	c.ears[i].None("somebody else's router or server", c.foreign)
	c.checkPort(g.port)
	c.ns.Delete(g.port)
	testenv.Veth(c.t, c.ns, g.port, g.NS, "eth0", g.mac)
	c.w.at[g.port] = testenv.Capture(c.t, c.ns, g.port)
	c.mouths[i] = asking(c.t, g)
	c.ns.SetMaster(g.port, "br0")
}

// foreign matches what a managed VM must not hear: the router's and the
// unmanaged VM's advertisements.
func (c *crowd6) foreign(f testenv.Frame) bool {
	return (from(c.lan.mac)(f) || from(c.free.mac)(f)) &&
		(isND(routerAdvertisement)(f) || dhcp6In(f) != nil)
}

// end stops the noise and judges all that was captured.
func (c *crowd6) end() {
	c.t.Helper()
	for _, i := range append(c.mouths, c.talk...) {
		i.atLeast(40)
	}
	for _, g := range []*guest{c.vms[0], c.vms[2], c.free} { // vm2 is closed
		fence6(c.t, g, c.outer)
	}
	fence6(c.t, c.lan, c.inner)
	for i, ear := range c.ears {
		g := c.vms[i]
		ear.None("somebody else's router or server at "+g.port, c.foreign)
		ear.None("berth's answer to another at "+g.port, func(f testenv.Frame) bool {
			return saidBy(ip("fe80::1"))(f) && f.Data[0]&1 == 0 && !bytes.Equal(f.Data[:6], g.mac[:])
		})
	}
	for port := range c.w.at {
		c.checkPort(port)
	}
	// Only whose binding was removed is told that its router is gone.
	c.ears[1].Wait(30*time.Second, "the last advertisement", lastWords)
	c.ears[0].None("a last advertisement", lastWords)
	c.ears[2].None("a last advertisement", lastWords)
	c.inner.None("berth's own word at the unmanaged VM", saidBy(ip("fe80::1")))
	c.outer.None("berth's own word at the site", saidBy(ip("fe80::1")))
	c.arrives(c.free, c.inner, c.outer)
	c.arrives(c.lan, c.outer, c.inner)
}

// lastWords matches the advertisement that the gateway is no router any more.
func lastWords(f testenv.Frame) bool {
	m, ok := icmpIn(f)
	return ok && m.Message[0] == routerAdvertisement && saidBy(ip("fe80::1"))(f) && bytes.Equal(m.Message[6:8], []byte{0, 0})
}

// checkPort asserts that a port saw nothing of what is asked at another, and
// nothing of what berth says, but on its way out to whom it is for.
func (c *crowd6) checkPort(port string) {
	c.t.Helper()
	at := c.w.at[port]
	at.None("berth's own word at "+port, func(f testenv.Frame) bool { return saidBy(ip("fe80::1"))(f) && !onItsWay(f) })
	for _, g := range c.vms {
		if g.port != port {
			at.None("what "+g.port+" asks, at "+port, func(f testenv.Frame) bool {
				return bytes.Contains(f.Data, g.mac[:]) && (isControl6(f) || isND(neighbourSolicitation)(f))
			})
		}
	}
}

// arrives compares what one side sent with what the other one got, byte by byte.
func (c *crowd6) arrives(g *guest, sent, got *testenv.Sniffer) {
	c.t.Helper()
	match := both(from(g.mac), isControl6)
	want := data(sent.Frames(), match)
	if len(want) < 40 {
		c.t.Errorf("%s sent only %d frames", g.port, len(want))
	}
	if diff := cmp.Diff(want, data(got.Frames(), match)); diff != "" {
		c.t.Errorf("frames of %s on their way (-sent +received):\n%s", g.port, diff)
	}
}

// TestHostIsSilent: as a managed port comes up, the host's own kernel says
// nothing on it: no group membership, no solicitation, no duplicate address
// detection. On the port beside it, which is not berth's, it does.
func TestHostIsSilent(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.ns.Exec("ip", "link", "set", "br0", "address", "02:00:00:00:00:b0") // or it has a port's
	s.start()
	vm := s.vms[0]
	s.write("vm1.yaml", vm.dual("2001:db8:1::11", ""))
	s.attach("vm1")
	managed, other := s.ns.MAC("vm1"), s.ns.MAC("free1")
	ear, beside := testenv.Capture(t, vm.NS, "eth0"), testenv.Capture(t, s.free.NS, "eth0")
	for _, port := range []string{"vm1", "free1"} {
		s.ns.Exec("ip", "link", "set", port, "down")
		s.ns.Exec("ip", "link", "set", port, "up")
	}
	// Reports come within a second, then again when the address is known to be unique.
	beside.Wait(30*time.Second, "the host's MLD report from its link-local", both(from(other), func(f testenv.Frame) bool {
		return len(f.Data) > 62 && f.Data[20] == 0 && f.Data[62] == 143 && f.Data[22] == 0xfe
	}))
	beside.Wait(30*time.Second, "the host's router solicitation", both(from(other), isND(routerSolicitation)))
	text := "now listen"
	testenv.Inject(t, s.lan.NS, "eth0", s.lan.hello6(s.lan.eui(), text))
	ear.Wait(30*time.Second, text, carrying(text))
	ear.None("a frame of the host's own", from(managed))
	if out := s.ns.Exec("ip", "-6", "addr", "show", "dev", "vm1"); strings.Contains(out, "inet6") {
		t.Errorf("the host has addresses on vm1:\n%s", out)
	}
	s.settled("vm1")
}
