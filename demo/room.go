package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// room is where the demo happens: its own network, mount and process
// namespaces. This process's network is the hypervisor's; VMs and the site
// have named ones.
type room struct {
	ctx  context.Context //nolint:containedctx // the whole demo is one run, and the room lives as long
	bin  string          // directory of berthd and berth
	dir  string          // everything the demo writes
	live []*process
}

// hypervisor stands for this process's own network namespace.
const hypervisor = ""

func newRoom(ctx context.Context, bin string) (*room, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	for _, m := range []struct{ kind, path string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"bpf", "/sys/fs/bpf"},
		{"tmpfs", "/run"},
		{"tmpfs", "/var/lib/dhcp"},
		{"tmpfs", "/var/lib/dhcpcd"}, // the host's own leases stay out
	} {
		if err := unix.Mount(m.kind, m.path, m.kind, 0, ""); err != nil {
			return nil, fmt.Errorf("mount %s at %s: %w", m.kind, m.path, err)
		}
	}
	r := &room{ctx: ctx, bin: bin, dir: "/run/demo"}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		return nil, err
	}
	return r, r.plainBridge(hypervisor)
}

// plainBridge keeps a namespace's bridges from calling iptables: what is shown
// here is berth's own doing.
func (r *room) plainBridge(ns string) error {
	const switches = "/proc/sys/net/bridge/bridge-nf-call-"
	if _, err := os.Stat(switches + "iptables"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := r.exec(ns, "sh", "-c", "for f in "+switches+"*; do echo 0 >$f; done")
	return err
}

func (r *room) path(name string) string { return filepath.Join(r.dir, name) }

func (r *room) write(name, content string) error {
	return os.WriteFile(r.path(name), []byte(content), 0o644)
}

// command prepares a command for a namespace; `ip netns exec` becomes it, so
// its pid is the command's.
func (r *room) command(ns string, argv ...string) *exec.Cmd {
	if ns != hypervisor {
		argv = append([]string{"ip", "netns", "exec", ns}, argv...)
	}
	cmd := exec.CommandContext(r.ctx, argv[0], argv[1:]...)
	// Ctrl-C is this program's, which then stops everything in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// exec runs a command to its end and returns its standard output.
func (r *room) exec(ns string, argv ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := r.command(ns, argv...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// execAll runs lines of words until one fails.
func (r *room) execAll(ns string, lines ...string) error {
	for _, line := range lines {
		if _, err := r.exec(ns, strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// process is a command that runs on.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// start runs a command in the background; what it says goes to NAME.log.
func (r *room) start(name, ns string, argv ...string) (*process, error) {
	p := &process{name: name, cmd: r.command(ns, argv...), log: r.path(name + ".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	r.live = append(r.live, p)
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is told by its log
	}()
	return p, nil
}

// stop sends a signal and waits for the end; a process that does not obey is
// killed.
func (p *process) stop(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill() // as above
		<-p.ended
	}
}

// tail is the end of what a process said.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// close stops everything that still runs, the newest first.
func (r *room) close() {
	for i := len(r.live) - 1; i >= 0; i-- {
		r.live[i].stop(syscall.SIGTERM)
	}
	r.live = nil
}

// until asks cond until it holds.
func (r *room) until(limit time.Duration, what string, cond func() bool) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v in vain: %s", limit, what)
		}
		select {
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		case <-tick.C:
		}
	}
	return nil
}
