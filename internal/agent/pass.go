package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/hostroute"
	"github.com/berth-net/berth/internal/link"
	"github.com/berth-net/berth/internal/lock"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/route"
)

// pass reads everything back, computes what must change and changes it. It
// reports whether more is to be done at once.
func (a *Agent) pass() (pending bool) {
	a.nextTry = time.Time{}
	a.takeUpdates()
	a.expireServers(time.Now())
	a.takeHooks()
	in, err := a.gather(a.wants)
	if err != nil {
		a.opt.Log.Error("cannot read the kernel", "err", err)
		a.nextTry = time.Now().Add(retry)
		return false
	}
	a.noticeTampering(in.Armed)
	a.armed, a.routed = in.Armed, in.Routed
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
	a.letAdvertise()
	if len(p.Steps) > len(harden) {
		a.readBack(&in)
		a.announce(in, p.Steps)
	}
	a.watchUplinks(in)
	a.runHooks(in, p)
	a.watchShared(in)
	a.publish(in, p)
	if a.sealed && a.opt.Ready != nil && len(later.nics) == 0 {
		a.opt.Ready()
		a.opt.Ready = nil
	}
	if len(a.failed) > 0 || a.lockError != "" {
		a.nextTry = time.Now().Add(retry)
	}
	if later.any {
		return true
	}
	return a.harden(harden)
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

// gather reads links, tables, hooks, routes and the second lock, for what is
// wanted or would be.
func (a *Agent) gather(wants plan.Wants) (plan.Input, error) {
	links, err := a.opt.Links.Dump()
	if err != nil {
		return plan.Input{}, fmt.Errorf("dump links: %w", err)
	}
	have, err := a.opt.Kernel.Installed()
	if err != nil {
		return plan.Input{}, fmt.Errorf("read what is installed: %w", err)
	}
	in := plan.Input{
		Wants: wants, Links: links, Installed: have,
		Answering: a.answerer.Answering(),
		Armed:     a.readLock(),
		Policy:    a.opt.Policy,
		TCX:       a.opt.Kernel.TCX(),
		Sealed:    a.sealed,
		Release:   a.release,
		Gate:      a.gate(),
	}
	in.Routed, in.Common = a.readRoutes(wants)
	in.Quiet, err = a.readQuiet(in)
	return in, err
}

// readRoutes reads what the host has for routed NICs, nil if that cannot be
// known: nobody else waits for it. A host that has none and wants none is not
// asked again, as its routing table may be long.
func (a *Agent) readRoutes(wants plan.Wants) (map[int]route.State, route.Common) {
	wanted := anyRouted(wants)
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

// readLock reads the second lock back. A lock that is damaged or cannot be read
// counts as holding nothing: everything is armed anew.
func (a *Agent) readLock() plan.Armed {
	d, err := a.opt.Lock.Read()
	if err != nil {
		if a.lockError == "" {
			a.opt.Log.Warn("second lock", "err", err)
			a.Add(api.Event{Time: time.Now(), Kind: "lock", Text: err.Error() + "; armed again"})
		}
		a.lockError = err.Error()
		return plan.Armed{}
	}
	a.lockError = ""
	return plan.Armed{Names: d.Names, Patterns: d.Patterns}
}

// readQuiet asks only of the links that berth has to do with whether the host's
// IPv6 there is as the binding wants it.
func (a *Agent) readQuiet(in plan.Input) (map[int]bool, error) {
	loud, err := a.opt.Links.Loud()
	if err != nil {
		return nil, err
	}
	locked := set(in.Armed.Names)
	quiet := map[int]bool{}
	for _, l := range in.Links {
		b := in.Wants.ByNIC[l.Name].Binding
		switch {
		case b != nil && b.Routed && b.ServesIPv6():
			quiet[l.Index] = hostroute.IsPrepared(l.Name)
		case locked[l.Name] || a.concerns(in.Wants, l.Name):
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

// noticeTampering names what somebody else took out of the second lock since
// the last pass.
func (a *Agent) noticeTampering(now plan.Armed) {
	if a.lockError != "" {
		return // said already
	}
	gone := slices.Concat(missing(a.armed.Names, now.Names), missing(a.armed.Patterns, now.Patterns))
	if len(gone) == 0 {
		return
	}
	a.opt.Log.Warn("second lock was changed by somebody else", "missing", len(gone))
	a.Add(api.Event{
		Time: time.Now(), Kind: "lock",
		Text: fmt.Sprintf("somebody removed %d names from the second lock (%s); armed again", len(gone), shorten(gone)),
	})
}

// missing returns what is in before and not in now.
func missing(before, now []string) []string {
	held := set(now)
	return slices.DeleteFunc(slices.Clone(before), func(n string) bool { return held[n] })
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

func shorten(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", ..."
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
// is completed.
func (l *putOff) leave(s plan.Step, begun string, since time.Duration) bool {
	if l.nics[s.NIC] {
		return true
	}
	if !s.Fresh && !s.Late || s.NIC == begun || since < sliceFor {
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
	a.applyLock(steps, plan.Arm)
	for _, s := range steps {
		_, failed := a.failed[s.NIC]
		switch {
		case failed || s.Verb == plan.Arm || s.Verb == plan.Disarm || later.leave(s, begun, time.Since(begin)):
			continue
		case s.Verb == plan.Harden:
			harden = append(harden, s)
			continue
		case s.Fresh:
			begun = s.NIC
			a.begin() // all who may have asked before can be answered by now
		}
		a.makeStep(s)
	}
	a.applyLock(steps, plan.Disarm)
	return harden, later
}

// makeStep makes one step and tells what came of it.
func (a *Agent) makeStep(s plan.Step) {
	err := a.applyStep(s)
	switch {
	case s.Verb == plan.Quiet || s.Verb == plan.Prepare:
		a.tellLoud(s, err)
	case err != nil:
		a.fail(s, err)
	default:
		a.note(s)
	}
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

// applyLock makes all arming, or all disarming, in one transaction.
func (a *Agent) applyLock(steps []plan.Step, verb plan.Verb) {
	names, patterns := slices.Clone(a.armed.Names), slices.Clone(a.armed.Patterns)
	changed := false
	for _, s := range steps {
		if s.Verb != verb {
			continue
		}
		changed = true
		list := &names
		if strings.HasSuffix(s.NIC, "*") {
			list = &patterns
		}
		*list = slices.DeleteFunc(*list, func(n string) bool { return n == s.NIC })
		if verb == plan.Arm {
			*list = append(*list, s.NIC)
		}
	}
	// A damaged lock is made whole even if no name of it is wanted.
	if !changed && (verb != plan.Arm || a.lockError == "") {
		return
	}
	slices.Sort(names)
	slices.Sort(patterns)
	if err := a.setLock(lock.Desired{Mark: datapath.Mark, Names: names, Patterns: patterns}); err != nil {
		a.lockError = err.Error()
		a.opt.Log.Error("second lock failed", "err", err)
		return
	}
	a.lockError = ""
	a.armed = plan.Armed{Names: names, Patterns: patterns}
}

// setLock leaves no empty tables behind: what berth has nothing to do with, it
// is not seen on.
func (a *Agent) setLock(d lock.Desired) error {
	if len(d.Names)+len(d.Patterns) == 0 {
		return a.opt.Lock.Remove()
	}
	return a.opt.Lock.Apply(d)
}

// hardenFor is how long the loop hardens before it looks at the world again.
const hardenFor = 200 * time.Millisecond

// harden makes the slow steps, which wait for the kernel's grace periods, for
// a while, and stops early if anything else is to be done.
func (a *Agent) harden(steps []plan.Step) (more bool) {
	begin := time.Now()
	for _, s := range steps {
		if err := a.applyStep(s); err != nil {
			// Not a failure of the NIC: its clsact filters stand.
			a.opt.Log.Warn("hardening failed; the clsact filters stay", "nic", s.NIC, "ifindex", s.Index, "err", err)
			a.nextTry = time.Now().Add(retry)
			continue
		}
		more = true // look again: there may be others, and what is shown is read back
		if time.Since(begin) > hardenFor || len(a.wake) > 0 || a.waiting.Load() > 0 {
			break
		}
	}
	return more
}
