package agent

import (
	"fmt"
	"maps"
	"time"

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
	bindings []*nic.Binding // none is ever changed
	problems []manifest.Problem
}

// view is what requests see: the last pass, immutable.
type view struct {
	generation uint64
	said       map[string]said
	stored     stored
	wants      plan.Wants
	byName     map[string]plan.Link
	byIndex    map[int]plan.Link
	installed  map[int]plan.Installed
	routed     map[int]route.State
	holders    map[sharedKey]holding
	standings  map[string]standing
	notes      map[string]string // by NIC: hooks that have failed after an event
	lockError  string
	routeError string
	armed      int
	changed    chan struct{} // closed when the next view is there
}

// name returns the interface name of an ifindex, "" if it is gone.
func (v *view) name(index int) string { return v.byIndex[index].Name }

// publish makes the view of a pass and wakes whoever waits for one.
func (a *Agent) publish(in plan.Input, p plan.Plan) {
	v := &view{
		generation: a.generation, said: maps.Clone(a.said), stored: a.stored, wants: a.wants,
		byName: map[string]plan.Link{}, byIndex: map[int]plan.Link{}, installed: map[int]plan.Installed{},
		standings: map[string]standing{}, notes: maps.Clone(a.hooks.notes),
		routed:    in.Routed,
		holders:   a.holders,
		lockError: a.lockError, routeError: a.routeError, armed: len(a.armed.Names) + len(a.armed.Patterns),
		changed: make(chan struct{}),
	}
	for _, l := range in.Links {
		v.byName[l.Name] = l
		v.byIndex[l.Index] = l
	}
	for _, i := range in.Installed {
		v.installed[i.Index] = i
	}
	a.settle(v, p)
	old := a.view.Swap(v)
	close(old.changed)
}

// settle decides in which state each NIC is after a pass.
func (a *Agent) settle(v *view, p plan.Plan) {
	waits := map[string]plan.Wait{}
	for _, w := range p.Waits {
		if old, ok := waits[w.NIC]; !ok || old.Reason == reason.Stale {
			waits[w.NIC] = w
		}
	}
	for name := range a.wants.ByNIC {
		if _, ok := waits[name]; !ok {
			v.standings[name] = a.stand(name, standing{state: api.InForce})
		}
	}
	for name, w := range waits {
		v.standings[name] = a.stand(name, standing{state: stateOf(w.Reason), reason: w.Reason, text: w.Text})
	}
	for name, f := range a.failed {
		text := fmt.Sprintf("%s: %v", f.step, f.err)
		v.standings[name] = a.stand(name, standing{state: api.Failed, reason: reason.WaitFailed, text: text})
	}
	for name := range a.since {
		if _, ok := v.standings[name]; !ok {
			delete(a.since, name)
		}
	}
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
func (a *Agent) stand(name string, now standing) standing {
	old, known := a.since[name]
	now.since = time.Now()
	if known && old.state == now.state {
		now.since = old.since
	}
	if known && old.state == now.state && old.reason == now.reason && old.text == now.text {
		return old
	}
	a.since[name] = now
	if now.state == api.Waiting || now.state == api.Stale {
		a.Add(api.Event{Time: time.Now(), NIC: name, Kind: string(now.state), Reason: now.reason, Text: now.why()})
	}
	return now
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
