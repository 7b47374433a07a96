package ipam

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The first free address is the one that trying all of them finds.
func TestFirstFreeAgainstTrial(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		base := u128{hi: 0x20010db800000000, lo: 0xfffffffffffff000} // over a carry
		size := uint64(64*64*2 + 100)
		owned, until := map[u128]bool{}, map[u128]int64{}
		o := newOccupied(func(a u128) int64 { return until[a] })
		at := func(i uint64) u128 { a, _ := base.plus(i); return a }
		for i := range size { // mostly full, so that all levels have work
			if r.IntN(3000) > 0 {
				owned[at(i)] = true
				o.set(at(i), true, false)
			}
		}
		for range 400 {
			a := at(r.Uint64N(size))
			delete(owned, a)
			delete(until, a)
			switch r.IntN(5) {
			case 0:
				o.set(a, false, false)
			case 1:
				until[a] = int64(r.IntN(100))
				o.set(a, false, true)
			default:
				owned[a] = true
				o.set(a, true, false)
			}
			from, now := r.Uint64N(size), int64(r.IntN(120)-10)
			last := min(size-1, from+r.Uint64N(size))
			got, ok := o.next(at(from), at(last), now)
			want, found := u128{}, false
			for i := from; i <= last && !found; i++ {
				if !owned[at(i)] && until[at(i)] <= now {
					want, found = at(i), true
				}
			}
			if now < 0 { // nothing is held that long ago
				continue
			}
			if got != want && ok || ok != found {
				t.Fatalf("seed %d: from %d to %d at %d: %v %t, want %v %t", seed, from, last, now, got, ok, want, found)
			}
		}
	}
}

// A full /12 and a free address at its end: what it costs does not grow with
// what is taken before.
func BenchmarkFirstFree(b *testing.B) {
	o := newOccupied(func(u128) int64 { return 0 })
	base := u128{lo: 0xffff0a000000}
	for i := range uint64(1<<20 - 1) {
		a, _ := base.plus(i)
		o.set(a, true, false)
	}
	last, _ := base.plus(1<<20 - 1)
	for b.Loop() {
		if a, ok := o.next(base, last, time.Now().UnixNano()); !ok || a != last {
			b.Fatal(a, ok)
		}
	}
}

func TestFirstFreeAtTheEnd(t *testing.T) {
	o := newOccupied(func(u128) int64 { return 0 })
	last := u128{^uint64(0), ^uint64(0)}
	for i := range uint64(64) {
		a := last
		a.lo -= i
		o.set(a, true, false)
	}
	if a, ok := o.next(u128{last.hi, last.lo - 63}, last, 0); ok {
		t.Errorf("found %v behind the last address", a)
	}
	if a, ok := o.next(u128{last.hi, last.lo - 64}, last, 0); !ok || a.lo != last.lo-64 {
		t.Errorf("found %v %t", a, ok)
	}
}
