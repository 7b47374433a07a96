package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Alive says what is there only as long as this process is: its keys go away
// when it has not been heard of for a while.
type Alive struct {
	// Lost is told whenever the keys may be gone from the store, or cannot be kept
	// there; nil: nobody. It is set before Run.
	Lost func()

	store *Store
	ttl   time.Duration
	wake  chan struct{}

	mu   sync.Mutex
	want map[string]string
}

// Alive keeps keys for ttl (whole seconds, at least 2) after the process is
// gone. Nothing is written before Run.
func (s *Store) Alive(ttl time.Duration) *Alive {
	return &Alive{store: s, ttl: max(ttl, 2*time.Second), wake: make(chan struct{}, 1), want: map[string]string{}}
}

// Set has a key written soon.
func (a *Alive) Set(key string, value []byte) {
	a.change(func() { a.want[key] = string(value) })
}

// Unset has a key deleted soon, unless another process has it by then.
func (a *Alive) Unset(key string) {
	a.change(func() { delete(a.want, key) })
}

func (a *Alive) change(do func()) {
	a.mu.Lock()
	do()
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Run writes and keeps the keys until the context ends, and takes them away
// then. When the store has been away for too long it writes all of them again.
func (a *Alive) Run(ctx context.Context) error {
	for {
		err := a.hold(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if a.Lost != nil {
			a.Lost()
		}
		a.store.log.Warn("what is alive is not kept in the store; writing it again", "err", err)
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// hold lives as long as one lease.
func (a *Alive) hold(ctx context.Context) error {
	granting, cancel := a.store.bounded(ctx)
	lease, err := a.store.client.Grant(granting, int64(a.ttl/time.Second))
	cancel()
	if err != nil {
		return fmt.Errorf("grant a lease: %w", err)
	}
	defer a.revoke(ctx, lease.ID)
	kept, err := a.store.client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return fmt.Errorf("keep the lease: %w", err)
	}
	have := map[string]string{}
	for {
		if err := a.write(ctx, lease.ID, have); err != nil {
			return err
		}
		for waiting := true; waiting; {
			select {
			case _, open := <-kept:
				if !open {
					return errors.New("the lease has ended")
				}
			case <-a.wake:
				waiting = false
			}
		}
	}
}

// revoke takes all keys of the lease away, if the store can be reached.
func (a *Alive) revoke(ctx context.Context, lease clientv3.LeaseID) {
	ctx, cancel := a.store.bounded(context.WithoutCancel(ctx))
	defer cancel()
	if _, err := a.store.client.Revoke(ctx, lease); err != nil {
		a.store.log.Debug("cannot revoke a lease; it ends by itself", "err", err)
	}
}

// write makes the lease's keys what is wanted; have is what they are.
func (a *Alive) write(ctx context.Context, lease clientv3.LeaseID, have map[string]string) error {
	a.mu.Lock()
	want := maps.Clone(a.want)
	a.mu.Unlock()
	for key, value := range want {
		if old, ok := have[key]; ok && old == value {
			continue
		}
		if err := a.do(ctx, nil, clientv3.OpPut(a.store.prefix+key, value, clientv3.WithLease(lease))); err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
		have[key] = value
	}
	for key := range have {
		if _, ok := want[key]; ok {
			continue
		}
		ours := []clientv3.Cmp{clientv3.Compare(clientv3.LeaseValue(a.store.prefix+key), "=", lease)}
		if err := a.do(ctx, ours, clientv3.OpDelete(a.store.prefix+key)); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
		delete(have, key)
	}
	return nil
}

func (a *Alive) do(ctx context.Context, when []clientv3.Cmp, op clientv3.Op) error {
	ctx, cancel := a.store.bounded(ctx)
	defer cancel()
	_, err := a.store.client.Txn(ctx).If(when...).Then(op).Commit()
	return err
}
