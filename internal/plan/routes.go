package plan

import (
	"cmp"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/route"
)

// route brings the host's routes to the NIC up to its binding. The kernel takes
// none for a link that is down, and drops what it had.
func (c *computation) route(l Link, b *nic.Binding) {
	want := route.Of(b)
	want.Index = l.Index
	switch {
	case !l.Up || c.in.Routed == nil || c.in.Routed[l.Index].Is(want):
	case len(want.Routes) == 0:
		c.unroute(l.Name, l.Index)
	default:
		had := c.in.Routed[l.Index].Routes
		loses := slices.ContainsFunc(had, func(r route.Route) bool { return !slices.Contains(want.Routes, r) })
		c.step(Step{Verb: Route, NIC: l.Name, Index: l.Index, Want: want, loses: loses})
	}
}

func (c *computation) unroute(name string, index int) {
	if _, any := c.in.Routed[index]; any {
		c.step(Step{Verb: Unroute, NIC: name, Index: index})
	}
}

// strays takes away routes to links that are not berth's any more: whoever let
// go of the link was stopped before it came to them.
func (c *computation) strays() {
	for _, index := range sortedKeys(c.in.Routed) {
		l, lives := c.byIndex[index]
		if _, wanted := c.in.Wants.ByNIC[l.Name]; !lives || wanted || !c.in.Sealed {
			continue
		}
		known := slices.ContainsFunc(c.in.Installed, func(i Installed) bool { return i.Index == index })
		seen := slices.ContainsFunc(c.plan.Steps, func(s Step) bool { return s.Verb == Unroute && s.Index == index })
		if !known && !seen {
			c.unroute(l.Name, index)
		}
	}
}

// compareSteps puts those by verb; of links that exchange routes, the ones that
// lose some come first, for a route is not taken from another link.
func compareSteps(a, b Step) int {
	if c := cmp.Compare(a.Verb, b.Verb); c != 0 || a.loses == b.loses {
		return c
	}
	if a.loses {
		return -1
	}
	return 1
}
