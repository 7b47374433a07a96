package rest

import (
	"context"
	"net/http"
	"strconv"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (s *Server) list(c *call, kind fleet.Kind) (any, error) {
	if err := s.replica.May(c.who, identity.List, kind, nil); err != nil {
		return nil, err
	}
	items, next, revision := s.replica.List(c.who, control.Query{
		Kind: kind, Project: c.args.text("project"), Network: c.args.text("network"), Node: c.args.text("node"), VM: c.args.text("vm"),
		After: c.args.text("after"), Limit: c.args.number("limit", wire.PageSize),
	})
	return wire.Page[fleet.Resource]{Items: items, Next: next, Revision: revision}, nil
}

func (s *Server) get(c *call, kind fleet.Kind) (any, error) {
	res, err := s.readable(c, kind, identity.Get)
	if err != nil {
		return nil, err
	}
	c.w.Header().Set("ETag", etag(res))
	return res, nil
}

func etag(res fleet.Resource) string {
	return `"` + strconv.FormatInt(res.Header().Meta.Revision, 10) + `"`
}

// readable is the resource of the path, if the asker may do that with it.
func (s *Server) readable(c *call, kind fleet.Kind, action identity.Action) (fleet.Resource, error) {
	res := s.replica.Get(kind, c.args.name())
	if err := s.replica.May(c.who, action, kind, res); err != nil && (res != nil || action != identity.Get) {
		return nil, err
	}
	if res == nil {
		// Who may not even list them is told the same of any name.
		if err := s.replica.May(c.who, identity.List, kind, nil); err != nil {
			return nil, err
		}
		return nil, refuse(http.StatusNotFound, "there is no %s %q", kind, c.args.name())
	}
	return res, nil
}

func (s *Server) put(c *call, kind fleet.Kind) (any, error) {
	res, err := decodeResource(c, kind)
	if err != nil {
		return nil, err
	}
	return s.apply(c, control.Action{Verb: control.Put, Kind: kind, Name: c.args.name(), Resource: res})
}

func (s *Server) remove(c *call, kind fleet.Kind) (any, error) {
	return s.apply(c, control.Action{Verb: control.Delete, Kind: kind, Name: c.args.name()})
}

func (s *Server) prepare(c *call) (any, error) {
	m, err := decode[wire.Move](c)
	if err != nil {
		return nil, err
	}
	if !fleet.ValidName(m.To) {
		return nil, refuseValues(http.StatusUnprocessableEntity, "migration", []wire.Mistake{{Field: "to", Value: m.To, Problem: "that is no name of a node"}})
	}
	return s.apply(c, control.Action{Verb: control.Migrate, Kind: fleet.KindNIC, Name: c.args.name(), To: m.To})
}

func (s *Server) activate(c *call) (any, error) {
	a, err := decode[wire.Advance](c)
	if err != nil {
		return nil, err
	}
	if a.Phase != fleet.Activated {
		return nil, refuseValues(http.StatusUnprocessableEntity, "migration", []wire.Mistake{{Field: "phase", Value: string(a.Phase), Problem: "want activated"}})
	}
	return s.apply(c, control.Action{Verb: control.Activate, Kind: fleet.KindNIC, Name: c.args.name()})
}

func (s *Server) abort(c *call) (any, error) {
	return s.apply(c, control.Action{Verb: control.Abort, Kind: fleet.KindNIC, Name: c.args.name()})
}

func (s *Server) complete(c *call) (any, error) {
	return s.apply(c, control.Action{Verb: control.Complete, Kind: fleet.KindNIC, Name: c.args.name()})
}

func (s *Server) restore(c *call) (any, error) {
	w, err := decode[wire.Restore](c)
	if err != nil {
		return nil, err
	}
	var mistakes []wire.Mistake
	if fleet.New(w.Kind) == nil {
		mistakes = append(mistakes, wire.Mistake{Field: "kind", Value: string(w.Kind), Problem: "there is no such kind"})
	}
	if !fleet.ValidName(w.Name) {
		mistakes = append(mistakes, wire.Mistake{Field: "name", Value: w.Name, Problem: "that is no name"})
	}
	if w.Revision < 1 {
		mistakes = append(mistakes, wire.Mistake{Field: "revision", Value: strconv.FormatInt(w.Revision, 10), Problem: "want the number of a revision"})
	}
	if len(mistakes) > 0 {
		return nil, refuseValues(http.StatusUnprocessableEntity, "restore", mistakes)
	}
	if err := s.replica.May(c.who, identity.Restore, w.Kind, s.replica.Get(w.Kind, w.Name)); err != nil {
		return nil, err
	}
	res, err := s.replica.Then(c.r.Context(), w.Kind, w.Name, w.Revision)
	if err != nil {
		return nil, err
	}
	return s.apply(c, control.Action{Verb: control.Restore, Kind: w.Kind, Name: w.Name, Resource: res})
}

// apply makes a change, waits for the nodes if that is asked for, and says what
// came of it. Every change is one line of the log.
func (s *Server) apply(c *call, a control.Action) (any, error) {
	a.DryRun, a.Force, a.Revision = c.args.yes("dry-run"), c.args.yes("force"), c.match
	a.Request = c.r.Header.Get("X-Request-Id")
	if len(a.Request) > maxText {
		a.Request = a.Request[:maxText]
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), s.work)
	defer cancel()
	res, err := s.replica.Apply(ctx, c.who, a)
	if err != nil {
		return nil, err
	}
	if res.Changed && !a.DryRun {
		s.log.Info("changed", "actor", c.actor(), "from", c.r.RemoteAddr, "action", string(a.Verb), "kind", string(a.Kind), "name", a.Name, "revision", res.Revision)
	}
	out := wire.Written[fleet.Resource]{Revision: res.Revision, Changed: res.Changed}
	if res.Resource != nil {
		out.Resource = &res.Resource
	}
	if a.DryRun {
		out.Edits = res.Edits
		return out, nil
	}
	return out, s.await(c, &a, &res, &out)
}

// await waits for the NICs of a change.
func (s *Server) await(c *call, a *control.Action, res *control.Result, out *wire.Written[fleet.Resource]) error {
	timeout := c.args.duration("wait")
	if timeout == 0 {
		return nil
	}
	s.deadline(c.w, timeout+s.slow)
	nics := res.NICs()
	if len(nics) == 0 && a.Verb != control.Delete {
		nics = s.replica.NICsOf(a.Kind, a.Name)
	}
	if err := s.replica.Wait(c.r.Context(), nics, timeout); err != nil {
		return err
	}
	for _, name := range nics {
		n, ok := s.replica.Get(fleet.KindNIC, name).(*fleet.NIC)
		if !ok {
			continue
		}
		st, err := s.replica.NICStatus(c.r.Context(), n)
		if err != nil {
			return err
		}
		out.Status = append(out.Status, st.Nodes...)
	}
	return nil
}
