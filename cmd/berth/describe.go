package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

// description is a resource with all that is known of it.
type description struct {
	Resource json.RawMessage  `json:"resource"`
	Status   *wire.NICStatus  `json:"status,omitempty"` // of a NIC
	Node     *wire.NodeStatus `json:"node,omitempty"`   // of a node
	Usage    *wire.Usage      `json:"usage,omitempty"`  // of a project, a network
	NICs     []*fleet.NIC     `json:"nics,omitempty"`   // of a request
}

func (a *app) describeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe KIND NAME",
		Short: "Show all that a controller knows of one resource",
		Long: `Show all that a controller knows of one resource. Of a NIC: what was asked for, what it was granted, with its network's DNS servers, where it is, and what its node says: what is installed, the last answers, frames dropped, addresses observed; or why it is not in force.

Of a node how it is connected and which NICs are not in force; of a project and a network what is in use; of a request what its VMs got.`,
		Example:           "  berth describe nic web-1",
		Args:              kindThenName,
		ValidArgsFunction: a.completeKind,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := a.format(cmd)
			if err != nil {
				return err
			}
			return a.describe(cmd, args, format)
		},
	}
	return withFormats(cmd, "text", "json", "yaml")
}

// kindThenName wants both.
func kindThenName(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usage("want a kind and a name, got %d arguments", len(args))
	}
	_, err := kindOf(args[0])
	return err
}

func (a *app) describe(cmd *cobra.Command, args []string, format string) error {
	kind, err := kindOf(args[0])
	if err != nil {
		return err
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	d, err := describe(cmd.Context(), c, kind, args[1])
	if err != nil {
		return about(kind, args[1], err)
	}
	if format != "text" {
		return a.structured(format, d)
	}
	if kind == fleet.KindNIC {
		return a.describeNIC(d)
	}
	return a.describeOther(kind, d)
}

func describe(ctx context.Context, c *client.Client, kind fleet.Kind, name string) (d description, err error) {
	if d.Resource, err = c.Get(ctx, kind, name); err != nil {
		return d, err
	}
	switch kind {
	case fleet.KindNIC:
		d.Status, err = found(c.NICStatus(ctx, name))
	case fleet.KindNode:
		d.Node, err = found(c.NodeStatus(ctx, name))
	case fleet.KindProject:
		d.Usage, err = found(c.ProjectUsage(ctx, name))
	case fleet.KindNetwork:
		d.Usage, err = found(c.NetworkUsage(ctx, name))
	case fleet.KindRequest:
		d.NICs, err = nicsOfRequest(ctx, c, d.Resource)
	default: // nothing but the resource
	}
	return d, err
}

func nicsOfRequest(ctx context.Context, c *client.Client, doc json.RawMessage) ([]*fleet.NIC, error) {
	r, err := load(fleet.KindRequest, doc)
	if err != nil {
		return nil, err
	}
	return nicsOf(ctx, c, r)
}

func found[T any](v T, err error) (*T, error) { return &v, err }

// describeOther prints the resource as it is, and what belongs to it as tables.
func (a *app) describeOther(kind fleet.Kind, d description) error {
	if err := a.structured("yaml", d.Resource); err != nil {
		return err
	}
	switch kind {
	case fleet.KindNode:
		fmt.Fprintln(a.stdout)
		return a.describeNode(d.Node)
	case fleet.KindProject, fleet.KindNetwork:
		fmt.Fprintln(a.stdout)
		return a.printUsage(*d.Usage)
	case fleet.KindRequest:
		fmt.Fprintln(a.stdout)
		return a.printNICs(d.NICs)
	default:
		return nil
	}
}

func (a *app) describeNode(n *wire.NodeStatus) error {
	w := newTable(a.stdout)
	row(w, "connected", a.connectedText(n))
	row(w, "sent", fmt.Sprintf("%d NICs, changed last at revision %d", n.NICs, n.Revision))
	states := map[string]int{}
	for _, s := range n.Status {
		states[s.State]++
	}
	for _, state := range slices.Sorted(maps.Keys(states)) {
		row(w, printable(state), strconv.Itoa(states[state]))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return a.troubled(n.Status)
}

func (a *app) connectedText(n *wire.NodeStatus) string {
	if !n.Connected || n.Alive == nil {
		return a.colour("no", "31")
	}
	return printable(fmt.Sprintf("to %s for %s, version %s, kernel %s", n.Alive.Replica, age(a.now().Sub(n.Alive.Since)),
		orDash(n.Alive.Version), orDash(n.Alive.Kernel)))
}

// troubled lists the NICs that are not in force, and why.
func (a *app) troubled(all []fleet.Status) error {
	w := newTable(a.stdout)
	first := true
	for _, s := range all {
		if s.State == string(api.InForce) {
			continue
		}
		if first {
			fmt.Fprintln(a.stdout)
			row(w, "NIC", "STATE", "REASON", "WHY")
		}
		first = false
		row(w, printable(s.NIC), a.stateWord(api.State(s.State)), orDash(s.Reason), orDash(s.Why))
	}
	return w.Flush()
}

func (a *app) describeNIC(d description) error {
	res, err := load(fleet.KindNIC, d.Resource)
	if err != nil {
		return err
	}
	n, ok := res.(*fleet.NIC)
	if !ok {
		return fmt.Errorf("the controller sent a %s", res.Header().Kind)
	}
	fmt.Fprintf(a.stdout, "%s  %s\n", printable(n.Name), a.standing(n, d.Status))
	w := newTable(a.stdout)
	describeAsked(w, n)
	describeGranted(w, n)
	if err := describeDNS(w, d.Status.Document); err != nil {
		return err
	}
	for i := range d.Status.Nodes {
		a.describeStatus(w, &d.Status.Nodes[i], d.Status.Revision)
	}
	return w.Flush()
}

// standing is in a few words whether the NIC is in force, or why it is not.
func (a *app) standing(n *fleet.NIC, s *wire.NICStatus) string {
	if s.InForce {
		return a.colour("in force", "32") + " on " + printable(n.Node)
	}
	return a.colour("not in force", "33") + ": " + whyNot(n, s)
}

func whyNot(n *fleet.NIC, s *wire.NICStatus) string {
	if n.Node == "" {
		return "it has no node"
	}
	i := slices.IndexFunc(s.Nodes, func(x fleet.Status) bool { return x.Node == n.Node })
	if i < 0 {
		return fmt.Sprintf("%s has not said anything of it", printable(n.Node))
	}
	said := s.Nodes[i]
	if said.Revision < s.Revision {
		return fmt.Sprintf("%s has revision %d of it, not yet %d", printable(n.Node), said.Revision, s.Revision)
	}
	return fmt.Sprintf("%s says %s", printable(n.Node), statusText(&said))
}

// statusText is the state with its reason.
func statusText(s *fleet.Status) string {
	text := printable(s.State)
	var why []string
	for _, part := range []string{s.Reason, s.Why} {
		if part != "" {
			why = append(why, printable(part))
		}
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, ": ") + ")"
	}
	return text
}

func describeAsked(w io.Writer, n *fleet.NIC) {
	row(w, "\nasked", "in project "+printable(n.Project))
	row(w, "  network", orDash(n.Network))
	row(w, "  node", orDash(n.Node))
	row(w, "  interface", orDash(n.Interface))
	rowIf(w, "  vm", n.VM)
	rowIf(w, "  request", n.Request)
	asked := "one of each default pool"
	if len(n.Addresses) > 0 {
		asked = listed(n.Addresses)
	}
	row(w, "  addresses", asked)
	if n.MAC != nil {
		row(w, "  mac", n.MAC.String())
	}
	rowIf(w, "  hostname", n.Hostname)
	for _, key := range slices.Sorted(maps.Keys(n.Binding)) {
		row(w, "  "+printable(key), printable(fmt.Sprint(n.Binding[key])))
	}
	if n.Migration != nil {
		row(w, "  migration", migrationText(n.Migration))
	}
}

func rowIf(w io.Writer, head, value string) {
	if value != "" {
		row(w, head, printable(value))
	}
}

func describeGranted(w io.Writer, n *fleet.NIC) {
	m := orZero(n.Meta)
	if n.Granted == nil {
		row(w, "\ngranted", "nothing")
		return
	}
	row(w, "\ngranted", printable(fmt.Sprintf("revision %d, by %s at %s", m.Revision, m.By, moment(m.Changed))))
	row(w, "  mac", n.Granted.MAC.String())
	row(w, "  addresses", orDash(join(n.Granted.Addresses)))
	rowIf(w, "  hostname", n.Granted.Hostname)
}

// describeDNS tells the DNS servers that come with the rest.
func describeDNS(w io.Writer, document json.RawMessage) error {
	var doc struct {
		DNS []netip.Addr `json:"dns"`
	}
	if len(document) == 0 {
		return nil
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return fmt.Errorf("the document that the controller sent: %w", err)
	}
	if len(doc.DNS) > 0 {
		row(w, "  dns", join(doc.DNS))
	}
	return nil
}

func (a *app) describeStatus(w io.Writer, s *fleet.Status, wanted int64) {
	row(w, "\nnode "+printable(s.Node), fmt.Sprintf("%s since %s", statusText(s), moment(s.Since)))
	row(w, "  reported", fmt.Sprintf("%s (%s ago)", moment(s.Reported), age(a.now().Sub(s.Reported))))
	revision := strconv.FormatInt(s.Revision, 10)
	if s.Revision != wanted {
		revision += fmt.Sprintf(", not %d", wanted)
	}
	row(w, "  revision", revision)
	row(w, "  sources", orDash(join(s.Sources)))
	if s.State == string(api.InForce) || s.Checked {
		row(w, "  checked", yesNo(s.Checked, "it can send with others' addresses"))
	}
	for _, t := range s.Answered {
		row(w, "  answered", printable(fmt.Sprintf("%s %s at %s", t.Message, join(t.Addresses), moment(t.Time))))
	}
	for _, why := range slices.Sorted(maps.Keys(s.Dropped)) {
		row(w, "  dropped", fmt.Sprintf("%d %s", s.Dropped[why], printable(why)))
	}
	if len(s.Observed) > 0 {
		row(w, "  observed", join(s.Observed))
	}
}
