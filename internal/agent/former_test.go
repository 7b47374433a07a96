package agent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
)

// What the rules of a binding remember of its advertisements is withdrawn, and
// nothing that is still announced.
func TestFormerIsToldBackwards(t *testing.T) {
	b := corpus.Binding()
	b.SLAAC = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
	b.RA = nic.RA{Interval: 600, Lifetime: 1800, Preferred: 600, Valid: 1200, HopLimit: 64}
	rules := guard.Compile(b)
	got := told(&rules)
	want := []netip.Prefix{netip.PrefixFrom(corpus.M6, 64), netip.PrefixFrom(corpus.X6, 64)}
	if diff := cmp.Diff(want, got.Addresses, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(b.SLAAC, got.SLAAC, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("slaac (-want +got):\n%s", diff)
	}
	if w := withdrawn(got, b); !w.IsZero() {
		t.Errorf("the same binding withdraws %+v", w)
	}
	moved := *b
	moved.SLAAC = []netip.Prefix{netip.MustParsePrefix("2001:db8:b::/64")}
	if w := withdrawn(got, &moved); w.IsZero() {
		t.Error("another prefix withdraws nothing")
	}
	site := *b
	site.RA.Mode = nic.RASite
	rules = guard.Compile(&site)
	if w := withdrawn(told(&rules), nil); !w.IsZero() {
		t.Errorf("the site's advertisements are taken back: %+v", w)
	}
}

func withdrawn(before, now *nic.Binding) nd.Withdrawn {
	return nd.Withdraw(nd.Router{Binding: before}, nd.Router{Binding: now}, nd.Withdrawn{})
}
