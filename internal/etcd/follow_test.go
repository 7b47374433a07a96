package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/berth-net/berth/internal/fleet"
)

// reader is somebody who follows, with the picture that it has. What Follow
// promises of every single batch is checked here.
type reader struct {
	t       testing.TB
	batches chan Batch
	have    map[string]string
	at      int64
	partial bool
	fulls   int
	seen    []Batch
}

func following(t testing.TB, s *Store, prefixes ...string) *reader {
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{t: t, batches: make(chan Batch), have: map[string]string{}}
	ended := make(chan error, 1)
	go func() {
		ended <- s.Follow(ctx, func(b Batch) error {
			select {
			case r.batches <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, prefixes...)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("follow ended with %v", err)
		}
	})
	return r
}

// next takes one batch.
func (r *reader) next() Batch {
	r.t.Helper()
	select {
	case b := <-r.batches:
		r.take(b)
		return b
	case <-time.After(time.Minute):
		r.t.Fatalf("nothing came after revision %d: %v", r.at, r.text())
		return Batch{}
	}
}

func (r *reader) take(b Batch) {
	r.t.Helper()
	r.seen = append(r.seen, b)
	if b.Full {
		r.have, r.at = map[string]string{}, 0
		r.fulls++
	}
	switch {
	case b.Full:
	case r.partial && b.Revision != r.at:
		r.t.Errorf("a picture of revision %d goes on with %d", r.at, b.Revision)
	case !r.partial && b.Revision <= r.at:
		r.t.Errorf("revision %d comes after %d", b.Revision, r.at)
	case !r.partial && b.More:
		r.t.Errorf("revision %d is torn", b.Revision)
	}
	for _, e := range b.Events {
		if e.ModRevision > b.Revision || !b.Full && !r.partial && e.ModRevision != b.Revision {
			r.t.Errorf("%s of revision %d is in a batch of %d", e.Key, e.ModRevision, b.Revision)
		}
		if e.Deleted {
			delete(r.have, e.Key)
		} else {
			r.have[e.Key] = string(e.Value)
		}
	}
	r.at, r.partial = b.Revision, b.More
}

func (r *reader) text() []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(r.have)) {
		out = append(out, k+"="+r.have[k])
	}
	return out
}

// until takes batches up to one after which the picture is this.
func (r *reader) until(want ...string) {
	r.t.Helper()
	for r.fulls == 0 || r.partial || !slices.Equal(want, r.text()) {
		r.next()
	}
}

// reach takes batches up to a revision.
func (r *reader) reach(revision int64) {
	r.t.Helper()
	for r.partial || r.at < revision {
		r.next()
	}
}

func TestFollow(t *testing.T) {
	s := embedded(t)
	commit(t, s, nil, append(put("a/1", "x"), append(put("b/1", "x"), put("c/1", "x")...)...))
	r := following(t, s, "c/", "a/")
	r.until("a/1=x", "c/1=x")
	one := commit(t, s, nil, append(put("a/2", "y"), append(put("b/2", "y"), put("c/1", "y")...)...), "a/1")
	two := commit(t, s, nil, put("b/3", "z"))
	r.reach(two)
	want := []Batch{
		{Revision: one, Events: []Event{
			{Key: "a/2", Value: []byte("y"), ModRevision: one},
			{Key: "c/1", Value: []byte("y"), ModRevision: one},
			{Key: "a/1", ModRevision: one, Deleted: true},
		}},
		{Revision: two},
	}
	if diff := cmp.Diff(want, r.seen[2:]); diff != "" {
		t.Error(diff)
	}
	if r.seen[0].Events[0].Key != "c/1" || !r.seen[0].More || r.seen[1].More || r.fulls != 1 {
		t.Errorf("the full read: %+v", r.seen[:2])
	}
}

// A full read in several chunks is one picture, though the store moves on.
func TestFollowChunks(t *testing.T) {
	s := embedded(t)
	puts, _ := many(2*chunk + 3)
	rev := commit(t, s, nil, puts)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, batches := 0, 0
	err := s.Follow(ctx, func(b Batch) error {
		batches++
		n += len(b.Events)
		commit(t, s, nil, put("k/"+strconv.Itoa(batches), "late"))
		if b.Revision != rev || b.Full != (batches == 1) || b.More != (batches < 3) {
			t.Errorf("batch %d: %t %t %d", batches, b.Full, b.More, b.Revision)
		}
		if !b.More {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || n != len(puts) || batches != 3 {
		t.Errorf("%v; %d keys in %d batches", err, n, batches)
	}
}

var errEnough = errors.New("enough")

// Who asks for the latest revision has its readers brought there too.
func TestLatest(t *testing.T) {
	s := embedded(t)
	commit(t, s, nil, put("a", "1"))
	r := following(t, s)
	r.until("a=1")
	elsewhere, err := s.client.Put(t.Context(), "elsewhere", "1")
	if err != nil {
		t.Fatal(err)
	}
	if at, err := s.Latest(t.Context()); err != nil || at != elsewhere.Header.Revision {
		t.Errorf("%d, %v; want %d", at, err, elsewhere.Header.Revision)
	}
	r.reach(elsewhere.Header.Revision)
}

// A conflict brings a reader to where the store is, though what moved it there
// is none of the reader's keys, nor even of the store's.
func TestFollowAfterConflict(t *testing.T) {
	s := embedded(t)
	commit(t, s, nil, put("a", "1"))
	r := following(t, s)
	r.until("a=1")
	if _, err := s.client.Put(t.Context(), "elsewhere", "1"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Commit(t.Context(), []fleet.Need{{Key: "a"}}, put("a", "2"), nil)
	var conflict *Conflict
	if !errors.As(err, &conflict) {
		t.Fatal(err)
	}
	r.reach(conflict.Revision)
	if last := r.seen[len(r.seen)-1]; len(last.Events) != 0 || r.fulls != 1 {
		t.Errorf("%+v", r.seen)
	}
}

// While a reader is cut off the store goes on. It gets every revision when it
// is back, unless they are compacted: then it reads all again.
func TestFollowBack(t *testing.T) {
	for name, compact := range map[string]bool{"kept": false, "compacted": true} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t)
			site.start("a", "b")
			s, writer := site.open("a"), site.open("b")
			commit(t, writer, nil, append(put("a", "0"), put("gone", "x")...))
			r := following(t, s)
			r.until("a=0", "gone=x")
			site.stop()
			site.start("b")
			var last int64
			for i := range 30 {
				last = commit(t, writer, nil, put("a", strconv.Itoa(i+1)), "gone")
			}
			if compact {
				if _, err := writer.client.Compact(t.Context(), last); err != nil {
					t.Fatal(err)
				}
			}
			site.stop()
			site.start("a", "b")
			before := len(r.seen)
			r.until("a=30")
			if compact && r.fulls != 2 {
				t.Errorf("%d full reads, want 2", r.fulls)
			}
			if !compact && (r.fulls != 1 || len(r.seen) != before+30) {
				t.Errorf("%d full reads, %d batches; want 1 and 30", r.fulls, len(r.seen)-before)
			}
		})
	}
}

// A store that was replaced by an older copy is noticed, and read anew.
func TestFollowGoneBack(t *testing.T) {
	site := newSite(t)
	site.start("a")
	s := site.open("a")
	s.asking = 50 * time.Millisecond
	for i := range 5 {
		commit(t, s, nil, put("a", strconv.Itoa(i)))
	}
	r := following(t, s)
	r.until("a=4")
	site.stop()
	if err := os.RemoveAll(filepath.Join(site.dir, "data")); err != nil {
		t.Fatal(err)
	}
	site.start("a")
	commit(t, s, nil, put("a", "old"))
	r.until("a=old")
	if r.fulls != 2 {
		t.Errorf("%d full reads, want 2", r.fulls)
	}
}

// Many writers, and a site's etcd that goes and comes: what the reader has at
// the end is what the store has, and every change that was acknowledged was
// told once, by itself.
func TestFollowRandom(t *testing.T) {
	site := newSite(t)
	site.start("a")
	s := site.open("a")
	r := following(t, s)
	r.until()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	acknowledged := map[int64]int{}
	for i := range 300 {
		if i%100 == 50 {
			site.stop()
			site.start("a")
		}
		var puts []fleet.Put
		for _, k := range rng.Perm(20)[:1+rng.IntN(5)] {
			puts = append(puts, put(fmt.Sprintf("k%02d", k), strconv.Itoa(i))...)
		}
		rev, err := s.Commit(t.Context(), nil, puts, []string{fmt.Sprintf("k%02d", 20+rng.IntN(5))})
		if err != nil {
			continue // it may have been made all the same
		}
		acknowledged[rev] = len(puts)
		r.drain()
	}
	last := commit(t, s, nil, put("end", "1"))
	r.reach(last)
	for _, b := range r.seen {
		if n, ok := acknowledged[b.Revision]; ok && !b.Full {
			if len(b.Events) < n {
				t.Errorf("revision %d: %d events of %d", b.Revision, len(b.Events), n)
			}
			delete(acknowledged, b.Revision)
		}
	}
	if r.fulls != 1 || len(acknowledged) != 0 {
		t.Errorf("%d full reads; not told: %v", r.fulls, acknowledged)
	}
	if diff := cmp.Diff(s.text(t), r.text()); diff != "" {
		t.Errorf("-store +reader\n%s", diff)
	}
}

func (r *reader) drain() {
	r.t.Helper()
	for {
		select {
		case b := <-r.batches:
			r.take(b)
		default:
			return
		}
	}
}

// A change that was made by a store's own etcd is there after its end without
// a farewell.
func TestFollowOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rev := commit(t, s, nil, put("a", "1"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Follow(t.Context(), func(Batch) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed store is followed: %v", err)
	}
	s = opened(t, Options{Dir: dir})
	r := following(t, s)
	r.until("a=1")
	if r.at < rev {
		t.Errorf("the store is at revision %d, it was at %d", r.at, rev)
	}
	if _, err := s.client.Compact(t.Context(), r.at, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	commit(t, s, nil, put("a", "2"))
	r.until("a=2")
}
