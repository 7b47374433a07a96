package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/testenv"
)

// site is an etcd as a site has it: started and stopped apart from the store,
// with etcd's default limits, and with several doors of which some may be shut.
type site struct {
	t   testing.TB
	dir string
	run *embed.Etcd
}

func newSite(t testing.TB) *site {
	s := &site{t: t, dir: t.TempDir()}
	t.Cleanup(s.stop)
	return s
}

func (s *site) door(name string) string { return "unix://" + filepath.Join(s.dir, name) }

func (s *site) start(doors ...string) {
	s.t.Helper()
	c := embed.NewConfig()
	c.Dir = filepath.Join(s.dir, "data")
	c.ListenPeerUrls, c.ListenClientUrls = nil, nil
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.TickMs, c.ElectionMs = 20, 200
	for _, d := range doors {
		c.ListenClientUrls = append(c.ListenClientUrls, url.URL{Scheme: "unix", Path: filepath.Join(s.dir, d)})
	}
	c.AdvertiseClientUrls = c.ListenClientUrls
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	var err error
	if s.run, err = embed.StartEtcd(c); err != nil {
		s.t.Fatal(err)
	}
	<-s.run.Server.ReadyNotify()
}

func (s *site) stop() {
	if s.run != nil {
		s.run.Server.HardStop() // Close waits for watchers to go by themselves
		s.run.Close()
		s.run = nil
	}
}

func (s *site) open(door string) *Store {
	s.t.Helper()
	return opened(s.t, Options{Endpoints: []string{s.door(door)}})
}

func opened(t testing.TB, o Options) *Store {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func embedded(t testing.TB) *Store {
	t.Helper()
	return opened(t, Options{Dir: filepath.Join(t.TempDir(), "store")})
}

func commit(t testing.TB, s *Store, needs []fleet.Need, puts []fleet.Put, deletes ...string) int64 {
	t.Helper()
	rev, err := s.Commit(t.Context(), needs, puts, deletes)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func put(key, value string) []fleet.Put { return []fleet.Put{{Key: key, Value: []byte(value)}} }

func (s *Store) text(t testing.TB) []string {
	t.Helper()
	all, _, err := s.Range(t.Context(), "", "", RangeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		out = append(out, e.Key+"="+string(e.Value))
	}
	return out
}

func TestCommit(t *testing.T) {
	s := embedded(t)
	first := commit(t, s, []fleet.Need{{Key: "a"}}, append(put("a", "1"), put("b", "1")...))
	second := commit(t, s, []fleet.Need{{Key: "a", Revision: first}, {Key: "c"}}, put("a", "2"), "b")
	if second <= first {
		t.Errorf("revision %d comes after %d", second, first)
	}
	want := []string{"a=2"}
	if diff := cmp.Diff(want, s.text(t)); diff != "" {
		t.Error(diff)
	}
	for name, needs := range map[string][]fleet.Need{
		"changed since":   {{Key: "a", Revision: first}},
		"there is one":    {{Key: "c"}, {Key: "a"}},
		"there is none":   {{Key: "a", Revision: second}, {Key: "b", Revision: first}},
		"there was never": {{Key: "x", Revision: 1}},
	} {
		_, err := s.Commit(t.Context(), needs, append(put("a", name), put("d", name)...), nil)
		var conflict *Conflict
		if !errors.Is(err, ErrConflict) || !errors.As(err, &conflict) || conflict.Revision != second {
			t.Errorf("%s: %v; want a conflict by revision %d", name, err, second)
		}
	}
	if diff := cmp.Diff(want, s.text(t)); diff != "" {
		t.Errorf("a refused change has changed something:\n%s", diff)
	}
	if _, err := s.Commit(t.Context(), nil, put("a", "3"), []string{"a"}); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("a key is put and deleted at once: %v", err)
	}
}

// A need may be about all keys between two, and a delete about all under one.
func TestCommitRange(t *testing.T) {
	s := embedded(t)
	none := []fleet.Need{{Key: "a/", End: "a0"}}
	commit(t, s, none, append(put("a/1", "x"), append(put("a/2", "x"), put("b", "x")...)...))
	if _, err := s.Commit(t.Context(), none, put("c", "x"), nil); !errors.Is(err, ErrConflict) {
		t.Errorf("there are some: %v", err)
	}
	last := commit(t, s, nil, put("a/2", "y"))
	if _, err := s.Commit(t.Context(), []fleet.Need{{Key: "a/", End: "a0", Revision: last - 1}}, put("c", "x"), nil); !errors.Is(err, ErrConflict) {
		t.Errorf("one has changed: %v", err)
	}
	commit(t, s, nil, put("b", "y"))
	commit(t, s, []fleet.Need{{Key: "a/", End: "a0", Revision: last}}, put("c", "x"), "a/")
	if diff := cmp.Diff([]string{"b=y", "c=x"}, s.text(t)); diff != "" {
		t.Error(diff)
	}
}

func many(n int) (puts []fleet.Put, needs []fleet.Need) {
	for i := range n {
		key := fmt.Sprintf("k/%06d", i)
		puts = append(puts, fleet.Put{Key: key, Value: []byte(key)})
		needs = append(needs, fleet.Need{Key: key})
	}
	return puts, needs
}

// The store's own etcd takes the largest request at once, and one of a site that
// was not told to says which option it wants.
func TestLargeCommit(t *testing.T) {
	puts, needs := many(maxTxnOps)
	s := embedded(t)
	commit(t, s, needs, puts)
	if got := len(s.text(t)); got != maxTxnOps {
		t.Errorf("%d keys, want %d", got, maxTxnOps)
	}
	more, _ := many(maxTxnOps + 1)
	if _, err := s.Commit(t.Context(), nil, more, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v; want %v", err, ErrTooLarge)
	}
	site := newSite(t)
	site.start("a")
	s = site.open("a")
	commit(t, s, needs[:128], puts[:128])
	_, err := s.Commit(t.Context(), nil, puts[:129], nil)
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "--max-txn-ops=20000") {
		t.Errorf("%v; want %v and the option that helps", err, ErrTooLarge)
	}
	_, err = s.Commit(t.Context(), nil, put("big", strings.Repeat("x", 3<<20)), nil)
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "--max-request-bytes") {
		t.Errorf("%.200v; want %v and the option that helps", err, ErrTooLarge)
	}
}

// Settle tells what became of a change, and of one that was not made makes sure
// that it never is.
func TestSettle(t *testing.T) {
	s := embedded(t)
	made := commit(t, s, []fleet.Need{{Key: "h/1"}}, append(put("h/1", "made"), put("a", "1")...))
	for range 2 {
		if rev, err := s.Settle(t.Context(), "h/1"); err != nil || rev != made {
			t.Errorf("%d, %v; want revision %d", rev, err, made)
		}
		if rev, err := s.Settle(t.Context(), "h/2"); err != nil || rev != 0 {
			t.Errorf("%d, %v; want 0", rev, err)
		}
	}
	_, err := s.Commit(t.Context(), []fleet.Need{{Key: "h/2"}}, append(put("h/2", "late"), put("a", "2")...), nil)
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a change that was settled as not made is made after all: %v", err)
	}
}

// A store that has gone away leaves it open whether a change was made, and
// says that nothing can be read.
func TestAway(t *testing.T) {
	site := newSite(t)
	site.start("a")
	s := opened(t, Options{Endpoints: []string{site.door("a")}, Timeout: time.Second})
	commit(t, s, nil, put("a", "1"))
	site.stop()
	if _, err := s.Commit(t.Context(), nil, put("a", "2"), nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("commit: %v; want %v", err, ErrUnknown)
	}
	if _, _, err := s.Get(t.Context(), "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("get: %v; want %v", err, ErrUnavailable)
	}
	if err := s.Health(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("health: %v; want %v", err, ErrUnavailable)
	}
	site.start("a")
	testenv.Wait(t, time.Minute, "the store to be back", func() bool { return s.Health(t.Context()) == nil })
}

func TestRange(t *testing.T) {
	s := embedded(t)
	n := 2*chunk + 7
	puts, _ := many(n)
	for part := puts; len(part) > 0; part = part[min(len(part), chunk):] {
		commit(t, s, nil, part[:min(len(part), chunk)])
	}
	then := commit(t, s, nil, put("other", "1"))
	commit(t, s, nil, put("k/000000", "new"), "k/000001")
	for name, c := range map[string]struct {
		from, to string
		o        RangeOptions
		count    int
		first    string
	}{
		"all":      {"", "", RangeOptions{}, n, "k/000000=new"},
		"some":     {"k/000005", "k/000008", RangeOptions{}, 3, "k/000005=k/000005"},
		"as then":  {"k/", "k0", RangeOptions{Revision: then}, n, "k/000000=k/000000"},
		"limited":  {"k/", "k0", RangeOptions{Limit: chunk + 3}, chunk + 3, "k/000000=new"},
		"newest":   {"k/", "k0", RangeOptions{Newest: true, Limit: chunk + 3}, chunk + 3, fmt.Sprintf("k/%06d=k/%06d", n-1, n-1)},
		"backward": {"k/", "k0", RangeOptions{Newest: true}, n - 1, fmt.Sprintf("k/%06d=k/%06d", n-1, n-1)},
		"keys":     {"k/", "k0", RangeOptions{KeysOnly: true}, n - 1, "k/000000="},
		"none":     {"x", "y", RangeOptions{}, 0, ""},
	} {
		got, _, err := s.Range(t.Context(), c.from, c.to, c.o)
		if err != nil || len(got) != c.count {
			t.Errorf("%s: %d keys, %v; want %d", name, len(got), err, c.count)
			continue
		}
		seen := map[string]bool{}
		for _, e := range got {
			seen[e.Key] = true
		}
		if len(seen) != len(got) {
			t.Errorf("%s: some keys come twice", name)
		}
		if len(got) > 0 && got[0].Key+"="+string(got[0].Value) != c.first {
			t.Errorf("%s: %s=%s is first, want %s", name, got[0].Key, got[0].Value, c.first)
		}
	}
}

func TestPrune(t *testing.T) {
	s := embedded(t)
	day := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	var puts []fleet.Put
	for i := range chunk + 10 {
		puts = append(puts, put("h/"+Moment(day.Add(time.Duration(i)*time.Second))+"-ab", "x")...)
	}
	commit(t, s, nil, append(puts, put("d/"+Moment(day)+"-ab", "x")...))
	n, err := s.Prune(t.Context(), "h/", day.Add((chunk+7)*time.Second))
	if err != nil || n != chunk+7 {
		t.Errorf("%d pruned, %v; want %d", n, err, chunk+7)
	}
	if got := s.text(t); len(got) != 4 || !strings.HasPrefix(got[0], "d/") || !strings.HasPrefix(got[1], "h/"+Moment(day.Add((chunk+7)*time.Second))) {
		t.Errorf("left: %v", got)
	}
}

// What one store holds is there when it is opened again; meanwhile nobody else
// has it, nor anybody who could have looked into it.
func TestDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, nil, put("a", "1"))
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("the attempt has done harm: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, Options{Dir: dir})
	if diff := cmp.Diff([]string{"a=1"}, s.text(t)); diff != "" {
		t.Error(diff)
	}
	for mode, word := range map[os.FileMode]string{0o755: "chmod 0700", 0o720: "chmod go-w"} {
		other := t.TempDir()
		if err := os.Chmod(other, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Dir: other}); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("mode %04o: %v; want %q", mode, err, word)
		}
	}
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if _, err := Open(t.Context(), Options{Dir: long}); err == nil || !strings.Contains(err.Error(), "at most 107 fit") {
		t.Errorf("a path that is too long for a socket: %v", err)
	}
}

func TestOptions(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing may be tried before the options are looked at
	for want, o := range map[string]Options{
		"either a directory or endpoints":                 {},
		"http://10.0.0.1:2379: another machine":           {Endpoints: []string{"http://10.0.0.1:2379"}},
		"http://etcd:2379: another machine":               {Endpoints: []string{"http://etcd:2379"}},
		"some are with TLS and some without":              {Endpoints: []string{"https://10.0.0.1:2379", "http://127.0.0.1:2379"}},
		"want a URL as https://":                          {Endpoints: []string{"10.0.0.1:2379"}},
		"a certificate and its key are given together":    {Endpoints: []string{"https://a"}, TLS: TLS{Cert: "x"}},
		"open /nowhere/ca.pem: no such file or directory": {Endpoints: []string{"https://a"}, TLS: TLS{CA: "/nowhere/ca.pem"}},
	} {
		if _, err := Open(ctx, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
}

func TestAlive(t *testing.T) {
	s := embedded(t)
	ctx, cancel := context.WithCancel(t.Context())
	a := s.Alive(6 * time.Second)
	a.Set("n/1", []byte("us"))
	a.Set("n/2", []byte("us"))
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	changes := following(t, s, "n/")
	changes.until("n/1=us", "n/2=us")
	a.Set("n/1", []byte("new"))
	a.Unset("n/2")
	changes.until("n/1=new")
	// Another process takes it over: it is not ours to delete any more.
	commit(t, s, nil, put("n/1", "them"))
	a.Unset("n/1")
	a.Set("n/3", []byte("us"))
	changes.until("n/1=them", "n/3=us")
	// The lease is lost: all is written again.
	leases, err := s.client.Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("%v, %v", leases, err)
	}
	if _, err := s.client.Revoke(t.Context(), clientv3.LeaseID(leases.Leases[0].ID)); err != nil {
		t.Fatal(err)
	}
	changes.until("n/1=them")
	changes.until("n/1=them", "n/3=us")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	changes.until("n/1=them")
}
