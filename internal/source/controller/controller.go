// Package controller is the source that follows a controller: what it declares
// for this node, over a stream that says everything, kept on disk so that the
// node goes on without the controller for as long as it takes. It also tells the
// controller what came of it.
//
// Nothing is ever taken away because the controller cannot be reached, and what
// looks like a controller that has lost its memory is not obeyed.
//
// Not here: what is said (nodelink), what a binding means (manifest), and what
// becomes of it (table, plan).
package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/source"
)

// name is the source's.
const name = "controller"

// Node says what came of what the source has said: the agent.
type Node interface {
	// Standings returns, by interface, how the NICs are that a source declares:
	// State, Reason, Why, Since and Revision of each; and the generation of the
	// source's update that this is after. The channel is closed when there is
	// something newer.
	Standings(source string) (now map[string]fleet.Status, generation uint64, changed <-chan struct{})
	// Describe adds what is installed, answered, dropped and observed.
	Describe(iface string, s *fleet.Status)
}

// Host is what reports say of the node itself.
type Host struct {
	Version string // berthd's
	Kernel  string // its release
}

// Source is this node's end of the link. Set Node before Run.
type Source struct {
	Node Node // nil: nothing is reported
	dir  string
	host Host

	mu      sync.Mutex
	set     *set
	mark    mark
	journal journal
	lost    bool // something is: the controller is asked for everything
	silent  bool // nothing is known of what there was: nothing is said
	damaged error
	unkept  error  // of the last write
	expires error  // of the last renewal
	refused error  // of the last message
	state   string // of the link, for people
	prev    source.Update
	reached []reached
	link    *link
	linked  chan struct{} // closed when link changes
}

// reached is the set that an update was made of.
type reached struct {
	update uint64
	at     nodelink.Position
}

// New makes a source for what Enrol writes to dir, which it may do later.
func New(dir string, host Host) *Source {
	return &Source{dir: dir, host: host, set: newSet(""), linked: make(chan struct{})}
}

// Name is the source's name: "controller".
func (s *Source) Name() string { return name }

// Refresh has nothing to do: what the controller says comes by itself.
func (s *Source) Refresh(context.Context) error { return nil }

// Run publishes what was kept, and from then on what the controller says, until
// ctx ends. It never fails: what is wrong is in the updates.
func (s *Source) Run(ctx context.Context, publish func(source.Update)) error {
	s.start(publish)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.follow(ctx, publish) })
	if s.Node != nil {
		g.Go(func() error { return s.report(ctx) })
	}
	err := g.Wait()
	return errors.Join(err, s.journal.close())
}

// start takes up what was kept. If that is lost, nobody knows what this node
// had: nothing is said until the controller has spoken, and the kernel goes on
// with what it has.
func (s *Source) start(publish func(source.Update)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal = journal{path: filepath.Join(s.dir, setFile)}
	kept, m, err := s.journal.load()
	s.damaged = err
	if kept != nil {
		s.set, s.mark = kept, m
	}
	s.silent = kept == nil && err != nil
	s.say(publish)
}

// say publishes what is now, if it is not what was said last. s.mu is held.
func (s *Source) say(publish func(source.Update)) {
	if s.silent {
		return
	}
	u := source.Update{Source: name, Path: s.dir, Bindings: s.set.refs, Singly: true, State: s.state, Generation: s.prev.Generation + 1}
	u.Stale, u.Problems = s.set.trouble()
	for _, err := range []error{s.damaged, s.unkept, s.expires, s.refused} {
		if err != nil {
			u.Problems = append(u.Problems, manifest.Problem{File: s.dir, Text: err.Error()})
		}
	}
	if s.prev.Generation > 0 && slices.Equal(u.Bindings, s.prev.Bindings) && slices.Equal(u.Problems, s.prev.Problems) && u.State == s.prev.State {
		return
	}
	s.prev = u
	if at := s.set.mirror.Position(); len(s.reached) == 0 || s.reached[len(s.reached)-1].at != at {
		// Not for what is said of the link: that may be for days, without reports.
		s.reached = append(s.reached, reached{u.Generation, at})
	}
	publish(u)
}

// tell says how the link is.
func (s *Source) tell(publish func(source.Update), state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	s.say(publish)
}

// obey makes a message what is in force: the guests first, the disk next.
func (s *Source) obey(msg *nodelink.Message, publish func(source.Update)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.set.apply(msg)
	if r, ok := errors.AsType[*nodelink.Refusal](err); ok && r.Mass && s.forced() {
		msg.Force = true
		c, err = s.set.apply(msg)
	}
	s.refused, s.lost = nil, errors.Is(err, nodelink.ErrGap)
	if err != nil && !s.lost {
		s.refused = s.refusal(err)
	}
	if err == nil {
		s.silent = false
		s.mark.Site, s.mark.Epoch, s.mark.Generation = msg.Site, msg.Epoch, msg.Generation
	}
	news := s.mark.Behind != s.set.mirror.Behind() // also kept over a restart
	s.mark.Behind = s.set.mirror.Behind()
	s.say(publish)
	if !news && (err != nil || len(c.Set)+len(c.Gone) == 0 && s.journal.whole > 0) {
		return err
	}
	s.unkept = s.journal.add(c, s.mark, s.set)
	if s.unkept == nil {
		s.damaged = nil // what was lost is there again
	}
	s.say(publish)
	return err
}

func (s *Source) refusal(err error) error {
	if r, ok := errors.AsType[*nodelink.Refusal](err); ok && r.Mass {
		return fmt.Errorf("%w: if it is right, make the file %s", err, filepath.Join(s.dir, forceFile))
	}
	return err
}

// forced takes the operator's word for one set.
func (s *Source) forced() bool { return os.Remove(filepath.Join(s.dir, forceFile)) == nil }

// serve makes the node the one of its credentials. One that was another's keeps
// what it has until its new site has said what there is.
func (s *Source) serve(c *credentials) nodelink.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if site := c.site(); s.mark.CA != site || s.mark.Node != c.node {
		s.mark = mark{CA: site, Node: c.node}
		s.set.mirror = nodelink.NewMirror(c.node)
	}
	at := s.set.mirror.Position()
	if s.lost || at.Generation == 0 {
		at.Generation, at.Digest = 0, "" // everything
	}
	return at
}

// poll is how often the files are looked at.
const poll = 2 * time.Second

// follow goes from controller to controller until ctx ends.
func (s *Source) follow(ctx context.Context, publish func(source.Update)) error {
	var turn int
	var tired backoff
	for ctx.Err() == nil {
		creds, err := readCredentials(s.dir)
		if err != nil {
			s.tell(publish, err.Error())
			wait(ctx, poll)
			continue
		}
		url := creds.urls[turn%len(creds.urls)]
		heard, err := s.attend(ctx, visit{creds: creds, url: url, publish: publish})
		if heard {
			tired = backoff{}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errChanged):
			turn = 0
			continue
		case errors.Is(err, nodelink.ErrGap) && heard:
			continue // at once, and all of it
		}
		s.tell(publish, fmt.Sprintf("does not follow %s: %v", url, err))
		turn++
		s.await(ctx, creds, tired.next(len(creds.urls)))
	}
	return nil
}

// await waits, unless the node is enrolled anew meanwhile.
func (s *Source) await(ctx context.Context, creds *credentials, d time.Duration) {
	for until := time.Now().Add(d); ctx.Err() == nil; {
		left := time.Until(until)
		if now, err := readCredentials(s.dir); left <= 0 || err != nil || now.made != creds.made {
			return
		}
		wait(ctx, min(left, poll))
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
