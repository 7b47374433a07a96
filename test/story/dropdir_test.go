package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
)

// heard asserts that the guest's frames reach the LAN.
func (s *site) heard(g *guest) {
	s.t.Helper()
	lan := testenv.Capture(s.t, s.lan.NS, "eth0")
	defer lan.Stop()
	testenv.Inject(s.t, g.NS, "eth0", g.hello(g.addr, "is anybody there"))
	lan.Wait(2*time.Second, "a frame of "+g.port, both(from(g.mac), carrying("is anybody there")))
}

// unheard asserts that the guest's frames are dropped for a reason, and reach
// nobody.
func (s *site) unheard(g *guest, why reason.Reason) {
	s.t.Helper()
	w := s.watch()
	before := s.show(g.port).Counters.Dropped[why.String()]
	testenv.Inject(s.t, g.NS, "eth0", g.hello(g.addr, "is anybody there"))
	w.at[g.port].Wait(2*time.Second, "the frame at its own port", carrying("is anybody there"))
	testenv.Wait(s.t, 2*time.Second, "a drop", func() bool { return s.show(g.port).Counters.Dropped[why.String()] > before })
	w.nowhere(g.port, "a frame of "+g.port, carrying("is anybody there"))
}

// TestDropDirectory walks one file through everything that can happen to it.
func TestDropDirectory(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	if err := os.Remove(s.nics()); err != nil {
		t.Fatal(err)
	}
	s.start()
	vm := s.vms[0]
	s.heard(vm)

	t.Log("the directory is made later, and a file renamed into it")
	if err := os.Mkdir(s.nics(), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("vm1.yaml", vm.binding())
	s.waitState("vm1", api.InForce, 5*time.Second)
	s.heard(vm)

	t.Log("the file is moved out: closed, then in again")
	file, aside := filepath.Join(s.nics(), "vm1.yaml"), filepath.Join(s.dir, "aside.yaml")
	rename(t, file, aside)
	closed := s.waitState("vm1", api.Closed, 5*time.Second)
	if got, want := closed.Why, "it has no binding: nothing passes: its binding was removed; `berth release` hands it back to the site"; got != want {
		t.Errorf("why %q, want %q", got, want)
	}
	s.unheard(vm, reason.NoBinding)
	rename(t, aside, file)
	s.waitState("vm1", api.InForce, 5*time.Second)
	s.heard(vm)

	t.Log("the file is deleted: closed, until it is released")
	s.remove("vm1.yaml")
	s.waitState("vm1", api.Closed, 5*time.Second)
	s.must("release", "vm1", "--yes")
	s.heard(vm)
	if diff := cmp.Diff(map[string]api.State{}, s.states()); diff != "" {
		t.Errorf("states after the release (-want +got):\n%s", diff)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestBrokenFileKeepsLastGood: a mistake costs nothing that was in force, also
// over kill -9 and start, and is told with its place.
func TestBrokenFileKeepsLastGood(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	s.bindAll()
	vm := s.vms[0]
	s.write("vm1.yaml", strings.Replace(vm.binding(), "192.0.2.1\n", "192.0.2.300\n", 1))
	why := fmt.Sprintf(`its file is broken; the last good version is in force: %s/vm1.yaml:4:10: gateway "192.0.2.300": not an IPv4 address`, s.nics())
	for _, when := range []string{"at first", "after kill -9 and start"} {
		n := s.waitState("vm1", api.Stale, 5*time.Second)
		if n.Why != why {
			t.Errorf("%s: why %q, want %q", when, n.Why, why)
		}
		if n.Reason != reason.Stale {
			t.Errorf("%s: reason %s, want stale", when, n.Reason)
		}
		if got := n.Installed.Sources[0].String(); got != "192.0.2.11/32" {
			t.Errorf("%s: the kernel permits %s, want 192.0.2.11/32", when, got)
		}
		s.heard(vm)
		s.kill()
		s.start()
	}
	s.must("attach", "vm1") // stale is in force
	s.write("vm1.yaml", vm.bindingWith("192.0.2.31", ""))
	s.waitState("vm1", api.InForce, 5*time.Second)
	if got := s.show("vm1").Installed.Sources[0].String(); got != "192.0.2.31/32" {
		t.Errorf("the mended file gives %s, want 192.0.2.31/32", got)
	}
}

// TestOneBadFileAmongMany: whatever stands in the place of one file, the
// other twenty are served, and the one is told.
func TestOneBadFileAmongMany(t *testing.T) {
	t.Parallel()
	n := newNode(t, "")
	n.start()
	names := []string{}
	for i := range 20 {
		name := fmt.Sprintf("tap%02d", i)
		testenv.Tap(t, n.ns, name)
		n.write(name+".yaml", fmt.Sprintf("nic: %s\nmac: 52:54:00:cc:00:%02x\naddresses: [192.0.2.%d/24]\n", name, i, 100+i))
		names = append(names, name)
	}
	n.attach(names...)
	const bad = "bad.yaml"
	path := filepath.Join(n.nics(), bad)
	for _, c := range []struct {
		name, want string
		make       func() error
	}{
		{"not YAML", "bad.yaml:2:6: sequence end token ']' not found", func() error { return os.WriteFile(path, []byte("nic: tap99\nmac: [\n"), 0o644) }},
		{"unknown key", "bad.yaml:3:1: gatway: unknown key; did you mean gateway?", func() error {
			return os.WriteFile(path, []byte("nic: tap99\nmac: 52:54:00:cc:00:99\ngatway: 192.0.2.1\n"), 0o644)
		}},
		{"no text", "bad.yaml: a NUL at byte 0: not a text file", func() error { return os.WriteFile(path, []byte{0, 1, 0xff, 0xfe}, 0o644) }},
		{"writable by all", "bad.yaml: mode 0666 lets others write to it; remove that (chmod go-w)", func() error {
			if err := os.WriteFile(path, []byte("nic: tap99\n"), 0o644); err != nil {
				return err
			}
			return os.Chmod(path, 0o666)
		}},
		{"foreign owner", "bad.yaml: owned by user id 4242, who is not trusted to write it", func() error {
			if err := os.WriteFile(path, []byte("nic: tap99\n"), 0o644); err != nil {
				return err
			}
			return os.Chown(path, 4242, 4242)
		}},
		{"symbolic link", "bad.yaml: a symbolic link; only regular files are read", func() error { return os.Symlink("/etc/passwd", path) }},
		{"FIFO", "bad.yaml: a FIFO; only regular files are read", func() error { return syscall.Mkfifo(path, 0o644) }},
		{"directory", "bad.yaml: a directory; only regular files are read", func() error { return os.Mkdir(path, 0o755) }},
		{"device", "bad.yaml: a device; only regular files are read", func() error { return syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|3) }},
		{"another's NIC", fmt.Sprintf("zz.yaml:1:1: nic \"tap00\": also declared in %s/tap00.yaml, which comes first and stays", n.nics()), func() error {
			return os.WriteFile(filepath.Join(n.nics(), "zz.yaml"), []byte("nic: tap00\nmac: 52:54:00:cc:00:aa\n"), 0o644)
		}},
	} {
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		testenv.Wait(t, 5*time.Second, c.name+" to be told", func() bool { return strings.Contains(n.rejected(), c.want) })
		n.settledExcept(names, "tap99")
		for _, f := range []string{path, filepath.Join(n.nics(), "zz.yaml")} {
			if err := os.RemoveAll(f); err != nil {
				t.Fatal(err)
			}
		}
		testenv.Wait(t, 5*time.Second, "no mistakes", func() bool { return n.rejected() == "" })
	}
	n.settled(names...)
}

// rejected is what berth status tells of mistakes.
func (n *node) rejected() string {
	n.t.Helper()
	var st api.Status
	n.decode(n.must("status", "-o", "json"), &st)
	return strings.Join(st.Sources[0].Rejected, "\n")
}

// settledExcept asserts that all the names are in force, whatever else is said
// of the one.
func (n *node) settledExcept(names []string, but string) {
	n.t.Helper()
	states := n.states()
	delete(states, but)
	want := map[string]api.State{}
	for _, name := range names {
		want[name] = api.InForce
	}
	if diff := cmp.Diff(want, states); diff != "" {
		n.t.Errorf("states (-want +got):\n%s", diff)
	}
}
