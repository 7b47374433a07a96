package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/words"
)

// maxAsked is how long a frame every kernel runs a program on: what is left of a
// page of 4 KiB beside an skb's head and tail (bpf_test_init of
// net/bpf/test_run.c).
const maxAsked = 3584

// Trace implements api.Tracer. It runs in the loop, so that rules and answers
// are of one binding.
func (a *Agent) Trace(ctx context.Context, name string, frames []api.Frame) ([]api.Traced, error) {
	var all []api.Traced
	var err error
	e := a.do(ctx, func() { all, err = a.traceAll(name, frames) })
	return all, errors.Join(e, err)
}

func (a *Agent) traceAll(name string, frames []api.Frame) ([]api.Traced, error) {
	t, err := a.tracer(name)
	if err != nil {
		return nil, err
	}
	all := make([]api.Traced, len(frames))
	for i, f := range frames {
		all[i] = t.trace(f)
	}
	return all, nil
}

// tracer asks about the frames of one NIC.
type tracer struct {
	*Agent
	index int
	rules guard.Rules
}

func (a *Agent) tracer(name string) (tracer, error) {
	v := a.view.Load()
	st, known := v.standings.Get(name)
	l, linked := v.links.byName[name]
	if !known {
		return tracer{}, fmt.Errorf("%w: NIC %q has no binding and is not managed", api.ErrNotFound, name)
	}
	if !linked || v.installed[l.Index].Attach == plan.Detached {
		return tracer{}, fmt.Errorf("%w: NIC %s has no guard that could be asked: %s", api.ErrNotFound, name, st.why())
	}
	rules, ok, err := a.opt.Kernel.Rules(l.Index)
	if err == nil && !ok {
		err = fmt.Errorf("%w: NIC %s has no rules that could be asked", api.ErrNotFound, name)
	}
	return tracer{a, l.Index, rules}, err
}

func (t *tracer) trace(f api.Frame) api.Traced {
	out := api.Traced{ToGuest: f.ToGuest, Frame: tell(f.Bytes), Fate: api.NotTraced}
	if out.Why = unaskable(f.Bytes); out.Why != "" {
		return out
	}
	asked, err := t.opt.Kernel.Ask(t.index, f.ToGuest, f.Bytes)
	if err != nil {
		out.Why = err.Error()
		return out
	}
	out.Audited = asked.Audited
	switch asked.Fate {
	case datapath.Passed:
		out.Fate = api.Passes
	case datapath.Dropped:
		out.Fate, out.Reason = api.Dropped, asked.Reason
	case datapath.Answered:
		out.Fate, out.Taken = api.Answered, asked.Reason
		out.Request, out.Answer, out.Reason = asked.Exchange.Request, asked.Exchange.Answer, asked.Exchange.Reason
		out.Reply = inWords(asked.Reply)
	case datapath.Taken:
		out.Fate, out.Taken = api.HandedUp, asked.Reason
		t.handUp(&out, f.Bytes)
	}
	t.explain(&out)
	return out
}

// handUp asks the answerer what it would say.
func (t *tracer) handUp(out *api.Traced, frame []byte) {
	x, reply := t.answerer.Ask(t.index, answerer.Packet{Reason: out.Taken, Frame: frame})
	out.Request, out.Answer, out.Addresses, out.Reason = x.Request, x.Answer, x.Addresses, x.Reason
	out.Reply = inWords(reply)
	if x.Index != t.index {
		out.ReplyTo = x.NIC
	}
}

// explain puts the reason into words.
func (t *tracer) explain(out *api.Traced) {
	out.Why, out.Permitted = out.Reason.Text(), t.rules.Permitted(cmp.Or(out.Audited, out.Reason))
}

// unaskable says why the kernel cannot be asked about a frame, "" if it can: it
// wants the headers that a frame's type promises.
func unaskable(f []byte) string {
	least := 14
	switch {
	case len(f) < least:
	case f[12] == 0x08 && f[13] == 0x00:
		least = 34
	case f[12] == 0x86 && f[13] == 0xdd:
		least = 54
	}
	switch {
	case len(f) < least:
		return fmt.Sprintf("the frame has %d bytes, one of its type has at least %d", len(f), least)
	case len(f) > maxAsked:
		return fmt.Sprintf("the frame has %d bytes, no kernel can be asked about more than %d", len(f), maxAsked)
	}
	return ""
}

func tell(frame []byte) api.Told {
	w := words.Tell(frame)
	return api.Told{Bytes: frame, Text: w.Text, Details: w.Details}
}

// inWords is nil for silence.
func inWords(reply []byte) *api.Told {
	if reply == nil {
		return nil
	}
	t := tell(reply)
	return &t
}
