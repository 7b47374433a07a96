package datapath

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/testenv"
)

// unsee forgets when the NIC announced its shared addresses, if it has any.
func (o *oracle) unsee() {
	o.Helper()
	for _, a := range o.rules.Shared {
		key := berthShareKey{Ifindex: lo, Addr: in6Of(a)}
		if err := o.k.maps.Shares.Update(&key, &berthShare{}, ebpf.UpdateExist); err != nil {
			o.Fatalf("forget %s: %v", a, err)
		}
	}
}

// sees compares what the program noted of a frame with what it announces.
func (o *oracle) sees(toGuest bool, frame []byte, v guard.Verdict) {
	o.Helper()
	if len(o.rules.Shared) == 0 {
		return
	}
	seen, err := o.k.Seen()
	if err != nil {
		o.Fatal(err)
	}
	said := guard.Announced(guard.Frame{Data: frame})
	for _, a := range o.rules.Shared {
		want := !toGuest && v.Action == guard.Pass && a == said
		if at := seen[Share{lo, a}]; (at != 0) != want {
			o.Fatalf("%s seen at %s, want it seen: %t, of a frame that announces %s:\n%x", a, at, want, said, frame)
		}
	}
	if len(seen) != len(o.rules.Shared) {
		o.Fatalf("%d shares noted, want %d", len(seen), len(o.rules.Shared))
	}
}

// What the kernel holds reads back as what was put in force.
func TestRulesReadBack(t *testing.T) {
	o := newOracle(t)
	for name, want := range variants() {
		o.use(want)
		got, ok, err := o.k.Rules(lo)
		if err != nil || !ok {
			t.Fatalf("%s: %t, %v", name, ok, err)
		}
		opts := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}
		if diff := cmp.Diff(want, got, opts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// shareWith is the corpus's NIC with addresses in common with others.
func shareWith(list ...netip.Addr) guard.Rules {
	b := corpus.Binding()
	if len(list) > 0 {
		b.Shared = []nic.Shared{{Group: "web", Addresses: list, VRID: 5}}
	}
	return guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4})
}

func (o *oracle) shared(when string, want ...Share) map[Share]time.Duration {
	o.Helper()
	seen, err := o.k.Seen()
	if err != nil {
		o.Fatal(err)
	}
	got := map[Share]bool{}
	for s := range seen {
		got[s] = true
	}
	wanted := map[Share]bool{}
	for _, s := range want {
		wanted[s] = true
	}
	if !reflect.DeepEqual(got, wanted) {
		o.Errorf("%s: shares %v, want %v", when, got, wanted)
	}
	return seen
}

// The shares of a NIC come, change and go with its rules; what was seen of one
// that stays is kept.
func TestSharesFollowTheRules(t *testing.T) {
	o := newOracle(t)
	fill := func(index int, name string, r guard.Rules) {
		t.Helper()
		if err := o.k.fill(index, name, &r); err != nil {
			t.Fatal(err)
		}
	}
	o.use(shareWith(corpus.Y4, corpus.Y6))
	four, six, theirs := Share{lo, corpus.Y4}, Share{lo, corpus.Y6}, Share{9, corpus.Y4}
	fill(9, "tap9", shareWith(corpus.Y4))
	o.judge(false, corpus.Announce4(corpus.Y4, corpus.V))
	seen := o.shared("at first", four, six, theirs)
	if seen[four] == 0 || seen[six] != 0 || seen[theirs] != 0 {
		t.Errorf("seen %v after an announcement of %v", seen, four)
	}
	fill(lo, "lo", shareWith(corpus.Y4))
	if again := o.shared("after a change", four, theirs); again[four] != seen[four] {
		t.Errorf("seen %s after a change of the rules, want %s", again[four], seen[four])
	}
	fill(lo, "lo", shareWith())
	o.shared("without a share", theirs)
	fill(lo, "lo", shareWith(corpus.Y6))
	if err := o.k.Forget(9); err != nil {
		t.Fatal(err)
	}
	o.shared("after the other NIC", six)
	fill(lo, "lo", guard.ClosedRules())
	o.shared("closed")
}

// A crash between the tables leaves what the next start mends.
func TestSharesAreSwept(t *testing.T) {
	o := newOracle(t)
	o.use(shareWith(corpus.Y6))
	for _, index := range []uint32{neighbour, 4711} { // one without a share, one of no NIC
		if err := o.k.addShares(index, []netip.Addr{corpus.Y4}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.k.sweepShares(); err != nil {
		t.Fatal(err)
	}
	o.shared("after the sweep", Share{lo, corpus.Y6})
}

func monotonic(t testing.TB) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// On the wire: who holds a shared address is seen, by either family.
func TestSharesAreSeenOnTheWire(t *testing.T) {
	eachAttachment(t, func(h *host, index int, _ plan.Attach) {
		h.protect(index, shareWith(corpus.Y4, corpus.Y6))
		for a, frame := range map[netip.Addr][]byte{
			corpus.Y4: corpus.Announce4(corpus.Y4, corpus.V),
			corpus.Y6: corpus.Announce6(corpus.Y6, corpus.V6),
		} {
			before := monotonic(h)
			h.inject(frame)
			h.lan.Wait(patience, "the announcement of "+a.String(), func(f testenv.Frame) bool { return bytes.Equal(f.Data, frame) })
			seen, err := h.k.Seen()
			if at := seen[Share{index, a}]; err != nil || at < before || at > monotonic(h) {
				h.Errorf("%s seen at %s, %v; it was announced after %s", a, at, err, before)
			}
		}
		h.reopen()
		if seen, err := h.k.Seen(); err != nil || seen[Share{index, corpus.Y4}] == 0 {
			h.Errorf("seen after a restart: %v, %v", seen, err)
		}
	})
}

// On the wire: a guest that speaks for a virtual router, and one that serves.
func TestTenantOnTheWire(t *testing.T) {
	eachAttachment(t, func(h *host, index int, _ plan.Attach) {
		vrrp, offer := corpus.Vrrp4(5), vectorOf(h, "F01")
		is := func(want []byte) testenv.Filter {
			return func(f testenv.Frame) bool { return bytes.Equal(f.Data, want) }
		}
		h.inject(vrrp, offer)
		h.holds("after what it may not send")
		h.lan.None("VRRP without a share", is(vrrp))
		h.lan.None("an offer without leave", is(offer))
		b := corpus.Binding()
		b.ServedBy, b.Shared = nic.ServedByTenant, []nic.Shared{{Group: "web", Addresses: []netip.Addr{corpus.Y4}, VRID: 5}}
		h.protect(index, guard.Compile(b))
		h.inject(vrrp, offer)
		h.lan.Wait(patience, "VRRP of a share", is(vrrp))
		h.lan.Wait(patience, "an offer of the tenant's", is(offer))
	})
}

// On the wire: only its peers reach the NIC, by broadcast neither.
func TestPeersOnTheWire(t *testing.T) {
	eachAttachment(t, func(h *host, index int, _ plan.Attach) {
		b := corpus.Binding()
		b.Guard.Peers = []nic.MACRange{{MAC: corpus.G, Bits: 48}}
		h.protect(index, guard.Compile(b))
		heard := testenv.Capture(h.TB, h.guest, "eth0", testenv.InboundOnly)
		known, foreign := vectorOf(h, "P42"), vectorOf(h, "N08")
		testenv.Inject(h.TB, h.site, "eth0", foreign, known)
		heard.Wait(patience, "the gateway's ARP", func(f testenv.Frame) bool { return bytes.Equal(f.Data, known) })
		heard.None("another VM's ARP", func(f testenv.Frame) bool { return bytes.Equal(f.Data, foreign) })
	})
}

// vectorOf is the first frame of one of the corpus's vectors.
func vectorOf(t testing.TB, id string) []byte {
	t.Helper()
	for _, v := range corpus.All() {
		if v.ID == id {
			return v.Frames[0]
		}
	}
	t.Fatalf("no vector %s", id)
	return nil
}
