package agent

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

// sharedKey is an address that the NICs of one share group take over from each
// other.
type sharedKey struct {
	network, group string
	addr           netip.Addr
}

// holding is who announced a shared address last.
type holding struct {
	nic  string
	seen time.Duration // on the monotonic clock
	at   time.Time
}

// watchShared reads who holds the shared addresses, and tells the history of
// every one that moved. Nothing is asked where nobody shares.
func (a *Agent) watchShared(in plan.Input) {
	now := map[sharedKey]holding{}
	if a.wants.shared > 0 {
		seen, err := a.opt.Kernel.Seen()
		if err != nil {
			a.opt.Log.Warn("cannot read who holds shared addresses", "err", err)
			return
		}
		now = holders(in.Wants, in.Links, seen)
	}
	clock, wall := datapath.Clock(), time.Now()
	for key, h := range now {
		h.at = wall.Add(h.seen - clock)
		now[key] = h
	}
	for _, e := range takeovers(a.holders, now) {
		a.Add(e)
	}
	a.holders = now
}

// takeovers are the events of addresses that moved, one for all that moved from
// one NIC to another: guests choose how often that is, and how many.
func takeovers(before, now map[sharedKey]holding) []api.Event {
	type move struct{ group, from, to string }
	moved := map[move][]netip.Addr{}
	at := map[move]time.Time{}
	for key, h := range now {
		if old := before[key].nic; old != h.nic {
			m := move{key.group, old, h.nic}
			moved[m] = append(moved[m], key.addr)
			at[m] = h.at
		}
	}
	var events []api.Event
	for m, addrs := range moved {
		slices.SortFunc(addrs, netip.Addr.Compare)
		text := fmt.Sprintf("holds %s of group %s now", strings.Trim(fmt.Sprint(addrs), "[]"), m.group)
		if m.from != "" {
			text += ", taken over from NIC " + m.from
		}
		events = append(events, api.Event{Time: at[m], NIC: m.to, Kind: "holder", Text: text})
	}
	slices.SortFunc(events, func(x, y api.Event) int { return cmp.Or(cmp.Compare(x.NIC, y.NIC), cmp.Compare(x.Text, y.Text)) })
	return events
}

// holders finds, of all NICs that share an address, who announced it last.
func holders(wants plan.Wants, links []plan.Link, seen map[datapath.Share]time.Duration) map[sharedKey]holding {
	all := map[sharedKey]holding{}
	for _, l := range links {
		w, ok := wants.ByNIC[l.Name]
		if !ok {
			continue
		}
		for key := range shares(w.Binding) {
			at := seen[datapath.Share{Index: l.Index, Addr: key.addr}]
			if at > all[key].seen {
				all[key] = holding{nic: l.Name, seen: at}
			}
		}
	}
	return all
}

// shares yields what a NIC shares, in the order it is declared.
func shares(b *nic.Binding) func(yield func(sharedKey) bool) {
	return func(yield func(sharedKey) bool) {
		for _, s := range b.Shared {
			for _, addr := range s.Addresses {
				if !yield(sharedKey{b.Network, s.Group, addr}) {
					return
				}
			}
		}
	}
}

// showShared says of each address the NIC shares who holds it.
func showShared(v *view, b *nic.Binding) []api.Shared {
	var all []api.Shared
	for key := range shares(b) {
		s := api.Shared{Group: key.group, Address: key.addr}
		if h, ok := v.holders[key]; ok {
			s.Holder, s.Seen = h.nic, &h.at
		}
		all = append(all, s)
	}
	return all
}
