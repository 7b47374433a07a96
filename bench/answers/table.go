package main

import (
	"fmt"
	"slices"

	"github.com/berth-net/berth/bench/report"
)

// cell is what was measured of one peer in one kind of exchange, over all rounds.
type cell struct {
	results []result
}

// over sums up one quantity.
func (c cell) over(f func(result) float64) report.Spread {
	var v []float64
	for _, r := range c.results {
		v = append(v, f(r))
	}
	return report.SpreadOf(v)
}

func (c cell) median(f func(result) float64) float64 { return c.over(f).Median }

// kind is a kind of exchange.
type kind struct {
	family      int
	mode        string
	outstanding int
}

func kinds() []kind {
	var all []kind
	for _, family := range []int{4, 6} {
		for _, mode := range []string{lease, renew} {
			for _, n := range []int{1, manyClients} {
				all = append(all, kind{family, mode, n})
			}
		}
	}
	return all
}

func (k kind) String() string {
	what := map[string]string{lease: "lease, 4 messages", renew: "renewal, 2 messages"}[k.mode]
	return fmt.Sprintf("DHCPv%d %s, %d outstanding", k.family, what, k.outstanding)
}

func (c *comparison) cell(k kind, peer string) cell {
	var found cell
	for _, r := range c.results {
		if r.Peer == peer && (kind{r.Family, r.Mode, r.Outstanding}) == k {
			found.results = append(found.results, r)
		}
	}
	return found
}

// best is the highest median rate among the servers that berth is compared with.
func (c *comparison) best(k kind) float64 {
	best := 0.0
	for _, p := range peers() {
		if cell := c.cell(k, p.name); !p.berth && !p.echo && len(cell.results) > 0 {
			best = max(best, cell.median(result.perSecond))
		}
	}
	return best
}

// markdown prints a table for every kind of exchange.
func (c *comparison) markdown() string {
	text := ""
	for _, k := range kinds() {
		rows := c.rows(k)
		if len(rows) > 0 {
			text += fmt.Sprintf("### %s\n\n", k) + report.Table(columns(), rows) + "\n"
		}
	}
	return text + legend
}

func columns() []string {
	return []string{
		"server", "exchanges/s (min to max)", "to the best other server", "to the reflector",
		"p50 µs", "p99 µs", "server CPU µs", "programs µs", "all CPU µs", "over the reflector µs", "lost", "wrong",
	}
}

const legend = `Medians of the rounds; each round takes every server in turn. All times in µs are
of one exchange. *Server CPU* is what the server's process used, in the kernel and
outside, all threads; *programs* is the run time of the eBPF programs at the port,
taken apart since counting it slows them down; *all CPU* adds the generator's
process to the server's, and with it what the kernel does in the generator's own
system calls: carrying frames, running programs, queueing for the server. *Over the
reflector* is what is left of that when the exchange of the reflector, which sends
every frame back unchanged, is taken away. Generator and server have one CPU each.
`

func (c *comparison) rows(k kind) [][]string {
	mirror, best := c.cell(k, peers()[0].name), c.best(k)
	var rows [][]string
	for _, p := range peers() {
		cell := c.cell(k, p.name)
		if len(cell.results) == 0 {
			continue
		}
		rate := cell.over(result.perSecond)
		cpu := cell.median(result.cpu)
		rows = append(rows, []string{
			label(p, k), rate.Format(0), ratio(rate.Median, best), ratio(rate.Median, mirror.median(result.perSecond)),
			digits(cell.median(func(r result) float64 { return r.P50 })), digits(cell.median(func(r result) float64 { return r.P99 })),
			digits(cell.median(func(r result) float64 { return r.ServerCPU })), digits(cell.median(func(r result) float64 { return r.Program })),
			digits(cpu), digits(cpu - mirror.median(result.cpu)), cell.count(func(r result) int { return r.Lost }), cell.count(func(r result) int { return r.Wrong }),
		})
	}
	return rows
}

// label says where a server had other clients than the rest.
func label(p peer, k kind) string {
	if p.many && k.outstanding > 1 {
		return fmt.Sprintf("%s, %d clients", p.name, k.outstanding)
	}
	return p.name
}

func ratio(a, b float64) string {
	if b == 0 || b != b {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}

func digits(v float64) string {
	if v != v {
		return ""
	}
	return fmt.Sprintf("%.1f", v)
}

func (c cell) count(f func(result) int) string {
	n := 0
	for _, r := range c.results {
		n += f(r)
	}
	return fmt.Sprint(n)
}

// plots draws rates, latencies and CPU of each kind of exchange, by file name.
func (c *comparison) plots() map[string]report.Plot {
	quantities := []struct {
		name, label string
		of          func(result) float64
	}{
		{"rate", "exchanges a second", result.perSecond},
		{"latency", "median of one exchange, µs", func(r result) float64 { return r.P50 }},
		{"cpu", "CPU of one exchange, µs", result.cpu},
	}
	all := map[string]report.Plot{}
	for _, mode := range []string{lease, renew} {
		for _, q := range quantities {
			all[fmt.Sprintf("answers-%s-%s.svg", mode, q.name)] = c.plot(mode, q.label, q.of)
		}
	}
	return all
}

// plot has a group for every family and load, and a series for every server.
func (c *comparison) plot(mode, label string, of func(result) float64) report.Plot {
	p := report.Plot{Title: mode + ": " + label, YLabel: label, Log: true}
	mine := slices.DeleteFunc(kinds(), func(k kind) bool { return k.mode != mode })
	for _, k := range mine {
		p.Groups = append(p.Groups, fmt.Sprintf("DHCPv%d, %d", k.family, k.outstanding))
	}
	p.XLabel = "protocol, exchanges outstanding"
	for _, peer := range peers() {
		s := report.Series{Name: peer.name}
		for _, k := range mine {
			v := c.cell(k, peer.name).over(of)
			s.Values, s.Low, s.High = append(s.Values, v.Median), append(s.Low, v.Min), append(s.High, v.Max)
		}
		if c.has(peer.name) {
			p.Series = append(p.Series, s)
		}
	}
	return p
}

func (c *comparison) has(peer string) bool {
	return slices.ContainsFunc(c.results, func(r result) bool { return r.Peer == peer })
}
