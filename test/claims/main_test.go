// Package claims_test shows that no address is ever granted twice, no grant is
// lost and no request is granted in part, whatever replicas of the controller
// and members of its etcd are killed: two replicas over three members, each a
// process, and many clients. What the clients saw is held to a model of one
// address by a history checker; nothing is concluded from counting.
package claims_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/berth-net/berth/internal/testenv"
)

// roleEnv says what else than the tests this binary is to be: a process that
// can be killed.
const roleEnv = "BERTH_CLAIMS_ROLE"

func TestMain(m *testing.M) {
	role := map[string]func(args []string) error{"member": member, "replica": replica}[os.Getenv(roleEnv)]
	if role == nil {
		testenv.Main(m)
		return
	}
	go func() { // ends with the tests, however those end
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	if err := role(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process is one that is started again after it was killed.
type process struct {
	t       testing.TB
	name    string
	command func() *exec.Cmd

	mu  sync.Mutex
	run *exec.Cmd
	in  io.Closer
}

// newProcess starts it, and kills it when the test ends.
func newProcess(t testing.TB, name string, command func() *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, command: command}
	p.start()
	t.Cleanup(func() { p.kill() })
	return p
}

// ourselves is this binary in a role.
func ourselves(role string, args ...string) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", args...)
		cmd.Env = append(os.Environ(), roleEnv+"="+role)
		return cmd
	}
}

func (p *process) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.command()
	in, err := cmd.StdinPipe()
	if err == nil {
		var out io.ReadCloser
		if out, err = cmd.StderrPipe(); err == nil {
			go p.log(out)
			err = cmd.Start()
		}
	}
	if err != nil {
		p.t.Errorf("start %s: %v", p.name, err)
		return
	}
	p.run, p.in = cmd, in
}

func (p *process) log(out io.Reader) {
	w := p.t.Output()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintf(w, "%s: %s\n", p.name, lines.Text())
	}
}

// kill ends it without a word (SIGKILL).
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return
	}
	if err := p.run.Process.Kill(); err != nil {
		p.t.Errorf("kill %s: %v", p.name, err)
	}
	_ = p.run.Wait() // says that it was killed
	p.in.Close()
	p.run = nil
}
