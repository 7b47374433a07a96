package table_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/table"
)

// sharing gives a binding one more share; a vrid of 0 is none.
func sharing(b nic.Binding, group string, vrid uint8, addresses ...string) nic.Binding {
	s := nic.Shared{Group: group, VRID: vrid}
	for _, a := range addresses {
		s.Addresses = append(s.Addresses, netip.MustParseAddr(a))
	}
	b.Shared = append(slices.Clone(b.Shared), s)
	return b
}

func grouped(group string, b nic.Binding) nic.Binding {
	b.Group = group
	return b
}

func TestMergeShared(t *testing.T) {
	const vip, vip6 = "192.0.2.100", "2001:db8:a::100"
	a, b, c := bind("a", 1, 1), bind("b", 2, 2), bind("c", 3, 3)
	virtual := bind("b", 2, 2)
	virtual.MAC = nic.MAC{0, 0, 0x5e, 0, 1, 51}
	for _, tt := range []struct {
		name     string
		bindings []nic.Binding
		want     []string
		refused  string // of b
	}{
		{
			"a pair and its third",
			[]nic.Binding{sharing(a, "web", 51, vip, vip6), sharing(b, "web", 51, vip, vip6), sharing(c, "web", 0, vip)},
			[]string{"a", "b", "c"},
			"",
		},
		{
			"another group",
			[]nic.Binding{sharing(a, "web", 0, vip), sharing(c, "web", 0, vip), sharing(b, "db", 0, vip)},
			[]string{"a", "c"},
			"NIC b (b.yaml:1): address 192.0.2.100 of shared group db is held by NIC a (a.yaml:1) in shared group web",
		},
		{
			"another group of another network",
			[]nic.Binding{sharing(a, "web", 51, vip), in("red", sharing(b, "db", 51, vip))},
			[]string{"a", "b"},
			"",
		},
		{
			"alone and shared",
			[]nic.Binding{sharing(a, "web", 0, vip), of(b, vip+"/24")},
			[]string{"a"},
			"NIC b (b.yaml:1): address 192.0.2.100 is held by NIC a (a.yaml:1) in shared group web",
		},
		{
			"shared and alone",
			[]nic.Binding{of(a, vip+"/24"), sharing(b, "web", 0, vip)},
			[]string{"a"},
			"NIC b (b.yaml:1): address 192.0.2.100 of shared group web is held by NIC a (a.yaml:1)",
		},
		{
			"in a prefix",
			[]nic.Binding{of(a, "2001:db8:a::/64"), sharing(b, "web", 0, vip6)},
			[]string{"a"},
			"NIC b (b.yaml:1): address 2001:db8:a::100 lies in 2001:db8:a::/64, which is held by NIC a (a.yaml:1)",
		},
		{
			"a prefix around it",
			[]nic.Binding{sharing(a, "web", 0, vip6), of(b, "2001:db8:a::/56")},
			[]string{"a"},
			"NIC b (b.yaml:1): prefix 2001:db8:a::/56 contains address 2001:db8:a::100, which is held by NIC a (a.yaml:1) in shared group web",
		},
		{
			"one VRID for two groups",
			[]nic.Binding{sharing(a, "web", 51, vip), in("", sharing(b, "db", 51, "192.0.2.101"))},
			[]string{"a"},
			"NIC b (b.yaml:1): vrid 51 (MAC 00:00:5e:00:01:33) of shared group db is held by NIC a (a.yaml:1) in shared group web",
		},
		{
			// Each family has virtual routers of its own (RFC 9568 section 1.6).
			"one VRID for two families",
			[]nic.Binding{sharing(a, "web", 51, vip), sharing(b, "web6", 51, vip6)},
			[]string{"a", "b"},
			"",
		},
		{
			"a virtual MAC of one's own",
			[]nic.Binding{sharing(a, "web", 51, vip), virtual},
			[]string{"a"},
			"NIC b (b.yaml:1): MAC 00:00:5e:00:01:33 is held by NIC a (a.yaml:1) in shared group web",
		},
		{
			"one MAC in a group, across networks",
			[]nic.Binding{grouped("g", in("red", bind("a", 9, 1))), grouped("g", in("blue", bind("b", 9, 2)))},
			[]string{"a"},
			"NIC b (b.yaml:1): MAC 52:54:00:00:00:09 of group g is held by NIC a (a.yaml:1)",
		},
		{
			"one MAC in two groups",
			[]nic.Binding{grouped("g", in("red", bind("a", 9, 1))), grouped("h", in("blue", bind("b", 9, 2))), in("green", bind("c", 9, 1))},
			[]string{"a", "b", "c"},
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Whoever comes last in the list is looked at last.
			last := tt.bindings[len(tt.bindings)-1].NIC
			s := table.Merge(1, []table.Update{{Bindings: tt.bindings}}, func(b *nic.Binding) int {
				if b.NIC == last {
					return 1
				}
				return 0
			})
			if d := cmp.Diff(tt.want, names(s)); d != "" {
				t.Errorf("in force (-want +got):\n%s", d)
			}
			if got := s.Refused["b"].Text; got != tt.refused {
				t.Errorf("b is refused for %q,\nwant %q", got, tt.refused)
			}
		})
	}
}

// Who is in force with shares is what comparing everything with everything
// finds.
func TestMergeSharedAgainstPairs(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		var all []nic.Binding
		for i := range 30 {
			b := bind(fmt.Sprintf("n%02d", i), byte(i), byte(i))
			for k := range r.IntN(3) { // what one NIC has is apart
				a := netip.AddrFrom16([16]byte{0: 0x20, 7: byte(2*r.IntN(2) + k), 15: byte(1 + r.IntN(3))})
				switch r.IntN(4) {
				case 0:
					b.Addresses = append(b.Addresses, netip.PrefixFrom(a, 128))
				case 1:
					b.SLAAC = append(b.SLAAC, netip.PrefixFrom(a, 64).Masked())
				default:
					b = sharing(b, []string{"web", "db", "mail"}[r.IntN(3)], uint8(2*r.IntN(3)+k), a.String())
				}
			}
			all = append(all, b)
		}
		want := []string{}
		var stand []nic.Binding
		for _, b := range all {
			if !slices.ContainsFunc(stand, func(o nic.Binding) bool { return clash(b, o) }) {
				stand = append(stand, b)
				want = append(want, b.NIC)
			}
		}
		if len(want) < 3 || len(want) == len(all) {
			t.Fatalf("seed %d: %d of %d stand: nothing is tried", seed, len(want), len(all))
		}
		if d := cmp.Diff(want, names(table.Merge(1, []table.Update{{Bindings: all}}, nobody))); d != "" {
			t.Fatalf("seed %d: in force (-pairs +merge):\n%s", seed, d)
		}
	}
}

// owned is a prefix or a virtual router, and with whom it is had.
type owned struct {
	prefix netip.Prefix
	vrid   uint8
	share  string
}

// clash compares all that two bindings have, one by one.
func clash(a, b nic.Binding) bool {
	return slices.ContainsFunc(ownedBy(a), func(x owned) bool {
		return slices.ContainsFunc(ownedBy(b), func(y owned) bool {
			together := x.share != "" && x.share == y.share
			return !together && (x.prefix.Overlaps(y.prefix) || x.vrid != 0 && x.vrid == y.vrid)
		})
	})
}

func ownedBy(b nic.Binding) []owned {
	var out []owned
	for _, p := range slices.Concat(b.SLAAC, mine(b)) {
		out = append(out, owned{prefix: p})
	}
	for _, s := range b.Shared {
		out = append(out, owned{vrid: s.VRID, share: s.Group})
		for _, a := range s.Addresses {
			out = append(out, owned{prefix: netip.PrefixFrom(a, a.BitLen()), share: s.Group})
		}
	}
	return out
}
