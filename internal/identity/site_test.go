package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/identity"
)

// authority is a CA that a test makes.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{t: t, key: newKey(t)}
	a.cert = sign(t, template, &authority{cert: template, key: a.key}, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template *x509.Certificate, by *authority, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// client signs a client's certificate, changed by further.
func (a *authority) client(name string, further ...func(*x509.Certificate)) *tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, f := range further {
		f(template)
	}
	key := newKey(a.t)
	return &tls.Certificate{Certificate: [][]byte{sign(a.t, template, a, key).Raw}, PrivateKey: key}
}

func uris(texts ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, s := range texts {
			u, err := url.Parse(s)
			if err != nil {
				panic(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

// answer is what a site tells of whom it saw.
type answer struct {
	ID          identity.Identity
	Error, Text string
	None        bool
	Unavailable bool
}

// identifier says who asked it.
func identifier(a *identity.Authenticator) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := a.Identify(r)
		_ = json.NewEncoder(w).Encode(answerOf(id, err))
	})
}

func answerOf(id identity.Identity, err error) answer {
	out := answer{ID: id}
	if err == nil {
		return out
	}
	out.Error, out.None = err.Error(), errors.Is(err, identity.ErrNone)
	if r, ok := errors.AsType[*identity.Refusal](err); ok {
		out.Text, out.Unavailable = r.Text, r.Unavailable
	}
	return out
}

// site is a TLS server with an Authenticator, and a certificate that clients
// trust.
type site struct {
	t      *testing.T
	server *httptest.Server
}

func newSite(t *testing.T, c identity.Config) *site {
	t.Helper()
	a, err := identity.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(identifier(a))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	a.AskForCertificates(s.TLS)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnContext = identity.ConnContext
	s.StartTLS()
	t.Cleanup(s.Close)
	return &site{t, s}
}

// ask is a request with a certificate (nil: none) and Authorization headers.
func (s *site) ask(cert *tls.Certificate, headers ...string) answer {
	s.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.server.Certificate())
	config := &tls.Config{RootCAs: roots}
	if cert != nil {
		// Whatever CAs the server names: a bad client does not care.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	return fetch(s.t, client, s.server.URL, headers...)
}

func fetch(t *testing.T, client *http.Client, url string, headers ...string) (out answer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		req.Header.Add("Authorization", h)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// want fails unless an answer is of that actor, or an error with that in it.
func (a answer) want(t *testing.T, name, actor, text string) {
	t.Helper()
	switch {
	case text == "" && (a.Error != "" || a.ID.String() != actor):
		t.Errorf("%s: %+v, want %s", name, a, actor)
	case text != "" && (!strings.Contains(a.Error, text) || a.ID.Name != "" || a.ID.Operator):
		t.Errorf("%s: %+v, want an error with %q", name, a, text)
	}
}

func hash(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	write(t, path, text)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
