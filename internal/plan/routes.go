package plan

import (
	"cmp"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/route"
)

// route brings the host's routes to the NIC up to its binding. The kernel takes
// none for a link that is down, and drops what it had. The site is not told of a
// NIC by an uplink that is down: what comes up then is announced.
func (c *computation) route(l Link, b *nic.Binding) {
	want := route.Of(b)
	want.Index = l.Index
	c.routed[l.Index] = true
	if !c.link[b.Routing.Uplink].Up {
		want.Proxies = nil
	}
	c.common.Add(route.Want{Rules: want.Rules})
	if l.Up {
		c.common.Add(want)
	}
	switch {
	case !l.Up || c.in.Routed == nil || c.in.Routed[l.Index].Is(want) && c.in.Common.Has(want):
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

// sweep takes away rules and proxy entries that no NIC wants any more: they do
// not go with the link. A declaration that cannot be used keeps what its NIC has.
func (c *computation) sweep() {
	if !c.in.Sealed || c.in.Routed == nil {
		return
	}
	stale := route.Want{}
	for r := range c.in.Common.Rules {
		if !c.common.Rules[r] && !c.keeps(c.link[r.Link]) {
			stale.Rules = append(stale.Rules, r)
		}
	}
	for p := range c.in.Common.Proxies {
		keeps := func(l Link) bool { return c.in.Routed[l.Index].LeadsTo(p.Addr) && c.keeps(l) }
		if !c.common.Proxies[p] && !slices.ContainsFunc(c.in.Links, keeps) {
			stale.Proxies = append(stale.Proxies, p)
		}
	}
	if len(stale.Rules)+len(stale.Proxies) > 0 {
		slices.SortFunc(stale.Rules, route.Rule.Compare)
		slices.SortFunc(stale.Proxies, route.Proxy.Compare)
		c.step(Step{Verb: Sweep, Want: stale})
	}
}

// keeps reports whether a link whose binding cannot come into force stays
// routed as it was.
func (c *computation) keeps(l Link) bool {
	unrouted := slices.ContainsFunc(c.plan.Steps, func(s Step) bool { return s.Verb == Unroute && s.Index == l.Index })
	return !c.routed[l.Index] && !unrouted && len(c.in.Routed[l.Index].Routes) > 0
}

// compareSteps puts those by verb, and the fresh ones, as they are, behind the
// answers of all others, with the late ones behind them; of links that exchange
// routes, the ones that lose some come first, for a route is not taken from
// another link.
func compareSteps(a, b Step) int {
	if c := cmp.Compare(a.rank(), b.rank()); c != 0 || a.loses == b.loses {
		return c
	}
	if a.loses {
		return -1
	}
	return 1
}

func (s *Step) rank() int {
	const ranks = 3 // of a verb: its own, and two behind it
	switch {
	case s.Late:
		return ranks*int(Answer) + 2
	case s.Fresh:
		return ranks*int(Answer) + 1
	}
	return ranks * int(s.Verb)
}
