package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-net/berth/bench/report"
)

// measure is what was measured.
type measure string

const (
	vethPackets measure = "veth" // packets a second through a veth
	tapPackets  measure = "tap"  // packets a second through a tap
	tcpStream   measure = "tcp"  // bits a second of TCP through a veth
)

// sample is one measurement.
type sample struct {
	Measure measure `json:"measure"`
	At      place   `json:"at"`
	NICs    int     `json:"nics"`
	Filter  string  `json:"filter"`
	Part    bool    `json:"part,omitempty"` // of a filter, to explain its cost
	Round   int     `json:"round"`
	Value   float64 `json:"value"`            // packets or bits a second, as they arrived
	CPU     float64 `json:"cpu_ns,omitempty"` // CPU time a packet that arrived, or a byte of TCP
	Lost    float64 `json:"lost"`             // share of what the kernel took from the guest
}

// results are all samples of a run.
type results struct {
	machine machine
	samples []sample
	times   []programTime
}

func (r *results) add(s sample) { r.samples = append(r.samples, s) }

// series is one line of a table: a filter at one number of NICs.
type series struct {
	measure measure
	at      place
	nics    int
	filter  string
}

func (r *results) of(want series) []sample {
	var found []sample
	for _, s := range r.samples {
		if (series{s.Measure, s.At, s.NICs, s.Filter}) == want {
			found = append(found, s)
		}
	}
	return found
}

// values are the samples, and their ratios to those without a filter of the
// same rounds, in order of round.
func (r *results) values(want series, of func(sample) float64) (values, ratios []float64) {
	base := map[int]float64{}
	bare := want
	bare.filter = noFilter
	for _, s := range r.of(bare) {
		base[s.Round] = of(s)
	}
	for _, s := range r.of(want) {
		values = append(values, of(s))
		ratios = append(ratios, of(s)/base[s.Round])
	}
	return values, ratios
}

// distinct lists what occurs among the samples, in order of appearance.
func distinct[T comparable](r *results, what func(sample) T) []T {
	var found []T
	for _, s := range r.samples {
		if v := what(s); !slices.Contains(found, v) {
			found = append(found, v)
		}
	}
	return found
}

func (r *results) filters(parts bool) []string {
	all := distinct(r, func(s sample) sample { return sample{Filter: s.Filter, Part: s.Part} })
	var names []string
	for _, s := range all {
		if s.Part == parts {
			names = append(names, s.Filter)
		}
	}
	return names
}

func (r *results) counts() []int { return distinct(r, func(s sample) int { return s.NICs }) }

// write leaves samples, tables and plots in a directory and prints the tables.
func (r *results) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := r.raw()
	if err != nil {
		return err
	}
	text := r.markdown()
	fmt.Print(text)
	files := map[string]string{"guard.jsonl": raw, "guard.md": text}
	for _, m := range measures() {
		if m.plot != "" {
			files[m.plot] = r.draw(m).SVG()
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *results) raw() (string, error) {
	var b strings.Builder
	if err := json.NewEncoder(&b).Encode(r.machine); err != nil {
		return "", err
	}
	if err := encode(&b, r.samples); err != nil {
		return "", err
	}
	err := encode(&b, r.times)
	return b.String(), err
}

// shown is how a measure is told.
type shown struct {
	name   measure
	title  string
	unit   string
	size   float64 // of the unit
	digits int
	of     func(sample) float64
	plot   string // file; empty: none
}

func rate(s sample) float64 { return s.Value }

func cost(s sample) float64 { return s.CPU }

func measures() []shown {
	return []shown{
		{vethPackets, "64-byte UDP through a veth", "Mpps", 1e6, 3, rate, ""},
		{vethPackets, "64-byte UDP through a veth", "ns of CPU a packet", 1, 0, cost, "guard-veth.svg"},
		{tapPackets, "64-byte UDP through a tap", "Mpps", 1e6, 3, rate, ""},
		{tapPackets, "64-byte UDP through a tap", "ns of CPU a packet", 1, 0, cost, "guard-tap.svg"},
		{tcpStream, "One TCP stream through a veth", "Gbit/s", 1e9, 2, rate, ""},
		{tcpStream, "One TCP stream through a veth", "ms of CPU a gigabyte, both ends", 1e-3, 0, cost, "guard-tcp.svg"},
	}
}

// reading is what one must know to read the tables.
const reading = `
Each filter has a host of its own, in namespaces: a bridge with the NICs, of which one sends and the others are idle.
Packets end in a port that counts and frees them, so nothing hides what a filter costs.
CPU is that of the sending thread, on which a packet makes all its way, and of the CPU's ksoftirqd; for TCP that of both ends' threads.
The rate suffers from whatever else the machine does, the CPU time hardly.
A tap is written to frame by frame, without vhost; TCP goes through a veth alone.
berthd runs while berth is measured, and is stopped while others are.
The nft rules, Incus's too, filter what comes from the guest only; libvirt's and berth's also what goes to it.
How far "no filter again" is from "no filter" is how far chance goes.
`

func (r *results) markdown() string {
	var b strings.Builder
	m := r.machine
	fmt.Fprintf(&b, "%s, %d CPUs, kernel %s, load %s before; %s; %d rounds of %v each, interleaved.\n",
		m.CPU, m.CPUs, m.Kernel, m.Load, m.Version, m.Rounds, m.Slice)
	b.WriteString(reading)
	for _, m := range measures() {
		for _, at := range []place{"last", "first"} {
			if rows := r.rows(m, at, r.filters(false)); len(rows) > 0 {
				fmt.Fprintf(&b, "\n%s, the %s NIC declared: %s, median (min to max), and against no filter in the same round (the median of the rounds)\n\n",
					m.title, at, m.unit)
				b.WriteString(report.Table(r.head(at), rows))
			}
		}
	}
	for _, m := range measures() {
		if rows := r.rows(m, "last", r.filters(true)); len(rows) > 0 {
			fmt.Fprintf(&b, "\nParts, to see where the cost goes. %s: %s\n\n", m.title, m.unit)
			b.WriteString(report.Table(r.head("last"), rows))
		}
	}
	b.WriteString("\nWhat berth's kernel program takes a packet, timed by the kernel, which adds its own looks at the clock\n\n")
	b.WriteString(report.Table([]string{"through", "NICs", "program", "ns"}, r.timeRows()))
	return b.String()
}

func (r *results) head(at place) []string {
	head := []string{"filter"}
	for _, n := range r.counts() {
		if n > 1 || at == "last" {
			head = append(head, plural(n))
		}
	}
	return head
}

func plural(n int) string {
	if n == 1 {
		return "1 NIC"
	}
	return fmt.Sprintf("%d NICs", n)
}

func (r *results) rows(m shown, at place, filters []string) [][]string {
	var rows [][]string
	for _, f := range filters {
		row := []string{f}
		for _, n := range r.counts() {
			values, ratios := r.values(series{m.name, at, n, f}, m.of)
			if len(values) > 0 {
				row = append(row, m.cell(values, ratios))
			}
		}
		if len(row) > 1 {
			rows = append(rows, row)
		}
	}
	return rows
}

func (m shown) cell(values, ratios []float64) string {
	s := report.SpreadOf(values)
	for _, v := range []*float64{&s.Median, &s.Min, &s.Max} {
		*v /= m.size
	}
	return fmt.Sprintf("%s, %+.1f %%", s.Format(m.digits), 100*report.Median(ratios)-100)
}

func (r *results) timeRows() [][]string {
	var rows [][]string
	for _, t := range r.times {
		rows = append(rows, []string{string(t.Measure), fmt.Sprint(t.NICs), t.Program, fmt.Sprintf("%.0f", t.Time)})
	}
	return rows
}

// draw shows the last NIC declared.
func (r *results) draw(m shown) report.Plot {
	p := report.Plot{
		Title: m.title + ", the last NIC declared", YLabel: m.unit, XLabel: "NICs on the bridge",
		Lines: true, Log: true,
	}
	for _, n := range r.counts() {
		p.Groups = append(p.Groups, fmt.Sprint(n))
	}
	for _, f := range r.filters(false) {
		p.Series = append(p.Series, r.line(m, f))
	}
	return p
}

// line is one filter over all numbers of NICs.
func (r *results) line(m shown, filter string) report.Series {
	s := report.Series{Name: filter}
	for _, n := range r.counts() {
		values, _ := r.values(series{m.name, "last", n, filter}, m.of)
		spread := report.SpreadOf(values)
		s.Values = append(s.Values, spread.Median/m.size)
		s.Low = append(s.Low, spread.Min/m.size)
		s.High = append(s.High, spread.Max/m.size)
	}
	return s
}
