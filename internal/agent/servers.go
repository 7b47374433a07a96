package agent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

// server is a DHCPv4 server identifier that was in force, and until when a
// guest may hold a lease from it.
type server struct {
	id    netip.Addr
	until time.Time
}

// keepServers remembers the server identifier of a binding that changes: a guest
// renews with the one it knows, and must find it to be told of the new. What an
// earlier process gave it is not remembered; then it asks everybody at T2.
func (a *Agent) keepServers(name string, old, now *plan.Want) {
	switch {
	case now == nil:
		delete(a.servers, name)
	case old == nil || old.Answer == now.Answer:
	default:
		if id := a.serverOf(name); id.IsValid() {
			at := time.Now()
			a.servers[name] = remembered(a.servers[name], server{id, at.Add(longest(old.Binding))}, at)
		}
	}
}

// expireServers forgets the servers of leases that have ended, and tells the
// plan of the others.
func (a *Agent) expireServers(now time.Time) {
	for name, list := range a.servers {
		list = slices.DeleteFunc(list, func(s server) bool { return !now.Before(s.until) })
		if a.servers[name] = list; len(list) == 0 {
			delete(a.servers, name)
		}
		a.tellFormer(name, list)
	}
}

func (a *Agent) tellFormer(name string, list []server) {
	var ids []netip.Addr
	for _, s := range list {
		ids = append(ids, s.id)
	}
	w := a.wants.nic(name)
	if w == nil || slices.Equal(w.Former, ids) {
		return
	}
	now := *w
	now.Former = ids
	a.wants.set(name, &now)
}

// serverOf is the identifier that a NIC's guest is told now; zero if none.
func (a *Agent) serverOf(name string) netip.Addr {
	s, _ := a.answerer.Setting(a.view.Load().links.byName[name].Index)
	return s.ServerID
}

// longest is how long a lease of the binding can last.
func longest(b *nic.Binding) time.Duration {
	return time.Duration(max(b.DHCP4.Lease, b.DHCP4.MaxLease)) * time.Second
}

// remembered puts one server before the others, without what is over.
func remembered(list []server, s server, now time.Time) []server {
	kept := []server{s}
	for _, old := range list {
		if old.id != s.id && now.Before(old.until) && len(kept) < guard.MaxFormer {
			kept = append(kept, old)
		}
	}
	return slices.Clip(kept)
}
