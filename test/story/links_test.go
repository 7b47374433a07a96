package story_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// TestTapMadeAndDeleted: two hundred times a tap is made, put into the bridge
// and spoofs from its first instant. It is in force within a second each time,
// and not one frame got out before or after.
//
// Not parallel: a process that another test forks would hold the tap's
// descriptor, and with it the tap, for an instant longer.
func TestTapMadeAndDeleted(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := &guest{port: "tap7", mac: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7}, addr: ip("192.0.2.17")}
	s.write("tap7.yaml", g.binding())
	n := s.waitState("tap7", api.Waiting, 5*time.Second)
	if got, want := n.Why, "no host interface of that name yet"; got != want {
		t.Errorf("why %q, want %q", got, want)
	}
	w, spoofs := s.watch(), g.spoofs()
	client := api.NewClient(s.socket())
	slowest := time.Duration(0)
	for round := range 200 {
		tap := testenv.Tap(t, s.ns, "tap7")
		made := time.Now()
		s.ns.SetMaster("tap7", "br0")
		for i := 0; ; i++ {
			tap.Send(spoofs[i%len(spoofs)])
			v, err := client.NIC(t.Context(), "tap7")
			if err == nil && v.State == api.InForce && v.Installed != nil && v.Link.Index == s.ns.Index("tap7") {
				break
			}
			if time.Since(made) > time.Second {
				t.Fatalf("round %d: not in force after a second: %+v (%v)", round, v, err)
			}
		}
		slowest = max(slowest, time.Since(made))
		for _, f := range spoofs {
			tap.Send(f)
		}
		if round%20 == 0 { // it is not just deaf
			text := fmt.Sprintf("round %d", round)
			tap.Send(g.hello(g.addr, text))
			w.at[uplink].Wait(2*time.Second, text, carrying(text))
		}
		tap.Close()
	}
	t.Logf("in force after %v at most", slowest)
	fence(t, s.free.at("192.0.2.44"), w.at[uplink])
	w.noSpoof()
	s.waitState("tap7", api.Waiting, 5*time.Second)
}

// at gives a guest an address to speak with.
func (g *guest) at(addr string) *guest {
	g.addr = ip(addr)
	return g
}

// TestLinkChanges walks one NIC through what can happen to its interface,
// while its VM spoofs all the time.
func TestLinkChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	s.bindAll()
	vm := s.vms[0]
	w := s.watch()
	spoofs := vm.spoofs()
	spoofer := inject(t, vm.NS, 2*time.Millisecond, func(n int) []byte { return spoofs[n%len(spoofs)] })
	index := s.ns.Index("vm1")

	t.Log("renamed to a name without a binding: closed")
	s.ns.Exec("ip", "link", "set", "vm1", "name", "other1")
	n := s.waitState("other1", api.Closed, 2*time.Second)
	if n.Link.Index != index {
		t.Errorf("other1 has ifindex %d, want %d", n.Link.Index, index)
	}
	s.waitState("vm1", api.Waiting, 2*time.Second)

	t.Log("renamed back: in force")
	s.ns.Exec("ip", "link", "set", "other1", "name", "vm1")
	s.waitState("vm1", api.InForce, 2*time.Second)
	s.heard(vm)

	t.Log("the host's own MAC is changed: all the same")
	s.ns.Exec("ip", "link", "set", "vm1", "address", "02:00:00:00:00:77")
	testenv.Wait(t, 2*time.Second, "the new host MAC", func() bool { return s.show("vm1").Link.MAC == "02:00:00:00:00:77" })
	s.settled(s.managed()...)
	s.heard(vm)

	t.Log("two names swapped: each follows its name, and speaks for itself no more")
	s.ns.Sh("ip link set vm1 name swap0; ip link set vm2 name vm1; ip link set swap0 name vm2")
	testenv.Wait(t, 2*time.Second, "the swapped names", func() bool { return s.indexOf("vm2") == index })
	s.settled(s.managed()...)
	s.muted(vm, "vm2")
	s.ns.Sh("ip link set vm1 name swap0; ip link set vm2 name vm1; ip link set swap0 name vm2")
	testenv.Wait(t, 2*time.Second, "the names as before", func() bool { return s.indexOf("vm1") == index })
	s.settled(s.managed()...)
	s.heard(vm)

	t.Log("out of the bridge and in again")
	s.ns.SetMaster("vm1", "")
	s.ns.SetMaster("vm1", "br0")
	s.heard(vm)

	spoofer.atLeast(100)
	fence(t, vm, w.at[uplink])
	w.noSpoof()
}

// indexOf is the ifindex berth knows for a NIC, 0 while it has none.
func (n *node) indexOf(name string) int {
	n.t.Helper()
	if l := n.show(name).Link; l != nil {
		return l.Index
	}
	return 0
}

// muted asserts that not even an ordinary frame of the guest, which is behind
// the port now, gets out.
func (s *site) muted(g *guest, port string) {
	s.t.Helper()
	w := s.watch()
	testenv.Inject(s.t, g.NS, "eth0", g.hello(g.addr, "under another's name"))
	w.at[port].Wait(2*time.Second, "the frame at its own port", carrying("under another's name"))
	fence(s.t, s.free.at("192.0.2.44"), w.at[uplink])
	w.noneOut("a frame under another's name", carrying("under another's name"))
}

// noneOut asserts that no matching frame left the host.
func (w *watch) noneOut(what string, match testenv.Filter) {
	w.s.t.Helper()
	for _, sniffer := range w.at {
		sniffer.None(what, func(f testenv.Frame) bool { return f.Outgoing && match(f) })
	}
}

// TestMovedAway: an interface that somebody moves to another namespace takes
// its guard along, and back.
func TestMovedAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	s.bindAll()
	vm := s.vms[0]
	testenv.Wait(t, 5*time.Second, "the hardened hook", func() bool { return s.show("vm1").Installed.Attach == "tcx" })
	elsewhere := testenv.NewNS(t)
	s.ns.Exec("ip", "link", "set", "vm1", "netns", elsewhere.Name)
	n := s.waitMoved("vm1")
	if got, want := n.Reason.String(), "moved"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	elsewhere.SetUp("vm1")
	testenv.Bridge(t, elsewhere, "br9", "vm1")
	there := testenv.Capture(t, elsewhere, "br9")
	testenv.Inject(t, vm.NS, "eth0", vm.spoofs()...)
	testenv.Inject(t, vm.NS, "eth0", vm.hello(vm.addr, "still myself"))
	there.Wait(2*time.Second, "what it may send", carrying("still myself"))
	there.None("a spoofed frame in the other namespace", isSpoof())

	elsewhere.Exec("ip", "link", "set", "vm1", "netns", s.ns.Name)
	s.ns.SetUp("vm1")
	s.ns.SetMaster("vm1", "br0")
	s.waitState("vm1", api.InForce, 5*time.Second)
	s.settled(s.managed()...)
	s.heard(vm)
}

func (s *site) waitMoved(name string) api.NIC {
	s.t.Helper()
	var n api.NIC
	testenv.Wait(s.t, 5*time.Second, name+" to be gone", func() bool {
		n = s.show(name)
		return n.State == api.Waiting && n.Link == nil
	})
	return n
}

// TestIndexReuse: a device that gets the ifindex of a deleted one inherits
// nothing of its identity.
func TestIndexReuse(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	s.bindAll()
	w, victim := s.watch(), s.vms[0]
	index := s.ns.Index("vm1")
	s.ns.Delete("vm1")
	// The same ifindex under the name of another binding, with another guest.
	heir := &guest{NS: testenv.NewNS(t), port: "heir", mac: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 9}, addr: ip("192.0.2.19")}
	s.write("heir.yaml", heir.binding())
	s.ns.Exec("ip", "link", "add", "heir", "index", fmt.Sprint(index), "up", "type", "veth",
		"peer", "name", "eth0", "netns", heir.Name, "address", heir.mac.String())
	heir.SetUp("eth0")
	s.ns.SetMaster("heir", "br0")
	s.waitState("heir", api.InForce, 5*time.Second)
	s.settledBut("vm1", append(s.managed()[1:], "heir")...)
	posing := &guest{NS: heir.NS, port: "heir", mac: victim.mac, addr: victim.addr}
	testenv.Inject(t, heir.NS, "eth0", posing.hello(victim.addr, "I am vm1"))
	fence(t, heir, w.at[uplink])
	w.noneOut("a frame in the deleted NIC's name", carrying("I am vm1"))
}

// settledBut is settled with one NIC that waits for its interface.
func (n *node) settledBut(waiting string, names ...string) {
	n.t.Helper()
	testenv.Wait(n.t, 10*time.Second, "an empty plan", func() bool { return n.berth("plan").code == 0 })
	states := n.states()
	if states[waiting] != api.Waiting {
		n.t.Errorf("%s is %s, want waiting", waiting, states[waiting])
	}
	for _, name := range names {
		if states[name] != api.InForce {
			n.t.Errorf("%s is %s, want in-force", name, states[name])
		}
	}
}

// TestStorm: a thousand bindings whose interfaces are made, deleted and partly
// made again, faster than anybody can follow. What is left at the end is in
// force, all else waits.
func TestStorm(t *testing.T) {
	t.Parallel()
	const many = 1000
	n := newNode(t, "log: {level: warn}\n")
	text := strings.Builder{}
	for i := range many {
		fmt.Fprintf(&text, "---\nnic: tap%d\nmac: 52:54:00:dd:%02d:%02d\naddresses: [10.9.%d.%d/16]\n", i, i/100, i%100, i/100, i%100+1)
	}
	n.write("all.yaml", text.String())
	n.start()
	want := n.storm(many)
	testenv.Wait(t, 60*time.Second, "the storm to be followed", func() bool {
		return maps.Equal(n.states(), want)
	})
}

// storm makes every interface, deletes a half at once and some others one by
// one, and makes a quarter again with other indexes. It returns the states to
// come.
func (n *node) storm(many int) map[string]api.State {
	n.t.Helper()
	want := map[string]api.State{}
	first, again := strings.Builder{}, strings.Builder{}
	for _, i := range rand.Perm(many) {
		name := fmt.Sprintf("tap%d", i)
		fmt.Fprintf(&first, "tuntap add %s mode tap\nlink set %s up group %d\n", name, name, 70+i%2)
		want[name] = api.InForce
		switch {
		case i%4 == 1:
			fmt.Fprintf(&again, "tuntap add %s mode tap\n", name)
		case i%2 == 1:
			want[name] = api.Waiting
		case i%100 == 0:
			fmt.Fprintf(&again, "link delete %s\n", name)
			want[name] = api.Waiting
		}
	}
	n.batch(first.String() + "link delete group 71\n" + again.String())
	return want
}

// batch runs many commands of ip.
func (n *node) batch(commands string) {
	n.t.Helper()
	file := filepath.Join(n.dir, "batch")
	if err := os.WriteFile(file, []byte(commands), 0o644); err != nil {
		n.t.Fatal(err)
	}
	n.ns.Exec("ip", "-batch", file)
}
