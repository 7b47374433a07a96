package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/reason"
)

func (a *app) planCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would change",
		Long: `Show the steps that are pending, or with -f those that the bindings in a file would cause. Nothing is changed.

The exit code is 0 if there is nothing to change and 8 if there is.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.plan(cmd, file) },
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", `what the bindings in this file, or in "-", would change`)
	return withFormats(cmd, "text", "json", "yaml")
}

func (a *app) plan(cmd *cobra.Command, file string) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	p, err := a.gatherPlan(cmd, file)
	if err != nil {
		return err
	}
	if format == "text" {
		a.printPlan(p)
	} else if err := a.structured(format, p); err != nil {
		return err
	}
	if len(p.Steps) > 0 {
		return errChanges
	}
	if format == "text" {
		fmt.Fprintln(a.stderr, "nothing to change")
	}
	return nil
}

// gatherPlan puts the plans of a file's documents one after the other.
func (a *app) gatherPlan(cmd *cobra.Command, file string) (api.Plan, error) {
	if file == "" {
		return a.client().Plan(cmd.Context(), nil)
	}
	docs, err := a.documents(file)
	if err != nil {
		return api.Plan{}, err
	}
	all := api.Plan{Steps: []string{}, Waits: []string{}}
	var failed failures
	for _, d := range docs {
		p, err := a.client().Plan(cmd.Context(), d.body)
		if err != nil {
			failed = append(failed, d.explain(err))
			continue
		}
		all.Steps, all.Waits = append(all.Steps, p.Steps...), append(all.Waits, p.Waits...)
	}
	return all, errOr(failed, nil)
}

func (a *app) printPlan(p api.Plan) {
	for _, s := range p.Steps {
		fmt.Fprintln(a.stdout, printable(s))
	}
	for _, s := range p.Waits {
		fmt.Fprintf(a.stdout, "waiting: %s\n", printable(s))
	}
}

func (a *app) eventsCommand() *cobra.Command {
	var q api.EventQuery
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened",
		Long: `Show the events that berthd keeps, oldest first, and with -f also those to come. A reader that is too slow loses events and is told how many ("missed").

The number of an event, given to --since, continues after it; -o json has it as "seq".`,
		Example: "  berth events -f --nic tap7\n  berth events -f -o json | jq 'select(.kind == \"dropped\")'",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.events(cmd, q) },
	}
	cmd.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with the events to come")
	cmd.Flags().StringVar(&q.NIC, "nic", "", "only those of this NIC")
	cmd.Flags().Uint64Var(&q.Since, "since", 0, "only those after the event of this number")
	// The only error is that the flag does not exist.
	_ = cmd.RegisterFlagCompletionFunc("nic", a.completeNICs)
	return withFormats(cmd, "text", "json")
}

func (a *app) events(cmd *cobra.Command, q api.EventQuery) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	for e, err := range a.client().Events(cmd.Context(), q) {
		if errors.Is(err, context.Canceled) {
			return nil // who follows ends it by an interrupt
		}
		if err != nil {
			return err
		}
		if err := a.printEvent(format, e); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printEvent(format string, e api.Event) error {
	if format == "json" {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(append(escapeJSON(line), '\n'))
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%s  %-15s  %-9s  %-18s  %s\n",
		e.Time.Format("2006-01-02T15:04:05.000Z07:00"), orDash(e.NIC), printable(e.Kind), reasonOf(e.Reason), printable(e.Text))
	return err
}

func (a *app) statusCommand() *cobra.Command {
	return withFormats(&cobra.Command{
		Use:   "status",
		Short: "Show how berthd itself is",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := a.format(cmd)
			if err != nil {
				return err
			}
			st, err := a.client().Status(cmd.Context())
			if err != nil {
				return err
			}
			if format != "text" {
				return a.structured(format, st)
			}
			return a.status(st)
		},
	}, "text", "json", "yaml")
}

func (a *app) status(st api.Status) error {
	w := newTable(a.stdout)
	row(w, "berthd", fmt.Sprintf("%s, up %s since %s", orDash(st.Version), age(a.now().Sub(st.Started)), stamp(st.Started)))
	row(w, "kernel", orDash(st.Kernel))
	row(w, "snapshot", strconv.FormatUint(st.Generation, 10))
	row(w, "attach", orDash(st.Attach))
	row(w, "lock", orDash(st.Lock))
	row(w, "nics", nicCounts(st.NICs))
	for _, s := range st.Sources {
		row(w, "source", fmt.Sprintf("%s %s: %d bindings, generation %d, read %s", printable(s.Name), printable(s.Path), s.Bindings, s.Generation, stamp(s.Read)))
		if s.State != "" {
			row(w, "  state", printable(s.State))
		}
		for _, r := range s.Rejected {
			row(w, "  rejected", printable(r))
		}
	}
	for _, p := range st.Problems {
		row(w, "problem", printable(p))
	}
	return w.Flush()
}

// nicCounts lists the states in the order of their urgency, not by name.
func nicCounts(counts map[api.State]int) string {
	total := 0
	var parts []string
	for _, s := range []api.State{api.InForce, api.Stale, api.Waiting, api.Closed, api.Failed} {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
			total += n
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%d: %s", total, strings.Join(parts, ", ")), ": ")
}

func (a *app) reasonsCommand() *cobra.Command {
	return withFormats(&cobra.Command{
		Use:   "reasons",
		Short: "List every reason that berth gives, and what it means",
		Long:  "List the reasons why a frame is dropped, a message is not answered or a NIC waits. The list is closed, and part of this program: berthd is not asked.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := a.format(cmd)
			if err != nil {
				return err
			}
			if format != "table" {
				return a.structured(format, reasonRows())
			}
			w := newTable(a.stdout)
			row(w, "REASON", "FROM", "MEANING")
			for _, r := range reasonRows() {
				row(w, r.Reason, r.From, r.Meaning)
			}
			return w.Flush()
		},
	}, "table", "json", "yaml")
}

type reasonRow struct {
	Reason  string `json:"reason"`
	From    string `json:"from"`
	Meaning string `json:"meaning"`
}

func reasonRows() []reasonRow {
	var rows []reasonRow
	for _, i := range reason.All() {
		rows = append(rows, reasonRow{i.Name, cmp.Or(i.Room, "-"), i.Text})
	}
	return rows
}
