package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// compare measures all peers side by side: a round takes each in turn, so that
// what else the machine does falls on all.
func compare(args []string, out io.Writer) error {
	var t task
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	t.common(f)
	rounds := f.Int("rounds", 3, "how often each is measured")
	only := f.String("only", "", "comma-separated peers; all if empty")
	families := f.String("families", "46", "4, 6 or 46")
	results := f.String("results", "bench/results", "directory of results")
	if err := f.Parse(args); err != nil {
		return err
	}
	c := comparison{task: t, out: out}
	for i := range *rounds {
		for _, family := range *families {
			for _, p := range peers() {
				if skipped(p, *only) || !slices.Contains(p.families, int(family-'0')) {
					continue
				}
				c.peer, c.round, c.family = p.name, i+1, int(family-'0')
				c.one()
			}
		}
	}
	return errors.Join(c.write(*results), errors.Join(c.failed...))
}

func skipped(p peer, only string) bool {
	return only != "" && !slices.Contains(strings.Split(only, ","), p.name)
}

// comparison gathers results; a peer that fails does not spoil the others'.
type comparison struct {
	task
	out     io.Writer
	results []result
	failed  []error
}

func (c *comparison) one() {
	fmt.Fprintf(os.Stderr, "round %d: DHCPv%d by %s\n", c.round, c.family, c.peer)
	text, err := enter(c.args()...)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			c.failed = append(c.failed, err)
			continue
		}
		c.results = append(c.results, r)
	}
	if err != nil {
		c.failed = append(c.failed, fmt.Errorf("%s, round %d: %w", c.peer, c.round, err))
	}
}

// inside tells a re-executed self that its namespaces are its own.
const inside = "BERTH_BENCH_INSIDE"

// enter runs this program in network and mount namespaces of its own, which
// end with it: nothing of one server is left for the next. It returns what the
// program printed.
func enter(args ...string) ([]byte, error) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	runtime.LockOSThread() // whose end would be taken for this program's
	return cmd.Output()
}

// write keeps the results as JSON lines, and prints and keeps their tables and
// pictures.
func (c *comparison) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, r := range c.results {
		if err := json.NewEncoder(&lines).Encode(r); err != nil {
			return err
		}
	}
	files := map[string]string{"answers.jsonl": lines.String(), "answers.md": c.markdown()}
	for name, plot := range c.plots() {
		files[name] = plot.SVG()
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err := io.WriteString(c.out, files["answers.md"])
	return err
}
