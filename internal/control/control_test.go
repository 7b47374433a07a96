package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/ipam"
	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/testenv"
)

func operator() identity.Identity {
	return identity.Identity{Kind: identity.User, Name: "op", Operator: true}
}

func openStore(t testing.TB) *etcd.Store {
	t.Helper()
	store, err := etcd.Open(t.Context(), etcd.Options{Dir: filepath.Join(t.TempDir(), "etcd")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// replica runs one until the test ends, or stop is called.
func replica(t testing.TB, o control.Options) (r *control.Replica, stop func()) {
	t.Helper()
	ca, err := pki.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if o.CA = ca; o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r = control.New(o)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("replica %s: %v", o.Name, err)
		}
	})
	t.Cleanup(stop)
	if err := r.Known(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r, stop
}

func put(t testing.TB, r *control.Replica, kind fleet.Kind, name, doc string) (control.Result, error) {
	t.Helper()
	res, problems := fleet.DecodeOne(kind, name, []byte(doc))
	if len(problems) > 0 {
		t.Fatalf("%s %s: %v", kind, name, problems)
	}
	return r.Apply(t.Context(), operator(), control.Action{Verb: control.Put, Kind: kind, Name: name, Resource: res})
}

func furnish(t testing.TB, r *control.Replica) {
	t.Helper()
	for _, x := range []struct {
		kind      fleet.Kind
		name, doc string
	}{
		{fleet.KindProject, "web", "{}"},
		{fleet.KindNetwork, "lan", "{prefixes: [10.0.0.0/16], projects: ['*']}"},
		{fleet.KindPool, "p", "{network: lan, default: true, ranges: [10.0.1.0-10.0.1.99]}"},
		{fleet.KindNode, "n1", "{}"},
	} {
		if _, err := put(t, r, x.kind, x.name, x.doc); err != nil {
			t.Fatal(err)
		}
	}
}

// Two replicas give a pool's hundred addresses to a hundred and twenty NICs at
// once: each address to one NIC, all of them, and twenty are refused because
// there is nothing left.
func TestTwoReplicasGiveEachAddressOnce(t *testing.T) {
	store := openStore(t)
	r1, _ := replica(t, control.Options{Store: store, Name: "r1"})
	furnish(t, r1)
	r2, _ := replica(t, control.Options{Store: store, Name: "r2"})
	var mu sync.Mutex
	holders, exhausted := map[string]string{}, 0
	var g errgroup.Group
	for i := range 120 {
		r, name := []*control.Replica{r1, r2}[i%2], fmt.Sprintf("nic-%d", i)
		g.Go(func() error {
			res, err := put(t, r, fleet.KindNIC, name, "{project: web, network: lan}")
			mu.Lock()
			defer mu.Unlock()
			if all := ipam.Refusals(err); len(all) == 1 && all[0].Class == ipam.Exhausted {
				exhausted++
				return nil
			}
			if err != nil {
				return err
			}
			a := res.Resource.(*fleet.NIC).Granted.Addresses[0].String()
			if other, twice := holders[a]; twice {
				return fmt.Errorf("%s is %s's and %s's", a, other, name)
			}
			holders[a] = name
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(holders) != 100 || exhausted != 20 {
		t.Errorf("%d addresses given, %d refused", len(holders), exhausted)
	}
}

// What a replica has written it shows at once, and another one when it has seen
// it; a replica that starts later knows the same.
func TestReplicasAgree(t *testing.T) {
	store := openStore(t)
	r1, stop := replica(t, control.Options{Store: store, Name: "r1"})
	furnish(t, r1)
	res, err := put(t, r1, fleet.KindNIC, "a", "{project: web, network: lan, node: n1}")
	if err != nil || res.Resource.Header().Meta.Revision != res.Revision {
		t.Fatalf("%+v, %v", res, err)
	}
	stop()
	r2, _ := replica(t, control.Options{Store: store, Name: "r2"})
	have := r2.Get(fleet.KindNIC, "a")
	if have == nil || have.Header().Meta.Revision != res.Revision {
		t.Fatalf("%+v", have)
	}
	again, err := put(t, r2, fleet.KindNIC, "a", "{project: web, network: lan, node: n1}")
	if err != nil || again.Changed {
		t.Errorf("the same again: %+v, %v", again, err)
	}
}

// Records that are older than the retention go, the others stay; a tenure that
// goes on stays however old it is.
func TestRetention(t *testing.T) {
	store := openStore(t)
	now := time.Now()
	r1, stop := replica(t, control.Options{Store: store, Name: "r1", Now: func() time.Time { return now.Add(-100 * 24 * time.Hour) }})
	furnish(t, r1)
	for _, name := range []string{"gone", "stays"} {
		if _, err := put(t, r1, fleet.KindNIC, name, "{project: web, network: lan}"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r1.Apply(t.Context(), operator(), control.Action{Verb: control.Delete, Kind: fleet.KindNIC, Name: "gone"}); err != nil {
		t.Fatal(err)
	}
	stop()
	count := func(prefix string) int {
		events, _, err := store.Range(t.Context(), prefix, fleet.After(prefix), etcd.RangeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	if h, d, w := count("h/"), count("d/"), count("w/"); h < 7 || d < 3 || w != 2 {
		t.Fatalf("before: %d revisions, %d decisions, %d tenures", h, d, w)
	}
	// The first one after a long time does not trust its clock yet.
	var log testenv.Log
	_, stop = replica(t, control.Options{Store: store, Name: "r2", Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now.Add(-time.Hour) }})
	for range 500 {
		if strings.Contains(log.String(), "the clock is wrong") || count("h/") == 0 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	stop()
	if h, d, w := count("h/"), count("d/"), count("w/"); h < 7 || d < 3 || w != 2 {
		t.Errorf("after a leap of the clock: %d revisions, %d decisions, %d tenures", h, d, w)
	}
	r3, _ := replica(t, control.Options{Store: store, Name: "r3", Now: func() time.Time { return now }})
	for range 500 {
		if count("h/") == 0 && count("w/") == 1 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	if h, d, w := count("h/"), count("d/"), count("w/"); h != 0 || d != 0 || w != 1 {
		t.Errorf("after: %d revisions, %d decisions, %d tenures", h, d, w)
	}
	if r3.Get(fleet.KindNIC, "stays") == nil {
		t.Error("a NIC went with its history")
	}
}

// Put back from a backup, a site has a higher epoch, and is otherwise the same.
func TestRestoredRaisesTheEpoch(t *testing.T) {
	store := openStore(t)
	site := func(o control.Options) (s control.Site) {
		o.Store, o.Name = store, "r"
		_, stop := replica(t, o)
		defer stop()
		e, _, err := store.Get(t.Context(), "c/site")
		if err != nil || e == nil {
			t.Fatal(e, err)
		}
		if err := json.Unmarshal(e.Value, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	first, again, restored := site(control.Options{}), site(control.Options{}), site(control.Options{Restored: true})
	if first != again || restored.ID != first.ID || restored.Epoch != first.Epoch+1 || len(first.ID) != 32 {
		t.Errorf("%+v, %+v, %+v", first, again, restored)
	}
}

// History is read a little at a time, however much there is of a moment, and none
// of it is left out or comes twice.
func TestLongHistory(t *testing.T) {
	store := openStore(t)
	r, _ := replica(t, control.Options{Store: store, Name: "r"})
	const n = 1500
	start := time.Now().Add(-time.Hour)
	for from := 0; from < n; from += 100 {
		var puts []fleet.Put
		for i := from; i < from+100; i++ {
			at := start.Add(time.Duration(i) * 100 * time.Microsecond)
			if i >= n/2 {
				at = start.Add(30*time.Minute + time.Duration(i)*time.Nanosecond)
			}
			rev, err := json.Marshal(fleet.Revision{Time: at, Actor: fmt.Sprint(i), Changes: []fleet.Edit{{Kind: fleet.KindNIC, Name: "a"}}})
			if err != nil {
				t.Fatal(err)
			}
			puts = append(puts, fleet.Put{Key: fleet.HistoryKey(at, uint32(i)), Value: rev})
		}
		if _, err := store.Commit(t.Context(), nil, puts, nil); err != nil {
			t.Fatal(err)
		}
	}
	all, err := r.History(t.Context(), control.HistoryQuery{Kind: fleet.KindNIC})
	if err != nil || len(all) != n {
		t.Fatalf("%d of %d revisions, %v", len(all), n, err)
	}
	for i, rev := range all {
		if want := fmt.Sprint(n - 1 - i); rev.Actor != want {
			t.Fatalf("revision %d is %s, want %s", i, rev.Actor, want)
		}
	}
}

// Who is refused on and on with a lot to say does not fill the store.
func TestLongRefusals(t *testing.T) {
	store := openStore(t)
	now := time.Now()
	r, _ := replica(t, control.Options{Store: store, Name: "r", Now: func() time.Time { return now }})
	furnish(t, r)
	if _, err := put(t, r, fleet.KindProject, "web", "roles: {member: ['user:alice']}"); err != nil {
		t.Fatal(err)
	}
	doc := fmt.Sprintf("{project: web, network: lan, binding: {guard: {checks: [%q]}}}", strings.Repeat("x", 300000))
	res, problems := fleet.DecodeOne(fleet.KindNIC, "a", []byte(doc))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	alice := identity.Identity{Kind: identity.User, Name: "alice"}
	var denied *control.Denied
	for range 10 {
		if _, err := r.Apply(t.Context(), alice, control.Action{Verb: control.Put, Kind: fleet.KindNIC, Name: "a", Resource: res}); !errors.As(err, &denied) {
			t.Fatal(err)
		}
	}
	all, err := r.Decisions(t.Context(), 100, func(string) bool { return true })
	if err != nil || len(all) != 3 {
		t.Errorf("%d refusals of 300 kB are kept in a minute, %v", len(all), err)
	}
}

// gate is a way to a store that can be shut.
type gate struct {
	l     net.Listener
	mu    sync.Mutex
	shut  bool
	conns []net.Conn
}

func newGate(t *testing.T, socket string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{l: l}
	t.Cleanup(func() { l.Close(); g.close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", socket)
			if err != nil || !g.pass(in, out) {
				in.Close()
			}
		}
	}()
	return g
}

func (g *gate) pass(in, out net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns = append(g.conns, in, out); g.shut {
		return false
	}
	go func() { _, _ = io.Copy(in, out) }()
	go func() { _, _ = io.Copy(out, in) }()
	return true
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for _, c := range g.conns {
		c.Close()
	}
}

// A replica that is cut off from its store lets its nodes go to others, which know
// what is new.
func TestCutOffFromTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	own, err := etcd.Open(t.Context(), etcd.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	g := newGate(t, filepath.Join(dir, "etcd.sock"))
	far, err := etcd.Open(t.Context(), etcd.Options{Endpoints: []string{"http://" + g.l.Addr().String()}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	r, _ := replica(t, control.Options{Store: far, Name: "r"})
	furnish(t, r)
	st, err := r.Stream(t.Context(), "n1", control.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log("cut")
	g.close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := st.Next(ctx); !errors.Is(err, control.ErrReplaced) {
		t.Errorf("its stream: %v", err)
	}
}
