package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api/apitest"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

// What a controller does with these commands is told in test/controller.

// TestRefusals: field, value, rule and policy, each once, and nothing in them
// reaches the terminal.
func TestRefusals(t *testing.T) {
	tests := []struct {
		problem wire.Problem
		want    string
	}{
		{wire.Problem{Status: 403, Title: "Forbidden"}, "berth: nic/a: forbidden\n"},
		{wire.Problem{Status: 403, Detail: "nic a: no more", Policy: "p", Rule: "r"}, "berth: nic/a: nic a: no more\n  refused by rule r of policy p\n"},
		{
			wire.Problem{Status: 409, Detail: "nic a: mac \"02::\": is b's", Rule: "mac-taken", Errors: []wire.Mistake{{Field: "mac", Value: "02::", Problem: "is b's", Rule: "mac-taken"}}},
			"berth: nic/a: mac \"02::\": is b's\n  refused by rule mac-taken\n",
		},
		{
			wire.Problem{Status: 422, Detail: "2 mistakes", Errors: []wire.Mistake{{Field: "node", Problem: "missing"}, {Field: "vm", Value: "\x1b[2J", Problem: "bad", Rule: "name"}}},
			"berth: nic/a: refused for 2 reasons\n  node: missing\n  vm \"\\x1b[2J\": bad (name)\n",
		},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		reportOne(&out, about(fleet.KindNIC, "a", &client.Error{Problem: tt.problem}))
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestMoments(t *testing.T) {
	a := &app{env: env{now: func() time.Time { return apitest.Epoch.In(time.FixedZone("CET", 3600)) }}}
	tests := []struct{ text, want string }{
		{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"},
		{"2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"},
		{"2026-01-02 03:04", "2026-01-02T02:04:00Z"},
		{"2026-01-02", "2026-01-01T23:00:00Z"},
		{"1d", apitest.Epoch.Add(-24 * time.Hour).Format(time.RFC3339)},
		{"90m", apitest.Epoch.Add(-90 * time.Minute).Format(time.RFC3339)},
		{"soon", ""},
		{"-1h", ""},
		{"2026-13-01", ""},
	}
	for _, tt := range tests {
		got, err := a.at("--at", tt.text)
		if tt.want == "" {
			if exitCode(err) != exitUsage {
				t.Errorf("%q is %v, %v", tt.text, got, err)
			}
			continue
		}
		if err != nil || got.UTC().Format(time.RFC3339) != tt.want {
			t.Errorf("%q is %v, %v; want %s", tt.text, got.UTC(), err, tt.want)
		}
	}
	if p, err := a.point("--from", "1200"); err != nil || p != "1200" {
		t.Errorf("a revision: %q, %v", p, err)
	}
}

func TestLasting(t *testing.T) {
	for text, want := range map[string]string{"1h": "1h", "90m": "1h30m", "45s": "45s", "1h30s": "1h0m30s", "3d": "3d", "10m": "10m", "0": "-"} {
		var d fleet.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := lasting(d); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

// contextWorld runs berth with a home of its own.
func contextWorld(t *testing.T) (run func(args ...string) (string, int), home string) {
	w := newWorld(t)
	home = t.TempDir()
	w.vars["HOME"] = home
	return func(args ...string) (string, int) {
		out, msgs, code := w.berth(t.Context(), args...)
		return out + msgs, code
	}, home
}

func TestContexts(t *testing.T) {
	berth, home := contextWorld(t)
	token := filepath.Join(home, "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"context", "list", "--output", "name"}, 0, ""},
		{[]string{"context", "use", "lab"}, 2, `there is no context "lab", nor any other`},
		{[]string{"context", "add", "lab", "http://head"}, 2, "want https://HOST:PORT or unix:PATH"},
		{[]string{"context", "add", "a/b", "unix:/s"}, 2, "is no name of a context"},
		{[]string{"context", "add", "lab", "https://head:7443", "--key", "k"}, 2, "--certificate and --key need each other"},
		{[]string{"context", "add", "lab", "unix:/s", "--ca", token}, 2, "a socket has no TLS"},
		{[]string{"context", "add", "lab", "https://head:7443", "--token-file", filepath.Join(home, "none")}, 1, "no such file"},
		{[]string{"context", "add", "lab", "https://head:7443", "--token-file", token}, 0, ""},
		{[]string{"context", "add", "lab", "https://other:7443"}, 5, "--replace takes its place"},
		{[]string{"context", "add", "here", "unix:/nowhere/c.sock"}, 0, ""},
		{[]string{"context", "list", "-o", "name"}, 0, "lab\nhere\n"},
		{[]string{"--context", "nope", "get", "nics"}, 2, `there is no context "nope"; there are lab, here`},
		{[]string{"context", "use", "here"}, 0, ""},
		{[]string{"get", "nics"}, 6, "the controller cannot be reached at /nowhere/c.sock"},
		{[]string{"context", "remove", "here"}, 0, ""},
		{[]string{"context", "list", "-o", "json"}, 0, `"token-file": "` + token + `"`},
	}
	for _, s := range steps {
		out, code := berth(s.args...)
		if code != s.code || !strings.Contains(out, s.want) || s.want == "" && out != "" {
			t.Errorf("berth %s: exit %d, want %d; %q, want %q in it", strings.Join(s.args, " "), code, s.code, out, s.want)
		}
	}
	st, err := os.Stat(filepath.Join(home, ".config/berth/contexts.yaml"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", st.Mode(), err)
	}
}

// What others may write or read is not used.
func TestContextFileModes(t *testing.T) {
	berth, home := contextWorld(t)
	token := filepath.Join(home, "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := berth("context", "add", "lab", "https://127.0.0.1:1", "--token-file", token); code != 0 {
		t.Fatal(out)
	}
	file := filepath.Join(home, ".config/berth/contexts.yaml")
	for _, tt := range []struct {
		file string
		mode os.FileMode
		want string
		code int
	}{
		{token, 0o644, "everybody can read", 1},
		{token, 0o640, "cannot be reached", 6},
		{file, 0o620, "can be written by others", 1},
	} {
		if err := os.Chmod(tt.file, tt.mode); err != nil {
			t.Fatal(err)
		}
		if out, code := berth("get", "nics"); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%s of mode %o: exit %d, %q", tt.file, tt.mode, code, out)
		}
	}
	if err := os.WriteFile(file, []byte("contexts: [{name: a, uri: b}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := berth("get", "nics"); code != 1 || !strings.Contains(out, "contexts.yaml:1:22: ") {
		t.Errorf("an unknown key: exit %d, %q", code, out)
	}
}

// TestDeleteIsOneOrTheOther: what names a kind is the controller's, what does
// not is this host's.
func TestDeleteIsOneOrTheOther(t *testing.T) {
	berth, _ := contextWorld(t)
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"delete", "nic"}, 0, "nic: nothing to delete"}, // a NIC of that name
		{[]string{"delete", "nic", "web-1"}, 6, "the controller cannot be reached"},
		{[]string{"delete", "tap7", "tap8"}, 2, "want either one NIC"},
		{[]string{"delete", "nic", "a", "--mac", "52:54:00:00:00:01"}, 2, "are for a NIC of this host"},
		{[]string{"delete", "tap7", "--dry-run"}, 2, "--dry-run is for a controller's resources"},
		{[]string{"delete", "nic", "a", "-f", "x.yaml"}, 2, "want either -f FILE or a kind"},
	}
	for _, tt := range tests {
		if out, code := berth(tt.args...); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("berth %s: exit %d, %q", strings.Join(tt.args, " "), code, out)
		}
	}
}

// TestColumns: every kind has a cell for each title.
func TestColumns(t *testing.T) {
	for _, kind := range fleet.Kinds() {
		narrow, wide := heads(kind)
		r := fleet.New(kind)
		if n, w := len(cellsOf(r)), len(wideCellsOf(r)); n != len(narrow) || w != len(wide) {
			t.Errorf("%s has %d and %d titles, %d and %d cells", kind, len(narrow), len(wide), n, w)
		}
	}
}

// TestDescribeStatus: all that a node said is on the screen, escaped.
func TestDescribeStatus(t *testing.T) {
	var out bytes.Buffer
	a := &app{env: env{stdout: &out, now: func() time.Time { return apitest.Epoch.Add(time.Minute) }, getenv: func(string) string { return "" }}}
	at := apitest.Epoch
	doc, err := json.Marshal(&fleet.NIC{
		Head: fleet.Head{Kind: fleet.KindNIC, Name: "web-1", Meta: &fleet.Meta{Revision: 7, Changed: at, By: "user:alice"}}, Project: "red", Network: "lan", Node: "n1", Interface: "tap7",
		Granted: &fleet.Granted{MAC: nic.MAC{2, 0x62, 0x65, 0, 0, 1}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := description{Resource: doc, Status: &wire.NICStatus{Revision: 7, Nodes: []fleet.Status{{
		NIC: "web-1", Node: "n1", State: "stale", Reason: "no-link", Why: "gone\x1b[2J", Since: at, Reported: at, Revision: 5, Checked: true,
		Sources:  []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")},
		Answered: []fleet.Told{{Message: "ACK", Time: at, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}}},
		Dropped:  map[string]uint64{"ra-rogue": 2, "ip4-spoof": 1},
		Observed: []netip.Addr{netip.MustParseAddr("fe80::7")},
	}}}}
	if err := a.describeNIC(d); err != nil {
		t.Fatal(err)
	}
	stamp := "2026-01-02T03:04:05Z"
	want := strings.Join([]string{
		"web-1  not in force: n1 has revision 5 of it, not yet 7",
		"", "asked        in project red", "  network    lan", "  node       n1", "  interface  tap7", "  addresses  one of each default pool",
		"", "granted      revision 7, by user:alice at " + stamp, "  mac        02:62:65:00:00:01", "  addresses  192.0.2.7/24",
		"", `node n1     stale (no-link: gone\x1b[2J) since ` + stamp, fmt.Sprintf("  reported  %s (60s ago)", stamp), "  revision  5, not 7",
		"  sources   192.0.2.7/32", "  checked   yes", "  answered  ACK 192.0.2.7/24 at " + stamp, "  dropped   1 ip4-spoof", "  dropped   2 ra-rogue", "  observed  fe80::7", "",
	}, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
