package ipam

import (
	"math"
	"math/bits"
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/fleet"
)

// PoolUsage is how much of a pool is in use. MaxUint64 stands for that many
// and more.
type PoolUsage struct {
	Pool  string `json:"pool"`
	Used  uint64 `json:"used"`
	Held  uint64 `json:"held"` // released, and kept from others for a while
	Total uint64 `json:"total"`
}

// NetworkUsage is how much of a network is in use.
type NetworkUsage struct {
	Used   uint64      `json:"used"`   // addresses, in pools or not
	Shared uint64      `json:"shared"` // of those: fail-overs'
	Pools  []PoolUsage `json:"pools"`
}

// UsageOf counts what is in use of a network.
func (s *State) UsageOf(network string, now time.Time) NetworkUsage {
	var u NetworkUsage
	pools := s.pools(network)
	for _, p := range pools {
		u.Pools = append(u.Pools, PoolUsage{Pool: p.Name, Total: size(p)})
	}
	for n, h := range s.look(network).addresses {
		owned, held := h.owner != "", h.owner == "" && h.until > now.UnixNano()
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

// size is how many addresses a pool's ranges have without what is excluded.
func size(p *fleet.Pool) uint64 {
	total := uint64(0)
	for _, r := range p.Ranges {
		n := count(r)
		for _, x := range p.Exclude {
			if r.Overlaps(x) && n != math.MaxUint64 {
				n -= count(fleet.Range{First: later(r.First, x.First), Last: earlier(r.Last, x.Last)})
			}
		}
		var over uint64
		if total, over = bits.Add64(total, n, 0); over != 0 {
			return math.MaxUint64
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

// count is how many addresses a range has, at most MaxUint64.
func count(r fleet.Range) uint64 {
	first, last := number(r.First), number(r.Last)
	lo, borrow := bits.Sub64(last.lo, first.lo, 0)
	hi, _ := bits.Sub64(last.hi, first.hi, borrow)
	if hi > 0 || lo == math.MaxUint64 {
		return math.MaxUint64
	}
	return lo + 1
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
	}
	return nil
}
