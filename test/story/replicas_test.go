package story_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// TestReplicaKilled: the replica that a node follows is killed. The node goes on
// with the other one, and is told there what is new.
func TestReplicaKilled(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 2)
	n1 := e.addNode("n1")
	a := e.addVM("a", n1, "")
	before, noted := a.answers(t), n1.noted("a")
	st, err := e.replicas[0].site.NodeStatus(t.Context(), "n1")
	if err != nil || st.Alive == nil {
		t.Fatalf("%+v, %v", st, err)
	}
	first := st.Alive.Replica
	for _, r := range e.replicas {
		if r.name == first {
			r.p.kill()
		}
	}
	testenv.Wait(t, 20*time.Second, "the node to follow the other replica", func() bool {
		st, err := e.running().site.NodeStatus(t.Context(), "n1")
		return err == nil && st.Connected && st.Alive != nil && st.Alive.Replica != first
	})
	b := e.addVM("b", n1, "")
	b.answers(t)
	a.toldTheSame(t, "its replica was killed", before)
	n1.settled("a", "b")
	if now := n1.noted("a"); now != noted {
		t.Errorf("%d events of a after its replica was killed, want none", now-noted)
	}
}

// TestRestoredBackup: the controller comes back with an older store than its
// nodes have seen. They do not obey it until the operator says so; then they do.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 1)
	n1, r := e.addNode("n1"), e.replicas[0]
	a := e.addVM("a", n1, "")
	r.stop()
	backup := r.dir + ".backup"
	e.head.Exec("cp", "-a", r.dir, backup)
	r.start()
	e.waitConnected(n1)
	b := e.addVM("b", n1, "")
	before, beforeB := a.answers(t), b.answers(t)

	r.stop()
	e.head.Exec("rm", "-r", r.dir)
	e.head.Exec("mv", backup, r.dir)
	r.start()
	testenv.Wait(t, 20*time.Second, "the node to say that it does not obey", func() bool {
		return strings.Contains(n1.must("status"), "epoch must be raised")
	})
	for i := range 10 { // it goes on from the backup, and past what the node has seen
		r.apply(fmt.Sprintf("kind: project\nname: after%d", i))
	}
	n1.kill()
	n1.start()
	e.waitConnected(n1)
	a.toldTheSame(t, "the backup was put back", before)
	b.toldTheSame(t, "the backup was put back", beforeB)
	n1.settled("a", "b")

	r.stop()
	r.start("-restored")
	n1.kill()
	n1.start() // it connects at once, where it would have waited longer each time
	n1.waitState("b", api.Closed, 20*time.Second)
	a.toldTheSame(t, "the backup was confirmed", before)
}

// stop ends a replica as systemd does.
func (r *replica) stop() {
	r.e.t.Helper()
	r.p.signal(syscall.SIGTERM)
	if code := r.p.exit(20 * time.Second); code != 0 {
		r.e.t.Fatalf("%s exits %d, want 0:\n%s", r.name, code, r.p.out)
	}
}
