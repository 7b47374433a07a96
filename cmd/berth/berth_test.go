package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/api/apitest"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

func TestExitCodes(t *testing.T) {
	problem := func(status int) error { return &api.Error{Problem: api.Problem{Status: status, Detail: "x"}} }
	refusal := func(status int) error {
		return &client.Error{Problem: wire.Problem{Status: status, Detail: "x"}}
	}
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{problem(500), 1},
		{problem(503), 1},
		{problem(405), 1},
		{usage("x"), 2},
		{usage("x: %w", api.ErrNotFound), 2},
		{problem(404), 3},
		{fmt.Errorf("x: %w", problem(404)), 3},
		{problem(400), 4},
		{problem(413), 4},
		{problem(422), 4},
		{&api.InvalidError{Detail: "x"}, 4},
		{problem(409), 5},
		{fmt.Errorf("%w: x", api.ErrUnreachable), 6},
		{problem(504), 7},
		{&notInForce{}, 7},
		{errChanges, 8},
		{refusal(400), 4},
		{refusal(401), 11},
		{refusal(403), 10},
		{about(fleet.KindNIC, "x", refusal(403)), 10},
		{refusal(404), 3},
		{refusal(409), 5},
		{refusal(412), 5},
		{refusal(422), 4},
		{refusal(500), 1},
		{refusal(503), 6},
		{refusal(504), 7},
		{fmt.Errorf("%w: x", client.ErrUnreachable), 6},
		{fmt.Errorf("x: %w", errNobody), 3},
		{fmt.Errorf("x: %w", errNobodyNow), 3},
		{failures{problem(409), problem(404)}, 5},
		{failures{problem(404)}, 3},
	}
	for _, tt := range tests {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

// TestReasonsOffline: the list needs no berthd, and has all of it.
func TestReasonsOffline(t *testing.T) {
	w := newWorld(t)
	w.stop()
	out, msgs, code := w.berth(t.Context(), "reasons")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || msgs != "" || len(lines) != len(reason.All())+1 {
		t.Fatalf("exit %d, %d lines, want %d; %s", code, len(lines), len(reason.All())+1, msgs)
	}
	for i, r := range reason.All() {
		want := fmt.Sprintf("%-18s  %-5s  %s", r.Name, r.Room, r.Text)
		if got := lines[i+1]; strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("line %d: %q, want %q", i+1, got, want)
		}
	}
	out, _, _ = w.berth(t.Context(), "reasons", "-o", "json")
	var rows []reasonRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reasonRows(), rows); diff != "" {
		t.Errorf("-o json (-want +got):\n%s", diff)
	}
}

func TestColour(t *testing.T) {
	w := newWorld(t)
	w.node.AddLink("tap8", 78)
	tests := []struct {
		terminal bool
		vars     map[string]string
		want     string
	}{
		{true, nil, "tap8  \x1b[31mclosed\x1b[0m  since"},
		{false, nil, "tap8  closed  since"},
		{true, map[string]string{"NO_COLOR": "1"}, "tap8  closed  since"},
		{true, map[string]string{"TERM": "dumb"}, "tap8  closed  since"},
	}
	for _, tt := range tests {
		w.terminal, w.vars = tt.terminal, map[string]string{"BERTH_SOCKET": w.socket}
		for k, v := range tt.vars {
			w.vars[k] = v
		}
		if out, _, _ := w.berth(t.Context(), "show", "tap8"); !strings.HasPrefix(out, tt.want) {
			t.Errorf("terminal %t, %v: %q, want %q", tt.terminal, tt.vars, out, tt.want)
		}
	}
}

// TestSocketFlag: the flag wins over the environment.
func TestSocketFlag(t *testing.T) {
	w := newWorld(t)
	w.vars["BERTH_SOCKET"] = "/nonexistent/s"
	if _, msgs, code := w.berth(t.Context(), "status"); code != exitUnreachable || !strings.Contains(msgs, "/nonexistent/s") {
		t.Errorf("by BERTH_SOCKET: exit %d, %s", code, msgs)
	}
	if _, msgs, code := w.berth(t.Context(), "status", "--socket", w.socket); code != 0 {
		t.Errorf("by --socket: exit %d, %s", code, msgs)
	}
}

// TestFollow ends by an interrupt, and that is no failure.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- w.run(ctx, in, in, "events", "-f", "-o", "json", "--nic", "tap2")
		in.Close()
	}()
	w.node.AddLink("tap1", 1)
	w.node.AddLink("tap2", 2)
	lines := json.NewDecoder(out)
	var e api.Event
	if err := lines.Decode(&e); err != nil || e.Seq != 2 || e.NIC != "tap2" {
		t.Errorf("event %+v, %v; want number 2, of tap2", e, err)
	}
	interrupt()
	if err := lines.Decode(&e); !errors.Is(err, io.EOF) {
		t.Errorf("after the interrupt: %+v, %v", e, err)
	}
	if got := <-code; got != 0 {
		t.Errorf("exit %d, want 0", got)
	}
}

func TestCompletion(t *testing.T) {
	w := newWorld(t)
	w.node.DeclareFile("tap9", "52:54:00:aa:00:09")
	w.node.AddLink("tap8", 78)
	tests := []struct{ line, want string }{
		{"show ", "tap8\tclosed\ntap9\twaiting\n:4\n"},
		{"show tap8 ", ":4\n"},
		{"attach ta", "tap8\tclosed\ntap9\twaiting\n:4\n"},
		{"events --nic ", "tap8\tclosed\ntap9\twaiting\n:4\n"},
		{"list -o ", "table\nwide\njson\nyaml\nname\n:4\n"},
		{"events -o ", "text\njson\n:4\n"},
		{"completion ", "bash\nfish\npowershell\nzsh\n:4\n"},
		{"st", "status\tShow how berthd itself is\n:4\n"},
	}
	for _, tt := range tests {
		if out, _, code := w.berth(t.Context(), append([]string{"__complete"}, strings.Split(tt.line, " ")...)...); out != tt.want || code != 0 {
			t.Errorf("%q completes to %q (exit %d), want %q", tt.line, out, code, tt.want)
		}
	}
	w.stop()
	if out, _, _ := w.berth(t.Context(), "__complete", "show", ""); out != ":4\n" {
		t.Errorf("without berthd: %q", out)
	}
}

// TestCompletionScripts: each is for its own shell; bash accepts its.
func TestCompletionScripts(t *testing.T) {
	w := newWorld(t)
	marks := map[string]string{"bash": "complete -o default -F __start_berth berth", "zsh": "#compdef berth", "fish": "complete -c berth", "powershell": "Register-ArgumentCompleter -CommandName 'berth'"}
	for shell, mark := range marks {
		out, msgs, code := w.berth(t.Context(), "completion", shell)
		if code != 0 || !strings.Contains(out, mark) {
			t.Errorf("%s: exit %d, no %q in %d bytes; %s", shell, code, mark, len(out), msgs)
		}
		if shell != "bash" {
			continue
		}
		check := exec.CommandContext(t.Context(), "bash", "-n")
		check.Stdin = strings.NewReader(out)
		if msgs, err := check.CombinedOutput(); err != nil {
			t.Errorf("bash refuses its script: %v: %s", err, msgs)
		}
	}
}

func TestSplitDocuments(t *testing.T) {
	type doc struct {
		Skip int
		Body string
	}
	tests := []struct {
		name, content string
		want          []doc
	}{
		{"nothing", "", nil},
		{"comments", "# a\n\n---\n# b\n...\n", nil},
		{"one", "a: 1", []doc{{0, "a: 1"}}},
		{"one, marked", "---\na: 1\n", []doc{{0, "   \na: 1\n"}}},
		{"two", "a: 1\n---\nb: 1\n", []doc{{0, "a: 1\n"}, {1, "   \nb: 1\n"}}},
		{"on the marker's line", "--- {a: 1}\n--- {b: 1}\n", []doc{{0, "    {a: 1}\n"}, {1, "    {b: 1}\n"}}},
		{"ended", "a: 1\n...\n# c\nb: 1\n", []doc{{0, "a: 1\n"}, {2, "# c\nb: 1\n"}}},
		{"CRLF", "a: 1\r\n---\r\nb: 1\r\n", []doc{{0, "a: 1\r\n"}, {1, "   \r\nb: 1\r\n"}}},
		{"no markers", "a: ---\n----\n---x: 1\n ---\n", []doc{{0, "a: ---\n----\n---x: 1\n ---\n"}}},
		{"in a block scalar", "a: |\n  ---\n  ...\n", []doc{{0, "a: |\n  ---\n  ...\n"}}},
	}
	for _, tt := range tests {
		var got []doc
		for _, d := range splitDocuments([]byte(tt.content)) {
			got = append(got, doc{d.skip, string(d.body)})
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzSplitDocuments(f *testing.F) {
	f.Add([]byte("a: 1\n---\nb: 1\n"))
	f.Add([]byte("--- x\n...\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		lines := strings.SplitAfter(string(content), "\n")
		for _, d := range splitDocuments(content) {
			// Every line of a document is that line of the file, but for the
			// marker in the first.
			for i, got := range strings.SplitAfter(string(d.body), "\n") {
				if got == "" {
					continue
				}
				want := lines[d.skip+i]
				if got != want && "---"+strings.TrimPrefix(got, "   ") != want {
					t.Fatalf("line %d is %q, the file has %q", d.skip+i, got, want)
				}
			}
		}
	})
}

// TestYAMLKeepsStrings: no string becomes another or a number on its way, and
// none reaches the terminal raw.
func TestYAMLKeepsStrings(t *testing.T) {
	for _, s := range []string{
		"", "tap7", "in-force", "no", "Y", "null", "~", "12345678", "0e345678", "1e3", "0x10", "1_000", ".inf", "2026-01-02",
		"52:54:00:12:34:56", "12:34:56", "a: b", "#x", "- x", "-x", "tab\tx", "a\nb", "a\r\nb", " x ", "'", `"`, `\`, "é", "<&>",
		"\x1b[31m", "\u009b", "\u202e", "\x7f", "\U000e0001", "=", "<<", "*a", "&a", "!a", "%a", "@a", "`a",
	} {
		raw, err := json.Marshal(map[string]any{"k": s, "l": []string{s}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := toYAML(raw)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		var back struct {
			K string
			L []string
		}
		if err := yaml.Unmarshal(out, &back); err != nil || back.K != s || back.L[0] != s {
			t.Errorf("%q became %q by %q, %v", s, back, out, err)
		}
		if strings.ContainsFunc(strings.ReplaceAll(string(out), "\n", ""), func(r rune) bool { return printable(string(r)) != string(r) }) {
			t.Errorf("%q is raw in %q", s, out)
		}
		if word := "k: " + s + "\n"; strings.HasPrefix(string(out), word) != isWord(s) {
			t.Errorf("%q is bare, or needlessly quoted, in %q", s, out)
		}
	}
}

func TestEscapeJSON(t *testing.T) {
	const s = "a\x1b\x7f\u009b\u2028\u202e\U000e0001é\n"
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	got := escapeJSON(raw)
	if want := `"a\u001b\u007f\u009b\u2028\u202e\udb40\udc01é\n"`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back string
	if err := json.Unmarshal(got, &back); err != nil || back != s {
		t.Errorf("back %q, %v", back, err)
	}
}

func TestAge(t *testing.T) {
	at := apitest.Epoch
	for d, want := range map[string]string{"-5s": "0s", "0s": "0s", "119s": "119s", "2m": "2m", "119m": "119m", "2h": "2h", "47h59m": "47h", "48h": "2d", "9999h": "416d"} {
		if got := age(at.Add(duration(t, d)).Sub(at)); got != want {
			t.Errorf("age(%s) = %s, want %s", d, got, want)
		}
	}
}

// TestProgram runs the built program once: what run is given there is its own.
func TestProgram(t *testing.T) {
	w := newWorld(t)
	bin := filepath.Join(t.TempDir(), "berth")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), bin, "show", "tap1")
	cmd.Env = []string{"BERTH_SOCKET=" + w.socket}
	var out, msgs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msgs
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitNotFound || out.String() != "" || msgs.String() != "berth: tap1: not found\n" {
		t.Errorf("%v, output %q, messages %q", err, out.String(), msgs.String())
	}
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
