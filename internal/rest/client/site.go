package client

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

// Whoami returns who the controller takes the client for.
func (c *Client) Whoami(ctx context.Context) (w wire.Whoami, err error) {
	return w, c.call(ctx, get("/v1/whoami", nil), &w)
}

// Ready fails unless the controller has read the whole site.
func (c *Client) Ready(ctx context.Context) (h wire.Health, err error) {
	return h, c.call(ctx, get("/readyz", nil), &h)
}

// NICStatus returns what the nodes say of a NIC.
func (c *Client) NICStatus(ctx context.Context, name string) (s wire.NICStatus, err error) {
	p, err := path(fleet.KindNIC, name)
	if err != nil {
		return s, err
	}
	return s, c.call(ctx, get(p+"/status", nil), &s)
}

// NodeStatus returns how a node is connected, and what it says of its NICs.
func (c *Client) NodeStatus(ctx context.Context, name string) (s wire.NodeStatus, err error) {
	p, err := path(fleet.KindNode, name)
	if err != nil {
		return s, err
	}
	return s, c.call(ctx, get(p+"/status", nil), &s)
}

// HistoryQuery selects revisions by what is not zero.
type HistoryQuery struct {
	Kind     fleet.Kind
	Name     string
	Actor    string
	From, To time.Time
	Limit    int
}

// History returns changes, newest first.
func (c *Client) History(ctx context.Context, h HistoryQuery) ([]fleet.Revision, error) {
	q := url.Values{}
	set(q, "kind", string(h.Kind))
	set(q, "name", h.Name)
	set(q, "actor", h.Actor)
	setTime(q, "from", h.From)
	setTime(q, "to", h.To)
	setInt(q, "limit", int64(h.Limit))
	var list wire.Items[fleet.Revision]
	err := c.call(ctx, get("/v1/history", q), &list)
	return list.Items, err
}

func setTime(v url.Values, key string, t time.Time) {
	if !t.IsZero() {
		v.Set(key, t.Format(time.RFC3339Nano))
	}
}

// WhoHad returns who had an address at a time, or, for a zero time, ever;
// newest first. The network may be left out if only one has the address.
func (c *Client) WhoHad(ctx context.Context, address netip.Addr, network string, at time.Time) ([]fleet.Tenure, error) {
	q := url.Values{"address": {address.String()}}
	set(q, "network", network)
	setTime(q, "at", at)
	var list wire.Items[fleet.Tenure]
	err := c.call(ctx, get("/v1/who-had", q), &list)
	return list.Items, err
}

// Diff returns what changed between two moments, each a revision's number or a
// time as in RFC 3339. No `to` is now.
func (c *Client) Diff(ctx context.Context, from, to string) (d wire.Diff, err error) {
	q := url.Values{"from": {from}}
	set(q, "to", to)
	return d, c.call(ctx, get("/v1/diff", q), &d)
}

// Restore puts a resource back to what it was right after a revision.
func (c *Client) Restore(ctx context.Context, r wire.Restore, o WriteOptions) (w Written, err error) {
	doc, err := json.Marshal(r)
	if err != nil {
		return w, err
	}
	return w, c.call(ctx, o.request("POST", "/v1/restore", doc), &w)
}

// Decisions returns what policies answered, newest first.
func (c *Client) Decisions(ctx context.Context, project string, limit int) ([]fleet.Decision, error) {
	q := url.Values{}
	set(q, "project", project)
	setInt(q, "limit", int64(limit))
	var list wire.Items[fleet.Decision]
	err := c.call(ctx, get("/v1/decisions", q), &list)
	return list.Items, err
}

// TestPolicies returns one verdict for each input (policy.Input as JSON).
func (c *Client) TestPolicies(ctx context.Context, policies []fleet.Policy, inputs []json.RawMessage) ([]wire.Verdict, error) {
	var list wire.Items[wire.Verdict]
	err := c.post(ctx, "/v1/policies/test", wire.PolicyTest[json.RawMessage]{Policies: policies, Inputs: inputs}, &list)
	return list.Items, err
}

// ProjectUsage returns what a project uses of its quota.
func (c *Client) ProjectUsage(ctx context.Context, project string) (u wire.Usage, err error) {
	return u, c.call(ctx, get("/v1/usage", url.Values{"project": {project}}), &u)
}

// NetworkUsage returns what is taken of a network's pools.
func (c *Client) NetworkUsage(ctx context.Context, network string) (u wire.Usage, err error) {
	return u, c.call(ctx, get("/v1/usage", url.Values{"network": {network}}), &u)
}

// Address returns whose an address is now, one entry for each network that has it.
func (c *Client) Address(ctx context.Context, address netip.Addr, network string) ([]wire.Address, error) {
	q := url.Values{}
	set(q, "network", network)
	var list wire.Items[wire.Address]
	err := c.call(ctx, get("/v1/addresses/"+url.PathEscape(address.String()), q), &list)
	return list.Items, err
}

// NodeToken makes a one-time token for the enrolment of a node.
func (c *Client) NodeToken(ctx context.Context, node string) (t wire.Token, err error) {
	p, err := path(fleet.KindNode, node)
	if err != nil {
		return t, err
	}
	return t, c.post(ctx, p+"/token", struct{}{}, &t)
}

// Enrol gives a token and a PEM certificate request for a node's certificate.
func (c *Client) Enrol(ctx context.Context, token, csr string) (e wire.Enrolled, err error) {
	return e, c.post(ctx, "/v1/enrol", wire.Enrol{Token: token, CSR: csr}, &e)
}

// Renew asks for a new certificate with one that is still good.
func (c *Client) Renew(ctx context.Context, node, csr string) (e wire.Enrolled, err error) {
	p, err := path(fleet.KindNode, node)
	if err != nil {
		return e, err
	}
	return e, c.post(ctx, p+"/renew", wire.Renew{CSR: csr}, &e)
}

// Stream opens a node's stream: JSON lines of nodelink.Message, an empty line
// every wire.KeepAlive. Generation and digest are of the set it has; 0 and ""
// ask for everything.
func (c *Client) Stream(ctx context.Context, node string, generation int64, digest string) (io.ReadCloser, error) {
	p, err := path(fleet.KindNode, node)
	if err != nil {
		return nil, err
	}
	q := url.Values{"generation": {strconv.FormatInt(generation, 10)}, "digest": {digest}}
	return c.do(ctx, get(p+"/stream", q))
}

// Report says how a node's NICs are; the report is nodelink.Report as JSON.
func (c *Client) Report(ctx context.Context, node string, report []byte) error {
	p, err := path(fleet.KindNode, node)
	if err != nil {
		return err
	}
	return c.call(ctx, request{method: "POST", path: p + "/report", body: report}, nil)
}
