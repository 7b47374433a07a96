// Package table merges what every source says into one snapshot, and decides
// who keeps a name, a MAC, an address or a prefix that two bindings want.
//
// Not here: reading sources (source/*, store) and what follows for the kernel
// (plan).
package table

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Update is everything one source knows.
type Update struct {
	Source   string
	Bindings []nic.Binding
	Refs     []*nic.Binding    // further ones, of a source that changes one at a time
	Stale    map[string]string // by NIC: why its last good version stands in
	Broken   map[string]string // by NIC: why it has no version at all
}

// Entry is one NIC's binding in force.
type Entry struct {
	Binding *nic.Binding
	Stale   string // not empty: its file is broken, and how
}

// Refusal says why a declared NIC has no entry.
type Refusal struct {
	Reason reason.Reason
	Text   string
}

// Snapshot is all bindings merged: immutable and numbered.
type Snapshot struct {
	Generation uint64
	Entries    map[string]Entry   // by NIC
	Refused    map[string]Refusal // by NIC
	held       *holders           // nil if somebody had to give way
}

// Merge makes the next snapshot. Where two bindings want the same NIC, the same
// MAC or address in a network, or one an address within the other's prefix, the
// one of lower rank has it, then the source named first, then the first by
// name; the other is refused with the holder named. A MAC is unique in a group
// too, whatever networks its NICs are in. Shared addresses, and the MACs of
// their virtual routers, are had by all who name the same share. The rank, which
// may cost, is asked for only if somebody has to give way.
func Merge(generation uint64, updates []Update, rank func(*nic.Binding) int) Snapshot {
	all := candidates(updates)
	s, apart := merge(generation, updates, all)
	if apart {
		return s // nobody gives way to anybody, so no rank matters
	}
	order(all, rank)
	s, _ = merge(generation, updates, all)
	s.held = nil
	return s
}

// merge gives each candidate what it wants, in their order; apart reports
// whether all got it.
func merge(generation uint64, updates []Update, all []candidate) (s Snapshot, apart bool) {
	s = Snapshot{Generation: generation, Entries: make(map[string]Entry, len(all)), Refused: map[string]Refusal{}}
	for _, u := range updates {
		for name, text := range u.Broken {
			s.Refused[name] = Refusal{reason.WaitRejected, text}
		}
	}
	held, apart := newHolders(all), true
	for _, c := range all {
		apart = s.add(c, held) && apart
	}
	if apart {
		s.held = held
	}
	return s, apart
}

// candidate is one declared binding with its rank.
type candidate struct {
	binding *nic.Binding
	stale   string
	source  int
	rank    int
}

func candidates(updates []Update) []candidate {
	n := 0
	for _, u := range updates {
		n += len(u.Bindings) + len(u.Refs)
	}
	all := make([]candidate, 0, n)
	for i, u := range updates {
		for j := range u.Bindings {
			b := &u.Bindings[j]
			all = append(all, candidate{binding: b, stale: u.Stale[b.NIC], source: i})
		}
		for _, b := range u.Refs {
			all = append(all, candidate{binding: b, stale: u.Stale[b.NIC], source: i})
		}
	}
	return all
}

// order ranks all candidates and sorts them by who wins.
func order(all []candidate, rank func(*nic.Binding) int) {
	for i := range all {
		all[i].rank = rank(all[i].binding)
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(a.rank-b.rank, a.source-b.source, strings.Compare(a.binding.NIC, b.binding.NIC))
	})
}

// add reports whether nothing stands in the way of a candidate; what does is
// noted.
func (s *Snapshot) add(c candidate, held *holders) bool {
	b := c.binding
	if other, ok := s.Entries[b.NIC]; ok {
		// The winner stands; the loser is only worth a word if nothing worse is known.
		s.refuse(b, fmt.Sprintf("NIC %s is declared twice: %s and %s", b.NIC, at(other.Binding), at(b)))
		return false
	}
	wants := held.holdings(b)
	for _, h := range wants {
		if holder, theirs := h.conflict(); holder.binding != nil {
			s.refuse(b, fmt.Sprintf("NIC %s (%s): %s is held by %s", b.NIC, at(b), h.against(theirs), holder))
			return false
		}
	}
	for _, h := range wants {
		h.add(b)
	}
	s.Entries[b.NIC] = Entry{Binding: b, Stale: c.stale}
	if s.Refused[b.NIC].Reason == reason.WaitRejected {
		delete(s.Refused, b.NIC)
	}
	return true
}

func (s *Snapshot) refuse(b *nic.Binding, text string) {
	s.Refused[b.NIC] = Refusal{reason.WaitConflict, text}
}

func at(b *nic.Binding) string {
	if b.Origin.File == "" {
		return b.Origin.Source
	}
	return fmt.Sprintf("%s:%d", b.Origin.File, b.Origin.Line)
}

// Names returns every NIC that the snapshot speaks of, sorted.
func (s *Snapshot) Names() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(s.Entries)), maps.Keys(s.Refused))
	slices.Sort(names)
	return slices.Compact(names)
}
