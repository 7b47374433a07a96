package guard_test

import (
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// The NIC under test, and another one of its segment.
const self, neighbour = 1, 2

// settled are the link-locals of a segment where the NIC has its EUI-64, a
// neighbour holds corpus.BLL and corpus.GLL is a gateway's.
func settled(segment uint32) *guard.Locals {
	l := &guard.Locals{}
	l.Reserve(segment, corpus.LL, self)
	l.Reserve(segment, corpus.BLL, neighbour)
	l.Reserve(segment, corpus.GLL, guard.Nobody)
	return l
}

// judge is the whole verdict on a frame of a NIC that holds nothing yet.
func judge(r *guard.Rules, v *corpus.Vector, frame []byte) guard.Verdict {
	f := guard.Frame{Data: frame}
	if v.ToGuest {
		return guard.ToGuest(r, f)
	}
	return settled(r.Segment).Settle(self, r, guard.FromGuest(r, f))
}

func TestCorpusEnforced(t *testing.T) {
	r := guard.Compile(corpus.Binding())
	seen := map[string]bool{}
	for _, v := range corpus.All() {
		if seen[v.ID] {
			t.Errorf("%s stands twice in the corpus", v.ID)
		}
		seen[v.ID] = true
		for i, f := range v.Frames {
			got, want := judge(&r, &v, f), v.At(i)
			if got.Action != want.Action || got.Reason != want.Reason || got.Audited != reason.None {
				t.Errorf("%s %s frame %d: %s %s (audited %s), want %s %s", v.ID, v.Case, i,
					got.Action, got.Reason, got.Audited, want.Action, want.Reason)
			}
		}
	}
}

// conflict is the probe that is taken because another NIC holds the address.
const conflict = "D27"

// In audit mode only containment drops; every other fault passes and is noted.
func TestCorpusAudited(t *testing.T) {
	b := corpus.Binding()
	b.Guard.Mode = nic.Audit
	r := guard.Compile(b)
	for _, v := range corpus.All() {
		for i, f := range v.Frames {
			got, want := judge(&r, &v, f), v.At(i)
			if v.ID == conflict { // is told where it is enforced, else noted
				want = corpus.Want{Action: guard.Drop, Reason: reason.LLTaken}
			}
			switch {
			case want.Action != guard.Drop:
				if got.Action != want.Action || got.Audited != reason.None {
					t.Errorf("%s frame %d: %+v, want %s unnoticed", v.ID, i, got, want.Action)
				}
			case contained(v.ID, want) || unreadable(want.Reason) && got.Action == guard.Drop:
				if got.Action != guard.Drop || got.Reason != want.Reason {
					t.Errorf("%s frame %d: %+v, want drop %s", v.ID, i, got, want.Reason)
				}
			case got.Audited != want.Reason:
				t.Errorf("%s frame %d: audited %s, want %s", v.ID, i, got.Audited, want.Reason)
			}
		}
	}
}

// contained reports the drops that no switch opens. Of fragmented neighbour
// discovery only the router solicitations (class E) are among them.
func contained(id string, w corpus.Want) bool {
	return w.Action == guard.Drop && w.Reason.Containment() && (w.Reason != reason.NDFragment || id[0] == 'E')
}

// unreadable reports the reasons that no switch opens where nobody can tell
// whether the frame is DHCP.
func unreadable(r reason.Reason) bool {
	switch r {
	case reason.Truncated, reason.VLANTag, reason.LLC, reason.IP4Malformed, reason.IP6Malformed, reason.IP6Chain:
		return true
	default:
		return false
	}
}

// U5. With all checks off nothing but DHCP, solicitations and router
// advertisements is touched, in either direction.
func TestCorpusOff(t *testing.T) {
	b := corpus.Binding()
	b.Guard.Mode = nic.Off
	r := guard.Compile(b)
	if r.Mode() != "off" {
		t.Fatalf("mode %q, want off", r.Mode())
	}
	for _, v := range corpus.All() {
		for i, f := range v.Frames {
			got, want := judge(&r, &v, f), v.At(i)
			held := contained(v.ID, want) || want.Action == guard.Take && v.ID != conflict
			if held && got.Action == guard.Pass {
				t.Errorf("%s %s frame %d passes with checks off", v.ID, v.Case, i)
			}
			if !held && got.Action == guard.Drop && !unreadable(got.Reason) {
				t.Errorf("%s %s frame %d: dropped for %s with checks off", v.ID, v.Case, i, got.Reason)
			}
		}
	}
}

// With the IP check off the discovery check still holds every neighbour's
// message to the NIC, its source too, and redirects to routers.
func TestDiscoveryCheckedAlone(t *testing.T) {
	b := corpus.Binding()
	b.Guard.Checks.IP = false
	site, none := corpus.Binding(), corpus.Binding()
	site.Guard.Checks.IP, site.RA.Mode = false, nic.RASite
	none.Guard.Checks.IP, none.IPv6 = false, nic.IPv6Off
	hold := func(b *nic.Binding, id string, want reason.Reason) {
		r := guard.Compile(b)
		for _, v := range corpus.All() {
			for i, f := range v.Frames {
				if got := judge(&r, &v, f); v.ID == id && got.Reason != want {
					t.Errorf("%s %s frame %d: %s, want %s", v.ID, v.Case, i, got.Reason, want)
				}
			}
		}
	}
	hold(b, "D14", reason.IP6Spoof)
	hold(b, "E16", reason.ICMPRedirect)
	hold(b, "E18", reason.IP6Spoof)
	hold(site, "E32", reason.IP6Spoof)
	hold(none, "P25", reason.NDTarget)
	for _, id := range []string{"P24", "P25", "P26", "P27", "P28", "P29", "P30", "P31", "P32"} {
		hold(b, id, reason.None)
	}
	b.Guard.Router = true
	hold(b, "E16", reason.None)
}

func TestClosedPassesNothing(t *testing.T) {
	r := guard.ClosedRules()
	for _, v := range corpus.All() {
		for _, f := range v.Frames {
			if got := judge(&r, &v, f); got.Action != guard.Drop || got.Reason != reason.NoBinding {
				t.Errorf("%s: %+v, want drop no-binding", v.ID, got)
			}
		}
	}
}

// No attack of the guest passes for being cut short.
func TestTruncationNeverOpens(t *testing.T) {
	r := guard.Compile(corpus.Binding())
	for _, v := range corpus.All() {
		for i, f := range v.Frames {
			if v.ToGuest || v.At(i).Action == guard.Pass {
				continue
			}
			for n := range f {
				if got := judge(&r, &v, f[:n]); got.Action == guard.Pass {
					t.Errorf("%s %s frame %d cut to %d bytes passes", v.ID, v.Case, i, n)
				}
			}
		}
	}
}
