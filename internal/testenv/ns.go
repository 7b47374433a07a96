package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 looks for namespaces by name, so that
// `ip link set X netns NAME` works in tests.
const netnsDir = "/run/netns"

// NS is one network namespace of a test: a host, a guest or a piece of the
// site.
type NS struct {
	Name string

	t  testing.TB
	fd int
}

// NewNS makes a network namespace that lives as long as the test. Its
// loopback is up and bridges in it don't pass frames to iptables; a test that
// wants the latter sets it by Sysctl.
func NewNS(t testing.TB) *NS {
	t.Helper()
	n := &NS{Name: uniqueName(t), t: t, fd: -1}
	path := filepath.Join(netnsDir, n.Name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatalf("new namespace %s: %v (is testenv.Main called from TestMain?)", n.Name, err)
	}
	var err error
	onThread(func() { n.fd, err = unshareTo(path) })
	if err != nil {
		t.Fatalf("new namespace %s: %v", n.Name, err)
	}
	t.Cleanup(func() { n.close(path) })
	return n
}

// uniqueName is the test's own in short form plus a number from the kernel's
// view of the directory: parallel tests never collide.
func uniqueName(t testing.TB) string {
	base := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	if len(base) > 40 {
		base = base[:40]
	}
	f, err := os.MkdirTemp("/run", base+"-")
	if err != nil {
		t.Fatalf("name a namespace: %v (is testenv.Main called from TestMain?)", err)
	}
	return filepath.Base(f)
}

func unshareTo(path string) (int, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
		return -1, fmt.Errorf("bind to %s: %w", path, err)
	}
	if err := settle(); err != nil {
		return -1, err
	}
	return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// settle brings the calling thread's namespace to the state NewNS promises.
func settle() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	for _, family := range []string{"iptables", "ip6tables", "arptables"} {
		err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+family, []byte("0"), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (n *NS) close(path string) {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		n.t.Errorf("unmount %s: %v", path, err)
	}
	for _, p := range []string{path, filepath.Join("/run", n.Name)} {
		if err := os.Remove(p); err != nil {
			n.t.Errorf("remove %s: %v", p, err)
		}
	}
	unix.Close(n.fd)
}

// Fd returns the open namespace, for calls that want one.
func (n *NS) Fd() int { return n.fd }

// Do runs f on a thread that is inside the namespace and returns when f does.
// Sockets that f opens stay in the namespace; goroutines that f starts do not.
// A failed f (t.Fatal) ends the test.
func (n *NS) Do(f func()) {
	n.t.Helper()
	finished := false
	var err error
	onThread(func() {
		if err = unix.Setns(n.fd, unix.CLONE_NEWNET); err == nil {
			f()
		}
		finished = true
	})
	if err != nil {
		n.t.Fatalf("enter namespace %s: %v", n.Name, err)
	}
	if !finished {
		n.t.FailNow()
	}
}

// onThread runs f on a thread of its own that is thrown away afterwards: the
// goroutine ends while locked, so the runtime ends the thread.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// Go runs f inside the namespace without waiting; the test's end waits for it.
// f must end by then: stop it in a Cleanup registered after Go.
func (n *NS) Go(f func()) {
	var done atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Do(f)
		done.Store(true)
	}()
	n.t.Cleanup(func() {
		<-ended
		if !done.Load() {
			n.t.Error("a function started by Go failed")
		}
	})
}

// Exec runs a command inside the namespace and returns its standard output.
// Failure ends the test with what the command said.
func (n *NS) Exec(argv ...string) string {
	n.t.Helper()
	out, err := n.Try(argv...)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// Sh runs a script with `sh -e` inside the namespace.
func (n *NS) Sh(script string) string {
	n.t.Helper()
	return n.Exec("sh", "-e", "-c", script)
}

// Try is Exec for commands that may fail.
func (n *NS) Try(argv ...string) (string, error) {
	n.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var err error
	n.Do(func() { err = cmd.Run() }) // forked by this thread, so in its namespace
	if err != nil {
		return stdout.String(), fmt.Errorf("in %s: %s: %w\n%s", n.Name, strings.Join(argv, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Start runs a command inside the namespace in the background, in a process
// group of its own, and kills that group when the test ends. Set the streams
// of cmd before.
func (n *NS) Start(cmd *exec.Cmd) {
	n.t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	n.Do(func() { err = cmd.Start() })
	if err != nil {
		n.t.Fatalf("in %s: start %s: %v", n.Name, cmd, err)
	}
	n.t.Cleanup(func() {
		// Group first: the leader is not reaped yet, so the number is still ours.
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait() // its own exit is the test's business
	})
}

// Sysctl sets a value such as "net.ipv4.ip_forward" inside the namespace.
func (n *NS) Sysctl(key, value string) {
	n.t.Helper()
	path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	var err error
	n.Do(func() { err = os.WriteFile(path, []byte(value), 0o644) })
	if err != nil {
		n.t.Fatalf("in %s: sysctl %s: %v", n.Name, key, err)
	}
}
