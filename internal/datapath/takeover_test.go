package datapath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
)

// stateV3 is struct nic_state of layout v3.
type stateV3 struct {
	Lock, Pad                   uint32
	TokensNs, FilledNs          uint64
	FromGuest, ToGuest          uint64
	Taken                       [8]uint64
	Claimed                     [4]struct{ SegmentAndPad, Hi, Lo uint64 }
	Dropped, Audited, SampledNs [64]uint64
}

// openV3 loads the program of layout v3, as its berthd did. The rest of a Kernel
// serves it as it does this layout's.
func (h *host) openV3() *Kernel {
	h.Helper()
	spec := object(h.TB, "v3")
	k := &Kernel{dir: filepath.Join(h.dir, "v3")}
	var objs struct {
		Nics      *ebpf.Map     `ebpf:"nics"`
		States    *ebpf.Map     `ebpf:"states"`
		Sets      *ebpf.Map     `ebpf:"sets"`
		Sets6     *ebpf.Map     `ebpf:"sets6"`
		Locals    *ebpf.Map     `ebpf:"locals"`
		Shares    *ebpf.Map     `ebpf:"shares"`
		Punts     *ebpf.Map     `ebpf:"punts"`
		Samples   *ebpf.Map     `ebpf:"samples"`
		FromGuest *ebpf.Program `ebpf:"from_guest"`
		ToGuest   *ebpf.Program `ebpf:"to_guest"`
	}
	for name, m := range spec.Maps {
		if !strings.HasPrefix(name, ".") {
			m.Pinning = ebpf.PinByName
		}
	}
	h.do("load layout v3", func() error {
		if err := os.MkdirAll(k.dir, 0o700); err != nil {
			return err
		}
		return spec.LoadAndAssign(&objs, &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: k.dir}})
	})
	k.progs.FromGuest, k.progs.ToGuest = objs.FromGuest, objs.ToGuest
	k.maps = maps{
		Nics: objs.Nics, States: objs.States, Sets: objs.Sets, Sets6: objs.Sets6,
		Locals: objs.Locals, Shares: objs.Shares, Punts: objs.Punts, Samples: objs.Samples,
	}
	h.do("prepare layout v3", k.prepare)
	return k
}

// inV3 is a struct of this layout as layout v3 had it.
func inV3(t testing.TB, name string, v any) []byte {
	t.Helper()
	now, err := loadBerth()
	if err != nil {
		t.Fatal(err)
	}
	var to, from *btf.Struct
	if err := errors.Join(object(t, "v3").Types.TypeByName(name, &to), now.Types.TypeByName(name, &from)); err != nil {
		t.Fatal(err)
	}
	back, err := convert(to, from)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		t.Fatal(err)
	}
	return back.apply(raw)
}

// guardV3 does what Guard and Harden do, with layout v3's shapes.
func (h *host) guardV3(k *Kernel, name string, r guard.Rules, how plan.Attach) {
	h.Helper()
	index := h.ns.Index(name)
	key := uint32(index)
	v, err := encodeRules(name, &r, k.nextSet())
	if err != nil {
		h.Fatal(err)
	}
	h.do("guard by layout v3", func() error {
		return errors.Join(k.addSet(&r, v.Set), k.reserve(key, &v, nil), k.addShares(key, r.Shared),
			k.maps.States.Update(&key, &stateV3{}, ebpf.UpdateNoExist),
			k.maps.Nics.Update(&key, inV3(h, "nic_rules", &v), ebpf.UpdateAny))
	})
	if how == plan.TCX {
		h.do("attach layout v3", func() error { return k.attachTCX(index) })
		return
	}
	h.do("attach layout v3", func() error { return k.addFilters(index) })
}

// rich are rules that have something in every map.
func rich() guard.Rules {
	b := corpus.Binding()
	b.Shared = []nic.Shared{{Group: "g", Addresses: []netip.Addr{corpus.X4, netip.MustParseAddr("2001:db8:1::77")}}}
	for i := range 20 {
		b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, source(0, i),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7, 15: byte(i)}), 128))
	}
	return guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4})
}

const further = 8 // NICs besides tapA

// newV3 is a host whose NICs were guarded by layout v3, and nobody runs.
func newV3(t testing.TB, how plan.Attach) *host {
	t.Helper()
	h := newHostFor(t, how)
	h.leave(how)
	return h
}

// leave makes of a host what a berthd of layout v3 leaves behind.
func (h *host) leave(how plan.Attach) {
	h.Helper()
	if err := errors.Join(h.k.Close(), os.RemoveAll(h.dir)); err != nil {
		h.Fatal(err)
	}
	k := h.openV3()
	h.guardV3(k, "tapA", rich(), how)
	for i := range further {
		name := fmt.Sprintf("more%d", i)
		h.ns.Sh("ip link show " + name + " >/dev/null 2>&1 || ip link add " + name + " type bridge")
		h.guardV3(k, name, guard.Compile(corpus.Binding()), how)
	}
	h.k = k
	h.holds("by layout v3")
}

// richInForce is what is installed of leave.
func (h *host) richInForce(how plan.Attach) []plan.Installed {
	r := rich()
	want := []plan.Installed{{Index: h.ns.Index("tapA"), Name: "tapA", Attach: how, Digest: r.Digest()}}
	for i := range further {
		more := inForce(h.ns.Index(fmt.Sprintf("more%d", i)), how)
		more.Name = fmt.Sprintf("more%d", i)
		want = append(want, more)
	}
	return want
}

// taken checks that the takeover is complete.
func (h *host) taken(how plan.Attach) {
	h.Helper()
	h.installed("after the takeover", h.richInForce(how)...)
	if diff := cmp.Diff([]string{layout}, h.layouts()); diff != "" {
		h.Errorf("layouts (-want +got):\n%s", diff)
	}
	got, _, err := h.k.Rules(h.ns.Index("tapA"))
	if err != nil {
		h.Fatal(err)
	}
	if want := rich(); got.Digest() != want.Digest() {
		h.Errorf("rules after the takeover: %+v\nwant %+v", got, want)
	}
	h.holds("after the takeover")
	h.passes(source(0, 7).Addr(), true)
	h.passes(source(1, 7).Addr(), false)
}

func (h *host) layouts() (names []string) {
	h.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		h.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// eachTakeover runs a story on a host that layout v3 guarded.
func eachTakeover(t *testing.T, f func(h *host, how plan.Attach)) {
	for name, how := range map[string]plan.Attach{"clsact": plan.Clsact, "tcx": plan.TCX} {
		t.Run(name, func(t *testing.T) { f(newV3(t, how), how) })
	}
}

// What an older layout held is in this one's maps after a start: rules, sources,
// counters, claims, shares, and what guests have asked.
func TestTakeover(t *testing.T) {
	eachTakeover(t, func(h *host, how plan.Attach) {
		index := h.ns.Index("tapA")
		ask := client4{kind: 1}.frame()
		h.inject(corpus.From6(chosen(1)), corpus.From6(chosen(2)), ask, h.spoof())
		key, old := uint32(index), stateV3{}
		testenv.Wait(t, patience, "layout v3 to have seen it all", func() bool {
			h.do("read", func() error { return h.k.maps.States.Lookup(&key, &old) })
			return old.Taken[0] == 1 && old.Dropped[reason.IP4Spoof] == 2 && old.Claimed[1].Hi != 0
		})
		share := berthShareKey{Ifindex: key, Addr: in6Of(corpus.X4)}
		h.do("see a share", func() error {
			return h.k.maps.Shares.Update(&share, &berthShare{SeenNs: 4711}, ebpf.UpdateExist)
		})
		h.reopen()
		h.inherited(index, &old)
		h.handsUp(ask)
		h.taken(how)
	})
}

// inherited compares what is in force with what layout v3 held last.
func (h *host) inherited(index int, old *stateV3) {
	h.Helper()
	c, _, err := h.k.Counters(index)
	if err != nil {
		h.Fatal(err)
	}
	want := Counters{
		FromGuest: old.FromGuest, ToGuest: max(c.ToGuest, old.ToGuest), Taken: byReason(old.Taken[:], reason.DHCP4),
		Dropped: byReason(old.Dropped[:], reason.None), Audited: byReason(old.Audited[:], reason.None),
	}
	// The site may have spoken since old was read; the guest did not.
	if diff := cmp.Diff(want, c, cmpopts.EquateEmpty()); diff != "" {
		h.Errorf("counters (-want +got):\n%s", diff)
	}
	var now berthNicState
	key := uint32(index)
	if err := h.k.maps.States.Lookup(&key, &now); err != nil {
		h.Fatal(err)
	}
	if now.TokensNs != old.TokensNs || now.FilledNs != old.FilledNs || now.SampledNs != old.SampledNs {
		h.Error("the bucket or the times of samples are others")
	}
	locals, err := h.k.Claimed(index)
	if err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff([]netip.Addr{chosen(1), chosen(2)}, locals, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		h.Errorf("link-locals held (-want +got):\n%s", diff)
	}
	seen, err := h.k.Seen()
	if err != nil || seen[Share{index, corpus.X4}] != 4711 {
		h.Errorf("shares %v, %v", seen, err)
	}
}

// handsUp checks that exactly these frames are handed up, in their order.
func (h *host) handsUp(want ...[]byte) {
	h.Helper()
	ctx, stop := context.WithCancel(h.Context())
	defer stop()
	var got [][]byte
	err := h.k.Run(ctx, Handlers{
		Punt: func(p Punt) {
			got = append(got, slices.Clone(p.Frame))
			if len(got) == len(want) {
				stop()
			}
		},
		Sample: func(Sample) {}, Exchange: func(Exchange) {},
	})
	if err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.Errorf("handed up (-want +got):\n%s", diff)
	}
}

// Whichever step of the takeover is the last, the NICs stay guarded and the next
// start completes it.
func TestInterruptedTakeover(t *testing.T) {
	eachTakeover(t, func(h *host, how plan.Attach) {
		steps := len(newKernel(h.dir).opening())
		for n := range steps {
			if n > 0 {
				h.leave(how)
			}
			if err := h.k.Close(); err != nil {
				t.Fatal(err)
			}
			h.k = newKernel(h.dir)
			h.do("look", h.k.survey)
			for _, step := range h.k.opening()[:n+1] {
				h.do("open", step)
			}
			h.holds(fmt.Sprintf("after step %d", n))
			h.reopen()
			h.taken(how)
		}
	})
}

// Killed at any instant of it, too.
func TestKilledInTakeover(t *testing.T) {
	eachTakeover(t, func(h *host, how plan.Attach) {
		begin := time.Now()
		h.start("open")()
		whole := time.Since(begin)
		found, sent := map[string]int{}, 0
		for n := range max(*kills/10, 4) {
			h.reopen()
			h.leave(how) // which opens, so nothing spoofs meanwhile
			spoofs := h.flood(2000, corpus.B4)
			cmd, _ := h.spawn("open")
			if n%2 == 0 {
				<-time.After(rand.N(whole)) // anywhere in the child's start
			} else {
				h.published()
				<-time.After(rand.N(20 * time.Millisecond)) // while it moves links and programs
			}
			h.killed(cmd)
			found[strings.Join(h.layouts(), ", ")]++
			h.holds("after a kill")
			h.reopen()
			h.taken(how)
			spoofs.stop()
			sent += len(spoofs.sent[corpus.B4])
			if leaked := h.flooded()[corpus.B4]; len(leaked) != 0 {
				h.Fatalf("%d of %d spoofed frames reached the site", len(leaked), sent)
			}
		}
		h.Logf("%d spoofed frames sent; found after a kill: %v", sent, found)
	})
}

// published waits until the maps of this layout are full.
func (h *host) published() {
	h.Helper()
	testenv.Wait(h.TB, patience, "the maps to be full", func() bool { return slices.Contains(h.layouts(), layout) })
}

// No frame that may pass is lost while another layout is taken over, none that
// may not does, and each is counted before or after.
func TestTakeoverUnderTraffic(t *testing.T) {
	eachTakeover(t, func(h *host, how plan.Attach) {
		traffic := h.flood(*load, append(slices.Repeat([]netip.Addr{corpus.M4}, 9), corpus.B4)...)
		<-time.After(300 * time.Millisecond) // of traffic before it
		begin := time.Now()
		h.reopen()
		took := time.Since(begin)
		<-time.After(300 * time.Millisecond) // and after it
		traffic.stop()
		h.complete(corpus.M4, traffic.sent[corpus.M4])
		if leaked := h.flooded()[corpus.B4]; len(leaked) != 0 {
			h.Errorf("%d of %d spoofed frames reached the site", len(leaked), len(traffic.sent[corpus.B4]))
		}
		h.taken(how)
		h.Logf("taken over in %v under %d own and %d spoofed frames", took, len(traffic.sent[corpus.M4]), len(traffic.sent[corpus.B4]))
	})
}

// refuses checks that no start succeeds, and that it changes nothing.
func (h *host) refuses(words ...string) {
	h.Helper()
	before := h.pins()
	var err error
	h.ns.Do(func() { _, err = Open(h.dir) })
	if err == nil {
		h.Fatal("it starts")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			h.Errorf("the error is %q, want %q in it", err, w)
		}
	}
	if diff := cmp.Diff(before, h.pins()); diff != "" {
		h.Errorf("a refused start changed the pins (-before +after):\n%s", diff)
	}
	h.holds("after a refused start")
}

// pins are all files and directories.
func (h *host) pins() (names []string) {
	h.Helper()
	err := filepath.WalkDir(h.dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return names
}

// A layout that came later is nobody's to touch.
func TestNewerLayoutIsRefused(t *testing.T) {
	h := newHost(t)
	h.attach(h.ns.Index("tapA"), strongest(t))
	later := filepath.Join(h.dir, "v99")
	if err := os.Rename(filepath.Join(h.dir, layout), later); err != nil {
		t.Fatal(err)
	}
	h.refuses("v99", layout, "docs/upgrade.md")
	if err := os.Mkdir(filepath.Join(h.dir, filling), 0o700); err != nil { // it is being filled, even
		t.Fatal(err)
	}
	h.refuses("v99")
}

// Maps that are not what their layout says are left to whoever made them.
func TestUnknownShapeIsRefused(t *testing.T) {
	h := newV3(t, strongest(t))
	h.do("another map", func() error {
		path := filepath.Join(h.dir, "v3", berthMapShares)
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 24, ValueSize: 16, MaxEntries: 1})
		return errors.Join(err, os.Remove(path), m.Pin(path), m.Close())
	})
	h.refuses("shares", "v3")
}

// Directories that refused starts left behind are in nobody's way.
func TestEmptyLayouts(t *testing.T) {
	h := newV3(t, strongest(t))
	if err := os.MkdirAll(filepath.Join(h.dir, layout), 0o700); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	h.taken(strongest(t))
	if err := os.MkdirAll(filepath.Join(h.dir, "v3"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	h.taken(strongest(t))
}

// A start that fails where there was nothing leaves nothing, at whatever step; one
// that finds maps leaves them.
func TestFailedStartLeavesNothing(t *testing.T) {
	h := newHost(t)
	if err := errors.Join(h.k.Close(), os.RemoveAll(h.dir)); err != nil {
		t.Fatal(err)
	}
	for n := range newKernel(h.dir).opening() {
		k := newKernel(h.dir)
		h.do("look", k.survey)
		for _, step := range k.opening()[:n+1] {
			h.do("open", step)
		}
		h.do("give up", k.giveUp)
		if got := h.pins(); len(got) != 1 {
			t.Errorf("after step %d: %q", n, got)
		}
	}
	h.k = h.open()
	before := h.pins()
	k := newKernel(h.dir)
	h.do("look", k.survey)
	h.do("load", k.load)
	h.do("give up", k.giveUp)
	if diff := cmp.Diff(before, h.pins()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}
