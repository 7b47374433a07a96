package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/berth-net/berth/internal/hook"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/source"
	"github.com/berth-net/berth/internal/table"
)

// A change of one NIC by the socket, or by a source that changes one at a time,
// that nobody else has to do with is made alone: what it costs does not depend on
// how many bindings and links there are. Everything else takes a merge of all and
// a pass over all.

// mostAlone is how many changes of one update are made alone: more cost no more
// together.
const mostAlone = 64

// takeAlone makes what differs between two updates of a source alone; false
// where something is left that only a merge can do.
func (a *Agent) takeAlone(old, now *source.Update) bool {
	if old.Generation == 0 || a.news || len(old.Bindings)+len(now.Bindings) > 0 || !maps.Equal(old.Stale, now.Stale) ||
		!maps.Equal(broken(old.Problems, nil), broken(now.Problems, nil)) {
		return false
	}
	list, few := changes(old.Refs, now.Refs)
	if !few {
		return false
	}
	for _, c := range list {
		if !a.changeAlone(c) {
			return false
		}
	}
	if len(list) == 0 {
		a.publish() // nothing but how the source is
	}
	return true
}

// change is one NIC's, nil for none.
type change struct{ was, now *nic.Binding }

// changes compares two lists by NIC; few is false if there are too many.
func changes(old, now []*nic.Binding) (list []change, few bool) {
	for len(old)+len(now) > 0 && len(list) <= mostAlone {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].NIC < now[0].NIC:
			list, old = append(list, change{was: old[0]}), old[1:]
		case len(old) == 0 || now[0].NIC < old[0].NIC:
			list, now = append(list, change{now: now[0]}), now[1:]
		default:
			if old[0] != now[0] {
				list = append(list, change{old[0], now[0]})
			}
			old, now = old[1:], now[1:]
		}
	}
	return list, len(list) <= mostAlone
}

// changeAlone makes one change of a source; false if nothing has been done.
func (a *Agent) changeAlone(c change) bool {
	b := cmp.Or(c.now, c.was)
	old := a.wants.nic(b.NIC)
	if bindingOf(old) != c.was {
		return false // another's, or not yet decided
	}
	in, ok := a.lookAlone(b.NIC, old, c.now)
	if !ok || !a.lane.Swap(c.was, c.now) {
		return false
	}
	var want *plan.Want
	if c.now != nil {
		want = plan.NewWant(table.Entry{Binding: c.now}, nil)
	}
	a.passAlone(in, b.NIC, want)
	a.tellSource(b.NIC, old, want)
	return true
}

// setAlone puts a binding in force; done is false where that is not for it to
// do, and nothing has been done. The guest may have its first answer before the
// disk has the binding, who asked has not: if the disk fails then, all is as
// before.
func (a *Agent) setAlone(ctx context.Context, b *nic.Binding) (p plan.Plan, done bool, err error) {
	old := a.wants.nic(b.NIC)
	if old != nil && (old.Answer == b.Digest() || old.Binding.Origin.Source != socket) {
		return p, false, nil
	}
	in, ok := a.lookAlone(b.NIC, old, b)
	if !ok || !a.lane.Swap(bindingOf(old), b) {
		return p, false, nil
	}
	if p, err = a.keepAlone(in, old, b); err != nil {
		return p, true, fmt.Errorf("keep binding of NIC %s: %w", b.NIC, err)
	}
	a.audit(ctx, b.NIC, bindingOf(old), b)
	return p, true, nil
}

// keepAlone brings a binding that nothing stands against into force and onto the
// disk. A NIC that had none, and may be the site's, first has it on the disk.
func (a *Agent) keepAlone(in plan.Input, old *plan.Want, b *nic.Binding) (p plan.Plan, err error) {
	staged, err := a.opt.Store.Stage(b)
	if err == nil && old == nil {
		err = staged.Commit()
	}
	if err != nil {
		a.lane.Swap(b, bindingOf(old))
		return p, err
	}
	before := a.stored
	a.stored = a.with(b)
	p = a.passAlone(in, b.NIC, plan.NewWant(table.Entry{Binding: b}, nil))
	if old == nil {
		return p, nil
	}
	if err = staged.Commit(); err != nil {
		a.stored = before
		a.merge()
		a.pass()
	}
	return p, err
}

// deleteAlone takes a binding away that the store has forgotten.
func (a *Agent) deleteAlone(name string) (done bool) {
	old := a.wants.nic(name)
	if old == nil || old.Binding.Origin.Source != socket {
		return false
	}
	in, ok := a.lookAlone(name, old, nil)
	if !ok || !a.lane.Swap(old.Binding, nil) {
		return false
	}
	a.stored = a.without(name)
	a.passAlone(in, name, nil)
	return true
}

func bindingOf(w *plan.Want) *nic.Binding {
	if w == nil {
		return nil
	}
	return w.Binding
}

// lookAlone reads what a plan for one NIC depends on. It is false where others
// may have to do with a change, or the NIC's link is not as the last pass found
// it.
func (a *Agent) lookAlone(name string, old *plan.Want, now *nic.Binding) (in plan.Input, ok bool) {
	_, refused := a.wants.refused.Get(name)
	switch {
	case !a.sealed, !a.free, a.lockError != "", refused, !a.mayBeAlone(bindingOf(old)), !a.mayBeAlone(now):
		return in, false
	case a.opt.Hooks.Has(hook.PreUp), a.opt.Hooks.Has(hook.PreChange):
		return in, false
	}
	in = plan.Input{
		Armed:     a.locked.of(map[string]bool{name: true}, a.opt.Policy.Closed),
		Policy:    a.opt.Policy,
		TCX:       a.opt.Kernel.TCX(),
		Sealed:    true,
		Answering: map[int]uint64{},
	}
	l, there, err := a.opt.Links.Look(name)
	last, was := a.links.byName[name]
	l.IPv4 = last.IPv4 // a change of which is a reason for a pass
	switch {
	case err != nil || there != was || there && !reflect.DeepEqual(l, last):
		return in, false
	case there:
		return in, a.lookOn(l, &in)
	default:
		return in, !a.isInstalled(name)
	}
}

// mayBeAlone reports whether a binding concerns nothing but its own NIC. It is
// the socket's, or of a source that changes one at a time: of what others
// declare, the files tell.
func (a *Agent) mayBeAlone(b *nic.Binding) bool {
	return b == nil || !b.Routed && len(b.Shared) == 0 &&
		(b.Origin.Source == socket || len(a.said[b.Origin.Source].Refs) > 0)
}

// isInstalled reports whether anything is installed for a NIC that has no link.
func (a *Agent) isInstalled(name string) bool {
	for _, i := range a.installed {
		if i.Name == name {
			return true
		}
	}
	return false
}

// lookOn adds what there is on a link.
func (a *Agent) lookOn(l plan.Link, in *plan.Input) bool {
	have, ok, err := a.opt.Kernel.InstalledOn(l.Index)
	if err != nil {
		return false
	}
	in.Links = []plan.Link{l}
	if ok {
		in.Installed = []plan.Installed{have}
	}
	if s, answering := a.answerer.Setting(l.Index); answering || a.carried[l.Index] {
		in.Answering[l.Index] = s.Digest
	}
	in.Quiet = map[int]bool{l.Index: a.quiet[l.Index]}
	return true
}

// passAlone makes something else wanted of one NIC, and is a pass over it.
func (a *Agent) passAlone(in plan.Input, name string, now *plan.Want) plan.Plan {
	old := a.wants.nic(name)
	a.wants.generation++
	a.wants.set(name, now)
	a.keepServers(name, old, now)
	a.arrive(name, old, now)
	a.tellFormer(name, a.servers[name])
	a.unsettled[name] = true
	in.Wants = a.wants.of(map[string]bool{name: true})
	p := plan.Compute(in)
	delete(a.failed, name)
	harden, later := a.apply(p.Steps)
	p.PutOff(later.nics)
	a.pending = a.pending || later.any || len(harden) > 0
	if _, failed := a.failed[name]; failed || a.lockError != "" {
		a.nextTry = time.Now().Add(retry)
	}
	a.readBackOn(in, p)
	a.settle(map[string]bool{name: true}, p)
	a.announceArrivals()
	a.publish()
	return p
}

// readBackOn looks again at what is installed on the link of a plan for one NIC,
// and has the hooks run after what has come of it.
func (a *Agent) readBackOn(in plan.Input, p plan.Plan) {
	for _, l := range in.Links {
		have, ok, err := a.opt.Kernel.InstalledOn(l.Index)
		if err != nil {
			a.opt.Log.Error("cannot read back what was installed", "nic", l.Name, "ifindex", l.Index, "err", err)
			continue
		}
		if old, had := a.installed[l.Index]; had != ok || old != have {
			a.installed = maps.Clone(a.installed) // views have it
			a.installed[l.Index] = have
			if !ok {
				delete(a.installed, l.Index)
			}
		}
		in.Installed = nil
		if ok {
			in.Installed = []plan.Installed{have}
		}
		a.runHooksOn(l.Index, in, p)
	}
}

// runHooksOn is runHooks of one ifindex.
func (a *Agent) runHooksOn(index int, in plan.Input, p plan.Plan) {
	now, is := a.inForce(a.links, in, p)[index]
	if was, had := a.hooks.held[index]; had && was.NIC != now.NIC {
		a.down(index, was)
	}
	if !is {
		delete(a.hooks.held, index)
		return
	}
	a.up(index, now)
	a.hooks.held[index] = now
}
