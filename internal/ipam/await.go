package ipam

import (
	"github.com/berth-net/berth/internal/fleet"
)

// A node that is cut off goes on with what it has. An address that is released
// meanwhile goes to no other node before this one has said that it is withdrawn,
// or is none of the site's any more.

// awaited notes which node an address waits for, 0 for none.
func (s *State) awaited(at spot, node symbol) {
	if was := s.look(at.network).addresses[number(at.address)].awaits; was != 0 && was != node {
		delete(s.awaiting[was], at)
		if len(s.awaiting[was]) == 0 {
			delete(s.awaiting, was)
		}
	}
	if node == 0 {
		return
	}
	if s.awaiting[node] == nil {
		s.awaiting[node] = map[spot]bool{}
	}
	s.awaiting[node][at] = true
}

// mostWithdrawn bounds one change.
const mostWithdrawn = 1000

// Withdrawn is what becomes of the addresses that were released up to a
// revision, of which a node says that it delivers them no more. It is nil where
// none waits for that. What else is to be withdrawn needs another call.
func (s *State) Withdrawn(node string, revision int64, opt Options) (*Change, error) {
	d := newDraft(s, opt, "withdrawn", fleet.Head{Kind: fleet.KindNode, Name: node})
	for at := range s.awaiting[s.symbols[node]] {
		if s.look(at.network).addresses[number(at.address)].rev > revision {
			continue
		}
		d.withdrawn(at)
		if len(d.addresses) == mostWithdrawn {
			break
		}
	}
	if len(d.addresses) == 0 {
		return nil, nil
	}
	d.writeAddresses()
	return d.drafted(), nil
}

// withdrawn has an address wait for its node no more.
func (d *draft) withdrawn(at spot) {
	c := *d.claim(at)
	if c.Awaits = ""; c.Held(d.opt.Now) || c.MAC != nil {
		d.addresses[at] = &c
		return
	}
	d.addresses[at] = nil
}
