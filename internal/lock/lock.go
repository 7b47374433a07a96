// Package lock is the second lock of a managed NIC: a standing nftables set of
// our own that drops every frame which enters from a managed interface name
// without the guard's mark. It is armed before the interface exists, so an
// interface that is new, made again, or stripped of its program is closed and
// never open. The first lock, the guard's program on the device, follows
// renames and namespace moves; this one follows names.
//
// The kernel is the database: nothing is remembered here, Apply compares with
// what it reads and Read says what the kernel holds.
//
// What it can't reach, because the kernel calls no nftables hook there that
// can stand before the interface does:
//   - ports of Open vSwitch, which takes frames before any bridge or IP hook;
//   - what is neither IP nor ARP on an interface that is in no bridge, which no
//     protocol of the host listens to;
//   - LLDP, and BPDUs to a bridge that runs spanning tree itself: br_handle_frame
//     learns their source and gives them to the host before the first hook,
//     unless the bridge has no_linklocal_learn. They are not forwarded;
//   - the peer of a veth that is left in the host's own namespace: only a frame
//     that crosses namespaces loses a forged mark on the way.
package lock

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// DefaultMark is the bit of skb->mark by which the guard's program tells the
// lock that a frame was examined. It lives from the NIC's tc hook to the
// lock's own rule a few instructions later, which clears it, so it can't meet
// the marks of others; the configuration may choose another bit for a program
// at the same hook that uses this one. A frame that has this bit alone at an
// unmanaged port of a bridge loses it there.
const DefaultMark uint32 = 0x0800_0000

// TableName is the name of our table in each of the families bridge, inet and
// arp.
const TableName = "berth_lock"

// ErrDamaged says that the kernel holds a lock, but not a whole one: somebody
// changed it. Apply repairs it.
var ErrDamaged = errors.New("the lock is damaged")

// ErrChanged says that somebody else's transaction came between.
var ErrChanged = errors.New("the ruleset changed meanwhile")

// Desired is the whole state of the lock. An order of names has no meaning.
type Desired struct {
	Mark     uint32   // one bit
	Names    []string // interface names, which need not exist
	Patterns []string // prefixes with a star behind them, such as "tap*"
}

// Normal returns d valid, sorted and without duplicates, or says which value
// is wrong.
func (d Desired) Normal() (Desired, error) {
	if bits.OnesCount32(d.Mark) != 1 {
		return Desired{}, fmt.Errorf("mark %#x: want exactly one bit", d.Mark)
	}
	for _, n := range d.Names {
		if err := checkName(n); err != nil {
			return Desired{}, fmt.Errorf("interface name %q: %w", n, err)
		}
	}
	for _, p := range d.Patterns {
		if err := checkPattern(p); err != nil {
			return Desired{}, fmt.Errorf("interface pattern %q: %w", p, err)
		}
	}
	return Desired{Mark: d.Mark, Names: sorted(d.Names), Patterns: sorted(d.Patterns)}, nil
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}

func checkPattern(p string) error {
	prefix, ok := strings.CutSuffix(p, "*")
	if !ok {
		return errors.New("want a prefix and a star")
	}
	if len(p) >= unix.IFNAMSIZ {
		return fmt.Errorf("longer than %d bytes", unix.IFNAMSIZ-1)
	}
	return checkName(prefix) // so "*" alone, which would close lo, is refused
}

// checkName accepts what dev_valid_name accepts, less what an nftables script
// can't quote.
func checkName(n string) error {
	switch {
	case n == "":
		return errors.New("empty")
	case len(n) >= unix.IFNAMSIZ:
		return fmt.Errorf("longer than %d bytes", unix.IFNAMSIZ-1)
	case n == "." || n == "..":
		return errors.New("not a name")
	}
	for _, c := range []byte(n) {
		if c <= ' ' || c > '~' || strings.IndexByte(`/:"\*`, c) >= 0 {
			return fmt.Errorf("byte %q is not allowed", c)
		}
	}
	return nil
}

// Lock speaks with the nftables of one network namespace. It is safe for
// concurrent use.
type Lock struct {
	mu    sync.Mutex
	nl    *nftables.Conn
	known uint32 // the ruleset's generation when the lock was last known to be whole; 0: it was not
}

// Open connects to the nftables of the calling thread's network namespace. It
// changes nothing.
func Open() (*Lock, error) {
	nl, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return &Lock{nl: nl}, nil
}

// Close disconnects. What was applied stays in force.
func (l *Lock) Close() error { return l.nl.CloseLasting() }

// maxRounds bounds the rounds of read and change. Two are needed, another one
// for each change that somebody else makes in between.
const maxRounds = 50

// Apply makes the kernel hold exactly d, and returns after reading back that
// it does. At every moment between, each name of the old state that is also
// in the new one is closed. Applying the same state again changes nothing and
// sends nothing.
func (l *Lock) Apply(d Desired) error {
	want, err := d.Normal()
	if err != nil {
		return fmt.Errorf("apply lock: %w", err)
	}
	if err := l.converge(func(have []table) []change { return diff(have, tables(want)) }); err != nil {
		return fmt.Errorf("apply lock: %w", err)
	}
	return nil
}

// Remove takes the lock away, whatever state it is in: every managed name is
// open afterwards, as far as this lock is concerned.
func (l *Lock) Remove() error {
	err := l.converge(func(have []table) []change {
		var gone []change
		for _, t := range have {
			gone = append(gone, change{Table: t, Delete: true})
		}
		return gone
	})
	if err != nil {
		return fmt.Errorf("remove lock: %w", err)
	}
	return nil
}

// converge reads and changes until nothing is left to change. A transaction
// carries the generation that was read, so it takes effect on exactly that
// state or, if somebody came between, not at all.
func (l *Lock) converge(plan func(have []table) []change) error {
	return l.retry(func() (done bool, err error) {
		l.known = 0
		gen, have, err := l.read()
		if err != nil {
			return false, err
		}
		changes := plan(have)
		if len(changes) == 0 {
			l.known = gen
			return true, nil
		}
		return false, l.commit(gen, changes)
	})
}

// Changed reports whether anybody has changed the ruleset of nftables, whatever
// table of it, since the lock was last read or applied. It costs one request
// however many names there are.
func (l *Lock) Changed() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gen, err := l.nl.GetGen()
	if err != nil {
		return false, fmt.Errorf("get generation: %w", err)
	}
	return l.known == 0 || gen.ID != l.known, nil
}

// Change adds names to the lock and takes others away, in one transaction that
// costs no more where there are many. ErrChanged says that the lock is not as it
// was last read or applied: nothing is done, and Apply is due.
func (l *Lock) Change(add, drop []string) error {
	for _, n := range slices.Concat(add, drop) {
		if err := checkName(n); err != nil {
			return fmt.Errorf("change lock: interface name %q: %w", n, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == 0 {
		return fmt.Errorf("change lock: %w", ErrChanged)
	}
	var changes []change
	for _, t := range tables(Desired{}) {
		changes = append(changes, change{Table: t, Add: add, Drop: drop})
	}
	gen := l.known
	l.known = 0
	if err := l.commit(gen, changes); err != nil {
		return fmt.Errorf("change lock: %w", err)
	}
	// Another number means that somebody has changed something since: that is
	// found by Changed.
	l.known = next(gen)
	return nil
}

// snapshot reads until no transaction fell between its parts.
func (l *Lock) snapshot() (gen uint32, have []table, err error) {
	err = l.retry(func() (done bool, err error) {
		if gen, have, err = l.read(); err != nil {
			return false, err
		}
		after, err := l.nl.GetGen()
		return err == nil && after.ID == gen, err
	})
	return gen, have, err
}

// retry repeats step until it is done or fails otherwise than by a change of
// the ruleset under its feet.
func (l *Lock) retry(step func() (done bool, err error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range maxRounds {
		done, err := step()
		if done || err != nil && !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("gave up after %d rounds: %w", maxRounds, ErrChanged)
}

// Read returns what the kernel holds: the zero Desired if there is no lock,
// and an ErrDamaged that names the damage if there is something else than
// Apply would have made.
func (l *Lock) Read() (Desired, error) {
	gen, have, err := l.snapshot()
	if err != nil {
		return Desired{}, fmt.Errorf("read lock: %w", err)
	}
	d, err := desired(have)
	if err != nil {
		gen = 0
	}
	l.mu.Lock()
	l.known = gen
	l.mu.Unlock()
	if err != nil {
		return Desired{}, fmt.Errorf("read lock: %w", err)
	}
	return d, nil
}

// Drops returns how many frames the lock dropped since it was made. A healthy
// guard leaves it nothing to drop.
func (l *Lock) Drops() (uint64, error) {
	_, have, err := l.snapshot()
	if err != nil {
		return 0, fmt.Errorf("count the lock's drops: %w", err)
	}
	var sum uint64
	for _, t := range have {
		sum += t.Dropped
	}
	return sum, nil
}
