package guard_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// segment is a NIC under test beside its neighbours.
type segment struct {
	*testing.T
	rules  guard.Rules
	locals *guard.Locals
}

func newSegment(t *testing.T, change func(*nic.Binding)) *segment {
	b := corpus.Binding()
	change(b)
	r := guard.Compile(b).On(b, guard.Site{Segment: 7})
	return &segment{T: t, rules: r, locals: settled(7)}
}

// says judges a frame and wants it to be dropped for a reason, or to pass.
func (s *segment) says(what string, frame []byte, want guard.Verdict) {
	s.Helper()
	got := s.locals.Settle(self, &s.rules, guard.FromGuest(&s.rules, guard.Frame{Data: frame}))
	if got != want {
		s.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func (s *segment) holds(want ...netip.Addr) {
	s.Helper()
	slices.SortFunc(want, netip.Addr.Compare)
	if got := s.locals.Claimed(self); !slices.Equal(got, want) {
		s.Errorf("holds %v, want %v", got, want)
	}
}

func dropped(why reason.Reason) guard.Verdict {
	return guard.Verdict{Action: guard.Drop, Reason: why}
}

func chosen(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fe80::1234:5678:9abc:%x", i)) }

func TestFirstComeFirstServed(t *testing.T) {
	s := newSegment(t, func(*nic.Binding) {})
	var mine []netip.Addr
	for i := range nic.MaxLinkLocals {
		mine = append(mine, chosen(i))
		s.says("a claim", corpus.Probe(mine[i]), guard.Verdict{})
		s.holds(mine...)
	}
	s.says("one too many", corpus.Probe(chosen(99)), dropped(reason.LLLimit))
	s.says("one too many, from it", corpus.From6(chosen(99)), dropped(reason.LLLimit))
	s.says("the neighbour's", corpus.Probe(corpus.BLL), guard.Verdict{Action: guard.Take, Reason: reason.NeighbourSolicit})
	s.says("from the neighbour's", corpus.From6(corpus.BLL), dropped(reason.LLTaken))
	s.says("the gateway's", corpus.Probe(corpus.GLL), dropped(reason.NDTarget))
	s.says("from the gateway's", corpus.From6(corpus.GLL), dropped(reason.IP6Spoof))
	s.says("berth's", corpus.From6(nic.BerthLinkLocal()), dropped(reason.IP6Spoof))
	for _, a := range mine {
		s.says("held already", corpus.From6(a), guard.Verdict{})
	}
	s.says("the EUI-64, which needs no claim", corpus.From6(corpus.LL), guard.Verdict{})
	s.holds(mine...)
}

// A gateway that only another NIC of the segment names is nobody's as well.
func TestAnotherNICsGateway(t *testing.T) {
	s := newSegment(t, func(b *nic.Binding) { b.Gateway6 = netip.Addr{} })
	s.says("from another's gateway", corpus.From6(corpus.GLL), dropped(reason.LLTaken))
	s.says("its advertisement", corpus.Claim6(corpus.LL, corpus.GLL), dropped(reason.LLTaken))
	s.holds()
	other := s.rules
	other.Segment = 8
	s.rules = other
	s.says("on another segment", corpus.From6(corpus.GLL), guard.Verdict{})
}

// A router besides the gateway is nobody's, whatever the policy, in force or
// audited; one list in another order is one meaning.
func TestFurtherRouters(t *testing.T) {
	name := func(b *nic.Binding) { b.Guard.Routers = []netip.Addr{chosen(2), corpus.GLL, chosen(1)} }
	s := newSegment(t, name)
	for _, a := range []netip.Addr{corpus.GLL, chosen(1), chosen(2)} {
		s.says("from a router's", corpus.From6(a), dropped(reason.IP6Spoof))
		s.says("probed", corpus.Probe(a), dropped(reason.NDTarget))
		s.says("advertised", corpus.Claim6(corpus.LL, a), dropped(reason.NDTarget))
	}
	s.says("from one of its choice", corpus.From6(chosen(3)), guard.Verdict{})
	s.holds(chosen(3))
	audited := newSegment(t, func(b *nic.Binding) { name(b); b.Guard.Mode = nic.Audit })
	audited.says("from a router's", corpus.From6(chosen(1)), guard.Verdict{Audited: reason.IP6Spoof})
	audited.holds()
	turned := newSegment(t, func(b *nic.Binding) { b.Guard.Routers = []netip.Addr{chosen(1), chosen(2)} })
	if s.rules.Digest() != turned.rules.Digest() {
		t.Error("the order, or the gateway in the list, changes the digest")
	}
	none := newSegment(t, func(*nic.Binding) {})
	if s.rules.Digest() == none.rules.Digest() {
		t.Error("the routers do not change the digest")
	}
}

// A neighbour that is bound later takes its own, even from who has chosen it.
func TestReservationWins(t *testing.T) {
	s := newSegment(t, func(*nic.Binding) {})
	s.says("a claim", corpus.Probe(chosen(1)), guard.Verdict{})
	s.locals.Reserve(7, chosen(1), neighbour)
	s.says("from what it chose", corpus.From6(chosen(1)), dropped(reason.LLTaken))
	s.holds()
}

// One frame may speak for two link-locals: both must be the NIC's.
func TestTwoClaims(t *testing.T) {
	s := newSegment(t, func(*nic.Binding) {})
	s.says("two new ones", corpus.Claim6(chosen(1), chosen(2)), guard.Verdict{})
	s.holds(chosen(1), chosen(2))
	s.says("one of them another's", corpus.Claim6(chosen(3), corpus.BLL), dropped(reason.LLTaken))
	s.says("the same twice", corpus.Claim6(chosen(3), chosen(3)), guard.Verdict{})
	s.holds(chosen(1), chosen(2), chosen(3))
	s.says("the fourth and the fifth", corpus.Claim6(chosen(4), chosen(5)), dropped(reason.LLLimit))
	s.holds(chosen(1), chosen(2), chosen(3), chosen(4))
}

// The second claim of a frame is not looked at where the first one fails.
func TestSecondClaimFallsWithTheFirst(t *testing.T) {
	for _, mode := range []nic.Mode{nic.Enforce, nic.Audit} {
		s := newSegment(t, func(b *nic.Binding) { b.Guard.Mode = mode })
		want := dropped(reason.LLTaken)
		if mode == nic.Audit {
			want = guard.Verdict{Audited: reason.LLTaken}
		}
		s.says("another's, then a new one", corpus.Claim6(corpus.BLL, chosen(1)), want)
		s.holds()
	}
}

// A frame with another fault claims nothing.
func TestFaultyFramesClaimNothing(t *testing.T) {
	audited := newSegment(t, func(b *nic.Binding) { b.Guard.Mode = nic.Audit })
	audited.says("an advertisement of another's address", corpus.Claim6(chosen(1), corpus.B6), guard.Verdict{Audited: reason.NDTarget})
	audited.holds()
	s := newSegment(t, func(*nic.Binding) {})
	s.says("an advertisement of another's address", corpus.Claim6(chosen(1), corpus.B6), dropped(reason.NDTarget))
	s.says("a rogue advertisement", corpus.Advertise(chosen(2)), dropped(reason.RARogue))
	s.holds()
}

func TestLinkLocalPolicies(t *testing.T) {
	fixed := newSegment(t, func(b *nic.Binding) {
		b.LinkLocal = nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{chosen(1), chosen(2)}}
	})
	fixed.says("on the list", corpus.From6(chosen(1)), guard.Verdict{})
	fixed.says("on the list, advertised", corpus.Claim6(chosen(1), chosen(2)), guard.Verdict{})
	fixed.says("not on the list", corpus.From6(chosen(3)), dropped(reason.IP6Spoof))
	fixed.says("not on the list, probed", corpus.Probe(chosen(3)), dropped(reason.NDTarget))
	fixed.says("EUI-64 beside a list", corpus.From6(corpus.LL), dropped(reason.IP6Spoof))
	fixed.holds()
	derived := newSegment(t, func(b *nic.Binding) { b.LinkLocal.Kind = nic.EUI64Only })
	derived.says("EUI-64", corpus.From6(corpus.LL), guard.Verdict{})
	derived.says("of its choice", corpus.From6(chosen(1)), dropped(reason.IP6Spoof))
	derived.says("of its choice, probed", corpus.Probe(chosen(1)), dropped(reason.NDTarget))
	derived.holds()
}

// In audit mode what is another's, or too many, passes and is noted; who holds
// what does not change by it.
func TestClaimsAudited(t *testing.T) {
	s := newSegment(t, func(b *nic.Binding) { b.Guard.Mode = nic.Audit })
	for i := range nic.MaxLinkLocals {
		s.says("a claim", corpus.From6(chosen(i)), guard.Verdict{})
	}
	s.says("one too many", corpus.From6(chosen(99)), guard.Verdict{Audited: reason.LLLimit})
	s.says("the neighbour's", corpus.From6(corpus.BLL), guard.Verdict{Audited: reason.LLTaken})
	s.says("a solicitation from the neighbour's", corpus.Solicit(corpus.BLL),
		guard.Verdict{Action: guard.Take, Reason: reason.RouterSolicit})
	s.holds(chosen(0), chosen(1), chosen(2), chosen(3))
}

// Without checks nobody is asked for what he speaks as, and nothing is noted.
func TestClaimsUnchecked(t *testing.T) {
	s := newSegment(t, func(b *nic.Binding) { b.Guard.Mode = nic.Off })
	s.says("the neighbour's", corpus.From6(corpus.BLL), guard.Verdict{})
	s.says("of its choice", corpus.From6(chosen(1)), guard.Verdict{})
	s.holds()
}

// Settling what is settled changes nothing.
func TestSettleIsIdempotent(t *testing.T) {
	for _, mode := range []nic.Mode{nic.Enforce, nic.Audit} {
		b := corpus.Binding()
		b.Guard.Mode = mode
		r := guard.Compile(b)
		l := settled(0)
		for _, v := range corpus.All() {
			for i, f := range v.Frames {
				if v.ToGuest {
					continue
				}
				raw := guard.FromGuest(&r, guard.Frame{Data: f})
				once := l.Settle(self, &r, raw)
				held := l.Claimed(self)
				if again := l.Settle(self, &r, raw); again != once {
					t.Errorf("%s frame %d: %+v, settled again %+v", v.ID, i, once, again)
				}
				if twice := l.Settle(self, &r, once); twice != once || !slices.Equal(held, l.Claimed(self)) {
					t.Errorf("%s frame %d: %+v, settled twice %+v", v.ID, i, once, twice)
				}
			}
		}
	}
}
