package table_test

import (
	"net/netip"
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
