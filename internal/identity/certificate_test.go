package identity_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/identity"
)

func TestCertificates(t *testing.T) {
	siteCA, userCA, stranger := newAuthority(t, "site"), newAuthority(t, "people"), newAuthority(t, "stranger")
	s := newSite(t, identity.Config{NodeCAs: []*x509.Certificate{siteCA.cert}, UserCAs: []*x509.Certificate{userCA.cert}})
	node := uris("spiffe://berth/node/n1")
	old := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for _, c := range []struct {
		name  string
		cert  *tls.Certificate
		actor string
		err   string
	}{
		{"a node", siteCA.client("", node), "node:n1", ""},
		{"a user", userCA.client("alice"), "user:alice", ""},
		{"a user who is named as a node is", userCA.client("node:n1"), "user:node:n1", ""},
		{"a user of another trust domain", userCA.client("alice", uris("spiffe://example.org/alice")), "user:alice", ""},
		{"no certificate", nil, "", "no credentials"},
		{"a node by a CA for users", userCA.client("n1", node), "", "not signed by the site's CA"},
		{"the same in capitals", userCA.client("n1", uris("SPIFFE://BERTH/node/n1")), "", "not signed by the site's CA"},
		{"the same with a port", userCA.client("n1", uris("spiffe://berth:1/node/n1")), "", "not signed by the site's CA"},
		{"a node by a stranger", stranger.client("n1", node), "", "not signed by the site's CA"},
		{"a user by a stranger", stranger.client("alice"), "", "not signed by a CA for users"},
		{"a user by the site's CA", siteCA.client("alice"), "", "not signed by a CA for users"},
		{"an expired node", siteCA.client("", node, old), "", "has expired"},
		{"an expired user", userCA.client("alice", old), "", "has expired"},
		{"the server's own certificate", siteCA.client("", node, server), "", "not for clients"},
		{"two nodes", siteCA.client("", uris("spiffe://berth/node/n1", "spiffe://berth/node/n2")), "", "has 2 URIs"},
		{"another path", siteCA.client("", uris("spiffe://berth/controller/n1")), "", "is not spiffe://berth/node/NAME"},
		{"a path within", siteCA.client("", uris("spiffe://berth/node/n1/n2")), "", "is not spiffe://berth/node/NAME"},
		{"no name", siteCA.client("", uris("spiffe://berth/node/")), "", "is not spiffe://berth/node/NAME"},
		{"an escaped name", siteCA.client("", uris("spiffe://berth/node/n%31")), "", "is not spiffe://berth/node/NAME"},
		{"a query", siteCA.client("", uris("spiffe://berth/node/n1?x")), "", "is not spiffe://berth/node/NAME"},
		{"no CN", userCA.client(""), "", "the user's name is empty"},
		{"a CN that ends a line", userCA.client("alice\nuser:root"), "", "characters that are not accepted"},
		{"a CN that turns text", userCA.client("alice\u202e"), "", "characters that are not accepted"},
		{"a group that ends a line", userCA.client("alice", groups("a\tb")), "", "characters that are not accepted"},
		{"a long CN", userCA.client(strings.Repeat("a", 300)), "", "at most 256"},
	} {
		s.ask(c.cert).want(t, c.name, c.actor, c.err)
	}
}

func groups(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.Organization = names }
}

// A CA that is signed by another, both by the client's own account.
func TestIntermediates(t *testing.T) {
	siteCA, userCA := newAuthority(t, "site"), newAuthority(t, "people")
	below := func(parent *authority) *authority {
		key := newKey(t)
		cert := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "below"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, parent, key)
		return &authority{t, cert, key}
	}
	s := newSite(t, identity.Config{NodeCAs: []*x509.Certificate{siteCA.cert}, UserCAs: []*x509.Certificate{userCA.cert}})
	chain := func(a *authority, further ...func(*x509.Certificate)) *tls.Certificate {
		c := a.client("alice", further...)
		c.Certificate = append(c.Certificate, a.cert.Raw)
		return c
	}
	s.ask(chain(below(userCA))).want(t, "a user", "user:alice", "")
	s.ask(chain(below(siteCA), uris("spiffe://berth/node/n1"))).want(t, "a node", "", "not signed by the site's CA")
	// A user's certificate that signs is no CA.
	alice := userCA.client("alice")
	leaf, err := x509.ParseCertificate(alice.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	s.ask(chain(&authority{t, leaf, alice.PrivateKey.(*ecdsa.PrivateKey)})).want(t, "by a user", "", "client certificate is not")
}

func TestCertificateGroupsAndOperators(t *testing.T) {
	siteCA, userCA := newAuthority(t, "site"), newAuthority(t, "people")
	s := newSite(t, identity.Config{
		NodeCAs: []*x509.Certificate{siteCA.cert}, UserCAs: []*x509.Certificate{userCA.cert},
		Operators: []string{"group:netops", "user:root", "user:n1"},
	})
	if got, want := s.ask(userCA.client("alice", groups("dev", "ops"))).ID, (identity.Identity{Kind: identity.User, Name: "alice", Groups: []string{"dev", "ops"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, c := range []struct {
		name string
		cert *tls.Certificate
		want bool
	}{
		{"by group", userCA.client("alice", groups("netops")), true},
		{"by name", userCA.client("root"), true},
		{"neither", userCA.client("alice", groups("user:root", "group:netops")), false},
		{"a node of that name", siteCA.client("n1", uris("spiffe://berth/node/n1"), groups("netops")), false},
	} {
		if got := s.ask(c.cert); got.Error != "" || got.ID.Operator != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	ca := newAuthority(t, "both")
	for _, c := range []struct {
		config identity.Config
		want   string
	}{
		{identity.Config{NodeCAs: []*x509.Certificate{ca.cert}, UserCAs: []*x509.Certificate{ca.cert}}, "is for nodes and for users"},
		{identity.Config{Operators: []string{"alice"}}, `operator "alice" is none of`},
		{identity.Config{Operators: []string{"node:n1"}}, `operator "node:n1" is none of`},
		{identity.Config{OIDC: []identity.OIDC{{Issuer: "http://idp", Audience: "berth"}}}, "not an https URL"},
		{identity.Config{OIDC: []identity.OIDC{{Issuer: "https://idp"}}}, "the audience is missing"},
		{identity.Config{OIDC: []identity.OIDC{{Issuer: "https://idp", Audience: "a"}, {Issuer: "https://idp", Audience: "b"}}}, "configured twice"},
		{identity.Config{TokenFile: "/nonexistent/tokens"}, "no such file"},
	} {
		if a, err := identity.New(c.config); err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
