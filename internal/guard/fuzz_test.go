package guard_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// fuzzed are rules that differ in what they drop.
func fuzzed() []guard.Rules {
	out := []guard.Rules{guard.ClosedRules()}
	for _, change := range []func(*nic.Binding){
		func(*nic.Binding) {},
		func(b *nic.Binding) { b.Guard.Mode = nic.Audit },
		func(b *nic.Binding) { b.Guard.Mode = nic.Off },
		func(b *nic.Binding) { b.Suspended = true },
		func(b *nic.Binding) { b.Guard.Router, b.Guard.Advertise, b.RA.Mode = true, true, nic.RASite },
		func(b *nic.Binding) { b.Guard.Routers = []netip.Addr{corpus.LLS} },
		func(b *nic.Binding) { b.Routed, b.Neighbours = true, nic.NeighboursAll },
		func(b *nic.Binding) { b.ServedBy = nic.ServedBySite },
		func(b *nic.Binding) { b.ServedBy = nic.ServedByTenant; share(b) },
		func(b *nic.Binding) { b.Guard.Peers = []nic.MACRange{{MAC: corpus.G, Bits: 48}} },
	} {
		b := corpus.Binding()
		change(b)
		out = append(out, guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.S4}))
	}
	return out
}

// Whatever comes, the definition neither panics nor changes the frame, says
// the same twice, and lets a mode open nothing that it must not.
func FuzzVerdict(f *testing.F) {
	for _, v := range corpus.All() {
		f.Add(v.Frames[0], false, v.ToGuest)
	}
	rules := fuzzed()
	f.Fuzz(func(t *testing.T, frame []byte, tagged, toGuest bool) {
		before := bytes.Clone(frame)
		verdicts := make([]guard.Verdict, len(rules))
		for i := range rules {
			v := decide(&rules[i], guard.Frame{Data: frame, Tagged: tagged}, toGuest)
			if again := decide(&rules[i], guard.Frame{Data: frame, Tagged: tagged}, toGuest); again != v {
				t.Errorf("rules %d: %+v, and again %+v", i, v, again)
			}
			wellFormed(t, v)
			verdicts[i] = v
		}
		if !bytes.Equal(before, frame) {
			t.Error("the frame was changed")
		}
		consistent(t, verdicts)
	})
}

func decide(r *guard.Rules, f guard.Frame, toGuest bool) guard.Verdict {
	if toGuest {
		return guard.ToGuest(r, f)
	}
	return guard.FromGuest(r, f)
}

func wellFormed(t *testing.T, v guard.Verdict) {
	t.Helper()
	taken := v.Reason >= reason.DHCP4 && v.Reason <= reason.ARPRequest
	if v.Action == guard.Pass != (v.Reason == reason.None) || v.Action == guard.Take != taken {
		t.Errorf("%s for %s", v.Action, v.Reason)
	}
	if v.Action == guard.Drop && (v.Audited != reason.None || v.Claims[0].IsValid()) {
		t.Errorf("dropped and yet %+v", v)
	}
	for _, a := range v.Claims {
		if a.IsValid() && !a.IsLinkLocalUnicast() {
			t.Errorf("claims %s", a)
		}
	}
}

// consistent compares closed, enforcing, auditing and open rules.
func consistent(t *testing.T, v []guard.Verdict) {
	t.Helper()
	closed, enforced, audited, off := v[0], v[1], v[2], v[3]
	if closed != dropped(reason.NoBinding) {
		t.Errorf("closed: %+v", closed)
	}
	if enforced.Action != guard.Drop && (enforced != audited || audited.Action != off.Action) {
		t.Errorf("enforced %+v, audited %+v, off %+v", enforced, audited, off)
	}
	if (audited.Action == guard.Drop) != (off.Action == guard.Drop) || off.Audited != reason.None {
		t.Errorf("audited %+v, off %+v", audited, off)
	}
	if audited.Audited != reason.None && enforced != dropped(audited.Audited) {
		t.Errorf("audited %+v, enforced %+v", audited, enforced)
	}
}
