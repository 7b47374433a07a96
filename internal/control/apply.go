package control

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/ipam"
)

// Verb is what is to be done to a resource.
type Verb string

// The verbs. Those behind Restore are of NICs alone.
const (
	Put      Verb = "put"
	Delete   Verb = "delete"
	Restore  Verb = "restore"
	Migrate  Verb = "migrate"
	Activate Verb = "activate"
	Complete Verb = "complete"
	Abort    Verb = "abort"
)

// Action is one change that somebody wants.
type Action struct {
	Verb     Verb
	Kind     fleet.Kind
	Name     string
	Resource fleet.Resource // to put or restore
	To       string         // node to migrate to
	Revision int64          // that the resource must still have, unless 0
	DryRun   bool
	Force    bool   // also if NICs use what is taken away, or the NIC is on another node; for operators
	Request  string // of HTTP, for the records
}

// Result is what came of it.
type Result struct {
	Revision int64
	Changed  bool
	Resource fleet.Resource // as it is now; nil: it is gone
	Edits    []fleet.Edit
}

// NICs are those that were changed and still are.
func (r *Result) NICs() []string {
	var names []string
	for _, e := range r.Edits {
		if e.Kind == fleet.KindNIC && e.After != nil {
			names = append(names, e.Name)
		}
	}
	return names
}

// tries bounds how often a change is decided again because another replica was
// faster.
const tries = 50

// Apply makes a change: roles, policies and the rules of the site are asked,
// and what they allow is committed in one transaction with its records. If
// something that it relied on has changed by then, it is decided again. When it
// returns, the change is in this replica's picture.
//
// The errors are ipam's Refusals, *identity.Denied, *Denied, or one of this
// package's.
func (r *Replica) Apply(ctx context.Context, who identity.Identity, a Action) (Result, error) {
	release, err := r.take(ctx)
	if err != nil {
		return Result{}, err
	}
	defer release()
	for range tries {
		res, err := r.attempt(ctx, who, &a)
		var conflict *etcd.Conflict
		if !errors.As(err, &conflict) {
			return res, err
		}
		if err := r.reached(ctx, conflict.Revision); err != nil {
			return Result{}, err
		}
		pause(ctx)
	}
	return Result{}, fmt.Errorf("%s %s %s: %w", a.Verb, a.Kind, a.Name, ErrBusy)
}

// take waits for the turn: two changes that were decided at once on the same
// would only have to be decided again.
func (r *Replica) take(ctx context.Context) (release func(), err error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// pause lets two replicas that want the same not stay in step.
func pause(ctx context.Context) {
	t := time.NewTimer(time.Duration(random() % uint64(3*time.Millisecond)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// random are 64 bits; the system's source does not fail.
func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.NativeEndian.Uint64(b[:])
}

// decided is a change that may be made.
type decided struct {
	change   *ipam.Change // nil: it is so already
	decision *fleet.Decision
	at       time.Time
	revision int64 // of the picture it was decided on
}

// attempt decides once, and commits.
func (r *Replica) attempt(ctx context.Context, who identity.Identity, a *Action) (Result, error) {
	d, err := r.decideNow(ctx, who, a)
	if err != nil {
		if d.decision != nil && !a.DryRun {
			r.remember(ctx, d)
		}
		return Result{}, err
	}
	if d.change == nil {
		return Result{Revision: d.revision, Resource: r.Get(a.Kind, a.Name)}, nil
	}
	if a.DryRun {
		return Result{Revision: d.revision, Changed: true, Edits: d.change.Revision.Changes, Resource: planned(d.change, a)}, nil
	}
	revision, err := r.commit(ctx, who, a, d)
	if err != nil {
		return Result{}, err
	}
	if err := r.reached(ctx, revision); err != nil {
		return Result{}, err
	}
	return Result{Revision: revision, Changed: true, Edits: d.change.Revision.Changes, Resource: r.Get(a.Kind, a.Name)}, nil
}

// planned is the resource as a dry run would leave it.
func planned(c *ipam.Change, a *Action) fleet.Resource {
	for _, e := range c.Revision.Changes {
		if e.Kind == a.Kind && e.Name == a.Name && e.After != nil {
			if res, err := fleet.Load(a.Kind, e.After); err == nil {
				return res
			}
		}
	}
	return nil
}

// decideNow decides so that the answer is right though nothing will be committed
// to prove it: a refusal, or that nothing is to be done. This replica may not
// have seen yet what another one has done, and told the same client; so such an
// answer is only given on a picture that has all that was done before.
func (r *Replica) decideNow(ctx context.Context, who identity.Identity, a *Action) (decided, error) {
	d, err := r.decide(who, a)
	if a.DryRun || err == nil && d.change != nil || errors.Is(err, ErrUnavailable) {
		return d, err
	}
	latest, outage := r.store.Latest(ctx)
	if outage != nil {
		return decided{}, unavailable(outage)
	}
	if latest <= d.revision {
		return d, err
	}
	if err := r.reached(ctx, latest); err != nil {
		return decided{}, err
	}
	return r.decide(who, a)
}

// decide asks everybody, on the picture as it is. Of a refusal by a policy the
// decision comes too.
func (r *Replica) decide(who identity.Identity, a *Action) (decided, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	d := decided{at: r.now().UTC(), revision: r.revision}
	if !r.read {
		return d, fmt.Errorf("%w: it has not read the site yet", ErrUnavailable)
	}
	if err := r.mayChange(who, a); err != nil {
		return d, err
	}
	var err error
	if d.decision, err = r.permit(who, a, d.at); err != nil {
		return d, err
	}
	d.change, err = r.plan(who, a, d.at)
	if err != nil {
		d.decision = nil // it was not the policies that refused
	}
	return d, err
}

// plan has ipam decide.
func (r *Replica) plan(who identity.Identity, a *Action, at time.Time) (*ipam.Change, error) {
	opt := ipam.Options{
		Now: at, Entropy: random, Actor: who.String(), Revision: a.Revision, Force: a.Force,
		InForce: func(node, nic string) bool {
			s := r.status.of(node, nic)
			return s != nil && s.State == inForce
		},
		Enrolled: func(node string) bool { _, is := r.enrolled[node]; return is },
	}
	if !who.Operator {
		opt.Sees = func(project string) bool { return identity.Visible(who, r.project(project)) }
	}
	switch a.Verb {
	case Put, Restore:
		if err := compiles(a.Resource); err != nil {
			return nil, err
		}
		return r.state.Put(a.Resource, opt)
	case Delete:
		return r.state.Delete(a.Kind, a.Name, opt)
	case Migrate:
		return r.state.Migrate(a.Name, a.To, opt)
	case Activate:
		return r.state.Activate(a.Name, opt)
	case Complete:
		return r.state.Complete(a.Name, opt)
	case Abort:
		return r.state.Abort(a.Name, opt)
	default:
		return nil, fmt.Errorf("%s is no verb", a.Verb)
	}
}

// commit writes a change with its records. The key of the history tells
// afterwards whether it was made.
func (r *Replica) commit(ctx context.Context, who identity.Identity, a *Action, d decided) (int64, error) {
	c := d.change
	rev := c.Revision
	rev.Time, rev.Actor, rev.Action, rev.Request = d.at, who.String(), string(a.Verb), a.Request
	history := fleet.HistoryKey(d.at, uint32(random()))
	puts, err := records(c.Puts, history, rev, d)
	if err != nil {
		return 0, err
	}
	deletes := c.Deletes
	if a.Verb == Delete && a.Kind == fleet.KindNode {
		// Its certificates are good no more, nor is what it said.
		deletes = append(deletes[:len(deletes):len(deletes)], enrolledKeys+a.Name, fleet.StatusKey(a.Name, ""))
	}
	needs := append(c.Needs[:len(c.Needs):len(c.Needs)], fleet.Need{Key: history})
	revision, err := r.store.Commit(ctx, needs, puts, deletes)
	if errors.Is(err, etcd.ErrUnknown) {
		return r.resolve(ctx, history, err)
	}
	return revision, unavailable(err)
}

// records adds what is written along with a change.
func records(puts []fleet.Put, history string, rev fleet.Revision, d decided) ([]fleet.Put, error) {
	value, err := json.Marshal(rev)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	puts = append(puts[:len(puts):len(puts)], fleet.Put{Key: history, Value: value})
	if d.decision == nil {
		return puts, nil
	}
	put, err := decisionPut(d)
	return append(puts, put), err
}

func decisionPut(d decided) (fleet.Put, error) {
	key := fleet.DecisionKey(d.at, uint32(random()))
	d.decision.ID = key[len("d/"):]
	value, err := json.Marshal(d.decision)
	if err != nil {
		return fleet.Put{}, fmt.Errorf("decision: %w", err)
	}
	return fleet.Put{Key: key, Value: value}, nil
}

// resolve finds out whether a change was made of which the store did not say.
func (r *Replica) resolve(ctx context.Context, history string, cause error) (int64, error) {
	// Whoever asked may be gone; the answer is wanted for the records of others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for {
		revision, err := r.store.Settle(ctx, history)
		switch {
		case err == nil && revision > 0:
			return revision, nil
		case err == nil: // it was not, and will not be
			return 0, fmt.Errorf("%w: the store did not take the change: %w", ErrUnavailable, cause)
		case ctx.Err() != nil:
			return 0, fmt.Errorf("%w: whether the change was made is not known; ask for it again: %w", ErrUnavailable, cause)
		}
		pause(ctx)
	}
}

// remember keeps a refusal; that it cannot does not change the answer.
func (r *Replica) remember(ctx context.Context, d decided) {
	if !r.spare.may(d.decision.Actor, len(d.decision.Input), d.at) {
		return // the log has it
	}
	put, err := decisionPut(d)
	if err == nil {
		_, err = r.store.Commit(ctx, nil, []fleet.Put{put}, nil)
	}
	if err != nil {
		r.log.Error("a refusal could not be recorded", "actor", d.decision.Actor, "policy", d.decision.Policy, "err", err)
	}
}

// aMinute is how many refusals of one actor a replica keeps in a minute: whoever
// is refused on and on must not fill the store.
// A request may have a megabyte, so their bytes are bounded too.
const (
	aMinute      = 60
	bytesAMinute = 1 << 20
)

// spare counts them.
type spare struct {
	mu     sync.Mutex
	minute time.Time
	kept   map[string]kept
}

// kept is what there is of one actor.
type kept struct{ refusals, bytes int }

func (s *spare) may(actor string, size int, at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if minute := at.Truncate(time.Minute); !minute.Equal(s.minute) {
		s.minute, s.kept = minute, map[string]kept{}
	}
	k := s.kept[actor]
	if k.refusals == aMinute || k.bytes+size > bytesAMinute {
		return false
	}
	s.kept[actor] = kept{k.refusals + 1, k.bytes + size}
	return true
}
