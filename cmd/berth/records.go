package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (a *app) whoHadCommand() *cobra.Command {
	var at, network string
	cmd := &cobra.Command{
		Use:     "who-had ADDRESS",
		Short:   "Show who had an address, now, at a moment or ever",
		Long:    `Show who had an address, newest first; with --at only who had it then. A moment is a time, a day, or how long ago, such as 36h or 7d. Exits with 3 if nobody had it.`,
		Example: "  berth who-had 192.0.2.10 --at 2026-01-02T03:04:05Z",
		Args:    exactly(1, "one address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.whoHad(cmd, args[0], network, at)
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "only who had it at this moment")
	cmd.Flags().StringVar(&network, "network", "", "only in this network: isolated ones may have the same addresses")
	a.completeFlag(cmd, "network", fleet.KindNetwork)
	return withFormats(cmd, "table", "json", "yaml")
}

func (a *app) whoHad(cmd *cobra.Command, address, network, at string) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" {
		return usage("%q is not an IP address", address)
	}
	when, err := a.at("--at", at)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	all, err := c.WhoHad(cmd.Context(), ip.Unmap(), network, when)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%s: %w", strings.TrimSpace(ip.String()+" "+at), errNobody)
	}
	if format != "table" {
		return a.structured(format, all)
	}
	return a.printTenures(all)
}

func (a *app) printTenures(all []fleet.Tenure) error {
	w := newTable(a.stdout)
	row(w, "FROM", "TO", "OWNER", "PROJECT", "NETWORK", "NODE", "MAC", "BY")
	for _, t := range all {
		to, mac := "still", "-"
		if t.To != nil {
			to = moment(*t.To)
		}
		if t.MAC != nil {
			mac = t.MAC.String()
		}
		row(w, moment(t.From), to, orDash(t.Owner), orDash(t.Project), orDash(t.Network), orDash(t.Node), mac, orDash(t.Actor))
	}
	return w.Flush()
}

type historyOptions struct {
	actor, from, to string
	limit           int
	patch           bool
}

func (a *app) historyCommand() *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:               "history [KIND [NAME]]",
		Short:             "Show who changed what, and when",
		Long:              `Show the changes of all resources, of those of a kind, or of one, newest first. Each change has a number, by which "berth restore" and "berth diff" know it; all that one request did has the same.`,
		Example:           "  berth history nic web-1 --patch\n  berth history --actor user:alice --from 7d",
		Args:              perhapsKind,
		ValidArgsFunction: a.completeKind,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.history(cmd, args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.actor, "actor", "", "only changes by them, such as user:alice")
	f.StringVar(&o.from, "from", "", "only changes since this moment")
	f.StringVar(&o.to, "to", "", "only changes before this moment")
	f.IntVar(&o.limit, "limit", 50, "how many at most")
	f.BoolVarP(&o.patch, "patch", "p", false, "show what each change did, as a unified diff")
	return withFormats(cmd, "table", "json", "yaml")
}

func perhapsKind(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return kindAndName(cmd, args)
}

func (a *app) historyQuery(args []string, o historyOptions) (q client.HistoryQuery, err error) {
	q = client.HistoryQuery{Actor: o.actor, Limit: o.limit}
	if o.limit <= 0 || o.limit > wire.MaxPage {
		return q, usage("--limit %d is not 1 to %d", o.limit, wire.MaxPage)
	}
	if len(args) > 0 {
		if q.Kind, err = kindOf(args[0]); err != nil {
			return q, err
		}
		q.Name = strings.Join(args[1:], "")
	}
	if q.From, err = a.at("--from", o.from); err != nil {
		return q, err
	}
	q.To, err = a.at("--to", o.to)
	return q, err
}

func (a *app) history(cmd *cobra.Command, args []string, o historyOptions) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	q, err := a.historyQuery(args, o)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	all, err := c.History(cmd.Context(), q)
	switch {
	case err != nil:
		return err
	case format != "table":
		return a.structured(format, append([]fleet.Revision{}, all...)) // [], not null
	case o.patch:
		return a.printPatches(all)
	}
	return a.printHistory(all)
}

func (a *app) printHistory(all []fleet.Revision) error {
	w := newTable(a.stdout)
	row(w, "REVISION", "TIME", "ACTOR", "ACTION", "CHANGES")
	for _, r := range all {
		row(w, strconv.FormatInt(r.Number, 10), moment(r.Time), orDash(r.Actor), orDash(r.Action), editsText(r.Changes))
	}
	return w.Flush()
}

// editsText is the first few of a change, and how many more there are.
func editsText(edits []fleet.Edit) string {
	const most = 4
	var texts []string
	for i, e := range edits {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(edits)-most))
			break
		}
		texts = append(texts, label(e.Kind, e.Name)+" "+editText(e))
	}
	return orDash(strings.Join(texts, ", "))
}

func editText(e fleet.Edit) string {
	switch {
	case e.Before == nil:
		return "created"
	case e.After == nil:
		return "deleted"
	}
	return "changed"
}

func (a *app) printPatches(all []fleet.Revision) error {
	for _, r := range all {
		fmt.Fprintf(a.stdout, "revision %d: %s by %s at %s\n", r.Number, orDash(r.Action), orDash(r.Actor), moment(r.Time))
		if err := a.printEdits("text", r.Changes); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout)
	}
	return nil
}

type restoreOptions struct {
	to    int64
	write writeOptions
}

func (a *app) restoreCommand() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:               "restore KIND NAME --to REVISION",
		Short:             "Put a resource back to what it was right after a revision",
		Long:              `Put a resource back to what it was right after a revision, also one that is deleted by now. It is decided as any other change: an address that somebody else has by now is not taken away.`,
		Example:           "  berth restore nic web-1 --to 1200 --dry-run",
		Args:              kindThenName,
		ValidArgsFunction: a.completeKind,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.restore(cmd, args, o) },
	}
	cmd.Flags().Int64Var(&o.to, "to", 0, "the revision, see berth history")
	writeFlags(cmd, &o.write)
	return withFormats(cmd, "text", "json", "yaml")
}

func (a *app) restore(cmd *cobra.Command, args []string, o restoreOptions) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	if o.to <= 0 {
		return usage("--to REVISION is missing: see berth history %s %s", args[0], args[1])
	}
	if err := o.write.check(cmd); err != nil {
		return err
	}
	kind, err := kindOf(args[0])
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	w, err := c.Restore(cmd.Context(), wire.Restore{Kind: kind, Name: args[1], Revision: o.to}, o.write.options())
	if err != nil {
		return about(kind, args[1], err)
	}
	out := outcome{Kind: kind, Name: args[1], Did: "restored", DryRun: o.write.dryRun, Written: w}
	if !w.Changed {
		out.Did = "unchanged"
	}
	return a.printOutcomes(format, []outcome{out})
}
