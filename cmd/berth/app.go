package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
)

// app is one run: its environment and its global flags.
type app struct {
	env
	socket  string
	context string
	output  string
}

// formats is the annotation that says which values of -o a command knows, its
// default first.
const formats = "formats"

// root builds the whole tree anew, so that nothing is left from another run.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "berth",
		Short:             "Ask and tell berthd about the NICs of this host, or a controller about those of all",
		Long:              rootLong + "\n\n" + exitText(),
		Args:              a.noSuchCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: a.checkOutput,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // ours knows a wrong shell
		DisableAutoGenTag: true,                                             // man pages are reproducible
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%w", err) })
	a.globalFlags(root)
	root.AddCommand(
		a.listCommand(), a.showCommand(), a.statusCommand(), a.eventsCommand(), a.planCommand(), a.traceCommand(), a.reasonsCommand(),
		a.setCommand(), a.deleteCommand(), a.releaseCommand(), a.attachCommand(), a.nimbusCommand(), a.importCommand(),
		a.ganetiCommand(),
		a.contextCommand(), a.getCommand(), a.describeCommand(), a.watchCommand(), a.quotaCommand(), a.usageCommand(), a.whoHasCommand(), a.whoHadCommand(),
		a.historyCommand(), a.diffCommand(), a.applyCommand(), a.requestCommand(), a.migrateCommand(), a.restoreCommand(), a.nodeCommand(),
		a.policyCommand(), a.exportCommand(), a.enrolCommand(),
		a.completionCommand(), a.versionCommand(), a.manCommand(),
	)
	return root
}

const rootLong = `berth gives every virtual NIC of this host its fixed network identity, enforces it, and explains.

This command asks the agent, berthd, over its unix socket. Who may do that is decided by the owner, group and mode of the socket. Nouns and "list", "show", "status", "events", "plan", "trace" and "reasons" only read; "set", "delete", "release" and "attach" change something.

What is about many hosts asks a controller: "get", "describe", "watch", "quota", "usage", "who-has", "who-had", "history" and "diff" only read; "apply", "request", "migrate", "restore", "node", and "delete" with a kind change something. "berth context" says which controller, and who asks.

Data goes to the standard output, messages to the standard error.

A NIC is protected only while it is in force: a name that berthd does not manage, and a NIC that was released, are not filtered at all, and a binding with its checks off is not protected against spoofing.`

func (a *app) globalFlags(root *cobra.Command) {
	socket := a.getenv("BERTH_SOCKET")
	if socket == "" {
		socket = a.berthd
	}
	root.PersistentFlags().StringVar(&a.socket, "socket", socket, "berthd's socket; BERTH_SOCKET sets the default")
	root.PersistentFlags().StringVar(&a.context, "context", a.getenv("BERTH_CONTEXT"), "the controller that is asked, see context; BERTH_CONTEXT sets the default")
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "", "output format; each command says which it knows")
	complete := func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return known(cmd), cobra.ShellCompDirectiveNoFileComp
	}
	// The only error is that the flag does not exist.
	_ = root.RegisterFlagCompletionFunc("output", complete)
	contexts := func(cmd *cobra.Command, _ []string, s string) ([]string, cobra.ShellCompDirective) {
		return a.completeContexts(cmd, nil, s)
	}
	_ = root.RegisterFlagCompletionFunc("context", contexts)
}

// noSuchCommand sees what is no command, since every command has its own Args.
func (*app) noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usage("there is no command %q; is it %s?", args[0], strings.Join(near, " or "))
	}
	return usage("there is no command %q", args[0])
}

func (a *app) client() *api.Client { return api.NewClient(a.socket) }

// withFormats notes what -o may be; without it, a command takes no -o.
func withFormats(cmd *cobra.Command, names ...string) *cobra.Command {
	cmd.Annotations = map[string]string{formats: strings.Join(names, " ")}
	cmd.Long = strings.TrimSpace(cmd.Long + "\n\nOutput formats (-o): " + strings.Join(names, ", ") + ".")
	return cmd
}

func known(cmd *cobra.Command) []string { return strings.Fields(cmd.Annotations[formats]) }

// checkOutput refuses an -o that would be ignored.
func (a *app) checkOutput(cmd *cobra.Command, _ []string) error {
	if a.output != "" && len(known(cmd)) == 0 {
		return usage("%s has no output formats", cmd.Name())
	}
	return nil
}

// format checks -o, and gives the default for none.
func (a *app) format(cmd *cobra.Command) (string, error) {
	names := known(cmd)
	switch {
	case a.output == "":
		return names[0], nil
	case slices.Contains(names, a.output):
		return a.output, nil
	}
	return "", usage("-o %s is not one of %s", a.output, strings.Join(names, ", "))
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("unexpected argument %q", args[0])
	}
	return nil
}

func oneNIC(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("want the name of one NIC, got %d arguments", len(args))
	}
	return nil
}

// completeNICs asks the agent for names; without one there is nothing to offer.
func (a *app) completeNICs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := contextFor(cmd, completionTime)
	defer cancel()
	nics, err := a.client().NICs(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, 0, len(nics))
	for _, n := range nics {
		names = append(names, fmt.Sprintf("%s\t%s", n.Name, n.State))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
