package identity_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/identity"
	"github.com/go-jose/go-jose/v4"
)

// provider is a little identity provider: discovery, keys, and signing.
type provider struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched int // how often its keys were
	down    bool
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.server.URL, "jwks_uri": p.server.URL + "/keys", "authorization_endpoint": p.server.URL + "/auth",
			// What a provider claims to sign with must not widen what is accepted.
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "EdDSA", "HS256", "none"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fetched++
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	})
	p.server = httptest.NewTLSServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

func (p *provider) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// signer is a key of a provider.
type signer struct {
	alg jose.SignatureAlgorithm
	kid string
	key any
}

// add publishes the public half of a key.
func (p *provider) add(s signer) signer {
	p.mu.Lock()
	defer p.mu.Unlock()
	public := s.key.(crypto.Signer).Public()
	p.keys = append(p.keys, jose.JSONWebKey{Key: public, KeyID: s.kid, Algorithm: string(s.alg), Use: "sig"})
	return s
}

func (p *provider) fetches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetched
}

func (s signer) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if s.kid != "" {
		options = options.WithHeader("kid", s.kid)
	}
	by, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, options)
	must(t, err)
	payload, err := json.Marshal(claims)
	must(t, err)
	jws, err := by.Sign(payload)
	must(t, err)
	token, err := jws.CompactSerialize()
	must(t, err)
	return "Bearer " + token
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return key
}

func edKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

// clock is one that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// oidcSite trusts a provider, whose tokens are for "berth".
type oidcSite struct {
	*site
	*provider
	clock *clock
}

func newOIDCSite(t *testing.T, change func(*identity.OIDC)) oidcSite {
	t.Helper()
	p, c := newProvider(t), &clock{now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	o := identity.OIDC{Issuer: p.server.URL, Audience: "berth", Client: p.server.Client()}
	if change != nil {
		change(&o)
	}
	return oidcSite{newSite(t, identity.Config{Now: c.Now, OIDC: []identity.OIDC{o}}), p, c}
}

// claims are alice's for the next five minutes, with changes; nil takes a
// claim out.
func (s oidcSite) claims(changes map[string]any) map[string]any {
	now := s.clock.Now()
	claims := map[string]any{
		"iss": s.provider.server.URL, "aud": "berth", "sub": "alice", "groups": []string{"dev", "ops"},
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func TestOIDCAlgorithms(t *testing.T) {
	s := newOIDCSite(t, nil)
	for _, k := range []signer{{jose.RS256, "rsa", rsaKey(t)}, {jose.ES256, "ec", newKey(t)}, {jose.EdDSA, "ed", edKey(t)}} {
		s.add(k)
		got := s.ask(nil, k.sign(t, s.claims(nil)))
		want := identity.Identity{Kind: identity.User, Name: "alice", Groups: []string{"dev", "ops"}}
		if got.Error != "" || !reflect.DeepEqual(got.ID, want) {
			t.Errorf("%s: %+v", k.alg, got)
		}
		s.clock.pass(2 * time.Second) // the next key is not known yet
	}
}

func TestOIDCClaims(t *testing.T) {
	s := newOIDCSite(t, nil)
	k := s.add(signer{jose.ES256, "k1", newKey(t)})
	now := s.clock.Now()
	for _, c := range []struct {
		name       string
		changes    map[string]any
		actor, err string
	}{
		{"one of several audiences", map[string]any{"aud": []string{"other", "berth"}}, "user:alice", ""},
		{"no groups", map[string]any{"groups": nil}, "user:alice", ""},
		{"one group", map[string]any{"groups": "dev"}, "user:alice", ""},
		{"a clock behind by less than the skew", map[string]any{"exp": now.Add(-59 * time.Second).Unix()}, "user:alice", ""},
		{"expired", map[string]any{"exp": now.Add(-61 * time.Second).Unix()}, "", "the bearer token expired at 2026-03-04T11:58:59Z"},
		{"without an end", map[string]any{"exp": nil}, "", "expired"},
		{"not yet", map[string]any{"nbf": now.Add(time.Hour).Unix()}, "", "before the nbf"},
		{"another audience", map[string]any{"aud": "wiki"}, "", `is for the audience ["wiki"], not for "berth"`},
		{"no audience", map[string]any{"aud": nil}, "", `not for "berth"`},
		{"another issuer", map[string]any{"iss": "https://elsewhere.example"}, "", "nor of an identity provider that is configured"},
		{"no issuer", map[string]any{"iss": nil}, "", "nor of an identity provider that is configured"},
		{"no name", map[string]any{"sub": nil}, "", `no text as claim "sub"`},
		{"a number as name", map[string]any{"sub": 7}, "", "the bearer token is not valid"},
		{"an empty name", map[string]any{"sub": ""}, "", "the user's name is empty"},
		{"a name that ends a line", map[string]any{"sub": "alice\nnode:n1"}, "", "characters that are not accepted"},
		{"groups that are numbers", map[string]any{"groups": []int{1}}, "", `claim "groups" is no list of texts`},
		{"groups that are a map", map[string]any{"groups": map[string]any{}}, "", `claim "groups" is no list of texts`},
	} {
		s.ask(nil, k.sign(t, s.claims(c.changes))).want(t, c.name, c.actor, c.err)
	}
}

func TestOIDCForgeries(t *testing.T) {
	s := newOIDCSite(t, nil)
	key := rsaKey(t)
	k := s.add(signer{jose.RS256, "k1", key})
	good := k.sign(t, s.claims(nil))
	s.ask(nil, good).want(t, "good", "user:alice", "")
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	header, payload, _ := strings.Cut(strings.TrimPrefix(good, "Bearer "), ".")
	payload, signature, _ := strings.Cut(payload, ".")
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	root, err := json.Marshal(s.claims(map[string]any{"sub": "root"}))
	must(t, err)
	for name, forged := range map[string]string{
		"the public key as secret":         signer{jose.HS256, "k1", secret}.sign(t, s.claims(nil)),
		"the public key's bytes as secret": signer{jose.HS256, "k1", public}.sign(t, s.claims(nil)),
		"alg none":                         "Bearer " + b64(`{"alg":"none","kid":"k1"}`) + "." + b64(string(root)) + ".",
		"alg None":                         "Bearer " + b64(`{"alg":"None"}`) + "." + b64(string(root)) + ".x",
		"other claims":                     "Bearer " + header + "." + b64(string(root)) + "." + signature,
		"no signature":                     "Bearer " + header + "." + payload + ".",
		"another's key of that name":       signer{jose.RS256, "k1", rsaKey(t)}.sign(t, s.claims(nil)),
		"another's key without a name":     signer{jose.RS256, "", rsaKey(t)}.sign(t, s.claims(nil)),
		"PS256, which is not accepted":     signer{jose.PS256, "k1", key}.sign(t, s.claims(nil)),
		"an unknown critical header":       "Bearer " + b64(`{"alg":"RS256","kid":"k1","crit":["x"],"x":1}`) + "." + payload + "." + signature,
	} {
		a := s.ask(nil, forged)
		a.want(t, name, "", "the bearer token is not valid")
		if strings.Contains(a.Text, "https://") || a.Unavailable {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for name, garbage := range map[string]string{"three dots": "Bearer ..", "no base64": "Bearer a.%.c", "no JSON": "Bearer a." + b64("x") + ".c"} {
		s.ask(nil, garbage).want(t, name, "", "nor of an identity provider")
	}
}

// A key that is not known is asked for, but not as often as anybody likes.
func TestOIDCKeyRotation(t *testing.T) {
	s := newOIDCSite(t, nil)
	first := s.add(signer{jose.ES256, "k1", newKey(t)})
	s.ask(nil, first.sign(t, s.claims(nil))).want(t, "first", "user:alice", "")
	if n := s.fetches(); n != 1 {
		t.Fatalf("keys fetched %d times", n)
	}
	second := s.add(signer{jose.ES256, "k2", newKey(t)})
	s.clock.pass(time.Second)
	s.ask(nil, second.sign(t, s.claims(nil))).want(t, "second", "user:alice", "")
	s.ask(nil, first.sign(t, s.claims(nil))).want(t, "first again", "user:alice", "")
	if n := s.fetches(); n != 2 {
		t.Errorf("keys fetched %d times, want 2", n)
	}
	s.clock.pass(time.Second)
	for range 20 {
		s.ask(nil, signer{jose.ES256, "k3", newKey(t)}.sign(t, s.claims(nil))).want(t, "nobody's", "", "not valid")
	}
	if n := s.fetches(); n != 3 {
		t.Errorf("keys fetched %d times, want 3", n)
	}
	s.mu.Lock()
	s.keys = s.keys[1:] // the first is withdrawn, which shows when keys are fetched
	s.mu.Unlock()
	s.clock.pass(time.Second)
	s.ask(nil, signer{jose.ES256, "k4", newKey(t)}.sign(t, s.claims(nil))).want(t, "nobody's", "", "not valid")
	s.ask(nil, first.sign(t, s.claims(nil))).want(t, "withdrawn", "", "not valid")
	s.ask(nil, second.sign(t, s.claims(nil))).want(t, "kept", "user:alice", "")
}

// A provider that is down is no reason to call a token bad; other tokens work.
func TestOIDCProviderDown(t *testing.T) {
	s := newOIDCSite(t, nil)
	k := s.add(signer{jose.ES256, "k1", newKey(t)})
	s.setDown(true)
	a := s.ask(nil, k.sign(t, s.claims(nil)))
	if a.want(t, "down", "", "cannot be asked"); !a.Unavailable {
		t.Errorf("%+v", a)
	}
	s.setDown(false)
	s.ask(nil, k.sign(t, s.claims(nil))).want(t, "at once", "", "cannot be asked")
	s.clock.pass(time.Second)
	s.ask(nil, k.sign(t, s.claims(nil))).want(t, "later", "user:alice", "")
}

func TestOIDCMapping(t *testing.T) {
	s := newOIDCSite(t, func(o *identity.OIDC) {
		o.Username, o.Groups, o.UserPrefix, o.GroupPrefix = "email", "roles", "idp/", "idp/"
		o.Attributes = map[string]string{"max-nics": "nics", "sites": "sites", "absent": "nothing"}
	})
	k := s.add(signer{jose.ES256, "k1", newKey(t)})
	mail := map[string]any{"email": "alice@example.org", "email_verified": true, "roles": []string{"ops"}, "nics": 7, "sites": []string{"a", "b"}}
	got := s.ask(nil, k.sign(t, s.claims(mail)))
	want := identity.Identity{
		Kind: identity.User, Name: "idp/alice@example.org", Groups: []string{"idp/ops"},
		Attributes: map[string]string{"max-nics": "7", "sites": `["a","b"]`},
	}
	if got.Error != "" || !reflect.DeepEqual(got.ID, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	mail["email_verified"] = false
	s.ask(nil, k.sign(t, s.claims(mail))).want(t, "not verified", "", "not a verified one")
}

// Of two providers each vouches for its own tokens alone.
func TestOIDCTwoProviders(t *testing.T) {
	one, two := newProvider(t), newProvider(t)
	c := &clock{now: time.Now()}
	var config identity.Config
	config.Now = c.Now
	for _, p := range []*provider{one, two} {
		config.OIDC = append(config.OIDC, identity.OIDC{Issuer: p.server.URL, Audience: "berth", Client: p.server.Client()})
	}
	s := newSite(t, config)
	k := one.add(signer{jose.ES256, "k1", newKey(t)})
	ofOne, ofTwo := oidcSite{s, one, c}, oidcSite{s, two, c}
	s.ask(nil, k.sign(t, ofOne.claims(nil))).want(t, "its own", "user:alice", "")
	s.ask(nil, k.sign(t, ofTwo.claims(nil))).want(t, "the other's", "", "not valid")
}
