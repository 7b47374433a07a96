package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

type diffOptions struct {
	files    []string
	from, to string
}

func (a *app) diffCommand() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff -f FILE | --from MOMENT",
		Short: "Show what apply would change, or what changed between two moments",
		Long: `Show what "berth apply -f FILE" would change, as a unified diff of each resource, granted addresses included. Exits with 8 if something would change.

With --from, show what changed between two moments: each is a revision, a time, or how long ago, such as 36h or 7d. Without --to it is until now.`,
		Example: "  berth diff -f site.yaml\n  berth diff --from 24h\n  berth diff --from 1200 --to 1250",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.diff(cmd, o) },
	}
	filesFlag(cmd, &o.files)
	cmd.Flags().StringVar(&o.from, "from", "", "the earlier moment")
	cmd.Flags().StringVar(&o.to, "to", "", "the later moment; now unless given")
	return withFormats(cmd, "text", "json", "yaml")
}

func (a *app) diff(cmd *cobra.Command, o diffOptions) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	switch {
	case (len(o.files) > 0) == (o.from != ""):
		return usage("want either -f FILE or --from MOMENT")
	case o.to != "" && o.from == "":
		return usage("--to needs --from")
	case o.from != "":
		return a.diffMoments(cmd, format, o)
	}
	return a.diffFiles(cmd, format, o.files)
}

func (a *app) diffFiles(cmd *cobra.Command, format string, files []string) error {
	all, err := a.declared(files)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	p := putter{client: c, opts: client.WriteOptions{DryRun: true}}
	var failed failures
	edits := []fleet.Edit{}
	for _, r := range all {
		out, err := p.put(cmd.Context(), r)
		switch {
		case err != nil:
			failed = append(failed, err)
		case out.Did == "depends":
			fmt.Fprintf(a.stderr, "%s: %s\n", label(out.Kind, out.Name), out.text())
			edits = append(edits, fleet.Edit{Kind: out.Kind, Name: out.Name, After: encoded(r)})
		default:
			edits = append(edits, out.Edits...)
		}
	}
	err = a.printEdits(format, edits)
	if err == nil && len(edits) > 0 {
		err = errChanges
	}
	return errOr(failed, err)
}

// encoded is a resource that was read from a file, as JSON.
func encoded(r fleet.Resource) json.RawMessage {
	doc, err := fleet.Encode(r)
	if err != nil {
		return nil
	}
	return doc
}

func (a *app) diffMoments(cmd *cobra.Command, format string, o diffOptions) error {
	from, err := a.point("--from", o.from)
	if err != nil {
		return err
	}
	to, err := a.point("--to", o.to)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	d, err := c.Diff(cmd.Context(), from, to)
	if err != nil {
		return err
	}
	if format != "text" {
		return a.structured(format, d)
	}
	slices.SortStableFunc(d.Edits, func(x, y fleet.Edit) int {
		return cmp.Or(cmp.Compare(placeOf(x.Kind), placeOf(y.Kind)), cmp.Compare(x.Name, y.Name))
	})
	return a.printEdits(format, d.Edits)
}

func (a *app) printEdits(format string, edits []fleet.Edit) error {
	if format != "text" {
		return a.structured(format, edits)
	}
	for _, e := range edits {
		text, err := a.unified(e)
		if err != nil {
			return about(e.Kind, e.Name, err)
		}
		fmt.Fprint(a.stdout, text)
	}
	return nil
}

// unified is one resource before and after, as a unified diff of YAML.
func (a *app) unified(e fleet.Edit) (string, error) {
	before, err := bare(e.Before)
	if err != nil {
		return "", err
	}
	after, err := bare(e.After)
	if err != nil {
		return "", err
	}
	name := label(e.Kind, e.Name)
	return string(diff.Diff(name, before, name, after)), nil
}

// bare is a resource as YAML without what differs each time.
func bare(doc json.RawMessage) ([]byte, error) {
	if len(doc) == 0 {
		return nil, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, err
	}
	delete(all, "meta")
	raw, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return toYAML(raw)
}
