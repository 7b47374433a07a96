package story_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// privateNetworks are two tenants on one segment, told apart by the first 20
// bits of their MACs as snf-network's private-filtered networks are.
const privateNetworks = `network: private-1
guard: {peers: ["aa:00:10:00:00:00/20"]}
---
network: private-2
guard: {peers: ["aa:00:20:00:00:00/20"]}
`

// TestPeers: VMs whose MACs begin alike hear each other, by unicast, multicast
// and broadcast, and neither the other tenant nor anybody else of the segment.
// A NIC that only counts hears all, and counts what it should not.
func TestPeers(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.networks(privateNetworks)
	vms := []*guest{}
	for i, x := range []struct {
		port, network, more string
		mac                 nic.MAC
	}{
		{"p1a", "private-1", "", nic.MAC{0xaa, 0, 0x10, 0, 0, 1}},
		{"p1b", "private-1", "", nic.MAC{0xaa, 0, 0x1f, 0xff, 0, 2}},
		{"p2a", "private-2", "", nic.MAC{0xaa, 0, 0x20, 0, 0, 1}},
		{"p2b", "private-2", "guard: {mode: audit}\n", nic.MAC{0xaa, 0, 0x20, 0, 0, 2}},
	} {
		g := newGuest(t, s.node, x.port, x.mac).at(fmt.Sprintf("10.0.0.%d", i+1))
		s.ns.SetMaster(g.port, "br0")
		s.write(g.port+".yaml", g.keys(fmt.Sprintf("network: %s\naddresses: [%s/24, \"2001:db8:1::%d/64\"]\n%s", x.network, g.addr, i+1, x.more)))
		vms = append(vms, g)
	}
	s.start()
	s.attach("p1a", "p1b", "p2a", "p2b")
	s.free.addr = ip("10.0.0.9")
	senders := append(vms[:4:4], s.free)
	heard, ears := map[string][]string{}, map[string]*testenv.Sniffer{}
	for _, g := range senders {
		ears[g.port] = testenv.Capture(t, g.NS, "eth0", testenv.InboundOnly)
	}
	for _, g := range senders {
		testenv.Inject(t, g.NS, "eth0", g.toAll(senders)...)
	}
	s.fenceAll(ears)
	for _, g := range senders {
		for _, from := range senders {
			for _, kind := range []string{"broadcast", "multicast", "unicast"} {
				if count(ears[g.port].Frames(), carrying(kind+" of "+from.port+".")) > 0 {
					heard[g.port] = append(heard[g.port], kind+" of "+from.port)
				}
			}
		}
	}
	all := func(ports ...string) []string {
		var list []string
		for _, p := range ports {
			list = append(list, "broadcast of "+p, "multicast of "+p, "unicast of "+p)
		}
		return list
	}
	want := map[string][]string{
		"p1a": all("p1b"), "p1b": all("p1a"), "p2a": all("p2b"), "p2b": all("p1a", "p1b", "p2a", "free1"),
		"free1": all("p1a", "p1b", "p2a", "p2b"),
	}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("who hears whom (-want +got):\n%s", diff)
	}
	s.countsPeers(vms)
}

// toAll are a broadcast, a multicast and a unicast to each of the others.
func (g *guest) toAll(others []*guest) [][]byte {
	u := udp{EthSrc: g.mac, Src: g.addr, Dst: ip("10.0.0.255"), SrcPort: 4000, DstPort: 4001, EthDst: broadcastMAC()}
	say := func(to nic.MAC, kind string) []byte {
		u.EthDst, u.Payload = to, []byte(kind+" of "+g.port+".")
		return frame(u)
	}
	frames := [][]byte{say(u.EthDst, "broadcast"), say(wire.GroupMAC(ip("ff02::1")), "multicast")}
	for _, o := range others {
		if o != g {
			frames = append(frames, say(o.mac, "unicast"))
		}
	}
	return frames
}

// fenceAll waits until all who listen have heard what was sent before: from a
// peer of their own.
func (s *site) fenceAll(ears map[string]*testenv.Sniffer) {
	s.t.Helper()
	for port, mac := range map[string]nic.MAC{
		"p1a": {0xaa, 0, 0x10, 0, 0, 9}, "p1b": {0xaa, 0, 0x10, 0, 0, 9}, "p2a": {0xaa, 0, 0x20, 0, 0, 9}, "p2b": {0xaa, 0, 0x20, 0, 0, 9}, "free1": s.lan.mac,
	} {
		fence(s.t, s.lan.as(mac).at("10.0.0.8"), ears[port])
	}
}

// countsPeers asserts that what was kept from each VM is counted, and of the
// one that only counts, what would have been: three strangers sent it three.
func (s *site) countsPeers(vms []*guest) {
	s.t.Helper()
	type counted struct{ dropped, audited bool }
	want, got := map[string]counted{}, map[string]counted{}
	for _, g := range vms {
		c := s.show(g.port).Counters
		got[g.port] = counted{c.Dropped["peer-foreign"] >= 9, c.Audited["peer-foreign"] >= 9}
		want[g.port] = counted{g.port != "p2b", g.port == "p2b"}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(counted{})); diff != "" {
		s.t.Errorf("what is counted as peer-foreign (-want +got):\n%s", diff)
	}
}
