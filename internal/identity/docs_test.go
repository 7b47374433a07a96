package identity_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/docstest"
	"github.com/berth-net/berth/internal/identity"
)

// The token file in docs/access.md is one.
func TestDocTokenFile(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(docstest.Section(t, "access.md", "The token file"))
	if block == nil {
		t.Fatal("there is none")
	}
	before := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	s := newSite(t, identity.Config{Now: before, TokenFile: tokenFile(t, block[1])})
	s.ask(nil, "Bearer secret").want(t, "its token", "user:alice", "")
}

// It names the roles, in their order, and no others.
func TestDocRoles(t *testing.T) {
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\w+) \|`).FindAllStringSubmatch(docstest.Section(t, "access.md", "Roles"), -1) {
		got = append(got, m[1])
	}
	want := []string{"role", identity.Viewer.String(), identity.Member.String(), identity.Admin.String()}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("docs/access.md has %q, want %q", got, want)
	}
}
