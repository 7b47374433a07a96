package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Config says whom an Authenticator believes.
type Config struct {
	// Operators as subjects: "user:alice", "group:netops", "local:1001".
	Operators []string
	// UIDs and GIDs of peers of the unix socket that are operators; uid 0
	// always is. A gid may be any of the peer's groups.
	UIDs, GIDs []uint32
	// NodeCAs sign nodes, by the URI SAN spiffe://berth/node/NAME.
	NodeCAs []*x509.Certificate
	// UserCAs sign users: CN is the name, each O a group.
	UserCAs []*x509.Certificate
	OIDC    []OIDC
	// TokenFile holds static tokens; "": none. See tokens.go for its form.
	TokenFile string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Authenticator tells who asks. Any number of goroutines may use it.
type Authenticator struct {
	config    Config
	nodes     *x509.CertPool
	users     *x509.CertPool
	issuers   map[string]*issuer
	tokens    *tokenFile
	operators []string
}

// New checks a configuration; it reads the token file, and asks no identity
// provider yet.
func New(c Config) (*Authenticator, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Authenticator{config: c, nodes: pool(c.NodeCAs), users: pool(c.UserCAs), issuers: map[string]*issuer{}, operators: c.Operators}
	errs := []error{checkSubjects(c.Operators), apart(c.NodeCAs, c.UserCAs)}
	for _, o := range c.OIDC {
		i, err := newIssuer(o, c.Now)
		if _, twice := a.issuers[o.Issuer]; twice {
			err = fmt.Errorf("OIDC issuer %s is configured twice", o.Issuer)
		}
		a.issuers[o.Issuer], errs = i, append(errs, err)
	}
	if c.TokenFile != "" {
		a.tokens = &tokenFile{path: c.TokenFile}
		_, err := a.tokens.current()
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return a, nil
}

func checkSubjects(operators []string) error {
	for _, s := range operators {
		kind, name, _ := strings.Cut(s, ":")
		if (kind != "user" && kind != "group" && kind != "local") || name == "" {
			return fmt.Errorf("operator %q is none of user:NAME, group:NAME, local:UID", s)
		}
	}
	return nil
}

// apart refuses a CA that would make both nodes and users.
func apart(nodes, users []*x509.Certificate) error {
	for _, n := range nodes {
		for _, u := range users {
			if string(n.RawSubjectPublicKeyInfo) == string(u.RawSubjectPublicKeyInfo) {
				return fmt.Errorf("CA %q is for nodes and for users: whoever may sign users could make a node", n.Subject)
			}
		}
	}
	return nil
}

func pool(cas []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range cas {
		p.AddCert(c)
	}
	return p
}

// AskForCertificates makes a server's TLS ask for client certificates without
// insisting: Identify judges them, so that a refusal has a reason and is
// recorded.
func (a *Authenticator) AskForCertificates(c *tls.Config) {
	c.ClientAuth = tls.RequestClientCert
	c.ClientCAs = pool(append(append([]*x509.Certificate{}, a.config.NodeCAs...), a.config.UserCAs...))
}

// Identify returns who makes a request. Its errors are ErrNone or a *Refusal.
// Credentials that are not accepted are refused also if others are there. A
// bearer token speaks for the process at the other end of the unix socket; one
// beside a certificate must be of the same user.
func (a *Authenticator) Identify(r *http.Request) (Identity, error) {
	bearer, err := bearerOf(r)
	if err != nil {
		return Identity{}, err
	}
	id, err := a.connection(r)
	if bearer != "" && (err == nil || errors.Is(err, ErrNone)) {
		id, err = a.withBearer(r, id, bearer)
	}
	if err != nil {
		return Identity{}, err
	}
	id.Operator = id.Operator || id.is(a.operators)
	return id, nil
}

// connection is who is proven by the connection itself.
func (a *Authenticator) connection(r *http.Request) (Identity, error) {
	if p, ok := r.Context().Value(peerKey{}).(peer); ok {
		return a.local(p)
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return a.certificate(r.TLS.PeerCertificates)
	}
	return Identity{}, ErrNone
}

func (a *Authenticator) withBearer(r *http.Request, connected Identity, bearer string) (Identity, error) {
	id, err := a.bearer(r.Context(), bearer)
	if err != nil {
		return Identity{}, err
	}
	if connected.Kind == User || connected.Kind == Node {
		if connected.String() != id.String() {
			return Identity{}, refuse("the certificate is of %s and the bearer token of %s: send one of them", connected, id)
		}
	}
	return id, nil
}

// bearerOf returns the token of a request, "" if it has none.
func bearerOf(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimSpace(token)
	switch {
	case len(headers) > 1:
		return "", refuse("there are %d Authorization headers: send one", len(headers))
	case !strings.EqualFold(scheme, "Bearer"):
		return "", refuse("the Authorization header is not of the scheme Bearer")
	case token == "" || strings.ContainsAny(token, " \t,"):
		return "", refuse("the Authorization header has no bearer token, or more than one")
	}
	return token, nil
}
