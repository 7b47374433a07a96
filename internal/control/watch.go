package control

import (
	"context"
	"errors"
	"sort"
	"sync"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
)

// ErrCompacted says that a watch would miss something: what it asks for is not
// remembered, or it was too slow. The asker lists again.
var ErrCompacted = errors.New("the changes behind that revision are not remembered any more: list again")

// remembered are how many changes of resources a replica has for watches.
const remembered = 10000

// Change is what happened to one resource.
type Change struct {
	Revision int64
	Kind     fleet.Kind
	Name     string
	Before   fleet.Resource // nil: it was not there
	After    fleet.Resource // nil: it is gone
}

// recent are the last changes, oldest first, in a ring.
type recent struct {
	mu    sync.Mutex
	ring  []Change
	start int   // of the oldest
	floor int64 // all changes behind this revision are there
	more  chan struct{}
}

func newRecent() *recent { return &recent{more: make(chan struct{})} }

// reset forgets everything, as when the site was read anew.
func (c *recent) reset(revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring, c.start, c.floor = nil, 0, revision
	c.wake()
}

func (c *recent) add(changes []Change) {
	if len(changes) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range changes {
		if len(c.ring) < remembered {
			c.ring = append(c.ring, ch)
			continue
		}
		c.floor = c.ring[c.start].Revision
		c.ring[c.start] = ch
		c.start = (c.start + 1) % remembered
	}
	c.wake()
}

func (c *recent) wake() {
	close(c.more)
	c.more = make(chan struct{})
}

// behind returns the changes behind a revision, and what is closed when there
// are more.
func (c *recent) behind(revision int64) (changes []Change, more <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if revision < c.floor {
		return nil, nil, ErrCompacted
	}
	n := len(c.ring)
	for i := sort.Search(n, func(i int) bool { return c.at(i).Revision > revision }); i < n; i++ {
		ch := c.at(i)
		if len(changes) >= fewChanges && ch.Revision != changes[len(changes)-1].Revision {
			break
		}
		changes = append(changes, *ch)
	}
	return changes, c.more, nil
}

// fewChanges are told at a time, and all of a revision.
const fewChanges = 256

func (c *recent) at(i int) *Change { return &c.ring[(c.start+i)%len(c.ring)] }

// Watch waits for changes behind a revision that somebody may see, and says how
// far that is. It returns without any when the context ends.
func (r *Replica) Watch(ctx context.Context, who identity.Identity, from int64) (changes []Change, revision int64, err error) {
	for {
		all, more, err := r.recent.behind(from)
		if err != nil {
			return nil, from, err
		}
		if len(all) > 0 {
			return r.visible(who, all), all[len(all)-1].Revision, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, from, nil
		}
	}
}

// visible leaves out what somebody may not see. What is taken from their sight
// is gone for them.
func (r *Replica) visible(who identity.Identity, all []Change) []Change {
	r.mu.RLock()
	defer r.mu.RUnlock()
	sees := r.viewer(who)
	var out []Change
	for _, ch := range all {
		before, after := ch.Before != nil && sees(ch.Before), ch.After != nil && sees(ch.After)
		if !after {
			ch.After = nil
		}
		if before || after {
			out = append(out, ch)
		}
	}
	return out
}
