package claims_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/ipam"
)

// miniature is the least that is a replica: ipam's State, which follows the
// store, its decisions, and commits. It answers as the controller does, on a
// unix socket. Nothing in it keeps changes of one replica apart, so that they
// meet in the store as those of two do.
type miniature struct {
	store    *etcd.Store
	careless bool // commits whatever has changed since it decided

	mu       sync.Mutex
	state    *ipam.State
	revision int64
	ready    bool
	moved    chan struct{} // closed when the state has moved on
}

// replica is the process of one: the path of its socket, and whether it is
// "careless".
func replica(args []string) error {
	ctx := context.Background()
	s, err := etcd.Open(ctx, etcd.Options{Endpoints: endpoints(), Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	m := &miniature{store: s, careless: args[1] == "careless", moved: make(chan struct{})}
	if err := os.Remove(args[0]); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- s.Follow(ctx, m.take, "r/", "a/", "m/", "u/", "i/", "x/", "y/", "p/") }()
	go func() { ended <- http.Serve(l, m) }()
	return <-ended
}

func (m *miniature) take(b etcd.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.Full {
		m.state, m.ready = ipam.NewState(), false
	}
	for _, e := range b.Events {
		var err error
		if e.Deleted {
			err = m.state.Unset(e.Key, e.ModRevision)
		} else {
			err = m.state.Set(e.Key, e.Value, e.ModRevision)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.Key, err)
		}
	}
	m.revision, m.ready = b.Revision, !b.More
	close(m.moved)
	m.moved = make(chan struct{})
	return nil
}

// reached waits, not for long, until the state has a revision.
func (m *miniature) reached(ctx context.Context, revision int64) bool {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for {
		m.mu.Lock()
		there, moved := m.ready && m.revision >= revision, m.moved
		m.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

func (m *miniature) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, name := parsePath(r.URL.Path)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	got, err := m.do(ctx, func(s *ipam.State, opt ipam.Options) (*ipam.Change, error) {
		if r.Method == http.MethodDelete {
			return s.Delete(kind, name, opt)
		}
		res, problems := fleet.DecodeOne(kind, name, body)
		if len(problems) > 0 {
			return nil, fmt.Errorf("%v", problems)
		}
		return s.Put(res, opt)
	}, kind, name)
	w.WriteHeader(statusOf(err))
	var out any = got
	if err != nil {
		out = map[string]string{"title": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out) // who does not get it asks again
}

func statusOf(err error) int {
	refusals := ipam.Refusals(err)
	switch {
	case err == nil:
		return http.StatusOK
	case len(refusals) == 0:
		return http.StatusServiceUnavailable
	case refusals[0].Class == ipam.NotFound:
		return http.StatusNotFound
	default:
		return http.StatusConflict
	}
}

// answer is what the controller says of a change.
type answer struct {
	Revision int64           `json:"revision"`
	Changed  bool            `json:"changed"`
	Resource json.RawMessage `json:"resource,omitempty"`
}

type decision func(*ipam.State, ipam.Options) (*ipam.Change, error)

// do decides and commits until nobody else was faster. What a commit does not
// confirm, because there is none, is decided again on a picture that is sure to
// have all that was done before it was asked for.
func (m *miniature) do(ctx context.Context, decide decision, kind fleet.Kind, name string) (answer, error) {
	sure := false
	for ctx.Err() == nil {
		got, err := m.attempt(ctx, decide, kind, name)
		conflict, lost := errors.AsType[*etcd.Conflict](err)
		switch {
		case lost:
			m.reached(ctx, conflict.Revision)
		case !sure && !got.Changed && (err == nil || len(ipam.Refusals(err)) > 0):
			latest, err := m.store.Latest(ctx)
			if err != nil {
				return answer{}, err
			}
			sure = m.reached(ctx, latest)
		default:
			return got, err
		}
	}
	return answer{}, ctx.Err()
}

func (m *miniature) attempt(ctx context.Context, decide decision, kind fleet.Kind, name string) (answer, error) {
	now := time.Now()
	m.mu.Lock()
	if !m.ready {
		m.mu.Unlock()
		return answer{}, errors.New("the store has not been read yet")
	}
	change, err := decide(m.state, ipam.Options{Now: now, Entropy: rand.Uint64, Actor: "user:test"})
	at, have := m.revision, encoded(m.state.Get(kind, name))
	m.mu.Unlock()
	if err != nil || change == nil {
		return answer{Revision: at, Resource: have}, err
	}
	revision, err := m.commit(ctx, change, now)
	if err != nil {
		return answer{}, err
	}
	m.reached(ctx, revision)
	return answer{Revision: revision, Changed: true, Resource: written(change, fleet.ResourceKey(kind, name))}, nil
}

func (m *miniature) commit(ctx context.Context, c *ipam.Change, now time.Time) (int64, error) {
	history := fleet.HistoryKey(now, rand.Uint32())
	record, err := json.Marshal(c.Revision)
	if err != nil {
		return 0, err
	}
	needs := append(c.Needs, fleet.Need{Key: history})
	if m.careless {
		needs = nil
	}
	puts := append(c.Puts, fleet.Put{Key: history, Value: record})
	revision, err := m.store.Commit(ctx, needs, puts, c.Deletes)
	if !errors.Is(err, etcd.ErrUnknown) {
		return revision, err
	}
	if revision, err = m.store.Settle(ctx, history); err == nil && revision == 0 {
		return 0, &etcd.Conflict{} // it was not made: once more
	}
	return revision, err
}

func encoded(res fleet.Resource) json.RawMessage {
	if res == nil {
		return nil
	}
	data, err := fleet.Encode(res)
	if err != nil {
		panic(err)
	}
	return data
}

func written(c *ipam.Change, key string) json.RawMessage {
	for _, p := range c.Puts {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}
