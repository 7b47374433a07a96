package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/api/apitest"
	"github.com/berth-net/berth/internal/reason"
)

var update = flag.Bool("update", false, "write what is generated: transcripts, docs/reasons.md")

// world is a served node and a berth that talks to it.
type world struct {
	t        *testing.T
	node     *apitest.Node
	socket   string
	stop     func()
	stdin    string
	terminal bool
	vars     map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	w := &world{t: t, node: apitest.New(64), socket: socket, vars: map[string]string{"BERTH_SOCKET": socket}}
	w.serve()
	return w
}

// serve begins, also again after stop.
func (w *world) serve() {
	w.t.Helper()
	l, err := api.Listen(w.socket, 0o660, "")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- api.NewServer(w.node, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Serve: %v", err)
		}
		ended <- nil
	}
	w.t.Cleanup(w.stop)
}

// berth runs one command line.
func (w *world) berth(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = w.run(ctx, &out, &err, args...)
	return out.String(), err.String(), code
}

func (w *world) run(ctx context.Context, out, err io.Writer, args ...string) int {
	return run(ctx, args, env{
		stdin:    strings.NewReader(w.stdin),
		stdout:   out,
		stderr:   err,
		getenv:   func(k string) string { return w.vars[k] },
		now:      func() time.Time { return apitest.Epoch.Add(5 * time.Minute) },
		terminal: w.terminal,
		berthd:   w.socket,
	})
}

// TestTranscripts runs the command lines of testdata/cli/*.txt ("$ ...") and
// compares all they print. Lines of "% ..." act on the node.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/cli/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		abs, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { transcript(t, abs) })
	}
}

func transcript(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata/docs")
	w := newWorld(t)
	var got strings.Builder
	commands := 0
	for line := range strings.Lines(string(want)) {
		switch {
		case strings.HasPrefix(line, "$ "):
			got.WriteString(line)
			w.record(&got, strings.TrimSpace(line[2:]))
			commands++
		case strings.HasPrefix(line, "% "):
			got.WriteString(line)
			w.act(strings.TrimSpace(line[2:]))
		case strings.HasPrefix(line, "# "):
			got.WriteString(line)
		}
	}
	if commands == 0 {
		t.Fatalf("%s runs nothing", file)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" && !*update {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// record writes what a command prints: its output as it is, behind "|" its
// messages, and its exit code unless that is 0.
func (w *world) record(got *strings.Builder, command string) {
	if unquoted, err := strconv.Unquote(`"` + command + `"`); err == nil {
		command = unquoted
	}
	out, msgs, code := w.berth(w.t.Context(), strings.Fields(command)...)
	for line := range strings.Lines(strings.ReplaceAll(out, w.socket, "SOCKET")) {
		got.WriteString("  " + line)
	}
	for line := range strings.Lines(strings.ReplaceAll(msgs, w.socket, "SOCKET")) {
		got.WriteString("| " + line)
	}
	if code != 0 {
		fmt.Fprintf(got, "[exit %d]\n", code)
	}
}

func (w *world) act(line string) {
	w.t.Helper()
	words := strings.Fields(line)
	switch words[0] {
	case "declare":
		w.node.DeclareFile(words[1], words[2], words[3:]...)
	case "link":
		index, err := strconv.Atoi(words[2])
		if err != nil {
			w.t.Fatal(err)
		}
		w.node.AddLink(words[1], index)
	case "event":
		text, err := strconv.Unquote(strings.Join(words[3:], " "))
		if err != nil {
			w.t.Fatal(err)
		}
		w.node.Add(api.Event{Time: apitest.Epoch, NIC: words[1], Kind: words[2], Reason: reason.DHCPMalformed, Text: text})
	case "stdin":
		content, err := os.ReadFile(words[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.stdin = string(content)
	case "break":
		w.node.Break(errors.New(strings.Join(words[1:], " ")))
	case "stop":
		w.stop()
	default:
		w.t.Fatalf("no such action: %s", line)
	}
}
