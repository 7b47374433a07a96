package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// What a guest can claim in front of a frame (virtio 1.2, 5.1.6).
const (
	needsCsum = 1
	gsoTCP4   = 1
	gsoUDP    = 3
	gsoUDPL4  = 5
)

// trick is one frame with a header that the guest chose.
type trick struct {
	id, what string
	hdr      testenv.VnetHdr
	frame    []byte
	want     reason.Reason // of the drop; None: it passes
	linear   uint32        // the most that the kernel makes linear
}

func tricks() []trick {
	csum := testenv.VnetHdr{Flags: needsCsum, GSOType: gsoTCP4, HdrLen: 54, GSOSize: 1400, CsumStart: 34, CsumOffset: 16}
	udpCsum := testenv.VnetHdr{Flags: needsCsum, HdrLen: 42, GSOSize: 1400, CsumStart: 34, CsumOffset: 6}
	ufo, uso := udpCsum, udpCsum
	ufo.GSOType, uso.GSOType = gsoUDP, gsoUDPL4
	short, bare := testenv.VnetHdr{HdrLen: 14}, testenv.VnetHdr{GSOType: gsoTCP4, HdrLen: 14, GSOSize: 1400}
	poison := append(bytes.Clone(mustVector("C01")), make([]byte, 9000-60)...)
	return []trick{
		{"T01", "14 linear bytes, spoofed source", short, tcpFrame(corpus.B4, 9000), reason.IP4Spoof, 14},
		{"T01", "14 linear bytes, own source", short, tcpFrame(corpus.M4, 9000), reason.None, 14},
		{"T02", "14 linear bytes, ARP poison", short, poison, reason.ARPSpoofIP, 14},
		{"T03", "60 kB to be segmented, spoofed source", csum, tcpFrame(corpus.B4, 60000), reason.IP4Spoof, 54},
		{"T03", "60 kB to be segmented, own source", csum, tcpFrame(corpus.M4, 60000), reason.None, 54},
		{"T04", "super-packet without a checksum request, spoofed source", bare, tcpFrame(corpus.B4, 20000), reason.IP4Spoof, 40},
		{"T04", "super-packet without a checksum request, own source", bare, tcpFrame(corpus.M4, 20000), reason.None, 40},
		{"T05", "UDP to be fragmented, BOOTREPLY", ufo, udpFrame(67, 68, 8000), reason.DHCPServer, 42},
		{"T05", "UDP to be segmented, BOOTREPLY", uso, udpFrame(67, 68, 8000), reason.DHCPServer, 42},
	}
}

// The guest chooses how much of a frame is linear and what is left to be
// segmented; the guard reads all of it all the same.
func TestVirtioTricks(t *testing.T) {
	for _, tcx := range []bool{false, true} {
		s := jumboSite(t)
		index := s.attach(guard.Compile(corpus.Binding()), tcx)
		linear := s.watchLinear()
		s.fromGuest()
		for _, c := range tricks() {
			before := s.counters(index)
			s.guest.tap.SendVnet(c.hdr, c.frame)
			if got := linear(); got > c.linear {
				t.Errorf("%s %s: %d linear bytes, want at most %d: the test doesn't test this any more", c.id, c.what, got, c.linear)
			}
			got := outcome{Arrived: s.fromGuest(), Counters: moved(before, s.counters(index))}
			if diff := cmp.Diff(c.expect(), got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", c.id, c.what, diff)
			}
		}
	}
}

func (c trick) expect() outcome {
	o := outcome{Counters: datapath.Counters{FromGuest: 1}}
	if c.want != reason.None {
		o.Counters.Dropped = map[reason.Reason]uint64{c.want: 1}
		return o
	}
	o.Counters.FromGuest++
	o.Arrived.LAN, o.Arrived.VM = [][]byte{c.frame}, [][]byte{c.frame}
	return o
}

// T06: virtio guests leave the UDP checksum of their DISCOVER to the host. It
// is handed up whole, as it was sent.
func TestDiscoverWithPartialChecksum(t *testing.T) {
	s := newSite(t, tap)
	s.openKernel()
	index := s.attach(guard.Compile(corpus.Binding()), true)
	discover := bytes.Clone(mustVector("G01"))
	binary.BigEndian.PutUint16(discover[40:], ^wire.UDP4Checksum(corpus.Any4, corpus.BC4, discover[34:42]))
	s.guest.tap.SendVnet(testenv.VnetHdr{Flags: needsCsum, HdrLen: 42, CsumStart: 34, CsumOffset: 6}, discover)
	if diff := cmp.Diff(arrivals{}, s.fromGuest(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("DHCP reached the site (-want +got):\n%s", diff)
	}
	s.checkPunts(map[int]uint64{index: 1}, map[int][]byte{index: discover})
	if c := s.counters(index); c.Taken[reason.DHCP4] != 1 || len(c.Dropped) != 0 {
		t.Errorf("counters %+v", c)
	}
}

// T10: tun refuses what is shorter than an Ethernet header; everything from
// there on is judged, also what BPF_PROG_TEST_RUN refuses to run: IP shorter
// than its header.
func TestRunts(t *testing.T) {
	s := newSite(t, tap)
	s.openKernel()
	for _, tcx := range []bool{false, true} {
		index := s.attach(guard.Compile(corpus.Binding()), tcx)
		if err := s.guest.tap.TrySendVnet(testenv.VnetHdr{}, make([]byte, 13)); !errors.Is(err, unix.EINVAL) {
			t.Errorf("13 bytes: %v, want EINVAL", err)
		}
		sent := 0
		for _, v := range corpus.All() {
			if !v.ToGuest {
				sent += s.sendCuts(index, &v)
			}
		}
		t.Logf("tcx %t: %d cut frames", tcx, sent)
	}
}

// sendCuts sends the first frame of a vector cut at every length up to the end
// of an IPv6 header.
func (s *site) sendCuts(index int, v *corpus.Vector) int {
	s.Helper()
	var cuts [][]byte
	want := noOutcome()
	want.Counters.FromGuest = 1
	for n := 14; n < min(len(v.Frames[0]), 14+40); n++ {
		cut := v.Frames[0][:n]
		cuts = append(cuts, cut)
		if reachesHook(cut) {
			s.expectFromGuest(&want, cut, s.judge(false, cut))
		}
	}
	before := s.counters(index)
	got := outcome{Arrived: s.fromGuest(cuts...)}
	got.Counters = moved(before, s.counters(index))
	got.Punted = s.handedUp(index, len(want.Punted))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("%s %s, cut (-want +got):\n%s", v.ID, v.Case, diff)
	}
	return len(cuts)
}

// T08: the guard doesn't depend on the queue a frame comes from.
func TestAttackOnAnotherQueue(t *testing.T) {
	s := newSite(t, multiqueue)
	s.openKernel()
	index := s.attach(guard.Compile(corpus.Binding()), true)
	s.fromGuest()
	attacks := [][]byte{mustVector("A01"), mustVector("B01"), mustVector("C01"), mustVector("F01"), mustVector("H01")}
	for queue := range s.guest.queues {
		before := s.counters(index)
		for _, f := range attacks {
			s.guest.sendOn(t, queue, f)
		}
		want := outcome{Counters: datapath.Counters{FromGuest: 1, Dropped: map[reason.Reason]uint64{
			reason.MACSpoof: 1, reason.IP4Spoof: 1, reason.ARPSpoofIP: 1, reason.DHCPServer: 1, reason.VLANTag: 1,
		}}}
		got := outcome{Arrived: s.fromGuest(), Counters: moved(before, s.counters(index))}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("queue %d (-want +got):\n%s", queue, diff)
		}
	}
}

// jumboSite has room for frames of 9000 bytes everywhere.
func jumboSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, tap)
	for _, port := range []string{"lan0", "vmB", "tapA"} {
		s.host.Exec("ip", "link", "set", port, "mtu", "9216")
	}
	s.lanNS.Exec("ip", "link", "set", "eth0", "mtu", "9216")
	s.vmNS.Exec("ip", "link", "set", "eth0", "mtu", "9216")
	s.openKernel()
	return s
}

// watchLinear puts a program in front of the guard that notes how many bytes
// of a frame are linear, and returns what asks for the last one's.
func (s *site) watchLinear() func() uint32 {
	s.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		s.Fatal(err)
	}
	const data, dataEnd = 76, 80 // offsets in struct __sk_buff
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, dataEnd, asm.Word),
		asm.LoadMem(asm.R7, asm.R1, data, asm.Word),
		asm.Sub.Reg(asm.R6, asm.R7),
		asm.StoreImm(asm.R10, -4, 0, asm.Word),
		asm.StoreMem(asm.R10, -8, asm.R6, asm.Word),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4),
		asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		asm.Mov.Imm(asm.R0, -1), // TCX_NEXT
		asm.Return(),
	}})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { p.Close(); m.Close() })
	s.hangInFront(p)
	return func() uint32 {
		var n uint32
		if err := m.Lookup(uint32(0), &n); err != nil {
			s.Fatal(err)
		}
		return n
	}
}

func (s *site) hangInFront(p *ebpf.Program) {
	s.Helper()
	var l link.Link
	var err error
	index := s.host.Index("tapA")
	s.host.Do(func() {
		l, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
	})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { l.Close() })
}

func mustVector(id string) []byte {
	for _, v := range corpus.All() {
		if v.ID == id {
			return v.Frames[0]
		}
	}
	panic("no vector " + id)
}

// tcpFrame is a TCP segment to the gateway with n bytes of data and a checksum
// left to the host: the sum of the pseudo-header.
func tcpFrame(src netip.Addr, n int) []byte {
	tcp := make([]byte, 20+n)
	copy(tcp, []byte{0, 5, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10})
	for i := range n {
		tcp[20+i] = byte(i % 251)
	}
	f := ip4Frame(unix.IPPROTO_TCP, src, tcp)
	binary.BigEndian.PutUint16(f[50:], pseudo(f))
	return f
}

func udpFrame(sport, dport uint16, n int) []byte {
	udp := make([]byte, 8+n)
	binary.BigEndian.PutUint16(udp, sport)
	binary.BigEndian.PutUint16(udp[2:], dport)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	udp[8] = 2 // BOOTREPLY
	f := ip4Frame(unix.IPPROTO_UDP, corpus.M4, udp)
	binary.BigEndian.PutUint16(f[40:], pseudo(f))
	return f
}

func ip4Frame(proto byte, src netip.Addr, payload []byte) []byte {
	f := append(ether(corpus.G, corpus.M), 8, 0, 0x45, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(20+len(payload)))
	f = append(f, 0, 0, 0, 0, 64, proto, 0, 0)
	f = append(append(f, src.AsSlice()...), corpus.G4.AsSlice()...)
	binary.BigEndian.PutUint16(f[24:], wire.Checksum(f[14:34]))
	return append(f, payload...)
}

func ether(dst, src nic.MAC) []byte { return append(dst[:len(dst):len(dst)], src[:]...) }

// pseudo is the sum that a guest leaves in the checksum's place: over source,
// destination, protocol and length (RFC 9293 3.1, RFC 768).
func pseudo(f []byte) uint16 {
	sum := uint32(f[23]) + uint32(len(f)-34)
	for i := 26; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(f[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
