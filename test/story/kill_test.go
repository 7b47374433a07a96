package story_test

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/testenv"
)

// TestKilledFiftyTimes: berthd is killed with -9 at random moments while VMs
// renew and send what they must not, 500 frames a second each. Not one of
// these gets anywhere, not one honest frame is lost, no VM loses its address,
// and nothing is left over.
func TestKilledFiftyTimes(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	s.bindAll()
	clients := []client{udhcpc{}, udhcpc{}, udhcpc{}}
	running := []*process{}
	for i, g := range s.vms {
		running = append(running, clients[i].start(t, g))
		waitLease(t, clients[i], g, g.addr.String(), 10*time.Second)
	}
	w := s.watch()
	spoofers, honest := []*injector{}, []*injector{}
	for _, g := range s.vms {
		spoofs := g.spoofs()
		spoofers = append(spoofers, inject(t, g.NS, 2*time.Millisecond, func(n int) []byte { return spoofs[n%len(spoofs)] }))
		honest = append(honest, inject(t, g.NS, 10*time.Millisecond, func(int) []byte { return g.hello(g.addr, "honest") }))
	}
	for range 50 {
		s.launch()
		for _, p := range running {
			p.signal(syscall.SIGUSR1) // renew
		}
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		s.kill()
	}
	s.start()
	s.settled(s.managed()...)
	for i, g := range s.vms {
		if sent := spoofers[i].halt(); sent < 1000 {
			t.Errorf("%s sent only %d spoofed frames", g.port, sent)
		}
		sent := honest[i].halt()
		fence(t, g, w.at[uplink])
		got := count(w.at[uplink].Frames(), both(from(g.mac), carrying("honest")))
		if got != sent || sent < 200 {
			t.Errorf("%d of the %d honest frames of %s arrived, want all and at least 200", got, sent, g.port)
		}
	}
	w.noSpoof()
	w.contained()
	for i, g := range s.vms {
		renewed(t, g, running[i])
	}
}

// renewed tells a client to renew, and asserts that it keeps its address.
func renewed(t *testing.T, g *guest, p *process) {
	t.Helper()
	ear := testenv.Capture(t, g.NS, "eth0")
	p.signal(syscall.SIGUSR1)
	ack := dhcpIn(ear.Wait(5*time.Second, "the ACK of a renewal", reply(g.mac, dhcpv4.MessageTypeAck)))
	if got := ack.YourIPAddr.String(); got != g.addr.String() {
		t.Errorf("%s renewed and got %s, want %s", g.port, got, g.addr)
	}
	if got := g.hookEnv()["ip"]; got != g.addr.String() {
		t.Errorf("%s has %s, want %s", g.port, got, g.addr)
	}
}
