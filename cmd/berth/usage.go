package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (a *app) quotaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "quota PROJECT",
		Short:             "Show what a project uses of its quota",
		Args:              exactly(1, "the name of a project"),
		ValidArgsFunction: a.completeOne(fleet.KindProject),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.usageOf(cmd, fleet.KindProject, args[0])
		},
	}
	return withFormats(cmd, "table", "json", "yaml")
}

func (a *app) usageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "usage NETWORK",
		Short:             "Show how much of a network's pools is taken",
		Long:              "Show how much of each pool of a network is taken: addresses of somebody, and those that are held for a while after a release.",
		Args:              exactly(1, "the name of a network"),
		ValidArgsFunction: a.completeOne(fleet.KindNetwork),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.usageOf(cmd, fleet.KindNetwork, args[0])
		},
	}
	return withFormats(cmd, "table", "json", "yaml")
}

func (a *app) usageOf(cmd *cobra.Command, kind fleet.Kind, name string) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	ask := c.ProjectUsage
	if kind == fleet.KindNetwork {
		ask = c.NetworkUsage
	}
	u, err := ask(cmd.Context(), name)
	if err != nil {
		return about(kind, name, err)
	}
	if format != "table" {
		return a.structured(format, u)
	}
	return a.printUsage(u)
}

func (a *app) printUsage(u wire.Usage) error {
	w := newTable(a.stdout)
	if u.Project != "" {
		row(w, "WHAT", "USED", "LIMIT")
		used, quota := orZero(u.Used), orZero(u.Quota)
		for _, l := range []struct {
			what  string
			used  int
			limit *int
		}{
			{"vms", used.VMs, quota.VMs},
			{"nics", used.NICs, quota.NICs},
			{"addresses4", used.Addresses4, quota.Addresses4},
			{"addresses6", used.Addresses6, quota.Addresses6},
		} {
			row(w, l.what, strconv.Itoa(l.used), limitText(l.limit))
		}
		return w.Flush()
	}
	row(w, "POOL", "USED", "HELD", "FREE", "TOTAL")
	for _, p := range u.Pools {
		row(w, printable(p.Pool), many(p.Used), many(p.Held), free(p), many(p.Total))
	}
	return w.Flush()
}

func limitText(limit *int) string {
	if limit == nil {
		return "-"
	}
	return strconv.Itoa(*limit)
}

// many prints a number of addresses; above 2^53 the controller does not count.
func many(n int64) string {
	const uncounted = 1 << 53
	if n >= uncounted {
		return "2^53 or more"
	}
	return strconv.FormatInt(n, 10)
}

func free(p wire.PoolUsage) string { return many(p.Total - p.Used - p.Held) }
