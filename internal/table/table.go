// Package table merges what every source says into one snapshot, and decides
// who keeps a name, a MAC, an address or a prefix that two bindings want.
//
// Not here: reading sources (source/*, store) and what follows for the kernel
// (plan).
package table

import (
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
}

// Merge makes the next snapshot. Where two bindings want the same NIC, MAC or
// address, or one an address within the other's prefix, the one of lower rank
// has it, then the source named first, then the first by name; the other is
// refused with the holder named.
func Merge(generation uint64, updates []Update, rank func(*nic.Binding) int) Snapshot {
	s := Snapshot{Generation: generation, Entries: map[string]Entry{}, Refused: map[string]Refusal{}}
	for _, u := range updates {
		for name, text := range u.Broken {
			s.Refused[name] = Refusal{reason.WaitRejected, text}
		}
	}
	all := order(updates, rank)
	held := newHolders(all)
	for _, c := range all {
		s.add(c, held)
	}
	return s
}

// candidate is one declared binding with its rank.
type candidate struct {
	binding *nic.Binding
	stale   string
	source  int
	rank    int
}

// order sorts all candidates by who wins.
func order(updates []Update, rank func(*nic.Binding) int) []candidate {
	var all []candidate
	for i, u := range updates {
		for j := range u.Bindings {
			b := &u.Bindings[j]
			all = append(all, candidate{b, u.Stale[b.NIC], i, rank(b)})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		if a.source != b.source {
			return a.source - b.source
		}
		return strings.Compare(a.binding.NIC, b.binding.NIC)
	})
	return all
}

func (s *Snapshot) add(c candidate, held *holders) {
	b := c.binding
	if other, ok := s.Entries[b.NIC]; ok {
		// The winner stands; the loser is only worth a word if nothing worse is known.
		s.refuse(b, fmt.Sprintf("NIC %s is declared twice: %s and %s", b.NIC, at(other.Binding), at(b)))
		return
	}
	wants := holdings(b)
	for _, h := range wants {
		if other, theirs := held.conflict(h); other != nil {
			s.refuse(b, fmt.Sprintf("NIC %s (%s): %s is held by NIC %s (%s)", b.NIC, at(b), h.against(theirs), other.NIC, at(other)))
			return
		}
	}
	for _, h := range wants {
		held.add(h, b)
	}
	s.Entries[b.NIC] = Entry{Binding: b, Stale: c.stale}
	if s.Refused[b.NIC].Reason == reason.WaitRejected {
		delete(s.Refused, b.NIC)
	}
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
