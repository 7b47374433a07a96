package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/lock"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/table"
)

// locked is what the second lock holds.
type locked struct {
	names    map[string]bool
	patterns []string
}

func lockedOf(d lock.Desired) locked {
	k := locked{make(map[string]bool, len(d.Names)), d.Patterns}
	for _, n := range d.Names {
		k.names[n] = true
	}
	return k
}

func (k *locked) count() int { return len(k.names) + len(k.patterns) }

func (k *locked) all() plan.Armed {
	return plan.Armed{Names: slices.Sorted(maps.Keys(k.names)), Patterns: k.patterns}
}

// of is what it holds of some names, and of those that are always to be held.
func (k *locked) of(names map[string]bool, always []string) plan.Armed {
	armed := plan.Armed{Patterns: k.patterns}
	for name := range names {
		if k.names[name] {
			armed.Names = append(armed.Names, name)
		}
	}
	for _, name := range always {
		if k.names[name] && !names[name] {
			armed.Names = append(armed.Names, name)
		}
	}
	slices.Sort(armed.Names)
	return armed
}

// readLock reads the second lock back, if it may be another by now. A lock that
// is damaged or cannot be read counts as holding nothing: everything is armed
// anew.
func (a *Agent) readLock() {
	if changed, err := a.opt.Lock.Changed(); err == nil && !changed && a.lockError == "" {
		return
	}
	d, err := a.opt.Lock.Read()
	now := lockedOf(d)
	switch {
	case err == nil:
		a.lockError = ""
		a.noticeTampering(now)
	case a.lockError == "":
		a.opt.Log.Warn("second lock", "err", err)
		a.Add(api.Event{Time: time.Now(), Kind: "lock", Text: err.Error() + "; armed again"})
		fallthrough
	default:
		a.lockError = err.Error()
	}
	a.locked = now
	a.unsettleUnlocked()
}

// unsettleUnlocked makes a pass look at all names whose lock is not as it is
// when nothing is to be done.
func (a *Agent) unsettleUnlocked() {
	for name := range a.locked.names {
		if !a.wants.concerns(name) {
			a.unsettled[name] = true
		}
	}
	a.wants.byNIC.Scan(func(name string, _ *plan.Want) bool {
		if !a.locked.names[name] {
			a.unsettled[name] = true
		}
		return true
	})
	a.wants.refused.Scan(func(name string, _ table.Refusal) bool {
		if !a.locked.names[name] {
			a.unsettled[name] = true
		}
		return true
	})
}

// noticeTampering names what somebody else took out of the second lock since
// it was last read or changed.
func (a *Agent) noticeTampering(now locked) {
	var gone []string
	for name := range a.locked.names {
		if !now.names[name] {
			gone = append(gone, name)
		}
	}
	for _, p := range a.locked.patterns {
		if !slices.Contains(now.patterns, p) {
			gone = append(gone, p)
		}
	}
	if len(gone) == 0 {
		return
	}
	slices.Sort(gone)
	a.opt.Log.Warn("second lock was changed by somebody else", "missing", len(gone))
	a.Add(api.Event{
		Time: time.Now(), Kind: "lock",
		Text: fmt.Sprintf("somebody removed %d names from the second lock (%s); armed again", len(gone), shorten(gone)),
	})
}

func shorten(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", ..."
}

// applyLock makes all arming, or all disarming, in one transaction.
func (a *Agent) applyLock(steps []plan.Step, verb plan.Verb) {
	var names, patterns []string
	for _, s := range steps {
		switch {
		case s.Verb != verb:
		case strings.HasSuffix(s.NIC, "*"):
			patterns = append(patterns, s.NIC)
		default:
			names = append(names, s.NIC)
		}
	}
	// A damaged lock is made whole even if no name of it is wanted.
	if len(names)+len(patterns) == 0 && (verb != plan.Arm || a.lockError == "") {
		return
	}
	if len(patterns) == 0 && a.changeLock(names, verb) {
		return
	}
	next := locked{maps.Clone(a.locked.names), slices.Clone(a.locked.patterns)}
	next.move(names, verb)
	next.patterns = slices.DeleteFunc(next.patterns, func(p string) bool { return slices.Contains(patterns, p) })
	if verb == plan.Arm {
		next.patterns = append(next.patterns, patterns...)
	}
	slices.Sort(next.patterns)
	if err := a.setLock(next); err != nil {
		a.lockError = err.Error()
		a.opt.Log.Error("second lock failed", "err", err)
		return
	}
	a.lockError, a.locked = "", next
}

// changeLock changes some names of a lock that is whole and has others; false
// if all of it has to be applied.
func (a *Agent) changeLock(names []string, verb plan.Verb) bool {
	left := a.locked.count()
	if verb == plan.Disarm {
		left -= len(names)
	}
	if a.lockError != "" || a.locked.count() == 0 || left == 0 {
		return false
	}
	add, drop := names, []string(nil)
	if verb == plan.Disarm {
		add, drop = nil, names
	}
	if err := a.opt.Lock.Change(add, drop); err != nil {
		return false // Apply will say what is wrong
	}
	a.locked.move(names, verb)
	return true
}

// move arms names, or disarms them.
func (k *locked) move(names []string, verb plan.Verb) {
	if k.names == nil {
		k.names = map[string]bool{}
	}
	for _, n := range names {
		if verb == plan.Arm {
			k.names[n] = true
		} else {
			delete(k.names, n)
		}
	}
}

// setLock leaves no empty tables behind: what berth has nothing to do with, it
// is not seen on.
func (a *Agent) setLock(k locked) error {
	if k.count() == 0 {
		return a.opt.Lock.Remove()
	}
	return a.opt.Lock.Apply(lock.Desired{Mark: datapath.Mark, Names: k.all().Names, Patterns: k.patterns})
}
