package agent

import (
	"maps"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
)

// What the kernel has not got is given to it later, but for whom the daemon does
// not answer either, and not while an advertisement says what is gone.
func TestDue(t *testing.T) {
	const failed, held, unknown, withdrawing = 1, 2, 3, 4
	a := &Agent{
		answerer:    answerer.New(nil, nil, nil),
		outstanding: map[int]bool{failed: true, held: true, unknown: true, withdrawing: true},
	}
	b := corpus.Binding()
	b.RA = nic.RA{Interval: 600, Lifetime: 1800, HopLimit: 64, Preferred: 14400, Valid: 86400}
	before := *b
	before.Domain = "old.example"
	for _, index := range []int{failed, held, withdrawing} {
		s := answerer.Setting{Binding: b, Digest: 1}
		if index == withdrawing {
			s.Former = &before
		}
		a.answerer.Answer(index, "tap", s)
	}
	a.answerer.Hold(held)
	if got := slices.Sorted(maps.Keys(a.due())); !slices.Equal(got, []int{failed}) {
		t.Errorf("due are %v", got)
	}
	if got := slices.Sorted(maps.Keys(a.outstanding)); !slices.Equal(got, []int{withdrawing}) {
		t.Errorf("outstanding are %v", got)
	}
}
