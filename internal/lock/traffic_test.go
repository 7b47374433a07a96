package lock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// guard stands in for the guard's program: it marks everything and drops
// nothing. It hangs where the guard does on this kernel, and is taken off
// again by the function returned.
func guard(t testing.TB, ns *testenv.NS, iface string, mark uint32) (off func()) {
	t.Helper()
	const markOffset = 8 // struct __sk_buff: len, pkt_type, mark
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, markOffset, asm.Word),
			asm.Or.Imm(asm.R2, int32(mark)),
			asm.StoreMem(asm.R1, markOffset, asm.R2, asm.Word),
			asm.Mov.Imm(asm.R0, -1), // TCX_NEXT, which is TC_ACT_UNSPEC
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	attach := attachClsact
	if testenv.HaveTCX(t) {
		attach = attachTCX
	}
	index := ns.Index(iface)
	ns.Do(func() { off, err = attach(index, prog) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(off)
	return off
}

func attachTCX(index int, prog *ebpf.Program) (off func(), err error) {
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return nil, err
	}
	return func() { l.Close() }, nil
}

func attachClsact(index int, prog *ebpf.Program) (off func(), err error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE) // stays in this namespace
	if err != nil {
		return nil, err
	}
	q := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	err = errors.Join(nl.QdiscAdd(q), nl.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: prog.FD(), Name: "stand-in", DirectAction: true,
	}))
	return sync.OnceFunc(func() {
		_ = nl.QdiscDel(q) // the device may be gone
		nl.Close()
	}), err
}

// The site: a bridge with an uplink behind which `site` listens.
type site struct {
	host, far *testenv.NS
	uplink    *testenv.Sniffer
	guests    map[string]*testenv.NS
	sent      int
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{host: quiet(t), far: quiet(t), guests: map[string]*testenv.NS{}}
	testenv.Veth(t, s.host, "uplink", s.far, "eth0", nic.MAC{0x52, 0x54, 0, 0, 1, 0})
	testenv.Bridge(t, s.host, "br0", "uplink")
	s.uplink = testenv.Capture(t, s.host, "uplink")
	return s
}

// plug makes a guest whose interface on the host is a port of the bridge.
func (s *site) plug(t testing.TB, name string) {
	t.Helper()
	if s.guests[name] == nil {
		s.guests[name] = quiet(t)
	}
	testenv.Veth(t, s.host, name, s.guests[name], "eth0", macOf(name))
	s.host.SetMaster(name, "br0")
	s.forwarding(t, name)
}

// forwarding waits for the port to learn and forward.
func (s *site) forwarding(t testing.TB, name string) {
	t.Helper()
	testenv.Wait(t, 10*time.Second, name+" to forward", func() bool {
		return strings.Contains(s.host.Exec("bridge", "link", "show", "dev", name), "state forwarding")
	})
}

// macOf gives every name a MAC of its own, never the one of the veth.
func macOf(name string) nic.MAC {
	m := nic.MAC{0x52, 0x54}
	copy(m[2:], name[max(0, len(name)-4):])
	return m
}

// spoof is the source of the n-th frame: nobody's on this host and new every
// time, so that learning it can only come from that frame.
func spoof(n int) nic.MAC { return nic.MAC{0x52, 0x55, 0, 0, byte(n >> 8), byte(n)} }

func etherFrame(dst, src nic.MAC, etype uint16, payload string) []byte {
	f := append(dst[:], src[:]...)
	f = binary.BigEndian.AppendUint16(f, etype)
	return append(f, fmt.Sprintf("%-60s", payload)...)
}

// send lets the guest behind name broadcast a frame and returns it.
func (s *site) send(t testing.TB, name string) []byte {
	t.Helper()
	s.sent++
	f := etherFrame(nic.MAC{255, 255, 255, 255, 255, 255}, spoof(s.sent), 0x88b5, name)
	testenv.Inject(t, s.guests[name], "eth0", f)
	return f
}

func same(want []byte) testenv.Filter {
	return func(f testenv.Frame) bool { return bytes.Equal(f.Data, want) }
}

// passes asserts that the guest's frame reaches the uplink, without the mark.
func (s *site) passes(t testing.TB, name string) {
	t.Helper()
	f := s.send(t, name)
	if got := s.uplink.Wait(2*time.Second, "the frame of "+name, same(f)); got.Mark != 0 {
		t.Errorf("the frame of %s still carries mark %#x", name, got.Mark)
	}
}

// stops asserts that the guest's frame is dropped by the lock and nothing of
// it was learned. The counter is the fence: the frame was dealt with.
func (s *site) stops(t testing.TB, l *Lock, name string) {
	t.Helper()
	before := drops(t, l)
	f := s.send(t, name)
	testenv.Wait(t, 10*time.Second, "the drop of "+name+"'s frame", func() bool { return drops(t, l) > before })
	s.uplink.None("the frame of "+name, same(f))
	if s.learned(spoof(s.sent)) {
		t.Errorf("the bridge learned the source of a dropped frame of %s", name)
	}
}

func (s *site) learned(mac nic.MAC) bool {
	return strings.Contains(s.host.Exec("bridge", "fdb", "show", "br", "br0"), mac.String())
}

func drops(t testing.TB, l *Lock) uint64 {
	t.Helper()
	n, err := l.Drops()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// quiet makes a namespace whose interfaces send nothing by themselves, so that
// every drop counted is of a frame that the test sent.
func quiet(t testing.TB) *testenv.NS {
	t.Helper()
	ns := testenv.NewNS(t)
	ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	return ns
}

// later counts every frame with the mark that comes behind the lock, in each
// family and hook where somebody could look.
func later(mark uint32) string {
	chain := func(family, hook string, priority int) string {
		return fmt.Sprintf("table %s seen { chain %s {\ntype filter hook %s priority %d\nmeta mark & %#x != 0 counter\n}\n}\n",
			family, hook, hook, priority, mark)
	}
	return chain("bridge", "prerouting", -2147483647) + chain("bridge", "forward", 0) + chain("bridge", "input", -2147483647) +
		chain("bridge", "postrouting", 0) + chain("inet", "prerouting", -2147483647) + chain("inet", "input", 0) +
		chain("inet", "forward", 0) + chain("arp", "input", 0)
}

// unseen asserts that no counter of later counted.
func unseen(t testing.TB, ns *testenv.NS) {
	t.Helper()
	for line := range strings.Lines(ns.Exec("nft", "list", "ruleset")) {
		if strings.Contains(line, "!= 0x00000000 counter") && !strings.Contains(line, "packets 0 ") {
			t.Errorf("the mark was seen behind the lock: %s", line)
		}
	}
}

func TestKernelBridge(t *testing.T) {
	for _, call := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+call, func(t *testing.T) {
			s := newSite(t)
			for _, family := range []string{"iptables", "ip6tables", "arptables"} {
				s.host.Sysctl("net.bridge.bridge-nf-call-"+family, call)
			}
			l := open(t, s.host)
			apply(t, l, Desired{Mark: DefaultMark, Names: []string{"tap7", "tap9"}, Patterns: []string{"vnet*"}})
			load(t, s.host, later(DefaultMark))
			for _, name := range []string{"tap7", "tap70", "tap9", "vnet1", "vne", "xtap7"} {
				s.plug(t, name)
			}
			guard(t, s.host, "tap9", DefaultMark)

			for _, name := range []string{"tap7", "vnet1"} {
				s.stops(t, l, name)
			}
			before := drops(t, l)
			for _, name := range []string{"tap9", "tap70", "vne", "xtap7"} {
				s.passes(t, name)
			}
			if got := drops(t, l); got != before {
				t.Errorf("%d frames dropped of guarded and unmanaged names", got-before)
			}
			unseen(t, s.host)
		})
	}
}

// TestKernelOtherMarksLive: the guard's bit is taken out of a mark, the rest
// of which is somebody else's and stays. Of an unmanaged port all of it stays.
func TestKernelOtherMarksLive(t *testing.T) {
	s := newSite(t)
	const bit, others = 0x400, 0x12
	apply(t, open(t, s.host), Desired{Mark: bit, Names: []string{"tap7"}, Patterns: []string{"tap*"}})
	for name, want := range map[string]uint32{"tap7": others, "eth7": bit | others} {
		s.plug(t, name)
		guard(t, s.host, name, bit|others)
		f := s.send(t, name)
		if got := s.uplink.Wait(2*time.Second, "the frame", same(f)); got.Mark != want {
			t.Errorf("mark of a frame of %s is %#x behind the lock, want %#x", name, got.Mark, want)
		}
	}
}

func TestKernelLinkLocalGroup(t *testing.T) {
	s := newSite(t)
	s.plug(t, "tap7")
	s.plug(t, "tap9")
	l := open(t, s.host)
	apply(t, l, Desired{Mark: DefaultMark, Names: []string{"tap7", "tap9"}})
	load(t, s.host, later(DefaultMark))
	guard(t, s.host, "tap9", DefaultMark)
	eapol := func(name string, source nic.MAC) {
		f := etherFrame(nic.MAC{0x01, 0x80, 0xc2, 0, 0, 0x03}, source, 0x888e, name)
		testenv.Inject(t, s.guests[name], "eth0", f)
	}
	eapol("tap7", spoof(1))
	testenv.Wait(t, 10*time.Second, "the drop", func() bool { return drops(t, l) == 1 })
	if s.learned(spoof(1)) {
		t.Error("the bridge learned the source of a dropped frame")
	}
	eapol("tap9", spoof(2))
	testenv.Wait(t, 10*time.Second, "the guarded frame's source to be learned", func() bool { return s.learned(spoof(2)) })
	if got := drops(t, l); got != 1 {
		t.Errorf("%d drops, want 1", got)
	}
	unseen(t, s.host)
}

// TestKernelNameBeforeInterface: the lock needs the name only, and a device
// made again starts closed however often.
func TestKernelNameBeforeInterface(t *testing.T) {
	s := newSite(t)
	l := open(t, s.host)
	apply(t, l, Desired{Mark: DefaultMark, Names: []string{"tap7"}})
	for range 3 {
		s.plug(t, "tap7")
		s.stops(t, l, "tap7")
		off := guard(t, s.host, "tap7", DefaultMark)
		s.passes(t, "tap7")
		off() // stripped of its program by somebody
		s.stops(t, l, "tap7")
		guard(t, s.host, "tap7", DefaultMark)
		s.passes(t, "tap7")
		s.host.Delete("tap7")
	}
}

// TestKernelStolenRules: a flush opens, Apply closes again.
func TestKernelStolenRules(t *testing.T) {
	s := newSite(t)
	s.plug(t, "tap7")
	l := open(t, s.host)
	d := Desired{Mark: DefaultMark, Names: []string{"tap7"}}
	for _, cmd := range []string{"flush ruleset", "delete table bridge " + TableName} {
		apply(t, l, d)
		s.stops(t, l, "tap7")
		s.host.Exec("nft", cmd)
		f := s.send(t, "tap7") // proves that the lock alone held it back
		s.uplink.Wait(time.Second, "the frame after "+cmd, same(f))
	}
}

// TestKernelNeverOpen changes the lock around a name all the time, by set, by
// pattern and by mark, while its guest sends.
func TestKernelNeverOpen(t *testing.T) {
	s := newSite(t)
	s.plug(t, "tap7")
	l := open(t, s.host)
	states := []Desired{
		{Mark: DefaultMark, Names: []string{"tap7"}},
		{Mark: DefaultMark, Patterns: []string{"tap*"}},
		{Mark: 1, Names: []string{"a", "b", "tap7"}, Patterns: []string{"x*"}},
		{Mark: 1, Names: []string{"tap8"}, Patterns: []string{"tap7*", "y*"}},
	}
	apply(t, l, states[0])
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := l.Apply(states[i%len(states)]); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	const count = 20_000
	f := etherFrame(nic.MAC{255, 255, 255, 255, 255, 255}, spoof(0), 0x88b5, "unguarded")
	testenv.Inject(t, s.guests["tap7"], "eth0", slices.Repeat([][]byte{f}, count)...)
	testenv.Wait(t, 10*time.Second, "all frames to be dropped", func() bool {
		return drops(t, l) >= count || len(s.uplink.Frames()) > 0
	})
	close(stop)
	<-stopped
	s.uplink.None("an unguarded frame", same(f))
	if s.learned(spoof(0)) {
		t.Error("the bridge learned the source of a dropped frame")
	}
}

// routed is a host that routes for its guests: taps with addresses, in no
// bridge.
func routed(t testing.TB, host *testenv.NS, name string, subnet int) *testenv.NS {
	t.Helper()
	guest := testenv.NewNS(t)
	testenv.Veth(t, host, name, guest, "eth0", macOf(name))
	mac := host.MAC(name)
	host.Sh(fmt.Sprintf("ip addr add 10.0.%d.1/24 dev %s; ip -6 addr add fd00:%d::1/64 dev %s nodad", subnet, name, subnet, name))
	guest.Sh(fmt.Sprintf(`ip addr add 10.0.%[1]d.2/24 dev eth0; ip -6 addr add fd00:%[1]d::2/64 dev eth0 nodad
		ip neigh add 10.0.%[1]d.1 lladdr %[2]s dev eth0 nud permanent
		ip -6 neigh add fd00:%[1]d::1 lladdr %[2]s dev eth0 nud permanent`, subnet, mac))
	return guest
}

func listen(t testing.TB, ns *testenv.NS) net.PacketConn {
	t.Helper()
	var c net.PacketConn
	var err error
	ns.Do(func() { c, err = net.ListenPacket("udp", "[::]:4000") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say4and6(t testing.TB, guest *testenv.NS, subnet int, text string) {
	t.Helper()
	guest.Do(func() {
		for _, to := range []string{fmt.Sprintf("10.0.%d.1:4000", subnet), fmt.Sprintf("[fd00:%d::1]:4000", subnet)} {
			c, err := net.Dial("udp", to)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// heard returns the next n datagrams, in the order of the alphabet.
func heard(t testing.TB, c net.PacketConn, n int) []string {
	t.Helper()
	var out []string
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for range n {
		b := make([]byte, 100)
		k, from, err := c.ReadFrom(b)
		if err != nil {
			t.Fatalf("heard %q, then: %v", out, err)
		}
		out = append(out, string(b[:k])+" from "+from.(*net.UDPAddr).IP.String())
	}
	slices.Sort(out)
	return out
}

func TestKernelRouted(t *testing.T) {
	host := testenv.NewNS(t)
	closed, guarded, unmanaged := routed(t, host, "tap7", 7), routed(t, host, "tap9", 9), routed(t, host, "eth5", 5)
	l := open(t, host)
	apply(t, l, Desired{Mark: DefaultMark, Names: []string{"tap7"}, Patterns: []string{"tap*"}})
	load(t, host, later(DefaultMark))
	guard(t, host, "tap9", DefaultMark)
	c := listen(t, host)

	before := drops(t, l)
	say4and6(t, closed, 7, "closed")
	testenv.Wait(t, 10*time.Second, "both drops", func() bool { return drops(t, l) >= before+2 })
	say4and6(t, guarded, 9, "guarded")
	say4and6(t, unmanaged, 5, "unmanaged")
	got := heard(t, c, 4)
	want := []string{"guarded from 10.0.9.2", "guarded from fd00:9::2", "unmanaged from 10.0.5.2", "unmanaged from fd00:5::2"}
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	unseen(t, host)
}

// TestKernelRoutedARP: a closed guest gets no answer and is not learned.
func TestKernelRoutedARP(t *testing.T) {
	host := quiet(t)
	l := open(t, host)
	apply(t, l, Desired{Mark: DefaultMark, Names: []string{"tap7", "tap9"}})
	load(t, host, later(DefaultMark))
	for subnet, name := range map[int]string{7: "tap7", 9: "tap9"} {
		guest := quiet(t)
		testenv.Veth(t, host, name, guest, "eth0", macOf(name))
		host.Sh(fmt.Sprintf("ip addr add 10.0.%d.1/24 dev %s", subnet, name))
		if name == "tap9" {
			guard(t, host, name, DefaultMark)
		}
		before := drops(t, l)
		replies := testenv.Capture(t, guest, "eth0", testenv.InboundOnly)
		testenv.Inject(t, guest, "eth0", arpRequest(macOf(name), byte(subnet)))
		isReply := func(f testenv.Frame) bool {
			return len(f.Data) >= 42 && f.Data[12] == 8 && f.Data[13] == 6 && f.Data[21] == 2
		}
		if name == "tap9" {
			replies.Wait(time.Second, "the host's answer", isReply)
			continue
		}
		testenv.Wait(t, 10*time.Second, "the drop", func() bool { return drops(t, l) > before })
		replies.None("an answer", isReply)
		if out := host.Exec("ip", "neigh", "show", "dev", name); strings.Contains(out, "10.0.7.2") {
			t.Errorf("the host learned from a dropped request: %s", out)
		}
	}
	unseen(t, host)
}

// arpRequest asks for 10.0.subnet.1 as 10.0.subnet.2, RFC 826.
func arpRequest(src nic.MAC, subnet byte) []byte {
	f := append(bytes.Repeat([]byte{0xff}, 6), src[:]...)
	f = append(f, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(append(f, src[:]...), 10, 0, subnet, 2)
	return append(f, 0, 0, 0, 0, 0, 0, 10, 0, subnet, 1)
}
