package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (a *app) nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node COMMAND",
		Short: "Manage the nodes of a controller",
		Args:  a.noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.nodeAdd(), a.nodeList(), a.nodeToken(),
		a.nodeState("enable", "Let a node have new NICs", fleet.NodeEnabled),
		a.nodeState("drain", "Let a node keep its NICs and have no new ones", fleet.NodeDraining),
		a.nodeState("disable", "Tell a node nothing more: its NICs keep what they have", fleet.NodeDisabled),
		a.nodeNetworks(),
	)
	return cmd
}

func (a *app) nodeAdd() *cobra.Command {
	var networks []string
	cmd := &cobra.Command{
		Use:     "add NAME",
		Short:   "Add a node",
		Long:    `Add a node. It takes part once it is enrolled, with the token of "berth node token".`,
		Example: "  berth node add n1 --network lan --network storage",
		Args:    exactly(1, "the name of a node"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.putNode(cmd, args[0], func(n *fleet.Node, exists bool) error {
				if exists {
					return fmt.Errorf("%w: there is a node %s", api.ErrConflict, args[0])
				}
				n.Networks = networks
				return nil
			})
		},
	}
	cmd.Flags().StringArrayVar(&networks, "network", nil, "network that it serves; all unless given, may be given several times")
	a.completeFlag(cmd, "network", fleet.KindNetwork)
	return cmd
}

func (a *app) nodeState(verb, short string, state fleet.NodeState) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " NAME",
		Short:             short,
		Args:              exactly(1, "the name of a node"),
		ValidArgsFunction: a.completeOne(fleet.KindNode),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.putNode(cmd, args[0], mustExist(func(n *fleet.Node) { n.State = state }))
		},
	}
}

func (a *app) nodeNetworks() *cobra.Command {
	return &cobra.Command{
		Use:   "networks NAME NETWORK...",
		Short: `Say which networks a node serves; "*" stands for all`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage(`want a node and its networks, or "*"`)
			}
			return nil
		},
		ValidArgsFunction: a.completeNodeNetworks,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.putNode(cmd, args[0], mustExist(func(n *fleet.Node) { n.Networks = args[1:] }))
		},
	}
}

func (a *app) completeNodeNetworks(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	kind := fleet.KindNetwork
	if len(args) == 0 {
		kind = fleet.KindNode
	}
	return a.namesOf(cmd, kind), cobra.ShellCompDirectiveNoFileComp
}

// nodeChange changes a node, or an empty one if it does not exist.
type nodeChange func(n *fleet.Node, exists bool) error

func mustExist(change func(n *fleet.Node)) nodeChange {
	return func(n *fleet.Node, exists bool) error {
		if !exists {
			return fmt.Errorf("%w: add it first", client.ErrNotFound)
		}
		change(n)
		return nil
	}
}

// putNode reads, changes and writes a node; a change by somebody else in
// between is not undone, but refused.
func (a *app) putNode(cmd *cobra.Command, name string, change nodeChange) error {
	c, err := a.site()
	if err != nil {
		return err
	}
	n, exists, err := nodeNamed(cmd.Context(), c, name)
	if err == nil {
		err = about(fleet.KindNode, name, change(n, exists))
	}
	if err != nil {
		return err
	}
	p := putter{client: c}
	out, err := p.put(cmd.Context(), n)
	if err != nil {
		return err
	}
	return a.printOutcomes("text", []outcome{out})
}

func nodeNamed(ctx context.Context, c *client.Client, name string) (n *fleet.Node, exists bool, err error) {
	n, err = fetch[fleet.Node](ctx, c, fleet.KindNode, name)
	if isNotFound(err) {
		return &fleet.Node{Head: fleet.Head{Kind: fleet.KindNode, Name: name}}, false, nil
	}
	return n, err == nil, err
}

func (a *app) nodeToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "token NAME",
		Short:             "Make a token with which a node enrols, once",
		Long:              `Make a token for "berth enrol", which is run on the node. It is good once, and for a short time. Whoever has it becomes that node.`,
		Example:           "  ssh n1 berth enrol https://head:7443 $(berth node token n1)",
		Args:              exactly(1, "the name of a node"),
		ValidArgsFunction: a.completeOne(fleet.KindNode),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.token(cmd, args[0]) },
	}
	return withFormats(cmd, "text", "json", "yaml")
}

func (a *app) token(cmd *cobra.Command, name string) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	t, err := c.NodeToken(cmd.Context(), name)
	if err != nil {
		return about(fleet.KindNode, name, err)
	}
	if format != "text" {
		return a.structured(format, t)
	}
	fmt.Fprintf(a.stderr, "good once, until %s\n", stamp(t.Expires))
	fmt.Fprintln(a.stdout, printable(t.Token))
	return nil
}

func (a *app) nodeList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the nodes, and whether each is connected",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := a.format(cmd)
			if err != nil {
				return err
			}
			return a.listNodes(cmd, format)
		},
	}
	return withFormats(cmd, "table", "json", "yaml", "name")
}

// listedNode is a node with how it is.
type listedNode struct {
	*fleet.Node
	Status wire.NodeStatus `json:"status"`
}

func (a *app) listNodes(cmd *cobra.Command, format string) error {
	c, err := a.site()
	if err != nil {
		return err
	}
	_, all, err := resources(cmd.Context(), c, fleet.KindNode, client.Query{})
	if err != nil {
		return err
	}
	if format == "name" {
		return a.printResources(fleet.KindNode, all, tableStyle{format: format})
	}
	nodes, err := statuses(cmd.Context(), c, all)
	if err != nil {
		return err
	}
	if format != "table" {
		return a.structured(format, nodes)
	}
	w := newTable(a.stdout)
	row(w, "NODE", "STATE", "CONNECTED", "NICS", "IN-FORCE", "VERSION", "NETWORKS")
	for _, n := range nodes {
		alive := orZero(n.Status.Alive)
		row(w, printable(n.Name), orDash(string(n.State)), a.connectedFor(n.Status), strconv.Itoa(n.Status.NICs),
			strconv.Itoa(inForceOf(n.Status.Status)), orDash(alive.Version), listed(n.Networks))
	}
	return w.Flush()
}

// statuses asks for each node's, a few at a time.
func statuses(ctx context.Context, c *client.Client, all []fleet.Resource) ([]listedNode, error) {
	const atOnce = 8
	nodes := make([]listedNode, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, r := range all {
		n, ok := r.(*fleet.Node)
		if !ok {
			continue
		}
		nodes[i].Node = n
		g.Go(func() (err error) {
			nodes[i].Status, err = c.NodeStatus(ctx, n.Name)
			return about(fleet.KindNode, n.Name, err)
		})
	}
	return nodes, g.Wait()
}

func (a *app) connectedFor(s wire.NodeStatus) string {
	if !s.Connected || s.Alive == nil {
		return "no"
	}
	return age(a.now().Sub(s.Alive.Since))
}

func inForceOf(all []fleet.Status) int {
	return len(slices.DeleteFunc(slices.Clone(all), func(s fleet.Status) bool { return s.State != string(api.InForce) }))
}
