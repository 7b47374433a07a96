package table

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// Lane changes one binding of a snapshot at a time, without merging all of them
// anew: what it costs does not depend on how many there are.
type Lane struct{ held *holders }

// Lane is there for a snapshot in which nobody had to give way to anybody.
// There is one of a snapshot.
func (s *Snapshot) Lane() (lane Lane, ok bool) { return Lane{s.held}, s.held != nil }

// Swap puts a NIC's binding in the place of the one it had, nil where there is
// none. It reports whether all others are as a merge of all would leave them:
// else nothing is changed, and only a merge can tell who gives way to whom.
func (l Lane) Swap(old, now *nic.Binding) bool {
	if !l.takes(old) || !l.takes(now) {
		return false
	}
	if old != nil {
		l.remove(old)
	}
	if now == nil || l.add(now) {
		return true
	}
	if old != nil {
		l.add(old) // nobody took its place
	}
	return false
}

// takes reports whether a binding's holdings are its own, and are found by what
// is known of the others: shared ones have a first holder, and overlaps are
// looked for at the lengths of prefixes that a merge has seen.
func (l Lane) takes(b *nic.Binding) bool {
	if b == nil {
		return true
	}
	s, ok := l.held.networks[b.Network]
	for _, list := range [][]netip.Prefix{b.SLAAC, b.Delegated} {
		for _, p := range list {
			if !ok || !slices.Contains(s.lengths, p.Bits()) {
				return false
			}
		}
	}
	return len(b.Shared) == 0
}

func (l Lane) add(b *nic.Binding) bool {
	if l.held.networks[b.Network] == nil {
		l.held.networks[b.Network] = newNetwork(b.Network, 0)
	}
	l.held.group(b.Group)
	wants := l.held.holdings(b)
	for _, h := range wants {
		if holder, _ := h.conflict(); holder.binding != nil {
			return false
		}
	}
	for _, h := range wants {
		h.add(b)
	}
	return true
}

func (l Lane) remove(b *nic.Binding) {
	for _, h := range l.held.holdings(b) {
		h.remove()
	}
}
