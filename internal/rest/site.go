package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/policy"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (s *Server) health(*call) (any, error) {
	revision, _ := s.replica.Revision()
	return wire.Health{Status: "ok", Revision: revision, Version: s.version}, nil
}

func (s *Server) ready(c *call) (any, error) {
	if err := s.replica.Ready(c.r.Context()); err != nil {
		return nil, err
	}
	return s.health(c)
}

func (s *Server) openapi(*call) (any, error) { return json.RawMessage(s.doc), nil }

func (s *Server) whoami(c *call) (any, error) {
	return wire.Whoami{
		Name: c.who.Name, Kind: string(c.who.Kind), Operator: c.who.Operator,
		Groups: c.who.Groups, Attributes: c.who.Attributes, Roles: s.replica.Roles(c.who),
	}, nil
}

func (s *Server) usage(c *call) (any, error) {
	project, network := c.args.text("project"), c.args.text("network")
	if (project == "") == (network == "") {
		return nil, refuse(http.StatusBadRequest, "want either project or network")
	}
	if project != "" {
		res, err := s.named(c, fleet.KindProject, project, identity.Usage)
		if err != nil {
			return nil, err
		}
		p, _ := res.(*fleet.Project)
		return s.replica.ProjectUsage(p), nil
	}
	res, err := s.named(c, fleet.KindNetwork, network, identity.Usage)
	if err != nil {
		return nil, err
	}
	n, _ := res.(*fleet.Network)
	return s.replica.NetworkUsage(n), nil
}

// named is a resource that a parameter names.
func (s *Server) named(c *call, kind fleet.Kind, name string, action identity.Action) (fleet.Resource, error) {
	c.args.values.Set("{name}", name)
	return s.readable(c, kind, action)
}

func (s *Server) address(c *call) (any, error) {
	a := c.args.address("{address}")
	return wire.Items[wire.Address]{Items: s.replica.Addresses(c.who, a, c.args.text("network"))}, nil
}

func (s *Server) testPolicies(c *call) (any, error) {
	t, err := decode[wire.PolicyTest[policy.Input]](c)
	if err != nil {
		return nil, err
	}
	var mistakes []wire.Mistake
	rules := 0
	for i := range t.Policies {
		rules += len(t.Policies[i].Rules)
	}
	if rules > maxRules {
		return nil, refuseValues(http.StatusUnprocessableEntity, "policies", []wire.Mistake{{Field: "policies", Value: strconv.Itoa(rules), Problem: fmt.Sprintf("at most %d rules can be tried at once", maxRules)}})
	}
	for i := range t.Policies {
		if err := t.Policies[i].Validate(); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				mistakes = append(mistakes, wire.Mistake{Field: "policies", Value: t.Policies[i].Name, Problem: line})
			}
		}
	}
	set, err := policy.Compile(t.Policies)
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			mistakes = append(mistakes, wire.Mistake{Field: "policies", Problem: line})
		}
	}
	if len(mistakes) > 0 {
		return nil, refuseValues(http.StatusUnprocessableEntity, "policies", mistakes)
	}
	return s.try(c.r.Context(), set, t.Inputs)
}

// What anybody may have evaluated, of policies that are his own.
const (
	maxRules  = 200
	maxTrials = 2 // at a time
)

// try asks policies about inputs, as long as that takes no longer than a change
// may. Each rule is bounded by itself.
func (s *Server) try(ctx context.Context, set *policy.Set, inputs []policy.Input) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, s.work)
	defer cancel()
	select {
	case s.trials <- struct{}{}:
		defer func() { <-s.trials }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: others try policies", control.ErrBusy)
	}
	out := wire.Items[wire.Verdict]{Items: []wire.Verdict{}}
	for i := range inputs {
		if ctx.Err() != nil {
			return nil, refuse(http.StatusUnprocessableEntity, "inputs: after %s only %d of %d were decided: send fewer", s.work, i, len(inputs))
		}
		v := set.Decide(inputs[i])
		out.Items = append(out.Items, wire.Verdict{Allowed: v.Allowed, Policy: v.Policy, Rule: v.Rule, Message: v.Message, Field: v.Field, Value: v.Value})
	}
	return out, nil
}

func (s *Server) history(c *call) (any, error) {
	q := control.HistoryQuery{
		Kind: c.args.kind(), Name: c.args.text("name"), Actor: c.args.text("actor"),
		From: c.args.moment("from"), To: c.args.moment("to"), Limit: c.args.number("limit", wire.PageSize),
	}
	if !c.who.Operator {
		q.Sees = s.replica.EditViewer(c.who)
	}
	items, err := s.replica.History(c.r.Context(), q)
	return wire.Items[fleet.Revision]{Items: items}, err
}

func (s *Server) whoHad(c *call) (any, error) {
	items, err := s.replica.WhoHad(c.r.Context(), c.who, control.Had{Address: c.args.address("address"), Network: c.args.text("network"), At: c.args.moment("at")})
	return wire.Items[fleet.Tenure]{Items: items}, err
}

func (s *Server) diff(c *call) (any, error) {
	return s.replica.Diff(c.r.Context(), c.args.point("from"), c.args.point("to"))
}

func (s *Server) decisions(c *call) (any, error) {
	project := c.args.text("project")
	if project != "" {
		if _, err := s.named(c, fleet.KindProject, project, identity.Decisions); err != nil {
			return nil, err
		}
	}
	items, err := s.replica.Decisions(c.r.Context(), c.args.number("limit", wire.PageSize), func(of string) bool {
		return (project == "" || of == project) && (c.who.Operator || identity.Visible(c.who, s.replica.Project(of)))
	})
	return wire.Items[fleet.Decision]{Items: items}, err
}

func (s *Server) nicStatus(c *call) (any, error) {
	res, err := s.readable(c, fleet.KindNIC, identity.Get)
	if err != nil {
		return nil, err
	}
	n, _ := res.(*fleet.NIC)
	return s.replica.NICStatus(c.r.Context(), n)
}

func (a arguments) point(key string) control.Point {
	v := a.values.Get(key)
	if n, err := parseNumber(v); err == nil {
		return control.Point{Revision: n}
	}
	t, _ := time.Parse(time.RFC3339Nano, v) // was checked; zero if not given
	return control.Point{Time: t}
}
