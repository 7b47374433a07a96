package control

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/rest/wire"
)

// leaseTime is how long nodes count as connected after their replica died.
const leaseTime = 10 * time.Second

// liveness says in the store which nodes are connected to this replica.
type liveness struct {
	lease *etcd.Alive
	name  string
	now   func() time.Time

	mu    sync.Mutex
	nodes map[string]wire.Alive
}

func newLiveness(o *Options) *liveness {
	return &liveness{lease: o.Store.Alive(leaseTime), name: o.Name, now: o.Now, nodes: map[string]wire.Alive{}}
}

func (l *liveness) run(ctx context.Context) error { return l.lease.Run(ctx) }

// connected writes that a node is here, and returns what will be read.
func (l *liveness) connected(node string) (wire.Alive, error) {
	a := wire.Alive{Replica: l.name, Since: l.now().UTC()}
	l.mu.Lock()
	defer l.mu.Unlock()
	return a, l.write(node, a)
}

// write is called under the lock.
func (l *liveness) write(node string, a wire.Alive) error {
	value, err := json.Marshal(a)
	if err != nil {
		return err
	}
	l.nodes[node] = a
	l.lease.Set(fleet.NodeKey(node), value)
	return nil
}

func (l *liveness) gone(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.nodes, node)
	l.lease.Unset(fleet.NodeKey(node))
}

// says adds what a report tells of the node itself. How far it is, is written
// only with something else: it changes with every change.
func (l *liveness) says(rep *nodelink.Report) error {
	// All under the lock: a node that goes meanwhile must not come back.
	l.mu.Lock()
	defer l.mu.Unlock()
	a, here := l.nodes[rep.Node]
	version, kernel := cut(rep.Version, shortText), cut(rep.Kernel, shortText)
	if !here || a.Version == version && a.Kernel == kernel {
		return nil
	}
	a.Version, a.Kernel, a.Generation = version, kernel, rep.Generation
	return l.write(rep.Node, a)
}
