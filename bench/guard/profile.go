package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// run of a kernel program, as the kernel times it.
type programTime struct {
	Measure measure `json:"measure"`
	NICs    int     `json:"nics"`
	Program string  `json:"program"`
	Runs    uint64  `json:"runs"`
	Time    float64 `json:"ns_per_run"` // with the kernel's two looks at the clock
}

// profile lets the kernel time berth's programs for a while, outside of the
// rounds: timing costs time.
func (st *stage) profile() error {
	for _, e := range st.armed {
		if e.name != berthly {
			continue
		}
		times, err := e.programTimes(2 * st.slice)
		if err != nil {
			return fmt.Errorf("time the kernel programs: %w", err)
		}
		for _, t := range times {
			t.Measure, t.NICs = st.kind(), st.nics
			st.results.times = append(st.results.times, t)
		}
	}
	return nil
}

func (e *entry) programTimes(d time.Duration) (_ []programTime, err error) {
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stats.Close()) }()
	before, err := programs()
	if err != nil {
		return nil, err
	}
	p := e.last()
	sent, err := e.send(p, p.frame(), d)
	if err != nil {
		return nil, err
	}
	after, err := programs()
	var times []programTime
	for id, t := range after {
		runs := t.runs - before[id].runs
		if runs >= uint64(sent.frames)/2 { // ours, and not a neighbour's on this machine
			times = append(times, programTime{Program: t.name, Runs: runs, Time: float64(t.spent-before[id].spent) / float64(runs)})
		}
	}
	return times, err
}

type programRuns struct {
	name  string
	runs  uint64
	spent time.Duration
}

// programs reads the run times of every program of this kernel.
func programs() (map[ebpf.ProgramID]programRuns, error) {
	all := map[ebpf.ProgramID]programRuns{}
	for id := ebpf.ProgramID(0); ; {
		var err error
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, os.ErrNotExist) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		r, err := programRunsOf(id)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // it went meanwhile
			return nil, err
		}
		all[id] = r
	}
}

func programRunsOf(id ebpf.ProgramID) (r programRuns, err error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	info, err := p.Info()
	if err != nil {
		return r, err
	}
	stats, err := p.Stats()
	if err != nil {
		return r, err
	}
	return programRuns{info.Name, stats.RunCount, stats.Runtime}, nil
}
