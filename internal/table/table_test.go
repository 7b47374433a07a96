package table_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/table"
)

// bind declares NIC name with the MAC ending in mac and the address ending in
// addr, in a file named after the NIC.
func bind(name string, mac, addr byte) nic.Binding {
	return nic.Binding{
		NIC: name, MAC: nic.MAC{0x52, 0x54, 0, 0, 0, mac},
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, addr}), 24)},
		Origin:    nic.Origin{Source: "dir", File: name + ".yaml", Line: 1},
	}
}

func in(network string, b nic.Binding) nic.Binding {
	b.Network = network
	return b
}

func from(source string, b nic.Binding) nic.Binding {
	b.Origin = nic.Origin{Source: source}
	return b
}

// first ranks some bindings before all others.
func first(who func(*nic.Binding) bool) func(*nic.Binding) int {
	return func(b *nic.Binding) int {
		if who(b) {
			return 0
		}
		return 2
	}
}

// of gives a binding IPv6: addresses, /64s for autoconfiguration, and other
// prefixes to delegate.
func of(b nic.Binding, what ...string) nic.Binding {
	for _, w := range what {
		switch p := netip.MustParsePrefix(w); {
		case p != p.Masked() || p.IsSingleIP():
			b.Addresses = append(b.Addresses, p)
		case p.Bits() == 64:
			b.SLAAC = append(b.SLAAC, p)
		default:
			b.Delegated = append(b.Delegated, p)
		}
	}
	return b
}

func nobody(*nic.Binding) int { return 2 }

// names returns who is in force.
func names(s table.Snapshot) []string {
	out := []string{}
	for _, n := range s.Names() {
		if _, ok := s.Entries[n]; ok {
			out = append(out, n)
		}
	}
	return out
}

func TestMerge(t *testing.T) {
	socket := func(bs ...nic.Binding) table.Update { return table.Update{Source: "socket", Bindings: bs} }
	dir := func(bs ...nic.Binding) table.Update { return table.Update{Source: "dir", Bindings: bs} }
	for _, c := range []struct {
		name    string
		updates []table.Update
		rank    func(*nic.Binding) int
		want    []string
		refused map[string]string
	}{
		{"apart", []table.Update{dir(bind("a", 1, 1), bind("b", 2, 2))}, nobody, []string{"a", "b"}, nil},
		{
			"same MAC: first by name",
			[]table.Update{dir(bind("b", 1, 2), bind("a", 1, 1))},
			nobody,
			[]string{"a"},
			map[string]string{"b": "NIC b (b.yaml:1): MAC 52:54:00:00:00:01 is held by NIC a (a.yaml:1)"},
		},
		{
			"same address: the one in force keeps it",
			[]table.Update{dir(bind("a", 1, 9), bind("b", 2, 9))},
			first(func(b *nic.Binding) bool { return b.NIC == "b" }),
			[]string{"b"},
			map[string]string{"a": "NIC a (a.yaml:1): address 192.0.2.9 is held by NIC b (b.yaml:1)"},
		},
		{
			"same address: the source named first",
			[]table.Update{dir(bind("z", 1, 9)), socket(bind("a", 2, 9))},
			nobody,
			[]string{"z"},
			map[string]string{"a": "NIC a (a.yaml:1): address 192.0.2.9 is held by NIC z (z.yaml:1)"},
		},
		{
			"same NIC twice",
			[]table.Update{dir(bind("a", 1, 1)), socket(bind("a", 2, 2))},
			nobody,
			[]string{"a"},
			map[string]string{"a": "NIC a is declared twice: a.yaml:1 and a.yaml:1"},
		},
		{
			"the socket has it in force, a file comes",
			[]table.Update{dir(bind("a", 1, 1)), socket(from("socket", bind("a", 2, 2)))},
			first(func(b *nic.Binding) bool { return b.Origin.Source == "socket" }),
			[]string{"a"},
			map[string]string{"a": "NIC a is declared twice: socket and a.yaml:1"},
		},
		{"same MAC and address in two networks", []table.Update{dir(in("red", bind("a", 1, 1)), in("blue", bind("b", 1, 1)))}, nobody, []string{"a", "b"}, nil},
		{
			"same address in one named network",
			[]table.Update{dir(in("red", bind("a", 1, 1)), in("red", bind("b", 2, 1)))},
			nobody,
			[]string{"a"},
			map[string]string{"b": "NIC b (b.yaml:1): address 192.0.2.1 in network red is held by NIC a (a.yaml:1)"},
		},
		{
			"IPv6 apart",
			[]table.Update{dir(
				of(bind("a", 1, 1), "2001:db8:1::1/64", "2001:db8:a::/64", "2001:db8:100::/56"),
				of(bind("b", 2, 2), "2001:db8:1::2/64", "2001:db8:b::/64", "2001:db8:100:100::/56"),
			)},
			nobody,
			[]string{"a", "b"},
			nil,
		},
		{
			"one NIC's own may lie within each other",
			[]table.Update{dir(of(bind("a", 1, 1), "2001:db8:a::1/64", "2001:db8:a::/64"))},
			nobody,
			[]string{"a"},
			nil,
		},
		{
			"same IPv6 address",
			[]table.Update{dir(of(bind("a", 1, 1), "2001:db8:1::1/64"), of(bind("b", 2, 2), "2001:db8:1::1/128"))},
			nobody,
			[]string{"a"},
			map[string]string{"b": "NIC b (b.yaml:1): address 2001:db8:1::1 is held by NIC a (a.yaml:1)"},
		},
		{
			"same prefix, announced and delegated",
			[]table.Update{dir(of(bind("a", 1, 1), "2001:db8:a::/64"), func() nic.Binding {
				b := bind("b", 2, 2)
				b.Delegated = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
				return b
			}())},
			nobody,
			[]string{"a"},
			map[string]string{"b": "NIC b (b.yaml:1): prefix 2001:db8:a::/64 is held by NIC a (a.yaml:1)"},
		},
		{
			"an address in a prefix",
			[]table.Update{dir(of(bind("a", 1, 1), "2001:db8:a::/64"), of(bind("b", 2, 2), "2001:db8:a::5/64"))},
			nobody,
			[]string{"a"},
			map[string]string{"b": "NIC b (b.yaml:1): address 2001:db8:a::5 lies in 2001:db8:a::/64, which is held by NIC a (a.yaml:1)"},
		},
		{
			"a prefix around an address",
			[]table.Update{dir(in("red", of(bind("a", 1, 1), "2001:db8:a::5/64")), in("red", of(bind("b", 2, 2), "2001:db8:a::/64")))},
			nobody,
			[]string{"a"},
			map[string]string{"b": "NIC b (b.yaml:1): prefix 2001:db8:a::/64 contains address 2001:db8:a::5 in network red, which is held by NIC a (a.yaml:1)"},
		},
		{
			"a prefix in a prefix",
			[]table.Update{dir(of(bind("a", 1, 1), "2001:db8:100::/56"), of(bind("b", 2, 2), "2001:db8:100:8::/64"), of(bind("c", 3, 3), "2001:db8::/32"))},
			nobody,
			[]string{"a"},
			map[string]string{
				"b": "NIC b (b.yaml:1): prefix 2001:db8:100:8::/64 lies in 2001:db8:100::/56, which is held by NIC a (a.yaml:1)",
				"c": "NIC c (c.yaml:1): prefix 2001:db8::/32 contains prefix 2001:db8:100::/56, which is held by NIC a (a.yaml:1)",
			},
		},
		{
			"overlapping prefixes in two networks",
			[]table.Update{dir(in("red", of(bind("a", 1, 1), "2001:db8:100::/56")), in("blue", of(bind("b", 1, 1), "2001:db8:100::1/64")))},
			nobody,
			[]string{"a", "b"},
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := table.Merge(7, c.updates, c.rank)
			if s.Generation != 7 {
				t.Errorf("generation %d, want 7", s.Generation)
			}
			if diff := cmp.Diff(c.want, names(s)); diff != "" {
				t.Errorf("in force (-want +got):\n%s", diff)
			}
			got := map[string]string{}
			for n, r := range s.Refused {
				if r.Reason != reason.WaitConflict {
					t.Errorf("%s refused for %s, want conflict", n, r.Reason)
				}
				got[n] = r.Text
			}
			if c.refused == nil {
				c.refused = map[string]string{}
			}
			if diff := cmp.Diff(c.refused, got); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

// Who has what in force is asked only where it decides something: with many
// NICs it costs more than all the rest.
func TestRankOnlyToDecide(t *testing.T) {
	asked := 0
	rank := func(*nic.Binding) int { asked++; return 2 }
	apart := []nic.Binding{bind("a", 1, 1), bind("b", 2, 2)}
	table.Merge(1, []table.Update{{Bindings: apart}}, rank)
	if asked != 0 {
		t.Errorf("asked %d times though nobody gives way", asked)
	}
	table.Merge(1, []table.Update{{Bindings: append(apart, bind("c", 3, 2))}}, rank)
	if asked != 3 {
		t.Errorf("asked %d times, want once for each of 3", asked)
	}
}

// A refused loser takes nothing with it: what it alone wanted is free.
func TestLoserHoldsNothing(t *testing.T) {
	loser := bind("b", 1, 2)
	s := table.Merge(1, []table.Update{{Bindings: []nic.Binding{bind("a", 1, 1), loser, bind("c", 3, 2)}}}, nobody)
	if diff := cmp.Diff([]string{"a", "c"}, names(s)); diff != "" {
		t.Errorf("in force (-want +got):\n%s", diff)
	}
}

func TestStaleAndBroken(t *testing.T) {
	s := table.Merge(1, []table.Update{
		{Bindings: []nic.Binding{bind("a", 1, 1)}, Stale: map[string]string{"a": "a.yaml:3:1: oops"}, Broken: map[string]string{"b": "b.yaml:1:1: oops"}},
		{Bindings: []nic.Binding{bind("c", 3, 3)}, Broken: map[string]string{"c": "an old record"}},
	}, nobody)
	if got := s.Entries["a"].Stale; got != "a.yaml:3:1: oops" {
		t.Errorf("a is stale for %q", got)
	}
	want := map[string]table.Refusal{"b": {Reason: reason.WaitRejected, Text: "b.yaml:1:1: oops"}}
	if diff := cmp.Diff(want, s.Refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

// Who is in force is what comparing everything with everything finds.
func TestMergeAgainstPairs(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var all []nic.Binding
		for i := range 30 {
			b := bind(fmt.Sprintf("n%02d", i), byte(i), byte(i))
			b.Network = []string{"", "red"}[r.IntN(2)]
			for range r.IntN(4) {
				// Few bits are drawn, so that many overlap.
				a := netip.AddrFrom16([16]byte{0: 0x20, 1: byte(r.IntN(2)), 2: byte(r.IntN(4)) << 6, 7: byte(r.IntN(2)), 15: byte(r.IntN(3))})
				p := netip.PrefixFrom(a, []int{18, 32, 64, 65, 128}[r.IntN(5)])
				if p.IsSingleIP() {
					b.Addresses = append(b.Addresses, p)
				} else {
					b.Delegated = append(b.Delegated, p.Masked())
				}
			}
			all = append(all, b)
		}
		want := []string{}
		var stand []nic.Binding
		for _, b := range all {
			if !slices.ContainsFunc(stand, func(o nic.Binding) bool { return b.Network == o.Network && overlap(b, o) }) {
				stand = append(stand, b)
				want = append(want, b.NIC)
			}
		}
		if d := cmp.Diff(want, names(table.Merge(1, []table.Update{{Bindings: all}}, nobody))); d != "" {
			t.Fatalf("seed %d: in force (-pairs +merge):\n%s", seed, d)
		}
	}
}

// overlap compares all that two bindings have, one by one.
func overlap(a, b nic.Binding) bool {
	return slices.ContainsFunc(mine(a), func(p netip.Prefix) bool {
		return slices.ContainsFunc(mine(b), p.Overlaps)
	})
}

func mine(b nic.Binding) []netip.Prefix {
	out := slices.Clone(b.Delegated)
	for _, p := range b.Addresses {
		out = append(out, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
	}
	return out
}

// Ten thousand NICs of both families, each with a prefix of both kinds.
func BenchmarkMerge(b *testing.B) {
	var all []nic.Binding
	for i := range 10_000 {
		hi, lo := byte(i>>8), byte(i)
		n := bind(fmt.Sprintf("tap%d", i), 0, 0)
		n.MAC = nic.MAC{0x52, 0x54, 0, 0, hi, lo}
		n.Addresses = []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, hi, lo}), 8),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 14: hi, 15: lo}), 64),
		}
		n.SLAAC = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 2, 6: hi, 7: lo}), 64)}
		n.Delegated = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 3, 5: hi, 6: lo}), 56)}
		all = append(all, n)
	}
	late := bind("late", 0, 0)
	late.MAC = all[0].MAC
	for name, bindings := range map[string][]nic.Binding{"apart": all, "one gives way": append(slices.Clone(all), late)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if s := table.Merge(1, []table.Update{{Bindings: bindings}}, nobody); len(s.Entries) != len(all) {
					b.Fatalf("%d of %d in force: %v", len(s.Entries), len(all), s.Refused)
				}
			}
		})
	}
}
