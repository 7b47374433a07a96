package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (a *app) contextCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context COMMAND",
		Short: "Say which controller is asked, and who asks",
		Long: `A context is the URL of a controller with the names of the files that are needed to be recognised there. The contexts of a user are in ~/.config/berth/contexts.yaml. The one in use is that of --context, else of the environment's BERTH_CONTEXT, else of "berth context use".

Without any, the controller of this host is asked over its socket, ` + wire.DefaultSocket + `, where root needs nothing else.`,
		Args: a.noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.contextAdd(), a.contextUse(), a.contextList(), a.contextShow(), a.contextRemove())
	return cmd
}

func (a *app) contextAdd() *cobra.Command {
	var s siteContext
	var replace bool
	cmd := &cobra.Command{
		Use:   "add NAME URL",
		Short: "Add a controller",
		Long: `Add a controller. Its URL is https://HOST:7443, or unix:PATH for a socket. The first context is in use at once.

A token is read from its file each time, so that it may be an OIDC token which another program renews. Files with a key or a token must not be readable by everybody.`,
		Example: "  berth context add lab https://head:7443 --ca site-ca.pem --token-file ~/.config/berth/lab.token",
		Args:    exactly(2, "a name and a URL"),
		RunE: func(_ *cobra.Command, args []string) error {
			s.Name, s.URL = args[0], args[1]
			return a.addContext(s, replace)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.CA, "ca", "", "file with the site's CA; without it, those that the system trusts")
	f.StringVar(&s.Certificate, "certificate", "", "file with the user's certificate")
	f.StringVar(&s.Key, "key", "", "file with its key")
	f.StringVar(&s.TokenFile, "token-file", "", "file with a token: a static one, or one of OIDC")
	f.BoolVar(&replace, "replace", false, "put it in the place of the one of that name")
	return cmd
}

func (a *app) addContext(s siteContext, replace bool) error {
	if err := s.absolute(); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	all, err := a.readContexts()
	if err != nil {
		return err
	}
	i, err := all.find(s.Name)
	switch {
	case err != nil:
		all.Contexts = append(all.Contexts, s)
	case !replace:
		return fmt.Errorf("%w: there is a context %s; --replace takes its place", api.ErrConflict, s.Name)
	default:
		all.Contexts[i] = s
	}
	if all.Current == "" {
		all.Current = s.Name
	}
	return a.writeContexts(all)
}

func (a *app) contextUse() *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Choose the controller that is asked from now on",
		Args:              exactly(1, "the name of a context"),
		ValidArgsFunction: a.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeContexts(args[0], func(all *contexts, _ int) { all.Current = args[0] })
		},
	}
}

func (a *app) contextRemove() *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Short:             "Forget a controller",
		Long:              "Forget a controller. The files that its context names are left alone. If it is in use, none is from then on.",
		Args:              exactly(1, "the name of a context"),
		ValidArgsFunction: a.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.changeContexts(args[0], func(all *contexts, i int) {
				all.Contexts = slices.Delete(all.Contexts, i, i+1)
				if all.Current == args[0] {
					all.Current = ""
				}
			})
		},
	}
}

func (a *app) changeContexts(name string, change func(all *contexts, i int)) error {
	all, err := a.readContexts()
	if err != nil {
		return err
	}
	i, err := all.find(name)
	if err != nil {
		return err
	}
	change(&all, i)
	return a.writeContexts(all)
}

func (a *app) contextList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the controllers; * is in use",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := a.format(cmd)
			if err != nil {
				return err
			}
			all, err := a.readContexts()
			if err != nil {
				return err
			}
			return a.printContexts(format, all)
		},
	}
	return withFormats(cmd, "table", "json", "yaml", "name")
}

func (a *app) printContexts(format string, all contexts) error {
	switch format {
	case "json", "yaml":
		return a.structured(format, all)
	case "name":
		for _, name := range all.names() {
			fmt.Fprintln(a.stdout, printable(name))
		}
		return nil
	}
	used := all.Current
	if a.context != "" {
		used = a.context
	}
	w := newTable(a.stdout)
	row(w, "USED", "NAME", "URL", "AS")
	for _, s := range all.Contexts {
		mark := ""
		if s.Name == used {
			mark = "*"
		}
		row(w, mark, printable(s.Name), printable(s.URL), printable(s.credential()))
	}
	return w.Flush()
}

func (s siteContext) credential() string {
	switch {
	case s.Certificate != "":
		return "certificate " + s.Certificate
	case s.TokenFile != "":
		return "token " + s.TokenFile
	case strings.HasPrefix(s.URL, "unix:"):
		return "this host's user"
	}
	return "nobody"
}

// contextView is what `context show` tells.
type contextView struct {
	siteContext `json:",inline"`
	You         wire.Whoami `json:"you"`
}

func (a *app) contextShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the context in use, and ask its controller who that is",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := a.format(cmd)
			if err != nil {
				return err
			}
			return a.showContext(cmd, format)
		},
	}
	return withFormats(cmd, "text", "json", "yaml")
}

func (a *app) showContext(cmd *cobra.Command, format string) error {
	s, err := a.chosen()
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	you, err := c.Whoami(cmd.Context())
	if err != nil {
		return err
	}
	if format != "text" {
		return a.structured(format, contextView{s, you})
	}
	w := newTable(a.stdout)
	row(w, "context", orDash(s.Name))
	row(w, "url", printable(s.URL))
	row(w, "as", printable(s.credential()))
	row(w, "you", printable(you.Kind+" "+you.Name))
	row(w, "groups", orDash(strings.Join(you.Groups, ", ")))
	row(w, "roles", orDash(strings.Join(rolesOf(you), ", ")))
	return w.Flush()
}

func rolesOf(you wire.Whoami) (all []string) {
	for project, role := range you.Roles {
		all = append(all, role+" of "+project)
	}
	slices.Sort(all)
	if you.Operator {
		all = append([]string{"operator of the site"}, all...)
	}
	return all
}

func (a *app) completeContexts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := a.readContexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return all.names(), cobra.ShellCompDirectiveNoFileComp
}
