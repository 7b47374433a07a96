package route

import (
	"fmt"
	"net/netip"
	"slices"
)

// verb is what a step does.
type verb uint8

const (
	setNeighbour verb = iota // made or overwritten
	addRoute                 // refused if another is there
	setRoute                 // put in the place of ours to the same destination
	delRoute
	delNeighbour
)

// step is one change of the kernel's tables.
type step struct {
	verb      verb
	route     Route
	neighbour Neighbour
}

// String is how a failed step is named.
func (s step) String() string {
	if s.verb == setNeighbour || s.verb == delNeighbour {
		return fmt.Sprintf("neighbour %v lladdr %v", s.neighbour.Addr, s.neighbour.MAC)
	}
	return "route " + s.route.String()
}

// String is the route as iproute2 writes it.
func (r Route) String() string {
	if r.Via.IsValid() {
		return fmt.Sprintf("%v via %v", r.To, r.Via)
	}
	return r.To.String()
}

// diff returns the steps from have to w. A route is never without its
// neighbour, or the host would resolve it, and nothing that stays wanted is
// gone in between.
func diff(have State, w Want) []step {
	var first, last []step
	for _, n := range w.neighbours() {
		if !slices.Contains(have.Neighbours, n) {
			first = append(first, step{verb: setNeighbour, neighbour: n})
		}
	}
	for _, r := range w.Routes {
		if s, needed := routeStep(have.Routes, r); needed {
			first = append(first, s)
		}
	}
	for _, r := range have.Routes {
		replaced := func(s step) bool { return s.verb == setRoute && s.route.To == r.To }
		if !slices.Contains(w.Routes, r) && !slices.ContainsFunc(first, replaced) {
			last = append(last, step{verb: delRoute, route: r})
		}
	}
	for _, n := range have.Neighbours {
		if !slices.Contains(w.Neighbours, n.Addr) {
			last = append(last, step{verb: delNeighbour, neighbour: n})
		}
	}
	return append(first, last...)
}

func routeStep(have []Route, r Route) (s step, needed bool) {
	if slices.Contains(have, r) {
		return step{}, false
	}
	same := func(x Route) bool { return x.To == r.To }
	if slices.ContainsFunc(have, same) {
		return step{verb: setRoute, route: r}, true
	}
	return step{verb: addRoute, route: r}, true
}

// heldError says that a destination has another route. The kernel would take
// ours beside it under another metric, and one of them would be dead.
type heldError struct {
	to netip.Prefix
	by string // empty if it could not be found
}

func (e heldError) Error() string {
	if e.by == "" {
		return fmt.Sprintf("route %v: there is another route to it", e.to)
	}
	return fmt.Sprintf("route %v: there is another route to it: %s", e.to, e.by)
}
