package statichcpd

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	compat "github.com/berth-net/berth/internal/compat/statichcpd"
	"github.com/berth-net/berth/internal/source"
)

const (
	mac1 = "52:54:00:00:00:01"
	mac2 = "52:54:00:00:00:02"
)

// A commit of another process is seen, with both kinds of journal.
func TestCommitIsSeen(t *testing.T) {
	for _, journal := range []string{"wal", "delete", "truncate"} {
		t.Run(journal, func(t *testing.T) {
			path := made(t)
			if got := cli(t, path, "pragma journal_mode="+journal); got != journal {
				t.Fatalf("journal mode %s", got)
			}
			r := started(t, path)
			r.until("empty", says(""))
			cli(t, path, insert("tap1", mac1, "192.0.2.10"))
			r.until("insert", says("tap1 192.0.2.10/32"))
			cli(t, path, "update client_configuration set attr_val='192.0.2.11'")
			r.until("update", says("tap1 192.0.2.11/32"))
			cli(t, path, "delete from clients where ifname='tap1'")
			r.until("delete", says(""))
		})
	}
}

// However fast a writer commits, every row is there in the end, and there are
// far fewer readings than commits.
func TestManyCommits(t *testing.T) {
	path := made(t)
	cli(t, path, "pragma synchronous=off;")
	r := started(t, path)
	r.until("empty", says(""))
	const commits = 500
	var sql strings.Builder
	sql.WriteString("pragma synchronous=off;\n")
	for i := range commits {
		sql.WriteString(insert(fmt.Sprintf("tap%d", i), fmt.Sprintf("52:54:00:00:%02x:%02x", i/256, i%256), fmt.Sprintf("10.0.%d.%d", i/200, i%200+1)) + "\n")
	}
	cli(t, path, sql.String())
	u := r.until("all", func(u source.Update) bool { return len(u.Bindings) == commits })
	if u.Generation >= commits {
		t.Errorf("%d updates for %d commits", u.Generation, commits)
	}
}

// While commits go on without a pause each is seen soon, not when they end.
func TestSeenWhileCommitsGoOn(t *testing.T) {
	const commits = 60
	path := made(t)
	r := started(t, path)
	r.until("empty", says(""))
	var committed [commits]atomic.Int64 // when, in Unix nanoseconds
	go func() {
		for i := range commits {
			if out, err := tryCLI(path, insert(fmt.Sprintf("tap%d", i), fmt.Sprintf("52:54:00:00:00:%02x", i), fmt.Sprintf("192.0.2.%d", i+1))); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			committed[i].Store(time.Now().UnixNano())
		}
	}()
	var worst time.Duration
	for seen := 0; seen < commits; {
		u := r.until("more", func(u source.Update) bool { return len(u.Bindings) > seen })
		for ; seen < len(u.Bindings); seen++ {
			if at := committed[seen].Load(); at > 0 { // else it was seen before its writer was back
				worst = max(worst, time.Since(time.Unix(0, at)))
			}
		}
	}
	t.Logf("the slowest of %d commits was seen after %v", commits, worst.Round(time.Millisecond))
	if worst > 2*time.Second {
		t.Errorf("a commit was seen after %v", worst)
	}
}

// A writer that has the database to itself keeps neither Run nor Refresh. What
// was read before it stands, with the mistakes that were in it.
func TestExclusiveWriter(t *testing.T) {
	path := made(t)
	cli(t, path, "pragma journal_mode=delete;"+insert("tap1", mac1, "192.0.2.10")+insert("tap2", mac2, "192.0.2"))
	r := started(t, path)
	mistake := path + `:2:1: client_configuration.attr_code 256 "192.0.2": not an IPv4 address`
	r.until("start", func(u source.Update) bool { return problems(u) == mistake })
	release := hold(t, path)
	u := r.until("lock", func(u source.Update) bool { return len(u.Problems) == 2 })
	if got, want := problems(u), path+": locked by a writer\n"+mistake; got != want || nics(u) != "tap1 192.0.2.10/32" {
		t.Errorf("%s, problems %q, want %q", nics(u), got, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Refresh(ctx); err != nil {
		t.Errorf("refresh: %v", err)
	}
	release()
	r.until("release", says("tap1 192.0.2.99/32, tap2 192.0.2.98/32"))
}

// What a start has from before it is stale as long as a writer lets nothing be
// read.
func TestStartWhileLocked(t *testing.T) {
	path := made(t)
	cli(t, path, "pragma journal_mode=delete;"+insert("tap1", mac1, "192.0.2.10"))
	cache := filepath.Join(t.TempDir(), "cache")
	t.Run("before", func(t *testing.T) {
		s := New(path, config(), compat.DefaultAttributes())
		s.Cache = cache
		run(t, s).until("start", says("tap1 192.0.2.10/32"))
	})
	release := hold(t, path)
	s := New(path, config(), compat.DefaultAttributes())
	s.Cache = cache
	r := run(t, s)
	r.until("lock", says("tap1 192.0.2.10/32 !"))
	release()
	r.until("release", says("tap1 192.0.2.99/32"))
}

// hold begins an exclusive transaction in another process.
func hold(t *testing.T, path string) (commit func()) {
	t.Helper()
	cmd := exec.Command("sqlite3", "-batch", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, ".timeout 5000\nbegin exclusive; update client_configuration set attr_val='192.0.2.'||(100-rowid); select 'held';")
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return func() {
		fmt.Fprintln(in, "commit;")
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// A Refresh returns when what was written before it has been published.
func TestRefresh(t *testing.T) {
	path := made(t)
	r := started(t, path)
	r.until("empty", says(""))
	cli(t, path, insert("tap1", mac1, "192.0.2.10"))
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := ""
	for len(r.updates) > 0 {
		last = nics(<-r.updates)
	}
	if last != "tap1 192.0.2.10/32" {
		t.Errorf("published %q", last)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(path, config(), compat.DefaultAttributes()).Refresh(ended); err == nil {
		t.Error("a Refresh of what does not run succeeds")
	}
}

// What cannot be read takes nothing away, and what comes back is read.
func TestUnreadable(t *testing.T) {
	for _, c := range []struct {
		name, problem string
		spoil         func(t *testing.T, path string)
	}{
		{"missing", "there is no such file", remove},
		{"directory", "not a regular file", func(t *testing.T, path string) {
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"garbage", "file is not a database", func(t *testing.T, path string) { replace(t, path, strings.Repeat("garbage ", 1000)) }},
		{"empty", "has no table client_configuration: not a database of statichcpd", func(t *testing.T, path string) { replace(t, path, "") }},
		{"other schema", "no such column", func(t *testing.T, path string) {
			remove(t, path)
			cli(t, path, "create table client_configuration (name text)")
		}},
		{"world-writable", "mode 0646 lets everybody write to it", func(t *testing.T, path string) {
			remove(t, path)
			cli(t, path, "create table client_configuration (name text)")
			if err := os.Chmod(path, 0o646); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := made(t)
			cli(t, path, "pragma journal_mode=delete;"+insert("tap1", mac1, "192.0.2.10"))
			r := started(t, path)
			r.until("start", says("tap1 192.0.2.10/32"))
			c.spoil(t, path)
			u := r.until("spoilt", func(u source.Update) bool { return strings.Contains(problems(u), c.problem) })
			if got, want := nics(u), "tap1 192.0.2.10/32 !"; got != want {
				t.Errorf("in force: %q, want %q", got, want)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			other := made(t)
			cli(t, other, "pragma journal_mode=delete;"+insert("tap2", mac2, "192.0.2.20"))
			if err := os.Rename(other, path); err != nil {
				t.Fatal(err)
			}
			r.until("another one", says("tap2 192.0.2.20/32"))
		})
	}
}

func replace(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A NIC with a mistake keeps what it had, also over a restart; others go on.
func TestStaleOverRestart(t *testing.T) {
	path := made(t)
	cache := filepath.Join(t.TempDir(), "cache")
	cli(t, path, insert("tap1", mac1, "192.0.2.10")+insert("tap2", mac2, "192.0.2.20"))
	t.Run("before", func(t *testing.T) {
		s := New(path, config(), compat.DefaultAttributes())
		s.Cache = cache
		r := run(t, s)
		r.until("start", says("tap1 192.0.2.10/32, tap2 192.0.2.20/32"))
		cli(t, path, "update client_configuration set attr_val='192.0.2' where ifname='tap1'")
		u := r.until("mistake", says("tap1 192.0.2.10/32 !, tap2 192.0.2.20/32"))
		want := path + `:1:1: client_configuration.attr_code 256 "192.0.2": not an IPv4 address`
		if got := u.Stale["tap1"].Error(); got != want {
			t.Errorf("stale: %s\nwant:  %s", got, want)
		}
	})
	s := New(path, config(), compat.DefaultAttributes())
	s.Cache = cache
	r := run(t, s)
	r.until("restart", says("tap1 192.0.2.10/32 !, tap2 192.0.2.20/32"))
	cli(t, path, "delete from client_configuration where ifname='tap1'")
	r.until("removed", says("tap2 192.0.2.20/32"))
}

// A restart without the database goes on with what was good.
func TestRestartWithoutDatabase(t *testing.T) {
	path := made(t)
	cache := filepath.Join(t.TempDir(), "cache")
	cli(t, path, insert("tap1", mac1, "192.0.2.10"))
	for _, want := range []string{"tap1 192.0.2.10/32", "tap1 192.0.2.10/32 !"} {
		t.Run(want, func(t *testing.T) {
			s := New(path, config(), compat.DefaultAttributes())
			s.Cache = cache
			run(t, s).until("start", says(want))
		})
		_ = os.Remove(path) // gone the second time
	}
}

// A cache that was tampered with is set aside.
func TestDamagedCache(t *testing.T) {
	path := made(t)
	s := New(path, config(), compat.DefaultAttributes())
	s.Cache = filepath.Join(t.TempDir(), "cache")
	if err := os.WriteFile(s.Cache, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, s).until("told", func(u source.Update) bool { return strings.Contains(problems(u), "set aside as cache.bad") })
}

// Databases of before groups and of before DHCPv6 are read as they are.
func TestOldSchemas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	cli(t, path, `create table client_configuration (ifname text not null, mac text not null, attr_code int not null, attr_val not null);
		insert into client_configuration values ('tap1', '`+mac1+`', 256, '192.0.2.10'), ('tap1', '`+mac1+`', 1, x'3235352e3235352e3235352e30'), ('tap1', '`+mac1+`', 'x', 1);`)
	u := New(path, config(), compat.DefaultAttributes()).Check()
	if got, want := problems(u), path+`:3:1: client_configuration.attr_code "x": must be a number`; got != want {
		t.Errorf("problems %s\nwant     %s", got, want)
	}
	cli(t, path, "delete from client_configuration where attr_code='x'")
	if got, want := nics(New(path, config(), compat.DefaultAttributes()).Check()), "tap1 192.0.2.10/24"; got != want {
		t.Errorf("read %q, want %q", got, want)
	}
	if got := cli(t, path, "select count(*) from sqlite_master"); got != "1" {
		t.Errorf("%s tables after reading", got)
	}
	if err := Create(t.Context(), path, compat.DefaultAttributes()); err != nil {
		t.Fatal(err)
	}
	cli(t, path, "insert into client_configuration (ifname, groupID, mac, attr_code, attr_val) values ('tap2', 'vm', '"+mac2+"', 256, '192.0.2.20')")
	u = New(path, config(), compat.DefaultAttributes()).Check()
	if got, want := nics(u), "tap1 192.0.2.10/24, tap2 192.0.2.20/32"; got != want || u.Bindings[1].Group != "vm" {
		t.Errorf("read %q, want %q", got, want)
	}
}

// A row that no interface can have takes nothing away and keeps nothing back.
func TestRowOfNoInterface(t *testing.T) {
	path := made(t)
	cli(t, path, insert("tap1", mac1, "192.0.2.10"))
	r := started(t, path)
	r.until("start", says("tap1 192.0.2.10/32"))
	cli(t, path, "begin; delete from client_configuration;"+insert("tap7890123456789", mac1, "192.0.2.10")+"commit;")
	u := r.until("deleted", says(""))
	if !strings.Contains(problems(u), "16 bytes") {
		t.Error(problems(u))
	}
}

// Check says what is wrong without anything that runs.
func TestCheckMissing(t *testing.T) {
	u := New(filepath.Join(t.TempDir(), "none"), config(), compat.DefaultAttributes()).Check()
	if got := problems(u); !strings.Contains(got, "there is no such file") || len(u.Bindings) != 0 {
		t.Errorf("%s, %s", got, nics(u))
	}
}

// What Run would make is no mistake to Check, which makes nothing itself.
func TestCheckBeforeCreate(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.db"): "",
		empty:                         "",
		"/nonexistent/dir/x.db":       "there is no such file",
		dir:                           "not a regular file",
	} {
		s := New(path, config(), compat.DefaultAttributes())
		s.Create = true
		u := s.Check()
		if got := problems(u); !strings.Contains(got, want) || (got == "") != (want == "") || (len(u.Warnings) == 1) != (want == "") {
			t.Errorf("%s: problems %q, want %q; warnings %v", path, got, want, u.Warnings)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("Check made the database")
	}
}

// Run makes the database if it is to.
func TestRunCreates(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "new.db"), config(), compat.DefaultAttributes())
	s.Create = true
	r := run(t, s)
	r.until("empty", func(u source.Update) bool { return problems(u) == "" })
	cli(t, s.Path, insert("tap1", mac1, "192.0.2.10"))
	r.until("insert", says("tap1 192.0.2.10/32"))
	bad := New("/nonexistent/dir/x.db", config(), compat.DefaultAttributes())
	bad.Create = true
	run(t, bad).until("failed", func(u source.Update) bool { return strings.Contains(problems(u), "create /nonexistent/dir/x.db") })
}

// A mistake in the configuration takes nothing away.
func TestBadDefaults(t *testing.T) {
	path := made(t)
	cli(t, path, insert("tap1", mac1, "192.0.2.10"))
	s := New(path, config(), compat.DefaultAttributes())
	if u := s.look(t.Context()); nics(u) != "tap1 192.0.2.10/32" {
		t.Fatalf("%s, %s", nics(u), problems(u))
	}
	s.Config.Defaults = "ra: {mode: sometimes}"
	u := s.Check()
	if got, want := nics(u), "tap1 192.0.2.10/32 !"; got != want {
		t.Errorf("in force: %q, want %q", got, want)
	}
	if got, want := problems(u), `cannot be read: statichcpd.defaults:1:12: ra.mode "sometimes": must be serve, off or site`; !strings.Contains(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Reading 10,000 rows again takes a small part of what a commit may wait.
func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "dhcp.db")
	if err := Create(b.Context(), path, compat.DefaultAttributes()); err != nil {
		b.Fatal(err)
	}
	fillRows(b, path, 1250)
	s := New(path, config(), compat.DefaultAttributes())
	defer s.drop()
	for b.Loop() {
		if u := s.look(b.Context()); len(u.Bindings) != 1250 {
			b.Fatal(problems(u))
		}
	}
}

func fillRows(b *testing.B, path string, clients int) {
	b.Helper()
	var sql strings.Builder
	sql.WriteString("begin;")
	for i := range clients {
		mac := fmt.Sprintf("52:54:00:00:%02x:%02x", i/256, i%256)
		row := func(code int, value string) {
			fmt.Fprintf(&sql, "insert into client_configuration values ('tap%d', null, '%s', %d, %s);", i, mac, code, value)
		}
		row(256, fmt.Sprintf("'10.0.%d.%d'", i/200, i%200+2))
		row(1, "'255.255.0.0'")
		row(3, "'10.0.0.1'")
		row(6, "'192.0.2.53'")
		row(6, "'192.0.2.54'")
		row(12, fmt.Sprintf("'vm%d'", i))
		row(26, "1450")
		row(121, "'198.51.100.0/24,10.0.0.1'")
	}
	cmd := exec.Command("sqlite3", path)
	cmd.Stdin = strings.NewReader(sql.String() + "commit;")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
}

// Looking for a commit where there is none costs next to nothing.
func BenchmarkIdle(b *testing.B) {
	path := filepath.Join(b.TempDir(), "dhcp.db")
	if err := Create(b.Context(), path, compat.DefaultAttributes()); err != nil {
		b.Fatal(err)
	}
	s := New(path, config(), compat.DefaultAttributes())
	defer s.drop()
	s.look(b.Context())
	for b.Loop() {
		if s.changed(b.Context()) {
			b.Fatal("changed")
		}
	}
}
