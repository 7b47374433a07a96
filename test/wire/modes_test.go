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
		also["F13"] = guard.Verdict{Action: guard.Drop, Reason: reason.DHCPServer}
		also["N06"] = guard.Verdict{Action: guard.Drop, Reason: reason.DHCPForeign}
		also["G25"] = guard.Verdict{Action: guard.Take, Reason: reason.DHCP6}
		also["D45"] = guard.Verdict{Action: guard.Drop, Reason: reason.ToBerth}
		return also
	}
	routed := func(also map[string]guard.Verdict) map[string]guard.Verdict {
		also["E01"] = guard.Verdict{Action: guard.Drop, Reason: reason.RARogue}
		also["E20"] = guard.Verdict{Action: guard.Take, Reason: reason.RouterSolicit}
		also["N04"] = guard.Verdict{Action: guard.Drop, Reason: reason.RAForeign}
		return contained(also)
	}
	noted := func(r reason.Reason) guard.Verdict { return guard.Verdict{Audited: r} }
	dropped := func(r reason.Reason) guard.Verdict { return guard.Verdict{Action: guard.Drop, Reason: r} }
	return []mode{
		{"audit", func(b *nic.Binding) { b.Guard.Mode = nic.Audit }, routed(map[string]guard.Verdict{
			"A01": noted(reason.MACSpoof), "B01": noted(reason.IP4Spoof), "C01": noted(reason.ARPSpoofIP),
			"H37": noted(reason.VLANTag), "K04": noted(reason.LinkCtl), "P01": {},
			"D02": noted(reason.NDTarget), "D04": noted(reason.LLTaken), "I01": noted(reason.IP6Spoof), "P23": {},
		})},
		{"off", func(b *nic.Binding) { b.Guard.Mode = nic.Off }, routed(map[string]guard.Verdict{
			"A01": {}, "B01": {}, "C01": {}, "H37": {}, "K04": {}, "P01": {}, "D02": {}, "D04": {}, "I01": {}, "P23": {},
		})},
		{"VRRP MAC granted", func(b *nic.Binding) { b.Guard.AllowMACs = []nic.MAC{corpus.V} }, routed(map[string]guard.Verdict{
			"A13": {}, "A01": dropped(reason.MACSpoof), "A11": dropped(reason.MACSpoof), "C24": dropped(reason.ARPSpoofMAC),
		})},
		{"trunk", func(b *nic.Binding) { b.Guard.AllowVLANs = []uint16{42} }, routed(map[string]guard.Verdict{
			"H09": dropped(reason.VLANTag), "H10": dropped(reason.IP4Spoof), "H11": dropped(reason.ARPSpoofIP), "H12": {}, "H15": dropped(reason.VLANTag),
		})},
		{"router", func(b *nic.Binding) { b.Guard.Router = true }, routed(map[string]guard.Verdict{
			"E17": {}, "L01": {}, "L05": {}, "B01": dropped(reason.IP4Spoof), "D05": {}, "E16": {}, "L08": {}, "D02": dropped(reason.NDTarget),
		})},
		{"no IP check", func(b *nic.Binding) { b.Guard.Checks.IP = false }, routed(map[string]guard.Verdict{
			"B01": {}, "B31": {}, "C01": dropped(reason.ARPSpoofIP), "A01": dropped(reason.MACSpoof), "I01": {}, "D02": dropped(reason.NDTarget),
		})},
		{"no ND check", func(b *nic.Binding) { b.Guard.Checks.ND = false }, routed(map[string]guard.Verdict{
			"D02": {}, "D03": dropped(reason.IP6Spoof), "I01": dropped(reason.IP6Spoof), "C01": dropped(reason.ARPSpoofIP),
		})},
		{"IPv4 only", func(b *nic.Binding) { b.IPv6 = nic.IPv6Off }, map[string]guard.Verdict{
			"P20": dropped(reason.IPv6Closed), "P73": dropped(reason.IPv6Closed), "P24": dropped(reason.IPv6Closed), "E20": dropped(reason.IPv6Closed),
			"E01": dropped(reason.RARogue), "N04": dropped(reason.RAForeign), "P09": {},
		}},
		{"the site's routers", func(b *nic.Binding) { b.RA.Mode = nic.RASite }, contained(map[string]guard.Verdict{
			"E20": {}, "N04": {}, "N05": dropped(reason.RAForeign), "E01": dropped(reason.RARogue),
		})},
		{"a router that advertises", func(b *nic.Binding) { b.Guard.Router, b.Guard.Advertise = true, true }, contained(map[string]guard.Verdict{
			"E01": {}, "E03": dropped(reason.IP6Spoof), "N04": dropped(reason.RAForeign), "D02": dropped(reason.NDTarget),
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
				if got := s.judge(v.ToGuest, v.Frames[0]); got != want {
					t.Errorf("%s %s: %+v, want %+v", v.ID, v.Case, got, want)
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
			want := noOutcome()
			frames := s.allDenied(&want)
			s.guest.send(t, frames...)
			// The guest can't send the end marker; the neighbour does.
			end := s.sentinel(corpus.B, corpus.B4)
			s.vm.send(t, end)
			got := outcome{Counters: s.counters(index)}
			got.Arrived.LAN, got.Arrived.Stack = s.heardLAN.until(t, end), s.heardStack.until(t, end)
			got.Punted = s.handedUp(index, len(want.Punted))
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
