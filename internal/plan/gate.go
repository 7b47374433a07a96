package plan

import (
	"iter"
	"maps"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/table"
)

// Event is how a binding comes into force on a link.
type Event uint8

// The events.
const (
	Up     Event = iota // on a link that had none, or another NIC's
	Change              // in the place of another one
)

// String names the event.
func (e Event) String() string { return [...]string{"up", "change"}[e] }

// Turn is one binding's coming into force on one link.
type Turn struct {
	Event  Event
	NIC    string
	Index  int
	Digest uint64 // of the binding
}

// Ask is a turn that waits for the site's hooks.
type Ask struct {
	Turn
	Binding *nic.Binding
}

// Held is a binding that is in force on a link.
type Held struct {
	NIC     string
	Binding *nic.Binding // nil: not known
	Digest  uint64       // of the binding; 0: an earlier process's, and only what it holds is known
}

// Gate is what the site's hooks hold back: a binding that comes into force,
// but nothing that only makes a NIC safer. The zero Gate holds nothing back.
type Gate struct {
	Hooks  map[Event]bool  // there are some before these
	Passed map[Turn]bool   // whose hooks have succeeded
	Said   map[Turn]string // how far others are
	Held   map[int]Held    // by ifindex
}

// gate finds out whose binding cannot come into force yet: because of its own
// hooks, or because of another's, who keeps for that long what was its own.
func (c *computation) gate() {
	if len(c.in.Gate.Hooks) == 0 {
		return
	}
	var free []nic.Binding
	for _, name := range sortedKeys(c.in.Wants.ByNIC) {
		w := c.in.Wants.ByNIC[name]
		l, ok := c.link[name]
		if !ok {
			continue
		}
		t, comes := c.turn(l, w)
		if !comes || t.Event == Change && w.Binding.Suspended {
			continue
		}
		c.turns[name] = t
		if c.in.Gate.Hooks[t.Event] && !c.in.Gate.Passed[t] {
			c.hooked[name] = true
		} else {
			free = append(free, *w.Binding)
		}
	}
	c.block(free)
}

// turn reports whether a binding is yet to come into force on its link. Where
// an earlier process has put one in force, its rules have to tell.
func (c *computation) turn(l Link, w *Want) (Turn, bool) {
	t := Turn{NIC: l.Name, Index: l.Index, Digest: w.Answer}
	have := c.installed[l.Index]
	if have.Digest == 0 || have.Digest == c.closed || have.Name != l.Name || isFormer(have, l) {
		return t, true
	}
	t.Event = Change
	if held, known := c.in.Gate.Held[l.Index]; known && held.Digest != 0 && held.NIC == l.Name {
		return t, held.Digest != w.Answer
	}
	return t, have.Digest != w.DigestOn(l)
}

// block finds those among the free whose binding has something that a NIC
// which waits has still; they wait with it, and then others may for them.
func (c *computation) block(free []nic.Binding) {
	keep := c.kept(maps.Keys(c.hooked))
	for len(keep) > 0 {
		s := table.Merge(0, []table.Update{{Bindings: keep}, {Bindings: free}}, func(*nic.Binding) int { return 0 })
		if len(s.Refused) == 0 {
			return
		}
		for name, r := range s.Refused {
			c.blocked[name] = r.Text
		}
		left := free[:0]
		for _, b := range free {
			if _, ok := s.Refused[b.NIC]; !ok {
				left = append(left, b)
			}
		}
		free = left
		keep = c.kept(maps.Keys(s.Refused))
	}
}

// kept are the known bindings that NICs keep in force while they wait.
func (c *computation) kept(names iter.Seq[string]) []nic.Binding {
	var keep []nic.Binding
	for _, name := range slices.Sorted(names) {
		t, ok := c.turns[name]
		if held := c.in.Gate.Held[t.Index]; ok && t.Event == Change && held.Binding != nil {
			keep = append(keep, *held.Binding)
		}
	}
	return keep
}

// heldBack leaves a link as it is, if its binding cannot come into force yet:
// under its old one, or closed.
func (c *computation) heldBack(l Link, w *Want, have Installed) bool {
	text, blocked := c.blocked[l.Name]
	turn := c.turns[l.Name]
	switch {
	case c.hooked[l.Name]:
		c.wait(l.Name, reason.WaitHook, c.in.Gate.Said[turn])
		c.plan.Asks = append(c.plan.Asks, Ask{turn, w.Binding})
	case blocked:
		c.wait(l.Name, reason.WaitConflict, text)
	default:
		return false
	}
	if turn.Event == Up || have.Attach == Detached {
		c.close(l, have, hush(w.Binding))
		return true
	}
	if held := c.in.Gate.Held[l.Index]; held.Digest != 0 {
		c.route(l, held.Binding)
	}
	c.harden(l, have)
	return true
}

// hush is how the host's own IPv6 is kept off a NIC.
func hush(b *nic.Binding) Verb {
	if b.Routed && b.ServesIPv6() {
		return Prepare
	}
	return Quiet
}
