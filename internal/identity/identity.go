// Package identity answers who is asking, from what a connection and its
// request prove: the peer of the controller's unix socket, a certificate of
// the site's CA or of a CA for users, a bearer token of an identity provider
// or of a file; and what that identity may do by the roles of a project.
//
// Not here: whether a request is permitted (policy), and who signs
// certificates (pki).
package identity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is what sort of asker it is.
type Kind string

// The kinds. No credentials of one can make another.
const (
	Local Kind = "local" // a process on the controller's host, named by its uid
	User  Kind = "user"
	Node  Kind = "node"
)

// Identity is who asks.
type Identity struct {
	Kind       Kind              `json:"kind"`
	Name       string            `json:"name"`
	Groups     []string          `json:"groups,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// Operator may do everything but what a policy denies.
	Operator bool `json:"operator,omitempty"`
}

// String is the actor of records: "user:alice", "node:n1", "local:0".
func (id Identity) String() string { return string(id.Kind) + ":" + id.Name }

// Subjects are the names under which roles may be given: "user:alice" and,
// for each of its groups, "group:NAME". A node has none.
func (id Identity) Subjects() []string {
	if id.Kind == Node {
		return nil
	}
	subjects := []string{id.String()}
	for _, g := range id.Groups {
		subjects = append(subjects, "group:"+g)
	}
	return subjects
}

// is reports whether one of its subjects is listed.
func (id Identity) is(listed []string) bool {
	return slices.ContainsFunc(id.Subjects(), func(s string) bool { return slices.Contains(listed, s) })
}

// ErrNone is that a request has no credentials at all.
var ErrNone = errors.New("no credentials: neither a client certificate nor a bearer token")

// Refusal is that credentials are not accepted. Error is for the log, and
// holds no secrets; Text is what may be told to whoever asked.
type Refusal struct {
	Text string
	// Unavailable: it is not the credentials' fault; later they may be accepted.
	Unavailable bool
	// Cause is what is for the log alone: paths, addresses. It may be nil.
	Cause error
}

func (r *Refusal) Error() string {
	if r.Cause == nil {
		return r.Text
	}
	return r.Text + ": " + r.Cause.Error()
}

func (r *Refusal) Unwrap() error { return r.Cause }

func refuse(format string, args ...any) *Refusal { return &Refusal{Text: fmt.Sprintf(format, args...)} }

// maxName bounds names, of which records and logs are full.
const maxName = 256

// checkName refuses names of people and groups that could not be told apart
// from others where they are shown.
func checkName(what, name string) error {
	switch {
	case name == "":
		return refuse("the %s is empty", what)
	case len(name) > maxName:
		return refuse("the %s has %d bytes, at most %d are accepted", what, len(name), maxName)
	case !utf8.ValidString(name) || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unprintable):
		return refuse("the %s %+q has characters that are not accepted", what, name)
	}
	return nil
}

// unprintable are control characters, and those that hide or turn text.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// user makes a user of what was proven, or refuses a name in it.
func user(name string, groups []string, attributes map[string]string) (Identity, error) {
	if err := checkName("user's name", name); err != nil {
		return Identity{}, err
	}
	for _, g := range groups {
		if err := checkName("group's name", g); err != nil {
			return Identity{}, err
		}
	}
	return Identity{Kind: User, Name: name, Groups: groups, Attributes: attributes}, nil
}
