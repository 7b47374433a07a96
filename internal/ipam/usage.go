package ipam

import (
	"math"
	"math/bits"
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/fleet"
)

// PoolUsage is how much of a pool is in use. The highest int64 stands for
// that many and more.
type PoolUsage struct {
	Pool  string `json:"pool"`
	Used  int64  `json:"used"`
	Held  int64  `json:"held"` // released, and kept from others for a while
	Total int64  `json:"total"`
}

// AddressUsage is how much of a network is in use.
type AddressUsage struct {
	Used   int64       `json:"used"`   // addresses, in pools or not
	Shared int64       `json:"shared"` // of those: fail-overs'
	Pools  []PoolUsage `json:"pools"`
}

// UsageOf counts what is in use of a network.
func (s *State) UsageOf(network string, now time.Time) AddressUsage {
	var u AddressUsage
	pools := s.pools[network]
	for _, p := range pools {
		u.Pools = append(u.Pools, PoolUsage{Pool: p.Name, Total: size(p.Pool)})
	}
	for n, h := range s.look(network).addresses {
		owned, held := h.owner != "", h.owner == "" && h.heldUntil() > now.UnixNano()
		if owned {
			u.Used++
		}
		if owned && h.owner[0] == ownerFailover[0] {
			u.Shared++
		}
		if !owned && !held {
			continue
		}
		for i, p := range pools {
			switch {
			case !p.Contains(n.addr()):
			case owned:
				u.Pools[i].Used++
			default:
				u.Pools[i].Held++
			}
		}
	}
	return u
}

// NetworkUsage is how many addresses of a network are in use, and how many its
// pools have. It does not take longer the more there are.
func (s *State) NetworkUsage(network string) (used, total int64) {
	for _, p := range s.pools[network] {
		n := size(p.Pool)
		if total += n; total < 0 {
			total = math.MaxInt64
		}
	}
	return s.look(network).owned, total
}

// size is how many addresses a pool's ranges have without what is excluded.
func size(p *fleet.Pool) int64 {
	total := int64(0)
	for _, r := range p.Ranges {
		n := count(r)
		for _, x := range p.Exclude {
			if r.Overlaps(x) && n != math.MaxInt64 {
				n -= count(fleet.Range{First: later(r.First, x.First), Last: earlier(r.Last, x.Last)})
			}
		}
		if total += n; total < 0 {
			return math.MaxInt64
		}
	}
	return total
}

func later(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}

func earlier(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return a
	}
	return b
}

// count is how many addresses a range has, at most MaxInt64.
func count(r fleet.Range) int64 {
	first, last := number(r.First), number(r.Last)
	lo, borrow := bits.Sub64(last.lo, first.lo, 0)
	hi, _ := bits.Sub64(last.hi, first.hi, borrow)
	if hi > 0 || lo >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo) + 1
}

// Dependents are the NICs whose documents are made with a resource: ask before
// and after a change of it.
func (s *State) Dependents(kind fleet.Kind, name string) []string {
	switch kind {
	case fleet.KindNIC:
		return []string{name}
	case fleet.KindFailover:
		if f := get[*fleet.Failover](s, kind, name); f != nil {
			return f.Members
		}
	case fleet.KindNetwork:
		var out []string
		for _, who := range s.look(name).macs {
			if len(who.owner) > len(ownerNIC) && who.owner[:len(ownerNIC)] == ownerNIC {
				out = append(out, who.owner[len(ownerNIC):])
			}
		}
		return out
	default: // no document is made with it
	}
	return nil
}
