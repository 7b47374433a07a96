package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

func (a *app) exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export dhcpd NETWORK",
		Short: "Write a network's NICs for a DHCP server of the site",
		Long: `Write the NICs of a network as host blocks of ISC dhcpd, for a site whose own server answers ("served-by: site"), or as a list of "ADDRESS MAC", IPv4 and IPv6 alike. A NIC with several addresses has one block with all of them.

What a site's server answers is seen by the site: berth then keeps nothing of it away from anybody, and says so in what it writes.`,
		Example:           "  berth export dhcpd lan > /etc/dhcp/berth.conf\n  berth export dhcpd lan -o list > ip_macs.txt",
		Args:              exportArgs,
		ValidArgsFunction: a.completeExport,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.export(cmd, args[1]) },
	}
	return withFormats(cmd, "dhcpd", "list")
}

func exportArgs(_ *cobra.Command, args []string) error {
	if len(args) != 2 || args[0] != "dhcpd" {
		return usage("want dhcpd and the name of a network")
	}
	return nil
}

func (a *app) completeExport(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return []string{"dhcpd"}, cobra.ShellCompDirectiveNoFileComp
	case 1:
		return a.namesOf(cmd, fleet.KindNetwork), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) export(cmd *cobra.Command, network string) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	if _, err := c.Get(cmd.Context(), fleet.KindNetwork, network); err != nil {
		return about(fleet.KindNetwork, network, err)
	}
	_, all, err := resources(cmd.Context(), c, fleet.KindNIC, client.Query{Network: network})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, exportHead, printable(network))
	for _, r := range all {
		n, ok := r.(*fleet.NIC)
		if !ok || n.Granted == nil {
			continue
		}
		if format == "list" {
			exportList(a.stdout, n.Granted)
		} else {
			exportHosts(a.stdout, n)
		}
	}
	return nil
}

const exportHead = `# The NICs of network %s, written by berth export.
# The site's own server answers them: their DHCP is seen by the site, and berth
# claims no invisibility for it.
`

func exportList(w io.Writer, g *fleet.Granted) {
	for _, p := range g.Addresses {
		fmt.Fprintf(w, "%s %s\n", p.Addr(), g.MAC)
	}
}

// exportHosts writes a block for each family: dhcpd serves one of them.
func exportHosts(w io.Writer, n *fleet.NIC) {
	for _, family := range []struct {
		suffix, key string
		is          func(netip.Addr) bool
	}{{"", "fixed-address", netip.Addr.Is4}, {"/6", "fixed-address6", netip.Addr.Is6}} {
		var addresses []string
		for _, p := range n.Granted.Addresses {
			if family.is(p.Addr()) {
				addresses = append(addresses, p.Addr().String())
			}
		}
		if len(addresses) == 0 {
			continue
		}
		if family.suffix != "" {
			addresses = addresses[:1] // dhcpd takes one of IPv6
		}
		fmt.Fprintf(w, "host %s {\n  hardware ethernet %s;\n  %s %s;\n", hostName(n.Name+family.suffix), n.Granted.MAC, family.key, strings.Join(addresses, ", "))
		if name := cmp.Or(n.Granted.Hostname, n.Hostname); name != "" {
			fmt.Fprintf(w, "  option host-name %q;\n", name)
		}
		fmt.Fprintln(w, "}")
	}
}

// hostName is a NIC's name as dhcpd takes it: bare, or quoted.
func hostName(name string) string {
	if slices.ContainsFunc([]byte(name), func(b byte) bool { return strings.IndexByte("._/", b) >= 0 }) {
		return fmt.Sprintf("%q", name)
	}
	return name
}
