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

// flooded is what one guest's flood does to another's renewals.
type flooded struct {
	Answers string    `json:"answers"`
	Quiet   []float64 `json:"quiet"`   // renewals a second without the flood
	Flooded []float64 `json:"flooded"` // and with it, in turn
	Frames  float64   `json:"frames"`  // a second of the flood
	Lost    int       `json:"lost"`    // renewals, with the flood
	Daemon  float64   `json:"daemon"`  // berthd's share of a CPU, with the flood
}

// spray is what a flooding guest tells of itself.
type spray struct {
	Frames  int     `json:"frames"`
	Seconds float64 `json:"seconds"`
}

// flood measures what others notice of a guest that sends DISCOVERs as fast as
// it can.
func flood(args []string, out io.Writer) error {
	var t task
	f := flag.NewFlagSet("flood", flag.ContinueOnError)
	t.common(f)
	rounds := f.Int("rounds", 3, "how often each is measured")
	by := f.String("answers", "kernel,daemon", "comma-separated: who answers")
	results := f.String("results", "bench/results", "directory of results")
	if err := f.Parse(args); err != nil {
		return err
	}
	if os.Getenv(inside) == "" {
		return eachSize(sizes{command: "flood", flag: "-answers", values: *by, args: args, results: *results, table: floodTable}, out)
	}
	t.extra += "\nanswers: " + *by + "\n"
	r := flooded{Answers: *by}
	return errors.Join(r.run(&t, *rounds), json.NewEncoder(out).Encode(r))
}

func (r *flooded) run(t *task, rounds int) error {
	n, err := newNode(t, 2, 0)
	if err != nil {
		return err
	}
	// The flooding guest has the rate that every NIC has by default.
	doc, _, _ := strings.Cut(binding(port, newClient(0)), "guard:")
	if err := n.site.write(map[string]string{"nics/tap0.yaml": doc}); err != nil {
		return n.close(err)
	}
	if err := n.start(t); err != nil {
		return n.close(err)
	}
	if err := n.settled(2, 2); err != nil {
		return n.close(err)
	}
	// Both ask one way or the other of the same CPU's berthd; the flood has its own.
	renewing := n.stage.cpus
	renewing.Sender = renewing.Server
	for range rounds {
		if err := r.round(t, n, renewing); err != nil {
			return n.close(err)
		}
	}
	return n.close(nil)
}

// round measures without the flood and with it.
func (r *flooded) round(t *task, n *node, renewing placement) error {
	quiet, err := n.renewals(t, renewing)
	if err != nil {
		return err
	}
	cmd, err := n.stage.self("spray", "-iface", "eth0", "-for", (t.span + time.Second).String())
	if err != nil {
		return err
	}
	var text strings.Builder
	cmd.Stdout = &text
	if err := n.stage.inGuest(cmd.Start); err != nil {
		return err
	}
	before, err := n.server.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	with, err := n.renewals(t, renewing)
	if err != nil {
		return err
	}
	after, err := n.server.cpu()
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if err := cmd.Wait(); err != nil {
		return err
	}
	var s spray
	if err := json.Unmarshal([]byte(text.String()), &s); err != nil {
		return err
	}
	r.Quiet, r.Flooded = append(r.Quiet, quiet.rate()), append(r.Flooded, with.rate())
	r.Frames, r.Lost, r.Daemon = float64(s.Frames)/s.Seconds, r.Lost+with.Lost, (after-before).Seconds()/took.Seconds()
	return nil
}

// renewals is the second guest's load.
func (n *node) renewals(t *task, cpus placement) (sample, error) {
	s := *n.stage
	s.cpus = cpus
	return s.generate(order{
		Iface: "eth1", Family: 4, Mode: renew, Outstanding: 16, Clients: 1, First: 1,
		Ready: 15 * time.Second, GiveUp: time.Second, Warm: 300 * time.Millisecond, For: t.span,
	})
}

// sprayCommand sends DISCOVERs as fast as it can.
func sprayCommand(args []string, out io.Writer) error {
	f := flag.NewFlagSet("spray", flag.ContinueOnError)
	iface := f.String("iface", "eth0", "interface towards the server")
	span := f.Duration("for", time.Second, "how long")
	if err := f.Parse(args); err != nil {
		return err
	}
	c, err := dial(*iface)
	if err != nil {
		return err
	}
	var messages []*message
	for range batchSize {
		messages = append(messages, newClient(0).discover4())
	}
	s, begin := spray{}, time.Now()
	for time.Since(begin) < *span {
		for _, m := range messages {
			s.Frames++
			m.stamp(uint32(s.Frames))
			if err := c.queue(m.frame); err != nil {
				return err
			}
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
	s.Seconds = time.Since(begin).Seconds()
	return json.NewEncoder(out).Encode(s)
}

func floodTable(lines []byte) (string, error) {
	var rows [][]string
	for in := json.NewDecoder(strings.NewReader(string(lines))); in.More(); {
		var r flooded
		if err := in.Decode(&r); err != nil {
			return "", err
		}
		quiet, with := report.SpreadOf(r.Quiet), report.SpreadOf(r.Flooded)
		rows = append(rows, []string{
			"the " + r.Answers, quiet.Format(0), with.Format(0), ratio(with.Median, quiet.Median),
			fmt.Sprintf("%.0f", r.Frames), fmt.Sprint(r.Lost), fmt.Sprintf("%.0f %%", 100*r.Daemon),
		})
	}
	return report.Table([]string{
		"answers by", "renewals/s without a flood", "with it", "ratio", "flood, frames/s", "renewals lost", "berthd's CPU",
	}, rows) + floodLegend, nil
}

const floodLegend = `
One guest sends DISCOVERs as fast as it can on a CPU of its own; another, with 16
renewals under way, shares the other CPU with berthd. In the kernel, each guest's frames
are judged and answered on the CPU that sends them. The flooding NIC has the default
rate limit, the renewing one a limit that it does not meet.
`
