package agent

import (
	"github.com/tidwall/btree"

	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/table"
)

// wanted is a whole compiled snapshot. What is in it is never changed, and a
// copy shares all of it, so that one change among a hundred thousand costs no
// more than one among ten. The zero value wants nothing.
type wanted struct {
	generation uint64
	byNIC      btree.Map[string, *plan.Want]
	refused    btree.Map[string, table.Refusal]
	// How many of byNIC there are with what costs every pass.
	routed, shared int
	uplinks        map[string]int // routed NICs, by uplink
}

// copied is w as it is now.
func (w *wanted) copied() wanted {
	c := *w
	c.byNIC, c.refused = *w.byNIC.Copy(), *w.refused.Copy()
	c.uplinks = nil // of no use to who looks
	return c
}

// nic returns what is wanted of a NIC, nil if nothing.
func (w *wanted) nic(name string) *plan.Want {
	v, _ := w.byNIC.Get(name)
	return v
}

// set replaces what is wanted of a NIC; nil is nothing.
func (w *wanted) set(name string, now *plan.Want) {
	if old := w.nic(name); old != nil {
		w.count(old, -1)
	}
	if now == nil {
		w.byNIC.Delete(name)
		return
	}
	w.byNIC.Set(name, now)
	w.count(now, 1)
}

func (w *wanted) count(v *plan.Want, by int) {
	b := v.Binding
	if b.Routed {
		w.routed += by
		if w.uplinks == nil {
			w.uplinks = map[string]int{}
		}
		if w.uplinks[b.Routing.Uplink] += by; w.uplinks[b.Routing.Uplink] == 0 {
			delete(w.uplinks, b.Routing.Uplink)
		}
	}
	if len(b.Shared) > 0 {
		w.shared += by
	}
}

// replace makes w want what all of a snapshot's entries do, and calls changed
// for every name of which something else is wanted now.
func (w *wanted) replace(now plan.Wants, changed func(name string, old, now *plan.Want)) {
	type pair struct{ old, now *plan.Want }
	others := map[string]pair{}
	w.byNIC.Scan(func(name string, old *plan.Want) bool {
		if is := now.ByNIC[name]; is != old {
			others[name] = pair{old, is}
		}
		return true
	})
	for name, is := range now.ByNIC {
		if w.nic(name) == nil {
			others[name] = pair{nil, is}
		}
	}
	for name, p := range others {
		w.set(name, p.now)
		changed(name, p.old, p.now)
	}
	w.refuse(now.Refused, changed)
}

func (w *wanted) refuse(now map[string]table.Refusal, changed func(name string, old, now *plan.Want)) {
	var others []string
	w.refused.Scan(func(name string, old table.Refusal) bool {
		if is, still := now[name]; !still || is != old {
			others = append(others, name)
		}
		return true
	})
	for name := range now {
		if _, had := w.refused.Get(name); !had {
			others = append(others, name)
		}
	}
	for _, name := range others {
		if r, ok := now[name]; ok {
			w.refused.Set(name, r)
		} else {
			w.refused.Delete(name)
		}
		v := w.nic(name)
		changed(name, v, v)
	}
}

// concerns reports whether a NIC is declared, usable or not.
func (w *wanted) concerns(name string) bool {
	if w.nic(name) != nil {
		return true
	}
	_, refused := w.refused.Get(name)
	return refused
}

// of selects what is wanted of some NICs.
func (w *wanted) of(names map[string]bool) plan.Wants {
	s := plan.Wants{ByNIC: make(map[string]*plan.Want, len(names)), Refused: map[string]table.Refusal{}}
	for name := range names {
		if v := w.nic(name); v != nil {
			s.ByNIC[name] = v
		}
		if r, ok := w.refused.Get(name); ok {
			s.Refused[name] = r
		}
	}
	return s
}

// all selects everything.
func (w *wanted) all() plan.Wants {
	s := plan.Wants{ByNIC: make(map[string]*plan.Want, w.byNIC.Len()), Refused: make(map[string]table.Refusal, w.refused.Len())}
	w.byNIC.Scan(func(name string, v *plan.Want) bool {
		s.ByNIC[name] = v
		return true
	})
	w.refused.Scan(func(name string, r table.Refusal) bool {
		s.Refused[name] = r
		return true
	})
	return s
}
