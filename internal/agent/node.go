package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/table"
)

var _ api.Node = (*Agent)(nil)

// Status implements api.Viewer.
func (a *Agent) Status(ctx context.Context) (api.Status, error) {
	if err := a.ping(ctx); err != nil {
		return api.Status{}, err
	}
	v := a.view.Load()
	s := api.Status{
		Version: a.opt.Version, Started: a.started, Generation: v.generation,
		Kernel: a.opt.Release, Attach: "clsact", Lock: fmt.Sprintf("armed for %d names", v.armed),
		NICs:    map[api.State]int{},
		Sources: a.sources(v),
	}
	if a.opt.Kernel.TCX() {
		s.Attach = "tcx"
	}
	if v.lockError != "" {
		s.Lock = "failed"
		s.Problems = append(s.Problems, "second lock: "+v.lockError)
	}
	if v.routeError != "" {
		s.Problems = append(s.Problems, "host routes: "+v.routeError)
	}
	for name, st := range v.standings {
		s.NICs[st.state]++
		if st.state == api.Failed {
			s.Problems = append(s.Problems, "NIC "+name+": "+st.text)
		}
	}
	for name, r := range v.wants.Refused {
		if _, ok := v.wants.ByNIC[name]; ok {
			s.Problems = append(s.Problems, r.Text)
		}
	}
	slices.Sort(s.Problems)
	return s, nil
}

// sources shows what each source said last; the socket's are read once.
func (a *Agent) sources(v *view) []api.Source {
	var all []api.Source
	for _, from := range a.opt.Sources {
		u := v.said[from.Name()]
		all = append(all, api.Source{
			Name: from.Name(), Path: u.Path, Generation: u.Generation, Bindings: len(u.Bindings), Read: u.at,
			Rejected: messages(u.Problems),
		})
	}
	return append(all, api.Source{
		Name: socket, Path: a.opt.Store.Dir(), Generation: v.generation, Bindings: len(v.stored.bindings), Read: a.started,
		Rejected: messages(v.stored.problems),
	})
}

func messages(problems []manifest.Problem) []string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Error())
	}
	return all
}

// NICs implements api.Viewer.
func (a *Agent) NICs(context.Context) ([]api.NIC, error) {
	v := a.view.Load()
	all := []api.NIC{}
	for _, name := range slices.Sorted(maps.Keys(v.standings)) {
		n, err := a.show(v, name)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// NIC implements api.Viewer.
func (a *Agent) NIC(_ context.Context, name string) (api.NIC, error) {
	v := a.view.Load()
	if _, ok := v.standings[name]; !ok {
		return api.NIC{}, fmt.Errorf("%w: NIC %q has no binding and is not managed", api.ErrNotFound, name)
	}
	return a.show(v, name)
}

// show puts together what is known of one NIC; counters are read live.
func (a *Agent) show(v *view, name string) (api.NIC, error) {
	st := v.standings[name]
	n := api.NIC{Name: name, State: st.state, Reason: st.reason, Why: st.why(), Hook: v.notes[name], Since: st.since}
	want, bound := v.wants.ByNIC[name]
	if bound {
		if err := showBinding(&n, want.Binding); err != nil {
			return n, err
		}
		n.Shared = showShared(v, want.Binding)
	}
	l, ok := v.byName[name]
	if !ok {
		return n, nil
	}
	n.Link = &api.Link{Index: l.Index, MAC: l.MAC.String(), Kind: l.Kind, OperState: l.OperState, Bridge: v.name(l.Master)}
	if err := a.showKernel(&n, v.installed[l.Index].Attach, want, l); err != nil || n.Installed == nil {
		return n, err
	}
	for _, r := range v.routed[l.Index].Routes {
		n.Installed.Routes = append(n.Installed.Routes, r.To)
	}
	return n, nil
}

func showBinding(n *api.NIC, b *nic.Binding) error {
	n.MAC, n.Network, n.Addresses = &b.MAC, b.Network, b.Addresses
	n.SLAAC, n.Delegated = b.SLAAC, b.Delegated
	n.Source, n.File, n.Line = b.Origin.Source, b.Origin.File, b.Origin.Line
	doc, err := manifest.Encode(b)
	if err != nil {
		return fmt.Errorf("print binding of NIC %s: %w", b.NIC, err)
	}
	n.Binding = json.RawMessage(doc)
	return nil
}

// showKernel reads back what is in force on the link.
func (a *Agent) showKernel(n *api.NIC, attach plan.Attach, want plan.Want, l plan.Link) error {
	index := n.Link.Index
	rules, ok, err := a.opt.Kernel.Rules(index)
	if err != nil || !ok {
		return err
	}
	claimed, err := a.opt.Kernel.Claimed(index)
	if err != nil {
		return fmt.Errorf("read link-locals of NIC %s: %w", n.Name, err)
	}
	told, answering := a.answerer.Setting(index)
	n.Installed = &api.Installed{
		Attach: attach.String(), Mode: rules.Mode(), MACs: append([]nic.MAC{}, rules.MACs...),
		Sources: append(append([]netip.Prefix{}, rules.IP4...), rules.IP6...), LinkLocal: linkLocals(&rules, claimed), IPv6: rules.IPv6,
		ServerID: told.ServerID, Answering: answering,
		InForce: want.Binding != nil && rules.Digest() == want.DigestOn(l) && answering && attach != plan.Detached,
	}
	c, ok, err := a.opt.Kernel.Counters(index)
	if err != nil || !ok {
		return err
	}
	var ignored map[string]uint64
	n.Answers, ignored = a.book.read(index)
	tally(n.Answers.Count, ignored, c.Exchanges)
	n.Counters = showCounters(c, ignored)
	byKernel, err := a.opt.Kernel.Answering(index)
	n.Installed.Kernel = protocols(byKernel)
	return err
}

// linkLocals are those a NIC may use: reserved for it, or chosen by its guest.
func linkLocals(r *guard.Rules, claimed []netip.Addr) []netip.Addr {
	switch {
	case !r.IPv6:
		return nil
	case r.LinkLocal == nic.FixedLinkLocal:
		return r.Locals
	case r.LinkLocal == nic.EUI64Only:
		return []netip.Addr{r.MACs[0].EUI64()}
	}
	return append([]netip.Addr{r.MACs[0].EUI64()}, claimed...)
}

func showCounters(c datapath.Counters, ignored map[string]uint64) *api.Counters {
	named := func(m map[reason.Reason]uint64) map[string]uint64 {
		out := map[string]uint64{}
		for r, n := range m {
			out[r.String()] = n
		}
		return out
	}
	return &api.Counters{
		FromGuest: c.FromGuest, ToGuest: c.ToGuest, Taken: named(c.Taken),
		Dropped: named(c.Dropped), Audited: named(c.Audited), Ignored: ignored,
	}
}

// Set implements api.Changer.
func (a *Agent) Set(ctx context.Context, name string, doc []byte, opts api.SetOptions) (api.Change, error) {
	var c api.Change
	var err error
	if e := a.do(ctx, func() { c, err = a.set(ctx, name, doc, opts) }); e != nil {
		return c, e
	}
	return c, err
}

func (a *Agent) set(ctx context.Context, name string, doc []byte, opts api.SetOptions) (api.Change, error) {
	c := api.Change{NIC: name, DryRun: opts.DryRun}
	b, err := a.parse(name, doc)
	if err != nil {
		return c, err
	}
	next := a.with(b)
	wants := a.compiled(next)
	if err := a.mayHold(b, wants.Refused); err != nil {
		return c, err
	}
	if old := a.setBinding(name); old != nil && old.Digest() == b.Digest() {
		a.pass() // nothing to change but what somebody else did meanwhile
		return a.afterChange(ctx, c)
	}
	c.Changed = true
	p, err := a.preview(wants)
	if err != nil {
		return c, err
	}
	c.Steps, c.Waits = texts(p.Steps, ""), texts(p.Waits, name)
	if opts.DryRun {
		return c, nil
	}
	if err := a.opt.Store.Put(b); err != nil {
		return c, fmt.Errorf("keep binding of NIC %s: %w", name, err)
	}
	a.audit(ctx, name, b)
	a.stored = next
	a.want(wants)
	a.pass()
	return a.afterChange(ctx, c)
}

// parse reads one document as a binding of the named NIC.
func (a *Agent) parse(name string, doc []byte) (*nic.Binding, error) {
	r := manifest.Parse("", doc, a.networks())
	if len(r.Problems) > 0 {
		bad := &api.InvalidError{Detail: fmt.Sprintf("NIC %s: the binding is not valid", name)}
		for _, p := range r.Problems {
			bad.Fields = append(bad.Fields, p.Error())
		}
		return nil, bad
	}
	if len(r.Bindings) != 1 {
		return nil, &api.InvalidError{Detail: fmt.Sprintf("NIC %s: %d documents, want one", name, len(r.Bindings))}
	}
	b := &r.Bindings[0]
	if name != "" && b.NIC != name {
		return nil, &api.InvalidError{Detail: fmt.Sprintf("the document is about NIC %q, not %q", b.NIC, name)}
	}
	b.Origin = nic.Origin{Source: socket}
	return b, nil
}

// mayHold refuses what another binding has already, with the holder named,
// whether or not that one has a link at the moment. then is who would be refused.
func (a *Agent) mayHold(b *nic.Binding, then map[string]table.Refusal) error {
	if where, ok := a.declared(b.NIC); ok {
		return fmt.Errorf("%w: NIC %s is declared in %s; change it there", api.ErrConflict, b.NIC, where)
	}
	for _, name := range slices.Sorted(maps.Keys(then)) {
		r := then[name]
		_, before := a.wants.Refused[name]
		if r.Reason == reason.WaitConflict && (name == b.NIC || !before) {
			return fmt.Errorf("%w: %s", api.ErrConflict, r.Text)
		}
	}
	return nil
}

// with returns what the socket has set, with b in its place.
func (a *Agent) with(b *nic.Binding) stored {
	s := a.without(b.NIC)
	s.bindings = append(s.bindings, b)
	return s
}

// without returns what the socket has set, but for one NIC.
func (a *Agent) without(name string) stored {
	return stored{
		bindings: slices.DeleteFunc(slices.Clone(a.stored.bindings), func(o *nic.Binding) bool { return o.NIC == name }),
		problems: slices.DeleteFunc(slices.Clone(a.stored.problems), func(p manifest.Problem) bool { return p.NIC == name }),
	}
}

// setBinding returns what the socket has set for a NIC, nil if nothing.
func (a *Agent) setBinding(name string) *nic.Binding {
	i := slices.IndexFunc(a.stored.bindings, func(b *nic.Binding) bool { return b.NIC == name })
	if i < 0 {
		return nil
	}
	return a.stored.bindings[i]
}

// preview computes the plan as if this were wanted, and changes nothing.
func (a *Agent) preview(wants plan.Wants) (plan.Plan, error) {
	in, err := a.gather(wants)
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.Compute(in), nil
}

func (a *Agent) afterChange(ctx context.Context, c api.Change) (api.Change, error) {
	n, err := a.NIC(ctx, c.NIC)
	if errors.Is(err, api.ErrNotFound) {
		return c, nil
	}
	c.Now = &n
	return c, err
}

// Delete implements api.Changer.
func (a *Agent) Delete(ctx context.Context, name string) (api.Change, error) {
	c := api.Change{NIC: name}
	var err error
	e := a.do(ctx, func() {
		if err = a.opt.Store.Delete(name); errors.Is(err, fs.ErrNotExist) {
			err = a.notMine(name)
			return
		}
		if err != nil {
			return
		}
		c.Changed = true
		a.audit(ctx, name, nil)
		a.stored = a.without(name)
		a.merge()
		a.pass()
		c, err = a.afterChange(ctx, c)
	})
	return c, errors.Join(e, err)
}

// notMine refuses to delete what a file declares, also a broken one.
func (a *Agent) notMine(name string) error {
	if where, ok := a.declared(name); ok {
		return fmt.Errorf("%w: NIC %s is declared in %s; remove it there", api.ErrConflict, name, where)
	}
	return nil
}

// declared says where a source declares a NIC.
func (a *Agent) declared(name string) (where string, ok bool) {
	for _, from := range a.opt.Sources {
		u := a.said[from.Name()]
		for _, b := range u.Bindings {
			if b.NIC == name {
				return fmt.Sprintf("%s:%d", b.Origin.File, b.Origin.Line), true
			}
		}
		for _, p := range u.Problems {
			if p.NIC == name {
				return fmt.Sprintf("%s:%d", p.File, p.Line), true
			}
		}
	}
	return "", false
}

// Release implements api.Changer.
func (a *Agent) Release(ctx context.Context, name string) (api.Change, error) {
	c := api.Change{NIC: name}
	var err error
	e := a.do(ctx, func() { c, err = a.releaseNow(ctx, name) })
	return c, errors.Join(e, err)
}

func (a *Agent) releaseNow(ctx context.Context, name string) (api.Change, error) {
	c := api.Change{NIC: name}
	if where, ok := a.declared(name); ok {
		return c, fmt.Errorf("%w: NIC %s is declared in %s; remove it there first", api.ErrConflict, name, where)
	}
	if a.setBinding(name) != nil {
		return c, fmt.Errorf("%w: NIC %s has a binding; delete that first", api.ErrConflict, name)
	}
	if a.opt.Policy.Manages(name) {
		return c, fmt.Errorf("%w: NIC %s matches a managed pattern, which would close it again at once", api.ErrConflict, name)
	}
	v := a.view.Load()
	if _, known := v.standings[name]; !known {
		return c, nil
	}
	a.release[name] = true
	a.audit(ctx, name, nil)
	a.pass()
	c.Changed = true
	return a.afterChange(ctx, c)
}

// audit leaves a line with who asked, before and after; after is nil for a
// binding withdrawn and a NIC released.
func (a *Agent) audit(ctx context.Context, name string, after *nic.Binding) {
	who, _ := api.ActorFrom(ctx)
	var before *nic.Binding
	if w, ok := a.wants.ByNIC[name]; ok {
		before = w.Binding
	}
	a.tellChange(name, who.String(), before, after)
}

// Plan implements api.Planner.
func (a *Agent) Plan(ctx context.Context, doc []byte) (api.Plan, error) {
	var p plan.Plan
	var err error
	e := a.do(ctx, func() {
		if doc != nil {
			var b *nic.Binding
			if b, err = a.parse("", doc); err != nil {
				return
			}
			wants := a.compiled(a.with(b))
			if err = a.mayHold(b, wants.Refused); err == nil {
				p, err = a.preview(wants)
			}
			return
		}
		in, readErr := a.gather(a.wants)
		err = readErr
		p = plan.Compute(in)
	})
	return api.Plan{Steps: texts(p.Steps, ""), Waits: texts(p.Waits, "")}, errors.Join(e, err)
}

// texts prints steps or waits; of one NIC only, if it is named.
func texts[T fmt.Stringer](items []T, name string) []string {
	out := []string{}
	for _, i := range items {
		if w, ok := any(i).(plan.Wait); ok && name != "" && w.NIC != name {
			continue
		}
		out = append(out, i.String())
	}
	return out
}

// Wait implements api.Planner.
func (a *Agent) Wait(ctx context.Context, name string) (api.NIC, error) {
	// The caller may have written the file, or made the interface, this very
	// moment: what was seen before counts for nothing.
	if err := a.fresh(ctx); err != nil {
		return api.NIC{Name: name, State: api.Waiting, Why: "the agent is busy"}, err
	}
	for {
		v := a.view.Load()
		st, known := v.standings[name]
		if known && (st.state == api.InForce || st.state == api.Stale) {
			return a.show(v, name)
		}
		select {
		case <-v.changed:
		case <-ctx.Done():
			n := api.NIC{Name: name, State: api.Waiting, Reason: reason.WaitNoLink, Why: "no binding"}
			if known {
				n, _ = a.show(v, name) // the time is up either way
			}
			return n, fmt.Errorf("%w: NIC %s is %s: %s", api.ErrTimeout, name, n.State, n.Why)
		}
	}
}
