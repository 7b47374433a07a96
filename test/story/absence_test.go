package story_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// TestControllerGone: the controller is killed, and berthd is started again
// without it. VMs are answered the same bytes throughout, and on its return
// nothing is done to their NICs.
func TestControllerGone(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 1)
	n1 := e.addNode("n1")
	a := e.addVM("a", n1, "")
	before := a.answers(t)

	e.replicas[0].p.kill()
	a.toldTheSame(t, "the controller was killed", before)
	n1.kill()
	a.toldTheSame(t, "berthd was killed too", before)
	n1.start()
	n1.waitState("a", api.InForce, 10*time.Second)
	n1.settled("a")
	a.toldTheSame(t, "berthd was started without the controller", before)

	noted := n1.noted("a")
	e.replicas[0].start()
	e.waitConnected(n1)
	e.replicas[0].waitInForce("a")
	b := e.addVM("b", n1, "")
	a.toldTheSame(t, "the controller came back", before)
	n1.settled("a", "b")
	if now := n1.noted("a"); now != noted {
		t.Errorf("%d events of a after the controller came back, want none", now-noted)
	}
	fence(t, b, testenv.Capture(t, n1.ns, "lan0"))
}

// TestNetworkCut: while a node cannot reach the controller its NICs are changed,
// removed and added there. On its return the controller's word is in force, each
// difference is made once, and what did not differ is not touched.
func TestNetworkCut(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 1)
	n1 := e.addNode("n1")
	kept, changed, gone := e.addVM("kept", n1, ""), e.addVM("changed", n1, "hostname: before"), e.addVM("gone", n1, "")
	before := map[*guest]map[string]string{}
	for _, g := range []*guest{kept, changed, gone} {
		before[g] = g.answers(t)
	}
	n1.ns.Exec("ip", "link", "set", "mgmt0", "down")
	r := e.replicas[0]
	r.apply(nicText("changed", n1, "hostname: after"))
	r.berth("delete", "nic", "gone")
	r.apply(nicText("new", n1, ""))
	fresh := n1.plug("new", e.granted("new"))
	for g, want := range before {
		g.toldTheSame(t, "the network was cut", want)
	}
	n1.kill()
	n1.start()
	n1.waitState("changed", api.InForce, 10*time.Second)
	for g, want := range before {
		g.toldTheSame(t, "berthd was started without the network", want)
	}

	was := map[string]int{"kept": n1.noted("kept"), "changed": n1.noted("changed"), "gone": n1.noted("gone")}
	n1.ns.Exec("ip", "link", "set", "mgmt0", "up")
	r.waitInForce("changed")
	r.waitInForce("new")
	n1.waitState("gone", api.Closed, 10*time.Second)
	kept.toldTheSame(t, "the network came back", before[kept])
	if answer := changed.answers(t)["renew"]; !strings.Contains(answer, fmt.Sprintf("%x", "after")) {
		t.Errorf("changed is not told its new hostname: %s", answer)
	}
	fresh.answers(t)
	n1.settledClosed("gone", "kept", "changed", "new")
	for nic, want := range map[string]int{"kept": 0, "changed": 1, "gone": 1} {
		if got := n1.noted(nic) - was[nic]; got != want {
			t.Errorf("%d events of %s after the network came back, want %d", got, nic, want)
		}
	}
}

// settledClosed is settled with one NIC that is closed.
func (n *node) settledClosed(closed string, names ...string) {
	n.t.Helper()
	testenv.Wait(n.t, 10*time.Second, "an empty plan", func() bool { return n.berth("plan").code == 0 })
	states := n.states()
	if states[closed] != api.Closed {
		n.t.Errorf("%s is %s, want closed", closed, states[closed])
	}
	for _, name := range names {
		if states[name] != api.InForce {
			n.t.Errorf("%s is %s, want in-force", name, states[name])
		}
	}
}
