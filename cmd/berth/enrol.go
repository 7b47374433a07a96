package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/source/controller"
)

func (a *app) enrolCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "enrol URL TOKEN",
		Short:   "Make this host a node of a controller",
		Long:    `Make this host the node that a token of "berth node token" is for. A key is made here, and never leaves; the controller signs a certificate for it, after it has shown the CA that the token names. berthd notices, and needs no restart.`,
		Example: "  berth enrol https://head:7443 $TOKEN",
		Args:    exactly(2, "a controller's URL and a token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := controller.Enrol(cmd.Context(), dir, args[0], args[1])
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "this is node %s of %s, until %s; berthd renews that\n",
				printable(e.Node), printable(strings.Join(e.Controllers, ", ")), stamp(e.Expires))
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", controller.DefaultDir, "where berthd looks for what a node needs")
	return cmd
}
