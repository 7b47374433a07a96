package datapath

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

var (
	frames = flag.Int("frames", 1_000_000, "fuzzed frames for the oracle")
	soak   = flag.Int("soak", 100_000, "honest frames that must all pass")
)

// lo is the device BPF_PROG_TEST_RUN pretends the frame came from.
const lo = 1

func openKernel(t testing.TB) *Kernel {
	t.Helper()
	dir := fmt.Sprintf("/sys/fs/bpf/t%d", os.Getpid())
	k, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = k.Close()
		_ = os.RemoveAll(dir)
	})
	return k
}

// neighbour is another NIC of the same segment: it holds a link-local, as does
// a gateway that a third NIC names.
const neighbour = 2

// oracle runs frames through the kernel program and through the definition.
type oracle struct {
	testing.TB
	k      *Kernel
	rules  guard.Rules
	locals guard.Locals
}

// use puts rules in force for a NIC that holds nothing yet, beside a neighbour
// that holds corpus.BLL and a gateway, corpus.GLL.
func (o *oracle) use(r guard.Rules) {
	o.Helper()
	if err := errors.Join(o.k.dropClaims(lo), o.k.Forget(neighbour)); err != nil {
		o.Fatal(err)
	}
	var err error
	if old, _ := o.k.lookupRules(lo); old != nil {
		err = errors.Join(o.k.unreserve(lo, old, nil), o.k.dropShares(lo, old, nil))
	}
	other := corpus.Binding()
	other.MAC, other.Gateway6 = corpus.B, corpus.GLL
	theirs := guard.Compile(other).On(other, guard.Site{Segment: r.Segment})
	if err = errors.Join(err, o.k.fill(neighbour, "other", &theirs), o.k.maps.Nics.Delete(ptr(uint32(lo))),
		o.k.fill(lo, "lo", &r)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		o.Fatal(err)
	}
	o.rules, o.locals = r, guard.Locals{}
	o.locals.Reserve(r.Segment, corpus.BLL, neighbour)
	o.locals.Reserve(r.Segment, corpus.GLL, guard.Nobody)
	if err := o.k.maps.States.Update(ptr(uint32(lo)), &berthNicState{}, ebpf.UpdateAny); err != nil {
		o.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

// judge is the kernel's verdict on one frame, told from its return value and
// the counters it moved.
func (o *oracle) judge(toGuest bool, frame []byte) guard.Verdict {
	o.Helper()
	key := uint32(lo)
	var s berthNicState
	if err := o.k.maps.States.Lookup(&key, &s); err != nil {
		o.Fatal(err)
	}
	if err := o.k.maps.States.Update(&key, &berthNicState{Claimed: s.Claimed}, ebpf.UpdateAny); err != nil {
		o.Fatal(err)
	}
	ret := o.run(toGuest, frame)
	c, _, err := o.k.Counters(lo)
	if err != nil {
		o.Fatal(err)
	}
	return o.verdict(ret, c)
}

func (o *oracle) verdict(ret int32, c Counters) guard.Verdict {
	o.Helper()
	v := guard.Verdict{}
	for r, n := range c.Audited {
		if n != 1 {
			o.Fatalf("one frame audited %d times for %s", n, r)
		}
		v.Audited = r
	}
	passed := c.FromGuest + c.ToGuest
	switch {
	case ret == -1 && passed == 1 && len(c.Taken) == 0 && len(c.Dropped) == 0:
		v.Action = guard.Pass
	case ret == 2 && len(c.Taken) == 1 && passed == 0 && len(c.Dropped) == 0:
		v.Action, v.Reason = guard.Take, only(c.Taken)
	case ret == 2 && passed == 0 && len(c.Taken) == 0 && len(c.Dropped) == 1:
		v.Action, v.Reason = guard.Drop, only(c.Dropped)
	default:
		o.Fatalf("return value %d does not fit the counters %+v", ret, c)
	}
	return v
}

func only(m map[reason.Reason]uint64) reason.Reason {
	for r := range m {
		return r
	}
	return reason.None
}

// agree judges a frame twice.
func (o *oracle) agree(toGuest bool, frame []byte) (kernel, definition guard.Verdict, ok bool) {
	o.Helper()
	o.unsee()
	kernel, definition = o.judge(toGuest, frame), o.define(toGuest, frame)
	o.sees(toGuest, frame, kernel)
	if definition.Action == guard.Take && kernel.Reason == reason.DHCPRingFull {
		// A full ring only says that the test does not drain fast enough.
		kernel.Action, kernel.Reason = guard.Take, definition.Reason
	}
	return kernel, definition, kernel == definition
}

func newOracle(t testing.TB) *oracle {
	k := openKernel(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- k.Run(ctx, Handlers{Punt: func(Punt) {}, Sample: func(Sample) {}, Exchange: func(Exchange) {}})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &oracle{TB: t, k: k}
}

// runnable reports whether BPF_PROG_TEST_RUN takes the frame at all: it wants
// a whole IP header behind an IP ethertype. Shorter ones are run on a wire.
func runnable(f []byte) bool {
	switch binary.BigEndian.Uint16(f[12:]) {
	case 0x0800:
		return len(f) >= 14+20
	case 0x86dd:
		return len(f) >= 14+40
	default:
		return len(f) >= 14
	}
}

func (o *oracle) define(toGuest bool, frame []byte) guard.Verdict {
	f := guard.Frame{Data: frame}
	if toGuest {
		return guard.ToGuest(&o.rules, f)
	}
	return o.locals.Settle(lo, &o.rules, guard.FromGuest(&o.rules, f))
}

// variants are bindings that flip every switch the rules have.
func variants() map[string]guard.Rules {
	vs := map[string]guard.Rules{"closed": guard.ClosedRules()}
	former := []netip.Addr{corpus.S4, netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.4"), netip.MustParseAddr("192.0.2.5")}
	add := func(name string, change func(*nic.Binding)) {
		b := corpus.Binding()
		b.Guard.Rate = nic.Rate{PerSecond: 1_000_000_000, Burst: 1_000_000_000}
		change(b)
		vs[name] = guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4, Former: former})
	}
	add("enforce", func(*nic.Binding) {})
	add("audit", func(b *nic.Binding) { b.Guard.Mode = nic.Audit })
	add("off", func(b *nic.Binding) { b.Guard.Mode = nic.Off })
	add("router", func(b *nic.Binding) { b.Guard.Router = true })
	add("suspended", func(b *nic.Binding) { b.Suspended = true })
	add("trunk", func(b *nic.Binding) { b.Guard.AllowVLANs = []uint16{1, 42} })
	add("no nd", func(b *nic.Binding) { b.Guard.Checks.ND = false })
	add("no mac", func(b *nic.Binding) { b.Guard.Checks.MAC = false })
	add("no arp", func(b *nic.Binding) { b.Guard.Checks.ARP = false })
	add("no ip", func(b *nic.Binding) { b.Guard.Checks.IP = false })
	add("no ip, no IPv6", func(b *nic.Binding) { b.Guard.Checks.IP, b.IPv6 = false, nic.IPv6Off })
	add("no ip, suspended", func(b *nic.Binding) { b.Guard.Checks.IP, b.Suspended = false, true })
	add("no ip, site's router", func(b *nic.Binding) { b.Guard.Checks.IP, b.RA.Mode = false, nic.RASite })
	add("no l2", func(b *nic.Binding) { b.Guard.Checks.L2 = false })
	add("grants", func(b *nic.Binding) {
		b.Guard.AllowMACs = []nic.MAC{corpus.V, corpus.G}
		b.Guard.AllowEthertypes = []uint16{0x88cc, 0x8863}
		b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, netip.MustParsePrefix("198.51.100.0/24"))
	})
	add("trie", func(b *nic.Binding) {
		for i := range byte(40) {
			b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, i * 3}), 32))
		}
		b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, netip.MustParsePrefix("198.51.0.0/17"))
	})
	add("IPv4 only", func(b *nic.Binding) { b.IPv6 = nic.IPv6Off })
	add("link-local only", func(b *nic.Binding) { b.IPv6 = nic.IPv6LinkLocal })
	add("EUI-64 only", func(b *nic.Binding) { b.LinkLocal.Kind = nic.EUI64Only })
	add("fixed link-local", func(b *nic.Binding) {
		b.LinkLocal = nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{corpus.LLS}}
	})
	add("further routers", func(b *nic.Binding) {
		b.Guard.Routers = []netip.Addr{chosen(1), chosen(2), corpus.GLL, corpus.LLS}
		b.Gateway6 = netip.MustParseAddr("2001:db8:a::1")
	})
	add("further routers of a fixed link-local", func(b *nic.Binding) {
		b.LinkLocal = nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{corpus.LLS}}
		b.Guard.Routers = []netip.Addr{corpus.GLL}
	})
	add("prefixes", func(b *nic.Binding) {
		b.SLAAC = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64"), netip.MustParsePrefix("2001:db8:1::/64")}
		b.Delegated = []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/56")}
		b.Gateway6 = netip.MustParseAddr("2001:db8:a::1")
	})
	add("trie of IPv6", func(b *nic.Binding) {
		for i := range byte(40) {
			b.Addresses = append(b.Addresses, netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0x0d, 3: 0xb8, 15: i + 1}), 64))
		}
		b.SLAAC = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
	})
	add("site's router", func(b *nic.Binding) { b.RA.Mode = nic.RASite })
	add("a router that advertises", func(b *nic.Binding) { b.Guard.Router, b.Guard.Advertise = true, true })
	add("answers for the gateways", func(b *nic.Binding) {
		b.Neighbours, b.GatewayMAC, b.Gateway6 = nic.NeighboursGateway, corpus.G, corpus.GLL
	})
	add("served by the site", func(b *nic.Binding) { b.ServedBy = nic.ServedBySite })
	add("served by the tenant", func(b *nic.Binding) { b.ServedBy = nic.ServedByTenant })
	add("served by the tenant, audited", func(b *nic.Binding) { b.ServedBy, b.Guard.Mode = nic.ServedByTenant, nic.Audit })
	add("peers", func(b *nic.Binding) {
		b.GatewayMAC = corpus.G
		b.Guard.Peers = []nic.MACRange{{MAC: corpus.V, Bits: 47}, {MAC: nic.MAC{0x33}, Bits: 8}, {MAC: nic.MAC{}, Bits: 1}}
		b.Guard.Peers[0].MAC[5]--
	})
	add("peers, audited", func(b *nic.Binding) {
		b.Guard.Mode, b.Guard.Peers = nic.Audit, []nic.MACRange{{MAC: corpus.B, Bits: 48}}
	})
	add("shares", func(b *nic.Binding) {
		b.Shared = []nic.Shared{
			{Group: "a", Addresses: []netip.Addr{corpus.Y4}, VRID: 5},
			{Group: "b", Addresses: []netip.Addr{corpus.Y6}, VRID: 6},
			{Group: "c", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.61"), netip.MustParseAddr("2001:db8:1::61")}, VRID: 0xff},
		}
	})
	add("shares without checks", func(b *nic.Binding) {
		b.Guard.Mode, b.Shared = nic.Off, []nic.Shared{{Group: "a", Addresses: []netip.Addr{corpus.Y4, corpus.Y6}}}
	})
	add("answers for former servers", func(b *nic.Binding) { b.Neighbours = nic.NeighboursServer })
	add("answers for all", func(b *nic.Binding) { b.Routed, b.Neighbours = true, nic.NeighboursAll })
	return vs
}

func TestKernelCorpus(t *testing.T) {
	o := newOracle(t)
	for name, r := range variants() {
		o.use(r)
		for _, v := range corpus.All() {
			for i, f := range v.Frames {
				if !runnable(f) {
					continue
				}
				if got, want, ok := o.agree(v.ToGuest, f); !ok {
					t.Errorf("%s: %s %s frame %d: kernel %+v, definition %+v", name, v.ID, v.Case, i, got, want)
				}
			}
		}
	}
}

// Every cut of every frame of the corpus, from a bare Ethernet header on.
func TestKernelTruncation(t *testing.T) {
	o := newOracle(t)
	r := variants()["enforce"]
	o.use(r)
	for _, v := range corpus.All() {
		f := v.Frames[0]
		for n := 14; n <= min(len(f), 320); n++ {
			if !runnable(f[:n]) {
				continue
			}
			if got, want, ok := o.agree(v.ToGuest, f[:n]); !ok {
				t.Fatalf("%s %s cut to %d bytes: kernel %+v, definition %+v", v.ID, v.Case, n, got, want)
			}
		}
	}
}

// Every single-bit flip in the headers of every frame that is not dropped: of
// IPv6 up to the second option of a neighbour's message.
func TestKernelBitFlips(t *testing.T) {
	o := newOracle(t)
	r := variants()["enforce"]
	o.use(r)
	for _, v := range corpus.All() {
		if v.At(0).Action == guard.Drop {
			continue
		}
		headers := 67
		if isIP6(v.Frames[0]) {
			headers = 14 + 40 + 8 + 24 + 2*8
		}
		for bit := range min(len(v.Frames[0]), headers) * 8 {
			f := append([]byte(nil), v.Frames[0]...)
			f[bit/8] ^= 1 << (bit % 8)
			if !runnable(f) {
				continue
			}
			if got, want, ok := o.agree(v.ToGuest, f); !ok {
				t.Fatalf("%s %s bit %d: kernel %+v, definition %+v", v.ID, v.Case, bit, got, want)
			}
		}
	}
}

// A million frames bred from the corpus, under every variant of the rules.
// They reach every reason the guard has but those of the hand-over.
func TestKernelFuzz(t *testing.T) {
	o := newOracle(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	b := newBreeder(seed)
	vs := variants()
	each := *frames / len(vs)
	actions, reasons := map[guard.Action]int{}, map[reason.Reason]int{}
	for name, r := range vs {
		for i := range each {
			if i%forgetAfter == 0 {
				o.sameClaims(name)
				o.use(r)
			}
			v := b.parent()
			f := b.breed(v.Frames[b.IntN(len(v.Frames))])
			toGuest := v.ToGuest != (b.IntN(8) == 0)
			got, want, ok := o.agree(toGuest, f)
			if !ok {
				t.Fatalf("%s (from %s %s, to guest %t):\n%x\nkernel %+v\ndefinition %+v", name, v.ID, v.Case, toGuest, f, got, want)
			}
			actions[want.Action]++
			reasons[max(want.Reason, want.Audited)]++
		}
	}
	t.Logf("%d frames: %v, no disagreement; %v", each*len(vs), actions, reasons)
	explored(t, actions, reasons)
}

// forgetAfter so many frames a NIC's link-locals are forgotten, or it would
// soon hold all that it may.
const forgetAfter = 500

// sameClaims compares the link-locals that the kernel and the definition have
// given to the NIC.
func (o *oracle) sameClaims(when string) {
	o.Helper()
	got, err := o.k.Claimed(lo)
	if want := o.locals.Claimed(lo); err != nil || !slices.Equal(got, want) {
		o.Fatalf("%s: the kernel has given %v (%v), the definition %v", when, got, err, want)
	}
}

func explored(t *testing.T, actions map[guard.Action]int, reasons map[reason.Reason]int) {
	t.Helper()
	for _, a := range []guard.Action{guard.Pass, guard.Drop, guard.Take} {
		if actions[a] < *frames/100 {
			t.Errorf("only %d of %d fuzzed frames were a %s: the breeding explores too little", actions[a], *frames, a)
		}
	}
	for _, i := range reason.All() {
		handOver := i.Reason == reason.DHCPRate || i.Reason == reason.DHCPRingFull
		if i.Room == "guard" && !handOver && reasons[i.Reason] < *frames/100_000 {
			t.Errorf("%d of %d fuzzed frames met %s: the breeding explores too little", reasons[i.Reason], *frames, i.Reason)
		}
	}
}
