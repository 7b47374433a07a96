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

// keepServers remembers the server identifiers of bindings that change: a guest
// renews with the one it knows, and must find it to be told of the new. What an
// earlier process gave it is not remembered; then it asks everybody at T2.
func (a *Agent) keepServers(before plan.Wants) {
	now := time.Now()
	for name, old := range before.ByNIC {
		w, still := a.wants.ByNIC[name]
		if !still {
			delete(a.servers, name)
			continue
		}
		if w.Answer == old.Answer {
			continue
		}
		if id := a.serverOf(name); id.IsValid() {
			a.servers[name] = remembered(a.servers[name], server{id, now.Add(longest(old.Binding))}, now)
		}
	}
	a.expireServers(now)
}

// expireServers forgets the servers of leases that have ended, and tells the
// plan of the others.
func (a *Agent) expireServers(now time.Time) {
	for name, list := range a.servers {
		list = slices.DeleteFunc(list, func(s server) bool { return !now.Before(s.until) })
		if a.servers[name] = list; len(list) == 0 {
			delete(a.servers, name)
		}
		w, ok := a.wants.ByNIC[name]
		if !ok {
			continue
		}
		w.Former = nil
		for _, s := range list {
			w.Former = append(w.Former, s.id)
		}
		a.wants.ByNIC[name] = w
	}
}

// serverOf is the identifier that a NIC's guest is told now; zero if none.
func (a *Agent) serverOf(name string) netip.Addr {
	s, _ := a.answerer.Setting(a.view.Load().byName[name].Index)
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
