package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/ipam"
	"github.com/berth-net/berth/internal/policy"
)

// actions are what verbs are to roles.
func (v Verb) action() identity.Action {
	switch v {
	case Delete:
		return identity.Delete
	case Restore:
		return identity.Restore
	case Migrate, Activate, Complete, Abort:
		return identity.Migrate
	default:
		return identity.Put
	}
}

// mayChange asks the roles: of the project that has the resource, and of the
// one that it is to be of.
func (r *Replica) mayChange(who identity.Identity, a *Action) error {
	if a.Force && !who.Operator {
		return &identity.Denied{Identity: who, Action: a.Verb.action(), Kind: a.Kind, Why: "to force it is for operators"}
	}
	have := r.state.Get(a.Kind, a.Name)
	for _, res := range []fleet.Resource{have, a.Resource} {
		if isNone(res) {
			continue
		}
		if err := identity.Allowed(who, a.Verb.action(), a.Kind, r.projectOf(res)); err != nil {
			return err
		}
	}
	if have == nil && isNone(a.Resource) {
		// Who may not do it anyway is not told whether it is there.
		return identity.Allowed(who, identity.List, a.Kind, nil)
	}
	if after, ok := a.Resource.(*fleet.Project); ok {
		before, _ := have.(*fleet.Project)
		return identity.ChangeProject(who, before, after)
	}
	return nil
}

func isNone(res fleet.Resource) bool { return res == nil }

// projectOf is the project that has a resource; nil: none, or one that is not
// there.
func (r *Replica) projectOf(res fleet.Resource) *fleet.Project { return r.project(projectName(res)) }

func projectName(res fleet.Resource) string {
	switch v := res.(type) {
	case *fleet.Project:
		return v.Name
	case *fleet.NIC:
		return v.Project
	case *fleet.Failover:
		return v.Project
	case *fleet.Request:
		return v.Project
	}
	return ""
}

func (r *Replica) project(name string) *fleet.Project {
	p, _ := r.state.Get(fleet.KindProject, name).(*fleet.Project)
	return p
}

// permit asks the policies about what projects write. The decision is nil if
// they are not asked.
func (r *Replica) permit(who identity.Identity, a *Action, at time.Time) (*fleet.Decision, error) {
	in, asked := r.input(who, a, at)
	if !asked {
		return nil, nil
	}
	if r.broken != nil {
		return nil, fmt.Errorf("%w: the policies cannot be read, so nothing is allowed: %w", ErrUnavailable, r.broken)
	}
	v := r.policies.Decide(in)
	doc, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("decision: %w", err)
	}
	d := &fleet.Decision{
		Time: at, Actor: who.String(), Project: in.Project, Input: doc,
		Allowed: v.Allowed, Policy: v.Policy, Rule: v.Rule, Message: v.Message,
	}
	if !v.Allowed {
		return d, &Denied{Kind: a.Kind, Name: a.Name, Verdict: v}
	}
	return d, nil
}

// compiles refuses a policy that could not be asked.
func compiles(res fleet.Resource) error {
	p, ok := res.(*fleet.Policy)
	if !ok {
		return nil
	}
	_, err := policy.Compile([]fleet.Policy{*p})
	if err == nil {
		return nil
	}
	var refusals []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		refusals = append(refusals, &ipam.Refusal{Class: ipam.Invalid, Kind: fleet.KindPolicy, Name: p.Name, Field: "rules", Rule: "expression", Text: line})
	}
	return errors.Join(refusals...)
}

// input is what policies are asked about: whatever is as it was before is not
// asked for again.
func (r *Replica) input(who identity.Identity, a *Action, at time.Time) (policy.Input, bool) {
	res, action := a.Resource, policy.Create
	old := r.state.Get(a.Kind, a.Name)
	switch {
	case a.Verb == Delete:
		res, action = old, policy.Delete
	case a.Verb == Migrate:
		res, action = moved(old, a.To), policy.Update
	case a.Verb != Put && a.Verb != Restore:
		return policy.Input{}, false // steps of what was asked about
	case old != nil:
		action = policy.Update
	}
	req, project, ok := requestOf(res)
	if !ok {
		return policy.Input{}, false
	}
	in := policy.Input{
		Action: action, Project: project, Request: req, Time: at,
		Identity: policy.Identity{Name: who.Name, Kind: string(who.Kind), Groups: who.Groups, Attributes: who.Attributes, Operator: who.Operator},
	}
	in.Usage = r.usageWithout(old, project, req)
	return in, true
}

func moved(old fleet.Resource, to string) fleet.Resource {
	n, ok := old.(*fleet.NIC)
	if !ok {
		return nil
	}
	there := *n
	there.Node = to
	return &there
}

func requestOf(res fleet.Resource) (req policy.Request, project string, ok bool) {
	switch v := res.(type) {
	case *fleet.NIC:
		return policy.OfNIC(v), v.Project, true
	case *fleet.Request:
		return policy.OfRequest(v), v.Project, true
	case *fleet.Failover:
		return policy.OfFailover(v), v.Project, true
	}
	return req, "", false
}

// usageWithout is what is in use but for what the resource has already.
func (r *Replica) usageWithout(old fleet.Resource, project string, req policy.Request) policy.Usage {
	u := policy.Usage{Project: r.state.Usage(project), Networks: map[string]policy.NetworkUsage{}}
	for i := range req.VMs {
		for j := range req.VMs[i].NICs {
			network := req.VMs[i].NICs[j].Network
			if _, done := u.Networks[network]; !done {
				used, total := r.state.NetworkUsage(network)
				u.Networks[network] = policy.NetworkUsage{Used: used, Total: total}
			}
		}
	}
	if _, of, ok := requestOf(old); ok && of == project {
		take(&u, r.grantsOf(old))
	}
	return u
}

// grant is what one resource has.
type grant struct {
	network   string
	addresses []netip.Addr
	vm        string
	nic       bool
}

// grantsOf are those of a resource, of a request those of its NICs.
func (r *Replica) grantsOf(res fleet.Resource) []grant {
	switch v := res.(type) {
	case *fleet.NIC:
		g := grant{network: v.Network, vm: v.VM, nic: true}
		if v.Granted != nil {
			for _, p := range v.Granted.Addresses {
				g.addresses = append(g.addresses, p.Addr())
			}
		}
		return []grant{g}
	case *fleet.Failover:
		return []grant{{network: v.Network, addresses: v.Granted}}
	case *fleet.Request:
		var all []grant
		for _, name := range nicsOf(v) {
			if n := r.state.NIC(name); n != nil {
				all = append(all, r.grantsOf(n)...)
			}
		}
		return all
	}
	return nil
}

// nicsOf are the names of a request's NICs.
func nicsOf(q *fleet.Request) []string {
	var names []string
	for i := range q.VMs {
		for j := range q.VMs[i].NICs {
			names = append(names, q.VMs[i].NICs[j].Name)
		}
	}
	return names
}

// take subtracts grants from what is in use.
func take(u *policy.Usage, grants []grant) {
	vms := map[string]bool{}
	for i := range grants {
		g := &grants[i]
		if g.nic {
			u.Project.NICs--
		}
		if g.vm != "" {
			vms[g.vm] = true
		}
		for _, a := range g.addresses {
			if a.Is4() {
				u.Project.Addresses4--
			} else {
				u.Project.Addresses6--
			}
		}
		if n, ok := u.Networks[g.network]; ok {
			n.Used = max(0, n.Used-int64(len(g.addresses)))
			u.Networks[g.network] = n
		}
	}
	u.Project.VMs -= len(vms)
}
