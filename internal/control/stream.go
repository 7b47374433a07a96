package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nodelink"
)

// The ends of a node's stream.
var (
	ErrReplaced = errors.New("the node has begun another stream or enrolled again, or the store is out of reach")
	ErrNoNode   = errors.New("there is no such node")
)

// Position is what a node says it has.
type Position struct {
	Generation int64
	Digest     string
}

// Stream is one connected node: what it was told, and which of its NICs have
// changed since. Their documents are made when they are told, so that a slow
// node costs names, and changes that follow each other are told as one.
type Stream struct {
	replica *Replica
	node    string
	wake    chan struct{} // of one: there is something new
	over    chan struct{} // closed when another stream takes its place

	mu    sync.Mutex
	all   bool                // everything may have changed
	dirty map[string]struct{} // names of NICs

	// What the node has; only Next's caller touches it.
	has   map[string]told   // by host interface
	where map[string]string // host interface, by name of the NIC
	sum   nodelink.Sum
	told  bool // it has been told anything at all
	at    Position
}

// told is a document that the node has.
type told struct {
	name string
	sum  nodelink.Sum
}

// Stream opens a node's stream in the place of an older one. Who calls it calls
// Close.
func (r *Replica) Stream(ctx context.Context, node string, at Position) (*Stream, error) {
	if _, err := r.exists(node); err != nil {
		return nil, err
	}
	st := &Stream{
		replica: r, node: node, at: at, all: true,
		wake: make(chan struct{}, 1), over: make(chan struct{}),
		dirty: map[string]struct{}{}, has: map[string]told{}, where: map[string]string{},
	}
	st.wake <- struct{}{}
	r.streams.open(st)
	if err := r.connect(ctx, st); err != nil {
		st.Close()
		return nil, err
	}
	return st, nil
}

// exists returns since when there is a node.
func (r *Replica) exists(node string) (since time.Time, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := r.state.Get(fleet.KindNode, node)
	if n == nil {
		return since, fmt.Errorf("node %q: %w", node, ErrNoNode)
	}
	return n.Header().Meta.Created, nil
}

// connect says that the node is here, and waits until it has read that: then it
// knows all that another replica can have told the node before.
func (r *Replica) connect(ctx context.Context, st *Stream) error {
	said, err := r.alive.connected(st.node)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var revision int64
	if err := r.until(ctx, func() bool {
		revision = r.revision
		select {
		case <-st.over: // the other one says it
			return true
		default:
		}
		a, here := r.status.alive[st.node]
		return here && a.Replica == said.Replica && a.Since.Equal(said.Since)
	}); err != nil {
		return fmt.Errorf("%w: it cannot write to its store: %w", ErrUnavailable, err)
	}
	if st.at.Generation > revision {
		r.log.Error("a node is ahead of the store: if that was put back from a backup, start the controller with -restored",
			"node", st.node, "generation", st.at.Generation, "revision", revision)
	}
	return nil
}

// cutOff ends all streams: the nodes count as gone, and would wait in vain for what
// the store says. They find a replica that reaches it; a new stream here waits for
// that too.
func (r *Replica) cutOff() {
	for _, node := range r.streams.endAll() {
		r.alive.gone(node)
	}
}

// Close ends the stream, and the node's liveness with it unless it has begun
// another.
func (st *Stream) Close() {
	if st.replica.streams.closed(st) {
		st.replica.alive.gone(st.node)
	}
}

// Next returns the next message; it waits until there is one.
func (st *Stream) Next(ctx context.Context) (*nodelink.Message, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-st.over:
			return nil, ErrReplaced
		case <-st.wake:
		}
		msg, err := st.message()
		if msg != nil || err != nil {
			return msg, err
		}
	}
}

// errQuiet says that there is nothing to say.
var errQuiet = errors.New("nothing to say")

// message says what has changed; nil if nothing has. All that there is, is looked
// at a few NICs at a time, so that changes need not wait for it: what changes
// meanwhile is looked at again, at the end.
func (st *Stream) message() (*nodelink.Message, error) {
	if st.isAll() {
		defer st.replica.streams.building()()
	}
	d := draft{before: map[string]told{}, docs: map[string]nodelink.Document{}}
	for {
		msg, names, err := st.round(&d)
		switch {
		case errors.Is(err, errQuiet):
			return nil, nil
		case len(names) == 0:
			return msg, err
		}
		for some := range slices.Chunk(names, fewNames) {
			st.glance(&d, some)
		}
	}
}

// fewNames are looked at under one lock.
const fewNames = 32

// round looks at what is known to have changed, and ends the message; or returns
// the names of all NICs, to be looked at first.
func (st *Stream) round(d *draft) (*nodelink.Message, []string, error) {
	r := st.replica
	r.mu.RLock()
	defer r.mu.RUnlock()
	all, dirty := st.take()
	node, exists := r.state.Get(fleet.KindNode, st.node).(*fleet.Node)
	switch {
	case !exists:
		return nil, nil, fmt.Errorf("node %q: %w", st.node, ErrNoNode)
	case node.State == fleet.NodeDisabled:
		return nil, nil, errQuiet // it keeps what it has; when it is enabled, everything is looked at
	case all:
		if names := st.everything(); len(names) > 0 {
			return nil, names, nil
		}
	}
	st.lookAt(d, slices.Sorted(maps.Keys(dirty)))
	return st.finish(d), nil, nil
}

// everything are the names of the NICs that the node has or is to have.
func (st *Stream) everything() []string {
	names := append(st.replica.state.NICs(st.node), slices.Collect(maps.Keys(st.where))...)
	slices.Sort(names)
	return slices.Compact(names)
}

func (st *Stream) glance(d *draft, names []string) {
	st.replica.mu.RLock()
	defer st.replica.mu.RUnlock()
	st.lookAt(d, names)
}

func (st *Stream) isAll() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.all
}

// take is what is to be looked at. It is called under the lock of the state:
// what changes after that comes again.
func (st *Stream) take() (all bool, dirty map[string]struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	all, dirty = st.all, st.dirty
	st.all, st.dirty = false, map[string]struct{}{}
	return all, dirty
}

// draft is a message on its way: what was there of the interfaces that were looked
// at, the zero told if nothing was, and the documents that are there instead.
type draft struct {
	before map[string]told
	docs   map[string]nodelink.Document
}

// lookAt takes in what the NICs of these names are now. Interfaces may have
// changed hands among them.
func (st *Stream) lookAt(d *draft, names []string) {
	var now []*nodelink.Document
	for _, name := range names {
		doc, err := st.document(name)
		if err != nil {
			// The mistake is the controller's, and one NIC's: the node keeps that as
			// it is.
			st.replica.log.Error("a NIC's document cannot be made", "nic", name, "node", st.node, "err", err)
			continue
		}
		if nic, had := st.where[name]; had {
			st.leave(d, nic)
		}
		if doc != nil {
			now = append(now, doc)
		}
	}
	for _, doc := range now {
		st.leave(d, doc.NIC)
		t := told{doc.Name, doc.Sum()}
		st.has[doc.NIC], st.where[doc.Name] = t, doc.NIC
		st.sum.Toggle(t.sum)
		d.docs[doc.NIC] = *doc
	}
}

// leave takes what there is of an interface out of the set.
func (st *Stream) leave(d *draft, nic string) {
	t, had := st.has[nic]
	if _, seen := d.before[nic]; !seen {
		d.before[nic] = t
	}
	if had {
		st.sum.Toggle(t.sum)
		delete(st.has, nic)
		delete(st.where, t.name)
		delete(d.docs, nic)
	}
}

// document is what the node is told of a NIC; nil: nothing.
func (st *Stream) document(name string) (*nodelink.Document, error) {
	docs, err := st.replica.state.Document(st.node, name)
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	d, err := nodelink.NewDocument(docs[0].Interface, docs[0].Name, docs[0].Revision, docs[0].Body)
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// finish says what is different, nil if nothing is. The first time it says
// everything, unless that is what the node says it has.
func (st *Stream) finish(d *draft) *nodelink.Message {
	r := st.replica
	msg := &nodelink.Message{
		Site: r.site.ID, Epoch: r.site.Epoch, Node: st.node,
		Generation: r.revision, Count: len(st.has), Digest: st.sum.String(),
	}
	first := !st.told
	st.told = true
	if first && st.at.Generation > 0 && msg.Digest == st.at.Digest {
		return msg
	}
	for _, nic := range slices.Sorted(maps.Keys(d.before)) {
		now, is := st.has[nic]
		switch was := d.before[nic]; {
		case !is && was != (told{}):
			msg.Gone = append(msg.Gone, nic)
		case is && now != was:
			msg.Set = append(msg.Set, d.docs[nic])
		}
	}
	if msg.Full = first; !first && len(msg.Set)+len(msg.Gone) == 0 {
		return nil
	}
	return msg
}

// touch has a NIC looked at.
func (st *Stream) touch(name string) {
	st.mu.Lock()
	st.dirty[name] = struct{}{}
	st.mu.Unlock()
	st.poke()
}

// touchAll has everything looked at.
func (st *Stream) touchAll() {
	st.mu.Lock()
	st.all = true
	st.mu.Unlock()
	st.poke()
}

func (st *Stream) poke() {
	select {
	case st.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// atOnce bounds how many full sets are made at a time, when all nodes come at
// once.
const atOnce = 8

// streams are those of the connected nodes.
type streams struct {
	mu    sync.Mutex
	nodes map[string]*Stream
	slots chan struct{}
}

func newStreams() *streams {
	return &streams{nodes: map[string]*Stream{}, slots: make(chan struct{}, atOnce)}
}

func (s *streams) building() (release func()) {
	s.slots <- struct{}{}
	return func() { <-s.slots }
}

func (s *streams) open(st *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.nodes[st.node]; old != nil {
		close(old.over)
	}
	s.nodes[st.node] = st
}

// closed reports whether it was the node's last.
func (s *streams) closed(st *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes[st.node] != st {
		return false
	}
	delete(s.nodes, st.node)
	return true
}

// endAll ends all streams, and returns whose they were.
func (s *streams) endAll() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := slices.Collect(maps.Keys(s.nodes))
	for _, st := range s.nodes {
		close(st.over)
	}
	clear(s.nodes)
	return nodes
}

// end ends a node's stream.
func (s *streams) end(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.nodes[node]; st != nil {
		close(st.over)
		delete(s.nodes, node)
	}
}

func (s *streams) of(node string) *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[node]
}

func (s *streams) each(f func(*Stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.nodes {
		f(st)
	}
}
