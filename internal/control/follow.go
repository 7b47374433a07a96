package control

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/ipam"
	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/policy"
)

// The keys that are control's own.
const (
	siteKey      = "c/site"
	enrolledKeys = "c/node/"
	statusKeys   = "s/"
	nodeKeys     = "n/"
)

// followed are the keys that a replica has in memory. History, tenures,
// decisions and tokens stay in the store.
func followed() []string {
	return []string{"r/", "a/", "m/", "x/", "y/", "i/", "u/", "p/", "c/", statusKeys, nodeKeys}
}

// picture is what a replica knows of the site, as of one revision.
type picture struct {
	revision int64
	state    *ipam.State
	names    names
	status   *statuses
	enrolled map[string]pki.Enrolment
	site     Site
	policies *policy.Set
	broken   error // why the policies cannot be asked: then nothing is allowed
}

func newPicture() picture {
	return picture{state: ipam.NewState(), names: newNames(), status: newStatuses(), enrolled: map[string]pki.Enrolment{}}
}

// set takes one event in. What is not understood is an error, and is as if it
// was not there.
func (p *picture) set(e etcd.Event) error {
	prefix, _, _ := strings.Cut(e.Key, "/")
	switch {
	case prefix == "s":
		return p.status.set(e)
	case prefix == "n":
		return p.status.setAlive(e)
	case e.Key == siteKey && !e.Deleted:
		return json.Unmarshal(e.Value, &p.site)
	case strings.HasPrefix(e.Key, enrolledKeys):
		return p.setEnrolled(strings.TrimPrefix(e.Key, enrolledKeys), e)
	}
	return p.setState(e)
}

func (p *picture) setState(e etcd.Event) error {
	var err error
	if e.Deleted {
		err = p.state.Unset(e.Key, e.ModRevision)
	} else {
		err = p.state.Set(e.Key, e.Value, e.ModRevision)
	}
	if kind, name, ok := splitResource(e.Key); ok {
		p.names.note(kind, name, p.state.Get(kind, name))
	}
	return err
}

func (p *picture) setEnrolled(node string, e etcd.Event) error {
	if e.Deleted {
		delete(p.enrolled, node)
		return nil
	}
	var en pki.Enrolment
	if err := json.Unmarshal(e.Value, &en); err != nil {
		return err
	}
	p.enrolled[node] = en
	return nil
}

// compile prepares the policies.
func (p *picture) compile() {
	var all []fleet.Policy
	for res := range p.state.All(fleet.KindPolicy) {
		if pol, ok := res.(*fleet.Policy); ok {
			all = append(all, *pol)
		}
	}
	p.policies, p.broken = policy.Compile(all)
}

// follow returns what the store's batches are told to.
func (r *Replica) follow() func(etcd.Batch) error {
	var next *picture // while everything is being read
	return func(b etcd.Batch) error {
		if b.Full {
			p := newPicture()
			next = &p
		}
		if next == nil {
			r.change(b)
			return nil
		}
		for _, e := range b.Events {
			r.complain(e.Key, next.set(e))
		}
		if !b.More {
			next.revision = b.Revision
			r.replace(next)
			next = nil
		}
		return nil
	}
}

func (r *Replica) complain(key string, err error) {
	if err != nil {
		r.log.Error("a key of the store is not understood", "key", key, "err", err)
	}
}

// replace takes a picture that was read anew.
func (r *Replica) replace(p *picture) {
	p.compile()
	r.complain("policies", p.broken)
	r.mu.Lock()
	r.picture, r.read = *p, true
	r.recent.reset(p.revision)
	r.tell()
	r.mu.Unlock()
	r.streams.each((*Stream).touchAll)
}

// change takes what one transaction did.
func (r *Replica) change(b etcd.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	policies := false
	var changes []Change
	for _, e := range b.Events {
		kind, name, is := splitResource(e.Key)
		before := r.state.Get(kind, name)
		if kind != fleet.KindNetwork { // which has the same NICs afterwards
			r.look(e.Key, kind, name)
		}
		r.complain(e.Key, r.set(e))
		r.look(e.Key, kind, name)
		if is {
			after := r.state.Get(kind, name)
			changes = append(changes, Change{Revision: e.ModRevision, Kind: kind, Name: name, Before: before, After: after})
		}
		policies = policies || kind == fleet.KindPolicy
		if node, is := strings.CutPrefix(e.Key, enrolledKeys); is {
			// Whoever has its stream has it by an earlier enrolment.
			r.streams.end(node)
			r.alive.gone(node)
		}
	}
	if policies {
		r.compile()
		r.complain("policies", r.broken)
	}
	r.revision = b.Revision
	r.recent.add(changes)
	r.tell()
}

// tell wakes all who wait for something of the picture.
func (r *Replica) tell() {
	close(r.moved)
	r.moved = make(chan struct{})
}

// look has the streams look at what a key has to do with the sets of nodes. It
// is asked before and after each change.
func (r *Replica) look(key string, kind fleet.Kind, name string) {
	for _, n := range r.state.Dependents(kind, name) {
		if n := r.state.NIC(n); n != nil {
			r.touch(n)
		}
	}
	if st := r.streams.of(name); kind == fleet.KindNode && st != nil {
		st.touchAll()
	}
	if key == fleet.DUIDKey {
		r.streams.each((*Stream).touchAll)
	}
}

func (r *Replica) touch(n *fleet.NIC) {
	for _, node := range placesOf(n) {
		if st := r.streams.of(node); st != nil {
			st.touch(n.Name)
		}
	}
}

func splitResource(key string) (kind fleet.Kind, name string, ok bool) {
	rest, ok := strings.CutPrefix(key, "r/")
	k, name, found := strings.Cut(rest, "/")
	return fleet.Kind(k), name, ok && found
}

// placesOf are the nodes that a NIC is on: two while it migrates.
func placesOf(n *fleet.NIC) []string {
	m := n.Migration
	switch {
	case m == nil && n.Node == "":
		return nil
	case m == nil:
		return []string{n.Node}
	default:
		return []string{m.From, m.To}
	}
}

// patience is how long a replica may be behind its own store.
const patience = 5 * time.Second

// reached waits until the picture is of a revision, or a later one.
func (r *Replica) reached(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.until(ctx, func() bool { return r.revision >= revision }); err != nil {
		return fmt.Errorf("%w: it has not seen revision %d yet: %w", ErrUnavailable, revision, err)
	}
	return nil
}

// until waits for something of the picture; it asks under the lock.
func (r *Replica) until(ctx context.Context, is func() bool) error {
	for {
		r.mu.RLock()
		done, moved := is(), r.moved
		r.mu.RUnlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
