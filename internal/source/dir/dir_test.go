package dir

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/source"
)

func equal() cmp.Options {
	return cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// site is a directory of bindings with everything around it.
type site struct {
	t    *testing.T
	root string
	*Source
}

func newSite(t *testing.T) *site {
	root := t.TempDir()
	must(t, os.Mkdir(root+"/state", 0o700), os.Mkdir(root+"/etc", 0o755), os.Mkdir(root+"/etc/nics.d", 0o755))
	s := &site{t: t, root: root}
	s.restart()
	return s
}

// restart forgets what only the process knew.
func (s *site) restart() {
	s.Source = New(s.root + "/etc/nics.d")
	s.Networks, s.Cache = s.root+"/etc/networks.yaml", s.root+"/state/last-good"
	s.start()
}

// read is a turn of Run: what was published last.
func (s *site) read() source.Update {
	s.Source.read()
	s.keep()
	return s.prev
}

func (s *site) path(name string) string { return filepath.Join(s.Path, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path(name), []byte(text), 0o644))
}

func doc(name string, last int) string {
	return fmt.Sprintf("nic: %s\nmac: 52:54:00:00:00:%02x\naddresses: [192.0.2.%d/24]\n", name, last, last)
}

// says prints an update in short: bindings as name=last octet, ! if stale.
func (s *site) says(u source.Update) string {
	var out []string
	for _, b := range u.Bindings {
		mark := ""
		if _, stale := u.Stale[b.NIC]; stale {
			mark = "!"
		}
		out = append(out, fmt.Sprintf("%s=%d%s", b.NIC, b.MAC[5], mark))
	}
	return strings.Join(out, " ")
}

func (s *site) problems(u source.Update) []string {
	var out []string
	for _, p := range u.Problems {
		out = append(out, strings.ReplaceAll(p.Error(), s.root, ""))
	}
	return out
}

func (s *site) expect(u source.Update, want string, problems ...string) {
	s.t.Helper()
	if got := s.says(u); got != want {
		s.t.Errorf("in force %q, want %q", got, want)
	}
	if d := cmp.Diff(problems, s.problems(u), cmpopts.EquateEmpty()); d != "" {
		s.t.Errorf("problems: -want +got\n%s", d)
	}
}

func TestRead(t *testing.T) {
	s := newSite(t)
	s.write("b.yaml", doc("tap2", 2)+"---\n"+doc("tap3", 3))
	s.write("a.json", `{"nic": "tap1", "mac": "52:54:00:00:00:01"}`)
	for _, ignored := range []string{".c.yaml", "d.yaml~", "#e.yaml#", ".f.yaml.swp", "g.yaml.bak", "4913", "h.yaml.dpkg-new", "#i.yaml"} {
		s.write(ignored, doc("tap9", 9))
	}
	u := s.read()
	s.expect(u, "tap1=1 tap2=2 tap3=3")
	if b := u.Bindings[2]; b.Origin.Source != "dir" || b.Origin.File != s.path("b.yaml") || b.Origin.Line != 5 {
		t.Errorf("origin %+v", b.Origin)
	}
	if u.Generation != 1 || u.Path != s.Path {
		t.Errorf("update %d %s", u.Generation, u.Path)
	}
	if u = s.read(); u.Generation != 1 {
		t.Errorf("generation %d after reading the same again, want 1", u.Generation)
	}
	s.write("b.yaml", doc("tap2", 4))
	if u = s.read(); u.Generation != 2 {
		t.Errorf("generation %d after a change, want 2", u.Generation)
	}
	s.expect(u, "tap1=1 tap2=4")
}

// What stands in a file's place and is none is refused, never opened, never
// waited for, and costs nobody else; what it replaced stays in force.
func TestNotFiles(t *testing.T) {
	s := newSite(t)
	for i, n := range []string{"dir", "fifo", "loop", "link", "device", "socket", "mode", "group", "owner", "large"} {
		s.write(n+".yaml", doc("t-"+n, i+1))
	}
	s.write("ok.yaml", doc("tap99", 99))
	s.write("name\n.yaml", doc("t-name", 50))
	before := s.says(s.read())
	s.write("target", doc("evil", 66))
	for _, n := range []string{"dir", "fifo", "loop", "link", "device", "socket"} {
		must(t, os.Remove(s.path(n+".yaml")))
	}
	must(t,
		os.Mkdir(s.path("dir.yaml"), 0o755),
		syscall.Mkfifo(s.path("fifo.yaml"), 0o644),
		os.Symlink("loop.yaml", s.path("loop.yaml")),
		os.Symlink("target", s.path("link.yaml")),
		syscall.Mknod(s.path("device.yaml"), syscall.S_IFCHR|0o644, 1<<8|5),
		syscall.Mknod(s.path("socket.yaml"), syscall.S_IFSOCK|0o644, 0),
		os.Chmod(s.path("mode.yaml"), 0o646), os.Chmod(s.path("group.yaml"), 0o664),
		os.Chown(s.path("owner.yaml"), 12345, 0), os.Truncate(s.path("large.yaml"), 10<<20),
	)
	start := time.Now()
	s.expect(s.read(), "t-device=5! t-dir=1! t-fifo=2! t-group=8! t-large=10! t-link=4! t-loop=3! t-mode=7! t-owner=9! t-socket=6! tap99=99",
		"/etc/nics.d/device.yaml: a device; only regular files are read",
		"/etc/nics.d/dir.yaml: a directory; only regular files are read",
		"/etc/nics.d/fifo.yaml: a FIFO; only regular files are read",
		"/etc/nics.d/group.yaml: mode 0664 lets others write to it; remove that (chmod go-w)",
		"/etc/nics.d/large.yaml: 10485760 bytes; at most 1048576 are read",
		"/etc/nics.d/link.yaml: a symbolic link; only regular files are read",
		"/etc/nics.d/loop.yaml: a symbolic link; only regular files are read",
		"/etc/nics.d/mode.yaml: mode 0646 lets others write to it; remove that (chmod go-w)",
		`"/etc/nics.d/name\n.yaml": a file name with characters that cannot be printed`,
		"/etc/nics.d/owner.yaml: owned by user id 12345, who is not trusted to write it",
		"/etc/nics.d/socket.yaml: a socket; only regular files are read",
	)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if strings.Contains(before, "t-name") {
		t.Errorf("a file with an unprintable name was read: %s", before)
	}
	s.Owners = []uint32{12345}
	if u := s.read(); slices.ContainsFunc(u.Problems, func(p manifest.Problem) bool { return strings.Contains(p.File, "owner") }) {
		t.Errorf("a trusted owner's file is refused: %v", s.problems(u))
	}
}

// A binary file, and one cut off at every byte, cost nobody else anything and
// remove nobody.
func TestHalfWritten(t *testing.T) {
	s := newSite(t)
	whole := doc("tap1", 1) + "hostname: \"vm1\"\n---\n" + doc("tap2", 2)
	s.write("a.yaml", whole)
	s.write("z.yaml", doc("tap9", 9))
	s.expect(s.read(), "tap1=1 tap2=2 tap9=9")
	for n := range len(whole) {
		s.write("a.yaml", whole[:n])
		u := s.read()
		if len(u.Problems) > 0 && len(u.Bindings) != 3 {
			t.Fatalf("cut at %d: %s with %v", n, s.says(u), s.problems(u))
		}
		if !strings.HasSuffix(s.says(u), "tap9=9") {
			t.Fatalf("cut at %d: another file's NIC is affected: %s", n, s.says(u))
		}
		s.write("a.yaml", whole)
		s.read()
	}
	s.write("a.yaml", "\x7fELF\x00\x01\xff")
	s.expect(s.read(), "tap1=1! tap2=2! tap9=9", "/etc/nics.d/a.yaml: a NUL at byte 4: not a text file")
}

// A networks file that breaks makes its NICs stale, and a change of it
// reaches files that did not change.
func TestNetworksChange(t *testing.T) {
	s := newSite(t)
	nets := func(text string) { must(t, os.WriteFile(s.Networks, []byte(text), 0o644)) }
	s.write("a.yaml", doc("tap1", 1)+"network: lan\n---\n"+doc("tap2", 2))
	nets("network: lan\nmtu: 1400\n")
	u := s.read()
	s.expect(u, "tap1=1 tap2=2")
	if u.Bindings[0].MTU != 1400 || u.Bindings[1].MTU != 0 {
		t.Errorf("mtu %d and %d", u.Bindings[0].MTU, u.Bindings[1].MTU)
	}
	nets("network: lan\nmtu: 1300\n")
	if u = s.read(); u.Bindings[0].MTU != 1300 || u.Generation != 2 {
		t.Errorf("mtu %d in generation %d, want 1300 in 2", u.Bindings[0].MTU, u.Generation)
	}
	nets("network: lan\nmtu: 13\n")
	u = s.read()
	s.expect(u, "tap1=1! tap2=2",
		`/etc/networks.yaml:2:6: mtu "13": at least 68 (RFC 791), or 0 to announce none`,
		`/etc/nics.d/a.yaml:4:10: network "lan": the network is broken: /etc/networks.yaml:2:6: mtu "13": at least 68 (RFC 791), or 0 to announce none`)
	if u.Bindings[0].MTU != 1300 {
		t.Errorf("mtu %d, want the last good 1300", u.Bindings[0].MTU)
	}
	must(t, os.Chmod(s.Networks, 0o666))
	if u = s.read(); s.says(u) != "tap1=1! tap2=2!" {
		t.Errorf("with an unsafe networks file: %s", s.says(u))
	}
}

// The last good version survives a restart, and goes with its file.
func TestRestart(t *testing.T) {
	s := newSite(t)
	s.write("a.yaml", doc("tap1", 1))
	s.write("b.yaml", doc("tap2", 2))
	want := s.read()
	s.write("a.yaml", "nic: tap1\nmac: nonsense\n")
	s.restart()
	u := s.read()
	s.expect(u, "tap1=1! tap2=2", `/etc/nics.d/a.yaml:2:6: mac "nonsense": not a MAC address; want six octets like 52:54:00:aa:00:01`)
	if d := cmp.Diff(want.Bindings, u.Bindings, equal()); d != "" {
		t.Errorf("the kept version differs: -written +read\n%s", d)
	}
	must(t, os.Remove(s.path("a.yaml")))
	s.restart()
	s.expect(s.read(), "tap2=2")
	st, err := os.Stat(s.Cache)
	must(t, err)
	if st.Mode() != 0o600 {
		t.Errorf("cache mode %v, want 0600", st.Mode())
	}
}

// A cache that is not exactly what was written is set aside, not trusted, and
// told; a file that is good is served all the same.
func TestDamagedCache(t *testing.T) {
	s := newSite(t)
	s.write("a.yaml", doc("tap1", 1))
	s.write("b.yaml", doc("tap2", 2))
	s.read()
	whole, err := os.ReadFile(s.Cache)
	must(t, err)
	s.write("a.yaml", "nic: tap1\n")
	for n := range whole {
		flipped := slices.Clone(whole)
		flipped[n] ^= 1
		for _, data := range [][]byte{whole[:n], flipped} {
			must(t, os.WriteFile(s.Cache, data, 0o600))
			s.restart()
			s.expect(s.read(), "tap2=2", "/etc/nics.d/a.yaml:1:1: mac: missing: a NIC needs its guest's MAC address",
				"/state/last-good: the last good versions: damaged (the digest does not fit); set aside as last-good.bad")
			aside, err := os.ReadFile(s.Cache + ".bad")
			if err != nil || string(aside) != string(data) {
				t.Fatalf("byte %d: set aside %q, %v", n, aside, err)
			}
		}
	}
}

// A cache that cannot be written is told and stops nothing.
func TestCacheFails(t *testing.T) {
	s := newSite(t)
	must(t, os.Remove(s.root+"/state"))
	s.write("a.yaml", doc("tap1", 1))
	u := s.read()
	if s.says(u) != "tap1=1" || len(u.Problems) != 1 || !strings.Contains(u.Problems[0].Text, "cannot keep the last good versions for a restart: ") {
		t.Errorf("%s %v", s.says(u), s.problems(u))
	}
	must(t, os.Mkdir(s.root+"/state", 0o700))
	s.expect(s.read(), "tap1=1")
}

func TestUnsafeDirectory(t *testing.T) {
	s := newSite(t)
	s.write("a.yaml", doc("tap1", 1))
	s.read()
	must(t, os.Chmod(s.Path, 0o777))
	s.expect(s.read(), "tap1=1!", "/etc/nics.d: cannot read the directory: mode 0777 lets others write to it; remove that (chmod go-w)")
	must(t, os.Chmod(s.Path, 0o755))
	s.expect(s.read(), "tap1=1")
}

// run starts the source as the agent does and returns how to wait for an
// update that says something.
func (s *site) run() (until func(want string)) {
	updates := make(chan source.Update, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func(u source.Update) { updates <- u }) }()
	s.t.Cleanup(func() {
		cancel()
		must(s.t, <-done)
	})
	return func(want string) {
		s.t.Helper()
		deadline := time.After(5 * time.Second) // far below the rescan
		got := "nothing"
		for {
			select {
			case u := <-updates:
				if got = s.says(u); got == want {
					return
				}
			case <-deadline:
				s.t.Fatalf("in force %q, want %q", got, want)
			}
		}
	}
}

// Every way a directory can change is noticed at once.
func TestRun(t *testing.T) {
	s := newSite(t)
	aside := s.root + "/aside"
	until := s.run()
	until("")
	s.write("a.yaml", doc("tap1", 1))
	until("tap1=1")
	must(t, os.WriteFile(aside, []byte(doc("tap1", 2)), 0o644), os.Rename(aside, s.path("a.yaml")))
	until("tap1=2") // renamed over
	must(t, os.WriteFile(aside, []byte(doc("tap2", 3)), 0o644), os.Rename(aside, s.path("b.yaml")))
	until("tap1=2 tap2=3") // renamed into
	must(t, os.Rename(s.path("b.yaml"), aside))
	until("tap1=2") // moved out
	must(t, os.Rename(s.path("a.yaml"), s.path("a.yaml.off")))
	until("") // renamed to an ignored name
	must(t, os.Rename(s.path("a.yaml.off"), s.path("a.yaml")))
	until("tap1=2")
	must(t, os.WriteFile(s.Networks, []byte("network: default\nmtu: 1\n"), 0o644))
	until("tap1=2!") // the networks file
	must(t, os.Remove(s.Networks))
	until("tap1=2")
	must(t, os.Chmod(s.path("a.yaml"), 0o666))
	until("tap1=2!") // its mode
	must(t, os.Remove(s.path("a.yaml")))
	until("") // deleted
}

// The directory itself may be made later, moved away, made anew and removed.
func TestRunDirectory(t *testing.T) {
	s := newSite(t)
	must(t, os.RemoveAll(s.root+"/etc"))
	until := s.run()
	until("")
	must(t, os.Mkdir(s.root+"/etc", 0o755), os.Mkdir(s.Path, 0o755))
	s.write("a.yaml", doc("tap1", 1))
	until("tap1=1")
	must(t, os.Rename(s.Path, s.Path+".old"))
	until("tap1=1!") // gone: kept
	must(t, os.Mkdir(s.Path, 0o755))
	until("") // made anew, empty: removed
	s.write("a.yaml", doc("tap1", 2))
	until("tap1=2") // the new one is watched
	must(t, os.WriteFile(s.Path+".old/b.yaml", []byte(doc("tap5", 5)), 0o644))
	must(t, os.Rename(s.Path, s.Path+".older"), os.Rename(s.Path+".old", s.Path))
	until("tap1=1 tap5=5") // exchanged for another one
	must(t, os.RemoveAll(s.Path))
	until("tap1=1! tap5=5!")
}

// A writer that never pauses does not put the others off for ever.
func TestRunBusyWriter(t *testing.T) {
	s := newSite(t)
	until := s.run()
	until("")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var err error
		for ctx.Err() == nil && err == nil {
			err = os.WriteFile(s.path("busy.yaml"), nil, 0o644)
			<-tick.C
		}
		done <- err
	}()
	s.write("a.yaml", doc("tap1", 1))
	until("tap1=1")
	cancel()
	must(t, <-done)
}

// An editor's save, a full disk or a slip of the hand empties files and makes
// them vanish for a moment: that withdraws nothing.
func TestEmptiedFilesTakeNothingAway(t *testing.T) {
	s := newSite(t)
	s.write("a.yaml", doc("tap1", 1)+"network: blue\n")
	must(t, os.WriteFile(s.Networks, []byte("network: blue\ngateway: 192.0.2.254\n"), 0o644))
	s.expect(s.read(), "tap1=1")

	s.write("a.yaml", "")
	s.expect(s.read(), "tap1=1!", "/etc/nics.d/a.yaml: the file is empty; delete it to withdraw what it declared")
	s.write("a.yaml", doc("tap1", 1)+"network: blue\n")
	s.expect(s.read(), "tap1=1")

	inherits := func(u source.Update) {
		t.Helper()
		if g := u.Bindings[0].Gateway.String(); g != "192.0.2.254" {
			t.Errorf("gateway %s, want the inherited one", g)
		}
		if _, stale := u.Stale["tap1"]; !stale {
			t.Error("tap1 is not stale")
		}
	}
	must(t, os.WriteFile(s.Networks, nil, 0o644))
	inherits(s.read())
	must(t, os.Remove(s.Networks))
	inherits(s.read())
	must(t, os.WriteFile(s.Networks, []byte("network: blue\ngateway: 192.0.2.253\n"), 0o644))
	u := s.read()
	s.expect(u, "tap1=1")
	if g := u.Bindings[0].Gateway.String(); g != "192.0.2.253" {
		t.Errorf("gateway %s after the file is back, want 192.0.2.253", g)
	}
}

// Refresh returns when what was just written has been published.
func TestRefresh(t *testing.T) {
	s := newSite(t)
	src := New(s.Path)
	src.Networks = s.Networks
	seen := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx, func(u source.Update) { seen <- s.says(u) }) }()
	for i := range 5 {
		s.write("a.yaml", doc("tap1", i+1))
		must(t, src.Refresh(ctx))
		last := ""
		for len(seen) > 0 {
			last = <-seen
		}
		if want := fmt.Sprintf("tap1=%d", i+1); last != want {
			t.Errorf("after Refresh %q was published last, want %q", last, want)
		}
	}
	cancel()
	if err := src.Refresh(ctx); err == nil {
		t.Error("Refresh succeeds although nobody runs")
	}
	must(t, <-done)
}
