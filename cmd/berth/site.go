package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

// What all commands have that ask a controller.

// kindOf reads a kind of resources: singular or plural, in either case.
func kindOf(text string) (fleet.Kind, error) {
	var names []string
	for _, k := range fleet.Kinds() {
		if s := strings.ToLower(text); s == string(k) || s == k.Plural() {
			return k, nil
		}
		names = append(names, string(k))
	}
	return "", usage("%q is no kind of resource: want one of %s", text, strings.Join(names, ", "))
}

// exactly wants so many arguments, which are called what.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("want %s, got %d arguments", what, len(args))
		}
		return nil
	}
}

// label is how a resource is called in messages: "nic/web-1".
func label(k fleet.Kind, name string) string { return string(k) + "/" + printable(name) }

// aboutError says which resource an error is about.
type aboutError struct {
	kind fleet.Kind
	name string
	err  error
}

func (e *aboutError) Error() string { return label(e.kind, e.name) + ": " + e.err.Error() }
func (e *aboutError) Unwrap() error { return e.err }

func about(k fleet.Kind, name string, err error) error {
	if err == nil {
		return nil
	}
	return &aboutError{k, name, err}
}

// load reads what a controller sent.
func load(k fleet.Kind, doc json.RawMessage) (fleet.Resource, error) {
	res, err := fleet.Load(k, doc)
	return res, about(k, "of the controller", err)
}

// nicNamed returns one NIC.
func nicNamed(ctx context.Context, c *client.Client, name string) (*fleet.NIC, error) {
	return fetch[fleet.NIC](ctx, c, fleet.KindNIC, name)
}

// asRefusal is a controller's own no.
func asRefusal(err error) (*client.Error, bool) { return errors.AsType[*client.Error](err) }

func isNotFound(err error) bool { return errors.Is(err, client.ErrNotFound) }

// fetch returns one resource as what it is.
func fetch[T any](ctx context.Context, c *client.Client, k fleet.Kind, name string) (*T, error) {
	doc, err := c.Get(ctx, k, name)
	if err != nil {
		return nil, about(k, name, err)
	}
	v := new(T)
	return v, about(k, name, json.Unmarshal(doc, v))
}

// completeKind offers the kinds, then the names of that kind.
func (a *app) completeKind(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		var all []string
		for _, k := range fleet.Kinds() {
			all = append(all, string(k))
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	case 1:
		if k, err := kindOf(args[0]); err == nil {
			return a.namesOf(cmd, k), cobra.ShellCompDirectiveNoFileComp
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeOne offers the names of one kind for the first argument.
func (a *app) completeOne(k fleet.Kind) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.namesOf(cmd, k), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag offers the names of one kind as values of a flag.
func (a *app) completeFlag(cmd *cobra.Command, flag string, k fleet.Kind) {
	complete := func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.namesOf(cmd, k), cobra.ShellCompDirectiveNoFileComp
	}
	// The only error is that the flag does not exist.
	_ = cmd.RegisterFlagCompletionFunc(flag, complete)
}

// namesOf asks for one page of names: nobody looks through more. A controller
// that is not there, or slow, offers nothing.
func (a *app) namesOf(cmd *cobra.Command, k fleet.Kind) []string {
	c, err := a.site()
	if err != nil {
		return nil
	}
	ctx, cancel := contextFor(cmd, completionTime)
	defer cancel()
	page, err := c.List(ctx, k, client.Query{})
	if err != nil {
		return nil
	}
	var names []string
	for _, doc := range page.Items {
		var head fleet.Head
		if json.Unmarshal(doc, &head) == nil {
			names = append(names, printable(head.Name))
		}
	}
	return names
}

// resources returns all of a kind that a query selects.
func resources(ctx context.Context, c *client.Client, k fleet.Kind, q client.Query) (docs []json.RawMessage, all []fleet.Resource, err error) {
	for doc, err := range c.All(ctx, k, q) {
		if err != nil {
			return nil, nil, err
		}
		res, err := load(k, doc)
		if err != nil {
			return nil, nil, err
		}
		docs, all = append(docs, doc), append(all, res)
	}
	return docs, all, nil
}

// words joins what is quoted by nobody, or gives a dash.
func listed[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = printable(string(s))
	}
	return orDash(strings.Join(texts, ","))
}

// pairs prints a map as key=value, ordered.
func pairs[V any](m map[string]V) string {
	var all []string
	for k, v := range m {
		all = append(all, printable(fmt.Sprintf("%s=%v", k, v)))
	}
	slices.Sort(all)
	return orDash(strings.Join(all, ","))
}
