package control

import (
	"math"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/ipam"
	"github.com/berth-net/berth/internal/policy"
	"github.com/berth-net/berth/internal/rest/wire"
)

// counted keeps what is taken of networks for a while: counting a large one
// takes as long as many decisions.
type counted struct {
	mu       sync.Mutex
	networks map[string]count
}

type count struct {
	usage ipam.NetworkUsage
	at    time.Time
	good  time.Duration
}

// rarely is how much longer than it takes a count is good.
const rarely = 20

// of counts a network, or takes the last count if it is good still.
func (c *counted) of(s *ipam.State, network string) ipam.NetworkUsage {
	c.mu.Lock()
	defer c.mu.Unlock()
	begin := time.Now()
	if old, ok := c.networks[network]; ok && begin.Sub(old.at) < old.good {
		return old.usage
	}
	u := s.UsageOf(network, begin)
	took := time.Since(begin)
	c.networks[network] = count{u, begin.Add(took), rarely * took}
	return u
}

// networkUsage is what policies are told.
func (r *Replica) networkUsage(network string) policy.NetworkUsage {
	var used, total uint64
	for _, p := range r.counted.of(r.state, network).Pools {
		used, total = plus(used, p.Used+p.Held), plus(total, p.Total)
	}
	return policy.NetworkUsage{Used: signed(used), Total: signed(total)}
}

func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// ProjectUsage is what a project uses of its quota.
func (r *Replica) ProjectUsage(p *fleet.Project) wire.Usage {
	r.mu.RLock()
	defer r.mu.RUnlock()
	used := r.state.Usage(p.Name)
	return wire.Usage{Project: p.Name, Quota: &p.Quota, Used: &used}
}

// NetworkUsage is what is taken of a network's pools.
func (r *Replica) NetworkUsage(n *fleet.Network) wire.Usage {
	r.mu.RLock()
	defer r.mu.RUnlock()
	u := wire.Usage{Network: n.Name, Pools: []wire.PoolUsage{}}
	for _, p := range r.counted.of(r.state, n.Name).Pools {
		u.Pools = append(u.Pools, wire.PoolUsage{Pool: p.Pool, Total: signed(p.Total), Used: signed(p.Used), Held: signed(p.Held)})
	}
	return u
}
