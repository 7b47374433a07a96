package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	noFilter = "no filter"
	control  = "no filter again"
	berthly  = "berth"
)

// guard is one kind of filter on a site.
type guard interface {
	arm(*site) error
	run(on bool) error // what it needs besides the kernel runs, or rests
	close() error
}

// candidate is a filter by name.
type candidate struct {
	name string
	guard
	part bool // no filter, but a part of one
	open bool // lets spoofed frames pass too
}

// candidates are all filters, in the order of the tables. The second site
// without a filter shows how far two equal things differ.
func (st *stage) candidates() []candidate {
	all := []candidate{
		{name: noFilter, guard: rules{}, open: true},
		{name: berthly, guard: st.berth("both")},
		{name: "nft, linear", guard: rules{nft(), linear}},
		{name: "nft, maps", guard: rules{nft(), maps}},
		{name: "libvirt clean-traffic", guard: rules{ebtables(), clean}},
		{name: "Incus", guard: rules{nft(), incus}},
		{name: control, guard: rules{}, open: true},
		{name: "an empty nft chain", guard: rules{nft(), nothing}, part: true, open: true},
		{name: "an empty tc program", guard: &program{}, part: true, open: true},
		{name: "berth without its second lock", guard: oneLock{st.berth("one")}, part: true},
	}
	return slices.DeleteFunc(all, func(c candidate) bool {
		return c.name != noFilter && st.only != "" && !slices.Contains(strings.Split(st.only, ","), c.name)
	})
}

// berth is a daemon that is not started yet, with files and pins of its own.
func (st *stage) berth(name string) *berth {
	return &berth{bin: st.bin, dir: filepath.Join(st.dir, name), bpf: filepath.Join(bpfDir, filepath.Base(st.dir)+"-"+name)}
}

// stage is one number of NICs, with every filter on a site of its own.
type stage struct {
	options
	dir     string
	nics    int
	taps    bool
	soft    softThread
	results *results
	armed   []*entry
}

// entry is a filter at work.
type entry struct {
	candidate
	*site
}

func (st *stage) close() error {
	var errs []error
	for _, e := range st.armed {
		errs = append(errs, e.close())
	}
	return errors.Join(errs...)
}

func (st *stage) measure() error {
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return err
	}
	if err := st.prepare(); err != nil {
		return err
	}
	for round := range st.rounds {
		fmt.Fprintf(os.Stderr, "%s, %s: round %d of %d\n", plural(st.nics), st.kind(), round+1, st.rounds)
		if err := st.round(round); err != nil {
			return err
		}
	}
	return st.profile()
}

// prepare builds a site for each filter, arms all and makes sure that they
// filter.
func (st *stage) prepare() error {
	for _, c := range st.candidates() {
		s, err := newSite(st.nics, st.taps)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		s.soft = st.soft
		st.armed = append(st.armed, &entry{c, s})
	}
	// Together: berth waits for grace periods of the kernel, not for a CPU.
	var arming errgroup.Group
	for _, e := range st.armed {
		arming.Go(func() error { return st.arm(e) })
	}
	if err := arming.Wait(); err != nil {
		return err
	}
	for _, e := range st.armed {
		for _, at := range st.places() {
			if err := e.prove(at.port(e.site), e.open); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
	}
	return nil
}

func (st *stage) arm(e *entry) error {
	begin := time.Now()
	if err := e.arm(e.site); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	fmt.Fprintf(os.Stderr, "%s, %s: armed in %v\n", plural(st.nics), e.name, time.Since(begin).Round(time.Millisecond))
	return nil
}

// prove holds a filter to its word: the guest's own frames pass, and none of
// another's does.
func (s *site) prove(p port, open bool) error {
	pass := func(frame []byte, want bool) error {
		before, err := s.arrived()
		if err != nil {
			return err
		}
		sent, err := s.send(p, frame, 0)
		if err != nil {
			return err
		}
		after, err := s.arrived()
		if passed := after > before; err == nil && passed != want {
			return fmt.Errorf("%s: %d of %d frames passed: % x", p.name, after-before, sent.frames, frame)
		}
		return err
	}
	if err := pass(p.frame(), true); err != nil {
		return err
	}
	for _, f := range p.spoofed() {
		if err := pass(f, open); err != nil {
			return err
		}
	}
	return pass(p.frame(), true)
}

// place is a position in the order of declaration.
type place string

func (at place) port(s *site) port {
	if at == "first" {
		return s.ports[0]
	}
	return s.last()
}

func (st *stage) places() []place {
	if st.nics == 1 {
		return []place{"last"}
	}
	return []place{"last", "first"}
}

// round measures every filter once. Each round begins with another filter, so
// that none is always the one after an expensive one.
func (st *stage) round(round int) error {
	n := len(st.armed)
	for i := range n {
		e := st.armed[(i+round)%n]
		if err := e.run(true); err != nil {
			return err
		}
		if err := errors.Join(st.turn(e, round), e.run(false)); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return nil
}

// turn takes all measurements of one filter.
func (st *stage) turn(e *entry, round int) error {
	s := sample{NICs: st.nics, Filter: e.name, Part: e.part, Round: round}
	places := st.places()
	if e.part {
		places = places[:1]
	}
	for _, at := range places {
		s.Measure, s.At = st.kind(), at
		if err := s.packets(e.site, st.slice); err != nil {
			return err
		}
		st.results.add(s)
	}
	if st.taps || e.part {
		return nil // the guest of a tap would need a TCP of its own
	}
	got, err := e.tcp(st.slice)
	s.Measure, s.At, s.Value, s.Lost = tcpStream, "last", got.rate, 0
	s.CPU = float64(got.cpu.Nanoseconds()) / float64(got.all)
	st.results.add(s)
	return err
}

func (st *stage) kind() measure {
	if st.taps {
		return tapPackets
	}
	return vethPackets
}

// packets counts what arrives of what is sent as fast as it goes.
func (s *sample) packets(on *site, d time.Duration) error {
	p := s.At.port(on)
	before, err := on.arrived()
	if err != nil {
		return err
	}
	sent, err := on.send(p, p.frame(), d)
	if err != nil {
		return err
	}
	after, err := on.arrived()
	got := float64(after - before)
	s.Value, s.CPU, s.Lost = got/sent.took.Seconds(), float64(sent.cpu.Nanoseconds())/got, 1-got/float64(sent.frames)
	return err
}
