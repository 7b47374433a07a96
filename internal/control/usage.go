package control

import (
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

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
	for _, p := range r.state.UsageOf(n.Name, r.now()).Pools {
		u.Pools = append(u.Pools, wire.PoolUsage(p))
	}
	return u
}
