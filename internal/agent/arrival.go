package agent

import (
	"time"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/link"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

// An arrival is announced more than once, as frames get lost and a switch may
// still hear the node that the guest comes from.
const (
	announcements = 3
	between       = time.Second
)

// arrival is a NIC that was suspended and is not any more: a guest has come from
// another node, where the site still looks for it.
type arrival struct {
	left int
	last time.Time
}

// arrive notes what a change of what is wanted means for that.
func (a *Agent) arrive(name string, old, now *plan.Want) {
	switch {
	case now == nil || now.Binding.Suspended:
		delete(a.arrivals, name)
	case old != nil && old.Binding.Suspended:
		a.arrivals[name] = arrival{left: announcements}
	}
}

// announceArrivals tells the site, through the bridge, where the guests are that
// have come and are in force. Of a routed NIC the uplink tells.
func (a *Agent) announceArrivals() {
	for name, r := range a.arrivals {
		w, l := a.wants.nic(name), a.links.byName[name]
		bridge := a.links.byIndex[l.Master]
		st, _ := a.standings.Get(name)
		if st.state != api.InForce || !l.Up || bridge.Kind != "bridge" || !bridge.Up || time.Since(r.last) < between {
			continue
		}
		a.announceArrival(l, w.Binding)
		if r.left--; r.left == 0 {
			delete(a.arrivals, name)
			continue
		}
		a.arrivals[name] = arrival{left: r.left, last: time.Now()}
	}
}

// announceArrival has the bridge send what the guest would, and look for the
// guest where it is.
func (a *Agent) announceArrival(l plan.Link, b *nic.Binding) {
	if err := link.Learn(l.Index, b.MAC); err != nil {
		a.opt.Log.Warn("the bridge does not look for the guest here", "nic", l.Name, "err", err)
	}
	for _, p := range b.Addresses {
		for _, frame := range answerer.Announcement(p.Addr(), b.MAC) {
			if err := a.opt.Sender.Send(l.Master, frame); err != nil {
				a.opt.Log.Warn("cannot announce", "nic", l.Name, "addr", p.Addr(), "err", err)
				return
			}
		}
	}
}
