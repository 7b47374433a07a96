package main

import (
	"context"
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
	Answers string  `json:"answers"`   // by the kernel, or by the daemon alone
	NICs    int     `json:"nics"`      // each on a veth
	First   float64 `json:"first_s"`   // cold: from exec to the first named NIC's first right answer
	Last    float64 `json:"last_s"`    // and the last named one's
	Cold    float64 `json:"cold_s"`    // to all in force
	Warm    float64 `json:"warm_s"`    // after kill -9, with the pins in place: to all in force
	Changes float64 `json:"changes_s"` // to the end of a change asked for as soon as berthd takes one
	Guest   watched `json:"guest"`     // asks every millisecond from before the kill to after that
	Memory  int     `json:"rss_kb"`
	Kernel  int     `json:"kernel_kb"` // of maps without rings
}

// The guests that are watched, by their interfaces: that of the NIC which
// comes last by name, which is tap0, and of the one that comes first.
const (
	lastGuest  = 0
	firstGuest = 1
	lateGuest  = 2 // of a NIC that is declared after the restart

	firstName = "a0"
	lateName  = "tap2"
)

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
	n, err := newNode(t, 1, r.NICs-2)
	if err != nil {
		return err
	}
	first, late := newClient(firstGuest), newClient(lateGuest)
	err = errors.Join(n.stage.port(firstName, "eth1", first.mac), n.stage.port(lateName, "eth2", late.mac),
		n.site.write(map[string]string{"nics/" + firstName + ".yaml": binding(firstName, first)}))
	if err != nil {
		return n.close(err)
	}
	for i := range r.NICs - 2 {
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
	first, err := n.stage.watch(firstGuest, time.Millisecond)
	if err != nil {
		return err
	}
	last, err := n.stage.watch(lastGuest, time.Millisecond)
	if err != nil {
		return err
	}
	begin := monotonic()
	if err := n.start(t); err != nil {
		return err
	}
	for w, to := range map[*watcher]*float64{first: &r.First, last: &r.Last} {
		v, err := w.next()
		if err != nil {
			return err
		}
		*to = float64(v.At-begin) / 1e9
		if _, err := w.stop(); err != nil {
			return err
		}
	}
	if err := n.settled(r.NICs, r.NICs); err != nil {
		return err
	}
	r.Cold = float64(monotonic()-begin) / 1e9
	if r.Memory, err = n.resident(); err != nil {
		return err
	}
	r.Kernel, err = n.kernelMemory()
	return err
}

func (r *restarted) warm(t *task, n *node) error {
	w, err := n.stage.watch(lastGuest, time.Millisecond)
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
	if err := n.change(lateName, binding(lateName, newClient(lateGuest))); err != nil {
		return err
	}
	r.Changes = float64(monotonic()-begin) / 1e9
	if err := n.settled(r.NICs+1, r.NICs+1); err != nil {
		return err
	}
	r.Warm = float64(monotonic()-begin) / 1e9
	r.Guest, err = w.stop()
	return err
}

// change declares a NIC and waits until it is in force, from the moment that
// berthd can be asked.
func (n *node) change(name, doc string) error {
	return poll(10*time.Minute, func(ctx context.Context) error {
		_, err := n.client.SetAndWait(ctx, name, []byte(doc), 2*time.Minute)
		return err
	})
}

func restartTable(lines []byte) (string, error) {
	var rows [][]string
	for in := json.NewDecoder(strings.NewReader(string(lines))); in.More(); {
		var r restarted
		if err := in.Decode(&r); err != nil {
			return "", err
		}
		rows = append(rows, []string{
			"the " + r.Answers, fmt.Sprint(r.NICs), digits(r.First), digits(r.Last), digits(r.Cold),
			digits(r.Changes), digits(r.Warm), fmt.Sprint(r.Guest.Sent), fmt.Sprint(r.Guest.Lost), digits(r.Guest.Longest),
			digits(float64(r.Memory) / float64(r.NICs)), digits(float64(r.Kernel) / float64(r.NICs)),
		})
	}
	return report.Table([]string{
		"answers by", "NICs", "cold: first guest s", "last guest s", "all in force s", "warm: changes s", "all in force s", "asked meanwhile", "lost", "longest silence ms",
		"RSS kB a NIC", "kernel kB a NIC",
	}, rows) + restartLegend, nil
}

const restartLegend = `
Cold: no pins; from exec to the first right answers to the guests of two NICs, the
first and the last by name, which ask every millisecond, and to all NICs in force.
Warm: berthd is killed with SIGKILL and started again over its pins, while the guest of
the last NIC goes on asking: what of that got no answer, and the longest time between
two answers. *Changes* is when a NIC that is declared as soon as berthd can be asked is
in force. Kernel memory is what the kernel charges for berthd's maps without rings.
`
