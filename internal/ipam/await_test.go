package ipam_test

import (
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
)

// A node that is cut off may go on with what it had: an address goes to another
// node only when this one has said that it is withdrawn.
func TestAwaited(t *testing.T) {
	w := newWorld(t)
	w.put(`
{kind: project, name: p}
---
{kind: network, name: lan, projects: ["*"], prefixes: [192.0.2.0/24]}
---
{kind: pool, name: a, network: lan, default: true, ranges: [192.0.2.2]}
---
{kind: node, name: n1}
---
{kind: node, name: n2}
---
{kind: nic, name: x, project: p, network: lan, node: n1}
`)
	opt := w.options()
	opt.Enrolled = func(node string) bool { return node == "n1" }
	w.apply(w.state.Delete(fleet.KindNIC, "x", opt))
	released := w.state.Revision()
	drawn := "{kind: nic, name: y, project: p, network: lan, node: n2}"
	exact := "{kind: nic, name: y, project: p, network: lan, node: n2, addresses: [192.0.2.2]}"
	awaited := func() {
		t.Helper()
		if got, want := w.refused(exact), `conflict address-awaited nic y: addresses[0] "192.0.2.2": was on node n1, which has not said yet that it has withdrawn it`; got != want {
			t.Error(got)
		}
		if got := w.refused(drawn); got == "" {
			t.Error("drawn from the pool")
		}
	}
	awaited()
	if c, err := w.state.Withdrawn("n1", released-1, w.options()); c != nil || err != nil {
		t.Errorf("of an earlier set: %v, %v", c, err)
	}
	if c, err := w.state.Withdrawn("n2", released, w.options()); c != nil || err != nil {
		t.Errorf("of another node: %v, %v", c, err)
	}
	// The same node gets the old NIC's end and the new one with one message.
	w.put("{kind: nic, name: z, project: p, network: lan, node: n1, addresses: [192.0.2.2]}")
	w.apply(w.state.Delete(fleet.KindNIC, "z", opt))
	awaited()
	w.apply(w.state.Withdrawn("n1", w.state.Revision(), w.options()))
	if c, err := w.state.Withdrawn("n1", w.state.Revision(), w.options()); c != nil || err != nil {
		t.Errorf("again: %v, %v", c, err)
	}
	w.put(drawn)
	w.apply(w.state.Delete(fleet.KindNIC, "y", w.options()))

	w.put("{kind: nic, name: x, project: p, network: lan, node: n1}")
	w.apply(w.state.Delete(fleet.KindNIC, "x", opt))
	awaited()
	w.apply(w.state.Delete(fleet.KindNode, "n1", opt)) // it will never say anything
	w.put(exact)
	if c, _ := w.state.Claim("lan", netip.MustParseAddr("192.0.2.2")); c.Awaits != "" || c.Owner != "nic:y" {
		t.Errorf("%+v", c)
	}
}
