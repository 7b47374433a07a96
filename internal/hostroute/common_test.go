package hostroute

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/route"
	"github.com/berth-net/berth/internal/testenv"
)

// towards is a NIC with a table and an uplink, and something of both families.
func towards(table uint32, uplink string) *nic.Binding {
	return &nic.Binding{
		NIC: "tap7", MAC: guestMAC, Routed: true,
		Addresses: prefixes("192.0.2.10/24 2001:db8:1::10/64"), SLAAC: prefixes("2001:db8:a::/64"),
		Routing: nic.Routing{Table: table, Uplink: uplink},
	}
}

// common is what the kernel has, after a comparison with what iproute2 says.
func common(t testing.TB, table *Table) route.Common {
	t.Helper()
	c, err := table.Common()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func trimmed(out string) string {
	lines := strings.Split(out, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n")
}

const showCommon = `ip -4 route show table 100; ip -6 route show table 100
	ip -4 rule show iif tap7; ip -6 rule show iif tap7; ip neigh show proxy | sort; ip -4 route show proto 98; ip -6 route show proto 98`

func TestKernelCommon(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	index := port(t, ns, "tap7")
	testenv.Tap(t, ns, "up0")
	ns.Sh(`ip route add 10.0.0.0/8 dev up0 table 100; ip rule add iif up0 lookup 100 pref 77
		ip neigh add proxy 192.0.2.99 dev up0; ip rule add iif tap7 lookup 7 pref 9801
		ip -6 route add 2001:db8:ffff::/48 dev up0 table 100`)
	before := ns.Sh(showCommon)
	w := wanted(index, towards(100, "up0"))
	apply(t, table, w)
	const want = `10.0.0.0/8 dev up0 scope link
192.0.2.10 dev tap7 proto 98 scope link
2001:db8:1::10 dev tap7 proto 98 metric 1024 pref medium
2001:db8:a::/64 via fe80::5054:ff:feaa:1 dev tap7 proto 98 metric 1024 onlink pref medium
2001:db8:ffff::/48 dev up0 metric 1024 pref medium
9800:	from all iif tap7 lookup 100 proto 98
9801:	from all iif tap7 lookup 7
9800:	from all iif tap7 lookup 100 proto 98
192.0.2.10 dev up0 proxy proto 98
192.0.2.99 dev up0 proxy
2001:db8:1::10 dev up0 proxy proto 98
`
	if diff := cmp.Diff(want, trimmed(ns.Sh(showCommon))); diff != "" {
		t.Errorf("-want +shown:\n%s", diff)
	}
	if c := common(t, table); !c.Has(w) {
		t.Errorf("read back %v, want\n%v", c, w)
	}
	apply(t, table, w) // again changes nothing
	if diff := cmp.Diff(want, trimmed(ns.Sh(showCommon))); diff != "" {
		t.Errorf("after the same again, -want +shown:\n%s", diff)
	}

	if err := table.Remove(index); err != nil {
		t.Fatal(err)
	}
	var all route.Common
	all.Add(w)
	for range 2 { // what is gone is no error
		if err := table.Sweep(all); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, ns.Sh(showCommon)); diff != "" {
		t.Errorf("what was there before (-before +after):\n%s", diff)
	}
}

// TestKernelCommonLost: what a link takes along is missed, and what it leaves
// behind is still seen for ours.
func TestKernelCommonLost(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	index := port(t, ns, "tap7")
	testenv.Tap(t, ns, "up0")
	w := wanted(index, towards(100, "up0"))
	apply(t, table, w)
	ns.Exec("ip", "link", "set", "up0", "down")
	if c := common(t, table); len(c.Proxies) != 0 || len(c.Rules) != 2 {
		t.Errorf("the uplink is down: %v", c)
	}
	ns.SetUp("up0")
	apply(t, table, w)
	ns.Delete("tap7")
	c := common(t, table)
	if !c.Has(w) {
		t.Errorf("the NIC is gone: %v", c)
	}
	ns.Delete("up0")
	if err := table.Sweep(c); err != nil {
		t.Error(err)
	}
	if c := common(t, table); len(c.Proxies)+len(c.Rules) != 0 {
		t.Errorf("left: %v", c)
	}
}

// TestKernelCommonForeign: what another one holds is not answered for.
func TestKernelCommonForeign(t *testing.T) {
	ns := testenv.NewNS(t)
	table := openIn(t, ns)
	index := port(t, ns, "tap7")
	testenv.Tap(t, ns, "up0")
	ns.Sh("ip route add 192.0.2.10/32 dev up0 table 100 metric 7")
	w := wanted(index, towards(100, "up0"))
	err := table.Apply(route.State{}, w)
	if err == nil || !strings.Contains(err.Error(), "there is another route to it: 192.0.2.10/32 dev #"+itoa(ns.Index("up0"))+" proto 3 table 100") {
		t.Errorf("the other route is not named: %v", err)
	}
	if c := common(t, table); len(c.Proxies) != 1 || !c.Proxies[w.Proxies[1]] {
		t.Errorf("answered for: %v, want the IPv6 address alone", c.Proxies)
	}
	for _, c := range []struct{ name, before, say string }{
		{"the host's own address", "ip addr add 192.0.2.10/32 dev lo", "local 192.0.2.10/32 dev #1"},
		{"no uplink", "ip link del up0", "proxy 192.0.2.10 dev up0: " + unix.ENODEV.Error()},
	} {
		ns.Sh(c.before)
		err := table.Apply(route.State{}, wanted(index, towards(200, "up0")))
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want %q", c.name, err, c.say)
		}
		ns.Sh("ip addr flush dev lo")
	}
}

// TestKernelUplink: a host on the uplink's link finds the guest by the proxy
// entries, and finds nothing but the guest; what is off in the host is named.
func TestKernelUplink(t *testing.T) {
	s := lay(t)
	s.host.Sh("ip addr flush dev up0; ip addr add 192.0.2.1/32 dev up0; ip route add 192.0.2.2 dev up0; ip addr add fe80::1/64 dev up0 nodad")
	s.other.Sh(`ip route flush all; ip addr add 192.0.2.2/24 dev eth0; ip -6 addr add 2001:db8:1::2/64 dev eth0 nodad`)
	s.host.Sh("ip -6 route add 2001:db8:1::2 dev up0; ip rule add iif up0 lookup 100; ip -6 rule add iif up0 lookup 100; ip route add default dev up0 table 100; ip -6 route add default dev up0 table 100")
	s.guest.Sh("ip route add 192.0.2.2 via 192.0.2.1; ip -6 route add 2001:db8:1::2 via fe80::1 dev eth0")
	prepareIn(t, s.host, "tap7")
	s.host.SetUp("tap7")
	w := wanted(s.index, towards(100, "up0"))
	apply(t, s.table, w)

	off := func() (names []string) {
		s.host.Do(func() { names = Unanswered("up0", w.Proxies) })
		return names
	}
	if diff := cmp.Diff([]string{"net.ipv6.conf.up0.proxy_ndp"}, off()); diff != "" {
		t.Errorf("-want +said to be off:\n%s", diff)
	}
	s.host.Sysctl("net.ipv6.conf.up0.proxy_ndp", "1")
	for _, to := range []string{"192.0.2.10", "2001:db8:1::10"} {
		ping(t, s.other, to)
	}
	for _, nobody := range []string{"192.0.2.11", "2001:db8:1::11"} {
		if _, err := s.other.Try("ping", "-n", "-c1", "-W1", nobody); err == nil {
			t.Errorf("%s answers", nobody)
		}
	}
	if names := off(); names != nil {
		t.Errorf("off: %v, and it works", names)
	}
	s.host.Sysctl("net.ipv4.conf.up0.forwarding", "0")
	s.host.Sysctl("net.ipv6.conf.up0.forwarding", "0")
	if diff := cmp.Diff([]string{"net.ipv4.conf.up0.forwarding", "net.ipv6.conf.up0.forwarding"}, off()); diff != "" {
		t.Errorf("-want +said to be off:\n%s", diff)
	}
	var names []string
	s.host.Do(func() { names = Unanswered("../up0", w.Proxies) })
	if names != nil {
		t.Errorf("of a name that is no interface's: %v", names)
	}
}
