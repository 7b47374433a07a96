package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/compat/ganeti"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/port"
)

// ganetiStep is one step of connecting a NIC, and how it is taken back.
type ganetiStep struct {
	name     string
	do, undo func() error
}

// steps are in order: the guard stands before any frame can pass, and what
// comes last takes the longest.
func (g *ganetiNIC) steps(ctx context.Context) []ganetiStep {
	name := g.Interface
	steps := []ganetiStep{{"remove nfdhcpd's binding file", g.leave, nil}}
	if g.Bound {
		steps = append(steps, ganetiStep{
			"bring its identity and guard in force",
			func() error { return g.declare(ctx) },
			func() error { return g.a.withdraw(context.WithoutCancel(ctx), name) },
		})
	} else {
		steps = append(steps, ganetiStep{"hand it to the site", func() error { return g.handOver(ctx) }, nil})
	}
	if g.Mode == ganeti.Bridged {
		steps = append(steps, ganetiStep{"join bridge " + g.Link, g.join, func() error { return port.Unplug(name) }})
	} else {
		mac := g.settings.TapMAC
		steps = append(steps, ganetiStep{"set the host's MAC address", func() error { return port.SetMAC(name, mac) }, nil})
	}
	steps = append(steps, ganetiStep{
		"bring the interface up",
		func() error { return port.SetUp(name) }, func() error { return port.SetDown(name) },
	})
	if g.Mode == ganeti.Routed && g.Bound {
		steps = append(steps, ganetiStep{"route to it", func() error { return g.routed(ctx) }, nil})
	}
	if g.settings.ExtraPath != "" {
		steps = append(steps, ganetiStep{"run " + g.settings.ExtraPath, func() error { return g.extra(ctx) }, nil})
	}
	return steps
}

func (g *ganetiNIC) declare(ctx context.Context) error {
	left := g.a.reach(ctx, g.opts.timeout)
	for begun := time.Now(); ; {
		_, err := g.a.client().SetAndWait(ctx, g.Interface, g.document, left)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, api.ErrConflict) || !g.left || time.Since(begun) > left:
			return document{file: "the binding"}.explain(err)
		}
		select { // until berthd has seen that nfdhcpd's file is gone
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leave takes away the binding file of nfdhcpd's that snf-network may have left:
// what is declared there berthd would not change.
func (g *ganetiNIC) leave() error {
	err := os.Remove(filepath.Join(g.settings.NfdhcpdDir, g.Interface))
	g.left = err == nil
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// handOver has berthd let go of what it may still hold of the name.
func (g *ganetiNIC) handOver(ctx context.Context) error {
	g.a.reach(ctx, g.opts.timeout)
	if err := g.a.withdraw(ctx, g.Interface); err != nil {
		return err
	}
	_, err := g.a.client().Release(ctx, g.Interface)
	if errors.Is(err, api.ErrNotFound) {
		return nil
	}
	return err
}

func (a *app) withdraw(ctx context.Context, name string) error {
	_, err := a.client().Delete(ctx, name)
	if errors.Is(err, api.ErrNotFound) {
		return nil
	}
	return err
}

func (g *ganetiNIC) join() error {
	bridge, err := port.Look(g.Link)
	if err != nil {
		return err
	}
	if err := port.SetMTU(g.Interface, bridge.MTU); err != nil {
		return err
	}
	return port.Plug(g.Interface, g.Link)
}

// routed waits until berthd has nothing left to route: routes come with the
// link, which berthd hears of.
func (g *ganetiNIC) routed(ctx context.Context) error {
	pending := func(s string) bool { return strings.HasPrefix(s, "route "+g.Interface+"#") }
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); ; {
		p, err := g.a.client().Plan(ctx, nil)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(p.Steps, pending)
		if i < 0 {
			return nil
		}
		if time.Since(begun) > g.opts.timeout {
			return fmt.Errorf("%w: still to be done: %s; see `berth events --nic %s`", api.ErrTimeout, p.Steps[i], g.Interface)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (g *ganetiNIC) extra(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, g.settings.ExtraPath) // Ganeti's environment is its own
	cmd.Stdout, cmd.Stderr = g.a.stderr, g.a.stderr
	return cmd.Run()
}

func disconnect(name string) []ganetiStep {
	return []ganetiStep{
		{"take the interface down", func() error { return port.SetDown(name) }, nil},
		{"leave its bridge", func() error { return port.Unplug(name) }, nil},
	}
}

// ganetiDown does all it can, whatever fails.
func (a *app) ganetiDown(ctx context.Context) error {
	name := a.getenv("INTERFACE")
	if !nic.ValidName(name) {
		return &api.InvalidError{Detail: fmt.Sprintf("INTERFACE %q is not the name of an interface", name)}
	}
	var failed failures
	withdraw := ganetiStep{"withdraw its identity", func() error { return a.withdraw(ctx, name) }, nil}
	for _, s := range append(disconnect(name), withdraw) {
		if err := s.do(); err != nil && !errors.Is(err, port.ErrGone) {
			failed = append(failed, failedStep(name, s.name, err))
		}
	}
	return errOr(failed, nil)
}
