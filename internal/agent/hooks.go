package agent

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/hook"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

// retryHook is the pause before hooks that failed are run again.
const retryHook = 30 * time.Second

// hooks is what the agent knows of the site's programs: of those before an
// event, for which a NIC waits, and of those after it.
type hooks struct {
	closed uint64 // the digest of rules that let nothing pass

	mu   sync.Mutex
	done []finished // not looked at yet

	// Owned by the loop.
	began bool                 // there was a pass
	held  map[int]plan.Held    // by ifindex: what is in force
	turns map[string]hooksTurn // by NIC: what has been asked for
	notes map[string]string    // by NIC: what has failed after its last event
}

// finished is one call that was run.
type finished struct {
	call hook.Call
	err  error
}

// hooksTurn is how far the hooks before a turn are.
type hooksTurn struct {
	plan.Turn
	running, passed bool
	said            string
	again           time.Time // when those that failed are run again
}

func newHooks() hooks {
	closed := guard.ClosedRules()
	return hooks{closed: closed.Digest(), held: map[int]plan.Held{}, turns: map[string]hooksTurn{}, notes: map[string]string{}}
}

// before names the hooks that run before a binding comes into force.
func before(e plan.Event) hook.Event {
	if e == plan.Up {
		return hook.PreUp
	}
	return hook.PreChange
}

// hookDone is called by the runner, from its own goroutines.
func (a *Agent) hookDone(c hook.Call, err error) {
	a.hooks.mu.Lock()
	defer a.hooks.mu.Unlock()
	a.hooks.done = append(a.hooks.done, finished{c, err})
	a.Wake()
}

// takeHooks takes what has been run since the last pass.
func (a *Agent) takeHooks() {
	a.hooks.mu.Lock()
	done := a.hooks.done
	a.hooks.done = nil
	a.hooks.mu.Unlock()
	for _, f := range done {
		if f.err != nil {
			a.opt.Log.Warn("hook failed", "nic", f.call.NIC, "ifindex", f.call.Index, "hook", string(f.call.Event), "err", f.err)
		}
		if f.call.Event == hook.PreUp || f.call.Event == hook.PreChange {
			a.hooks.ran(f, time.Now())
			continue
		}
		delete(a.hooks.notes, f.call.NIC)
		if f.err != nil {
			a.hooks.notes[f.call.NIC] = f.err.Error()
			a.Add(api.Event{Time: time.Now(), NIC: f.call.NIC, Index: f.call.Index, Kind: "hook", Text: f.err.Error()})
		}
	}
}

// ran notes the end of hooks before a turn, unless another turn is asked for
// by now.
func (h *hooks) ran(f finished, now time.Time) {
	t, asked := h.turns[f.call.NIC]
	if !asked || before(t.Event) != f.call.Event || t.Index != f.call.Index || t.Digest != f.call.Binding.Digest() {
		return
	}
	t.running, t.passed = false, f.err == nil
	if f.err != nil {
		t.said, t.again = f.err.Error(), now.Add(retryHook)
	}
	h.turns[f.call.NIC] = t
}

// gate says what the hooks hold back.
func (a *Agent) gate() plan.Gate {
	g := plan.Gate{Hooks: map[plan.Event]bool{}, Passed: map[plan.Turn]bool{}, Said: map[plan.Turn]string{}, Held: a.hooks.held}
	for _, e := range []plan.Event{plan.Up, plan.Change} {
		if a.opt.Hooks.Has(before(e)) {
			g.Hooks[e] = true
		}
	}
	for _, t := range a.hooks.turns {
		g.Said[t.Turn] = t.said
		if t.passed {
			g.Passed[t.Turn] = true
		}
	}
	return g
}

// runHooks has the hooks run that a pass has made necessary: those before what
// waits for them, and those after what has been done.
func (a *Agent) runHooks(in plan.Input, p plan.Plan) {
	a.ask(a.links, p)
	now := a.inForce(a.links, in, p)
	for _, index := range slices.Sorted(maps.Keys(a.hooks.held)) {
		if old := a.hooks.held[index]; now[index].NIC != old.NIC {
			a.down(index, old)
		}
	}
	for _, index := range slices.Sorted(maps.Keys(now)) {
		a.up(index, now[index])
	}
	a.hooks.held = now
	maps.DeleteFunc(a.hooks.notes, func(name, _ string) bool {
		_, shown := a.standings.Get(name)
		return !shown
	})
}

// up has the hooks run after what has come into force, if it was not before.
func (a *Agent) up(index int, is plan.Held) {
	was := a.hooks.held[index]
	call := hook.Call{Event: hook.PostChange, NIC: is.NIC, Index: index, Bridge: a.links.bridge(index), Binding: is.Binding}
	if was.NIC != is.NIC {
		call.Event = hook.PostUp
	}
	if was.NIC != is.NIC || was.Digest != is.Digest {
		a.after(call)
	}
}

// down has the hooks run after the end of what was in force.
func (a *Agent) down(index int, held plan.Held) {
	c := hook.Call{Event: hook.PostDown, NIC: held.NIC, Index: index}
	if held.Digest != 0 {
		c.Binding = held.Binding
	}
	a.after(c)
}

// after has the hooks run after an event. What failed after an earlier one
// counts no more.
func (a *Agent) after(c hook.Call) {
	delete(a.hooks.notes, c.NIC)
	if a.opt.Hooks.Has(c.Event) {
		a.opt.Hooks.Submit(c)
	}
}

// ask has the hooks run that NICs wait for, and forgets those that are of no
// use any more.
func (a *Agent) ask(v links, p plan.Plan) {
	asked := map[string]hooksTurn{}
	for name, t := range a.hooks.turns {
		// What has passed is kept until it is in force: its steps may fail.
		_, failed := a.failed[name]
		served := p.Served[t.Index].NIC == name && !failed
		w := a.wants.nic(name)
		if t.passed && !served && v.byIndex[t.Index].Name == name && w != nil && w.Answer == t.Digest {
			asked[name] = t
		}
	}
	for _, k := range p.Asks {
		t := a.hooks.turns[k.NIC]
		if t.Turn != k.Turn {
			t = hooksTurn{Turn: k.Turn, said: string(before(k.Event)) + " is running"}
		}
		if !t.running && !time.Now().Before(t.again) {
			t.running = true
			a.opt.Hooks.Submit(hook.Call{Event: before(k.Event), NIC: k.NIC, Index: k.Index, Bridge: v.bridge(k.Index), Binding: k.Binding})
		}
		asked[k.NIC] = t
	}
	a.hooks.turns = asked
}

// adopt notes, before a pass changes anything, what an earlier process has left
// in force: nothing of that comes into force again. And it has the hooks run
// after what has gone with its device, since another may get its ifindex now.
func (a *Agent) adopt(in plan.Input) {
	for _, i := range in.Installed {
		held, known := a.hooks.held[i.Index]
		if !known && !a.hooks.began && a.hooks.hasRules(i) && !i.Moved {
			held, known = plan.Held{NIC: i.Name}, true
		}
		l := a.links.byIndex[i.Index]
		want, wanted := in.Wants.ByNIC[i.Name]
		switch {
		case !known:
		case i.Gone || i.Moved:
			delete(a.hooks.held, i.Index)
			a.down(i.Index, held)
		case held.Digest == 0 && wanted && l.Name == i.Name && want.DigestOn(l) == i.Digest:
			a.hooks.held[i.Index] = plan.Held{NIC: i.Name, Binding: want.Binding, Digest: want.Answer}
		case held.Binding == nil && wanted && len(in.Gate.Hooks) > 0:
			held.Binding = a.holds(i, want.Binding)
			a.hooks.held[i.Index] = held
		default:
			a.hooks.held[i.Index] = held
		}
	}
	a.hooks.began = true
}

// holds reads from an earlier process's rules what nobody else may have as long
// as they stand; nil if they cannot be read.
func (a *Agent) holds(i plan.Installed, now *nic.Binding) *nic.Binding {
	r, ok, err := a.opt.Kernel.Rules(i.Index)
	if err != nil || !ok || len(r.MACs) == 0 {
		return nil
	}
	return heldBy(i.Name, &r, now)
}

// heldBy makes a binding of what rules permit. The network is not in them, nor
// with whom an address is shared: both are taken to be as they are now.
func heldBy(name string, r *guard.Rules, now *nic.Binding) *nic.Binding {
	b := &nic.Binding{NIC: name, Network: now.Network, MAC: r.MACs[0], Origin: nic.Origin{Source: "before the restart"}}
	for _, s := range now.Shared {
		s.Addresses = slices.DeleteFunc(slices.Clone(s.Addresses), func(a netip.Addr) bool { return !slices.Contains(r.Shared, a) })
		b.Shared = append(b.Shared, s)
	}
	for _, p := range slices.Concat(r.IP4, r.IP6) {
		together := slices.ContainsFunc(b.Shared, func(s nic.Shared) bool { return slices.Contains(s.Addresses, p.Addr()) })
		switch {
		case p.IsSingleIP() && together:
		case p.IsSingleIP():
			b.Addresses = append(b.Addresses, p)
		case p.Addr().Is6():
			b.Delegated = append(b.Delegated, p)
		}
	}
	return b
}

// inForce is what a pass has left in force: what it has served, and what was
// there and stays.
func (a *Agent) inForce(v links, in plan.Input, p plan.Plan) map[int]plan.Held {
	now := make(map[int]plan.Held, len(p.Served))
	for index, s := range p.Served {
		if _, failed := a.failed[s.NIC]; !failed {
			now[index] = s
		}
	}
	for _, i := range in.Installed {
		held, known := a.hooks.held[i.Index]
		_, served := now[i.Index]
		_, lives := v.byIndex[i.Index]
		if known && !served && lives && a.hooks.hasRules(i) && !i.Gone && !i.Moved {
			now[i.Index] = held
		}
	}
	return now
}

// hasRules reports whether rules of a binding are installed.
func (h *hooks) hasRules(i plan.Installed) bool { return i.Digest != 0 && i.Digest != h.closed }

// links finds a pass's links. They are never changed.
type links struct {
	byIndex map[int]plan.Link
	byName  map[string]plan.Link
}

func newLinks(all []plan.Link) links {
	v := links{make(map[int]plan.Link, len(all)), make(map[string]plan.Link, len(all))}
	for _, l := range all {
		v.byIndex[l.Index] = l
		v.byName[l.Name] = l
	}
	return v
}

// bridge names a link's master, "" if it has none.
func (v links) bridge(index int) string { return v.byIndex[v.byIndex[index].Master].Name }
