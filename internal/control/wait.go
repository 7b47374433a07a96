package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/fleet"
)

// inForce is the state of a NIC that a node has finished with.
const inForce = "in-force"

// ErrTimeout says that what was waited for has not happened by then. What was
// written stands.
var ErrTimeout = errors.New("timed out")

// Wait returns when the nodes have these NICs in force as they were at a
// revision, or later; those that are gone have been told to go. NICs on no node
// are not waited for.
func (r *Replica) Wait(ctx context.Context, nics []string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var left []string
	err := r.until(ctx, func() bool {
		left = left[:0]
		for _, name := range nics {
			if why := r.missing(name); why != "" {
				left = append(left, why)
			}
		}
		return len(left) == 0
	})
	if err != nil && len(left) > 0 {
		return fmt.Errorf("%w after %s: %s", ErrTimeout, timeout, strings.Join(left[:min(len(left), 10)], "; "))
	}
	return err
}

// missing says why a NIC is not in force yet; "": it is.
func (r *Replica) missing(name string) string {
	n, ok := r.state.Get(fleet.KindNIC, name).(*fleet.NIC)
	if !ok || n.Node == "" {
		return ""
	}
	told := r.state.DocumentRevision(n)
	for _, node := range waitedFor(n) {
		s := r.status.of(node, name)
		switch {
		case s == nil:
			return fmt.Sprintf("node %s says nothing of NIC %s", node, name)
		case s.Revision < told:
			return fmt.Sprintf("node %s has NIC %s of revision %d, not %d yet", node, name, s.Revision, told)
		case s.State != inForce && node == n.Node:
			return fmt.Sprintf("NIC %s on node %s is %s: %s", name, node, s.State, s.Why)
		}
	}
	return ""
}

// waitedFor are the nodes that must have it: while a migration is prepared the
// target too, and after it is activated no longer the source.
func waitedFor(n *fleet.NIC) []string {
	if m := n.Migration; m != nil && m.Phase == fleet.Prepared {
		return []string{m.To, m.From}
	}
	return []string{n.Node}
}
