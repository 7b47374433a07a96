package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDC is one identity provider whose ID tokens are accepted.
type OIDC struct {
	Issuer   string // an https URL, as in "iss"
	Audience string // that must be in "aud"
	// Username and Groups are the claims with the user's name and groups;
	// "sub" and "groups" unless given. "email" must be a verified one.
	Username, Groups string
	// UserPrefix and GroupPrefix keep its names apart from those of others.
	UserPrefix, GroupPrefix string
	// Attributes are those of the identity by the claim that they come from.
	Attributes map[string]string
	// Skew is how far the provider's clock may be off; a minute unless given.
	Skew time.Duration
	// Client fetches the provider's keys; nil: one with the system's CAs.
	Client *http.Client
}

// Bounds of talking to a provider.
const (
	fetchTimeout  = 10 * time.Second
	fetchInterval = time.Second // between fetches of the same thing, whoever sends us tokens
	maxKeys       = 1 << 20     // bytes
	defaultSkew   = time.Minute
)

// algorithms are those with a key that only the provider has.
func algorithms() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}
}

// issuer is one provider; it is discovered when its first token comes.
type issuer struct {
	OIDC
	now func() time.Time

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	failed   time.Time // when it was not found last, and why
	why      error
}

func newIssuer(o OIDC, now func() time.Time) (*issuer, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("OIDC issuer %q is not an https URL", o.Issuer)
	case o.Audience == "":
		return nil, fmt.Errorf("OIDC issuer %s: the audience is missing; without it any of the issuer's tokens would do", o.Issuer)
	}
	if o.Username == "" {
		o.Username = "sub"
	}
	if o.Groups == "" {
		o.Groups = "groups"
	}
	if o.Skew == 0 {
		o.Skew = defaultSkew
	}
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	}
	client.Timeout = fetchTimeout
	client.Transport = &sparing{next: client.Transport, now: now, last: map[string]time.Time{}}
	o.Client = &client
	return &issuer{OIDC: o, now: now}, nil
}

// sparing fetches each URL at most once an interval: tokens with unknown keys,
// which anybody can make, must not become requests to the provider.
type sparing struct {
	next http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	last map[string]time.Time
}

func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	now, url := s.now(), r.URL.String()
	recent := now.Sub(s.last[url]) < fetchInterval
	if !recent {
		s.last[url] = now
	}
	s.mu.Unlock()
	if recent {
		return nil, errors.New("was fetched a moment ago")
	}
	next := s.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxKeys)
	return resp, nil
}

// ready discovers the provider unless that was done. Those who waited while it
// failed do not try again one after the other.
func (i *issuer) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.verifier == nil && (i.why == nil || i.now().Sub(i.failed) >= fetchInterval) {
		i.verifier, i.why = i.discover(ctx)
		i.failed = i.now()
	}
	if i.why != nil {
		return nil, &Refusal{Text: "the identity provider " + i.Issuer + " cannot be asked", Unavailable: true, Cause: i.why}
	}
	return i.verifier, nil
}

func (i *issuer) discover(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	// Not of one request: others wait for it, and its keys are fetched later.
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), i.Client)
	provider, err := oidc.NewProvider(ctx, i.Issuer)
	if err != nil {
		return nil, err
	}
	// The audience is checked by us, with a reason that can be told.
	return provider.VerifierContext(ctx, &oidc.Config{
		SkipClientIDCheck: true, SupportedSigningAlgs: algorithms(),
		Now: func() time.Time { return i.now().Add(-i.Skew) },
	}), nil
}

// oidc is who a provider's token is of.
func (a *Authenticator) oidc(ctx context.Context, bearer string) (Identity, error) {
	i := a.issuers[claimedIssuer(bearer)]
	if i == nil {
		return Identity{}, refuse("the bearer token is not known, nor of an identity provider that is configured")
	}
	verifier, err := i.ready(ctx)
	if err != nil {
		return Identity{}, err
	}
	token, err := verifier.Verify(ctx, bearer)
	if expired, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return Identity{}, refuse("the bearer token expired at %s", expired.Expiry.UTC().Format(time.RFC3339))
	}
	if err != nil {
		return Identity{}, &Refusal{Text: "the bearer token is not valid: malformed, of a later time, or with a signature that cannot be verified", Cause: err}
	}
	if !slices.Contains(token.Audience, i.Audience) {
		return Identity{}, refuse("the bearer token is for the audience %+q, not for %q", token.Audience, i.Audience)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Identity{}, &Refusal{Text: "the bearer token's claims cannot be read", Cause: err}
	}
	return i.identity(claims)
}

// claimedIssuer is the issuer that a token says it is of, which nothing proves
// yet: it only chooses who is to prove it.
func claimedIssuer(bearer string) string {
	parts := strings.Split(bearer, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// identity makes a user of claims that are proven.
func (i *issuer) identity(claims map[string]any) (Identity, error) {
	name, ok := claims[i.Username].(string)
	if !ok {
		return Identity{}, refuse("the bearer token has no text as claim %q, which is to be the user's name", i.Username)
	}
	if verified, there := claims["email_verified"]; i.Username == "email" && there && verified != true {
		return Identity{}, refuse("the bearer token's email is not a verified one")
	}
	groups, err := groupsOf(claims[i.Groups])
	if err != nil {
		return Identity{}, refuse("the bearer token's claim %q is no list of texts", i.Groups)
	}
	for g := range groups {
		groups[g] = i.GroupPrefix + groups[g]
	}
	return user(i.UserPrefix+name, groups, i.attributes(claims))
}

func groupsOf(claim any) ([]string, error) {
	switch c := claim.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{c}, nil
	case []any:
		groups := make([]string, 0, len(c))
		for _, v := range c {
			s, ok := v.(string)
			if !ok {
				return nil, errors.New("not a text")
			}
			groups = append(groups, s)
		}
		return groups, nil
	}
	return nil, errors.New("not a list")
}

// attributes are the claims that are asked for: texts as they are, others as
// JSON writes them.
func (i *issuer) attributes(claims map[string]any) map[string]string {
	if len(i.Attributes) == 0 {
		return nil
	}
	attributes := map[string]string{}
	for attribute, claim := range i.Attributes {
		switch v := claims[claim].(type) {
		case nil:
		case string:
			attributes[attribute] = v
		default:
			if text, err := json.Marshal(v); err == nil {
				attributes[attribute] = string(text)
			}
		}
	}
	return attributes
}
