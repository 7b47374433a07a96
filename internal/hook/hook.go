// Package hook runs the site's own programs when a binding comes into force on
// a NIC, changes or ends: before it and after it, with the NIC's identity in
// their environment.
//
// Not here: when a NIC waits for them (plan), and what becomes of a failure
// (agent).
package hook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/nic"
)

// DefaultDir is where hooks are looked for.
const DefaultDir = "/etc/berth/hooks.d"

const (
	// atOnce is how many hooks run at the same time, of different NICs.
	atOnce = 8
	// limit is how long one program may run.
	limit = 10 * time.Second
)

// Event is what happens to a NIC. The programs run for it are those in the
// directory of that name with ".d" behind it.
type Event string

// The events.
const (
	PreUp      Event = "pre-up"
	PostUp     Event = "post-up"
	PreChange  Event = "pre-change"
	PostChange Event = "post-change"
	PostDown   Event = "post-down"
)

func (e Event) before() bool { return strings.HasPrefix(string(e), "pre-") }

// Call is one event of one NIC.
type Call struct {
	Event   Event
	NIC     string
	Index   int
	Bridge  string       // the link's master; "": none
	Binding *nic.Binding // that comes, or of PostDown the one that went; nil: not known
}

// replaces reports whether nothing is lost if only c is run, and not what was
// queued for the NIC last.
func (c *Call) replaces(last *Call) bool {
	if c.Event.before() {
		return last.Event.before()
	}
	return c.Event == PostChange && last.Event == PostChange && c.Index == last.Index
}

// undoes reports whether neither of both need be run: what was queued last
// has ended before anybody was told of it.
func (c *Call) undoes(last *Call) bool {
	return c.Event == PostDown && c.Index == last.Index && (last.Event == PostUp || last.Event == PostChange)
}

// Runner runs calls: those of one NIC one after the other, as they were
// submitted. It is safe for concurrent use.
type Runner struct {
	dir   string
	limit time.Duration

	mu    sync.Mutex
	work  *sync.Cond // the queue or busy has changed
	queue []Call
	busy  map[string]bool // by NIC: one of its calls is run
}

// New makes a runner of the programs below dir, which may be made later.
func New(dir string) *Runner {
	r := &Runner{dir: dir, limit: limit, busy: map[string]bool{}}
	r.work = sync.NewCond(&r.mu)
	return r
}

// Submit queues a call. One that was queued before and has been overtaken by
// it is never run, nor reported.
func (r *Runner) Submit(c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.queue) - 1; i >= 0; i-- {
		if r.queue[i].NIC != c.NIC {
			continue
		}
		last := r.queue[i]
		if c.replaces(&last) {
			r.queue[i] = c
			return
		}
		if !c.undoes(&last) {
			break
		}
		r.queue = slices.Delete(r.queue, i, i+1)
		if last.Event == PostUp {
			return
		}
	}
	r.queue = append(r.queue, c)
	r.work.Signal()
}

// Run runs what is submitted until ctx ends, and reports each call when it is
// done: nil if every program succeeded, or there is none. Programs that still
// run when ctx ends are killed, and not reported.
func (r *Runner) Run(ctx context.Context, report func(Call, error)) error {
	defer context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.work.Broadcast()
	})()
	var g errgroup.Group
	for range atOnce {
		g.Go(func() error {
			for c, ok := r.next(ctx); ok; c, ok = r.next(ctx) {
				err := r.call(ctx, &c)
				if ctx.Err() == nil {
					report(c, err)
				}
				r.done(c.NIC)
			}
			return nil
		})
	}
	return g.Wait()
}

// next waits for a call of a NIC that no other call is run of.
func (r *Runner) next(ctx context.Context) (Call, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ctx.Err() == nil {
		i := slices.IndexFunc(r.queue, func(c Call) bool { return !r.busy[c.NIC] })
		if i >= 0 {
			c := r.queue[i]
			r.queue = slices.Delete(r.queue, i, i+1)
			r.busy[c.NIC] = true
			return c, true
		}
		r.work.Wait()
	}
	return Call{}, false
}

func (r *Runner) done(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, name)
	r.work.Signal()
}

// call runs an event's programs. Before an event the first failure is enough;
// after it each has its turn.
func (r *Runner) call(ctx context.Context, c *Call) error {
	programs, err := r.list(c.Event)
	if err != nil || len(programs) == 0 {
		return err
	}
	with, err := c.input()
	if err != nil {
		return err
	}
	var failed error
	for _, p := range programs {
		err := r.run(ctx, p, with)
		switch {
		case err == nil:
		case failed == nil:
			failed = err
		default:
			failed = fmt.Errorf("%w; %w", failed, err)
		}
		if failed != nil && c.Event.before() {
			break
		}
	}
	return failed
}
