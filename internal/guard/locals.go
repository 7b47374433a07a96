package guard

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Locals says who holds which link-local address of each segment: first come,
// first served. It is the definition of the kernel's tables of the same name.
//
// The kernel also lets a NIC that holds as many as it may take a new one in
// place of one unused for ten minutes; Locals knows no time and refuses.
type Locals struct {
	holder map[local]holding
}

// holding is who has an address, and whether by a claim of its own.
type holding struct {
	who     int
	claimed bool
}

// local is one address on one segment.
type local struct {
	segment uint32
	addr    netip.Addr
}

// Nobody holds a router's link-local: no NIC may.
const Nobody = 0

// Reserve keeps an address of a segment for a NIC, whoever had it before.
func (l *Locals) Reserve(segment uint32, addr netip.Addr, who int) {
	l.set(local{segment, addr}, holding{who: who})
}

func (l *Locals) set(k local, h holding) {
	if l.holder == nil {
		l.holder = map[local]holding{}
	}
	l.holder[k] = h
}

// Settle completes the verdict on a frame of the NIC called who: the
// link-locals it speaks for must be its own, or become so.
func (l *Locals) Settle(who int, r *Rules, v Verdict) Verdict {
	for _, a := range v.Claims {
		if !a.IsValid() {
			continue
		}
		why := l.claim(who, local{r.Segment, a})
		if why == reason.LLTaken && v.Probe && !r.Audit {
			return Verdict{Action: Take, Reason: reason.NeighbourSolicit}
		}
		if why != reason.None {
			v = r.enforce(v, why)
			break
		}
	}
	v.Claims, v.Probe = [2]netip.Addr{}, false
	return v
}

func (l *Locals) claim(who int, k local) reason.Reason {
	if h, held := l.holder[k]; held {
		if h.who != who {
			return reason.LLTaken
		}
		return reason.None
	}
	if len(l.Claimed(who)) >= nic.MaxLinkLocals {
		return reason.LLLimit
	}
	l.set(k, holding{who: who, claimed: true})
	return reason.None
}

// Claimed returns the link-locals of its own choice that a NIC holds, sorted.
func (l *Locals) Claimed(who int) []netip.Addr {
	var out []netip.Addr
	for k, h := range l.holder {
		if h.who == who && h.claimed {
			out = append(out, k.addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
