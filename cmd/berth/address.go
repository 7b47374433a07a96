package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (a *app) whoHasCommand() *cobra.Command {
	var network string
	cmd := &cobra.Command{
		Use:   "who-has ADDRESS",
		Short: "Show who has an address now, and whether that can be relied on",
		Long: `Show who has an address now, and on which node. CHECKED is yes if that node says that the owner can send from nothing but its own addresses, with what it is to have now; of a fail-over group if the nodes of all members say so. A service that tells VMs apart by their address, such as one of metadata, can rely on that as far as the NICs of the network are all checked.

Exits with 3 if nobody has it.`,
		Example: "  berth who-has 192.0.2.10 -o json",
		Args:    exactly(1, "one address"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.whoHas(cmd, args[0], network) },
	}
	cmd.Flags().StringVar(&network, "network", "", "only in this network: isolated ones may have the same addresses")
	a.completeFlag(cmd, "network", fleet.KindNetwork)
	return withFormats(cmd, "table", "json", "yaml")
}

func (a *app) whoHas(cmd *cobra.Command, address, network string) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" {
		return usage("%q is not an IP address", address)
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	all, err := c.Address(cmd.Context(), ip.Unmap(), network)
	if err != nil {
		return err
	}
	all, held := owned(all)
	if len(all) == 0 {
		return fmt.Errorf("%s: %w%s", ip, errNobodyNow, held)
	}
	if format != "table" {
		return a.structured(format, all)
	}
	return a.printAddresses(all)
}

// owned are those that somebody has; held says which of the others nobody can
// have yet.
func owned(all []wire.Address) (has []wire.Address, held string) {
	var out []string
	for i := range all {
		if all[i].Owner == "" && !all[i].Until.IsZero() {
			out = append(out, fmt.Sprintf("; in network %s it is held until %s", all[i].Network, moment(all[i].Until)))
		}
	}
	return slices.DeleteFunc(all, func(w wire.Address) bool { return w.Owner == "" }), strings.Join(out, "")
}

func (a *app) printAddresses(all []wire.Address) error {
	w := newTable(a.stdout)
	row(w, "OWNER", "PROJECT", "NETWORK", "NODE", "MAC", "HOSTNAME", "CHECKED")
	for i := range all {
		one, mac, checked := &all[i], "-", "no"
		if one.MAC != nil {
			mac = one.MAC.String()
		}
		if one.Checked {
			checked = "yes"
		}
		row(w, one.Owner, orDash(one.Project), one.Network, orDash(one.Node), mac, orDash(one.Hostname), checked)
	}
	return w.Flush()
}
