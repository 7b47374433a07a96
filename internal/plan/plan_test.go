package plan_test

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/route"
	"github.com/berth-net/berth/internal/table"
)

var update = flag.Bool("update", false, "write the golden files")

func binding(name string, last byte) *nic.Binding {
	return &nic.Binding{
		NIC: name, MAC: nic.MAC{0x52, 0x54, 0, 0xaa, 0, last},
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24)},
		Gateway:   netip.MustParseAddr("192.0.2.1"),
		DHCP4:     nic.DHCP4{Lease: 86400, MaxLease: 86400},
		Guard:     nic.Guard{Checks: nic.AllChecks(), Rate: nic.Rate{PerSecond: 50, Burst: 100}},
	}
}

func tap(name string, index int) plan.Link {
	return plan.Link{Index: index, Name: name, Kind: "tun", Ethernet: true, Up: true, OperState: "unknown"}
}

// world is a little kernel: steps done to it give the next Input. It is what
// the real edges do, without any I/O.
type world struct {
	in plan.Input
}

func newWorld(bindings ...*nic.Binding) *world {
	w := &world{in: plan.Input{Answering: map[int]uint64{}, Quiet: map[int]bool{}, Routed: map[int]route.State{}, Sealed: true, TCX: true}}
	w.declare(bindings...)
	return w
}

func (w *world) declare(bindings ...*nic.Binding) {
	w.in.Wants = plan.Wants{ByNIC: map[string]*plan.Want{}}
	for _, b := range bindings {
		w.in.Wants.ByNIC[b.NIC] = plan.NewWant(table.Entry{Binding: b}, nil)
	}
}

// do applies a plan as the agent does, guarding by clsact first.
func (w *world) do(p plan.Plan) {
	for _, s := range p.Steps {
		w.step(s)
	}
}

func (w *world) step(s plan.Step) {
	switch s.Verb {
	case plan.Arm:
		if strings.HasSuffix(s.NIC, "*") {
			w.in.Armed.Patterns = append(w.in.Armed.Patterns, s.NIC)
			return
		}
		w.in.Armed.Names = append(w.in.Armed.Names, s.NIC)
	case plan.Disarm:
		var left []string
		for _, n := range w.in.Armed.Names {
			if n != s.NIC {
				left = append(left, n)
			}
		}
		w.in.Armed.Names = left
	case plan.Hold:
		w.in.Answering[s.Index] = 0
	case plan.Silence:
		delete(w.in.Answering, s.Index)
	case plan.Quiet, plan.Prepare:
		w.in.Quiet[s.Index] = true
	case plan.Route:
		w.in.Routed[s.Index] = stateOf(s.Want)
		w.in.Common.Add(s.Want)
	case plan.Sweep:
		for _, r := range s.Want.Rules {
			delete(w.in.Common.Rules, r)
		}
		for _, p := range s.Want.Proxies {
			delete(w.in.Common.Proxies, p)
		}
	case plan.Unroute:
		delete(w.in.Routed, s.Index)
	case plan.Close, plan.Guard:
		i := w.installed(s.Index)
		i.Name, i.Digest = s.NIC, s.Rules.Digest()
		if i.Attach == plan.Detached {
			i.Attach, i.Gone = plan.Clsact, false
		}
	case plan.Answer:
		w.in.Answering[s.Index] = s.Digest
	case plan.Harden:
		w.installed(s.Index).Attach = plan.TCX
	case plan.Forget:
		delete(w.in.Answering, s.Index)
		w.in.Installed = deleteIndex(w.in.Installed, s.Index)
	}
}

func deleteIndex(all []plan.Installed, index int) []plan.Installed {
	var left []plan.Installed
	for _, i := range all {
		if i.Index != index {
			left = append(left, i)
		}
	}
	return left
}

func (w *world) installed(index int) *plan.Installed {
	for i := range w.in.Installed {
		if w.in.Installed[i].Index == index {
			return &w.in.Installed[i]
		}
	}
	w.in.Installed = append(w.in.Installed, plan.Installed{Index: index})
	return &w.in.Installed[len(w.in.Installed)-1]
}

func (w *world) links(links ...plan.Link) { w.in.Links = links }

// story records what is planned at each turn, does it, and checks that
// nothing is left to do.
type story struct {
	t    *testing.T
	w    *world
	text strings.Builder
}

func (s *story) turn(what string) {
	s.t.Helper()
	p := plan.Compute(s.w.in)
	fmt.Fprintf(&s.text, "== %s\n", what)
	for _, step := range p.Steps {
		fmt.Fprintln(&s.text, step)
	}
	for _, wait := range p.Waits {
		fmt.Fprintln(&s.text, "waiting:", wait)
	}
	s.w.do(p)
	if again := plan.Compute(s.w.in); len(again.Steps) > 0 {
		s.t.Errorf("after %q there are still steps: %v", what, again.Steps)
	}
}

func (s *story) golden(name string) {
	s.t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(s.text.String()), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), s.text.String()); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestOneNICStartToEnd(t *testing.T) {
	w := newWorld(binding("tap7", 10))
	s := &story{t: t, w: w}
	s.turn("a binding, no link yet")
	w.links(tap("tap7", 77))
	s.turn("the link appears")
	changed := binding("tap7", 11)
	changed.MAC = binding("tap7", 10).MAC
	w.declare(changed)
	s.turn("another address")
	dns := *changed
	dns.DNS = []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	w.declare(&dns)
	s.turn("only the DNS server changes")
	w.links(tap("tap7", 91))
	w.installed(77).Gone = true
	s.turn("deleted and made again with another index")
	w.in.Answering = map[int]uint64{}
	s.turn("berthd restarts")
	w.installed(91).Attach = plan.Detached
	s.turn("somebody stripped its hooks")
	w.in.Armed = plan.Armed{}
	s.turn("somebody flushed the second lock")
	w.in.Quiet = map[int]bool{}
	s.turn("somebody switched the host's IPv6 on again")
	w.declare()
	s.turn("the binding is removed")
	w.in.Release = map[string]bool{"tap7": true}
	s.turn("the NIC is released")
	s.golden("one-nic")
}

func TestIndexReuseAndRename(t *testing.T) {
	w := newWorld(binding("tap7", 10), binding("tap8", 11))
	s := &story{t: t, w: w}
	w.links(tap("tap7", 77), tap("tap8", 78))
	s.turn("two NICs")
	w.links(tap("tap8", 77), tap("tap7", 78))
	s.turn("their names are swapped: each device gets the other's rules, which its guest's MAC does not fit")
	w.links(tap("tap8", 77), tap("vnet3", 78))
	s.turn("tap7 is renamed to a name without a binding")
	w.links(tap("tap8", 77))
	w.installed(78).Gone = true
	s.turn("and deleted")
	w.links(tap("tap7", 77))
	w.installed(77).Gone = true
	s.turn("tap8 is deleted, and a new tap7 gets its index")
	w.links()
	*w.installed(77) = plan.Installed{Index: 77, Name: "tap7", Digest: w.installed(77).Digest, Moved: true}
	s.turn("tap7 is moved to another namespace")
	s.golden("rename")
}

func TestManagedPattern(t *testing.T) {
	w := newWorld()
	w.in.Policy = plan.Policy{Closed: []string{"tap*", "guest0"}}
	s := &story{t: t, w: w}
	s.turn("nothing but the policy")
	w.links(tap("tap1", 5), tap("eth9", 6), tap("guest0", 7))
	s.turn("links without a binding")
	w.declare(binding("tap1", 10))
	s.turn("one gets a binding")
	w.declare()
	s.turn("and loses it")
	s.golden("pattern")
}

func TestRefusedNICs(t *testing.T) {
	w := newWorld(binding("tap7", 10))
	w.links(tap("tap7", 77), tap("tap8", 78))
	s := &story{t: t, w: w}
	w.in.Wants.Refused = map[string]table.Refusal{"tap8": {Reason: reason.WaitRejected, Text: `nics.d/tap8.yaml:3:6: mac "xx": not a MAC`}}
	s.turn("tap8 is broken from the start: closed")
	refused := w.in.Wants.Refused
	w.declare()
	w.in.Wants.Refused = map[string]table.Refusal{
		"tap8": refused["tap8"],
		"tap7": {Reason: reason.WaitRejected, Text: "state lost"},
	}
	s.turn("tap7 loses its binding to a broken file: what stands is kept")
	s.golden("refused")
}

func TestUnfitLinks(t *testing.T) {
	bridge := tap("br0", 3)
	bridge.Kind = "bridge"
	uplink := tap("eth0", 2)
	uplink.Kind = ""
	tun := tap("tun0", 4)
	tun.Ethernet = false
	loopback := plan.Link{Index: 1, Name: "lo", Loopback: true}
	w := newWorld(binding("br0", 1), binding("eth0", 2), binding("tun0", 3), binding("lo", 4), binding("vf0", 5), binding("no0", 6))
	vf := tap("vf0", 8)
	vf.Kind = ""
	w.links(loopback, uplink, bridge, tun, vf, tap("no0", 9))
	w.in.Policy = plan.Policy{Allow: []string{"vf*"}, Deny: []string{"no*"}}
	s := &story{t: t, w: w}
	s.turn("bindings for what is no guest's port")
	s.golden("unfit")
}

func stateOf(w route.Want) route.State {
	s := route.State{Routes: w.Routes}
	for _, a := range w.Neighbours {
		s.Neighbours = append(s.Neighbours, route.Neighbour{Addr: a, MAC: w.MAC})
	}
	return s
}

func dual(name string, last byte) *nic.Binding {
	b := binding(name, last)
	b.Addresses = append(b.Addresses, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: last}), 64))
	b.Gateway6 = netip.MustParseAddr("fe80::1")
	return b
}

func TestIPv6(t *testing.T) {
	w := newWorld(dual("tap7", 10))
	s := &story{t: t, w: w}
	port := tap("tap7", 77)
	port.Master = 3
	w.links(port)
	s.turn("a dual-stack NIC on a bridge")
	port.Master = 4
	w.links(port)
	s.turn("it is moved to another bridge: its link-locals are told apart from others there")
	prefix := dual("tap7", 10)
	prefix.SLAAC = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
	prefix.Delegated = []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/56")}
	w.declare(prefix)
	s.turn("prefixes are added")
	w.declare(binding("tap7", 10))
	s.turn("it loses its IPv6")
	s.golden("ipv6")
}

func TestRouted(t *testing.T) {
	b := dual("tap7", 10)
	b.Routed, b.Neighbours = true, nic.NeighboursAll
	w := newWorld(b)
	s := &story{t: t, w: w}
	down := tap("tap7", 77)
	down.Up = false
	w.links(down)
	s.turn("a routed NIC whose link is down")
	w.links(tap("tap7", 77))
	s.turn("it comes up")
	delete(w.in.Routed, 77)
	s.turn("somebody flushed the routes")
	changed := *b
	changed.Addresses = b.Addresses[1:]
	w.declare(&changed)
	s.turn("it loses its IPv4 address")
	bridged := dual("tap7", 10)
	w.declare(bridged)
	w.in.Quiet[77] = false
	s.turn("it is routed no longer")
	w.declare(b)
	w.in.Quiet[77] = false
	s.turn("and again")
	w.declare()
	w.in.Quiet[77] = false
	s.turn("its binding is removed")
	s.golden("routed")
}

// TestUplink: what tells the site of a routed NIC does not go with a link, so
// it is taken away by itself, and nothing of another NIC's is.
func TestUplink(t *testing.T) {
	b := dual("tap7", 10)
	b.Routed, b.Neighbours, b.Routing = true, nic.NeighboursAll, nic.Routing{Table: 100, Uplink: "up0"}
	twin := *b // of another network, with the same addresses
	twin.NIC, twin.Network, twin.MAC, twin.Routing = "tap8", "other", nic.MAC{0x52, 0x54, 0, 0xaa, 0, 9}, nic.Routing{Table: 200, Uplink: "up1"}
	w := newWorld(b, &twin)
	s := &story{t: t, w: w}
	seven, eight, up0, up1, up2 := tap("tap7", 77), tap("tap8", 78), tap("up0", 2), tap("up1", 3), tap("up2", 4)
	w.links(seven, eight, up0, up1, up2)
	s.turn("two routed NICs, each with a table and an uplink")
	moved := *b
	moved.Routing = nic.Routing{Table: 101, Uplink: "up2"}
	w.declare(&moved, &twin)
	s.turn("one gets another table and uplink")
	up2.Up = false
	w.links(seven, eight, up0, up1, up2)
	maps.DeleteFunc(w.in.Common.Proxies, func(p route.Proxy, _ bool) bool { return p.Uplink == "up2" })
	s.turn("the uplink goes down and takes the entries along")
	up2.Up = true
	w.links(seven, eight, up0, up1, up2)
	s.turn("and comes back")
	seven.Up = false
	w.links(seven, eight, up0, up1, up2)
	delete(w.in.Routed, 77)
	s.turn("the NIC's own link goes down and takes the routes along")
	seven.Up = true
	w.links(seven, eight, up0, up1, up2)
	s.turn("and comes back")
	w.in.Sealed = false
	w.declare(&twin)
	s.turn("no source has spoken yet: nothing is taken away")
	w.in.Sealed = true
	w.in.Wants.Refused = map[string]table.Refusal{"tap7": {Reason: reason.WaitConflict, Text: "no"}}
	s.turn("a declaration that cannot be used keeps what its NIC has")
	w.links(eight, up0, up1, up2)
	delete(w.in.Routed, 77)
	s.turn("its link is gone")
	w.declare()
	s.turn("all bindings are removed")
	s.golden("uplink")
}

// A berthd that was stopped on the way may have let go of a link and not yet of
// the routes to it. They go, but no earlier than it is known what is wanted.
func TestStrayRoutes(t *testing.T) {
	w := newWorld(binding("tap7", 10))
	w.links(tap("tap7", 77), tap("eth9", 78))
	w.do(plan.Compute(w.in))
	w.in.Routed[78] = route.State{Routes: []route.Route{{To: netip.MustParsePrefix("192.0.2.99/32")}}}
	w.in.Routed[79] = w.in.Routed[78] // of a link that is gone: so are they
	w.in.Sealed = false
	if p := plan.Compute(w.in); len(p.Steps) != 0 {
		t.Errorf("steps before the sources have reported: %v", p.Steps)
	}
	w.in.Sealed = true
	if p := plan.Compute(w.in); len(p.Steps) != 1 || p.Steps[0].String() != "unroute eth9#78" {
		t.Errorf("steps %v, want unroute eth9#78", p.Steps)
	}
}

// An address that goes from one routed NIC to another is first taken from the
// one that had it, whatever their names.
func TestRoutesChangeHands(t *testing.T) {
	routed := func(name string, hosts ...byte) *nic.Binding {
		b := binding(name, hosts[0])
		for _, h := range hosts[1:] {
			b.Addresses = append(b.Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, h}), 24))
		}
		b.Routed = true
		return b
	}
	for _, from := range []string{"tap7", "tap8"} {
		to := map[string]string{"tap7": "tap8", "tap8": "tap7"}[from]
		w := newWorld(routed(from, 10, 30), routed(to, 11))
		w.links(tap("tap7", 77), tap("tap8", 78))
		w.do(plan.Compute(w.in))
		w.declare(routed(from, 10), routed(to, 11, 30))
		var order []string
		for _, s := range plan.Compute(w.in).Steps {
			if s.Verb == plan.Route {
				order = append(order, s.NIC)
			}
		}
		if diff := cmp.Diff([]string{from, to}, order); diff != "" {
			t.Errorf("from %s to %s (-want +got):\n%s", from, to, diff)
		}
	}
}

func TestServerIDFromInterface(t *testing.T) {
	b := binding("tap7", 10)
	b.DHCP4.ServerID = nic.ServerID{Kind: nic.ServerIDInterface}
	w := newWorld(b)
	w.links(tap("tap7", 77))
	s := &story{t: t, w: w}
	s.turn("the interface has no address: guarded, not answered")
	l := tap("tap7", 77)
	l.IPv4 = []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	w.links(l)
	s.turn("it gets one")
	w.links(tap("tap7", 77))
	s.turn("and loses it")
	s.golden("server-id")
}

// Before every source has reported, nothing that stands is taken away.
func TestUnsealedTakesNothingAway(t *testing.T) {
	closed := guard.ClosedRules()
	w := newWorld()
	w.in.Sealed = false
	w.in.Installed = []plan.Installed{{Index: 77, Name: "tap7", Attach: plan.TCX, Digest: 42}, {Index: 78, Name: "tap8", Attach: plan.Clsact, Digest: closed.Digest()}}
	w.in.Armed.Names = []string{"tap7", "tap8"}
	w.links(tap("tap7", 77), tap("tap8", 78))
	if p := plan.Compute(w.in); len(p.Steps) != 0 {
		t.Errorf("steps before the sources have reported: %v", p.Steps)
	}
}

// Whatever changes, a guard comes before its answer, and an answer that no
// longer fits is held or silenced before the rules change.
func TestOrderIsSafe(t *testing.T) {
	for _, v := range []plan.Verb{plan.Hold, plan.Silence} {
		if v > plan.Close || v > plan.Guard {
			t.Errorf("%s comes after the rules change", v)
		}
	}
	if plan.Arm > plan.Guard || plan.Guard > plan.Answer || plan.Close > plan.Answer || plan.Forget > plan.Disarm {
		t.Error("arm, guard, answer, forget, disarm is the only safe order")
	}
	// The routes of a host may be somebody else's: that must not keep a NIC open, or silent.
	if plan.Unroute < plan.Close || plan.Route < plan.Answer {
		t.Error("a route that fails costs its NIC more than the route")
	}
}
