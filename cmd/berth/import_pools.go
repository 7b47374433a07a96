package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berth-net/berth/internal/compat/nimbus"
	"github.com/berth-net/berth/internal/fleet"
)

// nimbusPools is the one kind of import that makes resources of a controller.
const nimbusPools = "nimbus-pools"

// checkPoolFlags refuses the flags that are about bindings, and --apply for
// what is not resources.
func checkPoolFlags(cmd *cobra.Command, kind string) (err error) {
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Changed {
			return
		}
		forPools := f.Name == "apply" || f.Name == "dry-run"
		switch {
		case kind == nimbusPools && !forPools:
			err = usage("--%s is for bindings; of %s resources are made", f.Name, nimbusPools)
		case kind != nimbusPools && f.Name == "apply":
			err = usage("--apply is for the resources of %s", nimbusPools)
		}
	})
	return err
}

// importPools prints the networks and pools of a workspace service, or applies
// them.
func (a *app) importPools(cmd *cobra.Command, files []string, o importOptions) error {
	inputs, err := readAll(files)
	if err != nil {
		return err
	}
	var all []fleet.Resource
	left := 0
	for _, f := range inputs {
		res, problems := nimbus.Pools(f.Name, f.Data)
		all = append(all, res...)
		for _, p := range problems {
			fmt.Fprintln(a.stderr, printable(p.Error()))
		}
		left += len(problems)
	}
	if err := a.putPools(cmd, all, o); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%d resources carried over, %d left out or to be looked at\n", len(all), left)
	if left > 0 {
		return errLeftOut
	}
	return nil
}

func (a *app) putPools(cmd *cobra.Command, all []fleet.Resource, o importOptions) error {
	if o.apply {
		return a.putAll(cmd, all, applying{"text", writeOptions{dryRun: o.dryRun}})
	}
	if o.dryRun {
		return nil
	}
	docs := make([]json.RawMessage, len(all))
	for i, r := range all {
		doc, err := fleet.Encode(r)
		if err != nil {
			return err
		}
		docs[i] = doc
	}
	return a.yamlDocuments(docs)
}
