package hook_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/hook"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// site is a hooks directory, and a file that its scripts write to.
type site struct {
	t        *testing.T
	dir, out string
	runner   *hook.Runner
	results  chan result
}

type result struct {
	call hook.Call
	err  error
}

func newSite(t *testing.T) *site {
	t.Helper()
	base := t.TempDir()
	s := &site{t: t, dir: base + "/hooks.d", out: base + "/out", results: make(chan result, 100)}
	s.runner = hook.New(s.dir)
	return s
}

// script writes one hook and returns its path. $OUT in it is the site's file.
func (s *site) script(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	text = "#!/bin/sh\n" + strings.ReplaceAll(text, "$OUT", s.out) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// run starts the runner until the test ends.
func (s *site) run() {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.runner.Run(ctx, func(c hook.Call, err error) { s.results <- result{c, err} })
	}()
	s.t.Cleanup(func() { cancel(); <-ended })
}

func (s *site) next() result {
	s.t.Helper()
	select {
	case r := <-s.results:
		return r
	case <-time.After(30 * time.Second):
		s.t.Fatal("no result")
		return result{}
	}
}

// do runs one call and returns its error's text, "" if it succeeded.
func (s *site) do(c hook.Call) string {
	s.t.Helper()
	s.runner.Submit(c)
	if r := s.next(); r.err != nil {
		return r.err.Error()
	}
	return ""
}

func (s *site) said() string {
	s.t.Helper()
	data, err := os.ReadFile(s.out)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(data)
}

func binding(t *testing.T) *nic.Binding {
	t.Helper()
	r := manifest.Parse("", []byte(`{nic: tap7, mac: "52:54:00:aa:00:0a", hostname: web,
 addresses: [192.0.2.10/24, "2001:db8::a/64"], gateway: 192.0.2.1, gateway6: "fe80::1",
 tags: {vm.id: "a b", VM-ID: second, owner: "it's"}}`), manifest.Networks{})
	if len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	b := r.Bindings[0]
	b.Network, b.Origin.Source = "red", "dir"
	return &b
}

func TestOrderAndNames(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"20-second", "10-first", "05.dpkg-old", ".hidden", "99-last~"} {
		s.script("post-up.d/"+name, `echo "${0##*/}" >> $OUT`)
	}
	s.script("pre-up.d/10-other", `echo other >> $OUT`)
	s.run()
	if got := s.do(hook.Call{Event: hook.PostUp, NIC: "tap7", Index: 77}); got != "" {
		t.Error(got)
	}
	if got, want := s.said(), "10-first\n20-second\n"; got != want {
		t.Errorf("ran %q, want %q", got, want)
	}
}

// A program knows of the NIC, and of nothing else.
func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET", "of the daemon")
	s := newSite(t)
	s.script("post-up.d/10-env", `env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort > $OUT; pwd >> $OUT; cat >> $OUT`)
	s.run()
	b := binding(t)
	if got := s.do(hook.Call{Event: hook.PostUp, NIC: "tap7", Index: 77, Bridge: "br0", Binding: b}); got != "" {
		t.Fatal(got)
	}
	doc, err := manifest.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	want := `BERTH_ADDRESSES=192.0.2.10/24 2001:db8::a/64
BERTH_BRIDGE=br0
BERTH_EVENT=post-up
BERTH_GATEWAY6=fe80::1
BERTH_GATEWAY=192.0.2.1
BERTH_HOSTNAME=web
BERTH_IFINDEX=77
BERTH_MAC=52:54:00:aa:00:0a
BERTH_NETWORK=red
BERTH_NIC=tap7
BERTH_SOURCE=dir
BERTH_TAG_OWNER=it's
BERTH_TAG_VM_ID=second
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
/
` + string(doc)
	got := strings.SplitAfter(s.said(), "\n")
	slices.Sort(got[:14])
	wants := strings.SplitAfter(want, "\n")
	slices.Sort(wants[:14])
	if diff := cmp.Diff(wants, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// What went may not be known any more: the variables are there all the same.
func TestUnknownBinding(t *testing.T) {
	s := newSite(t)
	s.script("post-down.d/10-say", `set -u; echo "$BERTH_NIC $BERTH_IFINDEX [$BERTH_MAC$BERTH_ADDRESSES$BERTH_GATEWAY]" > $OUT; cat >> $OUT`)
	s.run()
	if got := s.do(hook.Call{Event: hook.PostDown, NIC: "tap7", Index: 77}); got != "" {
		t.Fatal(got)
	}
	if got, want := s.said(), "tap7 77 []\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestFailure(t *testing.T) {
	for _, event := range []hook.Event{hook.PreUp, hook.PreChange, hook.PostUp, hook.PostChange, hook.PostDown} {
		s := newSite(t)
		s.script(string(event)+".d/10-bad", `echo no; echo "  vlan" >&2; exit 3`)
		s.script(string(event)+".d/20-next", `echo next > $OUT; exit 4`)
		s.run()
		want, said := string(event)+".d/10-bad: exit status 3: no vlan", ""
		if strings.HasPrefix(string(event), "post-") {
			want, said = want+"; "+string(event)+".d/20-next: exit status 4", "next\n"
		}
		if got := s.do(hook.Call{Event: event, NIC: "tap7"}); got != want {
			t.Errorf("%s: %q, want %q", event, got, want)
		}
		if got := s.said(); got != said {
			t.Errorf("%s: the next one said %q, want %q", event, got, said)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	s := newSite(t)
	s.script("pre-up.d/10-loud", `head -c 1000000 /dev/zero | tr '\0' x; exit 1`)
	s.run()
	want := "pre-up.d/10-loud: exit status 1: " + strings.Repeat("x", 4096) + "..."
	if got := s.do(hook.Call{Event: hook.PreUp, NIC: "tap7"}); got != want {
		t.Errorf("%d bytes, want %d: %.80q", len(got), len(want), got)
	}
}

// When its time is up a program goes, and so does what it has started.
func TestTimeoutKillsTheGroup(t *testing.T) {
	s := newSite(t)
	s.script("pre-up.d/10-slow", `sleep 1000 & echo $! > $OUT; wait`)
	s.runner.SetLimit(500 * time.Millisecond)
	s.run()
	if got, want := s.do(hook.Call{Event: hook.PreUp, NIC: "tap7"}), "pre-up.d/10-slow: killed after 500ms"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	pid := strings.TrimSpace(s.said())
	if pid == "" {
		t.Fatal("the program was killed before it had started anything: the limit of this test is too short")
	}
	testenv.Wait(t, 10*time.Second, "what it started to be gone", func() bool { return gone(pid) })
}

// gone reports whether a process has ended, whether or not it was reaped.
func gone(pid string) bool {
	data, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(data), ") Z ")
}

func TestLeftBehind(t *testing.T) {
	s := newSite(t)
	s.script("pre-up.d/10-daemon", `sleep 5 &`)
	s.run()
	if got, want := s.do(hook.Call{Event: hook.PreUp, NIC: "tap7"}), "pre-up.d/10-daemon: it has left a process behind that holds its output"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTrust(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(s *site, path string) error
		want  string
	}{
		{"group", func(_ *site, p string) error { return os.Chmod(p, 0o775) }, "mode 0775 lets others write to it; remove that (chmod go-w)"},
		{"others", func(_ *site, p string) error { return os.Chmod(p, 0o757) }, "mode 0757 lets others write to it; remove that (chmod go-w)"},
		{"not executable", func(_ *site, p string) error { return os.Chmod(p, 0o644) }, "it is not executable (chmod +x)"},
		{"owner", func(_ *site, p string) error { return os.Chown(p, 65534, 0) }, "owned by user id 65534, who is not trusted to write it"},
		{"symlink", func(_ *site, p string) error { return relink(p, p+".real") }, "a symbolic link; only regular files are run"},
		{"directory", func(_ *site, p string) error { return remake(p) }, "no regular file; only those are run"},
		{"its directory", func(_ *site, p string) error { return os.Chmod(filepath.Dir(p), 0o777) }, "its directory DIR/pre-up.d: mode 0777 lets others write to it; remove that (chmod go-w)"},
		{"hooks.d", func(s *site, _ string) error { return os.Chmod(s.dir, 0o777) }, "its directory DIR: mode 0777 lets others write to it; remove that (chmod go-w)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			path := s.script("pre-up.d/10-hook", "echo ran > $OUT")
			if err := c.spoil(s, path); err != nil {
				t.Fatal(err)
			}
			if !s.runner.Has(hook.PreUp) {
				t.Error("what is refused counts as nothing to run")
			}
			s.run()
			want := "pre-up.d/10-hook is not run: " + strings.ReplaceAll(c.want, "DIR", s.dir)
			if got := s.do(hook.Call{Event: hook.PreUp, NIC: "tap7"}); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if got := s.said(); got != "" {
				t.Errorf("it ran: %q", got)
			}
		})
	}
}

func relink(path, to string) error {
	if err := os.Rename(path, to); err != nil {
		return err
	}
	return os.Symlink(to, path)
}

func remake(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Mkdir(path, 0o755)
}

func TestHas(t *testing.T) {
	s := newSite(t)
	if s.runner.Has(hook.PreUp) {
		t.Error("a missing directory has hooks")
	}
	s.script("pre-up.d/note.txt", "")
	if s.runner.Has(hook.PreUp) {
		t.Error("a name with a dot is a hook")
	}
	s.script("pre-up.d/hook", "")
	if !s.runner.Has(hook.PreUp) || s.runner.Has(hook.PreChange) {
		t.Error("the one before up, and none other, is there")
	}
	if got := newSite(t); got.runner.Has(hook.PostDown) {
		t.Error("another directory's")
	}
}

// One NIC's calls wait for each other, and no other NIC's do.
func TestOneAtATimePerNIC(t *testing.T) {
	s := newSite(t)
	if err := syscall.Mkfifo(s.out+".begun", 0o600); err != nil {
		t.Fatal(err)
	}
	s.script("post-up.d/10-wait", `[ $BERTH_NIC != tap7 ] || echo > $OUT.begun; [ $BERTH_NIC != tap7 ] || while [ ! -e $OUT.go ]; do sleep 0.02; done`)
	s.script("post-down.d/10-say", `echo down $BERTH_NIC >> $OUT`)
	s.run()
	s.runner.Submit(hook.Call{Event: hook.PostUp, NIC: "tap7"})
	if _, err := os.ReadFile(s.out + ".begun"); err != nil { // a FIFO: it waits for the script
		t.Fatal(err)
	}
	s.runner.Submit(hook.Call{Event: hook.PostDown, NIC: "tap7"})
	for i := range 20 {
		name := fmt.Sprintf("tap%d", 100+i)
		s.runner.Submit(hook.Call{Event: hook.PostUp, NIC: name})
		if r := s.next(); r.call.NIC != name || r.err != nil {
			t.Fatalf("%+v, %v, want the end of %s's: tap7's still runs", r.call, r.err, name)
		}
	}
	if got := s.said(); got != "" {
		t.Errorf("said %q while the call before runs", got)
	}
	if err := os.WriteFile(s.out+".go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, want := range []hook.Event{hook.PostUp, hook.PostDown} {
		if r := s.next(); r.call.Event != want || r.call.NIC != "tap7" || r.err != nil {
			t.Errorf("%+v, %v, want %s of tap7", r.call, r.err, want)
		}
	}
}

func TestOvertaken(t *testing.T) {
	s := newSite(t)
	for _, c := range []hook.Call{
		{Event: hook.PreUp, NIC: "tap7", Index: 1},
		{Event: hook.PreChange, NIC: "tap7", Index: 2},
		{Event: hook.PostUp, NIC: "tap7", Index: 3},
		{Event: hook.PostChange, NIC: "tap7", Index: 3},
		{Event: hook.PostChange, NIC: "tap8", Index: 9},
		{Event: hook.PostChange, NIC: "tap7", Index: 3, Bridge: "br1"},
		{Event: hook.PostDown, NIC: "tap7", Index: 3},
		{Event: hook.PostChange, NIC: "tap7", Index: 4},
		{Event: hook.PostChange, NIC: "tap7", Index: 5},
	} {
		s.runner.Submit(c)
	}
	s.run()
	// What came as 3 had gone again before anybody was told of it.
	want := []string{"pre-change 2 ", "post-change 4 ", "post-change 5 "}
	var got []string
	for range len(want) + 1 {
		if c := s.next().call; c.NIC == "tap7" {
			got = append(got, fmt.Sprintf("%s %d %s", c.Event, c.Index, c.Bridge))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// A daemon that stops does not wait for the site's programs.
func TestStopKills(t *testing.T) {
	s := newSite(t)
	s.script("post-up.d/10-endless", `echo $$ > $OUT; exec sleep 1000`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.runner.Run(ctx, func(c hook.Call, err error) { t.Errorf("%+v is reported: %v", c, err) })
	}()
	s.runner.Submit(hook.Call{Event: hook.PostUp, NIC: "tap7"})
	testenv.Wait(t, 10*time.Second, "the program to start", func() bool { return s.said() != "" })
	cancel()
	<-ended
	if pid := strings.TrimSpace(s.said()); !gone(pid) {
		t.Errorf("process %s still runs", pid)
	}
}

// A NIC that comes and goes while its hooks run is told of once: what has ended
// before anybody knew of it is left out, and nothing piles up.
func TestComeAndGone(t *testing.T) {
	s := newSite(t)
	for _, event := range []string{"post-up", "post-change", "post-down"} {
		s.script(event+".d/10-say", `echo $BERTH_EVENT $BERTH_IFINDEX >> $OUT`)
	}
	s.script("pre-up.d/10-wait", `while [ ! -e $OUT.go ]; do sleep 0.02; done; echo begun >> $OUT`)
	submit := func(index int, events ...hook.Event) {
		for _, e := range events {
			s.runner.Submit(hook.Call{Event: e, NIC: "tap7", Index: index})
		}
	}
	submit(7, hook.PreUp, hook.PostDown)
	for i := range 1000 {
		submit(8+i, hook.PostUp, hook.PostChange, hook.PostChange, hook.PostDown)
	}
	submit(2000, hook.PostUp, hook.PostChange)
	if err := os.WriteFile(s.out+".go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.run()
	for _, want := range []hook.Event{hook.PreUp, hook.PostDown, hook.PostUp, hook.PostChange} {
		if r := s.next(); r.call.Event != want || r.err != nil {
			t.Fatalf("%+v, %v, want %s", r.call, r.err, want)
		}
	}
	if got, want := s.said(), "begun\npost-down 7\npost-up 2000\npost-change 2000\n"; got != want {
		t.Errorf("ran %q, want %q", got, want)
	}
}
