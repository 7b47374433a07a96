package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience is how long a frame that must arrive is waited for.
const patience = 10 * time.Second

// kind is what the managed port is made of.
type kind string

const (
	veth       kind = "veth"
	tap        kind = "tap"
	multiqueue kind = "multiqueue tap"
)

// site is a small host: a bridge with the managed port tapA, another VM's port
// vmB and the uplink lan0, each with an end where frames are sent and heard.
// Nobody has an address and nobody speaks on his own.
type site struct {
	testing.TB
	nf    bool // the bridge shows IPv4 to iptables, as it does beside Docker
	flood bool // tapA doesn't teach the bridge either

	rules       guard.Rules   // in force on tapA
	locals      *guard.Locals // who holds which link-local
	corpusRules bool          // they are those the corpus is written for

	host, lanNS, vmNS *testenv.NS
	guest             *guestEnd
	lan, vm           *end
	stack             *testenv.Sniffer // br0: what the host's own stack gets
	heardLAN, heardVM *ear
	heardStack        *ear

	k     *datapath.Kernel
	punts *puntLog
	seq   *uint32 // of the last end marker
}

func newSite(t testing.TB, k kind) *site {
	t.Helper()
	stayOnOneCPU(t)
	s := &site{TB: t, host: quietNS(t), lanNS: quietNS(t), vmNS: quietNS(t), guest: &guestEnd{}, seq: new(uint32), locals: &guard.Locals{}}
	testenv.Veth(t, s.host, "lan0", s.lanNS, "eth0", corpus.G)
	testenv.Veth(t, s.host, "vmB", s.vmNS, "eth0", corpus.B)
	s.plugGuest(k)
	s.bridge()
	s.lan, s.vm = newEnd(t, s.lanNS, "eth0"), newEnd(t, s.vmNS, "eth0")
	s.stack = testenv.Capture(t, s.host, "br0", testenv.InboundOnly)
	s.heardLAN, s.heardVM, s.heardStack = &ear{s: s.lan.sniffer}, &ear{s: s.vm.sniffer}, &ear{s: s.stack}
	return s
}

// bridge makes br0. Multicast is flooded and only tapA teaches it, so that
// where a frame goes depends on its addresses alone. Snooping is off from the
// start: switching it off makes the host send an IGMP report.
func (s *site) bridge() {
	s.Helper()
	s.host.Exec("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
	s.host.SetUp("br0")
	for _, p := range []string{"lan0", "vmB", "tapA"} {
		s.host.SetMaster(p, "br0")
	}
	for _, p := range []string{"lan0", "vmB"} {
		s.host.Exec("ip", "link", "set", p, "type", "bridge_slave", "learning", "off")
	}
}

// floodAll stops tapA from teaching the bridge, for rules under which the
// guest may send with another's MAC.
func (s *site) floodAll() {
	s.Helper()
	s.flood = true
	s.host.Exec("ip", "link", "set", "tapA", "type", "bridge_slave", "learning", "off")
}

// quietNS is a namespace whose devices send nothing on their own.
func quietNS(t testing.TB) *testenv.NS {
	t.Helper()
	n := testenv.NewNS(t)
	n.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	return n
}

// stayOnOneCPU keeps frames in the order in which they are sent: the kernel
// queues them on the sender's CPU, and a sender that moves overtakes itself.
func stayOnOneCPU(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if old.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.SchedSetaffinity(0, &old); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
}

// bridgeNetfilter switches on or off what br_netfilter does on every bridge of
// the host.
func (s *site) bridgeNetfilter(on bool) {
	s.Helper()
	s.nf = on
	value := map[bool]string{false: "0", true: "1"}[on]
	for _, family := range []string{"iptables", "ip6tables", "arptables"} {
		s.host.Sysctl("net.bridge.bridge-nf-call-"+family, value)
	}
}

// openKernel loads the kernel program, drains its rings and binds another NIC
// of the segment, which has corpus.BLL and names corpus.GLL its gateway.
func (s *site) openKernel() {
	s.Helper()
	s.loadKernel()
	s.drain()
	s.host.Exec("ip", "tuntap", "add", "nicB", "mode", "tap")
	r := guard.Compile(neighbour())
	other := s.protect("nicB", r)
	s.locals.Reserve(r.Segment, corpus.BLL, other)
	s.locals.Reserve(r.Segment, corpus.GLL, guard.Nobody)
}

// loadKernel loads the kernel program with pins of this test's own.
func (s *site) loadKernel() {
	s.Helper()
	dir := "/sys/fs/bpf/" + s.host.Name
	var err error
	s.host.Do(func() { s.k, err = datapath.Open(dir) }) // it works in the caller's namespace
	if err != nil {
		s.Fatal(err)
	}
	s.punts = &puntLog{}
	s.Cleanup(func() {
		if err := errors.Join(s.k.Close(), os.RemoveAll(dir)); err != nil {
			s.Error(err)
		}
	})
}

// drain reads the rings until the test ends.
func (s *site) drain() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.k.Run(ctx, datapath.Handlers{Punt: s.punts.add, Sample: func(datapath.Sample) {}, Exchange: func(datapath.Exchange) {}})
	}()
	s.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
	})
}

// protect puts rules in force on a port and returns its index.
func (s *site) protect(port string, r guard.Rules) int {
	s.Helper()
	index := s.host.Index(port)
	var err error
	s.host.Do(func() { err = s.k.Guard(index, port, r) })
	if err != nil {
		s.Fatalf("guard %s: %v", port, err)
	}
	return index
}

func (s *site) harden(index int) {
	s.Helper()
	testenv.NeedTCX(s.TB)
	var err error
	s.host.Do(func() { err = s.k.Harden(index) })
	if err != nil {
		s.Fatalf("harden ifindex %d: %v", index, err)
	}
}

// attach is protect, and harden where the program is to hang on tcx.
func (s *site) attach(r guard.Rules, tcx bool) int {
	s.Helper()
	s.rules = r
	index := s.protect("tapA", r)
	if tcx {
		s.harden(index)
	}
	return index
}

func (s *site) counters(index int) datapath.Counters {
	s.Helper()
	c, ok, err := s.k.Counters(index)
	if err != nil || !ok {
		s.Fatalf("counters of ifindex %d: %t, %v", index, ok, err)
	}
	return c
}

// sentinel is a broadcast that every rule lets pass and no other frame equals:
// when it has arrived, what was sent before it has arrived or never will.
func (s *site) sentinel(src nic.MAC, from netip.Addr) []byte {
	*s.seq++
	text := binary.BigEndian.AppendUint32([]byte("berth: end of the vector "), *s.seq)
	return wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: src, EthDst: corpus.BC, Src: from, Dst: netip.MustParseAddr("192.0.2.255"), SrcPort: 9, DstPort: 9, Payload: text,
	})
}

// fromGuest sends frames and an end marker as the guest, and returns what
// arrived in front of the marker.
func (s *site) fromGuest(frames ...[]byte) arrivals {
	s.Helper()
	end := s.sentinel(corpus.M, corpus.M4)
	s.guest.send(s.TB, append(frames[:len(frames):len(frames)], end)...)
	return s.until(end)
}

// until collects what was heard at every place but the guest's.
func (s *site) until(end []byte) arrivals {
	s.Helper()
	return arrivals{
		LAN: s.heardLAN.until(s.TB, end), VM: s.heardVM.until(s.TB, end), Stack: s.heardStack.until(s.TB, end),
	}
}

// toGuest is fromGuest for frames that the site sends.
func (s *site) toGuest(frames ...[]byte) arrivals {
	s.Helper()
	end := s.sentinel(corpus.G, corpus.G4)
	s.lan.send(s.TB, append(frames[:len(frames):len(frames)], end)...)
	return arrivals{
		Guest: s.guest.ear.until(s.TB, end), VM: s.heardVM.until(s.TB, end), Stack: s.heardStack.until(s.TB, end),
	}
}

// learned returns the MACs that the bridge learned from a port.
func (s *site) learned(port string) []string {
	s.Helper()
	index := s.host.Index(port)
	var neighs []netlink.Neigh
	var err error
	s.host.Do(func() { neighs, err = netlink.NeighList(index, unix.AF_BRIDGE) })
	if err != nil {
		s.Fatalf("read the forwarding table of %s: %v", port, err)
	}
	var macs []string
	for _, n := range neighs {
		if n.LinkIndex == index && n.State&netlink.NUD_PERMANENT == 0 {
			macs = append(macs, n.HardwareAddr.String())
		}
	}
	return macs
}

// moved is how the counters changed between two readings.
func moved(before, after datapath.Counters) datapath.Counters {
	return datapath.Counters{
		FromGuest: after.FromGuest - before.FromGuest, ToGuest: after.ToGuest - before.ToGuest,
		Taken:   movedBy(before.Taken, after.Taken),
		Dropped: movedBy(before.Dropped, after.Dropped), Audited: movedBy(before.Audited, after.Audited),
	}
}

func movedBy(before, after map[reason.Reason]uint64) map[reason.Reason]uint64 {
	m := map[reason.Reason]uint64{}
	for r, n := range after {
		if n != before[r] {
			m[r] = n - before[r]
		}
	}
	return m
}
