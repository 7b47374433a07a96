package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
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
}

// candidates are all filters, in the order of the tables. The second site
// without a filter shows how far two equal things differ.
func (st *stage) candidates() []candidate {
	b := &berth{
		bin: st.bin, dir: filepath.Join(st.dir, berthly),
		bpf: filepath.Join(bpfDir, strings.ReplaceAll(filepath.Base(st.dir), ".", "-")),
	}
	all := []candidate{
		{noFilter, rules{}},
		{berthly, b},
		{"nft, linear", rules{nft(), linear}},
		{"nft, maps", rules{nft(), maps}},
		{"libvirt clean-traffic", rules{ebtables(), clean}},
		{"Incus", rules{nft(), incus}},
		{control, rules{}},
	}
	return slices.DeleteFunc(all, func(c candidate) bool {
		return c.name != noFilter && st.only != "" && !slices.Contains(strings.Split(st.only, ","), c.name)
	})
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
	for _, c := range st.candidates() {
		if err := st.prepare(c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for round := range st.rounds {
		fmt.Fprintf(os.Stderr, "%d NICs, taps %v: round %d of %d\n", st.nics, st.taps, round+1, st.rounds)
		if err := st.round(round); err != nil {
			return err
		}
	}
	return st.profile()
}

// prepare builds a site, arms its filter and makes sure that it filters.
func (st *stage) prepare(c candidate) error {
	begin := time.Now()
	s, err := newSite(st.nics, st.taps)
	if err != nil {
		return err
	}
	s.soft = st.soft
	built := time.Now()
	st.armed = append(st.armed, &entry{c, s})
	if err := c.arm(s); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d NICs, %s: built in %v, armed in %v\n", st.nics, c.name,
		built.Sub(begin).Round(time.Millisecond), time.Since(built).Round(time.Millisecond))
	_, none := c.guard.(rules)
	none = none && c.guard.(rules).command == nil
	for _, at := range st.places() {
		if err := s.prove(at.port(s), none); err != nil {
			return err
		}
	}
	return nil
}

// prove holds a filter to its word: the guest's own frames pass, and none of
// another's does.
func (s *site) prove(p port, none bool) error {
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
		if err := pass(f, none); err != nil {
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
	s := sample{NICs: st.nics, Filter: e.name, Round: round}
	for _, at := range st.places() {
		s.Measure, s.At = st.kind(), at
		if err := s.packets(e.site, st.slice); err != nil {
			return err
		}
		st.results.add(s)
	}
	if st.taps {
		return nil // the guest of a tap would need a TCP of its own
	}
	rate, err := e.tcp(st.slice)
	s.Measure, s.At, s.Value, s.CPU, s.Lost = tcpStream, "last", rate, 0, 0
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
