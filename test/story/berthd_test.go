package story_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// node is a host with its own berthd: namespace, pins, state and socket are
// no other test's.
type node struct {
	t      testing.TB
	ns     *testenv.NS
	dir    string
	config string // what the test adds to berthd.yaml
	p      *process
}

// newNode prepares a node; its berthd does not run yet.
func newNode(t testing.TB, config string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "node-") // short: a socket's path is at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, ns: testenv.NewNS(t), dir: dir, config: config}
	if err := os.Mkdir(n.nics(), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range []string{n.pins(), n.dir} {
			if err := os.RemoveAll(d); err != nil {
				t.Error(err)
			}
		}
	})
	n.writeConfig()
	return n
}

func (n *node) nics() string   { return n.dir + "/nics.d" }
func (n *node) socket() string { return n.dir + "/sock" }
func (n *node) conf() string   { return n.dir + "/berthd.yaml" }
func (n *node) pins() string   { return "/sys/fs/bpf/" + filepath.Base(n.dir) }

func (n *node) writeConfig() {
	text := fmt.Sprintf("nics: %s\nnetworks: %s/networks.yaml\nstate: %s/state\nbpf: %s\nsocket: {path: %s}\n%s",
		n.nics(), n.dir, n.dir, n.pins(), n.socket(), n.config)
	if err := os.WriteFile(n.conf(), []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// start runs berthd and waits until everything it knows is in force or waits.
func (n *node) start() {
	n.t.Helper()
	n.launch()
	testenv.Wait(n.t, 10*time.Second, "berthd to be ready", n.ready)
}

// launch runs berthd without waiting.
func (n *node) launch() {
	n.t.Helper()
	n.p = start(n.t, n.ns, program(n.t, "berthd"), "-config", n.conf())
}

// ready reports that the directory was read and a pass was made over it.
func (n *node) ready() bool {
	select {
	case <-n.p.done:
		n.t.Fatalf("berthd ended:\n%s", n.p.out)
	default:
	}
	st, err := api.NewClient(n.socket()).Status(n.t.Context())
	return err == nil && len(st.Sources) > 0 && !slices.ContainsFunc(st.Sources, func(s api.Source) bool { return s.Generation == 0 && s.Name != "socket" })
}

// stop ends berthd as systemd does.
func (n *node) stop() {
	n.t.Helper()
	n.p.signal(syscall.SIGTERM)
	if code := n.p.exit(5 * time.Second); code != 0 {
		n.t.Fatalf("berthd exits %d after SIGTERM, want 0:\n%s", code, n.p.out)
	}
}

// kill is kill -9.
func (n *node) kill() { n.p.kill() }

// write puts a file into the directory as documented: hidden, then renamed.
func (n *node) write(name, text string) {
	n.t.Helper()
	hidden := filepath.Join(n.nics(), "."+name+".new")
	if err := os.WriteFile(hidden, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(n.nics(), name)); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) remove(name string) {
	n.t.Helper()
	if err := os.Remove(filepath.Join(n.nics(), name)); err != nil {
		n.t.Fatal(err)
	}
}

// result is what one run of berth gave.
type result struct {
	code           int
	stdout, stderr string
}

// berth runs the command line.
func (n *node) berth(args ...string) result {
	n.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program(n.t, "berth"), append([]string{"--socket", n.socket()}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("berth %s: %v", strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs berth and ends the test unless it exits 0.
func (n *node) must(args ...string) string {
	n.t.Helper()
	r := n.berth(args...)
	if r.code != 0 {
		n.t.Fatalf("berth %s exits %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// show reads one NIC by the command line.
func (n *node) show(name string) api.NIC {
	n.t.Helper()
	var v api.NIC
	n.decode(n.must("show", name, "-o", "json"), &v)
	return v
}

func (n *node) decode(text string, into any) {
	n.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		n.t.Fatalf("berth's JSON: %v\n%s", err, text)
	}
}

// attach waits until NICs are in force.
func (n *node) attach(names ...string) {
	n.t.Helper()
	for _, name := range names {
		n.must("attach", name, "--wait", "--timeout", "10s")
	}
}

// states returns the state of every NIC that berthd speaks of.
func (n *node) states() map[string]api.State {
	n.t.Helper()
	var all []api.NIC
	n.decode(n.must("list", "-o", "json"), &all)
	m := map[string]api.State{}
	for _, one := range all {
		m[one.Name] = one.State
	}
	return m
}

// waitState waits for one NIC to reach a state and returns it.
func (n *node) waitState(name string, want api.State, limit time.Duration) api.NIC {
	n.t.Helper()
	var v api.NIC
	client := api.NewClient(n.socket())
	testenv.Wait(n.t, limit, fmt.Sprintf("%s to be %s", name, want), func() bool {
		var err error
		v, err = client.NIC(n.t.Context(), name)
		return err == nil && v.State == want
	})
	return v
}

// settled asserts that the named NICs are in force and nothing is to be done.
func (n *node) settled(names ...string) {
	n.t.Helper()
	testenv.Wait(n.t, 10*time.Second, "an empty plan", func() bool { return n.berth("plan").code == 0 })
	want := map[string]api.State{}
	for _, name := range names {
		want[name] = api.InForce
	}
	if diff := cmp.Diff(want, n.states()); diff != "" {
		n.t.Errorf("states (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(result{0, "", "nothing to change\n"}, n.berth("plan"), cmp.AllowUnexported(result{})); diff != "" {
		n.t.Errorf("berth plan (-want +got):\n%s", diff)
	}
}

// events returns what berth tells so far.
func (n *node) events() []api.Event {
	n.t.Helper()
	var all []api.Event
	for line := range strings.Lines(n.must("events", "-o", "json")) {
		var e api.Event
		n.decode(line, &e)
		all = append(all, e)
	}
	return all
}
