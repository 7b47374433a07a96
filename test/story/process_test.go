package story_test

import (
	"bytes"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/testenv"
)

// process is a program running in a namespace, in a process group of its own.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when it has ended
}

// output collects what a process says.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// tail is the last of it, enough to see what went wrong.
func (o *output) tail() string {
	const most = 4000
	s := o.String()
	return s[max(0, len(s)-most):]
}

// start runs a program in ns until the test ends at the latest. A failed test
// shows what it said.
func start(t testing.TB, ns *testenv.NS, argv ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(argv[0], argv[1:]...), out: &output{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	var err error
	ns.Do(func() { err = p.cmd.Start() })
	if err != nil {
		t.Fatalf("start %s: %v", p.cmd, err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said at the end:\n%s", p.cmd.Args[0], p.out.tail())
		}
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// signal reaches the program alone, and only while it is ours.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %s to %s: %v", s, p.cmd, err)
	}
}

// kill ends the program and what it started, as kill -9 does.
func (p *process) kill() {
	select {
	case <-p.done:
		return
	default:
	}
	// Not reaped yet, so the group's number is still its own.
	_ = unix.Kill(-p.pid(), unix.SIGKILL)
	<-p.done
}

// exit waits for the program to end by itself and returns its exit code.
func (p *process) exit(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.t.Fatalf("%s still runs after %v:\n%s", p.cmd, limit, p.out)
	}
	return p.cmd.ProcessState.ExitCode()
}
