package guard_test

import (
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func judge(r *guard.Rules, v *corpus.Vector, frame []byte) guard.Verdict {
	if v.ToGuest {
		return guard.ToGuest(r, guard.Frame{Data: frame})
	}
	return guard.FromGuest(r, guard.Frame{Data: frame})
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

// In audit mode only containment drops; every other fault passes and is noted.
func TestCorpusAudited(t *testing.T) {
	b := corpus.Binding()
	b.Guard.Mode = nic.Audit
	r := guard.Compile(b)
	for _, v := range corpus.All() {
		for i, f := range v.Frames {
			got, want := judge(&r, &v, f), v.At(i)
			switch {
			case want.Action != guard.Drop:
				if got.Action != want.Action || got.Audited != reason.None {
					t.Errorf("%s frame %d: %+v, want %s unnoticed", v.ID, i, got, want.Action)
				}
			case want.Reason.Containment() || unreadable(want.Reason) && got.Action == guard.Drop:
				if got.Action != guard.Drop || got.Reason != want.Reason {
					t.Errorf("%s frame %d: %+v, want drop %s", v.ID, i, got, want.Reason)
				}
			case got.Audited != want.Reason:
				t.Errorf("%s frame %d: audited %s, want %s", v.ID, i, got.Audited, want.Reason)
			}
		}
	}
}

// unreadable reports the reasons that no switch opens where nobody can tell
// whether the frame is DHCP.
func unreadable(r reason.Reason) bool {
	return r == reason.Truncated || r == reason.VLANTag || r == reason.LLC || r == reason.IP4Malformed
}

// With all checks off nothing but DHCP is touched, in either direction.
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
			isDHCP := want.Reason.Containment() || want.Action == guard.Take
			if isDHCP && got.Action == guard.Pass {
				t.Errorf("%s %s frame %d passes with checks off", v.ID, v.Case, i)
			}
			if !isDHCP && got.Action == guard.Drop && !unreadable(got.Reason) {
				t.Errorf("%s %s frame %d: dropped for %s with checks off", v.ID, v.Case, i, got.Reason)
			}
		}
	}
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

func TestVariants(t *testing.T) {
	vrrp := corpus.Binding()
	vrrp.Guard.AllowMACs = []nic.MAC{corpus.V}
	router := corpus.Binding()
	router.Guard.Router = true
	lldp := corpus.Binding()
	lldp.Guard.AllowEthertypes = []uint16{0x88cc}
	suspended := corpus.Binding()
	suspended.Suspended = true
	for _, c := range []struct {
		name    string
		binding *nic.Binding
		flips   map[string]guard.Action // what this variant changes
	}{
		{"VRRP MAC granted", vrrp, map[string]guard.Action{"A13": guard.Pass}},
		{"router", router, map[string]guard.Action{"E17": guard.Pass, "L01": guard.Pass, "L03": guard.Pass, "L04": guard.Pass, "L05": guard.Pass}},
		{"ethertype granted", lldp, map[string]guard.Action{"H72": guard.Pass, "K10": guard.Pass}},
		{"suspended", suspended, map[string]guard.Action{"P01": guard.Drop, "P09": guard.Drop, "P03": guard.Drop, "P10": guard.Drop, "G38": guard.Drop}},
	} {
		r := guard.Compile(c.binding)
		for _, v := range corpus.All() {
			want, flips := c.flips[v.ID]
			if !flips {
				want = v.At(0).Action
				if c.name == "suspended" && want == guard.Pass && !v.ToGuest {
					want = guard.Drop
				}
			}
			if got := judge(&r, &v, v.Frames[0]); got.Action != want {
				t.Errorf("%s: %s %s: %s, want %s", c.name, v.ID, v.Case, got.Action, want)
			}
		}
	}
}
