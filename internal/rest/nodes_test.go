package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
	"github.com/berth-net/berth/internal/testenv"
)

// node is an agent without a kernel: it takes what its stream says and reports
// all of it in force.
type node struct {
	t      *testing.T
	name   string
	client *client.Client
	mirror *nodelink.Mirror
	bodies map[string]json.RawMessage // by NIC's name
	lines  *bufio.Reader
	close  func() error
}

func (s *site) node(name string) *node {
	s.t.Helper()
	n := &node{t: s.t, name: name, client: s.enrol(name), mirror: nodelink.NewMirror(name), bodies: map[string]json.RawMessage{}}
	n.connect()
	s.t.Cleanup(func() { n.close() })
	return n
}

func (n *node) connect() {
	n.t.Helper()
	p := n.mirror.Position()
	body, err := n.client.Stream(n.t.Context(), n.name, p.Generation, p.Digest)
	if err != nil {
		n.t.Fatalf("stream of %s: %v", n.name, err)
	}
	n.lines, n.close = bufio.NewReader(body), body.Close
}

// next takes the next message.
func (n *node) next() nodelink.Change {
	n.t.Helper()
	for {
		line, err := n.lines.ReadBytes('\n')
		if err != nil {
			n.t.Fatalf("stream of %s: %v", n.name, err)
		}
		if len(line) == 1 {
			continue
		}
		msg, err := nodelink.Decode[nodelink.Message](line)
		if err != nil {
			n.t.Fatal(err)
		}
		ch, err := n.mirror.Apply(msg)
		if err != nil {
			n.t.Fatalf("%s: %v: %s", n.name, err, line)
		}
		n.take(ch)
		return ch
	}
}

func (n *node) take(ch nodelink.Change) {
	n.t.Helper()
	at := n.mirror.Position()
	rep := nodelink.Report{Node: n.name, Epoch: at.Epoch, Generation: at.Generation, Digest: at.Digest, Version: "1", Kernel: "6.12"}
	for _, d := range ch.Set {
		n.bodies[d.Name] = d.Body
		st := fleet.Status{NIC: d.Name, State: "in-force", Since: time.Now(), Revision: d.Revision, Checked: true}
		if n.suspended(d.Name) {
			st.State = "waiting"
		}
		rep.NICs = append(rep.NICs, st)
	}
	n.report(rep)
}

func (n *node) report(rep nodelink.Report) {
	n.t.Helper()
	doc, err := nodelink.Encode(&rep)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.client.Report(n.t.Context(), n.name, doc); err != nil {
		n.t.Fatalf("report of %s: %v", n.name, err)
	}
}

// inForce reports that a NIC is, and waits until it is known.
func (s *site) inForce(n *node, nic string) {
	n.t.Helper()
	at := n.mirror.Position()
	n.report(nodelink.Report{Node: n.name, Generation: at.Generation, Digest: at.Digest, NICs: []fleet.Status{{NIC: nic, State: "in-force", Revision: at.Generation}}})
	testenv.Wait(n.t, 10*time.Second, "the report of "+nic, func() bool {
		st, err := s.as("op").NICStatus(n.t.Context(), nic)
		return err == nil && slices.ContainsFunc(st.Nodes, func(s fleet.Status) bool { return s.Node == n.name && s.State == "in-force" })
	})
}

func (n *node) suspended(nic string) bool {
	return strings.Contains(string(n.bodies[nic]), `"suspended":true`)
}

// follow takes messages until it ends.
func (n *node) follow() (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			line, err := n.lines.ReadBytes('\n')
			if err != nil {
				return
			}
			if len(line) == 1 {
				continue
			}
			msg, err := nodelink.Decode[nodelink.Message](line)
			if err != nil {
				n.t.Error(err)
				return
			}
			ch, err := n.mirror.Apply(msg)
			if err != nil {
				n.t.Error(err)
				return
			}
			n.take(ch)
		}
	}()
	return func() { n.close(); <-done }
}

// A node is told its own NICs and no others, each change as it comes; what it
// has already is not told again when it comes back.
func TestStream(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	s.put(fleet.KindNIC, "other", "{project: web, network: lan, node: n2, interface: tap0}")
	n := s.node("n1")
	if ch := n.next(); len(ch.Set) != 1 || ch.Set[0].Name != "a" || !strings.Contains(string(ch.Set[0].Body), "192.0.2.10/24") {
		t.Fatalf("first: %+v", ch)
	}
	s.put(fleet.KindNIC, "b", "{project: web, network: lan, node: n1, interface: tap1}")
	if ch := n.next(); len(ch.Set) != 1 || ch.Set[0].Name != "b" {
		t.Errorf("another NIC: %+v", ch)
	}
	s.put(fleet.KindNetwork, "lan", "{prefixes: [192.0.2.0/24], projects: ['*'], defaults: {gateway: 192.0.2.1, mtu: 1400}}")
	if ch := n.next(); len(ch.Set) != 2 {
		t.Errorf("a change of the network: %+v", ch)
	}
	if _, err := s.as("op").Delete(t.Context(), fleet.KindNIC, "a", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if ch := n.next(); len(ch.Set) != 0 || len(ch.Gone) != 1 || ch.Gone[0] != "tap0" {
		t.Errorf("one gone: %+v", ch)
	}
	st, err := s.as("op").NodeStatus(t.Context(), "n1")
	if err != nil || !st.Connected || st.Alive.Replica != "r1" || st.NICs != 1 {
		t.Errorf("status: %+v, %v", st, err)
	}
	n.close()
	s.put(fleet.KindNIC, "c", "{project: web, network: lan, node: n1, interface: tap2}")
	n.connect()
	if ch := n.next(); len(ch.Set) != 1 || ch.Set[0].Name != "c" {
		t.Errorf("back again: %+v", ch)
	}
	n.close()
	n.connect()
	if ch := n.next(); len(ch.Set)+len(ch.Gone) != 0 {
		t.Errorf("back again with all of it: %+v", ch)
	}
}

// A disabled node is told nothing until it is enabled.
func TestDisabledNode(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	n := s.node("n1")
	n.next()
	s.put(fleet.KindNode, "n1", "{state: disabled}")
	if _, err := s.as("op").Delete(t.Context(), fleet.KindNIC, "a", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := n.mirror.Position().Generation
	w := s.put(fleet.KindNode, "n1", "{state: enabled}")
	if ch := n.next(); len(ch.Gone) != 1 || n.mirror.Position().Generation < w.Revision || before >= w.Revision {
		t.Errorf("%+v at %d, enabled at %d", ch, n.mirror.Position().Generation, w.Revision)
	}
}

// Waiting ends when the node says so, or with the time.
func TestWait(t *testing.T) {
	s := newSite(t)
	s.furnish()
	const doc = "{project: web, network: lan, node: n1, interface: tap0}"
	_, err := s.as("op").Put(t.Context(), fleet.KindNIC, "a", []byte(doc), client.WriteOptions{Wait: 200 * time.Millisecond})
	if !errors.Is(err, client.ErrTimeout) || !strings.Contains(err.Error(), "node n1 says nothing of NIC a") {
		t.Errorf("without a node: %v", err)
	}
	defer s.node("n1").follow()()
	w, err := s.as("op").Put(t.Context(), fleet.KindNIC, "a", []byte(doc), client.WriteOptions{Wait: time.Minute})
	if err != nil || w.Changed || len(w.Status) != 1 || w.Status[0].State != "in-force" {
		t.Errorf("%+v, %v", w, err)
	}
	req := "{project: web, vms: [{name: x, nics: [{network: lan, node: n1, interface: tap1}, {network: lan, node: n1, interface: tap2}]}]}"
	w, err = s.as("alice").Put(t.Context(), fleet.KindRequest, "r", []byte(req), client.WriteOptions{Wait: time.Minute})
	if err != nil || len(w.Status) != 2 {
		t.Errorf("a request: %+v, %v", w, err)
	}
	st, err := s.as("alice").NICStatus(t.Context(), "a")
	if err != nil || !st.InForce || len(st.Nodes) != 1 || st.Nodes[0].Node != "n1" || !strings.Contains(string(st.Document), `"gateway":"192.0.2.1"`) {
		t.Errorf("status: %+v, %s, %v", st, st.Document, err)
	}
	a, err := s.as("op").Address(t.Context(), addr("192.0.2.10"), "")
	if err != nil || len(a) != 1 || a[0].Owner != "nic:a" || a[0].Node != "n1" || !a[0].Checked {
		t.Errorf("address: %+v, %v", a, err)
	}
}

// A migration prepares, activates and withdraws in that order on both nodes.
func TestMigration(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	n1, n2 := s.node("n1"), s.node("n2")
	n1.next()
	n2.next() // nothing, so far
	alice := s.as("alice")
	if _, err := alice.Prepare(t.Context(), "a", "n2", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	n1.next() // of another revision
	if n2.next(); !n2.suspended("a") || n1.suspended("a") {
		t.Fatalf("prepared: source %s, target %s", n1.bodies["a"], n2.bodies["a"])
	}
	if _, err := alice.Activate(t.Context(), "a", client.WriteOptions{}); status(err) != http.StatusConflict {
		t.Errorf("activated where it is not in place: %v", err)
	}
	s.inForce(n2, "a")
	if _, err := alice.Activate(t.Context(), "a", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	n1.next()
	n2.next()
	if !n1.suspended("a") || n2.suspended("a") {
		t.Fatalf("activated: source %s, target %s", n1.bodies["a"], n2.bodies["a"])
	}
	if _, err := alice.Complete(t.Context(), "a", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if ch := n1.next(); len(ch.Gone) != 1 {
		t.Errorf("completed: %+v", ch)
	}
	if _, err := alice.Abort(t.Context(), "a", client.WriteOptions{}); status(err) != http.StatusConflict {
		t.Errorf("aborted afterwards: %v", err)
	}
}

// An address that was released goes to another node when the one that had it
// says that it has withdrawn it.
func TestReleasedAddress(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	n1 := s.node("n1")
	n1.next()
	op := s.as("op")
	if _, err := op.Delete(t.Context(), fleet.KindNIC, "a", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	again := func() error {
		_, err := op.Put(t.Context(), fleet.KindNIC, "b", []byte("{project: web, network: lan, node: n2, interface: tap0, addresses: [192.0.2.10]}"), client.WriteOptions{})
		return err
	}
	n1.report(nodelink.Report{Node: "n1", Epoch: n1.mirror.Position().Epoch, Generation: 1}) // of an earlier set
	if err := again(); status(err) != http.StatusConflict || !strings.Contains(err.Error(), "node n1") {
		t.Errorf("while it is awaited: %v", err)
	}
	n1.next() // and says so
	testenv.Wait(t, 10*time.Second, "the address to be free", func() bool { return again() == nil })
}

// What a node says of NICs that are not its own is not kept.
func TestReportOfOthers(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "b", "{project: web, network: lan, node: n2, interface: tap0}")
	n := s.node("n1")
	n.next()
	n.report(nodelink.Report{Node: "n1", Generation: 1, NICs: []fleet.Status{{NIC: "b", State: "in-force", Revision: 1 << 40}, {NIC: "nix", State: "in-force"}}})
	st, err := s.as("op").NICStatus(t.Context(), "b")
	if err != nil || st.InForce || len(st.Nodes) != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	ns, err := s.as("op").NodeStatus(t.Context(), "n1")
	if err != nil || len(ns.Status) != 0 {
		t.Errorf("%+v, %v", ns, err)
	}
}

// A second stream of a node ends the first one.
func TestOneStreamOfANode(t *testing.T) {
	s := newSite(t)
	s.furnish()
	n := s.node("n1")
	n.next()
	first := n.lines
	n.connect()
	if _, err := io.ReadAll(first); errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	n.next() // it was up to date
	if ch := n.next(); len(ch.Set) != 1 {
		t.Errorf("%+v", ch)
	}
}

// Watches tell changes in order, from where they are asked to, and to users what
// is theirs.
func TestWatch(t *testing.T) {
	s := newSite(t)
	s.furnish()
	w := s.put(fleet.KindNIC, "d", "{project: db, network: lan}")
	for i := range 3 {
		s.put(fleet.KindNIC, fmt.Sprintf("w%d", i), "{project: web, network: lan}")
	}
	if _, err := s.as("op").Delete(t.Context(), fleet.KindNIC, "w1", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]string{
		"alice": "put w0, put w1, put w2, delete w1",
		"bob":   "put d",
		"op":    "put d, put w0, put w1, put w2, delete w1",
	} {
		ctx, stop := context.WithCancel(t.Context())
		var got []string
		for e, err := range s.as(who).Watch(ctx, fleet.KindNIC, w.Revision-1) {
			if err != nil {
				t.Error(who, err)
				break
			}
			got = append(got, fmt.Sprintf("%s %s", e.Type, e.Name))
			if (e.Type == wire.Put) == (e.Resource == nil) {
				t.Errorf("%+v", e)
			}
			if strings.Join(got, ", ") == want {
				break
			}
		}
		stop()
		if g := strings.Join(got, ", "); g != want {
			t.Errorf("%s: %s, want %s", who, g, want)
		}
	}
}

func addr(a string) netip.Addr { return netip.MustParseAddr(a) }

// Interfaces that change hands, and many NICs at once, arrive as they are.
func TestStreamOfMany(t *testing.T) {
	s := newSite(t)
	s.furnish()
	n := s.node("n1")
	n.next()
	var nics []string
	for i := range 100 {
		nics = append(nics, fmt.Sprintf("{name: v%d, network: lan, node: n1, interface: tap%d}", i, i))
	}
	s.put(fleet.KindRequest, "r", "{project: web, vms: [{name: v, nics: ["+strings.Join(nics, ", ")+"]}]}")
	if ch := n.next(); len(ch.Set) != 100 {
		t.Fatalf("%d documents", len(ch.Set))
	}
	s.put(fleet.KindNetwork, "lan", "{prefixes: [192.0.2.0/24], projects: ['*'], defaults: {gateway: 192.0.2.1, mtu: 1400}}")
	if ch := n.next(); len(ch.Set) != 100 {
		t.Fatalf("%d documents of the changed network", len(ch.Set))
	}
	nics[0], nics[1] = "{name: v0, network: lan, node: n1, interface: tap1}", "{name: v1, network: lan, node: n1, interface: tap0}"
	nics[2] = "{name: v2, network: lan, node: n1, interface: tap200}"
	s.put(fleet.KindRequest, "r", "{project: web, vms: [{name: v, nics: ["+strings.Join(nics, ", ")+"]}]}")
	for len(n.bodies) > 0 {
		ch := n.next()
		if len(ch.Gone) == 1 && ch.Gone[0] == "tap2" {
			break
		}
	}
	for name, nic := range map[string]string{"v0": "tap1", "v1": "tap0", "v2": "tap200", "v3": "tap3"} {
		if !strings.Contains(string(n.bodies[name]), `"nic":"`+nic+`"`) {
			t.Errorf("%s is not on %s: %s", name, nic, n.bodies[name])
		}
	}
	if _, err := s.as("op").Delete(t.Context(), fleet.KindRequest, "r", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if ch := n.next(); len(ch.Gone) != 100 {
		t.Errorf("%d gone", len(ch.Gone))
	}
	if p := n.mirror.Position(); p.Count != 0 {
		t.Errorf("%+v", p)
	}
}

// All pages together are the whole list, in order.
func TestPages(t *testing.T) {
	s := newSite(t)
	s.furnish()
	for i := range 25 {
		s.put(fleet.KindNIC, fmt.Sprintf("n%02d", i), fmt.Sprintf("{project: %s, network: lan}", []string{"web", "db"}[i%2]))
	}
	for who, want := range map[string]int{"op": 25, "alice": 13, "bob": 12, "eve": 13} {
		last, count := "", 0
		for doc, err := range s.as(who).All(t.Context(), fleet.KindNIC, client.Query{Limit: 4}) {
			if err != nil {
				t.Fatal(err)
			}
			n := decodeAs[fleet.NIC](t, doc)
			if n.Name <= last {
				t.Errorf("%s behind %s", n.Name, last)
			}
			last = n.Name
			count++
		}
		if count != want {
			t.Errorf("%s sees %d, want %d", who, count, want)
		}
	}
	p, err := s.as("op").List(t.Context(), fleet.KindNIC, client.Query{Project: "db", Limit: 12})
	if err != nil || len(p.Items) != 12 || p.Next != "" {
		t.Errorf("%d items, next %q, %v", len(p.Items), p.Next, err)
	}
}
