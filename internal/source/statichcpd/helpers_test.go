package statichcpd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	compat "github.com/berth-net/berth/internal/compat/statichcpd"
	"github.com/berth-net/berth/internal/source"
)

// patience is for what must come; the tests print how long it took.
const patience = 10 * time.Second

func config() compat.Config {
	cfg := compat.DefaultConfig()
	cfg.Interfaces = regexp.MustCompile(`^tap`)
	cfg.UseMACAsDUID, cfg.DisableIAID = true, true
	return cfg
}

// made creates a database as berth does, with an attribute of a list.
func made(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dhcp.db")
	if err := Create(t.Context(), path, compat.DefaultAttributes().With([]compat.Attribute{{Code: 44, Max: 100, Type: compat.IPV4}}, nil)); err != nil {
		t.Fatal(err)
	}
	return path
}

// cli is a controller: another process, with SQLite's own implementation.
func cli(t *testing.T, path, sql string) string {
	t.Helper()
	out, err := tryCLI(path, sql)
	if err != nil {
		t.Fatalf("%s: %v: %s", sql, err, out)
	}
	return out
}

func tryCLI(path, sql string) (string, error) {
	cmd := exec.Command("sqlite3", "-bail", "-cmd", ".timeout 5000", path, "pragma foreign_keys=on;\n"+sql)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// insert writes the address of a tap's client.
func insert(tap, mac, addr string) string {
	return "insert into client_configuration (ifname, groupID, mac, attr_code, attr_val) values ('" + tap + "', null, '" + mac + "', 256, '" + addr + "');"
}

// running is a source that runs, and what it publishes.
type running struct {
	*Source
	t       *testing.T
	updates chan source.Update
}

func run(t *testing.T, s *Source) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{s, t, make(chan source.Update, 10_000)}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func(u source.Update) { r.updates <- u }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func started(t *testing.T, path string) *running {
	return run(t, New(path, config(), compat.DefaultAttributes()))
}

// until waits for an update that is as wanted, and says how long it took.
func (r *running) until(what string, ok func(source.Update) bool) source.Update {
	r.t.Helper()
	begin := time.Now()
	limit := time.After(patience)
	for {
		select {
		case u := <-r.updates:
			if ok(u) {
				r.t.Logf("%s: after %v", what, time.Since(begin).Round(time.Millisecond))
				return u
			}
		case <-limit:
			r.t.Fatalf("%s: not seen", what)
		}
	}
}

// nics prints an update's NICs with their addresses; stale ones have a "!".
func nics(u source.Update) string {
	var out []string
	for _, b := range u.Bindings {
		s := b.NIC
		for _, a := range b.Addresses {
			s += " " + a.String()
		}
		if _, stale := u.Stale[b.NIC]; stale {
			s += " !"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func says(want string) func(source.Update) bool {
	return func(u source.Update) bool { return nics(u) == want }
}

func problems(u source.Update) string {
	var out []string
	for _, p := range u.Problems {
		out = append(out, p.Error())
	}
	return strings.Join(out, "\n")
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
