package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/reason"
)

func (a *app) listCommand() *cobra.Command {
	var noHeaders bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the NICs",
		Long:    "List the NICs, each with its first address of either family and how many more it has; wide has all of them.",
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
		addresses := join(holdings(n))
		if !opts.wide {
			addresses = brief(holdings(n))
		}
		cells := []string{printable(n.Name), printable(string(n.State)), macOf(n), orDash(addresses), reasonOf(n.Reason)}
		if opts.wide {
			cells = append(cells, a.wideCells(n)...)
		}
		row(w, cells...)
	}
	return w.Flush()
}

// holdings are a NIC's addresses, then the prefixes that are wholly its own.
func holdings(n api.NIC) []netip.Prefix { return slices.Concat(n.Addresses, n.SLAAC, n.Delegated) }

// brief is the first of each family, and how many more there are: a table is
// for finding a NIC, and one NIC may have hundreds.
func brief(all []netip.Prefix) string {
	var shown []string
	for _, is := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		if i := slices.IndexFunc(all, func(p netip.Prefix) bool { return is(p.Addr()) }); i >= 0 {
			shown = append(shown, all[i].String())
		}
	}
	if more := len(all) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("+%d", more))
	}
	return strings.Join(shown, ",")
}

func (a *app) wideCells(n api.NIC) []string {
	link, in := orZero(n.Link), orZero(n.Installed)
	index := "-"
	if link.Index > 0 {
		index = strconv.Itoa(link.Index)
	}
	return []string{
		orDash(n.Network), orDash(bindingOf(n).Hostname), index, orDash(link.Bridge),
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
