package rest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/rest"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/testenv"
)

// site is a controller with its own etcd, on a real port.
type site struct {
	t       *testing.T
	url     string
	ca      *pki.CA
	replica *control.Replica
	log     *testenv.Log
	http    *http.Client
	server  *rest.Server
	tokens  string // file
}

// The bearer tokens of those who play a part in tests.
var people = map[string]string{"op": "operator-token", "alice": "alice-token", "bob": "bob-token", "eve": "eve-token"}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, log: &testenv.Log{}, tokens: tokenFile(t)}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, err := etcd.Open(t.Context(), etcd.Options{Dir: filepath.Join(t.TempDir(), "etcd"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if s.ca, err = pki.Open(t.TempDir(), time.Now()); err != nil {
		t.Fatal(err)
	}
	who, err := identity.New(identity.Config{
		Operators: []string{"user:op"}, NodeCAs: []*x509.Certificate{s.ca.Certificate()}, TokenFile: s.tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + l.Addr().String()
	s.replica = control.New(control.Options{Store: store, CA: s.ca, Log: log, Name: "r1", URLs: []string{s.url}})
	server, err := rest.New(rest.Options{Replica: s.replica, Who: who, Log: log, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	conf := server.TLS(s.ca.Serve([]string{"127.0.0.1"}, time.Now))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.replica.Run(ctx) })
	g.Go(func() error { return server.Serve(ctx, tls.NewListener(l, conf)) })
	t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	s.connect()
	s.untilReady()
	return s
}

func (s *site) connect() {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool(), MinVersion: tls.VersionTLS13}}
	s.t.Cleanup(tr.CloseIdleConnections)
	s.http = &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func tokenFile(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("tokens:\n")
	for name, token := range people {
		sum := sha256.Sum256([]byte(token))
		fmt.Fprintf(&b, "  - {name: %s, sha256: %s}\n", name, hex.EncodeToString(sum[:]))
	}
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *site) untilReady() {
	s.t.Helper()
	c := s.as("")
	for range 1000 {
		if _, err := c.Ready(s.t.Context()); err == nil {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	s.t.Fatal("never ready")
}

// as is the client of a person; "" has nothing to show.
func (s *site) as(name string) *client.Client {
	s.t.Helper()
	return s.with(client.Options{URL: s.url, CA: s.ca.PEM(), Token: people[name]})
}

func (s *site) with(o client.Options) *client.Client {
	s.t.Helper()
	c, err := client.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// put writes a resource, as the operator.
func (s *site) put(kind fleet.Kind, name, doc string) client.Written {
	s.t.Helper()
	w, err := s.as("op").Put(s.t.Context(), kind, name, []byte(doc), client.WriteOptions{})
	if err != nil {
		s.t.Fatalf("%s %s: %v", kind, name, err)
	}
	return w
}

// furnish makes a network with a pool, two projects and two nodes.
func (s *site) furnish() {
	s.t.Helper()
	s.put(fleet.KindProject, "web", "roles: {member: ['user:alice'], viewer: ['user:eve']}")
	s.put(fleet.KindProject, "db", "roles: {admin: ['user:bob']}")
	s.put(fleet.KindNetwork, "lan", "{prefixes: [192.0.2.0/24], projects: ['*'], defaults: {gateway: 192.0.2.1}}")
	s.put(fleet.KindPool, "public", "{network: lan, default: true, ranges: [192.0.2.10-192.0.2.200]}")
	s.put(fleet.KindNode, "n1", "{}")
	s.put(fleet.KindNode, "n2", "{}")
}

// enrol makes a node's client.
func (s *site) enrol(node string) *client.Client {
	s.t.Helper()
	token, err := s.as("op").NodeToken(s.t.Context(), node)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.enrolWith(node, token.Token)
}

func (s *site) enrolWith(node, token string) *client.Client {
	s.t.Helper()
	key, csr := s.newKey()
	e, err := s.with(client.Options{URL: s.url, Fingerprint: s.ca.Fingerprint()}).Enrol(s.t.Context(), token, csr)
	if err != nil {
		s.t.Fatalf("enrol %s: %v", node, err)
	}
	return s.with(client.Options{URL: s.url, CA: []byte(e.CA), Certificate: s.pair(e.Certificate, key)})
}

func (s *site) newKey() (*ecdsa.PrivateKey, string) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		s.t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func (s *site) pair(cert string, key *ecdsa.PrivateKey) *tls.Certificate {
	s.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		s.t.Fatal(err)
	}
	return &pair
}

// raw sends a request as it is.
type raw struct {
	method, path, body string
	as                 string
	header             map[string]string
}

type answer struct {
	status int
	kind   string
	header http.Header
	body   []byte
}

func (s *site) do(r raw) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), r.method, s.url+r.path, strings.NewReader(r.body))
	if err != nil {
		s.t.Fatalf("%s %q: %v", r.method, r.path, err)
	}
	if r.as != "" {
		req.Header.Set("Authorization", "Bearer "+people[r.as])
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatalf("%s %q: %v", r.method, r.path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header, body}
}

func decodeAs[T any](t testing.TB, doc []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}
