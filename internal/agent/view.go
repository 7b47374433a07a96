package agent

import (
	"fmt"
	"maps"
	"time"

	"github.com/tidwall/btree"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/route"
)

// stored is what the socket has set: read from the store once, then kept
// beside it, so that a disk that fails later takes nobody's binding away.
type stored struct {
	bindings btree.Map[string, *nic.Binding] // by NIC; none is ever changed
	problems []manifest.Problem
}

// copied is s as it is now.
func (s *stored) copied() stored { return stored{*s.bindings.Copy(), s.problems} }

// view is what requests see: the last pass, immutable.
type view struct {
	said       map[string]said
	stored     stored
	wants      wanted
	links      links
	installed  map[int]plan.Installed
	routed     map[int]route.State
	holders    map[sharedKey]holding
	standings  btree.Map[string, standing]
	notes      map[string]string // by NIC: hooks that have failed after an event
	lockError  string
	routeError string
	armed      int
	changed    chan struct{} // closed when the next view is there
}

// name returns the interface name of an ifindex, "" if it is gone.
func (v *view) name(index int) string { return v.links.byIndex[index].Name }

// publish makes the view of what is now and wakes whoever waits for one.
func (a *Agent) publish() {
	old := a.view.Swap(&view{
		said: maps.Clone(a.said), stored: a.stored.copied(), wants: a.wants.copied(),
		links: a.links, installed: a.installed, routed: a.routed, holders: a.holders,
		standings: *a.standings.Copy(), notes: maps.Clone(a.hooks.notes),
		lockError: a.lockError, routeError: a.routeError, armed: a.locked.count(),
		changed: make(chan struct{}),
	})
	close(old.changed)
}

// settle decides in which state the NICs are that were looked at.
func (a *Agent) settle(looked map[string]bool, p plan.Plan) {
	now := a.states(looked, p)
	for name, s := range now {
		a.stand(name, s)
		if !a.wants.concerns(name) {
			a.unsettled[name] = true // nothing else tells when that ends
		}
	}
	for name := range looked {
		if _, ok := now[name]; !ok {
			a.standings.Delete(name)
		}
	}
}

// states are those of all NICs that were looked at, and of whatever else a plan
// speaks of.
func (a *Agent) states(looked map[string]bool, p plan.Plan) map[string]standing {
	now := map[string]standing{}
	for _, w := range p.Waits {
		if old, ok := now[w.NIC]; !ok || old.reason == reason.Stale {
			now[w.NIC] = standing{state: stateOf(w.Reason), reason: w.Reason, text: w.Text}
		}
	}
	for name := range looked {
		if _, waits := now[name]; !waits && a.wants.nic(name) != nil {
			now[name] = standing{state: api.InForce}
		}
	}
	for name, f := range a.failed {
		if looked[name] {
			text := fmt.Sprintf("%s: %v", f.step, f.err)
			now[name] = standing{state: api.Failed, reason: reason.WaitFailed, text: text}
		}
	}
	return now
}

func stateOf(r reason.Reason) api.State {
	switch r {
	case reason.Stale:
		return api.Stale
	case reason.WaitClosed:
		return api.Closed
	default:
		return api.Waiting
	}
}

// stand keeps the time at which a NIC entered its state, and tells the history.
func (a *Agent) stand(name string, now standing) {
	old, known := a.standings.Get(name)
	now.since = time.Now()
	if known && old.state == now.state {
		now.since = old.since
	}
	if known && old == now {
		return
	}
	a.standings.Set(name, now)
	if now.state == api.Waiting || now.state == api.Stale {
		a.Add(api.Event{Time: time.Now(), NIC: name, Kind: string(now.state), Reason: now.reason, Text: now.why()})
	}
}

// why says the reason in words.
func (s standing) why() string {
	switch {
	case s.text == "":
		return s.reason.Text()
	case s.reason == reason.None:
		return s.text
	default:
		return s.reason.Text() + ": " + s.text
	}
}
