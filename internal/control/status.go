package control

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/ipam"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/rest/wire"
)

// brief is what is kept in memory of a fleet.Status: there are as many as NICs.
type brief struct {
	State    string
	Why      string
	Revision int64
	Checked  bool
	written  time.Time
	essence  [8]byte // of all that is worth an immediate write
	whole    [8]byte // of all but the time of the report
}

// statuses are what nodes have said.
type statuses struct {
	nodes map[string]map[string]*brief // by node and NIC
	alive map[string]wire.Alive
}

func newStatuses() *statuses {
	return &statuses{nodes: map[string]map[string]*brief{}, alive: map[string]wire.Alive{}}
}

func (s *statuses) of(node, nic string) *brief { return s.nodes[node][nic] }

func (s *statuses) set(e etcd.Event) error {
	node, nic, _ := strings.Cut(strings.TrimPrefix(e.Key, statusKeys), "/")
	if e.Deleted {
		delete(s.nodes[node], nic)
		return nil
	}
	var st fleet.Status
	if err := json.Unmarshal(e.Value, &st); err != nil {
		return err
	}
	b, err := briefly(&st)
	if err != nil {
		return err
	}
	if s.nodes[node] == nil {
		s.nodes[node] = map[string]*brief{}
	}
	s.nodes[node][nic] = b
	return nil
}

func (s *statuses) setAlive(e etcd.Event) error {
	node := strings.TrimPrefix(e.Key, nodeKeys)
	if e.Deleted {
		delete(s.alive, node)
		return nil
	}
	var a wire.Alive
	if err := json.Unmarshal(e.Value, &a); err != nil {
		return err
	}
	s.alive[node] = a
	return nil
}

// briefly sums a status up.
func briefly(st *fleet.Status) (*brief, error) {
	b := &brief{State: st.State, Why: st.Why, Revision: st.Revision, Checked: st.Checked, written: st.Reported}
	rest := *st
	rest.Reported = time.Time{}
	var err error
	if b.whole, err = sumOf(rest); err != nil {
		return nil, err
	}
	rest.Answered, rest.Dropped, rest.Observed = nil, nil, nil
	b.essence, err = sumOf(rest)
	return b, err
}

func sumOf(v any) (out [8]byte, err error) {
	data, err := json.Marshal(v)
	sum := sha256.Sum256(data)
	copy(out[:], sum[:])
	return out, err
}

const (
	// seldom is how long what is not the state of a NIC waits to be written.
	seldom = time.Minute
	// together are how many statuses one transaction writes.
	together = 100
)

// Report keeps what a node says of its NICs; what it says of others is dropped.
func (r *Replica) Report(ctx context.Context, rep *nodelink.Report) error {
	if err := r.alive.says(rep); err != nil {
		return err
	}
	puts, gone, err := r.differences(rep)
	if err != nil {
		return err
	}
	for len(puts)+len(gone) > 0 {
		n, m := min(together, len(puts)), min(together, len(gone))
		if _, err := r.store.Commit(ctx, nil, puts[:n], gone[:m]); err != nil {
			return fmt.Errorf("keep the report of node %s: %w", rep.Node, unavailable(err))
		}
		puts, gone = puts[n:], gone[m:]
	}
	return r.withdrawn(ctx, rep)
}

// withdrawn sets free what the node had and says that it has no more. What
// fails, or is too much for once, is done with its next report.
func (r *Replica) withdrawn(ctx context.Context, rep *nodelink.Report) error {
	r.mu.RLock()
	if rep.Epoch != r.site.Epoch {
		r.mu.RUnlock()
		return nil
	}
	c, err := r.state.Withdrawn(rep.Node, rep.Generation, ipam.Options{Now: r.now().UTC()})
	r.mu.RUnlock()
	if err != nil || c == nil {
		return err
	}
	_, err = r.store.Commit(ctx, c.Needs, c.Puts, c.Deletes)
	if errors.Is(err, etcd.ErrConflict) {
		return nil
	}
	return err
}

// differences are what a report changes in the store; no key is in both.
func (r *Replica) differences(rep *nodelink.Report) (puts []fleet.Put, gone []string, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	puts, err = r.news(rep)
	return puts, r.forgotten(rep), err
}

// news are the statuses that are worth writing, of a NIC the first.
func (r *Replica) news(rep *nodelink.Report) ([]fleet.Put, error) {
	now := r.now()
	said := map[string]bool{}
	var puts []fleet.Put
	for i := range rep.NICs {
		st := modest(rep.NICs[i])
		if said[st.NIC] || !r.isOn(st.NIC, rep.Node) {
			continue
		}
		said[st.NIC] = true
		st.Node, st.Reported = rep.Node, now.UTC()
		is, err := briefly(&st)
		if err != nil {
			return nil, err
		}
		if was := r.status.of(rep.Node, st.NIC); was != nil &&
			(was.whole == is.whole || was.essence == is.essence && now.Sub(was.written) < seldom) {
			continue
		}
		value, err := json.Marshal(&st)
		if err != nil {
			return nil, err
		}
		puts = append(puts, fleet.Put{Key: fleet.StatusKey(rep.Node, st.NIC), Value: value})
	}
	return puts, nil
}

// forgotten are the keys of NICs that the node no longer has.
func (r *Replica) forgotten(rep *nodelink.Report) []string {
	said := map[string]bool{}
	for i := range rep.NICs {
		said[rep.NICs[i].NIC] = true
	}
	var keys []string
	for nic := range r.status.nodes[rep.Node] {
		if rep.Full && !said[nic] || !r.isOn(nic, rep.Node) {
			keys = append(keys, fleet.StatusKey(rep.Node, nic))
		}
	}
	return keys
}

func (r *Replica) isOn(nic, node string) bool {
	n, ok := r.state.Get(fleet.KindNIC, nic).(*fleet.NIC)
	if !ok {
		return false
	}
	for _, place := range placesOf(n) {
		if place == node {
			return true
		}
	}
	return false
}

// statusesOf reads what some nodes say of a NIC.
func (r *Replica) statusesOf(ctx context.Context, nic string, nodes []string) ([]fleet.Status, error) {
	out := []fleet.Status{}
	for _, node := range nodes {
		e, _, err := r.store.Get(ctx, fleet.StatusKey(node, nic))
		if err != nil {
			return nil, unavailable(err)
		}
		if e == nil {
			continue
		}
		var st fleet.Status
		if err := json.Unmarshal(e.Value, &st); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key, err)
		}
		out = append(out, st)
	}
	return out, nil
}

// allStatusesOf reads all that a node says of its NICs.
func (r *Replica) allStatusesOf(ctx context.Context, node string) ([]fleet.Status, error) {
	prefix := fleet.StatusKey(node, "")
	events, _, err := r.store.Range(ctx, prefix, fleet.After(prefix), etcd.RangeOptions{})
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]fleet.Status, 0, len(events))
	for _, e := range events {
		var st fleet.Status
		if err := json.Unmarshal(e.Value, &st); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key, err)
		}
		out = append(out, st)
	}
	return out, nil
}
