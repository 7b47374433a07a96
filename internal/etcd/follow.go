package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// chunk is how many keys one answer of a full read holds.
	chunk = 5000
	// asking is how often the store is asked how far it is. One that was replaced
	// by an older copy of itself is silent until it is as far again.
	asking = 10 * time.Second
)

// A Batch is one step from revision to revision.
type Batch struct {
	// Full begins a new picture: whatever was known before is to be forgotten.
	Full bool
	// More of the same revision follows; the picture is not to be used yet. A
	// full read comes in many batches, a change in one.
	More bool
	// Revision is what the reader has reached with this batch.
	Revision int64
	// Events are in the order of keys in a full read, else in that of the
	// transaction. There are none when the store moved on without these keys.
	Events []Event
}

// Event is one key as it now is.
type Event struct {
	Key         string
	Value       []byte // nil if deleted
	ModRevision int64
	Deleted     bool
}

// Follow tells fn all keys with one of the prefixes (none: all), and then every
// change of them, transaction by transaction, in order, none left out. When the
// store cannot be reached it waits and takes up where it was; if that is
// compacted by then, or the store was replaced by an older one, it reads all
// again. It ends with the context, with fn's error, or when the store refuses to
// be read, or is closed.
//
// fn should return soon; meanwhile changes pile up in memory.
func (s *Store) Follow(ctx context.Context, fn func(Batch) error, prefixes ...string) error {
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	f := follower{store: s, fn: fn, prefixes: prefixes}
	for {
		before := f.revision
		err := f.round(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case f.stopped != nil:
			return f.stopped
		case s.client.Ctx().Err() != nil:
			return fmt.Errorf("follow: %w", ErrClosed)
		case refused(err):
			return fmt.Errorf("follow: %w", err)
		}
		if f.revision > before {
			f.failures = 0
		}
		if err != nil {
			f.pause(ctx, err)
		}
	}
}

// follower is one call of Follow.
type follower struct {
	store    *Store
	fn       func(Batch) error
	prefixes []string

	revision int64 // that fn has wholly; 0: nothing
	stopped  error // fn's
	failures int
}

// round returns when what it followed is lost.
func (f *follower) round(ctx context.Context) error {
	if f.revision == 0 {
		if err := f.readAll(ctx); err != nil {
			return fmt.Errorf("read all: %w", err)
		}
	}
	if err := f.watch(ctx); err != nil {
		return fmt.Errorf("watch from revision %d: %w", f.revision+1, err)
	}
	return nil
}

// pause waits before the next round: longer the more have failed.
func (f *follower) pause(ctx context.Context, err error) {
	if f.failures == 0 {
		f.store.log.Warn("lost the store's changes; following again", "revision", f.revision, "err", err)
	}
	timer := time.NewTimer(min(50*time.Millisecond<<f.failures, 2*time.Second))
	defer timer.Stop()
	f.failures = min(f.failures+1, 10)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *follower) tell(b Batch) error {
	if f.stopped = f.fn(b); f.stopped != nil {
		return f.stopped
	}
	if !b.More {
		f.revision = b.Revision
	}
	return nil
}

// readAll reads all prefixes at one revision.
func (f *follower) readAll(ctx context.Context) error {
	var at int64
	for i, prefix := range f.prefixes {
		key, end := f.store.span(prefix)
		for done := false; !done; {
			page, err := f.store.page(ctx, key, span{end: end, at: at, limit: chunk})
			if err != nil {
				return err
			}
			b := Batch{Full: at == 0, Events: f.store.events(page.Kvs)}
			at, done = page.at, !page.More
			b.Revision, b.More = at, !done || i < len(f.prefixes)-1
			if err := f.tell(b); err != nil {
				return err
			}
			key = page.next
		}
	}
	return nil
}

// watch returns nil if all must be read again.
func (f *follower) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(watching(ctx))
	defer cancel()
	// Without fragments an answer holds whole revisions.
	changes := f.store.client.Watch(ctx, f.store.prefix, clientv3.WithPrefix(), clientv3.WithRev(f.revision+1),
		clientv3.WithProgressNotify(), clientv3.WithCreatedNotify())
	ask := time.NewTicker(f.store.asking)
	defer ask.Stop()
	for {
		select {
		case <-ask.C:
			if err := f.verify(ctx); err != nil || f.revision == 0 {
				return err
			}
		case resp, open := <-changes:
			if !open {
				return errors.New("the watch has ended")
			}
			if err := f.take(ctx, &resp); err != nil || f.revision == 0 {
				return err
			}
		}
	}
}

// watching is the context of everything about watches: etcd's client keeps one
// stream for all that have equal metadata.
func watching(ctx context.Context) context.Context { return clientv3.WithRequireLeader(ctx) }

// wake makes followers get an empty batch of the revision in force. The request
// may get lost with the stream; who waits for it should not do so for long.
func (s *Store) wake(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.client.RequestProgress(watching(ctx)); err != nil {
		s.log.Debug("cannot ask for progress", "err", err)
	}
}

// take tells the changes of one answer, revision by revision.
func (f *follower) take(ctx context.Context, resp *clientv3.WatchResponse) error {
	switch err := resp.Err(); {
	case errors.Is(err, rpctypes.ErrCompacted):
		f.store.log.Warn("the store's changes are compacted; reading all", "revision", f.revision, "compacted", resp.CompactRevision)
		f.revision = 0
		return nil
	case err != nil:
		return err
	case resp.Header.Revision < f.revision:
		return f.verify(ctx)
	}
	if resp.IsProgressNotify() && resp.Header.Revision > f.revision {
		return f.tell(Batch{Revision: resp.Header.Revision})
	}
	for rest := resp.Events; len(rest) > 0; {
		n, revision := 1, rest[0].Kv.ModRevision
		for n < len(rest) && rest[n].Kv.ModRevision == revision {
			n++
		}
		if err := f.tell(Batch{Revision: revision, Events: f.wanted(rest[:n])}); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// verify compares what is known with what the members agree on. A single one
// may be late; but if all are, the store is another, or an old copy.
func (f *follower) verify(ctx context.Context) error {
	at, err := f.store.Latest(ctx)
	if err != nil {
		return err
	}
	if at < f.revision {
		f.store.log.Error("the store has gone back; reading all", "known", f.revision, "revision", at)
		f.revision = 0
	}
	return nil
}

func (f *follower) wanted(events []*clientv3.Event) []Event {
	var out []Event
	for _, e := range events {
		key := strings.TrimPrefix(string(e.Kv.Key), f.store.prefix)
		for _, p := range f.prefixes {
			if strings.HasPrefix(key, p) {
				out = append(out, Event{Key: key, Value: e.Kv.Value, ModRevision: e.Kv.ModRevision, Deleted: e.Type == clientv3.EventTypeDelete})
				break
			}
		}
	}
	return out
}
