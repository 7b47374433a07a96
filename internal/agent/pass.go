package agent

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/hostroute"
	"github.com/berth-net/berth/internal/link"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/route"
)

// pass reads everything back, computes what must change and changes it.
func (a *Agent) pass() {
	a.nextTry, a.pending = time.Time{}, false
	a.takeUpdates()
	a.expireServers(time.Now())
	a.takeHooks()
	in, err := a.gather()
	if err != nil {
		a.opt.Log.Error("cannot read the kernel", "err", err)
		a.nextTry = time.Now().Add(retry)
		return
	}
	a.routed = in.Routed
	a.adopt(in)
	p := plan.Compute(in)
	a.failed = map[string]failure{}
	harden, later := a.apply(p.Steps)
	p.PutOff(later.nics)
	if a.heard() {
		a.begin()
	}
	a.release = map[string]bool{}
	a.answerer.Running(running(in.Links))
	a.letAnswerMore()
	if len(p.Steps) > len(harden) {
		a.readBack(&in)
		a.announce(in, p.Steps)
	}
	a.installed = byIndex(in.Installed)
	a.watchUplinks(in)
	a.runHooks(in, p)
	a.watchShared(in)
	a.settle(a.unsettled, p)
	a.announceArrivals()
	a.forgetSettled(in)
	a.publish()
	if a.sealed && a.opt.Ready != nil && len(later.nics) == 0 {
		a.opt.Ready()
		a.opt.Ready = nil
	}
	if len(a.failed) > 0 || a.lockError != "" {
		a.nextTry = time.Now().Add(retry)
	}
	a.pending = later.any || a.harden(harden)
}

func byIndex(all []plan.Installed) map[int]plan.Installed {
	m := make(map[int]plan.Installed, len(all))
	for _, i := range all {
		m[i.Index] = i
	}
	return m
}

// forgetSettled leaves out of the next pass whom nothing is to be done about
// but wait for a link: their names are locked, and there may be very many.
func (a *Agent) forgetSettled(in plan.Input) {
	present := map[string]bool{}
	for _, i := range in.Installed {
		present[i.Name] = true
	}
	for name := range a.unsettled {
		_, linked := a.links.byName[name]
		_, failed := a.failed[name]
		if linked || failed || present[name] || a.lockError != "" {
			continue
		}
		_, shown := a.standings.Get(name)
		if concerned := a.wants.concerns(name); concerned && a.locked.names[name] || !concerned && !a.locked.names[name] && !shown {
			delete(a.unsettled, name)
		}
	}
}

// running are the links whose other end is there, by ifindex.
func running(links []plan.Link) map[int]bool {
	up := map[int]bool{}
	for _, l := range links {
		up[l.Index] = l.Up && (l.OperState == "up" || l.OperState == "unknown")
	}
	return up
}

// readBack looks again at what the steps have left installed.
func (a *Agent) readBack(in *plan.Input) {
	have, err := a.opt.Kernel.Installed()
	if err != nil {
		a.opt.Log.Error("cannot read back what was installed", "err", err)
		return
	}
	in.Installed = have
}

// gather reads what a pass looks at.
func (a *Agent) gather() (plan.Input, error) {
	in, err := a.survey(a.wants.routed > 0)
	if err != nil {
		return in, err
	}
	a.links = newLinks(in.Links)
	a.readLock()
	for _, l := range in.Links {
		if a.wants.concerns(l.Name) {
			a.unsettled[l.Name] = true
		}
	}
	for _, i := range in.Installed {
		a.unsettled[i.Name] = true
	}
	in.Wants = a.wants.of(a.unsettled)
	in.Armed = a.locked.of(a.unsettled, a.opt.Policy.Closed)
	in.Quiet, err = a.readQuiet(in)
	a.quiet = in.Quiet
	return in, err
}

// survey reads links, tables, hooks and, if any NIC is routed, routes.
func (a *Agent) survey(routed bool) (plan.Input, error) {
	links, err := a.opt.Links.Dump()
	if err != nil {
		return plan.Input{}, fmt.Errorf("dump links: %w", err)
	}
	have, err := a.opt.Kernel.Installed()
	if err != nil {
		return plan.Input{}, fmt.Errorf("read what is installed: %w", err)
	}
	in := plan.Input{
		Links: links, Installed: have,
		Answering: a.answering(),
		Policy:    a.opt.Policy,
		TCX:       a.opt.Kernel.TCX(),
		Sealed:    a.sealed,
		Release:   a.release,
		Gate:      a.gate(),
	}
	in.Routed, in.Common = a.readRoutes(routed)
	return in, nil
}

// preview computes the plan as if this were all that is wanted, and changes
// nothing.
func (a *Agent) preview(wants plan.Wants) (plan.Plan, error) {
	in, err := a.survey(anyRouted(wants))
	if err != nil {
		return plan.Plan{}, err
	}
	a.readLock()
	in.Wants, in.Armed = wants, a.locked.all()
	if in.Quiet, err = a.readQuiet(in); err != nil {
		return plan.Plan{}, err
	}
	return plan.Compute(in), nil
}

// answering is what is answered, by the daemon or by the kernel: of what that
// has from an earlier process it is not known from which binding.
func (a *Agent) answering() map[int]uint64 {
	now := a.answerer.Answering()
	for index := range a.carried {
		if _, known := now[index]; !known {
			now[index] = 0
		}
	}
	return now
}

// readRoutes reads what the host has for routed NICs, nil if that cannot be
// known: nobody else waits for it. A host that has none and wants none is not
// asked again, as its routing table may be long.
func (a *Agent) readRoutes(wanted bool) (map[int]route.State, route.Common) {
	if a.noRoutes && !wanted {
		return map[int]route.State{}, route.Common{}
	}
	routed, err := a.opt.Routes.Installed()
	common := route.Common{}
	if err == nil {
		common, err = a.opt.Routes.Common()
	}
	if err != nil {
		if a.routeError == "" {
			a.opt.Log.Warn("cannot read the host's routes", "err", err)
		}
		a.routeError = err.Error()
		return nil, route.Common{}
	}
	a.routeError = ""
	a.noRoutes = len(routed)+len(common.Rules)+len(common.Proxies) == 0 && !wanted
	return routed, common
}

func anyRouted(wants plan.Wants) bool {
	for _, w := range wants.ByNIC {
		if w.Binding.Routed {
			return true
		}
	}
	return false
}

// readQuiet asks only of the links that berth has to do with whether the host's
// IPv6 there is as the binding wants it.
func (a *Agent) readQuiet(in plan.Input) (map[int]bool, error) {
	loud, err := a.opt.Links.Loud()
	if err != nil {
		return nil, err
	}
	quiet := map[int]bool{}
	for _, l := range in.Links {
		w := in.Wants.ByNIC[l.Name]
		switch {
		case w != nil && w.Binding.Routed && w.Binding.ServesIPv6():
			quiet[l.Index] = hostroute.IsPrepared(l.Name)
		case a.locked.names[l.Name] || a.concerns(in.Wants, l.Name):
			quiet[l.Index] = !loud[l.Index]
		}
	}
	return quiet, nil
}

func (a *Agent) concerns(wants plan.Wants, name string) bool {
	_, wanted := wants.ByNIC[name]
	_, refused := wants.Refused[name]
	return wanted || refused || a.opt.Policy.Manages(name)
}

// sliceFor is how long a pass brings NICs up before it looks at the world again.
const sliceFor = time.Second

// putOff is what a pass leaves for the next: of thousands of NICs that come at
// once, so that whatever happens to another meanwhile is seen.
type putOff struct {
	nics map[string]bool // those whose fresh steps are
	any  bool            // something is: such steps or late ones
}

// leave reports whether a step is left for the next pass. A NIC that was begun
// is completed, and one is begun however long the steps before it took.
func (l *putOff) leave(s plan.Step, begun string, over bool) bool {
	if l.nics[s.NIC] {
		return true
	}
	if !s.Fresh && !s.Late || s.NIC == begun || begun == "" || !over {
		return false
	}
	l.any = true
	if s.Fresh {
		l.nics[s.NIC] = true
	}
	return true
}

// apply makes the steps in order and returns those left for later. A step
// that fails costs its NIC the steps after it: the NIC stays closed.
func (a *Agent) apply(steps []plan.Step) (harden []plan.Step, later putOff) {
	begin, begun := time.Now(), ""
	later.nics = map[string]bool{}
	var done []plan.Step
	a.applyLock(steps, plan.Arm)
	for _, s := range steps {
		_, failed := a.failed[s.NIC]
		switch {
		case failed || s.Verb == plan.Arm || s.Verb == plan.Disarm || later.leave(s, begun, time.Since(begin) >= a.slice):
			continue
		case s.Verb == plan.Harden:
			harden = append(harden, s)
			continue
		case s.Fresh || s.Late:
			begun = s.NIC
			a.begin() // all who may have asked before can be answered by now
		}
		if a.makeStep(s) {
			done = append(done, s)
		}
	}
	a.applyLock(steps, plan.Disarm)
	for _, s := range done { // no guest waits for a line in a log
		a.note(s)
	}
	return harden, later
}

// makeStep makes one step, tells what went wrong, and reports whether it is
// done.
func (a *Agent) makeStep(s plan.Step) bool {
	if s.Verb == plan.Hold || s.Verb == plan.Silence || s.Verb == plan.Answer || s.Verb == plan.Forget {
		delete(a.carried, s.Index) // what the kernel answers then is this process's
	}
	err := a.applyStep(s)
	switch {
	case s.Verb == plan.Quiet || s.Verb == plan.Prepare:
		a.tellLoud(s, err)
	case err != nil:
		a.fail(s, err)
	}
	return err == nil
}

// tellLoud says once that the host itself can be heard on a port. That is no
// reason to leave the guest unguarded.
func (a *Agent) tellLoud(s plan.Step, err error) {
	if err == nil {
		delete(a.loud, s.NIC)
		return
	}
	if a.loud[s.NIC] == err.Error() {
		return
	}
	a.loud[s.NIC] = err.Error()
	a.opt.Log.Warn("the host's own IPv6 stays on", "nic", s.NIC, "ifindex", s.Index, "err", err)
	a.Add(api.Event{Time: time.Now(), NIC: s.NIC, Index: s.Index, Kind: "failed", Text: fmt.Sprintf("%s: %v", s, err)})
}

func (a *Agent) applyStep(s plan.Step) error {
	switch s.Verb {
	case plan.Hold:
		err := a.opt.Kernel.Unanswer(s.Index)
		a.answerer.Hold(s.Index)
		return err
	case plan.Silence:
		err := a.opt.Kernel.Unanswer(s.Index)
		a.answerer.Silence(s.Index)
		return err
	case plan.Quiet:
		return link.Quiet(s.NIC)
	case plan.Prepare:
		return hostroute.Prepare(s.NIC)
	case plan.Unroute:
		return a.opt.Routes.Remove(s.Index)
	case plan.Route:
		return a.opt.Routes.Apply(a.routed[s.Index], s.Want)
	case plan.Sweep:
		return a.opt.Routes.Sweep(stale(s.Want))
	case plan.Close:
		a.remember(s.Index)
		if former := a.takeFormer(s.Index); former != nil {
			a.answerer.Farewell(s.Index, former)
		}
		return a.opt.Kernel.Guard(s.Index, s.NIC, *s.Rules)
	case plan.Guard:
		a.remember(s.Index)
		return a.opt.Kernel.Guard(s.Index, s.NIC, *s.Rules)
	case plan.Answer:
		setting := answerer.Setting{
			Binding: s.Binding, ServerID: s.ServerID, FormerIDs: s.Former, GatewayMAC: s.GatewayMAC,
			Digest: s.Digest, Former: a.takeFormer(s.Index),
		}
		a.answerer.Answer(s.Index, s.NIC, setting)
		return a.letAnswer(s.Index, setting)
	case plan.Forget:
		a.answerer.Drop(s.Index)
		a.book.forget(s.Index)
		a.takeFormer(s.Index)
		delete(a.soft, s.Index)
		return a.opt.Kernel.Forget(s.Index)
	case plan.Harden:
		return a.opt.Kernel.Harden(s.Index)
	case plan.Arm, plan.Disarm:
	}
	return nil
}

func stale(w route.Want) (c route.Common) {
	c.Add(w)
	return c
}

func (a *Agent) fail(s plan.Step, err error) {
	a.failed[s.NIC] = failure{s.String(), err}
	a.opt.Log.Error("step failed", "nic", s.NIC, "ifindex", s.Index, "step", s.String(), "err", err)
	a.Add(api.Event{
		Time: time.Now(), NIC: s.NIC, Index: s.Index, Kind: "failed",
		Text: fmt.Sprintf("%s: %v", s, err),
	})
}

// note records the steps worth a line in the history.
func (a *Agent) note(s plan.Step) {
	kinds := map[plan.Verb]string{plan.Guard: "guarded", plan.Answer: "bound", plan.Close: "closed", plan.Forget: "forgotten"}
	kind, ok := kinds[s.Verb]
	if !ok {
		return
	}
	a.opt.Log.Info("step done", "nic", s.NIC, "ifindex", s.Index, "step", s.String())
	a.Add(api.Event{Time: time.Now(), NIC: s.NIC, Index: s.Index, Kind: kind, Text: s.String()})
}

// hardenFor is how long the loop hardens before it looks at the world again.
const hardenFor = 200 * time.Millisecond

// harden makes the slow steps, which wait for the kernel's grace periods, for
// a while, and stops early if anything else is to be done. Those that have failed
// come last, so that they keep nobody from theirs.
func (a *Agent) harden(steps []plan.Step) (more bool) {
	begin := time.Now()
	slices.SortStableFunc(steps, func(x, y plan.Step) int { return cmp.Compare(a.soft[x.Index], a.soft[y.Index]) })
	for _, s := range steps {
		if err := a.applyStep(s); err != nil {
			a.stayed(s, err)
		} else {
			delete(a.soft, s.Index)
			more = true // look again: there may be others, and what is shown is read back
		}
		if time.Since(begin) > hardenFor || len(a.wake)+len(a.spoken) > 0 || a.waiting.Load() > 0 {
			break
		}
	}
	return more
}

// stayed notes that a NIC could not be hardened. That is no failure of the NIC:
// its clsact filters stand.
func (a *Agent) stayed(s plan.Step, err error) {
	if a.soft[s.Index]++; a.soft[s.Index] == 1 {
		a.opt.Log.Warn("hardening failed; the clsact filters stay", "nic", s.NIC, "ifindex", s.Index, "err", err)
	}
	a.nextTry = time.Now().Add(retry)
}
