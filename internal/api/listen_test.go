package api_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/api/apitest"
)

func TestListenModeAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := api.Listen(path, 0o660, "7")
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Mode() != os.ModeSocket|0o660 || fi.Sys().(*syscall.Stat_t).Gid != 7 {
		t.Errorf("mode %s, gid %d; want Srw-rw----, 7", fi.Mode(), fi.Sys().(*syscall.Stat_t).Gid)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("closing leaves %v, %v", left, err)
	}
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live")
	l, err := net.Listen("unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(dir, strings.Repeat("x", 100))
	tests := []struct{ path, group, want string }{
		{live, "", "socket " + live + ": another process listens on it"},
		{file, "", "socket " + file + ": there is something that is no socket (----------)"},
		{filepath.Join(open, "s"), "", "socket " + open + "/s: directory " + open + " has mode 0777: others could replace the socket"},
		{filepath.Join(dir, "none/s"), "", "socket " + dir + "/none/s: open " + dir + "/none: no such file or directory"},
		{filepath.Join(dir, "s"), "nosuchgroup", "socket " + dir + `/s: group "nosuchgroup": group: unknown group nosuchgroup`},
		{file + "/s", "", "socket " + file + "/s: open " + file + ": not a directory"},
	}
	for _, tt := range tests {
		if _, err := api.Listen(tt.path, 0o660, tt.group); err == nil || err.Error() != tt.want {
			t.Errorf("Listen(%s):\n got %v\nwant %s", tt.path, err, tt.want)
		}
	}
	if _, err := api.Listen(long, 0o660, ""); err == nil || !strings.HasSuffix(err.Error(), "at most 103 fit") {
		t.Errorf("a path of %d bytes: %v", len(long), err)
	}
	if got, err := os.ReadFile(file); string(got) != "precious" || err != nil {
		t.Errorf("the file in the way has %q, %v", got, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "s.new")); !os.IsNotExist(err) {
		t.Errorf("a refused group leaves the half-made socket: %v", err)
	}
}

// TestListenReplacesDead: a socket left by a killed agent is in nobody's way.
func TestListenReplacesDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := api.Listen(path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// TestCloseLeavesAnothers: the old agent's end doesn't take the new one's
// socket away.
func TestCloseLeavesAnothers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := api.Listen(path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // as an operator might
		t.Fatal(err)
	}
	fresh, err := api.Listen(path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

// TestConnectionLimit: beyond the limit a client waits, and is served when
// another goes.
func TestConnectionLimit(t *testing.T) {
	s := start(t, apitest.New(1))
	var idle []net.Conn
	for range api.MaxConns {
		c, err := net.Dial("unix", s.socket)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	served := make(chan error, 1)
	go func() {
		_, err := api.NewClient(s.socket).Status(t.Context())
		served <- err
	}()
	select {
	case err := <-served:
		t.Fatalf("served beyond the limit: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	idle[0].Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	for _, c := range idle[1:] {
		c.Close()
	}
}
