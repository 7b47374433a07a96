package identity_test

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/identity"
)

func entry(name, token, more string) string {
	return fmt.Sprintf("- {name: %s, sha256: %s%s}\n", name, hash(token), more)
}

func TestStaticTokens(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	s := newSite(t, identity.Config{
		Now: func() time.Time { return now },
		TokenFile: tokenFile(t, "tokens:\n"+
			entry("alice", "secret-a", ", groups: [dev], attributes: {max-nics: '3'}, expires: 2026-03-04T12:00:01Z")+
			entry("bob", "secret-b", "")+
			entry("carol", "secret-c", ", expires: 2026-03-04T12:00:00Z")),
	})
	got := s.ask(nil, "Bearer secret-a").ID
	want := identity.Identity{Kind: identity.User, Name: "alice", Groups: []string{"dev"}, Attributes: map[string]string{"max-nics": "3"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, c := range []struct {
		headers    []string
		actor, err string
	}{
		{[]string{"Bearer secret-b"}, "user:bob", ""},
		{[]string{"bearer  secret-b"}, "user:bob", ""},
		{[]string{"Bearer secret-c"}, "", "the token of user:carol expired at 2026-03-04T12:00:00Z"},
		{[]string{"Bearer secret-d"}, "", "the bearer token is not known"},
		{[]string{"Bearer " + hash("secret-b")}, "", "the bearer token is not known"},
		{[]string{"Bearer"}, "", "no bearer token"},
		{[]string{"Bearer "}, "", "no bearer token"},
		{[]string{"Bearer secret-b secret-a"}, "", "more than one"},
		{[]string{"Bearer secret-b,secret-a"}, "", "more than one"},
		{[]string{"Basic YTpi"}, "", "not of the scheme Bearer"},
		{[]string{"Bearer secret-b", "Bearer secret-b"}, "", "2 Authorization headers"},
		{[]string{"Bearer a.b.c"}, "", "the bearer token is not known"},
		{[]string{""}, "", "not of the scheme Bearer"},
		{nil, "", "no credentials"},
	} {
		a := s.ask(nil, c.headers...)
		a.want(t, fmt.Sprint(c.headers), c.actor, c.err)
		if strings.Contains(a.Error, "secret") {
			t.Errorf("%v: the error has a secret: %s", c.headers, a.Error)
		}
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	path := tokenFile(t, "tokens:\n"+entry("alice", "one", ""))
	s := newSite(t, identity.Config{TokenFile: path})
	s.ask(nil, "Bearer one").want(t, "first", "user:alice", "")
	// As many bytes, within the same tick of the clock.
	write(t, path, "tokens:\n"+entry("alice", "two", ""))
	s.ask(nil, "Bearer one").want(t, "taken out", "", "not known")
	s.ask(nil, "Bearer two").want(t, "put in", "user:alice", "")
	replaced := filepath.Join(filepath.Dir(path), "new")
	write(t, replaced, "tokens:\n"+entry("carol", "two", ""))
	must(t, os.Rename(replaced, path))
	s.ask(nil, "Bearer two").want(t, "replaced", "user:carol", "")
}

// A file that is not safe, or cannot be read, has no tokens; mended, it has.
func TestTokenFileRefused(t *testing.T) {
	good := "tokens:\n" + entry("alice", "one", "")
	for _, c := range []struct {
		name  string
		spoil func(path string) error
		want  string
	}{
		{"readable by others", func(p string) error { return os.Chmod(p, 0o644) }, "mode 0644: others may read or write it"},
		{"readable by a group", func(p string) error { return os.Chmod(p, 0o640) }, "mode 0640"},
		{"another's", func(p string) error { return os.Chown(p, 12345, 0) }, "belongs to uid 12345"},
		{"gone", os.Remove, "no such file"},
		{"a link", func(p string) error { return replace(p, os.Symlink("/etc/passwd", p+".new")) }, "too many levels of symbolic links"},
		{"a FIFO", func(p string) error { return replace(p, syscall.Mkfifo(p+".new", 0o600)) }, "not a regular file"},
		{"not YAML", text("tokens: ["), "token file"},
		{"an unknown key", text("tokens: [{name: a, secret: x}]"), `unknown field "secret"`},
		{"a short hash", text("tokens: [{name: a, sha256: abcd}]"), `tokens[0] ("a"): sha256: not 64 hexadecimal digits`},
		{"no name", text("tokens:\n" + entry("''", "x", "")), "the user's name is empty"},
		{"the same twice", text(good + entry("bob", "one", "")), `tokens[1] ("bob"): sha256: another token has the same`},
	} {
		path := tokenFile(t, good)
		s := newSite(t, identity.Config{TokenFile: path})
		must(t, c.spoil(path))
		a := s.ask(nil, "Bearer one")
		a.want(t, c.name, "", c.want)
		if !a.Unavailable || strings.Contains(a.Text, path) || strings.Contains(a.Text, c.want) {
			t.Errorf("%s: %+v", c.name, a)
		}
		_ = os.Remove(path)
		write(t, path, good)
		s.ask(nil, "Bearer one").want(t, c.name+", mended", "user:alice", "")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text(s string) func(string) error {
	return func(p string) error { return os.WriteFile(p, []byte(s), 0o600) }
}

func replace(path string, err error) error {
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func TestCertificateAndToken(t *testing.T) {
	siteCA, userCA := newAuthority(t, "site"), newAuthority(t, "people")
	s := newSite(t, identity.Config{
		NodeCAs: []*x509.Certificate{siteCA.cert}, UserCAs: []*x509.Certificate{userCA.cert},
		TokenFile: tokenFile(t, "tokens:\n"+entry("alice", "secret-a", ", groups: [dev]")+entry("n1", "secret-n", "")),
	})
	alice, bob, n1 := userCA.client("alice"), userCA.client("bob"), siteCA.client("", uris("spiffe://berth/node/n1"))
	s.ask(alice, "Bearer secret-a").want(t, "the same", "user:alice", "")
	s.ask(bob, "Bearer secret-a").want(t, "another", "", "the certificate is of user:bob and the bearer token of user:alice")
	s.ask(n1, "Bearer secret-n").want(t, "a node of that name", "", "the certificate is of node:n1 and the bearer token of user:n1")
	s.ask(alice, "Bearer secret-x").want(t, "a token that is not known", "", "not known")
	s.ask(newAuthority(t, "stranger").client("alice"), "Bearer secret-a").want(t, "a certificate that is not", "", "not signed by")
}
