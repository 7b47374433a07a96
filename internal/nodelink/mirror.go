package nodelink

import (
	"errors"
	"fmt"
	"slices"
)

// ErrGap says that a message does not follow from what there is: something was
// lost, and only a full one helps.
var ErrGap = errors.New("something was lost before this message")

// Refusal is a message that is not obeyed, whoever sent it: to ask for it again
// would not help.
type Refusal struct {
	Text string
	// Mass: only because it takes too much away at once; forced, it is obeyed.
	Mass bool
}

// Error says why.
func (r *Refusal) Error() string { return r.Text }

// atMostHalf is how many NICs a full set may always take away: of more, not
// over half.
const atMostHalf = 10

// Position is how far a Mirror is.
type Position struct {
	Site       string
	Epoch      int64
	Generation int64
	Count      int
	Digest     string
}

// Mirror is what a node knows of its set: which documents, not what is in them.
type Mirror struct {
	node string
	at   Position
	sum  Sum
	has  map[string]Sum // by NIC
	// behind: the controller has told of an older set than this one. Its
	// generations grow past ours again, but they are another story.
	behind bool
}

// NewMirror is a node's before the first message.
func NewMirror(node string) *Mirror { return &Mirror{node: node, has: map[string]Sum{}} }

// Position returns how far it is.
func (m *Mirror) Position() Position {
	p := m.at
	p.Count, p.Digest = len(m.has), m.sum.String()
	return p
}

// Behind reports whether the controller was found to have forgotten some of what
// there is: nothing of the same epoch is obeyed from then on.
func (m *Mirror) Behind() bool { return m.behind }

// Distrust makes that so, for a mirror that is as one was that was behind.
func (m *Mirror) Distrust() { m.behind = true }

// Change is what a message made different.
type Change struct {
	Set  []Document // new, or not as before
	Gone []string   // by NIC
}

// Apply takes a message as a whole, or, with an error, nothing of it: ErrGap,
// a *Refusal, or what is wrong with it.
func (m *Mirror) Apply(msg *Message) (Change, error) {
	if err := m.obey(msg); err != nil {
		return Change{}, err
	}
	d, err := m.difference(msg)
	if err != nil {
		return Change{}, err
	}
	if d.count != msg.Count || d.sum.String() != msg.Digest {
		if msg.Full {
			return Change{}, errors.New("the count or the digest does not fit the set")
		}
		return Change{}, ErrGap
	}
	if err := m.spare(msg, d); err != nil {
		return Change{}, err
	}
	for nic, sum := range d.sums {
		m.has[nic] = sum
	}
	for _, nic := range d.Gone {
		delete(m.has, nic)
	}
	m.behind = false
	m.sum, m.at = d.sum, Position{Site: msg.Site, Epoch: msg.Epoch, Generation: msg.Generation}
	return d.Change, nil
}

// obey refuses what comes from elsewhere or from the past.
func (m *Mirror) obey(msg *Message) error {
	switch {
	case msg.Node != m.node:
		return refuse("a set of node %q; this is %q", msg.Node, m.node)
	case msg.Generation <= 0:
		return refuse("a set of generation %d", msg.Generation)
	case m.at.Generation == 0: // the first of all
		if !msg.Full {
			return ErrGap
		}
		return nil
	case msg.Site != m.at.Site:
		return refuse("a set of site %q; this node is of %q", msg.Site, m.at.Site)
	case msg.Epoch < m.at.Epoch:
		return refuse("a set of epoch %d; this node has one of %d", msg.Epoch, m.at.Epoch)
	case msg.Epoch > m.at.Epoch && !msg.Full:
		return ErrGap
	case msg.Epoch == m.at.Epoch && m.behind:
		return refuse("a set of generation %d, of a controller that had forgotten what this node has (was it restored from a backup? then its epoch must be raised)", msg.Generation)
	case msg.Epoch == m.at.Epoch && msg.Generation < m.at.Generation:
		m.behind = true
		return refuse("a set of generation %d; this node has %d (was the controller restored from a backup? then its epoch must be raised)", msg.Generation, m.at.Generation)
	}
	return nil
}

// difference is a Change with what the Mirror is after it.
type difference struct {
	Change
	sums  map[string]Sum // of Set
	sum   Sum
	count int
}

func (m *Mirror) difference(msg *Message) (difference, error) {
	d := difference{sums: make(map[string]Sum, len(msg.Set)), sum: m.sum, count: len(m.has)}
	named := make(map[string]bool, len(msg.Set))
	for i := range msg.Set {
		doc := &msg.Set[i]
		if err := doc.check(); err != nil {
			return d, err
		}
		if named[doc.NIC] {
			return d, fmt.Errorf("document of NIC %s: there are two", doc.NIC)
		}
		named[doc.NIC] = true
		m.put(&d, doc)
	}
	gone := msg.Gone
	if msg.Full {
		gone = m.without(named)
	}
	for _, nic := range gone {
		old, ok := m.has[nic]
		if !ok || named[nic] {
			return d, ErrGap
		}
		named[nic] = true
		d.sum.Toggle(old)
		d.count--
	}
	d.Gone = gone
	return d, nil
}

// put counts a document in, unless it is there already.
func (m *Mirror) put(d *difference, doc *Document) {
	now := doc.Sum()
	old, ok := m.has[doc.NIC]
	if ok && old == now {
		return
	}
	if ok {
		d.sum.Toggle(old)
	} else {
		d.count++
	}
	d.sum.Toggle(now)
	d.sums[doc.NIC] = now
	d.Set = append(d.Set, *doc)
}

// without are the NICs that a full set does not name, in order.
func (m *Mirror) without(named map[string]bool) []string {
	var gone []string
	for nic := range m.has {
		if !named[nic] {
			gone = append(gone, nic)
		}
	}
	slices.Sort(gone)
	return gone
}

// spare refuses a full set that would cut most guests off, as a controller that
// has lost its memory sends one: what was deleted while the node was connected
// came one by one.
func (m *Mirror) spare(msg *Message, d difference) error {
	had, gone := len(m.has), len(d.Gone)
	forced := msg.Force || msg.Epoch > m.at.Epoch
	if !msg.Full || forced || gone <= atMostHalf || 2*gone <= had {
		return nil
	}
	return &Refusal{Mass: true, Text: fmt.Sprintf("a set that takes away %d of %d NICs at once is not obeyed unless it is forced", gone, had)}
}

func refuse(format string, args ...any) error { return &Refusal{Text: fmt.Sprintf(format, args...)} }
