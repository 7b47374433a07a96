// Package agent is the node agent's one loop. Sources, links and the kernel's
// tables come in; a plan comes out of plan.Compute; its steps are applied in
// order by this one goroutine, which alone changes anything.
//
// Not here: any decision about what should be in force (table, plan, guard,
// dhcp4) and how a thing is done (the edges).
package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"
	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/hook"
	"github.com/berth-net/berth/internal/hostroute"
	"github.com/berth-net/berth/internal/link"
	"github.com/berth-net/berth/internal/lock"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/route"
	"github.com/berth-net/berth/internal/source"
	"github.com/berth-net/berth/internal/store"
	"github.com/berth-net/berth/internal/table"
)

const (
	// verify is how often everything is read back although nothing woke us: a
	// guard that somebody stripped is found within this time.
	verify = time.Second
	// retry is the pause before a failed step is tried again.
	retry = time.Second
	// keptEvents is the history for `berth events`.
	keptEvents = 8192
)

// Source is where bindings come from.
type Source interface {
	// Name is the Source of every update.
	Name() string
	// Run reads, publishes everything it knows, and does so again after every
	// change, until ctx ends.
	Run(ctx context.Context, publish func(source.Update)) error
	// Refresh reads now and returns when that is published.
	Refresh(ctx context.Context) error
}

// Options is what an agent is made of.
type Options struct {
	Kernel  *datapath.Kernel
	Links   *link.Watcher
	Lock    *lock.Lock
	Routes  *hostroute.Table
	Sources []Source // besides the socket; of two that declare one NIC the earlier has it
	Store   *store.Store
	Sender  answerer.Sender
	DUID    []byte // the server's identifier in DHCPv6
	// DaemonAnswers leaves nothing to the kernel: every answer is the daemon's.
	DaemonAnswers bool
	Policy        plan.Policy
	Hooks         *hook.Runner
	Log           *slog.Logger
	Version       string
	Release       string // the kernel's release, for the status
	Ready         func() // called once, when everything known is in force or waits
}

// Agent is one node's agent. Run it once; its methods serve api.Node.
type Agent struct {
	*api.EventLog
	opt      Options
	answerer *answerer.Answerer
	started  time.Time

	wake     chan struct{}
	spoken   chan struct{} // a source has
	begun    chan struct{} // closed when guests can be answered
	begin    func()        // closes it, once
	inbox    inbox
	requests chan request
	pings    chan struct{}
	waiting  atomic.Int32 // requests that wait for the loop
	view     atomic.Pointer[view]
	book     book

	// Owned by the loop.
	said        map[string]said // by source: the last it has published
	stored      stored
	news        bool // a source has said something new that is in no snapshot yet
	sealed      bool // every source has spoken
	wants       wanted
	lane        table.Lane
	free        bool              // nobody has to give way to anybody, and lane is there
	unsettled   map[string]bool   // the NICs that a pass looks at: all but those of which nothing is to be done but wait for a link
	claims      map[string]claim  // by NIC: what the kernel had at the start, until all is known
	loud        map[string]string // by NIC: why the host's own IPv6 could not be switched off
	release     map[string]bool
	arrivals    map[string]arrival   // by NIC: those to be announced
	routed      map[int]route.State  // as the last pass found it
	uplinks     map[string]string    // by name: what keeps the site from finding the NICs behind it
	noRoutes    bool                 // the last reading found none, and none were wanted
	inherited   map[int]bool         // by ifindex: its rules are still an earlier process's
	carried     map[int]bool         // by ifindex: the kernel answers what an earlier process gave it
	formers     map[int]*nic.Binding // by ifindex, between guard and answer: what that one told
	outstanding map[int]bool         // by ifindex: the kernel has not got all of its answers yet
	holders     map[sharedKey]holding
	servers     map[string][]server // by NIC: server identifiers that its guest may still know
	locked      locked              // what the second lock holds, as last read or left
	hooks       hooks
	failed      map[string]failure
	standings   btree.Map[string, standing]
	links       links // as the last pass found them
	installed   map[int]plan.Installed
	quiet       map[int]bool  // by ifindex, as the last pass found it
	pending     bool          // more is to be done at once
	slice       time.Duration // how long a pass brings NICs up, sliceFor but for tests
	soft        map[int]int   // by ifindex: how often in a row it could not be hardened
	lockError   string
	routeError  string
	nextTry     time.Time
}

// failure is a step that did not succeed.
type failure struct {
	step string
	err  error
}

// standing is since when a NIC is in a state.
type standing struct {
	state  api.State
	reason reason.Reason
	text   string // what exactly, with names and values
	since  time.Time
}

// request is work for the loop's goroutine.
type request struct {
	do   func()
	done chan struct{}
}

// New makes an agent. Nothing happens before Run.
func New(opt Options) (*Agent, error) {
	a := &Agent{
		EventLog:    api.NewEventLog(keptEvents),
		opt:         opt,
		started:     time.Now(),
		wake:        make(chan struct{}, 1),
		spoken:      make(chan struct{}, 1),
		begun:       make(chan struct{}),
		said:        map[string]said{},
		requests:    make(chan request),
		pings:       make(chan struct{}),
		claims:      map[string]claim{},
		loud:        map[string]string{},
		release:     map[string]bool{},
		arrivals:    map[string]arrival{},
		inherited:   map[int]bool{},
		carried:     map[int]bool{},
		formers:     map[int]*nic.Binding{},
		outstanding: map[int]bool{},
		servers:     map[string][]server{},
		hooks:       newHooks(),
		failed:      map[string]failure{},
		unsettled:   map[string]bool{},
		book:        book{pages: map[int]*page{}},
		slice:       sliceFor,
		soft:        map[int]int{},
	}
	a.begin = sync.OnceFunc(func() { close(a.begun) })
	a.answerer = answerer.New(opt.Sender, opt.DUID, a.reportExchange)
	a.view.Store(&view{changed: make(chan struct{})})
	// What the kernel holds from before has the older claim.
	have, err := opt.Kernel.Ruled()
	if err != nil {
		return nil, fmt.Errorf("read what is installed: %w", err)
	}
	all, err := opt.Links.Dump()
	if err != nil {
		return nil, fmt.Errorf("dump links: %w", err)
	}
	on := newLinks(all)
	for _, i := range have {
		a.claims[i.Name] = claim{rules: i.Digest, link: on.byIndex[i.Index]}
		a.inherited[i.Index] = true
		answers, err := opt.Kernel.Answering(i.Index)
		if err != nil {
			return nil, fmt.Errorf("read what the kernel answers: %w", err)
		}
		if len(answers) > 0 {
			a.carried[i.Index] = true
		}
	}
	kept, problems := opt.Store.All()
	a.stored.problems = problems
	for i := range kept {
		a.stored.bindings.Set(kept[i].NIC, &kept[i])
	}
	return a, nil
}

// Run works until ctx ends. What is installed stays in force afterwards.
func (a *Agent) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select { // what was handed up to nobody waits in the ring for who answers
		case <-a.begun:
		case <-ctx.Done():
			return nil
		}
		return a.opt.Kernel.Run(ctx, datapath.Handlers{Punt: a.punt, Sample: a.reportSample, Exchange: a.reportKernel})
	})
	g.Go(func() error { return a.opt.Links.Run(ctx, a.Wake) })
	g.Go(func() error { return a.opt.Lock.Watch(ctx, a.Wake) })
	for _, from := range a.opt.Sources {
		g.Go(func() error { return from.Run(ctx, a.hear) })
	}
	g.Go(func() error { return a.opt.Hooks.Run(ctx, a.hookDone) })
	g.Go(func() error { return a.answerer.Advertise(ctx) })
	g.Go(func() error { return a.loop(ctx) })
	return g.Wait()
}

// Wake makes the loop look at everything again. It never blocks.
func (a *Agent) Wake() { signal(a.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (a *Agent) loop(ctx context.Context) error {
	for {
		a.pass()
		if !a.rest(ctx) {
			return nil
		}
	}
}

// rest serves requests until there is a reason for another pass; false means
// that ctx has ended. Requests that go on and on put no pass off.
func (a *Agent) rest(ctx context.Context) bool {
	rested := time.Now()
	requests := a.requests
	if !a.heard() {
		requests = nil // nothing can be answered yet
	}
	timer := time.NewTimer(a.pause(rested))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-a.wake:
			return true
		case <-a.spoken:
			if a.takeUpdates() {
				return true
			}
			timer.Reset(a.pause(rested))
		case <-timer.C:
			return true
		case r := <-requests:
			r.do()
			close(r.done)
			timer.Reset(a.pause(rested))
		case <-a.pings: // a sign of life is no reason
		}
	}
}

// pause is how long nothing happens by itself: not at all while there is
// hardening to do and nobody asks for anything better.
func (a *Agent) pause(rested time.Time) time.Duration {
	switch {
	case a.pending:
		return 0
	case !a.nextTry.IsZero():
		return time.Until(a.nextTry)
	default:
		return time.Until(rested.Add(verify))
	}
}

// fresh makes the loop read everything again, files included, so that what is
// shown next is what is in force now.
func (a *Agent) fresh(ctx context.Context) error {
	for _, from := range a.opt.Sources {
		if err := from.Refresh(ctx); err != nil {
			return err
		}
	}
	return a.do(ctx, func() { a.pass() })
}

// ping proves that the loop is alive.
func (a *Agent) ping(ctx context.Context) error {
	select {
	case a.pings <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the agent's loop does not answer: %w", api.ErrTimeout, ctx.Err())
	}
}

// do runs f on the loop's goroutine and waits for it.
func (a *Agent) do(ctx context.Context, f func()) error {
	r := request{do: f, done: make(chan struct{})}
	a.waiting.Add(1)
	defer a.waiting.Add(-1)
	select {
	case a.requests <- r:
	case <-ctx.Done():
		return fmt.Errorf("%w: the agent is busy: %w", api.ErrTimeout, ctx.Err())
	}
	<-r.done
	return nil
}
