package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/berth-net/berth/internal/api"
)

// berth is a berthd that guards a site's NICs, with files of its own.
type berth struct {
	bin, dir string
	bpf      string
	cmd      *exec.Cmd
	client   *api.Client
}

// settle is what a daemon gets to do what it has missed at rest; it reads
// everything back once a second.
const settle = 300 * time.Millisecond

// arm starts berthd and waits until all is in force as it will stay: on tcx
// links, where the kernel has them.
func (b *berth) arm(s *site) error {
	if err := b.configure(s.ports); err != nil {
		return err
	}
	b.cmd = exec.Command(filepath.Join(b.bin, "berthd"), "-config", filepath.Join(b.dir, "berthd.yaml"))
	b.cmd.Stderr = os.Stderr
	if err := s.host.do(b.cmd.Start); err != nil {
		return err
	}
	b.client = api.NewClient(b.socket())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for !b.ready(ctx, len(s.ports)) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("berthd did not guard all: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return b.run(false)
}

func (b *berth) ready(ctx context.Context, want int) bool {
	status, err := b.client.Status(ctx)
	if err != nil || status.NICs[api.InForce] != want {
		return false
	}
	nics, err := b.client.NICs(ctx)
	for _, n := range nics {
		if n.Installed == nil || n.Installed.Attach != status.Attach {
			return false
		}
	}
	return err == nil
}

func (b *berth) socket() string { return filepath.Join(b.dir, "run", "s.sock") }

func (b *berth) configure(ports []port) error {
	for _, d := range []string{"nics", "run"} {
		if err := os.MkdirAll(filepath.Join(b.dir, d), 0o700); err != nil {
			return err
		}
	}
	for _, p := range ports {
		text := lines([]port{p}, "nic: {nic}\nmac: {mac}\naddresses: [{ip}/16]\ngateway: "+lanAddress().String()+"\n")
		if err := os.WriteFile(filepath.Join(b.dir, "nics", p.name+".yaml"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("nics: %[1]s/nics\nnetworks: %[1]s/networks.yaml\nstate: %[1]s/state\nbpf: %[2]s\nsocket: {path: %[3]s}\nlog: {level: warn}\n",
		b.dir, b.bpf, b.socket())
	return os.WriteFile(filepath.Join(b.dir, "berthd.yaml"), []byte(text), 0o600)
}

// run lets the daemon run, or stops it where it is, so that it takes no CPU
// from the measurement of another filter. Its guards stand all the while.
func (b *berth) run(on bool) error {
	if !on {
		return b.cmd.Process.Signal(syscall.SIGSTOP)
	}
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	<-time.After(settle)
	return nil
}

func (b *berth) close() error {
	if b.cmd == nil || b.cmd.Process == nil {
		return nil
	}
	return errors.Join(b.cmd.Process.Signal(syscall.SIGTERM), b.cmd.Process.Signal(syscall.SIGCONT), b.cmd.Wait())
}
