package hostroute

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/route"
	"github.com/berth-net/berth/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func openIn(t testing.TB, ns *testenv.NS) *Table {
	t.Helper()
	var table *Table
	var err error
	ns.Do(func() { table, err = Open() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Close)
	return table
}

func prepareIn(t testing.TB, ns *testenv.NS, name string) {
	t.Helper()
	var err error
	ns.Do(func() { err = Prepare(name) })
	if err != nil {
		t.Fatal(err)
	}
}

// port makes a prepared interface that is up.
func port(t testing.TB, ns *testenv.NS, name string) int {
	t.Helper()
	testenv.Tap(t, ns, name)
	prepareIn(t, ns, name)
	return ns.Index(name)
}

// wanted is Of on a link.
func wanted(index int, b *nic.Binding) route.Want {
	w := route.Of(b)
	w.Index = index
	return w
}

func apply(t testing.TB, table *Table, w route.Want) {
	t.Helper()
	if err := table.Apply(installed(t, table)[w.Index], w); err != nil {
		t.Fatal(err)
	}
	holds(t, table, w)
}

func holds(t testing.TB, table *Table, w route.Want) {
	t.Helper()
	have := installed(t, table)[w.Index]
	if diff := cmp.Diff(state(w), have, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || !have.Is(w) {
		t.Errorf("link %d, -want +have:\n%s", w.Index, diff)
	}
}

func installed(t testing.TB, table *Table) map[int]route.State {
	t.Helper()
	all, err := table.Installed()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// shown is what iproute2 sees of ours, and of the neighbours on tap7.
func shown(ns *testenv.NS) string {
	out := ns.Sh(`ip -4 route show table all proto 98; ip -6 route show table all proto 98; ip neigh show dev tap7 nud permanent proto 98 | sort`)
	lines := strings.Split(out, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n")
}

func TestKernelApply(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	index := port(t, ns, "tap7")
	if all := installed(t, table); len(all) != 0 {
		t.Errorf("before anything, %v", all)
	}
	w := wanted(index, routed())
	apply(t, table, w)
	want := `192.0.2.9 dev tap7 scope link
192.0.2.10 dev tap7 scope link
203.0.113.0/28 via 192.0.2.10 dev tap7 onlink
203.0.113.77 dev tap7 scope link
2001:db8:1::10 dev tap7 metric 1024 pref medium
2001:db8:a::/64 via fe80::5054:ff:feaa:1 dev tap7 metric 1024 onlink pref medium
2001:db8:100::/56 via fe80::5054:ff:feaa:1 dev tap7 metric 1024 onlink pref medium
2001:db8:200::/48 via fe80::5054:ff:feaa:1 dev tap7 metric 1024 onlink pref medium
192.0.2.10 lladdr 52:54:00:aa:00:01 PERMANENT proto 98
192.0.2.9 lladdr 52:54:00:aa:00:01 PERMANENT proto 98
2001:db8:1::10 lladdr 52:54:00:aa:00:01 PERMANENT proto 98
203.0.113.77 lladdr 52:54:00:aa:00:01 PERMANENT proto 98
fe80::5054:ff:feaa:1 lladdr 52:54:00:aa:00:01 PERMANENT proto 98
`
	if diff := cmp.Diff(want, shown(ns)); diff != "" {
		t.Errorf("-want +iproute2:\n%s", diff)
	}
	apply(t, table, w) // again: the same
	if err := table.Apply(route.State{}, w); err != nil {
		t.Errorf("with old knowledge: %v", err)
	}
	holds(t, table, w)

	moved := routed()
	moved.MAC[5] = 2
	moved.Addresses = prefixes("192.0.2.11/24 2001:db8:1::10/64")
	moved.SLAAC = nil
	apply(t, table, wanted(index, moved))

	if err := table.Remove(index); err != nil {
		t.Fatal(err)
	}
	if out := shown(ns); out != "" {
		t.Errorf("left behind:\n%s", out)
	}
}

// TestKernelNoGap changes the next hop and the MAC while the kernel tells of
// every change: nothing that stays wanted is taken away in between.
func TestKernelNoGap(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	index := port(t, ns, "tap7")
	apply(t, table, wanted(index, routed()))
	events := listen(t, ns)
	moved := routed()
	moved.MAC[5] = 2
	moved.Addresses = moved.Addresses[1:] // the IPv4 next hop goes
	apply(t, table, wanted(index, moved))
	var deleted []string
	for _, e := range events() {
		if strings.HasPrefix(e, "del ") {
			deleted = append(deleted, e)
		}
	}
	want := []string{"del route 192.0.2.10/32", "del neighbour 192.0.2.10", "del neighbour " + guestLL}
	if diff := cmp.Diff(want, deleted); diff != "" {
		t.Errorf("-want +deleted:\n%s", diff)
	}
}

// TestKernelForeign: what another one routes stays with that one and is named,
// and the rest is done.
func TestKernelForeign(t *testing.T) {
	for _, c := range []struct {
		name, route string
		binding     func(*nic.Binding)
		say         string // %d is the other link
		lost        string
	}{
		{"the same", "192.0.2.9/32 dev other", nil, "192.0.2.9/32 dev #N proto 3", "192.0.2.9/32"},
		{"another metric", "192.0.2.9/32 dev other metric 7", nil, "192.0.2.9/32 dev #N proto 3", "192.0.2.9/32"},
		{"another table's", "local 192.0.2.9/32 dev other table local", nil, "local 192.0.2.9/32 dev #N proto 3", "192.0.2.9/32"},
		{"own of the host", "10.0.0.0/8 dev other; ip addr add 192.0.2.9/32 dev lo", nil, "local 192.0.2.9/32 dev #1 proto 2", "192.0.2.9/32"},
		{"prefix", "203.0.113.0/28 dev other", nil, "203.0.113.0/28 dev #N proto 3", "203.0.113.0/28"},
		{"IPv6", "2001:db8:1::10/128 dev other", nil, "2001:db8:1::10/128 dev #N proto 3", "2001:db8:1::10/128"},
		{"IPv6 metric", "2001:db8:1::10/128 dev other metric 7", nil, "2001:db8:1::10/128 dev #N proto 3", "2001:db8:1::10/128"},
		{"IPv6 prefix", "2001:db8:a::/64 via fe80::9 dev other", nil, "2001:db8:a::/64 via fe80::9 dev #N proto 3", "2001:db8:a::/64"},
		{"hidden by a longer one", "203.0.113.0/28 dev other", func(b *nic.Binding) {
			b.Addresses = prefixes("203.0.113.0/31")
		}, "route 203.0.113.0/28: there is another route to it", "203.0.113.0/28"},
		{"unreachable host", "unreachable 192.0.2.9/32", nil, "route 192.0.2.9/32: there is another route to it", "192.0.2.9/32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := testenv.NewNS(t)
			table := openIn(t, ns)
			index, other := port(t, ns, "tap7"), port(t, ns, "other")
			ns.Sh("ip route add " + c.route)
			before := ns.Sh("ip -4 route show table all dev other; ip -6 route show table all dev other")
			b := routed()
			if c.binding != nil {
				c.binding(b)
			}
			w := wanted(index, b)
			err := table.Apply(route.State{}, w)
			say := strings.Replace(c.say, "#N", "#"+itoa(other), 1)
			if err == nil || !strings.Contains(err.Error(), say) {
				t.Errorf("error %v does not say %q", err, say)
			}
			if after := ns.Sh("ip -4 route show table all dev other; ip -6 route show table all dev other"); after != before {
				t.Errorf("the foreign routes went from\n%sto\n%s", before, after)
			}
			rest := w
			rest.Routes = nil
			for _, r := range w.Routes {
				if r.To.String() != c.lost {
					rest.Routes = append(rest.Routes, r)
				}
			}
			holds(t, table, rest)
		})
	}
}

// TestKernelUnreachable: an unreachable route that covers an address is how
// routers keep packets from looping; it is not in the way.
func TestKernelUnreachable(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	index := port(t, ns, "tap7")
	ns.Sh("ip route add blackhole 192.0.2.0/24; ip route add unreachable 203.0.0.0/8; ip -6 route add unreachable 2001:db8::/32")
	apply(t, table, wanted(index, routed()))
}

// TestKernelTwoLinks: an address moves between two of our own NICs, in the
// right order and in the wrong one.
func TestKernelTwoLinks(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	one, two := port(t, ns, "tap1"), port(t, ns, "tap2")
	a := &nic.Binding{MAC: guestMAC, Routed: true, Addresses: prefixes("192.0.2.10/24 2001:db8:1::10/64")}
	b := &nic.Binding{MAC: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 2}, Routed: true, Addresses: prefixes("192.0.2.20/24 192.0.2.10/24")}
	apply(t, table, wanted(one, a))
	err := table.Apply(route.State{}, wanted(two, b))
	if err == nil || !strings.Contains(err.Error(), "192.0.2.10/32 dev #"+itoa(one)+" proto 98") {
		t.Errorf("the other NIC of ours is not named: %v", err)
	}
	holds(t, table, wanted(one, a))
	if err := table.Remove(one); err != nil {
		t.Fatal(err)
	}
	apply(t, table, wanted(two, b))
	if all := installed(t, table); len(all) != 1 {
		t.Errorf("more than one link has something: %v", all)
	}
}

// TestKernelReadBack: what others have on the link is not ours, what somebody
// took away is missed, and a dynamic entry is no permanent one.
func TestKernelReadBack(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	index := port(t, ns, "tap7")
	ns.Sh(`ip route add 10.0.0.0/8 dev tap7; ip -6 route add 2001:db8:ffff::/64 dev tap7
		ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev tap7 nud permanent
		ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:01 dev tap7 nud reachable`)
	if all := installed(t, table); len(all) != 0 {
		t.Errorf("foreign ones were taken for ours: %v", all)
	}
	w := wanted(index, routed())
	apply(t, table, w)
	ns.Sh(`ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:01 dev tap7 nud permanent
		ip neigh del 192.0.2.10 dev tap7; ip -6 route del 2001:db8:a::/64 dev tap7`)
	if installed(t, table)[index].Is(w) {
		t.Error("the damage is not seen")
	}
	apply(t, table, w)
	if err := table.Remove(index); err != nil {
		t.Fatal(err)
	}
	out := ns.Sh("ip route show dev tap7; ip -6 route show dev tap7; ip neigh show dev tap7 nud permanent")
	for _, foreign := range []string{"10.0.0.0/8", "2001:db8:ffff::/64", "10.0.0.1 lladdr"} {
		if !strings.Contains(out, foreign) {
			t.Errorf("%s is gone:\n%s", foreign, out)
		}
	}
}

// TestKernelLinkStates: down takes all along, and so does the end of the link.
func TestKernelLinkStates(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	index := port(t, ns, "tap7")
	w := wanted(index, routed())
	apply(t, table, w)
	ns.Exec("ip", "link", "set", "tap7", "down")
	if all := installed(t, table); len(all) != 0 {
		t.Errorf("down, and left: %v", all)
	}
	if err := table.Apply(route.State{}, w); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("on a link that is down: %v", err)
	}
	ns.SetUp("tap7")
	apply(t, table, w)
	ns.Delete("tap7")
	if err := table.Remove(index); err != nil {
		t.Errorf("remove from a link that is gone: %v", err)
	}
	if err := table.Apply(route.State{}, w); !errors.Is(err, unix.ENODEV) {
		t.Errorf("apply to a link that is gone: %v", err)
	}
	for _, bad := range []int{0, -1} {
		if table.Apply(route.State{}, route.Want{Index: bad}) == nil {
			t.Errorf("index %d was accepted", bad)
		}
	}
}
