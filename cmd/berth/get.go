package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

type getOptions struct {
	query     client.Query
	noHeaders bool
}

func (a *app) getCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get KIND [NAME]",
		Short: "List a controller's resources of a kind, or get one",
		Long: `List the resources of a kind that you may see, by name, or get one. KIND is project, network, pool, node, policy, nic, failover or request, or their plural; docs/resources.md is about them.

What -o yaml prints can be edited and given to "berth apply -f -": it is refused if the resource was changed by somebody else in between.`,
		Example:           "  berth get nics --project red --node n1\n  berth get network lan -o yaml > lan.yaml",
		Args:              kindAndName,
		ValidArgsFunction: a.completeKind,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.get(cmd, args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.query.Project, "project", "", "only those of this project")
	f.StringVar(&o.query.Network, "network", "", "only those of this network; of nodes those that can serve it")
	f.StringVar(&o.query.Node, "node", "", "only those on this node")
	f.StringVar(&o.query.VM, "vm", "", "only those of this VM")
	f.BoolVar(&o.noHeaders, "no-headers", false, "leave the table's first line out")
	a.completeFlag(cmd, "project", fleet.KindProject)
	a.completeFlag(cmd, "network", fleet.KindNetwork)
	a.completeFlag(cmd, "node", fleet.KindNode)
	return withFormats(cmd, "table", "wide", "json", "yaml", "name")
}

// kindAndName wants a kind, and perhaps a name.
func kindAndName(_ *cobra.Command, args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return usage("want a kind and perhaps a name, got %d arguments", len(args))
	}
	_, err := kindOf(args[0])
	return err
}

func (a *app) get(cmd *cobra.Command, args []string, o getOptions) error {
	format, err := a.format(cmd)
	if err != nil {
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
	if len(args) == 2 {
		return a.getOne(cmd, c, selected{kind, args[1], format, o})
	}
	docs, all, err := resources(cmd.Context(), c, kind, o.query)
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return a.structured(format, append([]json.RawMessage{}, docs...)) // [], not null
	case "yaml":
		return a.yamlDocuments(docs)
	}
	return a.printResources(kind, all, tableStyle{format, o.noHeaders})
}

// selected is one resource that was asked for, and how to print it.
type selected struct {
	kind   fleet.Kind
	name   string
	format string
	opts   getOptions
}

func (a *app) getOne(cmd *cobra.Command, c *client.Client, s selected) error {
	if s.opts.query != (client.Query{}) {
		return usage("one resource is selected by its name alone")
	}
	doc, err := c.Get(cmd.Context(), s.kind, s.name)
	if err != nil {
		return about(s.kind, s.name, err)
	}
	if s.format == "json" || s.format == "yaml" {
		return a.structured(s.format, doc)
	}
	res, err := load(s.kind, doc)
	if err != nil {
		return err
	}
	return a.printResources(s.kind, []fleet.Resource{res}, tableStyle{s.format, s.opts.noHeaders})
}

// yamlDocuments writes each as one document, as apply reads them.
func (a *app) yamlDocuments(docs []json.RawMessage) error {
	for i, doc := range docs {
		if i > 0 {
			fmt.Fprintln(a.stdout, "---")
		}
		if err := a.structured("yaml", doc); err != nil {
			return err
		}
	}
	return nil
}

type tableStyle struct {
	format    string // table, wide or name
	noHeaders bool
}

func (a *app) printResources(kind fleet.Kind, all []fleet.Resource, s tableStyle) error {
	if s.format == "name" {
		for _, r := range all {
			fmt.Fprintln(a.stdout, printable(r.Header().Name))
		}
		return nil
	}
	w := newTable(a.stdout)
	narrow, wide := heads(kind)
	if s.format == "wide" {
		narrow = append(narrow, wide...)
	}
	if !s.noHeaders {
		row(w, narrow...)
	}
	for _, r := range all {
		cells := append(cellsOf(r), wideCellsOf(r)...)
		row(w, cells[:len(narrow)]...)
	}
	return w.Flush()
}
