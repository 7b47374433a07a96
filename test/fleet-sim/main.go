// Command fleet-sim measures a controller with very many nodes: it starts one,
// declares NICs, and plays the agents of the nodes over real connections, which
// have everything in force at once. One more node is a real berthd. Then it
// changes NICs one by one, and tells how long it took until the node had the
// message, and until the rule was in the kernel.
//
// It needs network and mount namespaces of its own: bench/controller.sh makes
// them.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// task is what is asked for.
type task struct {
	bin, dir, lock     string
	results, note      string
	nodes, nics, links int
	changes            int
	everyMilliseconds  int
}

// result is one run.
type result struct {
	Nodes int    `json:"nodes"`          // simulated
	NICs  int    `json:"nics"`           // on each
	Note  string `json:"note,omitempty"` // what else there is to know
	Links int    `json:"links"`          // with a NIC in force on the real node, which has as many bindings as the others

	Fill      float64 `json:"fill_s"`    // to declare all NICs
	Connect   float64 `json:"connect_s"` // until all nodes had everything
	Memory    int     `json:"rss_kb"`    // of the controller, afterwards
	Anonymous int     `json:"anon_kb"`   // of that, what is not mapped from files
	Idle      float64 `json:"idle_cpu"`  // of one processor, while nothing changes
	Message   times   `json:"message"`   // from the request to the node's having it
	Answer    times   `json:"answer"`    // to the end of the request
	Kernel    times   `json:"kernel"`    // to the rule in the kernel of the real node
	Confirmed times   `json:"confirmed"` // to the end of a request that waits for the real node
	Busy      float64 `json:"busy_cpu"`  // of one processor, while NICs change

	Restart float64 `json:"restart_s"` // of the controller, until it has read everything

	NodeIdle   float64 `json:"node_idle_cpu"` // of berthd on the real node
	NodeMemory int     `json:"node_rss_kb"`
}

// times are in milliseconds.
type times struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

func main() {
	var t task
	flag.StringVar(&t.bin, "bin", "", "`directory` of berthd and berth-controller")
	flag.StringVar(&t.dir, "dir", "", "`directory` for what they keep")
	flag.StringVar(&t.lock, "lock", "", "`file` that is locked while it runs: shared with others, but alone while it measures")
	flag.StringVar(&t.results, "results", "", "`directory` whose controller.jsonl, .md and .svg the run becomes a part of")
	flag.StringVar(&t.note, "note", "", "`text` to keep with the results")
	flag.IntVar(&t.nodes, "nodes", 1000, "simulated nodes")
	flag.IntVar(&t.nics, "nics", 1000, "NICs of each node")
	flag.IntVar(&t.links, "links", 1000, "NICs of the real node that have a link")
	flag.IntVar(&t.changes, "changes", 200, "changes to measure, of simulated and real nodes each")
	flag.IntVar(&t.everyMilliseconds, "every", 20, "`milliseconds` between them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	r, err := measure(ctx, &t)
	if e := json.NewEncoder(os.Stdout).Encode(r); err == nil {
		err = e
	}
	if err == nil && t.results != "" {
		err = keep(t.results, &r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet-sim:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, t *task) (r result, err error) {
	r.Nodes, r.NICs, r.Links, r.Note = t.nodes, t.nics, t.links, t.note
	s, err := newSite(ctx, t)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	turn, err := os.OpenFile(cmp.Or(t.lock, t.file("lock")), os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return r, err
	}
	defer turn.Close()
	if err := lock(ctx, turn, unix.LOCK_SH); err != nil {
		return r, err
	}
	if err := s.build(ctx, &r); err != nil {
		return r, err
	}
	if err := lock(ctx, turn, unix.LOCK_EX); err != nil {
		return r, err
	}
	if err := s.change(ctx, &r); err != nil {
		return r, err
	}
	if err := lock(ctx, turn, unix.LOCK_SH); err != nil {
		return r, err
	}
	r.Restart, err = s.restart(ctx)
	return r, err
}

// change is what is measured.
func (s *site) change(ctx context.Context, r *result) (err error) {
	r.NodeIdle, err = s.berthd.load(func() (err error) {
		r.Idle, err = s.controller.load(func() error { wait(ctx, 10*time.Second); return nil })
		return err
	})
	if err != nil {
		return err
	}
	r.Busy, err = s.controller.load(func() error { return errors.Join(s.changeSimulated(ctx, r), s.changeReal(ctx, r)) })
	r.Memory, r.NodeMemory = s.controller.memory("VmRSS:"), s.berthd.memory("VmRSS:")
	r.Anonymous = s.controller.memory("RssAnon:")
	return err
}

// build declares everything, and has all nodes connected.
func (s *site) build(ctx context.Context, r *result) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
		took *float64
	}{
		{"fill", s.fill, &r.Fill},
		{"connect", s.connect, &r.Connect},
		{"start the real node", s.startReal, new(float64)},
	} {
		fmt.Fprintln(os.Stderr, step.what)
		begin := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		*step.took = time.Since(begin).Seconds()
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (t *task) file(name string) string { return filepath.Join(t.dir, name) }
