package table_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/table"
)

// A swap succeeds where a merge of all leaves nobody out, and only there; and
// then the next one does.
func TestLaneAgainstMerge(t *testing.T) {
	swapped, refused := 0, 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		var all []nic.Binding
		for i := range 8 {
			all = append(all, drawn(r, i))
		}
		s := table.Merge(1, []table.Update{{Bindings: all}}, nobody)
		lane, ok := s.Lane()
		if ok != (len(s.Refused) == 0) {
			t.Fatalf("seed %d: a lane %t of %d refused", seed, ok, len(s.Refused))
		}
		if !ok {
			continue
		}
		have := map[string]*nic.Binding{}
		for _, b := range all {
			have[b.NIC] = &b
		}
		for range 60 {
			name, now := drawnChange(r)
			next := change(have, name, now)
			free := len(table.Merge(1, []table.Update{{Refs: next}}, nobody).Refused) == 0
			if got := lane.Swap(have[name], now); got != free {
				t.Fatalf("seed %d: swap of %v for %v: %t, and a merge of all says %t", seed, have[name], now, got, free)
			}
			if !free {
				refused++
				continue
			}
			swapped++
			delete(have, name)
			if now != nil {
				have[name] = now
			}
		}
	}
	if swapped < 500 || refused < 500 {
		t.Errorf("%d swapped, %d refused: that judges little", swapped, refused)
	}
}

// drawn has addresses and prefixes that often overlap those of others, of
// lengths that all have.
func drawn(r *rand.Rand, i int) nic.Binding {
	b := bind(fmt.Sprintf("n%d", i), byte(i), 0)
	b.MAC[5] = byte(r.IntN(24)) // often another's
	b.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(60))}), 24)}
	a := netip.AddrFrom16([16]byte{0: 0x20, 1: byte(r.IntN(8)), 5: byte(r.IntN(8)), 7: byte(r.IntN(8)), 15: byte(r.IntN(8))})
	switch r.IntN(3) {
	case 0:
		b.Addresses = append(b.Addresses, netip.PrefixFrom(a, 64))
	case 1:
		b.SLAAC = append(b.SLAAC, netip.PrefixFrom(a, 64).Masked())
	default:
		b.Delegated = append(b.Delegated, netip.PrefixFrom(a, 48).Masked())
	}
	if i == 0 { // whoever is first has one of each length, out of the others' way
		far := netip.MustParseAddr("2fff::")
		b.SLAAC = append(b.SLAAC, netip.PrefixFrom(far, 64))
		b.Delegated = append(b.Delegated, netip.PrefixFrom(netip.MustParseAddr("2ffe::"), 48))
	}
	if r.IntN(4) == 0 {
		b.Group = "g"
	}
	return b
}

// drawnChange is another binding of some NIC, or its end.
func drawnChange(r *rand.Rand) (string, *nic.Binding) {
	i := 1 + r.IntN(11)
	name := fmt.Sprintf("n%d", i)
	if r.IntN(5) == 0 {
		return name, nil
	}
	b := drawn(r, i)
	return name, &b
}

// change returns all bindings with one in the place of its NIC's.
func change(have map[string]*nic.Binding, name string, now *nic.Binding) (all []*nic.Binding) {
	for n, b := range have {
		if n != name {
			all = append(all, b)
		}
	}
	if now != nil {
		all = append(all, now)
	}
	return all
}

// What a lane cannot judge it leaves to a merge, and leaves all as it was.
func TestLaneLeavesToMerge(t *testing.T) {
	a, b := bind("a", 1, 1), bind("b", 2, 2)
	s := table.Merge(1, []table.Update{{Bindings: []nic.Binding{a, b}}}, nobody)
	lane, _ := s.Lane()
	shared := sharing(bind("a", 1, 1), "web", 1, "192.0.2.100")
	prefix := of(bind("a", 1, 1), "2001:db8::/56")
	taken := bind("a", 1, 2)
	for what, now := range map[string]*nic.Binding{"a shared address": &shared, "a prefix of a new length": &prefix, "another's address": &taken} {
		if lane.Swap(&a, now) {
			t.Errorf("%s: swapped", what)
		}
	}
	mine := bind("c", 3, 1)
	if lane.Swap(nil, &mine) {
		t.Error("what a has still is another's")
	}
	elsewhere := in("red", grouped("g", bind("c", 3, 1)))
	if !lane.Swap(nil, &elsewhere) || !lane.Swap(&elsewhere, nil) || !lane.Swap(&a, nil) || !lane.Swap(nil, &mine) {
		t.Error("what nobody has is not to be had")
	}
}

// One change among a hundred thousand.
func BenchmarkSwap(b *testing.B) {
	var all []nic.Binding
	for i := range 100_000 {
		n := bind(fmt.Sprintf("tap%d", i), 0, 0)
		n.MAC = nic.MAC{0x52, 0x54, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		n.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 8)}
		all = append(all, n)
	}
	s := table.Merge(1, []table.Update{{Bindings: all}}, nobody)
	lane, _ := s.Lane()
	other := all[7]
	other.Addresses = []netip.Prefix{netip.MustParsePrefix("10.255.0.1/8")}
	pair := [2]*nic.Binding{&all[7], &other}
	for i := 0; b.Loop(); i++ {
		if !lane.Swap(pair[i%2], pair[(i+1)%2]) {
			b.Fatal("refused")
		}
	}
}
