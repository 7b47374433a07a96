package plan_test

import (
	"maps"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
)

// gated is a story in a world whose site has hooks before everything.
func gated(t *testing.T, bindings ...*nic.Binding) *story {
	w := newWorld(bindings...)
	w.in.Gate = plan.Gate{
		Hooks:  map[plan.Event]bool{plan.Up: true, plan.Change: true},
		Passed: map[plan.Turn]bool{}, Said: map[plan.Turn]string{}, Held: map[int]plan.Held{},
	}
	return &story{t: t, w: w}
}

// gatedTurn is a turn of the story, with what is in force remembered after it.
func (s *story) gatedTurn(what string) plan.Plan {
	s.t.Helper()
	p := plan.Compute(s.w.in)
	s.turn(what)
	closed := guard.ClosedRules()
	for _, i := range s.w.in.Installed {
		if i.Digest == closed.Digest() {
			delete(s.w.in.Gate.Held, i.Index)
		}
	}
	maps.Copy(s.w.in.Gate.Held, p.Served)
	return p
}

// pass lets through what is asked for.
func (s *story) pass(p plan.Plan) {
	for _, a := range p.Asks {
		s.w.in.Gate.Passed[a.Turn] = true
	}
}

func readdressed(b *nic.Binding, last byte) *nic.Binding {
	c := *b
	c.Addresses = binding(b.NIC, last).Addresses
	return &c
}

func TestHooks(t *testing.T) {
	b := binding("tap7", 10)
	s := gated(t, b)
	s.gatedTurn("no link: nothing to run hooks for")
	s.w.links(tap("tap7", 77))
	p := s.gatedTurn("a link: closed until the hooks have succeeded")
	s.w.in.Gate.Said[p.Asks[0].Turn] = "pre-up.d/10-vlan: exit status 1: no such VLAN"
	p = s.gatedTurn("one fails")
	s.pass(p)
	s.gatedTurn("they have succeeded")
	s.gatedTurn("nothing changes")
	changed := readdressed(b, 11)
	s.w.declare(changed)
	s.gatedTurn("another address: the old binding stays")
	s.w.installed(77).Attach = plan.Detached
	s.gatedTurn("its guard is stripped while it waits: closed, and to come up again")
	s.pass(plan.Compute(s.w.in))
	s.gatedTurn("the hooks have succeeded")
	dns := *changed
	dns.DNS = []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	s.w.declare(&dns)
	p = s.gatedTurn("only the DNS server changes: that is a change too")
	s.pass(p)
	s.gatedTurn("the hooks have succeeded")
	s.w.links(onBridge(tap("tap7", 77), 3))
	s.gatedTurn("another bridge is no other binding")
	suspended := dns
	suspended.Suspended = true
	s.w.declare(&suspended)
	s.gatedTurn("suspension waits for nobody")
	s.w.declare()
	s.gatedTurn("nor does the end")
	s.golden("hooks")
}

func onBridge(l plan.Link, bridge int) plan.Link {
	l.Master = bridge
	return l
}

// Of what an earlier process has put in force, the rules tell what it holds.
func TestHooksKeepAddressesAfterRestart(t *testing.T) {
	s := gated(t, binding("tap7", 10), binding("tap8", 11))
	delete(s.w.in.Gate.Hooks, plan.Up)
	s.w.links(tap("tap7", 77), tap("tap8", 78))
	s.w.do(plan.Compute(s.w.in))
	former := &nic.Binding{NIC: "tap7", MAC: binding("tap7", 10).MAC, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}}
	s.w.in.Gate.Held[77] = plan.Held{NIC: "tap7", Binding: former}
	s.w.declare(readdressed(binding("tap7", 10), 30), readdressed(binding("tap8", 11), 10))
	for _, ask := range plan.Compute(s.w.in).Asks {
		s.w.in.Gate.Passed[ask.Turn] = ask.NIC == "tap8"
	}
	p := plan.Compute(s.w.in)
	var waits []reason.Reason
	for _, w := range p.Waits {
		waits = append(waits, w.Reason)
	}
	if diff := cmp.Diff([]reason.Reason{reason.WaitHook, reason.WaitConflict}, waits); diff != "" || len(p.Steps) > 0 {
		t.Errorf("steps %v, waits (-want +got):\n%s", p.Steps, diff)
	}
	s.w.declare(binding("tap7", 10), binding("tap8", 11))
	if p := plan.Compute(s.w.in); len(p.Steps)+len(p.Waits) > 0 {
		t.Errorf("the binding is as its rules say, and there is something to do: %v, %v", p.Steps, p.Waits)
	}
}

// What was put in force before berthd started does not run its hooks again;
// where the rules differ, another binding comes.
func TestHooksAfterRestart(t *testing.T) {
	b := binding("tap7", 10)
	s := gated(t, b)
	s.w.links(tap("tap7", 77))
	s.pass(plan.Compute(s.w.in))
	s.gatedTurn("in force")
	restart := func() {
		s.w.in.Answering = map[int]uint64{}
		s.w.in.Gate.Passed, s.w.in.Gate.Held = map[plan.Turn]bool{}, map[int]plan.Held{}
	}
	restart()
	s.gatedTurn("berthd restarts")
	restart()
	s.w.declare(readdressed(b, 11))
	s.gatedTurn("and again, and the binding was changed meanwhile")
	s.w.links(tap("tap8", 77))
	s.w.declare(binding("tap8", 12))
	p := s.gatedTurn("it is renamed: another NIC comes up")
	s.pass(p)
	s.gatedTurn("its hooks have succeeded")
	s.golden("hooks-restart")
}

// A NIC that waits keeps what it had, so nobody else gets that meanwhile; and
// who waits for it keeps what others wait for.
func TestHooksKeepAddresses(t *testing.T) {
	a, b := binding("tap7", 10), binding("tap8", 11)
	s := gated(t, a, b)
	delete(s.w.in.Gate.Hooks, plan.Up)
	s.w.links(tap("tap7", 77), tap("tap8", 78), tap("tap9", 79))
	s.gatedTurn("no hooks before up: both in force")
	rest := *readdressed(b, 10)
	rest.Suspended = true
	s.w.declare(readdressed(a, 30), &rest, readdressed(binding("tap9", 12), 11))
	s.gatedTurn("tap8 is suspended with what tap7 has still")
	rest.Suspended = false
	s.w.declare(a, b)
	s.pass(plan.Compute(s.w.in))
	s.gatedTurn("all is as it was")
	s.w.declare(readdressed(a, 30), readdressed(b, 10), readdressed(binding("tap9", 12), 11))
	for _, ask := range plan.Compute(s.w.in).Asks {
		s.w.in.Gate.Passed[ask.Turn] = ask.NIC == "tap8"
	}
	p := s.gatedTurn("addresses are passed on, and only the first NIC's hooks have not succeeded")
	s.pass(p)
	s.gatedTurn("they have")
	s.golden("hooks-addresses")
}

func TestHooksRouted(t *testing.T) {
	b := dual("tap7", 10)
	b.Routed = true
	s := gated(t, b)
	s.w.links(tap("tap7", 77))
	p := s.gatedTurn("a routed NIC: no routes until its hooks have succeeded")
	s.pass(p)
	s.gatedTurn("they have")
	delete(s.w.in.Routed, 77)
	changed := *b
	changed.Addresses = b.Addresses[:1]
	s.w.declare(&changed)
	s.gatedTurn("it is changed, and somebody flushed its routes: the old ones stay as long as the old binding does")
	s.golden("hooks-routed")
}
