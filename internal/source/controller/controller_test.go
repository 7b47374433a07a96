package controller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/source"
)

// node is an agent that has everything in force at once.
type node struct {
	mu      sync.Mutex
	last    source.Update
	changed chan struct{}
}

func (n *node) publish(u source.Update) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = u
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) Standings(string) (map[string]fleet.Status, uint64, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := map[string]fleet.Status{}
	for _, b := range n.last.Bindings {
		now[b.NIC] = fleet.Status{State: "in-force", Revision: int64(b.Origin.Line)}
	}
	return now, n.last.Generation, n.changed
}

func (n *node) Describe(_ string, s *fleet.Status) { s.Checked = true }

// until waits until something is true of what was published last.
func (n *node) until(t *testing.T, what string, ok func(u source.Update) bool) source.Update {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		n.mu.Lock()
		u, changed := n.last, n.changed
		n.mu.Unlock()
		if ok(u) {
			return u
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("never: %s; at the end %s", what, brief(u))
		}
	}
}

// brief prints an update: addresses by NIC, state and problems.
func brief(u source.Update) string {
	var b strings.Builder
	for _, r := range u.Bindings {
		fmt.Fprintf(&b, "%s=%s ", r.NIC, r.Addresses[0].Addr())
	}
	for _, p := range u.Problems {
		fmt.Fprintf(&b, "!%s ", p.Text)
	}
	return b.String() + u.State
}

// has is of updates that print so, but for the state.
func has(want string) func(u source.Update) bool {
	return func(u source.Update) bool {
		state := u.State
		u.State = ""
		return u.Generation > 0 && strings.TrimSpace(brief(u)) == want && (state != "" || want == "")
	}
}

// start runs a source in dir until the test, or stop, ends it.
func start(t *testing.T, dir string) (n *node, stop func()) {
	t.Helper()
	n = &node{changed: make(chan struct{})}
	s := New(dir, Host{Version: "v1", Kernel: "6.1"})
	s.Node = n
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, n.publish) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return n, stop
}

func enrol(t *testing.T, s *site, dir string, urls ...string) {
	t.Helper()
	e, err := Enrol(t.Context(), dir, urls[0], s.token)
	if err != nil || e.Node != "n1" || !cmp.Equal(e.Controllers, urls[:1]) {
		t.Fatalf("%+v, %v", e, err)
	}
	if len(urls) > 1 {
		write1(t, filepath.Join(dir, controllersFile), strings.Join(urls, "\n"))
	}
}

func write1(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEnrolWritesForNobodyElse(t *testing.T) {
	s := newSite(t)
	dir := filepath.Join(t.TempDir(), "controller")
	enrol(t, s, dir, s.serve().URL)
	for _, name := range []string{keyFile, certificateFile, caFile, controllersFile} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	c, err := readCredentials(dir)
	if err != nil || c.node != "n1" || c.site() != s.ca.Fingerprint() {
		t.Errorf("%+v, %v", c, err)
	}
}

// A controller of another site than the token's is told nothing, and the node
// stays as it was.
func TestEnrolKnowsTheSite(t *testing.T) {
	s, other := newSite(t), newSite(t)
	other.token = s.token
	dir := t.TempDir()
	if _, err := Enrol(t.Context(), dir, other.serve().URL, s.token); err == nil || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("another site: %v", err)
	}
	for token, want := range map[string]string{"n1.abc": "not of the form", s.token[:3] + "00" + s.token[5:]: "403"} {
		if _, err := Enrol(t.Context(), dir, s.serve().URL, token); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", token, err, want)
		}
	}
	if _, err := readCredentials(dir); err == nil {
		t.Error("and yet it is enrolled")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// From a host that knows no controller to one that follows it, without a restart;
// then changes, a lost connection, a lost message, and a restart without it.
func TestFollows(t *testing.T) {
	s := newSite(t)
	server := s.serve()
	dir := filepath.Join(t.TempDir(), "controller")
	n, stop := start(t, dir)
	n.until(t, "not enrolled", has(""))
	s.put(true, map[string]string{"tap1": body("tap1", 1), "tap2": body("tap2", 2)})
	enrol(t, s, dir, server.URL)
	first := n.until(t, "the first set", has("tap1=192.0.2.1 tap2=192.0.2.2"))

	s.put(false, map[string]string{"tap2": body("tap2", 3)})
	u := n.until(t, "a change", has("tap1=192.0.2.1 tap2=192.0.2.3"))
	if u.Bindings[0] != first.Bindings[0] || first.Bindings[1].Addresses[0].Addr().String() != "192.0.2.2" {
		t.Error("what has not changed was made anew, or what was published has changed")
	}
	if o := u.Bindings[1].Origin; o.Source != "controller" || o.File != "controller/the-tap2" || o.Line != 2 {
		t.Errorf("origin %+v", o)
	}
	s.until("a report of it", func() bool {
		r := s.reported()
		return len(r.NICs) > 0 && r.NICs[len(r.NICs)-1].Revision == 2
	})

	s.drop(true, "tap1") // nobody is told
	s.put(false, map[string]string{"tap3": body("tap3", 4)})
	n.until(t, "the gap is closed", has("tap2=192.0.2.3 tap3=192.0.2.4"))
	if s.asked[len(s.asked)-1] != "" {
		t.Errorf("asked with %q after a gap", s.asked)
	}

	s.hangUp()
	s.until("it is back", func() bool { return len(s.asked) == 3 })
	if s.asked[2] == "" {
		t.Error("everything was asked for again")
	}

	stop()
	server.CloseClientConnections()
	server.Close()
	n, _ = start(t, dir)
	n.until(t, "what was kept", has("tap2=192.0.2.3 tap3=192.0.2.4"))
	n.until(t, "the state", func(u source.Update) bool { return strings.HasPrefix(u.State, "does not follow https://") })
}

// Statuses are under the controller's names, and what is not of the newest set is
// not said to be.
func TestReports(t *testing.T) {
	s := newSite(t)
	s.put(true, map[string]string{"tap1": body("tap1", 1), "tap2": body("tap2", 2)})
	dir := t.TempDir()
	enrol(t, s, dir, s.serve().URL)
	start(t, dir)
	s.until("a report of both", func() bool {
		return len(s.reported().NICs) == 2
	})
	r := s.reported()
	if r.Node != "n1" || r.Generation != 1 || r.Version != "v1" || r.Digest != s.message(nil, nil).Digest {
		t.Errorf("%+v", r)
	}
	got := r.NICs[1]
	got.Reported = time.Time{}
	want := fleet.Status{NIC: "the-tap2", Node: "n1", State: "in-force", Revision: 1, Checked: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.put(false, map[string]string{"tap2": body("tap2", 5)})
	s.until("a report of the change alone", func() bool {
		r := s.reported()
		return !r.Full && len(r.NICs) == 1 && r.NICs[0].Revision == 2 && r.Generation == 2
	})
}

// The next replica takes over when one is gone.
func TestTriesTheNextReplica(t *testing.T) {
	s := newSite(t)
	s.put(true, map[string]string{"tap1": body("tap1", 1)})
	one, two := s.serve(), s.serve()
	dir := t.TempDir()
	enrol(t, s, dir, one.URL, two.URL)
	n, _ := start(t, dir)
	n.until(t, "the first", func(u source.Update) bool { return u.State == "follows "+one.URL })
	one.CloseClientConnections()
	one.Listener.Close()
	n.until(t, "the second", func(u source.Update) bool { return u.State == "follows "+two.URL })
	s.put(false, map[string]string{"tap1": body("tap1", 2)})
	n.until(t, "a change", has("tap1=192.0.2.2"))
}

// A broken document costs its own NIC the change, and nothing else; also over a
// restart.
func TestBrokenDocument(t *testing.T) {
	s := newSite(t)
	server := s.serve()
	s.put(true, map[string]string{"tap1": body("tap1", 1), "tap2": body("tap2", 2)})
	dir := t.TempDir()
	enrol(t, s, dir, server.URL)
	n, stop := start(t, dir)
	n.until(t, "both", has("tap1=192.0.2.1 tap2=192.0.2.2"))
	s.put(false, map[string]string{"tap1": `{"nic":"tap1","mac":"zz"}`, "tap2": body("tap2", 3), "tap3": body("tapX", 4)})
	check := func(u source.Update) bool {
		return len(u.Bindings) == 2 && u.Bindings[1].Addresses[0].Addr().String() == "192.0.2.3" &&
			len(u.Problems) == 2 && strings.Contains(u.Stale["tap1"].Error(), `controller/the-tap1:1:21: mac "zz"`) &&
			u.Problems[1].NIC == "tap3" && len(u.Stale) == 1
	}
	n.until(t, "the other", check)
	stop()
	server.CloseClientConnections()
	server.Close()
	n, stop = start(t, dir)
	n.until(t, "the same after a restart", check)
	stop()
}

// A set that takes most away is refused, and told; what there is stays until the
// operator says so.
func TestGuardRails(t *testing.T) {
	s := newSite(t)
	all := map[string]string{}
	for i := range 30 {
		nic := fmt.Sprintf("tap%d", i)
		all[nic] = body(nic, i+1)
	}
	s.put(true, all)
	s.now = 50
	dir := t.TempDir()
	enrol(t, s, dir, s.serve().URL)
	n, _ := start(t, dir)
	n.until(t, "all", func(u source.Update) bool { return len(u.Bindings) == 30 })
	refused := func(text string) {
		t.Helper()
		u := n.until(t, text, func(u source.Update) bool { return len(u.Problems) == 1 && strings.Contains(u.Problems[0].Text, text) })
		if len(u.Bindings) != 30 {
			t.Errorf("%s: %d left", text, len(u.Bindings))
		}
	}
	kept := s.docs
	s.mu.Lock()
	s.docs = map[string]nodelink.Document{"tap1": kept["tap1"]}
	s.mu.Unlock()
	s.hangUp()
	refused("takes away 29 of 30 NICs")
	write1(t, filepath.Join(dir, forceFile), "")
	n.until(t, "the operator's word", func(u source.Update) bool { return len(u.Bindings) == 1 && len(u.Problems) == 0 })
	if _, err := os.Stat(filepath.Join(dir, forceFile)); err == nil {
		t.Error("the operator's word is still there")
	}
}

// A controller that was found to have forgotten something is not obeyed when its
// generations have grown past the node's again, nor by a node that was started
// anew: only when it says that it was restored.
func TestForgetfulController(t *testing.T) {
	s := newSite(t)
	s.put(true, map[string]string{"tap1": body("tap1", 1), "tap2": body("tap2", 2)})
	s.now = 50
	dir := t.TempDir()
	enrol(t, s, dir, s.serve().URL)
	n, stop := start(t, dir)
	n.until(t, "both", func(u source.Update) bool { return len(u.Bindings) == 2 })
	say := func(epoch, generation int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.epoch, s.now = epoch, generation
	}
	refused := func(text string) {
		t.Helper()
		u := n.until(t, text, func(u source.Update) bool { return len(u.Problems) == 1 && strings.Contains(u.Problems[0].Text, text) })
		if len(u.Bindings) != 2 {
			t.Errorf("%s: %d left", text, len(u.Bindings))
		}
	}
	s.mu.Lock()
	delete(s.docs, "tap2")
	s.mu.Unlock()
	say(0, 20)
	s.hangUp()
	refused("a set of generation 20; this node has 50")
	say(0, 60)
	refused("a set of generation 60, of a controller that had forgotten")
	stop()
	n, _ = start(t, dir)
	refused("a set of generation 60, of a controller that had forgotten")
	say(1, 61)
	n.until(t, "what was restored", func(u source.Update) bool { return len(u.Bindings) == 1 && len(u.Problems) == 0 })
}

// A node that is enrolled elsewhere keeps what it has until its new site has
// spoken, and then has what that says.
func TestEnrolledAnew(t *testing.T) {
	one, two := newSite(t), newSite(t)
	one.put(true, map[string]string{"tap1": body("tap1", 1), "tap2": body("tap2", 2)})
	two.put(true, map[string]string{"tap2": body("tap2", 7)})
	dir := t.TempDir()
	enrol(t, one, dir, one.serve().URL)
	n, _ := start(t, dir)
	n.until(t, "of the first", has("tap1=192.0.2.1 tap2=192.0.2.2"))
	enrol(t, two, dir, two.serve().URL)
	n.until(t, "of the second", has("tap2=192.0.2.7"))
}

// A certificate in the last third of its life is renewed, with the same key.
func TestRenews(t *testing.T) {
	s := newSite(t)
	s.life = 24 * time.Hour
	s.put(true, map[string]string{"tap1": body("tap1", 1)})
	dir := t.TempDir()
	enrol(t, s, dir, s.serve().URL)
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	s.until("it is back with the new one", func() bool { return len(s.asked) == 2 })
	c, err := readCredentials(dir)
	again, e := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil || e != nil || time.Until(c.pair.Leaf.NotAfter) < 300*24*time.Hour || string(again) != string(key) {
		t.Errorf("until %s, %v, %v", c.pair.Leaf.NotAfter, err, e)
	}
}

// Who answers in the controller's place with a certificate of another CA, or with
// one that is of the past, is told nothing and is not believed; the node keeps what
// it has, says why, and follows the controller again when that is back.
func TestControllerThatIsNone(t *testing.T) {
	one, two := newSite(t), newSite(t)
	one.put(true, map[string]string{"tap1": body("tap1", 1)})
	two.put(true, map[string]string{"tap1": body("tap1", 9)})
	dir := t.TempDir()
	right := one.serve().URL
	enrol(t, one, dir, right)
	n, _ := start(t, dir)
	n.until(t, "the right one", has("tap1=192.0.2.1"))
	urls := filepath.Join(dir, controllersFile)
	past := func() time.Time { return time.Now().Add(-200 * 24 * time.Hour) }
	for why, wrong := range map[string]string{"unknown authority": two.serve().URL, "has expired": one.serveAsOf(past).URL} {
		write1(t, urls, wrong+"\n")
		u := n.until(t, why, func(u source.Update) bool { return strings.Contains(u.State, why) })
		if !strings.HasPrefix(brief(u), "tap1=192.0.2.1 ") || !strings.Contains(u.State, wrong) {
			t.Errorf("%s: %s", why, brief(u))
		}
	}
	if two.mu.Lock(); len(two.asked) > 0 {
		t.Error("it asked the other one for its set")
	}
	two.mu.Unlock()
	one.put(true, map[string]string{"tap1": body("tap1", 2)})
	write1(t, urls, right+"\n")
	n.until(t, "the right one again", has("tap1=192.0.2.2"))
}

// A controller that is away for long costs no memory, whatever is said of it.
func TestAwayForLong(t *testing.T) {
	s := New(t.TempDir(), Host{})
	said := 0
	publish := func(source.Update) { said++ }
	s.start(publish)
	for i := range 1000 {
		s.tell(publish, fmt.Sprintf("does not follow it for the %dth time", i))
	}
	if said < 1000 || len(s.reached) != 1 {
		t.Errorf("%d updates, %d remembered", said, len(s.reached))
	}
}
