package route

import (
	"fmt"
	"slices"
)

// Verb is what a step does.
type Verb uint8

// The verbs.
const (
	SetNeighbour Verb = iota // made or overwritten
	AddRoute                 // refused if another is there
	SetRoute                 // put in the place of ours to the same destination
	DelRoute
	DelNeighbour
)

// Step is one change of the kernel's tables.
type Step struct {
	Verb      Verb
	Route     Route
	Neighbour Neighbour
}

// String is how a failed step is named.
func (s Step) String() string {
	if s.Verb == SetNeighbour || s.Verb == DelNeighbour {
		return fmt.Sprintf("neighbour %v lladdr %v", s.Neighbour.Addr, s.Neighbour.MAC)
	}
	return "route " + s.Route.String()
}

// String is the route as iproute2 writes it.
func (r Route) String() string {
	s := r.To.String()
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	if r.Table != 0 {
		s += fmt.Sprintf(" table %d", r.Table)
	}
	return s
}

// String is the rule as iproute2 writes it.
func (r Rule) String() string {
	family := "-4"
	if r.IPv6 {
		family = "-6"
	}
	return fmt.Sprintf("%s rule iif %s table %d", family, r.Link, r.Table)
}

// String is the entry as iproute2 writes it.
func (p Proxy) String() string { return fmt.Sprintf("proxy %v dev %s", p.Addr, p.Uplink) }

// Diff returns the steps from have to w. A route is never without its
// neighbour, or the host would resolve it, and nothing that stays wanted is
// gone in between.
func Diff(have State, w Want) []Step {
	var first, last []Step
	for _, n := range w.entries() {
		if !slices.Contains(have.Neighbours, n) {
			first = append(first, Step{Verb: SetNeighbour, Neighbour: n})
		}
	}
	for _, r := range w.Routes {
		if s, needed := routeStep(have.Routes, r); needed {
			first = append(first, s)
		}
	}
	for _, r := range have.Routes {
		replaced := func(s Step) bool {
			return s.Verb == SetRoute && s.Route.To == r.To && s.Route.Table == r.Table
		}
		if !slices.Contains(w.Routes, r) && !slices.ContainsFunc(first, replaced) {
			last = append(last, Step{Verb: DelRoute, Route: r})
		}
	}
	for _, n := range have.Neighbours {
		if !slices.Contains(w.Neighbours, n.Addr) {
			last = append(last, Step{Verb: DelNeighbour, Neighbour: n})
		}
	}
	return append(first, last...)
}

func routeStep(have []Route, r Route) (s Step, needed bool) {
	if slices.Contains(have, r) {
		return Step{}, false
	}
	same := func(x Route) bool { return x.To == r.To && x.Table == r.Table }
	if slices.ContainsFunc(have, same) {
		return Step{Verb: SetRoute, Route: r}, true
	}
	return Step{Verb: AddRoute, Route: r}, true
}
