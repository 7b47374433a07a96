package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (a *app) watchCommand() *cobra.Command {
	var from int64
	cmd := &cobra.Command{
		Use:               "watch [KIND]",
		Short:             "Follow what changes at a controller, until interrupted",
		Long:              `Follow what changes at a controller, of all kinds or of one, until interrupted. With --from also what changed behind that revision, if it is not too long ago. If the controller ends, so does this, with 6; the last revision printed is where to go on, at any replica.`,
		Example:           "  berth watch nics -o json | jq -r 'select(.type == \"delete\") | .name'",
		Args:              perhapsOneKind,
		ValidArgsFunction: a.completeKind,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.watch(cmd, args, from) },
	}
	cmd.Flags().Int64Var(&from, "from", 0, "begin behind this revision")
	return withFormats(cmd, "text", "json")
}

func perhapsOneKind(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("want one kind or none, got %d arguments", len(args))
	}
	if len(args) == 0 {
		return nil
	}
	_, err := kindOf(args[0])
	return err
}

func (a *app) watch(cmd *cobra.Command, args []string, from int64) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	var kind fleet.Kind
	if len(args) > 0 {
		if kind, err = kindOf(args[0]); err != nil {
			return err
		}
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	for e, err := range c.Watch(cmd.Context(), kind, from) {
		if cmd.Context().Err() != nil {
			return nil // interrupted, as it was meant to be
		}
		if err != nil {
			return ended(err)
		}
		if err := a.printChange(format, e); err != nil {
			return err
		}
	}
	return nil
}

// ended words the end of a watch that nobody wanted.
func ended(err error) error {
	if _, refused := asRefusal(err); refused {
		return err
	}
	return fmt.Errorf("%w any more: %w", client.ErrUnreachable, err)
}

func (a *app) printChange(format string, e client.Event) error {
	if format == "json" {
		raw, err := json.Marshal(e)
		if err == nil {
			_, err = fmt.Fprintf(a.stdout, "%s\n", escapeJSON(raw))
		}
		return err
	}
	text := fmt.Sprintf("%d  %s  %s", e.Revision, printable(string(e.Type)), label(e.Kind, e.Name))
	if e.Type == wire.Put && e.Resource != nil {
		res, err := load(e.Kind, *e.Resource)
		if err != nil {
			return err
		}
		text += "  " + strings.Join(cellsOf(res)[1:], "  ")
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}
