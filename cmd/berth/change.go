package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
)

type setOptions struct {
	file   string
	dryRun bool
	wait   time.Duration
}

func (a *app) setCommand() *cobra.Command {
	var opts setOptions
	cmd := &cobra.Command{
		Use:   "set -f FILE",
		Short: "Declare the bindings in a file",
		Long: `Declare the bindings in a file, or in the standard input for "-". A file may hold several YAML documents, one for each NIC, separated by lines of "---". A document that is refused costs only its own NIC; the exit code is that of the first.

A binding that is set already is left alone. One that differs is replaced at once. Without --wait the command succeeds as soon as the binding is declared, also when its interface does not exist yet.`,
		Example: "  berth set -f tap7.yaml --wait 5s\n  berth set -f all.yaml --dry-run",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.set(cmd, opts) },
	}
	cmd.Flags().StringVarP(&opts.file, "file", "f", "", `the file, or "-"`)
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, "check, print what would change, and change nothing")
	cmd.Flags().DurationVar(&opts.wait, "wait", 0, "wait so long for each NIC to be in force")
	return withFormats(cmd, "text", "json", "yaml")
}

func (o setOptions) check(cmd *cobra.Command) error {
	switch {
	case o.file == "":
		return usage("-f FILE is missing")
	case o.dryRun && cmd.Flags().Changed("wait"):
		return usage("--dry-run changes nothing that --wait could wait for")
	case cmd.Flags().Changed("wait"):
		return checkTimeout("--wait", o.wait)
	}
	return nil
}

func checkTimeout(flag string, d time.Duration) error {
	if d <= 0 || d > api.MaxWait {
		return usage("%s %s is not above 0 and up to %s", flag, d, api.MaxWait)
	}
	return nil
}

func (a *app) set(cmd *cobra.Command, opts setOptions) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	if err := opts.check(cmd); err != nil {
		return err
	}
	docs, err := a.documents(opts.file)
	if err != nil {
		return err
	}
	var failed failures
	var changes []api.Change
	for _, d := range docs {
		change, err := a.setOne(cmd, d, opts)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		changes = append(changes, change)
	}
	return errOr(failed, a.printChanges(format, verb{"set", "would be set", "already set"}, changes...))
}

// errOr prefers what failed on the node to a failure to print.
func errOr(failed failures, err error) error {
	if len(failed) > 0 {
		return failed
	}
	return err
}

func (a *app) setOne(cmd *cobra.Command, d document, opts setOptions) (change api.Change, err error) {
	d, err = d.named()
	if err != nil {
		return change, err
	}
	if opts.wait > 0 {
		change, err = a.client().SetAndWait(cmd.Context(), d.nic, d.body, opts.wait)
	} else {
		change, err = a.client().Set(cmd.Context(), d.nic, d.body, api.SetOptions{DryRun: opts.dryRun})
	}
	if err != nil {
		return change, d.explain(err)
	}
	return change, nil
}

// printChanges writes steps to the standard output, as data, and one line for
// each NIC as a message.
func (a *app) printChanges(format string, v verb, changes ...api.Change) error {
	if format != "text" {
		return a.structured(format, append([]api.Change{}, changes...)) // [], not null
	}
	for _, c := range changes {
		fmt.Fprintf(a.stderr, "%s: %s\n", printable(c.NIC), v.text(c))
		if c.DryRun {
			a.printPlan(api.Plan{Steps: c.Steps, Waits: c.Waits})
		}
	}
	return nil
}

// verb is how a change is worded.
type verb struct{ did, would, not string }

func (v verb) text(c api.Change) string {
	text := v.not
	switch {
	case c.Changed && c.DryRun:
		text = v.would
	case c.Changed:
		text = v.did
	}
	if c.Now == nil {
		return text
	}
	return text + ", now " + stateText(*c.Now)
}

// stateText is the state with why it is so, unless that says the same.
func stateText(n api.NIC) string {
	why := whyText(n)
	if why == "" {
		return printable(string(n.State))
	}
	if strings.HasPrefix(why, string(n.State)+": ") {
		return why
	}
	return fmt.Sprintf("%s (%s)", n.State, why)
}

func (a *app) deleteCommand() *cobra.Command {
	var sel selection
	var r removal
	cmd := &cobra.Command{
		Use:   "delete NIC | --mac MAC | --address ADDRESS | KIND NAME... | -f FILE",
		Short: "Withdraw a binding, or remove a controller's resources",
		Long: `Withdraw the binding of the NIC with this name, MAC or address from this host's berthd. An address is one of its own, or one in a prefix that is wholly its own. As long as its interface lives, the NIC is closed then: nothing passes. To let it pass unfiltered, use release.

With a kind and names, or the resources in a file, remove them at the controller. What something else uses is not removed, and it is said what does.

Deleting what is not there succeeds and says so.`,
		Example:           "  berth delete tap7\n  berth delete nic web-1\n  berth delete request cluster",
		ValidArgsFunction: a.completeDelete,
		Args: func(_ *cobra.Command, args []string) error {
			if r.asked(args) {
				return r.check(args, sel)
			}
			return checkSelection(args, sel.mac, sel.address, r.dryRun)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.asked(args) {
				return a.remove(cmd, args, r)
			}
			return a.delete(cmd, append(args, "")[0], sel)
		},
	}
	cmd.Flags().StringVar(&sel.mac, "mac", "", "the NIC with this MAC address")
	cmd.Flags().StringVar(&sel.address, "address", "", "the NIC with this IP address, of either family")
	filesFlag(cmd, &r.files)
	forceFlag(cmd, &r.force)
	cmd.Flags().BoolVar(&r.dryRun, "dry-run", false, "at a controller: decide, and remove nothing")
	return withFormats(cmd, "text", "json", "yaml")
}

type selection struct{ mac, address string }

func checkSelection(args []string, mac, address string, dryRun bool) error {
	if dryRun {
		return usage("--dry-run is for a controller's resources")
	}
	given := len(args)
	for _, s := range []string{mac, address} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return usage("want either one NIC, or --mac, or --address")
	}
	return nil
}

func (a *app) delete(cmd *cobra.Command, name string, sel selection) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	if name == "" {
		name, err = a.find(cmd, sel)
		if err != nil {
			return err
		}
	}
	words := verb{"deleted", "", "nothing to delete"}
	if name == "" {
		fmt.Fprintf(a.stderr, "no NIC has %s: nothing to delete\n", printable(sel.mac+sel.address))
		return a.printChanges(format, words)
	}
	change, err := a.client().Delete(cmd.Context(), name)
	if err != nil {
		return err
	}
	return a.printChanges(format, words, change)
}

// find returns the NIC's name, or "" if there is none. Networks may use the
// same address twice: which one is meant must be said by name then.
func (a *app) find(cmd *cobra.Command, sel selection) (string, error) {
	query, err := sel.parse()
	if err != nil {
		return "", err
	}
	nics, err := a.client().Find(cmd.Context(), query)
	if err != nil {
		return "", err
	}
	var names []string
	for _, n := range nics {
		names = append(names, n.Name)
	}
	if len(names) > 1 {
		return "", fmt.Errorf("%w: %s is held by %s: say which by its name", api.ErrConflict, sel.mac+sel.address, strings.Join(names, ", "))
	}
	return append(names, "")[0], nil
}

func (s selection) parse() (q api.Selector, err error) {
	if s.mac != "" {
		m, err := nic.ParseMAC(s.mac)
		if err != nil {
			return q, usage("--mac: %w", err)
		}
		return api.Selector{MAC: &m}, nil
	}
	q.Address, err = netip.ParseAddr(s.address)
	if err != nil {
		return q, usage("--address: %q is not an IP address", s.address)
	}
	return q, nil
}

func (a *app) releaseCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "release NIC --yes",
		Short: "Hand a NIC back to be unmanaged: it is no longer filtered",
		Long: `Remove the guard of a NIC and manage it no longer. Whoever is behind it can then send with any address; nothing answers its DHCP.

A NIC that is still declared by another source than the socket is refused: it would be guarded again at once.`,
		Args:              oneNIC,
		ValidArgsFunction: a.completeNICs,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := a.format(cmd)
			if err != nil {
				return err
			}
			if !yes {
				return usage("%s would not be filtered any more; confirm with --yes", args[0])
			}
			change, err := a.client().Release(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printChanges(format, verb{"released", "", "nothing to release"}, change)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the NIC shall not be filtered any more")
	return withFormats(cmd, "text", "json", "yaml")
}

type attachOptions struct {
	file    string
	wait    bool
	timeout time.Duration
}

func (a *app) attachCommand() *cobra.Command {
	var opts attachOptions
	cmd := &cobra.Command{
		Use:   "attach NIC --wait",
		Short: "Succeed only if a NIC is in force, for the hook that starts its VM",
		Long: `Succeed only if guard and answers of the NIC are in the kernel, so that its VM may start. With -f, declare its binding first. With --wait, wait for it, and for berthd if that is only starting; without, say how it is now.

A NIC in force from the last good version of its file ("stale") counts as in force.`,
		Example:           "  berth attach \"$INTERFACE\" --wait --timeout 10s || exit 1",
		Args:              oneNIC,
		ValidArgsFunction: a.completeNICs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkTimeout("--timeout", opts.timeout); err != nil {
				return err
			}
			return a.attach(cmd, args[0], opts)
		},
	}
	cmd.Flags().StringVarP(&opts.file, "file", "f", "", `declare the binding in this file, or in "-", first`)
	cmd.Flags().BoolVar(&opts.wait, "wait", false, "wait until it is in force")
	cmd.Flags().DurationVar(&opts.timeout, "timeout", 10*time.Second, "how long to wait")
	return withFormats(cmd, "text", "json", "yaml")
}

func (a *app) attach(cmd *cobra.Command, name string, opts attachOptions) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	if opts.wait {
		opts.timeout = a.reach(cmd.Context(), opts.timeout)
	}
	if opts.file != "" {
		if err := a.declare(cmd, name, opts.file); err != nil {
			return err
		}
	}
	n, err := a.inForce(cmd, name, opts)
	if err != nil {
		return err
	}
	if format != "text" {
		return a.structured(format, n)
	}
	fmt.Fprintf(a.stderr, "%s: %s\n", printable(n.Name), n.State)
	return nil
}

// reach waits for berthd itself, which may be starting at this moment, and
// returns what is left of the time. Whatever is still wrong then, the next call
// will say.
func (a *app) reach(ctx context.Context, limit time.Duration) (left time.Duration) {
	const least = 100 * time.Millisecond // for the call that tells what is wrong
	begun := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for left = limit; ; left = limit - time.Since(begun) {
		if left <= 0 {
			return least
		}
		if _, err := a.client().Status(ctx); !errors.Is(err, api.ErrUnreachable) {
			return left
		}
		select {
		case <-ctx.Done():
			return least
		case <-tick.C:
		}
	}
}

// declare sets the only binding of a file; it has to be that of the NIC.
func (a *app) declare(cmd *cobra.Command, name, file string) error {
	docs, err := a.documents(file)
	if err != nil {
		return err
	}
	if len(docs) > 1 {
		return &api.InvalidError{Detail: fmt.Sprintf("%s has %d documents, attach takes one", docs[0].file, len(docs))}
	}
	d, err := docs[0].named()
	if err != nil {
		return err
	}
	if d.nic != name {
		return &api.InvalidError{Detail: fmt.Sprintf("%s is the binding of %s, not of %s", d.file, d.nic, name)}
	}
	_, err = a.client().Set(cmd.Context(), name, d.body, api.SetOptions{})
	if err != nil {
		return d.explain(err)
	}
	return nil
}

func (a *app) inForce(cmd *cobra.Command, name string, opts attachOptions) (api.NIC, error) {
	if opts.wait {
		return a.client().Wait(cmd.Context(), name, opts.timeout)
	}
	n, err := a.client().NIC(cmd.Context(), name)
	if err != nil || n.State == api.InForce || n.State == api.Stale {
		return n, err
	}
	return n, &notInForce{n}
}

// notInForce exits like a wait that ended.
type notInForce struct{ nic api.NIC }

func (e *notInForce) Error() string {
	return fmt.Sprintf("%s is not in force: %s", e.nic.Name, stateText(e.nic))
}
func (e *notInForce) Is(target error) bool { return target == api.ErrTimeout }
