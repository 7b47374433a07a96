package route

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

var guestMAC = nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1}

func prefixes(s string) []netip.Prefix {
	var out []netip.Prefix
	for _, f := range strings.Fields(s) {
		out = append(out, netip.MustParsePrefix(f))
	}
	return out
}

// routed is a NIC with something of every kind.
func routed() *nic.Binding {
	return &nic.Binding{
		NIC: "tap7", MAC: guestMAC, Routed: true,
		Addresses: prefixes("192.0.2.10/24 2001:db8:1::10/64 192.0.2.9/24"),
		SLAAC:     prefixes("2001:db8:a::/64"),
		Delegated: prefixes("2001:db8:100::/56"),
		Guard:     nic.Guard{AllowAddresses: prefixes("203.0.113.0/28 203.0.113.77/32 2001:db8:200::/48")},
	}
}

// text shows a Want as its routes and neighbours, a line each.
func text(w Want) string {
	var b strings.Builder
	for _, r := range w.Routes {
		fmt.Fprintln(&b, r)
	}
	for _, n := range w.entries() {
		fmt.Fprintln(&b, n.Addr, "is", n.MAC)
	}
	for _, r := range w.Rules {
		fmt.Fprintln(&b, r)
	}
	for _, p := range w.Proxies {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name string
		with func(*nic.Binding)
		want string
	}{
		{"of everything", func(*nic.Binding) {}, `
192.0.2.9/32
192.0.2.10/32
203.0.113.0/28 via 192.0.2.10
203.0.113.77/32
2001:db8:1::10/128
2001:db8:a::/64 via fe80::5054:ff:feaa:1
2001:db8:100::/56 via fe80::5054:ff:feaa:1
2001:db8:200::/48 via fe80::5054:ff:feaa:1
192.0.2.9 is 52:54:00:aa:00:01
192.0.2.10 is 52:54:00:aa:00:01
203.0.113.77 is 52:54:00:aa:00:01
2001:db8:1::10 is 52:54:00:aa:00:01
fe80::5054:ff:feaa:1 is 52:54:00:aa:00:01
`},
		{"one address", func(b *nic.Binding) {
			*b = nic.Binding{MAC: b.MAC, Routed: true, Addresses: b.Addresses[:1]}
		}, `
192.0.2.10/32
192.0.2.10 is 52:54:00:aa:00:01
`},
		{"a prefix only", func(b *nic.Binding) {
			b.Addresses, b.SLAAC, b.Delegated = nil, nil, nil
			b.Guard.AllowAddresses = b.Guard.AllowAddresses[:1]
		}, `
203.0.113.0/28 via 203.0.113.0
203.0.113.0 is 52:54:00:aa:00:01
`},
		{"the same twice", func(b *nic.Binding) {
			b.Addresses, b.Delegated = prefixes("192.0.2.10/24"), nil
			b.Guard.AllowAddresses = prefixes("192.0.2.10/32 2001:db8:a::/64")
		}, `
192.0.2.10/32
2001:db8:a::/64 via fe80::5054:ff:feaa:1
192.0.2.10 is 52:54:00:aa:00:01
fe80::5054:ff:feaa:1 is 52:54:00:aa:00:01
`},
		{"no IPv6", func(b *nic.Binding) { b.IPv6 = nic.IPv6Off }, `
192.0.2.9/32
192.0.2.10/32
203.0.113.0/28 via 192.0.2.10
203.0.113.77/32
192.0.2.9 is 52:54:00:aa:00:01
192.0.2.10 is 52:54:00:aa:00:01
203.0.113.77 is 52:54:00:aa:00:01
`},
		{"a table and an uplink", func(b *nic.Binding) {
			b.Routing = nic.Routing{Table: 100, Uplink: "up0"}
			b.Addresses, b.Delegated, b.Guard = b.Addresses[:2], nil, nic.Guard{}
		}, `
192.0.2.10/32 table 100
2001:db8:1::10/128 table 100
2001:db8:a::/64 via fe80::5054:ff:feaa:1 table 100
192.0.2.10 is 52:54:00:aa:00:01
2001:db8:1::10 is 52:54:00:aa:00:01
fe80::5054:ff:feaa:1 is 52:54:00:aa:00:01
-4 rule iif tap7 table 100
-6 rule iif tap7 table 100
proxy 192.0.2.10 dev up0
proxy 2001:db8:1::10 dev up0
`},
		{"a table for IPv4", func(b *nic.Binding) {
			b.Routing.Table, b.IPv6, b.Addresses, b.Guard = 100, nic.IPv6Off, b.Addresses[:1], nic.Guard{}
		}, `
192.0.2.10/32 table 100
192.0.2.10 is 52:54:00:aa:00:01
-4 rule iif tap7 table 100
`},
		{"suspended", func(b *nic.Binding) { b.Suspended, b.Routing = true, nic.Routing{Table: 100, Uplink: "up0"} }, "\n"},
		{"bridged", func(b *nic.Binding) { b.Routed = false }, "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := routed()
			c.with(b)
			if diff := cmp.Diff(c.want[1:], text(Of(b))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestOfCanonical: the order of the declaration does not show, but for the
// first IPv4 address, which is the next hop.
func TestOfCanonical(t *testing.T) {
	b := routed()
	want := text(Of(b))
	slices.Reverse(b.Addresses[1:])
	slices.Reverse(b.Guard.AllowAddresses)
	if got := text(Of(b)); got != want {
		t.Errorf("another order gives\n%s\nand not\n%s", got, want)
	}
}

func state(w Want) State { return State{Routes: w.Routes, Neighbours: w.entries()} }

func TestStateIs(t *testing.T) {
	w := Of(routed())
	if !state(w).Is(w) {
		t.Error("a state made of the want is not the want")
	}
	if !(State{}).Is(Want{Index: 7, MAC: guestMAC}) {
		t.Error("nothing is not nothing")
	}
	other := w
	other.MAC[5]++
	less := w
	less.Routes = w.Routes[1:]
	for _, x := range []Want{other, less, {}} {
		if state(w).Is(x) {
			t.Errorf("a state is taken for\n%s", text(x))
		}
	}
}

// TestCommon: two NICs of one address, each in a table of its own, do not take
// each other's for theirs.
func TestCommon(t *testing.T) {
	on := func(link string, table uint32, uplink string) Want {
		b := routed()
		b.NIC, b.Routing = link, nic.Routing{Table: table, Uplink: uplink}
		return Of(b)
	}
	one, two := on("tap7", 100, "up0"), on("tap8", 200, "up1")
	var c Common
	c.Add(one)
	if !c.Has(one) || c.Has(two) || (Common{}).Has(one) || !(Common{}).Has(Want{}) {
		t.Error("what is there is not told from what is missing")
	}
	rules := two
	rules.Proxies = nil
	if c.Has(rules) {
		t.Error("rules alone are not missed")
	}
}

func steps(have State, w Want) string {
	var b strings.Builder
	for _, s := range Diff(have, w) {
		fmt.Fprintln(&b, [...]string{"set", "add", "set", "del", "del"}[s.Verb], s)
	}
	return b.String()
}

func TestDiff(t *testing.T) {
	small := routed()
	small.SLAAC, small.Delegated, small.Guard = nil, nil, nic.Guard{AllowAddresses: prefixes("203.0.113.0/28")}
	before := state(Of(small))
	for _, c := range []struct {
		name string
		have State
		with func(*nic.Binding)
		want string
	}{
		{"nothing to do", before, func(*nic.Binding) {}, "\n"},
		{"from nothing", State{}, func(b *nic.Binding) { b.Addresses = b.Addresses[:2] }, `
set neighbour 192.0.2.10 lladdr 52:54:00:aa:00:01
set neighbour 2001:db8:1::10 lladdr 52:54:00:aa:00:01
add route 192.0.2.10/32
add route 203.0.113.0/28 via 192.0.2.10
add route 2001:db8:1::10/128
`},
		{"to nothing", before, func(b *nic.Binding) { b.Suspended = true }, `
del route 192.0.2.9/32
del route 192.0.2.10/32
del route 203.0.113.0/28 via 192.0.2.10
del route 2001:db8:1::10/128
del neighbour 192.0.2.9 lladdr 52:54:00:aa:00:01
del neighbour 192.0.2.10 lladdr 52:54:00:aa:00:01
del neighbour 2001:db8:1::10 lladdr 52:54:00:aa:00:01
`},
		{"another next hop", before, func(b *nic.Binding) { b.Addresses = prefixes("192.0.2.11/24") }, `
set neighbour 192.0.2.11 lladdr 52:54:00:aa:00:01
add route 192.0.2.11/32
set route 203.0.113.0/28 via 192.0.2.11
del route 192.0.2.9/32
del route 192.0.2.10/32
del route 2001:db8:1::10/128
del neighbour 192.0.2.9 lladdr 52:54:00:aa:00:01
del neighbour 192.0.2.10 lladdr 52:54:00:aa:00:01
del neighbour 2001:db8:1::10 lladdr 52:54:00:aa:00:01
`},
		{"another table", before, func(b *nic.Binding) { b.Addresses, b.Guard, b.Routing.Table = b.Addresses[:1], nic.Guard{}, 100 }, `
add route 192.0.2.10/32 table 100
del route 192.0.2.9/32
del route 192.0.2.10/32
del route 203.0.113.0/28 via 192.0.2.10
del route 2001:db8:1::10/128
del neighbour 192.0.2.9 lladdr 52:54:00:aa:00:01
del neighbour 2001:db8:1::10 lladdr 52:54:00:aa:00:01
`},
		{"another MAC", before, func(b *nic.Binding) { b.MAC[5] = 2; b.Addresses = b.Addresses[:1] }, `
set neighbour 192.0.2.10 lladdr 52:54:00:aa:00:02
del route 192.0.2.9/32
del route 2001:db8:1::10/128
del neighbour 192.0.2.9 lladdr 52:54:00:aa:00:01
del neighbour 2001:db8:1::10 lladdr 52:54:00:aa:00:01
`},
		{"one too many to a prefix", State{
			Routes:     append(slices.Clone(before.Routes), Route{To: prefixes("203.0.113.0/28")[0], Via: before.Neighbours[0].Addr}),
			Neighbours: before.Neighbours,
		}, func(*nic.Binding) {}, `
del route 203.0.113.0/28 via 192.0.2.9
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *small
			c.with(&b)
			if diff := cmp.Diff(c.want[1:], steps(c.have, Of(&b))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
