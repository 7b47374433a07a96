package agent

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Standings returns, by interface, how the NICs are that a source declares:
// State, Reason, Why, Since and Revision of each; and the generation of the
// source's update that this is after. The channel is closed when there is
// something newer.
func (a *Agent) Standings(source string) (map[string]fleet.Status, uint64, <-chan struct{}) {
	v := a.view.Load()
	u := v.said[source]
	now := make(map[string]fleet.Status, len(u.Refs))
	for _, b := range u.Refs {
		now[b.NIC] = v.standingOf(source, b.NIC)
	}
	for _, p := range u.Problems {
		if p.NIC != "" {
			now[p.NIC] = v.standingOf(source, p.NIC)
		}
	}
	return now, u.Generation, v.changed
}

// standingOf is how a NIC is for the source that declares it: what another
// source has in force is not.
func (v *view) standingOf(source, name string) fleet.Status {
	st, known := v.standings.Get(name)
	want := v.wants.nic(name)
	switch {
	case want != nil && want.Binding.Origin.Source != source:
		r, _ := v.wants.refused.Get(name)
		return fleet.Status{State: string(api.Waiting), Reason: reason.WaitConflict.String(), Why: r.Text}
	case !known:
		return fleet.Status{State: string(api.Waiting), Why: "not looked at yet"}
	}
	s := fleet.Status{State: string(st.state), Why: st.why(), Since: st.since.UTC()}
	if st.reason != reason.None {
		s.Reason = st.reason.String()
	}
	if want != nil {
		s.Revision = int64(want.Binding.Origin.Line)
	}
	return s
}

// Describe adds to a status what is installed, answered, dropped and observed.
func (a *Agent) Describe(iface string, s *fleet.Status) {
	v := a.view.Load()
	n, err := a.show(v, iface)
	want := v.wants.nic(iface)
	if err != nil || n.Installed == nil || want == nil {
		return // nothing is installed, or it goes just now
	}
	g := &want.Binding.Guard
	s.Sources = n.Installed.Sources
	s.Checked = n.Installed.InForce && g.Mode == nic.Enforce && g.Checks == nic.AllChecks()
	s.Observed = observed(&n, want.Binding)
	if n.Counters != nil {
		s.Dropped = n.Counters.Dropped
	}
	if n.Answers != nil {
		s.Answered = lastOfEach(n.Answers.Last)
	}
}

// observed are the link-locals that the guest has chosen, and the shared
// addresses that it holds.
func observed(n *api.NIC, b *nic.Binding) []netip.Addr {
	var all []netip.Addr
	for _, l := range n.Installed.LinkLocal {
		if b.LinkLocal.Kind == nic.FirstCome && l != b.MAC.EUI64() {
			all = append(all, l)
		}
	}
	for _, s := range n.Shared {
		if s.Holder == n.Name {
			all = append(all, s.Address)
		}
	}
	return all
}

// lastOfEach keeps of exchanges, newest first, the last answer of each kind, by
// kind.
func lastOfEach(list []api.Answer) []fleet.Told {
	last := map[string]fleet.Told{}
	for _, x := range slices.Backward(list) {
		if x.Answer != "" {
			last[x.Answer] = fleet.Told{Message: x.Answer, Time: x.Time.UTC(), Addresses: x.Addresses}
		}
	}
	var all []fleet.Told
	for _, kind := range slices.Sorted(maps.Keys(last)) {
		all = append(all, last[kind])
	}
	return all
}
