// Package client speaks to a controller: one method for each route of
// docs/openapi.json.
//
// Not here: what is said (wire, fleet), and the node's side of its stream
// (source/controller).
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/rest/wire"
)

// patience is how long a controller may take to answer before it counts as hung.
const patience = 30 * time.Second

// Options say where a controller is and who asks.
type Options struct {
	// URL is "https://HOST:7443", or "unix:/run/berth-controller/controller.sock".
	URL string
	// CA are the PEM certificates to trust; none: the system's.
	CA []byte
	// Fingerprint, SHA-256 in hex, is of the only CA to trust when no CA is
	// known yet: what an enrolment token ends with.
	Fingerprint string
	Certificate *tls.Certificate // of a node or user
	Token       string           // bearer
}

// Client speaks to one controller. It connects when it is used.
type Client struct {
	base  string
	where string // for messages
	token string
	http  *http.Client
}

// New returns a client.
func New(o Options) (*Client, error) {
	c := &Client{base: strings.TrimSuffix(o.URL, "/"), where: o.URL, token: o.Token}
	if socket, local := strings.CutPrefix(o.URL, "unix:"); local {
		c.base, c.where = "http://controller", socket
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
		c.http = &http.Client{Transport: &http.Transport{DialContext: dial, IdleConnTimeout: time.Minute}}
		return c, nil
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("controller %q: want https://HOST:PORT or unix:PATH", o.URL)
	}
	conf, err := o.tls(u.Hostname())
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{
		Transport:     &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func (o *Options) tls(host string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS13}
	if o.Certificate != nil {
		conf.Certificates = []tls.Certificate{*o.Certificate}
	}
	switch {
	case len(o.CA) > 0:
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("the controller's CA: there is no PEM certificate in it")
		}
	case o.Fingerprint != "":
		conf.InsecureSkipVerify = true // VerifyConnection does it, with the CA that the server shows
		conf.VerifyConnection = func(s tls.ConnectionState) error { return pinned(s, o.Fingerprint, host) }
	}
	return conf, nil
}

// pinned checks the server's chain against the one CA of the fingerprint.
func pinned(s tls.ConnectionState, fingerprint, host string) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range s.PeerCertificates {
		sum := sha256.Sum256(c.Raw)
		if c.IsCA && strings.EqualFold(hex.EncodeToString(sum[:]), fingerprint) {
			roots.AddCert(c)
			found = true
		}
		others.AddCert(c)
	}
	if !found {
		return fmt.Errorf("the controller shows no CA with the fingerprint %s: this is not the site that the token is of", fingerprint)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: others})
	return err
}

// Close drops the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

type request struct {
	method, path string
	query        url.Values
	body         []byte
	kind         string        // media type of the body; "": JSON
	match        int64         // If-Match, unless 0
	wait         time.Duration // how long the answer may be delayed on purpose
}

func get(path string, query url.Values) request {
	return request{method: http.MethodGet, path: path, query: query}
}

func (c *Client) post(ctx context.Context, path string, body, into any) error {
	doc, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.call(ctx, request{method: http.MethodPost, path: path, body: doc}, into)
}

// call does a request and reads the answer into what `into` points to.
func (c *Client) call(ctx context.Context, r request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience+r.wait)
	defer cancel()
	body, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("%s %s: read answer: %w", r.method, r.path, err)
	}
	return nil
}

// do returns the body of a success; every other answer is an error.
func (c *Client) do(ctx context.Context, r request) (io.ReadCloser, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	c.headers(req, r)
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

func (c *Client) headers(req *http.Request, r request) {
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if r.match != 0 {
		req.Header.Set("If-Match", fmt.Sprintf(`"%d"`, r.match))
	}
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
		if r.kind != "" {
			req.Header.Set("Content-Type", r.kind)
		}
	}
}

// unreachable names the controller and drops what net/http says about a URL
// that nobody wrote.
func (c *Client) unreachable(err error) error {
	var op *net.OpError
	var wrapped *url.Error
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.where, op.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w at %s: it does not answer: %w", ErrUnreachable, c.where, context.DeadlineExceeded)
	case errors.As(err, &wrapped):
		return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.where, wrapped.Err)
	}
	return err
}

func readProblem(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p wire.Problem
	if kind != "application/problem+json" || json.NewDecoder(io.LimitReader(resp.Body, wire.MaxBody)).Decode(&p) != nil {
		return fmt.Errorf("%s %s: the controller answered %s", resp.Request.Method, resp.Request.URL.Path, resp.Status)
	}
	return &Error{Problem: p}
}
