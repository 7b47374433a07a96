package identity_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/berth-net/berth/internal/identity"
)

// socketSite listens on a unix socket that anybody may connect to.
func socketSite(t *testing.T, c identity.Config) string {
	t.Helper()
	a, err := identity.New(c)
	must(t, err)
	dir, err := os.MkdirTemp("", "berth-identity")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	must(t, err)
	must(t, os.Chmod(path, 0o666))
	s := httptest.NewUnstartedServer(identifier(a))
	s.Listener.Close()
	s.Listener, s.Config.ConnContext = l, identity.ConnContext
	s.Start()
	t.Cleanup(s.Close)
	return path
}

// askSocket is what a process tells that asks at BERTH_TEST_SOCKET.
func askSocket(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	return fetch(t, client, "http://berth/", headers...)
}

// TestPeers asks as root, then as another user with groups of its own: curl is
// not there on every machine, so a copy of this test binary asks.
func TestPeers(t *testing.T) {
	if path := os.Getenv("BERTH_TEST_SOCKET"); path != "" {
		want := answer{ID: identity.Identity{Kind: identity.Local, Name: "4711", Operator: os.Getenv("BERTH_TEST_OPERATOR") == "true"}}
		if got := askSocket(t, path); got.Error != "" || got.ID.String() != want.ID.String() || got.ID.Operator != want.ID.Operator {
			t.Errorf("%+v, want %+v", got, want)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Fatal("these tests want root, to ask as others")
	}
	for _, c := range []struct {
		name   string
		config identity.Config
		want   bool
	}{
		{"nobody configured", identity.Config{}, false},
		{"its uid", identity.Config{UIDs: []uint32{4711}}, true},
		{"its group", identity.Config{GIDs: []uint32{4712}}, true},
		{"a further group", identity.Config{GIDs: []uint32{4800}}, true},
		{"as a subject", identity.Config{Operators: []string{"local:4711"}}, true},
		{"others", identity.Config{UIDs: []uint32{4712}, GIDs: []uint32{4711, 0}, Operators: []string{"user:4711", "local:0"}}, false},
	} {
		path := socketSite(t, c.config)
		if got := askSocket(t, path); got.Error != "" || got.ID.String() != "local:0" || !got.ID.Operator {
			t.Errorf("%s, root: %+v", c.name, got)
		}
		if out, err := another(t, path, c.want).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
}

// another is this test in a process of uid 4711.
func another(t *testing.T, path string, operator bool) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(filepath.Dir(path), "test")
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(binary, self, 0o755))
	cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestPeers$", "-test.count=1")
	cmd.Dir = "/"
	cmd.Env = []string{"BERTH_TEST_SOCKET=" + path, "BERTH_TEST_OPERATOR=" + strconv.FormatBool(operator)}
	var many []uint32
	for g := range uint32(100) { // more than fit at the first try
		many = append(many, 4720+g)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4712, Groups: many}}
	return cmd
}

// Who sends a token over the socket speaks for its user, and has lost what
// its uid could do.
func TestTokenOverSocket(t *testing.T) {
	path := socketSite(t, identity.Config{TokenFile: tokenFile(t, "tokens:\n"+entry("alice", "secret-a", ""))})
	got := askSocket(t, path, "Bearer secret-a")
	if got.want(t, "token", "user:alice", ""); got.ID.Operator {
		t.Errorf("%+v", got)
	}
	askSocket(t, path, "Bearer other").want(t, "not known", "", "not known")
}
