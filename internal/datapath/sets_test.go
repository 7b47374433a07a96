package datapath

import (
	"net/netip"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/plan"
)

// source is the i-th further address of a generation; generations share none.
func source(generation byte, i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, generation, byte(i)}).Next(), 32)
}

// The permitted sources of a NIC are replaced while it sends: an address that
// is in the old set and in the new one never drops, whether the sets are held
// in the trie or beside the rules, and the old one's entries go.
func TestSetsAreReplacedUnderTraffic(t *testing.T) {
	eachAttachment(t, func(h *host, index int, _ plan.Attach) {
		few := guard.Compile(corpus.Binding())
		h.protect(index, manySources(0))
		traffic := h.flood(10_000, corpus.X4, corpus.M4, corpus.B4)
		swaps := 0
		for start := time.Now(); time.Since(start) < time.Second; swaps++ {
			h.protect(index, []guard.Rules{manySources(1), few, manySources(0)}[swaps%3])
		}
		traffic.stop()
		for _, src := range []netip.Addr{corpus.X4, corpus.M4} {
			h.complete(src, traffic.sent[src])
		}
		if leaked := h.flooded()[corpus.B4]; len(leaked) != 0 {
			h.Errorf("%d of %d spoofed frames reached the site", len(leaked), len(traffic.sent[corpus.B4]))
		}
		h.Logf("%d swaps under %d frames", swaps, 3*len(traffic.sent[corpus.X4]))
	})
}

func TestOldSetGoes(t *testing.T) {
	h := newHost(t)
	index := h.ns.Index("tapA")
	h.attach(index, plan.Clsact)
	for round := range byte(4) {
		r := manySources(round)
		h.protect(index, r)
		if got := h.setEntries(); got != len(r.IP4) {
			t.Errorf("round %d: %d entries in the trie, want %d", round, got, len(r.IP4))
		}
		h.passes(source(round, 77).Addr(), true)
		h.passes(source(round+1, 77).Addr(), false)
		if round > 0 {
			h.passes(source(round-1, 77).Addr(), false)
		}
		h.holds("with 500 more sources")
	}
	h.attach(index, plan.Clsact)
	h.noSets()
	h.passes(source(3, 77).Addr(), false)
	h.protect(index, manySources(0))
	h.forget(index)
	h.noSets()
}

// passes checks whether a frame from an address arrives.
func (h *host) passes(src netip.Addr, want bool) {
	h.Helper()
	*h.seq++
	n := *h.seq
	h.inject(numbered(src, n))
	h.holds("after a frame from " + src.String())
	got := false
	for _, have := range h.arrived(0)[src] {
		got = got || have == n
	}
	if got != want {
		h.Errorf("a frame from %s arrived: %t, want %t", src, got, want)
	}
}
