package apitest

import (
	"cmp"
	"context"
	"fmt"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/words"
)

// Trace judges frames by the guard's definition, and has the answerer say what
// it would answer; there is no kernel that answers by itself.
func (n *Node) Trace(ctx context.Context, name string, frames []api.Frame) ([]api.Traced, error) {
	now, err := n.NIC(ctx, name)
	if err != nil {
		return nil, err
	}
	if now.Installed == nil {
		return nil, fmt.Errorf("%w: NIC %s has no guard that could be asked: %s", api.ErrNotFound, name, now.Reason.Text())
	}
	j, err := inForce(now)
	if err != nil {
		return nil, err
	}
	var all []api.Traced
	for _, f := range frames {
		all = append(all, j.trace(f))
	}
	return all, nil
}

// judgement is what is in force on one NIC.
type judgement struct {
	rules   guard.Rules
	answers *answerer.Answerer
	index   int
}

// inForce compiles a NIC's binding; what is closed has none.
func inForce(now api.NIC) (judgement, error) {
	duid := []byte{0, 3, 0, 1, 2, 'b', 'e', 'r', 't', 'h'}
	j := judgement{guard.ClosedRules(), answerer.New(nil, duid, nil), now.Link.Index}
	if now.Binding == nil {
		return j, nil
	}
	parsed := manifest.Parse("", now.Binding, manifest.Networks{})
	if len(parsed.Bindings) != 1 {
		return j, fmt.Errorf("binding of NIC %s: %v", now.Name, parsed.Problems)
	}
	b, id := &parsed.Bindings[0], now.Installed.ServerID
	j.rules = guard.Compile(b).On(b, guard.Site{ServerID: id})
	j.answers.Answer(j.index, now.Name, answerer.Setting{Binding: b, ServerID: id, GatewayMAC: b.GatewayMAC})
	return j, nil
}

func (j *judgement) trace(f api.Frame) api.Traced {
	judge := guard.FromGuest
	if f.ToGuest {
		judge = guard.ToGuest
	}
	v := judge(&j.rules, guard.Frame{Data: f.Bytes})
	out := api.Traced{ToGuest: f.ToGuest, Frame: told(f.Bytes), Fate: api.Passes, Audited: v.Audited}
	switch v.Action {
	case guard.Pass:
	case guard.Drop:
		out.Fate, out.Reason = api.Dropped, v.Reason
	case guard.Take:
		x, reply := j.answers.Ask(j.index, answerer.Packet{Reason: v.Reason, Frame: f.Bytes})
		out.Fate, out.Taken = api.HandedUp, v.Reason
		out.Request, out.Answer, out.Addresses, out.Reason = x.Request, x.Answer, x.Addresses, x.Reason
		if reply != nil {
			t := told(reply)
			out.Reply = &t
		}
	}
	out.Why, out.Permitted = out.Reason.Text(), j.rules.Permitted(cmp.Or(out.Audited, out.Reason))
	return out
}

func told(frame []byte) api.Told {
	w := words.Tell(frame)
	return api.Told{Bytes: frame, Text: w.Text, Details: w.Details}
}
