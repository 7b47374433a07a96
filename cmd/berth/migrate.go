package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

type migrateOptions struct {
	to                                 string
	prepare, activate, complete, abort bool
	force                              bool
	wait                               time.Duration
}

func (a *app) migrateCommand() *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate NIC --to NODE",
		Short: "Move a NIC to another node with all that it has",
		Long: `Move a NIC to another node: it is prepared there, where nothing passes yet; activated there and withdrawn at the source; and then forgotten by the source. The guest is answered the same on both. Each step waits until the nodes have done it. If the target cannot prepare it in time, the NIC stays where it is.

With one of --prepare, --activate and --complete only that step is made, for whoever moves the VM in between: prepare before the VM's memory is copied, activate when it runs on the target. --abort returns the NIC to its source at any time before it is complete.`,
		Example:           "  berth migrate web-1 --to n2\n  berth migrate web-1 --to n2 --prepare && virsh migrate --live web-1 qemu+ssh://n2/system && berth migrate web-1 --activate && berth migrate web-1 --complete",
		Args:              oneNIC,
		ValidArgsFunction: a.completeOne(fleet.KindNIC),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.migrate(cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "the node that it moves to")
	f.BoolVar(&o.prepare, "prepare", false, "only prepare it there")
	f.BoolVar(&o.activate, "activate", false, "only activate it there, and withdraw it at the source")
	f.BoolVar(&o.complete, "complete", false, "only have the source forget it")
	f.BoolVar(&o.abort, "abort", false, "return it to the source")
	f.BoolVar(&o.force, "force", false, "for operators: activate it though the target does not have it in place")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "how long each step may take")
	a.completeFlag(cmd, "to", fleet.KindNode)
	cmd.MarkFlagsMutuallyExclusive("prepare", "activate", "complete", "abort")
	return cmd
}

func (o migrateOptions) check() error {
	begins := !o.activate && !o.complete && !o.abort
	switch {
	case begins && o.to == "":
		return usage("--to NODE is missing")
	case !begins && o.to != "":
		return usage("--to is for the beginning: the migration knows its target")
	}
	return checkSiteWait(o.wait)
}

// move is one step of a migration.
type move struct {
	done string // the word for it
	do   func(ctx context.Context, o client.WriteOptions) (client.Written, error)
}

func (a *app) migrate(cmd *cobra.Command, name string, o migrateOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	m := migration{app: a, client: c, nic: name, wait: o.wait, force: o.force}
	steps := m.steps(o.to)
	switch {
	case o.prepare:
		return m.run(cmd.Context(), steps[:1])
	case o.activate:
		return m.run(cmd.Context(), steps[1:2])
	case o.complete:
		return m.run(cmd.Context(), steps[2:])
	case o.abort:
		return m.run(cmd.Context(), []move{m.abort()})
	}
	if err := m.run(cmd.Context(), steps[:1]); err != nil {
		return m.giveUp(cmd.Context(), err, client.ErrTimeout)
	}
	if err := m.run(cmd.Context(), steps[1:2]); err != nil {
		return m.giveUp(cmd.Context(), err, client.ErrConflict)
	}
	return m.run(cmd.Context(), steps[2:])
}

// migration is that of one NIC.
type migration struct {
	app    *app
	client *client.Client
	nic    string
	wait   time.Duration
	force  bool
}

func (m *migration) steps(to string) []move {
	return []move{
		{"prepared", func(ctx context.Context, o client.WriteOptions) (client.Written, error) {
			return m.client.Prepare(ctx, m.nic, to, o)
		}},
		{"activated", func(ctx context.Context, o client.WriteOptions) (client.Written, error) {
			return m.client.Activate(ctx, m.nic, o)
		}},
		{"complete", func(ctx context.Context, o client.WriteOptions) (client.Written, error) {
			return m.client.Complete(ctx, m.nic, o)
		}},
	}
}

func (m *migration) abort() move {
	return move{"returned to its source", func(ctx context.Context, o client.WriteOptions) (client.Written, error) {
		return m.client.Abort(ctx, m.nic, o)
	}}
}

func (m *migration) run(ctx context.Context, steps []move) error {
	for _, s := range steps {
		if err := m.step(ctx, s, m.wait); err != nil {
			return err
		}
	}
	return nil
}

func (m *migration) step(ctx context.Context, s move, wait time.Duration) error {
	w, err := s.do(ctx, client.WriteOptions{Wait: wait, Force: m.force})
	if err != nil {
		return about(fleet.KindNIC, m.nic, fmt.Errorf("not %s: %w", s.done, err))
	}
	out := outcome{Kind: fleet.KindNIC, Name: m.nic, Did: s.done, Written: w}
	if !w.Changed {
		out.Did = "already " + s.done
	}
	return m.app.printOutcomes("text", []outcome{out})
}

// giveUp returns a NIC that could not be prepared, so that nothing of it has
// moved yet; failed is how that is known.
func (m *migration) giveUp(ctx context.Context, why, failed error) error {
	if !errors.Is(why, failed) {
		return why
	}
	if err := m.step(ctx, m.abort(), 0); err != nil {
		return failures{why, err}
	}
	return why
}
