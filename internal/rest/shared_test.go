package rest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

// A shared address is checked when the nodes of all members say so of what they
// are to have now, and who writes a group can wait for that.
func TestSharedAddress(t *testing.T) {
	s := newSite(t)
	s.furnish()
	op := s.as("op")
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	s.put(fleet.KindNIC, "b", "{project: web, network: lan, node: n2, interface: tap0}")
	n1 := s.node("n1")
	n1.next()
	checked := func() bool {
		t.Helper()
		a, err := op.Address(t.Context(), addr("192.0.2.250"), "lan")
		if err != nil || len(a) != 1 || a[0].Owner != "failover:vip" {
			t.Fatalf("%+v, %v", a, err)
		}
		return a[0].Checked
	}
	const one, both = "{project: web, network: lan, addresses: [192.0.2.250], members: [a]}", "{project: web, network: lan, addresses: [192.0.2.250], members: [a, b]}"
	_, err := op.Put(t.Context(), fleet.KindFailover, "vip", []byte(one), client.WriteOptions{Wait: 200 * time.Millisecond})
	if !errors.Is(err, client.ErrTimeout) || !strings.Contains(err.Error(), "node n1 has NIC a of revision") {
		t.Errorf("the node has not said so: %v", err)
	}
	if checked() {
		t.Error("checked before the node has it")
	}
	defer n1.follow()()
	if _, err := op.Put(t.Context(), fleet.KindFailover, "vip", []byte(one), client.WriteOptions{Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if !checked() {
		t.Error("not checked though its member is")
	}
	s.put(fleet.KindFailover, "vip", both)
	if checked() {
		t.Error("checked with a member that no node speaks of")
	}
	defer s.node("n2").follow()()
	if _, err := op.Put(t.Context(), fleet.KindFailover, "vip", []byte(both), client.WriteOptions{Wait: time.Minute}); err != nil || !checked() {
		t.Error("of both:", err)
	}
	s.put(fleet.KindFailover, "vip", "{project: web, network: lan, addresses: [192.0.2.250]}")
	if checked() {
		t.Error("checked without a member")
	}
}

// Which nodes can serve a network is a question of one list.
func TestNodesOfANetwork(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNode, "n3", "{networks: [wan]}")
	s.put(fleet.KindNode, "n4", "{networks: ['*']}")
	s.put(fleet.KindNode, "n5", "{networks: [lan, wan], state: draining}")
	page := decodeAs[wire.Page[fleet.Node]](t, s.do(raw{method: "GET", path: "/v1/nodes?network=lan", as: "op"}).body)
	var names []string
	for i := range page.Items {
		names = append(names, page.Items[i].Name)
	}
	if got := strings.Join(names, " "); got != "n1 n2 n4 n5" {
		t.Errorf("nodes that serve lan: %s", got)
	}
}

// Who had an address is known also when its network is gone.
func TestWhoHadOfANetworkThatIsGone(t *testing.T) {
	s := newSite(t)
	s.furnish()
	op := s.as("op")
	for _, network := range []string{"old", "older"} {
		s.put(fleet.KindNetwork, network, "{prefixes: [198.51.100.0/24], projects: [web]}")
		s.put(fleet.KindNIC, network, "{project: web, network: "+network+", addresses: [198.51.100.7], node: n1, interface: "+network+"}")
		for _, kind := range []fleet.Kind{fleet.KindNIC, fleet.KindNetwork} {
			if _, err := op.Delete(t.Context(), kind, network, client.WriteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.put(fleet.KindNIC, "a", "{project: web, network: lan}")
	had, err := op.WhoHad(t.Context(), addr("198.51.100.7"), "", time.Time{})
	if err != nil || len(had) != 2 || had[0].Owner != "nic:older" || had[1].Owner != "nic:old" || had[1].Network != "old" || had[1].To == nil {
		t.Errorf("%+v, %v", had, err)
	}
}

// What a node has said goes with it.
func TestStatusGoesWithItsNode(t *testing.T) {
	s := newSite(t)
	s.furnish()
	op := s.as("op")
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	n := s.node("n1")
	n.next()
	st, err := op.NodeStatus(t.Context(), "n1")
	if err != nil || len(st.Status) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	n.close()
	for _, r := range []struct {
		kind fleet.Kind
		name string
	}{{fleet.KindNIC, "a"}, {fleet.KindNode, "n1"}} {
		if _, err := op.Delete(t.Context(), r.kind, r.name, client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.put(fleet.KindNode, "n1", "{}")
	if st, err = op.NodeStatus(t.Context(), "n1"); err != nil || len(st.Status) != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

// A NIC that has what it had is not restored to exact addresses, though its
// network's prefix is another.
func TestRestoreAfterAWiderPrefix(t *testing.T) {
	s := newSite(t)
	s.furnish()
	w := s.put(fleet.KindNIC, "a", "{project: web, network: lan, hostname: one}")
	s.put(fleet.KindNetwork, "lan", "{prefixes: [192.0.2.0/23], projects: ['*'], defaults: {gateway: 192.0.2.1}}")
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, hostname: two}")
	back, err := s.as("alice").Restore(t.Context(), wire.Restore{Kind: fleet.KindNIC, Name: "a", Revision: w.Revision}, client.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := decodeAs[fleet.NIC](t, *back.Resource); n.Hostname != "one" || len(n.Addresses) != 0 || n.Granted.Addresses[0].String() != "192.0.2.10/23" {
		t.Errorf("%+v %+v", n, n.Granted)
	}
}
