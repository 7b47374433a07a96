package claims_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/testenv"
)

const (
	clients  = 32
	replicas = 2
	kills    = 16 // of replicas and members
)

// site is a whole one: members, replicas and the ways to those.
type site struct {
	t        testing.TB
	members  []*process
	replicas []*process
	doors    []*door
	store    *etcd.Store
}

func newSite(t testing.TB, run func(socket string) func() *exec.Cmd) *site {
	t.Helper()
	s := &site{t: t}
	s.members, s.store = cluster(t)
	dir, err := os.MkdirTemp("/run", "claims-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for i := range replicas {
		socket := filepath.Join(dir, fmt.Sprintf("%d.sock", i))
		s.replicas = append(s.replicas, newProcess(t, fmt.Sprintf("replica %d", i), run(socket)))
		s.doors = append(s.doors, newDoor(socket))
	}
	s.furnish()
	return s
}

// furnish writes what NICs need to be.
func (s *site) furnish() {
	s.t.Helper()
	s.put(fleet.KindNetwork, "lab", `{"projects": ["*"], "prefixes": ["10.0.0.0/20"]}`)
	s.put(fleet.KindPool, "all", `{"network": "lab", "default": true, "ranges": ["10.0.0.0/20"]}`)
	for i := range 8 {
		s.put(fleet.KindProject, fmt.Sprintf("p%d", i), `{}`)
	}
	for i := range 4 {
		s.put(fleet.KindNode, fmt.Sprintf("n%d", i), `{}`)
	}
}

func (s *site) put(kind fleet.Kind, name, body string) {
	s.t.Helper()
	var text string
	testenv.Wait(s.t, time.Minute, fmt.Sprintf("%s %s to be written", kind, name), func() bool {
		var got outcome
		got, _, text = s.doors[0].ask(http.MethodPut, pathOf(kind, name), []byte(body))
		if got == refused || got == gone {
			s.t.Fatalf("%s %s: %s", kind, name, text)
		}
		return got == done
	})
}

// chaos kills one process after the other, and lets some time pass before each
// is there again. Of the members one at a time is away, and so nothing that
// was acknowledged may be lost.
func (s *site) chaos(rng *rand.Rand) {
	for i := range kills {
		victims := s.replicas
		if i%2 == 1 {
			victims = s.members
		}
		p := victims[rng.IntN(len(victims))]
		time.Sleep(time.Duration(300+rng.IntN(1200)) * time.Millisecond)
		p.kill()
		time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
		p.start()
	}
}

// Clients claim and give back addresses of one network while replicas and
// members are killed. No order of what they saw is wrong, every revision is
// whole, and in the end all that was granted is there, and nothing else. It is
// so of the decisions with the store, and of the whole controller.
func TestClaims(t *testing.T) {
	for name, run := range map[string]func(string) func() *exec.Cmd{"decisions": small("careful"), "controller": controller(t)} {
		t.Run(name, func(t *testing.T) { claims(t, run) })
	}
}

func claims(t *testing.T, run func(string) func() *exec.Cmd) {
	seed := seeded(t)
	s := newSite(t, run)
	r := s.run(seed, func() { s.chaos(rand.New(rand.NewPCG(seed, clients))) })
	r.tell(t)
	for _, wrong := range slices.Concat(r.told, r.revisions, r.steps) {
		t.Error(wrong)
	}
}

// Replicas that do not care whether what they decided on is still so are found
// out, by the clients' history as well as by the revisions.
func TestCareless(t *testing.T) {
	s := newSite(t, small("careless"))
	r := s.run(seeded(t), func() { time.Sleep(3 * time.Second) })
	for what, wrong := range map[string][]string{"history": r.steps, "revisions": r.revisions} {
		t.Logf("%s: %d wrong, such as %q", what, len(wrong), wrong[:min(len(wrong), 1)])
		if len(wrong) == 0 {
			t.Errorf("nothing is wrong with the %s", what)
		}
	}
}

func seeded(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("BERTH_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("BERTH_SEED=%d", seed)
	return seed
}

// report is what came of one run, and what is wrong with it.
type report struct {
	clients   []*client
	auditor   *auditor
	history   *history
	told      []string // by the clients, and between them and the store
	revisions []string
	steps     []string // that no order explains
}

// run lets all clients work as long as something goes on.
func (s *site) run(seed uint64, during func()) report {
	r := report{history: newHistory()}
	var stop func()
	r.auditor, stop = s.audit()
	r.clients = s.crowd(r.history, seed, during)
	stop()
	r.told = s.settle(r.history, r.clients)
	for _, c := range r.clients {
		r.told = append(r.told, c.wrong...)
	}
	r.revisions = append(r.auditor.wrong, r.auditor.whole()...)
	r.steps = r.history.check(time.Minute)
	return r
}

// audit follows the store until stop, which returns when it has seen all that
// was there then.
func (s *site) audit() (a *auditor, stop func()) {
	s.t.Helper()
	a = newAuditor()
	var end int64
	enough := errors.New("enough")
	ended, ending := make(chan error, 1), make(chan int64, 1)
	go func() {
		ended <- s.store.Follow(context.Background(), func(b etcd.Batch) error {
			select {
			case end = <-ending:
			default:
			}
			if err := a.take(b); err != nil {
				return err
			}
			if end > 0 && b.Revision >= end && !b.More {
				return enough
			}
			return nil
		}, "r/", "a/")
	}()
	return a, func() {
		s.t.Helper()
		// One revision is told after the end is known, whatever else is.
		_, at, err := s.store.Get(context.Background(), "")
		if err != nil {
			s.t.Fatal(err)
		}
		ending <- at
		if _, err := s.store.Commit(context.Background(), nil, []fleet.Put{{Key: "end", Value: []byte("1")}}, nil); err != nil {
			s.t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, enough) {
			s.t.Fatalf("the auditor: %v", err)
		}
	}
}

func (s *site) crowd(h *history, seed uint64, during func()) []*client {
	ctx, cancel := context.WithCancel(context.Background())
	var all []*client
	var working sync.WaitGroup
	for i := range clients {
		c := &client{
			t: s.t, number: i, rng: rand.New(rand.NewPCG(seed, uint64(i))), doors: s.doors,
			store: s.store, history: h, counts: map[string]int{},
		}
		all = append(all, c)
		working.Go(func() { c.work(ctx) })
	}
	during()
	cancel()
	working.Wait()
	return all
}

// settle compares the store with what the clients know, and records what it
// says of every address as the last that was seen of it.
func (s *site) settle(h *history, all []*client) (wrong []string) {
	s.t.Helper()
	call := h.now()
	have := s.granted()
	owners := map[netip.Addr]string{}
	for _, c := range all {
		for _, g := range c.groups {
			wrong = append(wrong, g.compare(have)...)
			for _, name := range g.nics {
				address, there := have[name]
				if _, known := g.has[name]; there && !known {
					// The answer got lost, and so did which address it was.
					h.addAt(c.number, 0, call, step{claim, address, g.name, true})
				}
				if there {
					owners[address] = g.name
				}
				delete(have, name)
			}
		}
	}
	for name, address := range have {
		wrong = append(wrong, fmt.Sprintf("NIC %s has %s, and nobody has asked for it", name, address))
	}
	for _, a := range h.addresses() {
		h.add(clients, call, step{read, a, owners[a], true})
	}
	return wrong
}

// granted is the address of each NIC in the store.
func (s *site) granted() map[string]netip.Addr {
	s.t.Helper()
	under := fleet.ResourcesKey(fleet.KindNIC)
	events, _, err := s.store.Range(context.Background(), under, fleet.After(under), etcd.RangeOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]netip.Addr{}
	for _, e := range events {
		g := &group{has: out}
		if err := g.take(strings.TrimPrefix(e.Key, under), e.Value); err != nil {
			s.t.Error(err)
		}
	}
	return out
}

// compare holds a group to what the store has of it in the end.
func (g *group) compare(have map[string]netip.Addr) (wrong []string) {
	there := 0
	for _, name := range g.nics {
		address, ok := have[name]
		if ok {
			there++
		}
		if want, known := g.has[name]; ok && known && address != want {
			wrong = append(wrong, fmt.Sprintf("%s was granted %s and has %s", name, want, address))
		}
	}
	switch {
	case there != 0 && there != len(g.nics):
		wrong = append(wrong, fmt.Sprintf("%s %s is there in part: %d of %d", g.kind, g.name, there, len(g.nics)))
	case g.state == done && there == 0:
		wrong = append(wrong, fmt.Sprintf("%s %s was granted and is lost", g.kind, g.name))
	case (g.state == gone || g.state == refused) && there > 0:
		wrong = append(wrong, fmt.Sprintf("%s %s is there, though the client was told that it is not", g.kind, g.name))
	}
	return wrong
}

// tell says how much was tried, and fails if it was not enough to show anything.
func (r *report) tell(t *testing.T) {
	t.Helper()
	counts := map[string]int{}
	for _, c := range r.clients {
		for k, n := range c.counts {
			counts[k] += n
		}
	}
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d %s", counts[k], k)
	}
	t.Logf("%d steps on %d addresses; %d revisions looked at", len(r.history.steps), len(r.history.addresses()), r.auditor.seen)
	for _, k := range []string{"PUT nic done", "PUT nic refused", "PUT request done", "PUT request refused", "DELETE nic done", "DELETE request done", "asked again"} {
		if counts[k] < 10 {
			t.Errorf("%s: %d times; that shows nothing", k, counts[k])
		}
	}
}
