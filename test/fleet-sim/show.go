package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/berth-net/berth/bench/report"
)

// keep has a run take the place of an earlier one of the same size and note in a
// directory's controller.jsonl, and writes the table and the plot of all.
func keep(dir string, r *result) error {
	file := filepath.Join(dir, "controller")
	all, err := read(file + ".jsonl")
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(o result) bool { return o.Nodes == r.Nodes && o.NICs == r.NICs && o.Note == r.Note })
	all = append(all, *r)
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.all(), b.all()) })
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	for i := range all {
		if err := out.Encode(&all[i]); err != nil {
			return err
		}
	}
	return errors.Join(
		os.WriteFile(file+".jsonl", lines.Bytes(), 0o644),
		os.WriteFile(file+".md", []byte(table(all)), 0o644),
		os.WriteFile(file+".svg", []byte(plot(all).SVG()), 0o644),
	)
}

func read(name string) ([]result, error) {
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []result
	for in := json.NewDecoder(bytes.NewReader(data)); in.More(); {
		var r result
		if err := in.Decode(&r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// all is how many NICs the site has: the real node has some too.
func (r *result) all() int { return (r.Nodes + 1) * r.NICs }

func table(all []result) string {
	head := []string{
		"NICs", "nodes", "message p50 ms", "p99 ms", "kernel p50 ms", "p99 ms", "max ms", "confirmed p50 ms", "p99 ms",
		"RSS MiB", "RSS kB a NIC", "heap MiB", "CPU idle", "CPU changing", "fill s", "connect s", "restart s", "note",
	}
	var rows [][]string
	for i := range all {
		r := &all[i]
		rows = append(rows, []string{
			strconv.Itoa(r.all()), strconv.Itoa(r.Nodes + 1),
			digits(r.Message.median()), digits(r.Message.slow()), digits(r.Kernel.median()), digits(r.Kernel.slow()), digits(r.Kernel.Max),
			digits(r.Confirmed.median()), digits(r.Confirmed.slow()),
			digits(float64(r.Memory) / 1024), digits(float64(r.Memory) / float64(r.all())), digits(float64(r.Anonymous) / 1024),
			percent(r.Idle), percent(r.Busy), digits(r.Fill), digits(r.Connect), digits(measured(r.Restart)), r.Note,
		})
	}
	return report.Table(head, rows) + legend
}

const legend = `
From the moment the change is asked for: *message*, until a simulated node has it;
*kernel*, until the rule is in the kernel of the real node, read back from there;
*confirmed*, until the controller has said that it is in force. One change after the
other. CPU is the controller's, of one core; memory with the etcd in it, *heap* without
what it maps of its files.
`

// plot is what one change takes, over the number of NICs.
func plot(all []result) report.Plot {
	p := report.Plot{Title: "from the request to a change", YLabel: "ms", XLabel: "NICs of the site", Log: true, Lines: true}
	for i := range all {
		p.Groups = append(p.Groups, strconv.Itoa(all[i].all()))
	}
	for _, s := range []struct {
		name string
		of   func(*result) float64
	}{
		{"in the kernel, p99", func(r *result) float64 { return r.Kernel.slow() }},
		{"in the kernel, p50", func(r *result) float64 { return r.Kernel.median() }},
		{"at a node, p99", func(r *result) float64 { return r.Message.slow() }},
		{"at a node, p50", func(r *result) float64 { return r.Message.median() }},
	} {
		one := report.Series{Name: s.name}
		for i := range all {
			one.Values = append(one.Values, s.of(&all[i]))
		}
		p.Series = append(p.Series, one)
	}
	return p
}

// median is NaN if nothing was measured; so is slow.
func (t *times) median() float64 { return t.or(t.P50) }

func (t *times) slow() float64 { return t.or(t.P99) }

func (t *times) or(v float64) float64 {
	if t.Count == 0 {
		return math.NaN()
	}
	return v
}

func digits(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

func percent(v float64) string { return digits(100*v) + " %" }

// measured is NaN for what a run has not come to.
func measured(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}
