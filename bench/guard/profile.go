package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// programTime is what a run of a kernel program takes, as the kernel times it.
type programTime struct {
	Measure measure `json:"measure"`
	NICs    int     `json:"nics"`
	Program string  `json:"program"`
	Runs    uint64  `json:"runs"`
	Time    float64 `json:"ns_per_run"` // with the kernel's two looks at the clock; 0 without runs
}

// profile lets the kernel time berth's program for a while, outside of the
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

// programTimes times the programs at the last NIC's tcx ingress while its
// guest sends. A kernel without tcx has none to show.
func (e *entry) programTimes(d time.Duration) (_ []programTime, err error) {
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stats.Close()) }()
	p := e.last()
	ids, err := e.programs(p)
	if err != nil {
		return nil, err
	}
	var times []programTime
	for _, id := range ids {
		t, err := timeOf(id, func() error {
			_, err := e.send(p, p.frame(), d)
			return err
		})
		if err != nil {
			return nil, err
		}
		if t.Runs > 0 { // else one ahead of it lets no frame through
			times = append(times, t)
		}
	}
	return times, nil
}

// programs are those at a NIC's tcx ingress.
func (s *site) programs(p port) (ids []ebpf.ProgramID, err error) {
	return ids, s.host.do(func() error {
		index, err := linkIndex(p.name)
		if err != nil {
			return err
		}
		found, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
		if errors.Is(err, ebpf.ErrNotSupported) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, f := range found.Programs {
			ids = append(ids, f.ID)
		}
		return nil
	})
}

// timeOf times a program's runs during f.
func timeOf(id ebpf.ProgramID, f func() error) (t programTime, err error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	info, err := p.Info()
	if err != nil {
		return t, err
	}
	before, err := p.Stats()
	if err != nil {
		return t, err
	}
	if err := f(); err != nil {
		return t, err
	}
	after, err := p.Stats()
	if err != nil {
		return t, err
	}
	return between(info.Name, before, after), nil
}

// between is what ran between two looks at a program.
func between(name string, before, after *ebpf.ProgramStats) programTime {
	t := programTime{Program: name, Runs: after.RunCount - before.RunCount}
	if t.Runs > 0 {
		t.Time = float64((after.Runtime - before.Runtime).Nanoseconds()) / float64(t.Runs)
	}
	return t
}
