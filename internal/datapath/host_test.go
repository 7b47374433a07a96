package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

const patience = 10 * time.Second

// host is a bridge with a guest's port tapA and an uplink.
type host struct {
	testing.TB
	ns, guest, site *testenv.NS
	lan             *testenv.Sniffer
	k               *Kernel
	dir             string
	seq             *uint32
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{TB: t, ns: testenv.NewNS(t), guest: testenv.NewNS(t), site: testenv.NewNS(t), seq: new(uint32)}
	for _, n := range []*testenv.NS{h.ns, h.guest, h.site} {
		n.Sysctl("net.ipv6.conf.default.disable_ipv6", "1") // nobody speaks on his own
	}
	h.dir = "/sys/fs/bpf/" + h.ns.Name
	testenv.Veth(t, h.ns, "lan0", h.site, "eth0", corpus.G)
	testenv.Bridge(t, h.ns, "br0", "lan0")
	h.plug("tapA", 0)
	h.lan = testenv.Capture(t, h.site, "eth0", testenv.InboundOnly)
	h.k = h.open()
	t.Cleanup(func() {
		if err := errors.Join(h.k.Close(), os.RemoveAll(h.dir)); err != nil {
			t.Error(err)
		}
	})
	return h
}

// plug makes a port of the guest and returns its index, which may be chosen.
func (h *host) plug(name string, index int) int {
	h.Helper()
	if index == 0 {
		testenv.Veth(h.TB, h.ns, name, h.guest, "eth0", corpus.M)
	} else {
		h.ns.Sh("ip link add " + name + " index " + itoa(index) + " type veth peer name eth0 netns " + h.guest.Name +
			" address " + corpus.M.String() + "; ip link set " + name + " up")
		h.guest.SetUp("eth0")
	}
	h.ns.SetMaster(name, "br0")
	return h.ns.Index(name)
}

func (h *host) open() *Kernel {
	h.Helper()
	var k *Kernel
	var err error
	h.ns.Do(func() { k, err = Open(h.dir) })
	if err != nil {
		h.Fatal(err)
	}
	return k
}

// reopen is what a restart of the daemon does.
func (h *host) reopen() {
	h.Helper()
	if err := h.k.Close(); err != nil {
		h.Fatal(err)
	}
	h.k = h.open()
}

// do runs one step of the kernel's in the host's namespace.
func (h *host) do(what string, step func() error) {
	h.Helper()
	var err error
	h.ns.Do(func() { err = step() })
	if err != nil {
		h.Fatalf("%s: %v", what, err)
	}
}

func (h *host) protect(index int, r guard.Rules) {
	h.Helper()
	h.do("guard", func() error { return h.k.Guard(index, "tapA", r) })
}

// attach guards tapA with the corpus's rules, by clsact or by tcx.
func (h *host) attach(index int, how plan.Attach) {
	h.Helper()
	h.protect(index, guard.Compile(corpus.Binding()))
	if how == plan.TCX {
		h.do("harden", func() error { return h.k.Harden(index) })
	}
}

// newHostFor is a host for a test of one way to attach.
func newHostFor(t testing.TB, how plan.Attach) *host {
	t.Helper()
	if how == plan.TCX {
		testenv.NeedTCX(t)
	}
	return newHost(t)
}

// strongest is how a guard hangs in the end on this kernel.
func strongest(t testing.TB) plan.Attach {
	t.Helper()
	if testenv.HaveTCX(t) {
		return plan.TCX
	}
	return plan.Clsact
}

func (h *host) forget(index int) {
	h.Helper()
	h.do("forget", func() error { return h.k.Forget(index) })
}

// installed holds what is read back to exactly want.
func (h *host) installed(when string, want ...plan.Installed) {
	h.Helper()
	var got []plan.Installed
	h.do("read back", func() (err error) {
		got, err = h.k.Installed()
		return err
	})
	if diff := cmp.Diff(want, got); diff != "" {
		h.Errorf("installed %s (-want +got):\n%s", when, diff)
	}
}

// inForce is the ordinary reading of a guarded NIC.
func inForce(index int, how plan.Attach) plan.Installed {
	r := guard.Compile(corpus.Binding())
	return plan.Installed{Index: index, Name: "tapA", Attach: how, Digest: r.Digest()}
}

// spoof is a frame that must not pass, own one that must.
func (h *host) spoof() []byte { return h.frame(corpus.B4) }

func (h *host) own() []byte { return h.frame(corpus.M4) }

// frame is a numbered broadcast.
func (h *host) frame(src netip.Addr) []byte {
	*h.seq++
	return numbered(src, *h.seq)
}

func numbered(src netip.Addr, n uint32) []byte {
	return wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: corpus.M, EthDst: corpus.BC, Src: src, Dst: netip.MustParseAddr("192.0.2.255"), SrcPort: 9, DstPort: 9,
		Payload: binary.BigEndian.AppendUint32([]byte("a numbered frame of berth's tests "), n),
	})
}

// number is a numbered frame backwards; false: it is another frame.
func number(f []byte) (src netip.Addr, n uint32, ok bool) {
	if len(f) != len(numbered(corpus.M4, 0)) || !bytes.Contains(f, []byte("a numbered frame")) {
		return netip.Addr{}, 0, false
	}
	return netip.AddrFrom4([4]byte(f[26:30])), binary.BigEndian.Uint32(f[len(f)-4:]), true
}

// holds checks that a spoofed frame does not and an own one does arrive.
func (h *host) holds(when string) {
	h.Helper()
	h.reaches(when)
	spoof, own := h.spoof(), h.own()
	h.inject(spoof, own)
	h.lan.Wait(patience, "an own frame "+when, func(f testenv.Frame) bool { return bytes.Equal(f.Data, own) })
	h.lan.None("a spoofed frame "+when, func(f testenv.Frame) bool { return bytes.Equal(f.Data, spoof) })
}

// reaches sends own frames until one arrives. A bridge forwards from a port
// only once the kernel has noticed its carrier, up to a second after it is up.
func (h *host) reaches(when string) {
	h.Helper()
	sent := map[string]bool{}
	testenv.Wait(h.TB, patience, "any own frame "+when, func() bool {
		own := h.own()
		sent[string(own)] = true
		h.inject(own)
		return slices.ContainsFunc(h.lan.Frames(), func(f testenv.Frame) bool { return sent[string(f.Data)] })
	})
}

// inject lets the guest send frames.
func (h *host) inject(frames ...[]byte) {
	h.Helper()
	testenv.Inject(h.TB, h.guest, "eth0", frames...)
}

// opens checks that a spoofed frame arrives: the test can see a leak.
func (h *host) opens(when string) {
	h.Helper()
	spoof := h.spoof()
	h.inject(spoof)
	h.lan.Wait(patience, "a spoofed frame "+when, func(f testenv.Frame) bool { return bytes.Equal(f.Data, spoof) })
}

// floodFrom is the first number of a flood's frames.
const floodFrom = 1 << 20

// sender sends frames until stopped.
type sender struct {
	sent map[netip.Addr][]uint32
	stop func()
}

// flood lets the guest send frames of the sources in turn, at about a number a
// second, until stop. Frames that the port refuses because it is down are not
// in the count.
func (h *host) flood(perSecond int, sources ...netip.Addr) *sender {
	h.Helper()
	fd := -1
	var err error
	h.guest.Do(func() { fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		h.Fatal(err)
	}
	index := h.guest.Index("eth0")
	s := &sender{sent: map[netip.Addr][]uint32{}}
	quit, ended := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.stop = func() { once.Do(func() { close(quit); <-ended; unix.Close(fd) }) }
	h.Cleanup(s.stop)
	go func() {
		defer close(ended)
		s.run(quit, perSecond, sources, func(f []byte) bool {
			return unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: index}) == nil
		})
	}()
	return s
}

func (s *sender) run(quit <-chan struct{}, perSecond int, sources []netip.Addr, send func([]byte) bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	n, start := uint32(floodFrom), time.Now()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		for due := floodFrom + uint32(time.Since(start).Seconds()*float64(perSecond)); n < due; n++ {
			src := sources[int(n)%len(sources)]
			if send(numbered(src, n)) {
				s.sent[src] = append(s.sent[src], n)
			}
		}
	}
}

// flooded sorts what the site heard of a flood by source.
func (h *host) flooded() map[netip.Addr][]uint32 { return h.arrived(floodFrom) }

// arrived sorts the numbered frames that the site heard, from a number on, by
// source.
func (h *host) arrived(from uint32) map[netip.Addr][]uint32 {
	got := map[netip.Addr][]uint32{}
	for _, f := range h.lan.Frames() {
		if src, n, ok := number(f.Data); ok && n >= from {
			got[src] = append(got[src], n)
		}
	}
	return got
}

// complete waits until every frame sent from a source has arrived, each once.
// Their order is the sender's CPUs' business.
func (h *host) complete(src netip.Addr, sent []uint32) {
	h.Helper()
	got := h.flooded()[src]
	for end := time.Now().Add(patience); len(got) < len(sent) && time.Now().Before(end); got = h.flooded()[src] {
		h.holds("after a flood")
	}
	slices.Sort(got)
	if diff := cmp.Diff(sent, got); diff != "" {
		h.Errorf("frames from %s (-sent +arrived):\n%.2000s", src, diff)
	}
}
