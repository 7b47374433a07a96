package datapath

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// chosen is the i-th link-local of a guest's choice.
func chosen(i byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: 0x7c, 15: i})
}

func (o *oracle) sends(src netip.Addr, want reason.Reason) {
	o.Helper()
	v := o.judge(false, corpus.From6(src))
	if v.Reason != want {
		o.Errorf("from %s: %s for %s, want %s", src, v.Action, v.Reason, want)
	}
}

func (o *oracle) holds(want ...netip.Addr) {
	o.Helper()
	got, err := o.k.Claimed(lo)
	if err != nil {
		o.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		o.Errorf("link-locals held (-want +got):\n%s", diff)
	}
}

// idle makes a link-local look unused for so long.
func (o *oracle) idle(a netip.Addr, since time.Duration) {
	o.Helper()
	key := berthLocalKey{Segment: o.rules.Segment, Addr: in6Of(a)}
	var l berthLocal
	if err := o.k.maps.Locals.Lookup(&key, &l); err != nil {
		o.Fatalf("%s is not held: %v", a, err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		o.Fatal(err)
	}
	l.UsedNs = uint64(now.Nano() - since.Nanoseconds())
	if err := o.k.maps.Locals.Update(&key, &l, ebpf.UpdateExist); err != nil {
		o.Fatal(err)
	}
}

func (o *oracle) entries() int {
	o.Helper()
	var key berthLocalKey
	var l berthLocal
	n := 0
	for it := o.k.maps.Locals.Iterate(); it.Next(&key, &l); {
		n++
	}
	return n
}

// A NIC that uses four has the one unused for longest replaced, but never one
// used within ten minutes.
func TestLinkLocalsGiveWayWhenIdle(t *testing.T) {
	o := newOracle(t)
	b := corpus.Binding()
	o.use(guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4}))
	for i := range byte(4) {
		o.sends(chosen(i), reason.None)
	}
	o.sends(chosen(4), reason.LLLimit)
	o.idle(chosen(1), 9*time.Minute)
	o.sends(chosen(4), reason.LLLimit)
	o.idle(chosen(1), 20*time.Minute)
	o.idle(chosen(2), 30*time.Minute)
	o.sends(chosen(4), reason.None)
	o.holds(chosen(0), chosen(1), chosen(3), chosen(4))
	o.sends(chosen(1), reason.None) // and is used again
	o.sends(chosen(2), reason.LLLimit)
}

// Reservations take an address from whoever claimed it, and are given back.
func TestLinkLocalReservations(t *testing.T) {
	o := newOracle(t)
	b := corpus.Binding()
	o.use(guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4}))
	gateway, later := netip.MustParseAddr("fe80::99"), nic.MAC{0x52, 0x54, 0, 0xcc, 0, 3}
	o.sends(gateway, reason.None)
	o.sends(later.EUI64(), reason.None)
	other := corpus.Binding()
	other.MAC, other.Gateway6 = later, gateway
	theirs := guard.Compile(other).On(other, guard.Site{Segment: 7, ServerID: corpus.G4})
	for index := range 2 { // two NICs that name the same gateway
		if err := o.k.fill(10+index, fmt.Sprint("tap", index), &theirs); err != nil {
			t.Fatal(err)
		}
	}
	o.sends(gateway, reason.LLTaken)
	o.sends(later.EUI64(), reason.LLTaken)
	o.holds()
	if err := o.k.Forget(10); err != nil {
		t.Fatal(err)
	}
	o.sends(gateway, reason.LLTaken) // the second still names it
	if err := o.k.Forget(11); err != nil {
		t.Fatal(err)
	}
	o.sends(gateway, reason.None)
	o.sends(later.EUI64(), reason.None)
	o.holds(gateway, later.EUI64())
}

// What a NIC holds belongs to its segment; with the NIC everything goes.
func TestLinkLocalsFollowTheSegment(t *testing.T) {
	o := newOracle(t)
	if err := o.k.Forget(lo); err != nil {
		t.Fatal(err)
	}
	b := corpus.Binding()
	rules := func(segment uint32) guard.Rules {
		return guard.Compile(b).On(b, guard.Site{Segment: segment, ServerID: corpus.G4})
	}
	o.use(rules(7))
	o.sends(corpus.LLS, reason.None)
	o.holds(corpus.LLS)
	moved := rules(8)
	if err := o.k.fill(lo, "lo", &moved); err != nil {
		t.Fatal(err)
	}
	o.holds()
	o.rules = moved
	o.sends(corpus.LLS, reason.None)
	o.sends(corpus.BLL, reason.None) // the neighbour is on the other segment
	o.holds(corpus.BLL, corpus.LLS)
	if err := o.k.Forget(lo); err != nil {
		t.Fatal(err)
	}
	if err := o.k.Forget(neighbour); err != nil {
		t.Fatal(err)
	}
	if n := o.entries(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// A crash between the tables leaves what the next start mends.
func TestLinkLocalsAreSwept(t *testing.T) {
	o := newOracle(t)
	b := corpus.Binding()
	o.use(guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4}))
	o.sends(corpus.LLS, reason.None)
	before := o.entries()
	put := func(key berthLocalKey, l berthLocal) {
		if err := o.k.maps.Locals.Update(&key, &l, ebpf.UpdateAny); err != nil {
			t.Fatal(err)
		}
	}
	put(berthLocalKey{Segment: 7, Addr: in6Of(chosen(1))}, berthLocal{Holder: 4711})         // of no NIC
	put(berthLocalKey{Segment: 7, Addr: in6Of(chosen(2))}, berthLocal{Users: 3})             // a gateway that nobody names
	put(berthLocalKey{Segment: 7, Addr: in6Of(corpus.GLL)}, berthLocal{Holder: 0, Users: 9}) // counted wrongly
	if err := o.k.sweepLocals(); err != nil {
		t.Fatal(err)
	}
	if n := o.entries(); n != before {
		t.Errorf("%d entries after the sweep, want %d", n, before)
	}
	o.holds(corpus.LLS)
	var l berthLocal
	if err := o.k.maps.Locals.Lookup(&berthLocalKey{Segment: 7, Addr: in6Of(corpus.GLL)}, &l); err != nil || l.Users != 2 {
		t.Errorf("the gateway is named by %d NICs, %v; want 2", l.Users, err)
	}
}

// fills puts rules in force for one more NIC of the segment.
func (o *oracle) fills(index int, change func(*nic.Binding)) {
	o.Helper()
	b := corpus.Binding()
	b.MAC, b.Gateway6 = nic.MAC{0x52, 0x54, 0, 0xcc, 0, byte(index)}, netip.Addr{}
	change(b)
	r := guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4})
	if err := o.k.fill(index, fmt.Sprint("tap", index), &r); err != nil {
		o.Fatal(err)
	}
}

func (o *oracle) forgets(index int) {
	o.Helper()
	if err := o.k.Forget(index); err != nil {
		o.Fatal(err)
	}
}

// A gateway that is itself a NIC stays out of reach as long as anybody names
// it, whichever of them comes, changes and goes.
func TestGatewayThatIsANIC(t *testing.T) {
	for name, router := range map[string]func(*nic.Binding){
		"EUI-64": func(*nic.Binding) {},
		"fixed": func(b *nic.Binding) {
			b.LinkLocal = nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{nic.MAC{0x52, 0x54, 0, 0xcc, 0, 20}.EUI64()}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOracle(t)
			b := corpus.Binding()
			b.Gateway6 = netip.Addr{}
			o.use(guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4}))
			gateway := nic.MAC{0x52, 0x54, 0, 0xcc, 0, 20}.EUI64()
			names := func(b *nic.Binding) { b.Gateway6 = gateway }
			o.fills(21, func(b *nic.Binding) { b.Guard.Routers = []netip.Addr{chosen(1), gateway} })
			o.fills(20, router)
			o.fills(22, names)
			o.fills(20, func(b *nic.Binding) { router(b); b.Guard.Router = true })
			o.sends(gateway, reason.LLTaken)
			o.forgets(22)
			o.sends(gateway, reason.LLTaken)
			o.forgets(20)
			o.sends(gateway, reason.LLTaken) // another still names it
			o.fills(20, router)
			o.forgets(21)
			o.sends(gateway, reason.LLTaken) // it is the router's own
			o.forgets(20)
			o.sends(gateway, reason.None)
		})
	}
}

// Routers besides the gateway are out of reach as long as anybody names them,
// as gateway or as one of the rest, whatever is changed in between.
func TestFurtherRouters(t *testing.T) {
	o := newOracle(t)
	o.use(variants()["enforce"])
	first, second, gateway := chosen(1), chosen(2), chosen(3)
	before := o.entries()
	for _, a := range []netip.Addr{first, second, gateway} {
		o.sends(a, reason.None)
	}
	names := func(gateway netip.Addr, routers ...netip.Addr) func(*nic.Binding) {
		return func(b *nic.Binding) { b.Gateway6, b.Guard.Routers = gateway, routers }
	}
	o.fills(20, names(gateway, second, gateway, first))
	o.users(map[netip.Addr]uint32{first: 1, second: 1, gateway: 1}) // the gateway is counted once
	if r, _, err := o.k.Rules(20); err != nil || !slices.Equal(r.Routers, []netip.Addr{first, second}) {
		t.Errorf("routers read back: %v, %v", r.Routers, err)
	}
	o.fills(21, names(netip.Addr{}, first, second))
	o.fills(21, names(first, second)) // one becomes the gateway
	o.users(map[netip.Addr]uint32{first: 2, second: 2, gateway: 1})
	for _, a := range []netip.Addr{first, second, gateway} {
		o.sends(a, reason.LLTaken)
	}
	o.holds()
	o.fills(20, names(gateway, second))
	o.forgets(21)
	o.users(map[netip.Addr]uint32{second: 1, gateway: 1})
	o.sends(second, reason.LLTaken)
	o.sends(gateway, reason.LLTaken)
	o.sends(first, reason.None)
	o.forgets(20)
	o.sends(second, reason.None)
	o.holds(first, second)
	if n := o.entries(); n != before+2 {
		t.Errorf("%d entries, want %d and two claims", n, before)
	}
}

// users compares how many NICs keep each link-local of the segment; nobody
// holds them.
func (o *oracle) users(want map[netip.Addr]uint32) {
	o.Helper()
	got := map[netip.Addr]uint32{}
	for a := range want {
		var l berthLocal
		if err := o.k.maps.Locals.Lookup(&berthLocalKey{Segment: 7, Addr: in6Of(a)}, &l); err != nil || l.Holder != guard.Nobody {
			o.Errorf("%s is held by %d, %v", a, l.Holder, err)
		}
		got[a] = l.Users
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		o.Errorf("users (-want +got):\n%s", diff)
	}
}

// A crash leaves neither a router that nobody names nor one counted wrongly.
func TestFurtherRoutersAreSwept(t *testing.T) {
	o := newOracle(t)
	o.use(variants()["enforce"])
	o.fills(20, func(b *nic.Binding) { b.Guard.Routers = []netip.Addr{chosen(1), chosen(2)} })
	before := o.entries()
	for i, l := range []berthLocal{1: {Holder: lo}, 2: {Users: 9}, 3: {Users: 1}} {
		key := berthLocalKey{Segment: 7, Addr: in6Of(chosen(byte(i)))}
		if err := o.k.maps.Locals.Update(&key, &l, ebpf.UpdateAny); i > 0 && err != nil {
			t.Fatal(err)
		}
	}
	if err := o.k.sweepLocals(); err != nil {
		t.Fatal(err)
	}
	o.users(map[netip.Addr]uint32{chosen(1): 1, chosen(2): 1})
	o.sends(chosen(1), reason.LLTaken)
	o.sends(chosen(3), reason.None) // nobody names it
	if n := o.entries(); n != before+1 {
		t.Errorf("%d entries after the sweep, want %d and a claim", n, before)
	}
}

// What two NICs are fixed to is kept until both are gone.
func TestLinkLocalFixedTwice(t *testing.T) {
	o := newOracle(t)
	o.use(variants()["enforce"])
	shared := netip.MustParseAddr("fe80::112")
	for _, index := range []int{20, 21} {
		o.fills(index, func(b *nic.Binding) {
			b.LinkLocal = nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{shared}}
		})
	}
	o.sends(shared, reason.LLTaken)
	o.forgets(21)
	o.sends(shared, reason.LLTaken)
	o.forgets(20)
	o.sends(shared, reason.None)
}

// A claim that no place notes goes at the next start.
func TestClaimWithoutAPlace(t *testing.T) {
	o := newOracle(t)
	o.use(variants()["enforce"])
	o.sends(corpus.LLS, reason.None)
	before := o.entries()
	key := berthLocalKey{Segment: 7, Addr: in6Of(chosen(1))}
	if err := o.k.maps.Locals.Update(&key, &berthLocal{Holder: lo}, ebpf.UpdateAny); err != nil {
		t.Fatal(err)
	}
	if err := o.k.sweepLocals(); err != nil {
		t.Fatal(err)
	}
	if n := o.entries(); n != before {
		t.Errorf("%d entries after the sweep, want %d", n, before)
	}
	o.holds(corpus.LLS)
}
