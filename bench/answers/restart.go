package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/berth-net/berth/bench/report"
)

// restarted is how a node with many NICs starts, and starts again.
type restarted struct {
	Answers string  `json:"answers"` // by the kernel, or by the daemon alone
	NICs    int     `json:"nics"`    // each on a veth
	First   float64 `json:"first_s"` // cold: from exec to the last named NIC's first right answer
	Cold    float64 `json:"cold_s"`  // to all in force
	Warm    float64 `json:"warm_s"`  // after kill -9, with the pins in place: to all in force
	Guest   watched `json:"guest"`   // asks every millisecond from before the kill to after that
	Memory  int     `json:"rss_kb"`
	Kernel  int     `json:"kernel_kb"` // of maps without rings
}

// restart measures a cold and a warm start with many NICs.
func restart(args []string, out io.Writer) error {
	var t task
	f := flag.NewFlagSet("restart", flag.ContinueOnError)
	t.common(f)
	nics := f.Int("nics", 4000, "NICs, each a veth")
	by := f.String("answers", "kernel,daemon", "comma-separated: who answers")
	results := f.String("results", "bench/results", "directory of results")
	if err := f.Parse(args); err != nil {
		return err
	}
	if os.Getenv(inside) == "" {
		return eachSize(sizes{command: "restart", flag: "-answers", values: *by, args: args, results: *results, table: restartTable}, out)
	}
	t.extra += "\nanswers: " + *by + "\n"
	r := restarted{Answers: *by, NICs: *nics}
	return errors.Join(r.run(&t), json.NewEncoder(out).Encode(r))
}

func (r *restarted) run(t *task) error {
	n, err := newNode(t, 1, r.NICs-1)
	if err != nil {
		return err
	}
	for i := range r.NICs - 1 {
		if err := n.stage.port(crowdName(i), fmt.Sprintf("crowd%d", i), crowdMAC(i)); err != nil {
			return n.close(err)
		}
	}
	if err := r.cold(t, n); err != nil {
		return n.close(err)
	}
	return n.close(r.warm(t, n))
}

func (r *restarted) cold(t *task, n *node) error {
	w, err := n.stage.watch(0, time.Millisecond)
	if err != nil {
		return err
	}
	begin := monotonic()
	if err := n.start(t); err != nil {
		return err
	}
	first, err := w.next()
	if err != nil {
		return err
	}
	r.First = float64(first.At-begin) / 1e9
	if err := n.settled(r.NICs, r.NICs); err != nil {
		return err
	}
	r.Cold = float64(monotonic()-begin) / 1e9
	if r.Memory, err = n.resident(); err != nil {
		return err
	}
	if r.Kernel, err = n.kernelMemory(); err != nil {
		return err
	}
	_, err = w.stop()
	return err
}

func (r *restarted) warm(t *task, n *node) error {
	w, err := n.stage.watch(0, time.Millisecond)
	if err != nil {
		return err
	}
	if _, err := w.next(); err != nil {
		return err
	}
	if err := n.kill(); err != nil {
		return err
	}
	begin := monotonic()
	if err := n.start(t); err != nil {
		return err
	}
	if err := n.settled(r.NICs, r.NICs); err != nil {
		return err
	}
	r.Warm = float64(monotonic()-begin) / 1e9
	r.Guest, err = w.stop()
	return err
}

func restartTable(lines []byte) (string, error) {
	var rows [][]string
	for in := json.NewDecoder(strings.NewReader(string(lines))); in.More(); {
		var r restarted
		if err := in.Decode(&r); err != nil {
			return "", err
		}
		rows = append(rows, []string{
			"the " + r.Answers, fmt.Sprint(r.NICs), digits(r.First), digits(r.Cold), digits(r.Warm),
			fmt.Sprint(r.Guest.Sent), fmt.Sprint(r.Guest.Lost), digits(r.Guest.Longest),
			digits(float64(r.Memory) / float64(r.NICs)), digits(float64(r.Kernel) / float64(r.NICs)),
		})
	}
	return report.Table([]string{
		"answers by", "NICs", "cold: first answer s", "cold: all s", "warm: all s", "asked meanwhile", "lost", "longest silence ms",
		"RSS kB a NIC", "kernel kB a NIC",
	}, rows) + restartLegend, nil
}

const restartLegend = `
Cold: no pins; from exec to the first right answer to the guest of one NIC, which asks
every millisecond, and to all NICs in force. Warm: berthd is killed with SIGKILL and
started again over its pins, while that guest goes on asking. Kernel memory is what the
kernel charges for berthd's maps without rings.
`
