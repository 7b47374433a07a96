package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/rest/wire"
)

// Get returns a resource as it is now, nil if there is none. It is not to be
// changed.
func (r *Replica) Get(kind fleet.Kind, name string) fleet.Resource {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.state.Get(kind, name)
}

// Revision is how far the picture is, and whether it is of the whole site.
func (r *Replica) Revision() (revision int64, whole bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.revision, r.read
}

// Whole is nil if the replica has read the whole site: before, it would say of
// everything that it is not there.
func (r *Replica) Whole() error {
	if _, whole := r.Revision(); !whole {
		return fmt.Errorf("%w: it has not read the site yet", ErrUnavailable)
	}
	return nil
}

// Ready is nil if the replica knows the site and its store answers.
func (r *Replica) Ready(ctx context.Context) error {
	if err := r.Whole(); err != nil {
		return err
	}
	if err := r.store.Health(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Query selects resources by what is not "".
type Query struct {
	Kind                       fleet.Kind
	Project, Network, Node, VM string
	After                      string
	Limit                      int
}

// fits reports whether a resource is one of those. What a kind has nothing to
// do with selects none of it.
func (q *Query) fits(res fleet.Resource) bool {
	var project, network, node, vm string
	switch v := res.(type) {
	case *fleet.Project:
		project = v.Name
	case *fleet.Network:
		network = v.Name
	case *fleet.Pool:
		network = v.Network
	case *fleet.Node:
		node = v.Name
		if v.Serves(q.Network) {
			network = q.Network
		}
	case *fleet.NIC:
		if q.Node != "" && slices.Contains(placesOf(v), q.Node) {
			node = q.Node
		}
		project, network, vm = v.Project, v.Network, v.VM
	case *fleet.Failover:
		project, network = v.Project, v.Network
	case *fleet.Request:
		project = v.Project
	}
	return is(q.Project, project) && is(q.Network, network) && is(q.Node, node) && is(q.VM, vm)
}

func is(asked, has string) bool { return asked == "" || asked == has }

// List returns what somebody may see of what was asked for, by name; next is
// the name that another page begins behind, "" at the end. A long search lets
// changes pass: what it returns is at least as new as the revision.
func (r *Replica) List(who identity.Identity, q Query) (items []fleet.Resource, next string, revision int64) {
	items = []fleet.Resource{}
	revision, _ = r.Revision()
	for more := true; more; {
		items, more = r.search(who, &q, items)
	}
	if len(items) > q.Limit {
		items = items[:q.Limit]
		next = items[q.Limit-1].Header().Name
	}
	return items, next, revision
}

// fewItems are looked at under one lock.
const fewItems = 2000

// search adds to the items until there is one too many, or it has looked at as
// many as it may: then there is more.
func (r *Replica) search(who identity.Identity, q *Query, items []fleet.Resource) (all []fleet.Resource, more bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	sees, looked := r.viewer(who), 0
	r.names.after(q.Kind, q.After, func(name string) bool {
		q.After = name
		if res := r.state.Get(q.Kind, name); res != nil && q.fits(res) && sees(res) {
			items = append(items, res)
		}
		looked++
		more = looked == fewItems
		return len(items) <= q.Limit && !more
	})
	return items, more && len(items) <= q.Limit
}

// viewer judges many resources for one that asks; it is used under the lock.
func (r *Replica) viewer(who identity.Identity) func(fleet.Resource) bool {
	mine := r.projectsOf(who)
	return func(res fleet.Resource) bool {
		if who.Operator {
			return true
		}
		switch v := res.(type) {
		case *fleet.NIC:
			if who.Kind == identity.Node {
				return slices.Contains(placesOf(v), who.Name)
			}
			return mine[v.Project] != nil
		case *fleet.Network:
			return usedBy(v, mine)
		case *fleet.Pool:
			n, ok := r.state.Get(fleet.KindNetwork, v.Network).(*fleet.Network)
			return ok && usedBy(n, mine)
		case *fleet.Node, *fleet.Policy:
			return false
		}
		p := r.projectOf(res)
		return p != nil && mine[p.Name] != nil
	}
}

// projectsOf are those in which somebody has a role.
func (r *Replica) projectsOf(who identity.Identity) map[string]*fleet.Project {
	mine := map[string]*fleet.Project{}
	if who.Operator {
		return mine
	}
	for res := range r.state.All(fleet.KindProject) {
		if p, ok := res.(*fleet.Project); ok && identity.RoleOf(who, p) >= identity.Viewer {
			mine[p.Name] = p
		}
	}
	return mine
}

func usedBy(n *fleet.Network, mine map[string]*fleet.Project) bool {
	for _, name := range n.Projects {
		if name == "*" && len(mine) > 0 || mine[name] != nil {
			return true
		}
	}
	return false
}

// May asks the roles about something of a resource that is there, or, with nil,
// about a kind as a whole.
func (r *Replica) May(who identity.Identity, action identity.Action, kind fleet.Kind, res fleet.Resource) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if res == nil {
		return identity.Allowed(who, action, kind, nil)
	}
	return identity.Allowed(who, action, kind, r.throughOf(who, res))
}

// throughOf is the project by which somebody sees a resource.
func (r *Replica) throughOf(who identity.Identity, res fleet.Resource) *fleet.Project {
	var network string
	switch v := res.(type) {
	case *fleet.Network:
		network = v.Name
	case *fleet.Pool:
		network = v.Network
	default:
		return r.projectOf(res)
	}
	n, ok := r.state.Get(fleet.KindNetwork, network).(*fleet.Network)
	if !ok {
		return nil
	}
	for _, p := range r.projectsOf(who) {
		if slices.Contains(n.Projects, p.Name) || slices.Contains(n.Projects, "*") {
			return p
		}
	}
	return nil
}

// Project returns one, nil if there is none.
func (r *Replica) Project(name string) *fleet.Project {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.project(name)
}

// Roles are somebody's, by project.
func (r *Replica) Roles(who identity.Identity) map[string]string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := map[string]string{}
	for name, p := range r.projectsOf(who) {
		out[name] = identity.RoleOf(who, p).String()
	}
	return out
}

// Addresses returns whose an address is now, in the networks that somebody may
// see and that have it.
func (r *Replica) Addresses(who identity.Identity, a netip.Addr, network string) []wire.Address {
	r.mu.RLock()
	defer r.mu.RUnlock()
	sees, out := r.viewer(who), []wire.Address{}
	for _, n := range r.networksWith(a, network) {
		c, had := r.state.Claim(n.Name, a)
		if !sees(n) || had && c.Project != "" && !sees(&fleet.NIC{Project: c.Project}) {
			continue
		}
		w := wire.Address{Address: a, Network: n.Name}
		if had {
			w.Owner, w.Project, w.MAC, w.Hostname, w.Until = c.Owner, c.Project, c.MAC, c.Hostname, c.Until
			r.locate(&w)
		}
		out = append(out, w)
	}
	return out
}

// locate adds where the owner is, and whether its node holds it to the address.
func (r *Replica) locate(w *wire.Address) {
	if name, ok := strings.CutPrefix(w.Owner, "nic:"); ok {
		if n := r.state.NIC(name); n != nil {
			w.Node, w.Checked = n.Node, r.checked(n)
		}
		return
	}
	name, _ := strings.CutPrefix(w.Owner, "failover:")
	f, ok := r.state.Get(fleet.KindFailover, name).(*fleet.Failover)
	w.Checked = ok && len(f.Members) > 0 && !slices.ContainsFunc(f.Members, func(member string) bool {
		n := r.state.NIC(member)
		return n == nil || !r.checked(n)
	})
}

// checked reports whether a NIC's node says, of what it is to have now, that
// nothing else can be sent.
func (r *Replica) checked(n *fleet.NIC) bool {
	s := r.status.of(n.Node, n.Name)
	return s != nil && s.Checked && s.State == inForce && s.Revision >= r.state.DocumentRevision(n)
}

// networksWith are those of which a prefix contains the address, by name.
func (r *Replica) networksWith(a netip.Addr, only string) []*fleet.Network {
	var out []*fleet.Network
	for res := range r.state.All(fleet.KindNetwork) {
		n, ok := res.(*fleet.Network)
		if ok && is(only, n.Name) && slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *fleet.Network) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// WhoHad returns who had an address, in the networks that somebody may see;
// tenures of projects that are not theirs are left out.
func (r *Replica) WhoHad(ctx context.Context, who identity.Identity, w Had) ([]fleet.Tenure, error) {
	r.mu.RLock()
	mine := r.projectsOf(who)
	r.mu.RUnlock()
	// A network that had the address may be gone, or have lost the prefix.
	names := []string{w.Network}
	if w.Network == "" {
		var err error
		if names, err = r.remembered(ctx); err != nil {
			return nil, err
		}
	}
	all, err := r.tenures(ctx, w, names)
	return slices.DeleteFunc(all, func(t fleet.Tenure) bool { return !who.Operator && mine[t.Project] == nil }), err
}

// NICStatus is what nodes say of a NIC, against what they were told.
func (r *Replica) NICStatus(ctx context.Context, n *fleet.NIC) (wire.NICStatus, error) {
	s := wire.NICStatus{NIC: n.Name, Revision: n.Meta.Revision}
	var err error
	if s.Nodes, err = r.statusesOf(ctx, n.Name, placesOf(n)); err != nil {
		return s, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	docs, err := r.state.Document(n.Node, n.Name)
	for _, d := range docs {
		b := r.status.of(n.Node, n.Name)
		s.Revision, s.InForce = d.Revision, b != nil && b.Revision >= d.Revision && b.State == inForce
		s.Document = d.Body
	}
	return s, err
}

// NICsOf are the names of the NICs that a resource is about.
func (r *Replica) NICsOf(kind fleet.Kind, name string) []string {
	switch v := r.Get(kind, name).(type) {
	case *fleet.NIC:
		return []string{name}
	case *fleet.Request:
		return nicsOf(v)
	case *fleet.Failover:
		return v.Members
	}
	return nil
}

// EditViewer judges what of the history somebody may see.
func (r *Replica) EditViewer(who identity.Identity) func(fleet.Edit) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	mine := r.projectsOf(who)
	return func(e fleet.Edit) bool {
		switch e.Kind {
		case fleet.KindProject, fleet.KindNIC, fleet.KindFailover, fleet.KindRequest:
		default:
			return false
		}
		for _, doc := range []json.RawMessage{e.Before, e.After} {
			if doc == nil {
				continue
			}
			res, err := fleet.Load(e.Kind, doc)
			if err != nil || mine[projectName(res)] == nil {
				return false
			}
		}
		return true
	}
}

// NodeStatus is how a node is connected, and what it says.
func (r *Replica) NodeStatus(ctx context.Context, node string) (wire.NodeStatus, error) {
	s := wire.NodeStatus{Node: node}
	var err error
	if s.Status, err = r.allStatusesOf(ctx, node); err != nil {
		return s, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if a, ok := r.status.alive[node]; ok {
		s.Connected, s.Alive = true, &a
	}
	s.NICs, s.Revision = len(r.state.NICs(node)), r.revision
	return s, nil
}

// Known waits until the replica has read the whole site.
func (r *Replica) Known(ctx context.Context) error {
	return r.until(ctx, func() bool { return r.read })
}
