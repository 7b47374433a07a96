package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

func (a *app) requestCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "request -f FILE",
		Short: "Ask for the NICs of several VMs, all or none",
		Long: `Ask for what the requests in a file want: each is granted as a whole or not at all. What the NICs of each VM got is printed; a refusal says which field and value it is about, and which rule of which policy refused.

To give it all back, use "berth delete request NAME".`,
		Example: "  berth request -f cluster.yaml --wait 10s",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.request(cmd, o) },
	}
	filesFlag(cmd, &o.files)
	writeFlags(cmd, &o.write)
	return withFormats(cmd, "table", "json", "yaml")
}

func (a *app) request(cmd *cobra.Command, o applyOptions) error {
	format, all, err := a.toWrite(cmd, o)
	if err != nil {
		return err
	}
	for _, r := range all {
		if h := r.Header(); h.Kind != fleet.KindRequest {
			return about(h.Kind, h.Name, &api.InvalidError{Detail: `not a request; "berth apply" takes all kinds`})
		}
	}
	c, err := a.site()
	if err != nil {
		return err
	}
	reachSite(cmd.Context(), c, o.write.wait)
	p := putter{client: c, opts: o.write.options()}
	var failed failures
	var done []outcome
	var got []*fleet.NIC
	for _, r := range all {
		nics, out, err := p.request(cmd.Context(), r)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		done, got = append(done, out), append(got, nics...)
	}
	return errOr(failed, a.printRequested(format, done, got))
}

// request puts one request, and returns the NICs that it has or would have.
func (p *putter) request(ctx context.Context, r fleet.Resource) ([]*fleet.NIC, outcome, error) {
	out, err := p.put(ctx, r)
	if err != nil {
		return nil, out, err
	}
	var nics []*fleet.NIC
	if out.Changed && p.opts.DryRun {
		for _, e := range out.Edits {
			n := new(fleet.NIC)
			if e.Kind == fleet.KindNIC && e.After != nil && json.Unmarshal(e.After, n) == nil {
				nics = append(nics, n)
			}
		}
		return nics, out, nil
	}
	nics, err = nicsOf(ctx, p.client, r)
	return nics, out, err
}

// nicsOf asks for the NICs of a request, in its own order.
func nicsOf(ctx context.Context, c *client.Client, r fleet.Resource) (nics []*fleet.NIC, err error) {
	req, ok := r.(*fleet.Request)
	if !ok {
		return nil, nil
	}
	for i := range req.VMs {
		for j := range req.VMs[i].NICs {
			n, err := nicNamed(ctx, c, req.VMs[i].NICs[j].Name)
			if err != nil {
				return nil, err
			}
			nics = append(nics, n)
		}
	}
	return nics, nil
}

func (a *app) printRequested(format string, done []outcome, nics []*fleet.NIC) error {
	if format != "table" {
		return a.structured(format, append([]*fleet.NIC{}, nics...)) // [], not null
	}
	if err := a.printOutcomes("text", done); err != nil || len(nics) == 0 {
		return err
	}
	return a.printNICs(nics)
}

// printNICs has them by their machines.
func (a *app) printNICs(nics []*fleet.NIC) error {
	w := newTable(a.stdout)
	row(w, "VM", "NIC", "NETWORK", "NODE", "INTERFACE", "MAC", "ADDRESSES")
	for _, n := range nics {
		mac, addresses := grantedOf(n)
		row(w, orDash(n.VM), printable(n.Name), orDash(n.Network), orDash(n.Node), orDash(n.Interface), mac, orDash(join(addresses)))
	}
	return w.Flush()
}
