package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/compat/ganeti"
	"github.com/berth-net/berth/internal/compat/nfdhcpd"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/port"
)

type ganetiOptions struct {
	config  string
	nfdhcpd string
	timeout time.Duration
}

func (a *app) ganetiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ganeti COMMAND",
		Short: "Connect the NICs of Ganeti's instances, as snf-network did",
		Long: `The commands behind Ganeti's kvm-ifup-custom and kvm-ifdown-custom. They take the NIC from the environment that Ganeti gives, ask berthd, and connect the interface.

Where snf-network succeeded always, these fail if any step does, and leave the interface down.`,
		Args: a.noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.ganetiUpCommand(), a.ganetiDownCommand())
	return cmd
}

func (a *app) ganetiUpCommand() *cobra.Command {
	var opts ganetiOptions
	cmd := &cobra.Command{
		Use:   "ifup",
		Short: "Give a NIC its identity and guard, and then connect it",
		Long: `Give the NIC in the environment its identity and guard, and only when both are in force connect it: a bridged one to its bridge, a routed one by the host's routes. Then run IFUP_EXTRA_SCRIPT.

If any step fails, what was done is undone, the interface is left down, and the failed step is named.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkTimeout("--timeout", opts.timeout); err != nil {
				return err
			}
			return a.ganetiUp(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.config, "config", "/etc/default/snf-network", "snf-network's configuration; it may be missing")
	cmd.Flags().StringVar(&opts.nfdhcpd, "nfdhcpd", "/etc/nfdhcpd/nfdhcpd.conf", "nfdhcpd's configuration: what guests are told beside their addresses")
	cmd.Flags().DurationVar(&opts.timeout, "timeout", 10*time.Second, "how long identity and guard may take to be in force")
	return cmd
}

func (a *app) ganetiDownCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ifdown",
		Short: "Disconnect a NIC and withdraw its identity",
		Long:  `Take the interface in the environment down and out of its bridge, and withdraw its binding. What is gone already is no failure. Ganeti's arguments are not needed: everything of the NIC goes.`,
		Args:  cobra.ArbitraryArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.ganetiDown(cmd.Context()) },
	}
}

// ganetiUp disconnects the interface first: nothing passes until all is done.
func (a *app) ganetiUp(ctx context.Context, opts ganetiOptions) error {
	up := ganetiNIC{a: a, opts: opts}
	// Also that of a NIC that is not understood.
	if name := a.getenv("INTERFACE"); nic.ValidName(name) {
		for _, s := range disconnect(name) {
			if err := s.do(); err != nil {
				return failedStep(name, s.name, err)
			}
		}
	}
	if err := up.read(); err != nil {
		return failedStep(cmp.Or(up.Interface, "INTERFACE"), "read what it is to be", err)
	}
	for _, text := range up.Warnings {
		fmt.Fprintf(a.stderr, "berth: %s: %s\n", up.Interface, printable(text))
	}
	steps := up.steps(ctx)
	for i, s := range steps {
		if err := s.do(); err != nil {
			return failedStep(up.Interface, s.name, err, undo(steps[:i+1])...)
		}
	}
	return nil
}

// failedStep names what could not be done, and what of it could not be undone
// either. Its cause decides the exit code.
func failedStep(name, step string, err error, more ...error) error {
	var invalid *api.InvalidError
	if errors.As(err, &invalid) {
		err = &api.InvalidError{Detail: fmt.Sprintf("%s: %s: %s", name, step, invalid.Detail), Fields: invalid.Fields}
	} else {
		err = fmt.Errorf("%s: %s: %w", name, step, err)
	}
	return failures(append([]error{err}, more...))
}

// undo takes back the last of the steps first.
func undo(steps []ganetiStep) []error {
	var failed []error
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].undo == nil {
			continue
		}
		if err := steps[i].undo(); err != nil && !errors.Is(err, port.ErrGone) {
			failed = append(failed, fmt.Errorf("undo %s: %w", steps[i].name, err))
		}
	}
	return failed
}

// ganetiNIC is one NIC on its way.
type ganetiNIC struct {
	ganeti.NIC
	a        *app
	opts     ganetiOptions
	settings ganeti.Settings
	document []byte // its binding; nil if it has none
	left     bool   // nfdhcpd's binding file was there, and is gone
}

func (g *ganetiNIC) read() error {
	text, err := os.ReadFile(g.opts.config)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	settings, problems := ganeti.ParseSettings(g.opts.config, text)
	if len(problems) > 0 {
		return refusedBy(g.opts.config, problems)
	}
	env := map[string]string{}
	for _, name := range ganeti.Variables() {
		env[name] = g.a.getenv(name)
	}
	g.settings = settings
	g.NIC, problems = ganeti.Parse(env, settings)
	if len(problems) > 0 {
		return refusedBy("the environment", problems)
	}
	if !g.Bound {
		return nil
	}
	b, err := g.binding()
	if err != nil {
		return err
	}
	g.document, err = manifest.Encode(b)
	return err
}

func refusedBy(what string, problems []manifest.Problem) error {
	bad := &api.InvalidError{Detail: what + " does not say how to connect the NIC"}
	for _, p := range problems {
		bad.Fields = append(bad.Fields, p.Error())
	}
	return bad
}

func (g *ganetiNIC) binding() (*nic.Binding, error) {
	r, err := g.parse()
	if err != nil {
		return nil, err
	}
	if len(r.Problems) > 0 {
		return nil, refusedBy("the environment", ganeti.InVariables(r.Problems))
	}
	routing, err := g.routing()
	if err != nil {
		return nil, err
	}
	b := &r.Bindings[0]
	g.Complete(b, routing)
	return b, nil
}

func (g *ganetiNIC) parse() (manifest.Result, error) {
	if g.IsFilter() {
		return manifest.Parse("", g.Filter(), manifest.Networks{}), nil
	}
	text, err := os.ReadFile(g.opts.nfdhcpd)
	if err != nil {
		return manifest.Result{}, fmt.Errorf("what guests are told beside their addresses: %w", err)
	}
	config, problems, _ := nfdhcpd.ParseConfig(g.opts.nfdhcpd, text)
	if len(problems) > 0 {
		return manifest.Result{}, refusedBy(g.opts.nfdhcpd, problems)
	}
	hosts := nfdhcpd.Hosts{MACs: map[string]nic.MAC{g.Interface: g.settings.TapMAC}}
	if g.Mode == ganeti.Bridged {
		s, err := port.Look(g.Link)
		if err != nil {
			return manifest.Result{}, err
		}
		hosts.MACs[g.Link] = s.MAC
	}
	format := nfdhcpd.Format{Config: config}
	for _, p := range ganeti.InVariables(format.Warnings(g.Interface, g.File(), hosts)) {
		g.Warnings = append(g.Warnings, p.Error())
	}
	return format.Parse(g.Interface, g.File(), hosts), nil
}

// routing finds the uplink as snf-network did: by the default route of the
// NIC's table.
func (g *ganetiNIC) routing() (r nic.Routing, err error) {
	if !g.Uplinked {
		return r, nil
	}
	r.Table, err = port.Table(g.Link, "/etc/iproute2/rt_tables", "/usr/share/iproute2/rt_tables", "/usr/lib/iproute2/rt_tables")
	if err != nil {
		return r, err
	}
	for _, is6 := range []bool{true, false} { // IPv4's counts if there are two
		if !g.Uses(is6) {
			continue
		}
		uplink, err := port.Uplink(r.Table, is6)
		if err != nil {
			return r, err
		}
		if uplink != "" && r.Uplink != "" && uplink != r.Uplink {
			g.Warnings = append(g.Warnings, fmt.Sprintf("table %s leads to %s for IPv6 and to %s for IPv4, which alone is told", g.Link, r.Uplink, uplink))
		}
		if uplink != "" {
			r.Uplink = uplink
		}
	}
	if r.Uplink == "" {
		return r, fmt.Errorf("table %s has no default route, so there is no uplink", g.Link)
	}
	return r, nil
}
