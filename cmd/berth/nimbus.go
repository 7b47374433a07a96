package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/compat/nimbus"
)

// nimbusPatience is how long an addition may take to be in force, and how long
// a berthd that is only starting is waited for.
const nimbusPatience = 10 * time.Second

func (a *app) nimbusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "nimbus COMMAND",
		Short: "Speak as the node tools of Nimbus workspace-control did",
		Long: `The commands that workspace-control calls on a node, with their arguments as they always were, and two more. They ask berthd.

Their exit codes are those of the tools they stand for: 0 done, 1 the input is refused, 2 anything else.`,
		Args: a.noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.dhcpConfigCommand(), a.ebtablesConfigCommand(), a.networkingCommand(), a.bridgeCommand())
	return cmd
}

const fixedText = `It is meant for sudo: no argument is a flag, and neither the environment nor an argument says which berthd is asked: that is the one at ` + api.DefaultSocket + `.`

func (a *app) dhcpConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dhcp-config add VIF IP DHCPIF MAC BROADCAST MASK GATEWAY HOSTNAME DNS1 DNS2 | rem VIF IP",
		Short: "Give a NIC its identity, or take it, as dhcp-config.sh",
		Long: `Give a NIC its identity, or take it. "none" stands for a broadcast, mask, gateway, hostname or DNS server that is not given. An addition succeeds once the identity and its guard are in force, or will be as soon as the interface appears.

` + fixedText,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := nimbus.ParseDHCPConfig(args)
			if err != nil {
				return refused("dhcp-config", err)
			}
			a.fixSocket(cmd)
			if c.Remove {
				return a.nimbusRemove(cmd, c)
			}
			doc, err := c.Identity.ServedFrom(localPrefixes(c.DHCPInterface)).Document()
			if err != nil {
				return refused("dhcp-config", err)
			}
			return a.nimbusAdd(cmd, []document{{nic: c.NIC, body: doc}})
		},
	}
}

func (a *app) ebtablesConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ebtables-config add VIF MAC IP [DHCPIF] | add VIF DHCPIF MAC IP | rem VIF",
		Short: "Guard a NIC, or stop, as xen-ebtables-config.sh and kvm-ebtables-config.sh",
		Long: `Guard a NIC against other addresses than its own. If dhcp-config has given it the same MAC and address, that is so already. Without DHCPIF the NIC's DHCP is left to the site; with it, it is kept from the site.

` + fixedText,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := nimbus.ParseEbtablesConfig(args)
			if err != nil {
				return refused("ebtables-config", err)
			}
			a.fixSocket(cmd)
			if c.Remove {
				return a.nimbusRemove(cmd, c)
			}
			return a.nimbusGuard(cmd, c)
		},
	}
}

// fixSocket asks the berthd of the host, and waits for it if it is only
// starting: these callers ask once.
func (a *app) fixSocket(cmd *cobra.Command) {
	a.socket = a.berthd
	a.reach(cmd.Context(), nimbusPatience)
}

// refused is what is wrong with an input, one line for each mistake.
func refused(what string, err error) error {
	var bad nimbus.Mistakes
	if errors.As(err, &bad) {
		return &api.InvalidError{Detail: what + ": the input is refused", Fields: bad.Lines()}
	}
	return err
}

// localPrefixes are the IPv4 addresses of a host interface; one that is not
// there has none.
func localPrefixes(name string) (all []netip.Prefix) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil
	}
	addrs, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, addr := range addrs {
		if p, err := netip.ParsePrefix(addr.String()); err == nil && p.Addr().Is4() {
			all = append(all, p)
		}
	}
	return all
}

type networkingOptions struct {
	vm, networking, conf string
	dryRun, validateOnly bool
}

func (a *app) networkingCommand() *cobra.Command {
	var opts networkingOptions
	cmd := &cobra.Command{
		Use:   "networking add|remove --name VM --networking STRING",
		Short: "Add or remove all NICs of a VM, from workspace-control's NIC string",
		Long: `Add or remove all NICs of a VM. The string has workspace-control's form: NICs joined by ";;", fields by ";": name, network, MAC, type, mode, IP, gateway, broadcast, netmask, dns, hostname, "null" for what is not given. The interfaces are called VM-0, VM-1 and so on.

An addition is of all NICs or of none. With networks.conf, [dhcp] localdhcp decides who answers DHCP; without it, berth does.`,
		Example: `  berth nimbus networking add --name wrksp-7 --networking 'eth0;public;A2:AA:BB:00:00:07;Bridged;Static;192.0.2.10;192.0.2.1;null;255.255.255.0;192.0.2.53;vm7'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains([]string{"add", "remove"}, args[0]) {
				return usage("want add or remove")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.networking(cmd, args[0], opts) },
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.vm, "name", "", "the VM's name, of which its interfaces are made")
	flags.StringVar(&opts.networking, "networking", "", "its NICs")
	flags.StringVar(&opts.conf, "networks-conf", "", "workspace-control's networks.conf")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "check, print what would change, and change nothing")
	flags.BoolVar(&opts.validateOnly, "validate-only", false, "check the input, and ask nothing of berthd")
	return cmd
}

func (a *app) networking(cmd *cobra.Command, verb string, opts networkingOptions) error {
	ids, err := a.identities(opts)
	if err != nil {
		return err
	}
	if verb == "remove" {
		return a.networkingRemove(cmd, ids, opts)
	}
	var docs []document
	for _, id := range ids {
		doc, err := id.Document()
		if err != nil {
			return refused("--networking", err)
		}
		docs = append(docs, document{nic: id.NIC, body: doc})
	}
	switch {
	case opts.validateOnly:
		return nil
	case opts.dryRun:
		return a.nimbusDryRun(cmd, docs)
	}
	return a.nimbusAdd(cmd, docs)
}

// identities reads all that the command was given.
func (a *app) identities(opts networkingOptions) ([]nimbus.Identity, error) {
	if opts.vm == "" || opts.networking == "" {
		return nil, usage("--name and --networking are needed")
	}
	nics, err := nimbus.ParseNetworking(opts.networking)
	if err != nil {
		return nil, refused("--networking", err)
	}
	var conf *nimbus.NetworksConf
	if opts.conf != "" {
		if conf, err = a.networksConf(opts.conf); err != nil {
			return nil, err
		}
	}
	ids, err := nimbus.Identities(opts.vm, nics, conf)
	if err != nil {
		return nil, refused("--networking", err)
	}
	for i, id := range ids {
		if id.Hostname == "" {
			fmt.Fprintf(a.stderr, "berth: %s has no hostname\n", printable(id.NIC))
		}
		if conf != nil && conf.LocalDHCP {
			bridge, _ := conf.Bridge(id.Address)
			ids[i] = id.ServedFrom(localPrefixes(conf.DHCPBridges[bridge]))
		}
	}
	return ids, nil
}

func (a *app) networksConf(file string) (*nimbus.NetworksConf, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	conf, bad, warnings := nimbus.ParseNetworksConf(file, text)
	for _, w := range warnings {
		fmt.Fprintf(a.stderr, "berth: %s\n", printable(w.Error()))
	}
	if len(bad) > 0 {
		return nil, refused(file, nimbus.Mistakes(bad))
	}
	return &conf, nil
}

func (a *app) bridgeCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "bridge IP --networks-conf FILE",
		Short: "Print the bridge that networks.conf has for an address",
		Long:  "Print the bridge of the first range of [bridges] that has the address, else the default one. Ranges that overlap are refused.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || file == "" {
				return usage("want one IPv4 address and --networks-conf FILE")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.bridge(args[0], file) },
	}
	cmd.Flags().StringVar(&file, "networks-conf", "", "workspace-control's networks.conf")
	return cmd
}

func (a *app) bridge(address, file string) error {
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is4() {
		return usage("%q is not an IPv4 address", address)
	}
	conf, err := a.networksConf(file)
	if err != nil {
		return err
	}
	name, ok := conf.Bridge(ip)
	if !ok {
		return fmt.Errorf("%s has no bridge for %s, and no default bridge", file, ip)
	}
	fmt.Fprintln(a.stdout, name)
	return nil
}

// nimbusCode is the exit code of dhcp-conf-alter, on which callers branch.
func nimbusCode(err error) int {
	const input, other = 1, 2
	var wrong *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong), errors.Is(err, api.ErrInvalid):
		return input
	}
	return other
}

// isNimbus tells its commands, which have exit codes of their own.
func isNimbus(cmd *cobra.Command) bool {
	return strings.HasPrefix(cmd.CommandPath()+" ", "berth nimbus ")
}
