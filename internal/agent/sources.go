package agent

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/source"
	"github.com/berth-net/berth/internal/table"
)

// socket is the source of what the socket sets.
const socket = "socket"

// mostTold bounds the mistakes of one update that are told one by one.
const mostTold = keptEvents / 16

// firstWord is how long the sources have for it after the start.
const firstWord = 10 * time.Second

// said is what a source has published, and when.
type said struct {
	source.Update
	at time.Time
}

// inbox keeps the newest update of each source: each is everything.
type inbox struct {
	mu  sync.Mutex
	new map[string]said
}

func (b *inbox) put(s said) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.new == nil {
		b.new = map[string]said{}
	}
	b.new[s.Source] = s
}

func (b *inbox) take() map[string]said {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.new
	b.new = nil
	return taken
}

// hear is called by the sources, from their own goroutines.
func (a *Agent) hear(u source.Update) {
	a.inbox.put(said{u, time.Now()})
	signal(a.spoken)
}

// takeUpdates takes what the sources have published since it was called last. It
// reports whether that leaves anything for a pass to do.
func (a *Agent) takeUpdates() (more bool) {
	changed := false
	for name, s := range a.inbox.take() {
		old := a.said[name]
		a.said[name] = s
		if s.Generation == old.Generation {
			continue
		}
		a.tellProblems(name, newProblems(old.Problems, s.Problems), s.at)
		a.tellNotes(name, newProblems(old.Warnings, s.Warnings))
		if s.State != old.State {
			a.opt.Log.Info("source", "source", name, "state", s.State)
		}
		changed = !a.takeAlone(&old.Update, &s.Update) || changed
	}
	a.news = a.news || changed
	if a.news && a.heard() {
		a.news, a.sealed = false, a.allSpoke()
		a.merge()
		return true
	}
	return a.news
}

func (a *Agent) tellNotes(name string, fresh []manifest.Problem) {
	list, more := first(fresh)
	for _, p := range list {
		a.opt.Log.Warn("binding", "source", name, "nic", p.NIC, "note", p)
	}
	if more > 0 {
		a.opt.Log.Warn("bindings have further notes", "source", name, "count", more)
	}
}

// tellProblems leaves a line and an event for each new mistake.
func (a *Agent) tellProblems(name string, fresh []manifest.Problem, at time.Time) {
	list, more := first(fresh)
	for _, p := range list {
		a.opt.Log.Warn("binding rejected", "source", name, "nic", p.NIC, "err", p)
		a.Add(api.Event{Time: at, NIC: p.NIC, Kind: "rejected", Text: p.Error()})
	}
	if more > 0 {
		a.opt.Log.Warn("further mistakes", "source", name, "count", more)
		a.Add(api.Event{Time: at, Kind: "rejected", Text: fmt.Sprintf("%d further mistakes in source %s; the status lists them", more, name)})
	}
}

// first returns those that are told one by one, and how many more there are:
// they must wash out neither the log nor the history.
func first(list []manifest.Problem) (told []manifest.Problem, more int) {
	n := min(len(list), mostTold)
	return list[:n], len(list) - n
}

// heard reports whether every source has said something, or has had its time.
// Until then it cannot be told who had what before the restart, and the kernel
// goes on with that.
func (a *Agent) heard() bool {
	return len(a.said) == len(a.opt.Sources) || time.Since(a.started) > firstWord
}

// allSpoke reports whether every source has said something. A store that
// cannot be read is a source that has not spoken.
func (a *Agent) allSpoke() bool {
	return len(a.said) == len(a.opt.Sources) &&
		!slices.ContainsFunc(a.stored.problems, func(p manifest.Problem) bool { return p.NIC == "" })
}

// Bindings are all in force or waiting, in order of NIC.
func (a *Agent) Bindings() []nic.Binding {
	var all []nic.Binding
	a.view.Load().wants.byNIC.Scan(func(_ string, w *plan.Want) bool {
		all = append(all, *w.Binding)
		return true
	})
	return all
}

// networks are what bindings of the socket inherit from.
func (a *Agent) networks() manifest.Networks { return a.said["dir"].Networks }

// draft is a snapshot, compiled, and how it can be changed.
type draft struct {
	plan.Wants
	lane table.Lane
	free bool
}

// merge makes the next snapshot of all sources and compiles it. Whoever is in
// it keeps what it holds against newcomers.
func (a *Agent) merge() { a.want(a.compiled(a.stored)) }

// compiled is what would be wanted if the socket had set this.
func (a *Agent) compiled(set stored) draft {
	s := a.snapshot(set)
	d := draft{Wants: plan.Wants{ByNIC: make(map[string]*plan.Want, len(s.Entries)), Refused: s.Refused}}
	for name, e := range s.Entries {
		d.ByNIC[name] = plan.NewWant(e, a.wants.nic(name))
	}
	d.lane, d.free = s.Lane()
	return d
}

// want makes a draft what is wanted.
func (a *Agent) want(d draft) {
	first := a.wants.generation == 0
	a.wants.generation++
	a.wants.replace(d.Wants, func(name string, old, now *plan.Want) {
		a.unsettled[name] = true
		a.keepServers(name, old, now)
		a.arrive(name, old, now)
		if !first { // which is no change
			a.tellSource(name, old, now)
		}
	})
	a.expireServers(time.Now())
	a.lane, a.free = d.lane, d.free
	if a.sealed { // else somebody may yet say what had an older claim
		a.claims = map[string]claim{}
	}
}

// tellSource leaves a line for a binding that a source has changed; what the
// socket changes is told with who asked for it.
func (a *Agent) tellSource(name string, old, now *plan.Want) {
	var before, after *nic.Binding
	origin := nic.Origin{Source: socket}
	if old != nil {
		before, origin = old.Binding, old.Binding.Origin
	}
	if now != nil {
		after, origin = now.Binding, now.Binding.Origin
	}
	same := old != nil && now != nil && old.Answer == now.Answer
	if origin.Source != socket && !same {
		a.tellChange(name, origin.File, before, after)
	}
}

// snapshot merges what the sources say with what the socket has set.
func (a *Agent) snapshot(set stored) table.Snapshot {
	var updates []table.Update
	for _, from := range a.opt.Sources {
		updates = append(updates, asUpdate(a.said[from.Name()].Update))
	}
	updates = append(updates, table.Update{Source: socket, Refs: set.bindings.Values(), Broken: broken(set.problems, nil)})
	return table.Merge(a.wants.generation+1, updates, a.rank)
}

// claim is what the kernel had for a NIC at the start.
type claim struct {
	rules uint64 // the digest of them
	link  plan.Link
}

// has reports whether it was this very binding.
func (c claim) has(b *nic.Binding) bool {
	return c.rules == plan.NewWant(table.Entry{Binding: b}, nil).DigestOn(c.link)
}

// rank says who wins a conflict: a binding that was there before and is the
// same, then a changed one of a NIC that was there, then what is new.
func (a *Agent) rank(b *nic.Binding) int {
	had := a.wants.nic(b.NIC)
	c, found := a.claims[b.NIC]
	switch {
	case had != nil && had.Answer == b.Digest(), had == nil && found && c.has(b):
		return 0
	case had != nil && had.Binding.Origin.Source == b.Origin.Source, had == nil && found:
		return 1
	default:
		return 2
	}
}

func asUpdate(u source.Update) table.Update {
	t := table.Update{Source: u.Source, Bindings: u.Bindings, Refs: u.Refs, Stale: map[string]string{}}
	for name, p := range u.Stale {
		t.Stale[name] = p.Error()
	}
	t.Broken = broken(u.Problems, t.Stale)
	return t
}

// broken maps the NICs that a problem names to it, but for those whose last
// good version stands in.
func broken(problems []manifest.Problem, stale map[string]string) map[string]string {
	m := map[string]string{}
	for _, p := range problems {
		if _, ok := stale[p.NIC]; ok || p.NIC == "" {
			continue
		}
		if _, ok := m[p.NIC]; !ok {
			m[p.NIC] = p.Error()
		}
	}
	return m
}

// newProblems returns what is in now and was not in before. There may be one
// for every row of a database.
func newProblems(before, now []manifest.Problem) []manifest.Problem {
	known := make(map[manifest.Problem]bool, len(before))
	for _, p := range before {
		known[p] = true
	}
	return slices.DeleteFunc(slices.Clone(now), func(p manifest.Problem) bool { return known[p] })
}
