// Package control is one replica of the controller: it follows the store, so
// that it knows the whole site; decides what it is asked for, and commits that
// as one transaction; tells each connected node its set; and keeps what they
// report. Replicas share nothing but the store.
//
// Not here: the decisions themselves (ipam, policy), how etcd is spoken to
// (etcd), and HTTP (rest).
package control

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/pki"
)

// DefaultRetention is how long history, tenures and decisions are kept.
const DefaultRetention = 90 * 24 * time.Hour

// Options of a Replica.
type Options struct {
	Store *etcd.Store
	CA    *pki.CA
	Log   *slog.Logger
	// Name tells replicas apart, in the liveness of nodes.
	Name string
	// URLs are where nodes find the replicas.
	URLs      []string
	Retention time.Duration // 0: DefaultRetention
	Now       func() time.Time
	// Restored says that the store was put back from a backup: nodes then obey
	// what is older than what they have.
	Restored bool
}

// Replica is one of those that serve a site.
type Replica struct {
	store *etcd.Store
	ca    *pki.CA
	log   *slog.Logger
	opts  Options
	now   func() time.Time

	turn     chan struct{} // of one: changes are decided one at a time
	scanning chan struct{} // of those who look at the records
	streams  *streams
	alive    *liveness
	recent   *recent
	spare    spare

	mu sync.RWMutex // of all below
	picture
	read  bool          // the whole site, at least once
	moved chan struct{} // closed when the picture has changed
}

// New returns a replica; it knows nothing before Run.
func New(o Options) *Replica {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	r := &Replica{
		store: o.Store, ca: o.CA, log: o.Log, opts: o, now: o.Now,
		turn: make(chan struct{}, 1), scanning: make(chan struct{}, scans), streams: newStreams(),
		recent: newRecent(), moved: make(chan struct{}),
	}
	r.alive = newLiveness(&r.opts)
	r.alive.lease.Lost = r.cutOff
	r.picture = newPicture()
	return r
}

// Run follows the store until ctx ends or the store refuses.
func (r *Replica) Run(ctx context.Context) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.store.Follow(ctx, r.follow(), followed()...) })
	g.Go(func() error { return r.alive.run(ctx) })
	g.Go(func() error { return r.keep(ctx) })
	return g.Wait()
}
