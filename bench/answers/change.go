package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/bench/report"
)

// changed is what changing one NIC's address costs on a node of some size.
type changed struct {
	Bindings int     `json:"bindings"` // on the node; all but two have no link and wait
	Start    float64 `json:"start_s"`  // from exec to all read and the two in force
	Changes  int     `json:"changes"`
	P50      float64 `json:"p50_ms"` // from the request to the first right answer
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	Replied  float64 `json:"replied_ms"` // median, to the end of the request
	Other    watched `json:"other"`      // another guest, which asks every millisecond
	Memory   int     `json:"rss_kb"`
	Failed   string  `json:"failed,omitempty"`
}

// longEnough ends a series of changes early; what was measured until then counts.
const longEnough = 5 * time.Minute

// change measures how long after a change of its binding a NIC gets the right
// answer, and what its neighbour notices.
func change(args []string, out io.Writer) error {
	var t task
	f := flag.NewFlagSet("change", flag.ContinueOnError)
	t.common(f)
	bindings := f.String("bindings", "100,10000,100000", "comma-separated sizes of the node")
	count := f.Int("changes", 200, "changes at each size")
	results := f.String("results", "bench/results", "directory of results")
	if err := f.Parse(args); err != nil {
		return err
	}
	if os.Getenv(inside) == "" {
		return eachSize(sizes{command: "change", flag: "-bindings", values: *bindings, args: args, results: *results, table: changeTable}, out)
	}
	n, err := strconv.Atoi(*bindings)
	if err != nil {
		return err
	}
	r, err := changeAt(&t, n, *count)
	if err != nil {
		r.Failed, _, _ = strings.Cut(err.Error(), "\n")
	}
	return errors.Join(err, json.NewEncoder(out).Encode(r))
}

// sizes are runs of one command in namespaces of their own.
type sizes struct {
	command, flag, values string
	args                  []string
	results               string
	table                 func(lines []byte) (string, error)
}

func eachSize(s sizes, out io.Writer) error {
	var lines []byte
	var failed []error
	for v := range strings.SplitSeq(s.values, ",") {
		fmt.Fprintf(os.Stderr, "%s: %s\n", s.command, v)
		text, err := enter(append(append([]string{s.command}, s.args...), s.flag, v)...)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s %s: %w", s.command, v, err))
		}
		lines = append(lines, text...)
	}
	table, err := s.table(lines)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.results, 0o755); err != nil {
		return err
	}
	name := s.results + "/" + s.command
	failed = append(failed, os.WriteFile(name+".jsonl", lines, 0o644), os.WriteFile(name+".md", []byte(table), 0o644))
	_, err = io.WriteString(out, table)
	return errors.Join(append(failed, err)...)
}

// changeAt measures on a node with a number of bindings.
func changeAt(t *task, bindings, count int) (changed, error) {
	r := changed{Bindings: bindings, Changes: count}
	n, err := newNode(t, 2, bindings-2)
	if err != nil {
		return r, err
	}
	// The NIC that changes is declared through the socket alone.
	if err := os.Remove(n.site.file("nics/tap0.yaml")); err != nil {
		return r, n.close(err)
	}
	begin := time.Now()
	if err := n.start(t); err != nil {
		return r, n.close(err)
	}
	if err := n.settled(1, bindings-1); err != nil {
		return r, n.close(err)
	}
	r.Start = time.Since(begin).Seconds()
	if r.Memory, err = n.resident(); err != nil {
		return r, n.close(err)
	}
	return r, n.close(r.measure(n))
}

// measure changes tap0 back and forth under the eyes of both guests.
func (r *changed) measure(n *node) error {
	docs, addrs := n.twoAddresses()
	if err := n.declare(docs[0]); err != nil {
		return err
	}
	mine, err := n.stage.watch(0, 200*time.Microsecond, addrs...)
	if err != nil {
		return err
	}
	other, err := n.stage.watch(1, time.Millisecond)
	if err != nil {
		return err
	}
	for _, w := range []*watcher{mine, other} {
		if _, err := w.next(); err != nil {
			return err
		}
	}
	if err := n.hardened(port); err != nil {
		return err
	}
	if err := r.series(n, docs, mine); err != nil {
		return err
	}
	if _, err = mine.stop(); err != nil {
		return err
	}
	r.Other, err = other.stop()
	return err
}

// series changes tap0 again and again.
func (r *changed) series(n *node, docs []string, mine *watcher) error {
	var answered, replied []float64
	count := r.Changes
	for r.Changes = 0; r.Changes < count && sum(replied) < longEnough.Seconds()*1000; r.Changes++ {
		begin := monotonic()
		if err := n.declare(docs[(r.Changes+1)%2]); err != nil {
			return err
		}
		replied = append(replied, float64(monotonic()-begin)/1e6)
		w, err := mine.next()
		if err != nil {
			return err
		}
		answered = append(answered, float64(w.At-begin)/1e6)
	}
	r.P50, r.P99, r.Max = report.Median(answered), report.Percentile(answered, 99), report.Percentile(answered, 100)
	r.Replied = report.Median(replied)
	return nil
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}

// twoAddresses returns the binding of tap0 with either of two addresses.
func (n *node) twoAddresses() (docs, addrs []string) {
	for _, c := range []client{newClient(0), newClient(100)} {
		c.mac = newClient(0).mac
		docs, addrs = append(docs, binding(port, c)), append(addrs, c.addr4.String())
	}
	return docs, addrs
}

// hardened waits until a NIC hangs on tcx links, where the kernel has them: its
// first seconds, in which the loop waits for grace periods now and then, are not
// measured.
func (n *node) hardened(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		s, err := n.client.Status(ctx)
		if err != nil {
			return err
		}
		is, err := n.client.NIC(ctx, name)
		if err != nil {
			return err
		}
		if is.Installed != nil && is.Installed.Attach == s.Attach {
			return nil
		}
	}
}

func (n *node) declare(doc string) error {
	_, err := n.client.SetAndWait(context.Background(), port, []byte(doc), 2*time.Minute)
	return err
}

func changeTable(lines []byte) (string, error) {
	var rows [][]string
	for in := json.NewDecoder(strings.NewReader(string(lines))); in.More(); {
		var r changed
		if err := in.Decode(&r); err != nil {
			return "", err
		}
		rows = append(rows, []string{
			fmt.Sprint(r.Bindings), fmt.Sprint(r.Changes), digits(r.P50), digits(r.P99), digits(r.Max), digits(r.Replied),
			fmt.Sprint(r.Other.Sent), fmt.Sprint(r.Other.Lost), digits(r.Other.Longest), digits(r.Start),
			digits(float64(r.Memory) / 1024), digits(float64(r.Memory) / float64(r.Bindings)), r.Failed,
		})
	}
	return report.Table([]string{
		"bindings", "changes", "p50 ms", "p99 ms", "max ms", "request over ms", "others asked", "lost", "longest silence ms", "start s", "RSS MiB", "RSS kB a binding", "failed",
	}, rows) + changeLegend, nil
}

const changeLegend = `
From the moment the change is requested at the socket to the first right answer that
the guest gets; it asks every 0.2 ms. *Others* are a guest beside it that asks every
millisecond all the time. All bindings but two have no interface and wait.
`
