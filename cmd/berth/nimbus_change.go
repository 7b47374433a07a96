package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/compat/nimbus"
	"github.com/berth-net/berth/internal/reason"
)

// nimbusAdd sets all bindings or, if one fails, none: what was there before is
// there again.
func (a *app) nimbusAdd(cmd *cobra.Command, docs []document) error {
	var changes []api.Change
	var undo []func(context.Context) error
	for _, d := range docs {
		back, err := a.before(cmd.Context(), d.nic)
		if err != nil {
			return a.takeBack(cmd, undo, err)
		}
		change, err := a.client().Set(cmd.Context(), d.nic, d.body, api.SetOptions{})
		if change.Changed || err != nil && cmd.Context().Err() != nil { // interrupted, it may have been heard
			undo = append(undo, back)
		}
		if err != nil {
			return a.takeBack(cmd, undo, err)
		}
		if change.Now, err = a.settle(cmd.Context(), d.nic, change.Now); err != nil {
			return a.takeBack(cmd, undo, err)
		}
		changes = append(changes, change)
	}
	return a.printChanges("text", verb{"set", "would be set", "already set"}, changes...)
}

// before returns what brings a NIC back to what it is now.
func (a *app) before(ctx context.Context, name string) (func(context.Context) error, error) {
	n, err := a.client().NIC(ctx, name)
	if err != nil && !errors.Is(err, api.ErrNotFound) {
		return nil, err
	}
	if len(n.Binding) == 0 {
		return func(ctx context.Context) error {
			_, err := a.client().Delete(ctx, name)
			return err
		}, nil
	}
	return func(ctx context.Context) error {
		_, err := a.client().Set(ctx, name, n.Binding, api.SetOptions{})
		return err
	}, nil
}

// takeBack undoes, the last first, also if the command was interrupted.
func (a *app) takeBack(cmd *cobra.Command, undo []func(context.Context) error, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), nimbusPatience)
	defer cancel()
	for _, back := range slices.Backward(undo) {
		if e := back(ctx); e != nil {
			err = errors.Join(err, fmt.Errorf("take it back: %w", e))
		}
	}
	return err
}

// settle returns once the NIC is in force, or is sure to be when its interface
// appears: then the host's second lock keeps it shut until it is guarded.
func (a *app) settle(ctx context.Context, name string, now *api.NIC) (*api.NIC, error) {
	if now != nil && inForce(*now) {
		return now, nil
	}
	if now != nil && awaitsLink(*now) {
		return now, a.armed(ctx, name)
	}
	if now != nil && neverInForce(*now) {
		return now, &notInForce{*now}
	}
	n, err := a.client().Wait(ctx, name, nimbusPatience)
	if err != nil && awaitsLink(n) { // it has gone meanwhile
		return &n, a.armed(ctx, name)
	}
	return &n, err
}

func inForce(n api.NIC) bool    { return n.State == api.InForce || n.State == api.Stale }
func awaitsLink(n api.NIC) bool { return n.State == api.Waiting && n.Reason == reason.WaitNoLink }

// neverInForce knows what waiting does not change.
func neverInForce(n api.NIC) bool {
	return slices.Contains([]reason.Reason{reason.WaitForbidden, reason.WaitNotEthernet, reason.WaitServerID}, n.Reason)
}

func (a *app) armed(ctx context.Context, name string) error {
	st, err := a.client().Status(ctx)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(st.Lock, "armed") {
		return fmt.Errorf("%s is declared, but its interface would not be shut until it is guarded: the second lock is %s", name, st.Lock)
	}
	return nil
}

// nimbusGuard guards what has no identity yet; one that has must be the same.
func (a *app) nimbusGuard(cmd *cobra.Command, c nimbus.Command) error {
	n, err := a.client().NIC(cmd.Context(), c.NIC)
	if err != nil && !errors.Is(err, api.ErrNotFound) {
		return err
	}
	if n.MAC == nil {
		doc, err := c.Identity.Document()
		if err != nil {
			return refused("ebtables-config", err)
		}
		return a.nimbusAdd(cmd, []document{{nic: c.NIC, body: doc}})
	}
	if *n.MAC != c.Identity.MAC || !holds(n, c) {
		return fmt.Errorf("%w: %s is %s with %s, not %s with %s", api.ErrConflict,
			c.NIC, n.MAC, orDash(join(n.Addresses)), c.Identity.MAC, c.Address)
	}
	now, err := a.settle(cmd.Context(), c.NIC, &n)
	if err != nil {
		return err
	}
	return a.printChanges("text", verb{not: "already set"}, api.Change{NIC: c.NIC, Now: now})
}

func holds(n api.NIC, c nimbus.Command) bool {
	for _, p := range n.Addresses {
		if p.Addr() == c.Address {
			return true
		}
	}
	return false
}

// nimbusRemove takes the identity of a NIC. One that is not there is gone
// already; an address that another NIC has is a mistake of the caller's.
func (a *app) nimbusRemove(cmd *cobra.Command, c nimbus.Command) error {
	there, err := a.toRemove(cmd, c)
	if err != nil || !there {
		return err
	}
	change, err := a.client().Delete(cmd.Context(), c.NIC)
	if err != nil {
		return err
	}
	return a.printChanges("text", verb{did: "removed", not: "nothing to remove"}, change)
}

// toRemove reports whether the NIC has what a removal names.
func (a *app) toRemove(cmd *cobra.Command, c nimbus.Command) (bool, error) {
	if !c.Address.IsValid() {
		return true, nil
	}
	found, err := a.client().Find(cmd.Context(), api.Selector{Address: c.Address})
	if err != nil {
		return false, err
	}
	var holders []string
	for _, n := range found {
		if n.Name == c.NIC {
			return true, nil
		}
		holders = append(holders, n.Name)
	}
	if len(holders) > 0 {
		return false, fmt.Errorf("%w: %s is held by %s, not by %s", api.ErrConflict, c.Address, strings.Join(holders, ", "), c.NIC)
	}
	fmt.Fprintf(a.stderr, "%s: does not have %s, nothing to remove\n", printable(c.NIC), c.Address)
	return false, nil
}

func (a *app) nimbusDryRun(cmd *cobra.Command, docs []document) error {
	var changes []api.Change
	for _, d := range docs {
		change, err := a.client().Set(cmd.Context(), d.nic, d.body, api.SetOptions{DryRun: true})
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	return a.printChanges("text", verb{"set", "would be set", "already set"}, changes...)
}

// networkingRemove tries every NIC, and gives the first failure's code.
func (a *app) networkingRemove(cmd *cobra.Command, ids []nimbus.Identity, opts networkingOptions) error {
	if opts.validateOnly {
		return nil
	}
	var failed failures
	for _, id := range ids {
		c := nimbus.Command{Remove: true, NIC: id.NIC, Address: id.Address}
		remove := a.nimbusRemove
		if opts.dryRun {
			remove = a.wouldRemove
		}
		if err := remove(cmd, c); err != nil {
			failed = append(failed, err)
		}
	}
	return errOr(failed, nil)
}

func (a *app) wouldRemove(cmd *cobra.Command, c nimbus.Command) error {
	there, err := a.toRemove(cmd, c)
	if err == nil && there {
		fmt.Fprintf(a.stderr, "%s: would be removed\n", printable(c.NIC))
	}
	return err
}
