package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/berth-net/berth/internal/nic"
)

// patience is how long an agent may take to answer before it counts as hung.
const patience = 30 * time.Second

// Client speaks to a Server over its socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client for the socket; it connects when it is used.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status returns the agent's state.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.call(ctx, request{method: "GET", path: "/v1/status"}, &st)
}

// NICs returns every NIC, ordered by name.
func (c *Client) NICs(ctx context.Context) ([]NIC, error) {
	return c.Find(ctx, Selector{})
}

// Selector selects NICs by what is not zero.
type Selector struct {
	MAC     *nic.MAC
	Address netip.Addr
}

// Find returns the selected NICs, ordered by name.
func (c *Client) Find(ctx context.Context, sel Selector) (nics []NIC, err error) {
	query := url.Values{}
	if sel.MAC != nil {
		query.Set("mac", sel.MAC.String())
	}
	if sel.Address.IsValid() {
		query.Set("address", sel.Address.String())
	}
	return nics, c.call(ctx, request{method: "GET", path: "/v1/nics", query: query}, &nics)
}

// NIC returns one NIC.
func (c *Client) NIC(ctx context.Context, name string) (n NIC, err error) {
	return n, c.callNIC(ctx, name, request{method: "GET"}, &n)
}

// Set declares a binding.
func (c *Client) Set(ctx context.Context, name string, doc []byte, opts SetOptions) (Change, error) {
	query := url.Values{}
	if opts.DryRun {
		query.Set("dry-run", "1")
	}
	return c.set(ctx, name, request{query: query, body: doc})
}

// SetAndWait declares a binding and returns once it is in force. It fails with
// ErrTimeout if it isn't by then; the declaration stands.
func (c *Client) SetAndWait(ctx context.Context, name string, doc []byte, timeout time.Duration) (Change, error) {
	query := url.Values{"wait": {timeout.String()}}
	return c.set(ctx, name, request{query: query, body: doc, wait: timeout})
}

func (c *Client) set(ctx context.Context, name string, r request) (ch Change, err error) {
	r.method = "PUT"
	return ch, c.callNIC(ctx, name, r, &ch)
}

// Delete withdraws a binding.
func (c *Client) Delete(ctx context.Context, name string) (ch Change, err error) {
	return ch, c.callNIC(ctx, name, request{method: "DELETE"}, &ch)
}

// Release hands an interface back to be unmanaged.
func (c *Client) Release(ctx context.Context, name string) (ch Change, err error) {
	return ch, c.callNIC(ctx, name, request{method: "POST", path: "/release"}, &ch)
}

// Plan returns what would change, with a document or, for nil, by itself.
func (c *Client) Plan(ctx context.Context, doc []byte) (p Plan, err error) {
	method := "GET"
	if doc != nil {
		method = "POST"
	}
	return p, c.call(ctx, request{method: method, path: "/v1/plan", body: doc}, &p)
}

// Wait returns once the NIC is in force, or with its last state and
// ErrTimeout.
func (c *Client) Wait(ctx context.Context, name string, timeout time.Duration) (n NIC, err error) {
	query := url.Values{"timeout": {timeout.String()}}
	err = c.callNIC(ctx, name, request{method: "POST", path: "/wait", query: query, wait: timeout}, &n)
	var refused *Error
	if errors.As(err, &refused) && refused.Problem.NIC != nil {
		n = *refused.Problem.NIC
	}
	return n, err
}

// EventQuery selects events.
type EventQuery struct {
	Since  uint64 // only those with a higher number
	NIC    string // only of this NIC; "" is all
	Follow bool   // also those to come
}

// Events yields events, oldest first, until there are no more or ctx ends. An
// error is the last thing it yields.
func (c *Client) Events(ctx context.Context, q EventQuery) iter.Seq2[Event, error] {
	query := url.Values{"since": {strconv.FormatUint(q.Since, 10)}}
	if q.NIC != "" {
		query.Set("nic", q.NIC)
	}
	if q.Follow {
		query.Set("follow", "1")
	}
	return func(yield func(Event, error) bool) {
		body, err := c.do(ctx, request{method: "GET", path: "/v1/events", query: query})
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
				yield(Event{}, fmt.Errorf("read events: %w", err))
			}
			return
		}
		if !yield(e, nil) {
			return
		}
	}
}

type request struct {
	method, path string
	query        url.Values
	body         []byte
	wait         time.Duration // how long the answer may be delayed on purpose
}

// callNIC does a request below /v1/nics/{name}. The name is checked here since
// a path with "." or "" in it would reach another route.
func (c *Client) callNIC(ctx context.Context, name string, r request, into any) error {
	if err := CheckName(name); err != nil {
		return &InvalidError{Detail: err.Error()}
	}
	r.path = "/v1/nics/" + url.PathEscape(name) + r.path
	return c.call(ctx, r, into)
}

func (c *Client) call(ctx context.Context, r request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience+r.wait)
	defer cancel()
	body, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("%s %s: read answer: %w", r.method, r.path, err)
	}
	return nil
}

// do returns the body of a success; every other answer is an error.
func (c *Client) do(ctx context.Context, r request) (io.ReadCloser, error) {
	target := "http://berthd" + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, readProblem(resp)
}

// unreachable names the socket and drops what net/http says about a URL that
// nobody wrote.
func (c *Client) unreachable(err error) error {
	var op *net.OpError
	var wrapped *url.Error
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.socket, op.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w at %s: it does not answer: %w", ErrUnreachable, c.socket, context.DeadlineExceeded)
	case errors.As(err, &wrapped):
		return fmt.Errorf("socket %s: %w", c.socket, wrapped.Err)
	}
	return err
}

func readProblem(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p Problem
	if kind != "application/problem+json" || json.NewDecoder(resp.Body).Decode(&p) != nil {
		return fmt.Errorf("%s %s: berthd answered %s", resp.Request.Method, resp.Request.URL.Path, resp.Status)
	}
	return &Error{Problem: p}
}
