package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/source"
	"github.com/berth-net/berth/internal/table"
)

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
	if !opts.DryRun {
		p, done, err := a.setAlone(ctx, b)
		if done && err == nil {
			c.Changed, c.Steps, c.Waits = true, texts(p.Steps, ""), texts(p.Waits, name)
			return a.afterChange(ctx, c)
		}
		if err != nil {
			return c, err
		}
	}
	return a.setAmong(ctx, b, c)
}

// setAmong sets a binding that others may have to do with.
func (a *Agent) setAmong(ctx context.Context, b *nic.Binding, c api.Change) (api.Change, error) {
	if a.stands(b) {
		return a.sameAgain(ctx, c)
	}
	next := a.with(b)
	d := a.compiled(next)
	if err := a.mayHold(b, d.Refused); err != nil {
		return c, err
	}
	if old := a.setBinding(b.NIC); old != nil && old.Digest() == b.Digest() {
		return a.sameAgain(ctx, c)
	}
	c.Changed = true
	p, err := a.preview(d.Wants)
	if err != nil {
		return c, err
	}
	c.Steps, c.Waits = texts(p.Steps, ""), texts(p.Waits, b.NIC)
	if c.DryRun {
		return c, nil
	}
	if err := a.opt.Store.Put(b); err != nil {
		return c, fmt.Errorf("keep binding of NIC %s: %w", b.NIC, err)
	}
	a.audit(ctx, b.NIC, bindingOf(a.wants.nic(b.NIC)), b)
	a.stored = next
	a.want(d)
	a.pass()
	return a.afterChange(ctx, c)
}

// sameAgain changes nothing but what somebody else did meanwhile.
func (a *Agent) sameAgain(ctx context.Context, c api.Change) (api.Change, error) {
	a.pass()
	return a.afterChange(ctx, c)
}

// stands reports whether a binding is what the socket has set, and is wanted with
// nobody against it.
func (a *Agent) stands(b *nic.Binding) bool {
	is, set := a.wants.nic(b.NIC), a.setBinding(b.NIC)
	_, refused := a.wants.refused.Get(b.NIC)
	return is != nil && set != nil && !refused &&
		is.Binding.Origin.Source == socket && is.Answer == b.Digest() && set.Digest() == is.Answer
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
		_, before := a.wants.refused.Get(name)
		if r.Reason == reason.WaitConflict && (name == b.NIC || !before) {
			return fmt.Errorf("%w: %s", api.ErrConflict, r.Text)
		}
	}
	return nil
}

// with returns what the socket has set, with b in its place.
func (a *Agent) with(b *nic.Binding) stored {
	s := a.without(b.NIC)
	s.bindings.Set(b.NIC, b)
	return s
}

// without returns what the socket has set, but for one NIC.
func (a *Agent) without(name string) stored {
	s := a.stored.copied()
	s.bindings.Delete(name)
	s.problems = slices.DeleteFunc(slices.Clone(s.problems), func(p manifest.Problem) bool { return p.NIC == name })
	return s
}

// setBinding returns what the socket has set for a NIC, nil if nothing.
func (a *Agent) setBinding(name string) *nic.Binding {
	b, _ := a.stored.bindings.Get(name)
	return b
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
	e := a.do(ctx, func() { c, err = a.deleteNow(ctx, name) })
	return c, errors.Join(e, err)
}

func (a *Agent) deleteNow(ctx context.Context, name string) (api.Change, error) {
	c := api.Change{NIC: name}
	err := a.opt.Store.Delete(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, a.notMine(name)
	}
	if err != nil {
		return c, err
	}
	c.Changed = true
	a.audit(ctx, name, bindingOf(a.wants.nic(name)), nil)
	if !a.deleteAlone(name) {
		a.stored = a.without(name)
		a.merge()
		a.pass()
	}
	return a.afterChange(ctx, c)
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
		if b := declaredIn(&u.Update, name); b != nil {
			return fmt.Sprintf("%s:%d", b.Origin.File, b.Origin.Line), true
		}
		for _, p := range u.Problems {
			if p.NIC == name {
				return fmt.Sprintf("%s:%d", p.File, p.Line), true
			}
		}
	}
	return "", false
}

func declaredIn(u *source.Update, name string) *nic.Binding {
	for i := range u.Bindings {
		if u.Bindings[i].NIC == name {
			return &u.Bindings[i]
		}
	}
	for _, b := range u.Refs {
		if b.NIC == name {
			return b
		}
	}
	return nil
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
	if _, known := a.standings.Get(name); !known {
		return c, nil
	}
	a.release[name] = true
	a.audit(ctx, name, bindingOf(a.wants.nic(name)), nil)
	a.pass()
	c.Changed = true
	return a.afterChange(ctx, c)
}

// audit leaves a line with who asked, before and after; after is nil for a
// binding withdrawn and a NIC released.
func (a *Agent) audit(ctx context.Context, name string, before, after *nic.Binding) {
	who, _ := api.ActorFrom(ctx)
	a.tellChange(name, who.String(), before, after)
}
