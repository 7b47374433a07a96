package story_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berth-net/berth/internal/testenv"
)

// TestScripts runs testdata/script/*.txtar. Each has a node of its own:
// `berthd` runs in its namespace, as does whatever follows `host`, and
// `exits CODE` holds a command to its exit code.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runScript(t, file)
		})
	}
}

func runScript(t *testing.T, file string) {
	n := newNode(t, "")
	guest := testenv.NewNS(t)
	bin := filepath.Join(n.dir, "bin")
	berthd := program(t, "berthd")
	wrappers := map[string]string{
		"host":   `exec nsenter --net=/run/netns/` + n.ns.Name + ` "$@"`,
		"guest":  `exec nsenter --net=/run/netns/` + guest.Name + ` "$@"`,
		"berthd": `exec nsenter --net=/run/netns/` + n.ns.Name + ` ` + berthd + ` -config ` + n.conf() + ` "$@"`,
		"exits":  `want=$1; shift; "$@"; got=$?; [ $got = $want ] || { echo "exit code $got, want $want" >&2; exit 1; }`,
	}
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range wrappers {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Files:               []string{file},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+binDir+":"+os.Getenv("PATH"))
			e.Setenv("BERTH_SOCKET", n.socket())
			e.Setenv("NICS", n.nics())
			e.Setenv("NODE", n.dir)
			e.Setenv("GUEST", guest.Name)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready, "terminate": terminate, "state": state, "shows": shows},
	})
}

// ready waits until berthd has read everything.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	eventually(ts, "berthd to be ready", func() bool {
		out, err := berthOutput(ts, "status", "-o", "json")
		return err == nil && strings.Contains(out, `"read": "2`)
	})
}

// state NIC STATE waits until a NIC is in a state.
func state(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: state NIC STATE")
	}
	eventually(ts, args[0]+" to be "+args[1], func() bool {
		out, err := berthOutput(ts, "show", args[0], "-o", "json")
		return err == nil && strings.Contains(out, `"state": "`+args[1]+`"`)
	})
}

// shows NIC PATTERN waits until `berth show` has a line that fits.
func shows(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: shows NIC PATTERN")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	eventually(ts, args[0]+" to show "+args[1], func() bool {
		out, err := berthOutput(ts, "show", args[0])
		return err == nil && pattern.MatchString(out)
	})
}

func berthOutput(ts *testscript.TestScript, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(binDir, "berth"), args...)
	cmd.Env = append(os.Environ(), "BERTH_SOCKET="+ts.Getenv("BERTH_SOCKET"))
	out, err := cmd.Output()
	return string(out), err
}

func eventually(ts *testscript.TestScript, what string, cond func() bool) {
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// terminate sends SIGTERM to every background command.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}
