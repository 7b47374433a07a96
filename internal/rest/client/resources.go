package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

// Query selects resources by what is not zero.
type Query struct {
	Project, Network, Node, VM string
	Limit                      int    // of one page
	After                      string // the name that a page begins behind
}

func (q Query) values() url.Values {
	v := url.Values{}
	for key, value := range map[string]string{"project": q.Project, "network": q.Network, "node": q.Node, "vm": q.VM, "after": q.After} {
		set(v, key, value)
	}
	setInt(v, "limit", int64(q.Limit))
	return v
}

func set(v url.Values, key, value string) {
	if value != "" {
		v.Set(key, value)
	}
}

func setInt(v url.Values, key string, value int64) {
	if value != 0 {
		v.Set(key, strconv.FormatInt(value, 10))
	}
}

// Page is one, with resources as the JSON that the controller sent.
type Page = wire.Page[json.RawMessage]

// Written is what came of a change, with the resource in the same way.
type Written = wire.Written[json.RawMessage]

// Event is one change that a watch tells, with the resource in the same way.
type Event = wire.Event[json.RawMessage]

func path(kind fleet.Kind, name string) (string, error) {
	// A path with "." or "" in it would reach another route.
	if name == "" || name == "." || name == ".." {
		return "", &Error{Problem: wire.Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("%s %q: that is no name", kind, name)}}
	}
	return "/v1/" + kind.Plural() + "/" + url.PathEscape(name), nil
}

// List returns one page of resources, ordered by name.
func (c *Client) List(ctx context.Context, kind fleet.Kind, q Query) (p Page, err error) {
	return p, c.call(ctx, get("/v1/"+kind.Plural(), q.values()), &p)
}

// All yields all resources, ordered by name, page by page. An error is the
// last thing it yields.
func (c *Client) All(ctx context.Context, kind fleet.Kind, q Query) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for {
			p, err := c.List(ctx, kind, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if q.After = p.Next; q.After == "" {
				return
			}
		}
	}
}

// Get returns one resource.
func (c *Client) Get(ctx context.Context, kind fleet.Kind, name string) (doc json.RawMessage, err error) {
	p, err := path(kind, name)
	if err != nil {
		return nil, err
	}
	return doc, c.call(ctx, get(p, nil), &doc)
}

// WriteOptions of a change.
type WriteOptions struct {
	DryRun   bool
	Force    bool          // for operators: whatever uses it
	Wait     time.Duration // for the nodes to have it in force
	Revision int64         // that the resource must still have; 0: any
}

func (o WriteOptions) request(method, path string, body []byte) request {
	q := url.Values{}
	if o.DryRun {
		q.Set("dry-run", "1")
	}
	if o.Force {
		q.Set("force", "1")
	}
	if o.Wait > 0 {
		q.Set("wait", o.Wait.String())
	}
	return request{method: method, path: path, query: q, body: body, match: o.Revision, wait: o.Wait}
}

// Put makes or changes a resource. The document is YAML or JSON.
func (c *Client) Put(ctx context.Context, kind fleet.Kind, name string, doc []byte, o WriteOptions) (w Written, err error) {
	p, err := path(kind, name)
	if err != nil {
		return w, err
	}
	r := o.request(http.MethodPut, p, doc)
	if !json.Valid(doc) {
		r.kind = "application/yaml"
	}
	return w, c.call(ctx, r, &w)
}

// Delete removes a resource.
func (c *Client) Delete(ctx context.Context, kind fleet.Kind, name string, o WriteOptions) (w Written, err error) {
	p, err := path(kind, name)
	if err != nil {
		return w, err
	}
	return w, c.call(ctx, o.request(http.MethodDelete, p, nil), &w)
}

// Watch yields changes behind a revision, of one kind or, for "", of all,
// until ctx ends. An error is the last thing it yields: ErrGone says to list
// again.
func (c *Client) Watch(ctx context.Context, kind fleet.Kind, from int64) iter.Seq2[Event, error] {
	q := url.Values{}
	set(q, "kind", string(kind))
	setInt(q, "from", from)
	return func(yield func(Event, error) bool) {
		body, err := c.do(ctx, get("/v1/watch", q))
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer body.Close()
		decodeEvents(body, yield)
	}
}

func decodeEvents(body io.Reader, yield func(Event, error) bool) {
	// The decoder skips the empty lines that keep the connection alive.
	for in := json.NewDecoder(body); ; {
		var e Event
		if err := in.Decode(&e); err != nil {
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("read changes: %w", err)
			}
			yield(Event{}, err)
			return
		}
		if !yield(e, nil) {
			return
		}
	}
}

// Prepare begins the migration of a NIC to a node.
func (c *Client) Prepare(ctx context.Context, nic, to string, o WriteOptions) (w Written, err error) {
	return c.migration(ctx, step{nic, http.MethodPost, "/migration", wire.Move{To: to}}, o)
}

// Activate puts it in force on the target, and withdraws it at the source.
func (c *Client) Activate(ctx context.Context, nic string, o WriteOptions) (w Written, err error) {
	return c.migration(ctx, step{nic, http.MethodPut, "/migration", wire.Advance{Phase: fleet.Activated}}, o)
}

// Complete ends a migration: the source forgets the NIC.
func (c *Client) Complete(ctx context.Context, nic string, o WriteOptions) (w Written, err error) {
	return c.migration(ctx, step{nic, http.MethodPost, "/migration/complete", nil}, o)
}

// Abort returns a NIC to the source of its migration.
func (c *Client) Abort(ctx context.Context, nic string, o WriteOptions) (w Written, err error) {
	return c.migration(ctx, step{nic, http.MethodDelete, "/migration", nil}, o)
}

type step struct {
	nic, method, path string
	body              any
}

func (c *Client) migration(ctx context.Context, s step, o WriteOptions) (w Written, err error) {
	p, err := path(fleet.KindNIC, s.nic)
	if err != nil {
		return w, err
	}
	var doc []byte
	if s.body != nil {
		if doc, err = json.Marshal(s.body); err != nil {
			return w, err
		}
	}
	return w, c.call(ctx, o.request(s.method, p+s.path, doc), &w)
}
