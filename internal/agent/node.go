package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
		Version: a.opt.Version, Started: a.started, Generation: v.wants.generation,
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
	v.standings.Scan(func(name string, st standing) bool {
		s.NICs[st.state]++
		if st.state == api.Failed {
			s.Problems = append(s.Problems, "NIC "+name+": "+st.text)
		}
		return true
	})
	v.wants.refused.Scan(func(name string, r table.Refusal) bool {
		if v.wants.nic(name) != nil {
			s.Problems = append(s.Problems, r.Text)
		}
		return true
	})
	slices.Sort(s.Problems)
	return s, nil
}

// sources shows what each source said last; the socket's are read once.
func (a *Agent) sources(v *view) []api.Source {
	var all []api.Source
	for _, from := range a.opt.Sources {
		u := v.said[from.Name()]
		all = append(all, api.Source{
			Name: from.Name(), Path: u.Path, Generation: u.Generation, Bindings: u.Len(), State: u.State, Read: u.at,
			Rejected: messages(u.Problems),
		})
	}
	return append(all, api.Source{
		Name: socket, Path: a.opt.Store.Dir(), Generation: v.wants.generation, Bindings: v.stored.bindings.Len(), Read: a.started,
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
	for _, name := range v.standings.Keys() {
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
	if _, ok := v.standings.Get(name); !ok {
		return api.NIC{}, fmt.Errorf("%w: NIC %q has no binding and is not managed", api.ErrNotFound, name)
	}
	return a.show(v, name)
}

// show puts together what is known of one NIC; counters are read live.
func (a *Agent) show(v *view, name string) (api.NIC, error) {
	st, _ := v.standings.Get(name)
	n := api.NIC{Name: name, State: st.state, Reason: st.reason, Why: st.why(), Hook: v.notes[name], Since: st.since}
	want := v.wants.nic(name)
	if want != nil {
		if err := showBinding(&n, want.Binding); err != nil {
			return n, err
		}
		n.Shared = showShared(v, want.Binding)
	}
	l, ok := v.links.byName[name]
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
func (a *Agent) showKernel(n *api.NIC, attach plan.Attach, want *plan.Want, l plan.Link) error {
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
		ServerID: told.ServerID,
		InForce:  want != nil && rules.Digest() == want.DigestOn(l) && answering && attach != plan.Detached,
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
	n.Installed.Answering = answering || len(byKernel) > 0
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
			d := a.compiled(a.with(b))
			if err = a.mayHold(b, d.Refused); err == nil {
				p, err = a.preview(d.Wants)
			}
			return
		}
		p, err = a.preview(a.wants.all())
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
		st, known := v.standings.Get(name)
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
