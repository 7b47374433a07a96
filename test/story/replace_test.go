package story_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// kills is how often berthd is replaced under load; a hundred take a minute.
var kills = flag.Int("kills", 10, "how often berthd is killed or replaced by another build while guests ask")

// buildAs builds berthd with another version and returns its path.
func buildAs(t testing.TB, version string) string {
	t.Helper()
	path := t.TempDir() + "/berthd"
	cmd := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", path, "../../cmd/berthd")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return path
}

// TestReplacedUnderLoad: berthd is killed, or stopped, at any moment of its life
// and another build takes its place, again and again. Guests that ask as fast as
// they can are answered every time, and nothing they must not send leaves.
func TestReplacedUnderLoad(t *testing.T) {
	s := newSite(t, "")
	builds := []string{program(t, "berthd"), buildAs(t, "next")}
	s.start()
	s.bindAll()
	s.settled(s.managed()...)
	w := s.watchOthers()
	askers, spoofers := []*asker{}, []*injector{}
	for _, g := range s.vms {
		spoofs := g.spoofs()
		spoofers = append(spoofers, inject(t, g.NS, 2*time.Millisecond, func(n int) []byte { return spoofs[n%len(spoofs)] }))
		askers = append(askers, ask(t, g))
	}
	begin := time.Now()
	for n := range *kills {
		if n%5 == 4 {
			testenv.Wait(t, 30*time.Second, "berthd to be ready", s.ready)
			s.stop()
		} else {
			until := spoofers[0].count() + rand.N(300) // in 600 ms: anywhere in its start, or later
			testenv.Wait(t, 30*time.Second, "a guest to send on", func() bool { return spoofers[0].count() >= until })
			s.kill()
		}
		s.p = start(t, s.ns, builds[(n+1)%2], "-config", s.conf())
	}
	testenv.Wait(t, 30*time.Second, "berthd to be ready", s.ready)
	lasted := time.Since(begin)
	answered, lost, longest := 0, 0, time.Duration(0)
	for i, a := range askers {
		a.halt()
		if a.lost > 0 || a.answered == 0 {
			t.Errorf("%s: %d exchanges, and %d questions without an answer", s.vms[i].port, a.answered, a.lost)
		}
		answered, lost, longest = answered+a.answered, lost+a.lost, max(longest, a.longest)
	}
	spoofed := 0
	for _, i := range spoofers {
		spoofed += i.halt()
	}
	fence(t, s.vms[0], w.at[uplink])
	w.noSpoof()
	w.contained()
	s.settled(s.managed()...)
	t.Logf("%d replacements in %v: %d exchanges, %.0f a second, the longest %v, %d lost; %d spoofed frames",
		*kills, lasted.Round(time.Millisecond), answered, float64(answered)/lasted.Seconds(), longest, lost, spoofed)
}

// watchOthers captures wherever a managed NIC's DHCP must not be.
func (s *site) watchOthers() *watch {
	s.t.Helper()
	w := &watch{s: s, at: map[string]*testenv.Sniffer{}}
	for _, port := range []string{s.free.port, uplink, "br0"} {
		w.at[port] = testenv.Capture(s.t, s.ns, port)
	}
	return w
}

// TestAskedWhileAway: where the daemon answers, what guests asked while it was
// away, in whatever order and number, is answered when it is back, and a guest
// that asks then is, too. What nobody waits for any more does no harm.
func TestAskedWhileAway(t *testing.T) {
	for name, end := range map[string]func(*site){"stopped": func(s *site) { s.stop() }, "killed": func(s *site) { s.kill() }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "answers: daemon\n")
			vm, busy := s.vms[0], s.vms[1]
			s.start()
			s.write("vm1.yaml", vm.binding())
			s.write("vm2.yaml", busy.bindingWith("192.0.2.12", "guard: {rate: {per-second: 100000, burst: 100000}}\n"))
			s.attach("vm1", "vm2")
			p := udhcpc{}.start(t, vm)
			waitLease(t, udhcpc{}, vm, "192.0.2.11", 10*time.Second)
			ear, busyEar := testenv.Capture(t, vm.NS, "eth0"), testenv.Capture(t, busy.NS, "eth0")
			end(s)

			asked := vm.request(t, dhcpv4.MessageTypeDiscover)
			testenv.Inject(t, vm.NS, "eth0", vm.broadcast(asked))
			p.signal(syscall.SIGUSR1) // and the client renews, in vain
			late := busy.request(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(net.IP{192, 0, 2, 12}))
			flood := slices.Repeat([][]byte{busy.unicast(late, "192.0.2.1")}, 4000) // more than the ring takes
			testenv.Inject(t, busy.NS, "eth0", flood...)
			s.write("vm2.yaml", busy.bindingWith("192.0.2.32", "guard: {rate: {per-second: 100000, burst: 100000}}\n"))

			s.start()
			offer := dhcpIn(ear.Wait(5*time.Second, "the answer to what was asked meanwhile", replyTo(asked.TransactionID)))
			if got := offer.YourIPAddr.String(); got != "192.0.2.11" {
				t.Errorf("offered %s", got)
			}
			s.settled("vm1", "vm2")
			fresh := busy.request(t, dhcpv4.MessageTypeDiscover)
			testenv.Inject(t, busy.NS, "eth0", busy.broadcast(fresh))
			now := dhcpIn(busyEar.Wait(5*time.Second, "the answer to what is asked now", replyTo(fresh.TransactionID)))
			if got := now.YourIPAddr.String(); got != "192.0.2.32" {
				t.Errorf("offered %s, want the address that was declared meanwhile", got)
			}
			// The address that it had is confirmed to nobody after the change.
			acks := count(busyEar.Frames(), reply(busy.mac, dhcpv4.MessageTypeAck))
			naks := count(busyEar.Frames(), reply(busy.mac, dhcpv4.MessageTypeNak))
			if acks > 0 || naks < 1000 {
				t.Errorf("what was asked before the change got %d ACKs and %d NAKs", acks, naks)
			}
			renewed(t, vm, p)
		})
	}
}

// TestNewerLayoutStays: a berthd that finds the pins of a later one says so and
// leaves everything as it is: guests stay guarded, and are answered.
func TestNewerLayoutStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	vm := s.vms[0]
	s.start()
	s.bindAll()
	s.settled(s.managed()...)
	s.stop()
	own := strings.TrimSpace(s.ns.Exec("ls", s.pins()))
	s.ns.Exec("mv", s.pins()+"/"+own, s.pins()+"/v99")
	before := s.ns.Exec("find", s.pins())
	s.launch()
	if code := s.p.exit(10 * time.Second); code != 4 {
		t.Errorf("it exits %d, want 4", code)
	}
	for _, want := range []string{"v99", own, "docs/upgrade.md"} {
		if !strings.Contains(s.p.out.String(), want) {
			t.Errorf("it does not speak of %s:\n%s", want, s.p.out)
		}
	}
	if after := s.ns.Exec("find", s.pins()); after != before {
		t.Errorf("the pins changed from\n%s\nto\n%s", before, after)
	}
	w := s.watch()
	udhcpc{}.start(t, vm)
	waitLease(t, udhcpc{}, vm, "192.0.2.11", 10*time.Second)
	testenv.Inject(t, vm.NS, "eth0", vm.spoofs()...)
	fence(t, vm, w.at[uplink])
	w.noSpoof()
	w.contained()
	s.ns.Exec("mv", s.pins()+"/v99", s.pins()+"/"+own)
	s.start()
	s.settled(s.managed()...)
}

// TestGuestsWithoutBerthd: while berthd is away a VM that its NIC was bound for
// boots to its lease and renews it, and stays guarded.
func TestGuestsWithoutBerthd(t *testing.T) {
	ends := map[string]func(*site){"stopped": func(s *site) { s.stop() }, "killed": func(s *site) { s.kill() }}
	for _, c := range []client{dhclient{}, udhcpc{}, dhcpcd{}, networkd{}} {
		for how, end := range ends {
			t.Run(fmt.Sprintf("%T %s", c, how), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, "")
				s.serveLAN()
				vm := s.vms[0]
				s.start()
				s.write("vm1.yaml", vm.bindingWith("192.0.2.11", "dhcp4: {lease: 60s, t1: 3s, t2: 50s}\n"))
				s.attach("vm1")
				s.settled("vm1")
				end(s)
				w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
				p := c.start(t, vm)
				waitLease(t, c, vm, "192.0.2.11", 20*time.Second)
				if _, signalled := c.(udhcpc); signalled {
					p.signal(syscall.SIGUSR1)
				}
				ear.Wait(45*time.Second, "the ACK of a renewal", func(f testenv.Frame) bool {
					return reply(vm.mac, dhcpv4.MessageTypeAck)(f) && !dhcpIn(f).ClientIPAddr.IsUnspecified()
				})
				waitLease(t, c, vm, "192.0.2.11", time.Second)
				testenv.Inject(t, vm.NS, "eth0", vm.spoofs()...)
				fence(t, vm, w.at[uplink])
				w.noSpoof()
				w.contained()
				s.start()
				s.settled("vm1")
				if v := s.show("vm1"); v.State != api.InForce {
					t.Errorf("afterwards vm1 is %s", v.State)
				}
			})
		}
	}
}
