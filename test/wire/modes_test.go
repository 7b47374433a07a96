package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// mode is a binding that differs from the corpus's, and what must become of a
// few telling vectors under it.
type mode struct {
	name   string
	change func(*nic.Binding)
	want   map[string]guard.Verdict
}

func modes() []mode {
	contained := func(also map[string]guard.Verdict) map[string]guard.Verdict {
		also["F01"] = guard.Verdict{Action: guard.Drop, Reason: reason.DHCPServer}
		also["F24"] = guard.Verdict{Action: guard.Drop, Reason: reason.DHCPServer}
		also["N01"] = guard.Verdict{Action: guard.Drop, Reason: reason.DHCPForeign}
		also["G01"] = guard.Verdict{Action: guard.Take, Reason: reason.DHCP4}
		also["G35"] = guard.Verdict{Action: guard.Drop, Reason: reason.DHCPDisguised}
		return also
	}
	noted := func(r reason.Reason) guard.Verdict { return guard.Verdict{Audited: r} }
	dropped := func(r reason.Reason) guard.Verdict { return guard.Verdict{Action: guard.Drop, Reason: r} }
	return []mode{
		{"audit", func(b *nic.Binding) { b.Guard.Mode = nic.Audit }, contained(map[string]guard.Verdict{
			"A01": noted(reason.MACSpoof), "B01": noted(reason.IP4Spoof), "C01": noted(reason.ARPSpoofIP),
			"H37": noted(reason.VLANTag), "K04": noted(reason.LinkCtl), "P01": {},
		})},
		{"off", func(b *nic.Binding) { b.Guard.Mode = nic.Off }, contained(map[string]guard.Verdict{
			"A01": {}, "B01": {}, "C01": {}, "H37": {}, "K04": {}, "P01": {},
		})},
		{"VRRP MAC granted", func(b *nic.Binding) { b.Guard.AllowMACs = []nic.MAC{corpus.V} }, contained(map[string]guard.Verdict{
			"A13": {}, "A01": dropped(reason.MACSpoof), "A11": dropped(reason.MACSpoof), "C24": dropped(reason.ARPSpoofMAC),
		})},
		{"router", func(b *nic.Binding) { b.Guard.Router = true }, contained(map[string]guard.Verdict{
			"E17": {}, "L01": {}, "L05": {}, "B01": dropped(reason.IP4Spoof),
		})},
		{"no IP check", func(b *nic.Binding) { b.Guard.Checks.IP = false }, contained(map[string]guard.Verdict{
			"B01": {}, "B31": {}, "C01": dropped(reason.ARPSpoofIP), "A01": dropped(reason.MACSpoof),
		})},
	}
}

// Audit lets a broken check pass and counts it, off lets it pass; neither lets
// DHCP through in any direction.
func TestModesOnTheWire(t *testing.T) {
	s := newSite(t, tap)
	s.openKernel()
	s.floodAll()
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			s := s.in(t)
			b := corpus.Binding()
			m.change(b)
			index := s.attach(guard.Compile(b), true)
			for id, want := range m.want {
				v := vector(t, id)
				if diff := cmp.Diff(want, s.judge(v.ToGuest, v.Frames[0])); diff != "" {
					t.Errorf("%s %s (-want +got):\n%s", v.ID, v.Case, diff)
				}
			}
			s.runCorpus(index, m.name)
		})
	}
}

// in is the site with another test to report to.
func (s *site) in(t testing.TB) *site {
	c := *s
	c.TB = t
	return &c
}

func vector(t testing.TB, id string) corpus.Vector {
	t.Helper()
	for _, v := range corpus.All() {
		if v.ID == id {
			return v
		}
	}
	t.Fatalf("no vector %s", id)
	return corpus.Vector{}
}

// A closed NIC says and hears nothing, a suspended one is only asked for DHCP.
func TestClosedOnTheWire(t *testing.T) {
	suspended := corpus.Binding()
	suspended.Suspended = true
	for name, r := range map[string]guard.Rules{"closed": guard.ClosedRules(), "suspended": guard.Compile(suspended)} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tap)
			s.openKernel()
			s.floodAll()
			index := s.attach(r, true)
			want := outcome{}
			want.Counters.Dropped = map[reason.Reason]uint64{}
			frames := s.allDenied(&want)
			s.guest.send(t, frames...)
			// The guest can't send the end marker; the neighbour does.
			end := s.sentinel(corpus.B, corpus.B4)
			s.vm.send(t, end)
			got := outcome{Counters: s.counters(index)}
			got.Arrived.LAN, got.Arrived.Stack = s.heardLAN.until(t, end), s.heardStack.until(t, end)
			for _, p := range s.punts.take(t, len(want.Punted)) {
				got.Punted = append(got.Punted, p.Frame)
			}
			// Its broadcast came to the managed port's other side, too.
			want.Counters = towardsNeighbour(want.Counters, r.Closed)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// allDenied returns every frame a guest of the corpus sends, expecting none to
// pass.
func (s *site) allDenied(want *outcome) [][]byte {
	var frames [][]byte
	for _, v := range corpus.All() {
		if v.ToGuest {
			continue
		}
		for _, f := range v.Frames {
			if verdict := s.judge(false, f); verdict.Action == guard.Pass {
				s.Errorf("%s %s passes", v.ID, v.Case)
			} else if reachesHook(f) {
				s.expectFromGuest(want, f, verdict)
			}
		}
		frames = append(frames, v.Frames...)
	}
	return frames
}

// towardsNeighbour adds one plain broadcast towards the guest.
func towardsNeighbour(c datapath.Counters, closed bool) datapath.Counters {
	if closed {
		c.Dropped[reason.NoBinding]++
	} else {
		c.ToGuest++
	}
	return c
}
