package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
)

// TestNimbusSocket: neither the environment nor an argument chooses the
// berthd that sudo's callers speak to.
func TestNimbusSocket(t *testing.T) {
	w := newWorld(t)
	w.vars["BERTH_SOCKET"] = "/nonexistent/s"
	add := strings.Fields("nimbus ebtables-config add vm7-0 a2:aa:bb:00:00:07 192.0.2.10")
	if _, msgs, code := w.berth(t.Context(), add...); code != 0 {
		t.Errorf("exit %d: %s", code, msgs)
	}
	if _, msgs, code := w.berth(t.Context(), append([]string{"--socket", w.socket}, add...)...); code != 1 {
		t.Errorf("with --socket: exit %d: %s", code, msgs)
	}
}

// TestNimbusUnreachable: an agent that does not come is neither input nor
// success.
func TestNimbusUnreachable(t *testing.T) {
	w := newWorld(t)
	w.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, msgs, code := w.berth(ctx, "nimbus", "dhcp-config", "rem", "vm7-0", "192.0.2.10"); code != 2 || msgs == "" {
		t.Errorf("exit %d, %q, want 2", code, msgs)
	}
}

// TestNimbusRestarting: calls made while berthd starts are answered by it.
func TestNimbusRestarting(t *testing.T) {
	w := newWorld(t)
	w.stop()
	code := make(chan int, 1)
	go func() {
		_, _, c := w.berth(t.Context(), "nimbus", "dhcp-config", "rem", "vm7-0", "192.0.2.10")
		code <- c
	}()
	w.serve()
	if got := <-code; got != 0 {
		t.Errorf("exit %d, want 0", got)
	}
}

// TestNimbusDocs holds docs/nimbus.md to the flags of networking.
func TestNimbusDocs(t *testing.T) {
	cmd, _, err := tree(t).Find([]string{"nimbus", "networking"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(flagNames(cmd), documentedFlags(readDoc(t, "nimbus.md"))); diff != "" {
		t.Errorf("docs/nimbus.md: flags (-has +documented):\n%s", diff)
	}
	if text := readDoc(t, "nimbus.md"); !strings.Contains(text, "at most 10 s") || nimbusPatience != 10*time.Second {
		t.Errorf("docs/nimbus.md does not say that %s are waited", nimbusPatience)
	}
}

// TestNimbusScripts runs the scripts with a berth that prints what it is given:
// the arguments as they are, and nothing of the caller's environment.
func TestNimbusScripts(t *testing.T) {
	dir := t.TempDir()
	berth := filepath.Join(dir, "berth")
	if err := os.WriteFile(berth, []byte("#!/bin/sh\nprintf '[%s]' \"$@\"\necho\n/usr/bin/env | /bin/grep -v '^PWD\\|^_\\|^SHLVL'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]string{"dhcp-config": "dhcp-config", "xen-ebtables-config": "ebtables-config", "kvm-ebtables-config": "ebtables-config"} {
		text, err := os.ReadFile("../../packaging/nimbus/" + name + ".sh")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), " /usr/bin/berth nimbus "+command+" ") {
			t.Errorf("%s does not run the installed berth", name)
		}
		script := filepath.Join(dir, name+".sh")
		if err := os.WriteFile(script, []byte(strings.Replace(string(text), "/usr/bin/berth", berth, 1)), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), script, "add", "a b", "*", "", "$(id)", "--socket=x")
		cmd.Env = []string{"BERTH_SOCKET=/x", "PATH=/tmp:/bin", "IFS=a", "LD_DEBUG_OUTPUT=/x", "ENV=/x"}
		out, err := cmd.CombinedOutput()
		want := "[nimbus][" + command + "][add][a b][*][][$(id)][--socket=x]\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
		if err != nil || string(out) != want {
			t.Errorf("%s: %v\n got %q\nwant %q", name, err, out, want)
		}
	}
}

// TestNimbusIsTheOnlyOne: no other command's exit codes changed.
func TestNimbusIsTheOnlyOne(t *testing.T) {
	w := newWorld(t)
	for args, want := range map[string]int{"show nimbus": exitNotFound, "list nimbus": exitUsage, "nimbus networking": 1, "nimbus bridge": 1} {
		if _, _, code := w.berth(t.Context(), strings.Fields(args)...); code != want {
			t.Errorf("%s: exit %d, want %d", args, code, want)
		}
	}
	for _, tt := range []struct {
		err  error
		want int
	}{{nil, 0}, {usage("x"), 1}, {&api.InvalidError{}, 1}, {api.ErrConflict, 2}, {api.ErrUnreachable, 2}, {api.ErrTimeout, 2}, {failures{api.ErrConflict}, 2}} {
		if got := nimbusCode(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}
