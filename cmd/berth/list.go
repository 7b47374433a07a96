package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/reason"
)

func (a *app) listCommand() *cobra.Command {
	var noHeaders bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the NICs",
		Example: "  berth list\n  berth list -o json | jq -r '.[] | select(.state != \"in-force\") | .nic'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.list(cmd, noHeaders)
		},
	}
	cmd.Flags().BoolVar(&noHeaders, "no-headers", false, "leave the table's first line out")
	return withFormats(cmd, "table", "wide", "json", "yaml", "name")
}

func (a *app) list(cmd *cobra.Command, noHeaders bool) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	nics, err := a.client().NICs(cmd.Context())
	if err != nil {
		return err
	}
	switch format {
	case "json", "yaml":
		return a.structured(format, nics)
	case "name":
		for _, n := range nics {
			fmt.Fprintln(a.stdout, printable(n.Name))
		}
		return nil
	}
	return a.table(nics, tableOptions{wide: format == "wide", noHeaders: noHeaders})
}

type tableOptions struct{ wide, noHeaders bool }

func (a *app) table(nics []api.NIC, opts tableOptions) error {
	w := newTable(a.stdout)
	if !opts.noHeaders {
		head := []string{"NIC", "STATE", "MAC", "ADDRESSES", "REASON"}
		if opts.wide {
			head = append(head, "NETWORK", "HOSTNAME", "IFINDEX", "BRIDGE", "ATTACH", "MODE", "AGE", "SOURCE")
		}
		row(w, head...)
	}
	for _, n := range nics {
		cells := narrowCells(n)
		if opts.wide {
			cells = append(cells, a.wideCells(n)...)
		}
		row(w, cells...)
	}
	return w.Flush()
}

func narrowCells(n api.NIC) []string {
	return []string{printable(n.Name), printable(string(n.State)), macOf(n), orDash(join(n.Addresses)), reasonOf(n.Reason)}
}

func (a *app) wideCells(n api.NIC) []string {
	link, in := orZero(n.Link), orZero(n.Installed)
	index := "-"
	if link.Index > 0 {
		index = strconv.Itoa(link.Index)
	}
	return []string{
		orDash(n.Network), orDash(hostname(n)), index, orDash(link.Bridge),
		orDash(in.Attach), orDash(in.Mode), age(a.now().Sub(n.Since)), orDash(origin(n)),
	}
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func macOf(n api.NIC) string {
	if n.MAC == nil {
		return "-"
	}
	return n.MAC.String()
}

func reasonOf(r reason.Reason) string {
	if r == reason.None {
		return "-"
	}
	return r.String()
}

// hostname is in the binding alone. One without a readable binding has none.
func hostname(n api.NIC) string {
	var b struct {
		Hostname string `json:"hostname"`
	}
	if len(n.Binding) == 0 || json.Unmarshal(n.Binding, &b) != nil {
		return ""
	}
	return b.Hostname
}

// origin is where the binding was declared: "dir:/etc/berth/nics.d/a.yaml:3".
func origin(n api.NIC) string {
	s := n.Source
	if n.File != "" {
		s += ":" + n.File
		if n.Line > 0 {
			s += ":" + strconv.Itoa(n.Line)
		}
	}
	return s
}
