package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

// removal is what `delete` was asked to take away at a controller.
type removal struct {
	files  []string
	dryRun bool
	force  bool
}

// asked reports whether delete is about a controller's resources and not about
// a NIC of this host.
func (r removal) asked(args []string) bool {
	if len(r.files) > 0 {
		return true
	}
	if len(args) < 2 {
		return false
	}
	_, err := kindOf(args[0])
	return err == nil
}

func (r removal) check(args []string, sel selection) error {
	if len(r.files) > 0 && len(args) > 0 {
		return usage("want either -f FILE or a kind with names")
	}
	if sel != (selection{}) {
		return usage("--mac and --address are for a NIC of this host")
	}
	return nil
}

// remove deletes at a controller. What is not there is deleted successfully.
func (a *app) remove(cmd *cobra.Command, args []string, r removal) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	all, err := a.doomed(args, r)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	var failed failures
	var done []outcome
	for _, h := range all {
		out, err := removeOne(cmd.Context(), c, h, client.WriteOptions{DryRun: r.dryRun, Force: r.force})
		if err != nil {
			failed = append(failed, err)
			continue
		}
		done = append(done, out)
	}
	return errOr(failed, a.printOutcomes(format, done))
}

// doomed are what to delete, in order: what depends on others before them.
func (a *app) doomed(args []string, r removal) (all []fleet.Head, err error) {
	if len(r.files) == 0 {
		kind, err := kindOf(args[0])
		for _, name := range args[1:] {
			all = append(all, fleet.Head{Kind: kind, Name: name})
		}
		return all, err
	}
	declared, err := a.declared(r.files)
	for _, res := range slices.Backward(declared) {
		all = append(all, *res.Header())
	}
	return all, err
}

func removeOne(ctx context.Context, c *client.Client, h fleet.Head, o client.WriteOptions) (outcome, error) {
	out := outcome{Kind: h.Kind, Name: h.Name, Did: "deleted", DryRun: o.DryRun}
	var err error
	out.Written, err = c.Delete(ctx, h.Kind, h.Name, o)
	if isNotFound(err) {
		out.Did = "nothing to delete"
		return out, nil
	}
	return out, about(h.Kind, h.Name, err)
}

// completeDelete offers NICs of this host and kinds, then names of the kind.
func (a *app) completeDelete(cmd *cobra.Command, args []string, s string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		nics, _ := a.completeNICs(cmd, args, s)
		kinds, directive := a.completeKind(cmd, args, s)
		return append(nics, kinds...), directive
	}
	return a.completeKind(cmd, args[:1], s)
}
