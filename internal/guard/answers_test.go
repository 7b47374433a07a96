package guard_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// level is how much of the link is answered for.
type level struct {
	name   string
	change func(*nic.Binding)
	id     netip.Addr // server identifier
}

func levels() []level {
	gateways := func(b *nic.Binding) { b.Neighbours, b.GatewayMAC = nic.NeighboursGateway, corpus.G }
	return []level{
		{"off", func(*nic.Binding) {}, corpus.S4},
		{"off, made up identifier", func(*nic.Binding) {}, netip.MustParseAddr("169.254.0.1")},
		{"server", func(b *nic.Binding) { b.Neighbours = nic.NeighboursServer }, corpus.S4},
		{"gateway", gateways, corpus.S4},
		{"gateway, its MAC unknown", func(b *nic.Binding) { b.Neighbours = nic.NeighboursGateway }, corpus.S4},
		{"all", func(b *nic.Binding) { b.Neighbours, b.Routed = nic.NeighboursAll, true }, corpus.S4},
	}
}

// question is an ARP request or solicitation, and the levels at which it is
// taken. Elsewhere it must meet the other verdict.
type question struct {
	name      string
	frame     []byte
	taken     map[string]bool
	otherwise guard.Verdict
}

func at(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

func questions4() []question {
	ask, probe := corpus.AskARP, func(a netip.Addr) []byte { return corpus.AskARP(corpus.Any4, a) }
	made := netip.MustParseAddr("169.254.0.1")
	return []question{
		{"ARP for the gateway", ask(corpus.M4, corpus.G4), at("gateway", "all"), guard.Verdict{}},
		{"ARP for the server", ask(corpus.M4, corpus.S4), at("server", "gateway", "gateway, its MAC unknown", "all"), guard.Verdict{}},
		{"ARP for a made up server", ask(corpus.M4, made), at("off, made up identifier", "all"), guard.Verdict{}},
		{"ARP for another VM", ask(corpus.M4, corpus.B4), at("all"), guard.Verdict{}},
		{"ARP for the own address", ask(corpus.M4, corpus.M4), nil, guard.Verdict{}},
		{"ARP for the own further address", ask(corpus.M4, corpus.X4), nil, guard.Verdict{}},
		{"ARP probe of the own address", probe(corpus.M4), nil, guard.Verdict{}},
		{"ARP probe of the gateway", probe(corpus.G4), at("gateway", "all"), dropped(reason.ARPProbe)},
		{"ARP probe of the server", probe(corpus.S4), at("server", "gateway", "gateway, its MAC unknown", "all"), dropped(reason.ARPProbe)},
		{"ARP probe of another VM", probe(corpus.B4), nil, dropped(reason.ARPProbe)},
		{"ARP for nobody", ask(corpus.M4, corpus.Any4), nil, guard.Verdict{}},
		{"ARP for a group", ask(corpus.M4, netip.MustParseAddr("224.0.0.1")), nil, guard.Verdict{}},
		{"ARP for all", ask(corpus.M4, corpus.BC4), nil, guard.Verdict{}},
	}
}

func questions6() []question {
	ask := func(a netip.Addr) []byte { return corpus.Ask6(corpus.LL, a) }
	everywhere := at("off", "off, made up identifier", "server", "gateway", "gateway, its MAC unknown", "all")
	return []question{
		{"NS for berth", ask(nic.BerthLinkLocal()), everywhere, guard.Verdict{}},
		{"NS for the gateway", ask(corpus.GLL), at("gateway", "all"), guard.Verdict{}},
		{"NS for another VM", ask(corpus.B6), at("all"), guard.Verdict{}},
		{"NS for another VM's link-local", ask(corpus.BLL), nil, guard.Verdict{}},
		{"NS for the own address", ask(corpus.M6), nil, guard.Verdict{}},
		{"NS for the own further address", ask(corpus.X6), nil, guard.Verdict{}},
		{"NS for the own link-local", ask(corpus.LL), nil, guard.Verdict{}},
		{"NS for ::", ask(corpus.Any6), nil, guard.Verdict{}},
		{"NS for a group", ask(netip.MustParseAddr("ff02::1")), nil, dropped(reason.NDMalformed)},
		{"DAD of berth", corpus.Probe(nic.BerthLinkLocal()), everywhere, guard.Verdict{}},
		{"DAD of the gateway", corpus.Probe(corpus.GLL), at("gateway", "all"), dropped(reason.NDTarget)},
		{"DAD of the own address", corpus.Probe(corpus.M6), nil, guard.Verdict{}},
		{"DAD of the own link-local", corpus.Probe(corpus.LL), nil, guard.Verdict{}},
		{"DAD of another VM", corpus.Probe(corpus.B6), nil, dropped(reason.NDTarget)},
	}
}

func TestNeighboursAnswered(t *testing.T) {
	for _, l := range levels() {
		b := corpus.Binding()
		l.change(b)
		r := guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: l.id})
		for why, qs := range map[reason.Reason][]question{reason.ARPRequest: questions4(), reason.NeighbourSolicit: questions6()} {
			for _, q := range qs {
				want := q.otherwise
				if q.taken[l.name] {
					want = guard.Verdict{Action: guard.Take, Reason: why}
				}
				if got := judge(&r, &corpus.Vector{}, q.frame); got != want {
					t.Errorf("level %s: %s: %+v, want %+v", l.name, q.name, got, want)
				}
			}
		}
	}
}

// What is taken is what is asked plainly: an ARP reply, a solicitation in a
// tag or an atomic fragment is judged as any other frame, and so is a probe,
// whatever the mode.
func TestOnlyPlainQuestionsAreTaken(t *testing.T) {
	b := corpus.Binding()
	b.Neighbours, b.Routed = nic.NeighboursAll, true
	r := guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.S4})
	b.Guard.Mode = nic.Off
	open := guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.S4})
	for _, id := range []string{"C01", "C12", "C13", "C15", "C16", "C18", "C19", "H02", "H40", "D43", "D44", "H49"} {
		v := vector(t, id)
		for i, f := range v.Frames {
			if got, want := judge(&r, &v, f), v.At(i); got.Action != want.Action || got.Reason != want.Reason {
				t.Errorf("%s frame %d: %+v, want %s %s", id, i, got, want.Action, want.Reason)
			}
			if got := judge(&open, &v, f); got != (guard.Verdict{}) {
				t.Errorf("%s frame %d, checks off: %+v", id, i, got)
			}
		}
	}
	for name, f := range map[string][]byte{"ARP probe": corpus.AskARP(corpus.Any4, corpus.B4), "DAD": corpus.Probe(corpus.B6)} {
		if got := judge(&open, &corpus.Vector{}, f); got != (guard.Verdict{}) {
			t.Errorf("%s of another VM, checks off: %+v", name, got)
		}
	}
}

// A question is taken from whatever address, because a guest whose own was
// changed still looks for the server it renews with. Its MACs are checked all
// the same.
func TestQuestionsAreChecked(t *testing.T) {
	b := corpus.Binding()
	b.Neighbours, b.Routed = nic.NeighboursAll, true
	r := guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.S4})
	arp, nd := corpus.AskARP(corpus.B4, corpus.G4), corpus.Ask6(corpus.B6, corpus.GLL)
	takenARP := guard.Verdict{Action: guard.Take, Reason: reason.ARPRequest}
	takenND := guard.Verdict{Action: guard.Take, Reason: reason.NeighbourSolicit}
	for name, c := range map[string]struct {
		frame []byte
		want  guard.Verdict
	}{
		"ARP from another's address":               {arp, takenARP},
		"ARP from another's MAC":                   {with(arp, 6, corpus.B), dropped(reason.MACSpoof)},
		"ARP with another's sender MAC":            {with(arp, 22, corpus.B), dropped(reason.ARPSpoofMAC)},
		"NS from another's address":                {nd, takenND},
		"NS from another's link-local":             {corpus.Ask6(corpus.BLL, nic.BerthLinkLocal()), takenND},
		"NS from another's MAC":                    {with(nd, 6, corpus.B), dropped(reason.MACSpoof)},
		"NS from another's address, another's MAC": {with(nd, 14+40+24+2, corpus.B), dropped(reason.NDSpoofMAC)},
		"RS from another's address":                {corpus.Solicit(corpus.B6), dropped(reason.IP6Spoof)},
	} {
		if got := judge(&r, &corpus.Vector{}, c.frame); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// with is the frame with another MAC at an offset.
func with(f []byte, at int, m nic.MAC) []byte {
	return slices.Concat(f[:at], m[:], f[at+len(m):])
}

// What berth was to the guest before, it is until the guest has renewed.
func TestFormerServersAreAnswered(t *testing.T) {
	b := corpus.Binding()
	former := []netip.Addr{corpus.S4, corpus.M4, corpus.X4, corpus.S4, corpus.B4} // two of its own, one beyond the limit
	on := func() guard.Rules {
		return guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: netip.MustParseAddr("169.254.0.1"), Former: former})
	}
	r := on()
	if want := []netip.Addr{corpus.S4}; !slices.Equal(r.Former4, want) {
		t.Errorf("former servers %v, want %v", r.Former4, want)
	}
	if got := judge(&r, &corpus.Vector{}, corpus.AskARP(corpus.B4, corpus.S4)); got.Reason != reason.ARPRequest {
		t.Errorf("asked for a former server from a former address: %+v", got)
	}
	if got := judge(&r, &corpus.Vector{}, corpus.AskARP(corpus.X4, corpus.S4)); got.Action != guard.Pass {
		t.Errorf("asked from its own address, where the site may have that one: %+v", got)
	}
	if got := judge(&r, &corpus.Vector{}, corpus.AskARP(netip.IPv4Unspecified(), corpus.S4)); got.Reason != reason.ARPProbe {
		t.Errorf("probed: %+v", got)
	}
	former = []netip.Addr{b.Gateway, corpus.M6}
	if r := on(); len(r.Former4) != 0 {
		t.Errorf("the gateway is a former server: %v", r.Former4)
	}
	b.ServedBy, former = nic.ServedBySite, []netip.Addr{corpus.S4}
	if r := on(); r.Answer4 != nil || r.Former4 != nil {
		t.Errorf("answers for %v and %v where the site serves", r.Answer4, r.Former4)
	}
}

// berth's own MAC takes what is asked and nothing else, in every mode.
func TestToBerth(t *testing.T) {
	for _, mode := range []nic.Mode{nic.Enforce, nic.Audit, nic.Off} {
		b := corpus.Binding()
		b.Guard.Mode = mode
		r := guard.Compile(b)
		for _, id := range []string{"P01", "P09", "P20", "P27", "A01", "B01", "I01", "H60"} {
			f := readdressed(vector(t, id).Frames[0])
			if got := judge(&r, &corpus.Vector{}, f); got != dropped(reason.ToBerth) {
				t.Errorf("mode %d, %s to berth: %+v", mode, id, got)
			}
		}
		for id, want := range map[string]reason.Reason{"G01": reason.DHCP4, "G25": reason.DHCP6, "E20": reason.RouterSolicit, "D28": reason.NeighbourSolicit} {
			f := readdressed(vector(t, id).Frames[0])
			if got := judge(&r, &corpus.Vector{}, f); got != (guard.Verdict{Action: guard.Take, Reason: want}) {
				t.Errorf("mode %d, %s to berth: %+v", mode, id, got)
			}
		}
		f := readdressed(vector(t, "P43").Frames[0])
		if got := judge(&r, &corpus.Vector{ToGuest: true}, f); got != (guard.Verdict{}) {
			t.Errorf("mode %d, from the site to berth's MAC: %+v", mode, got)
		}
	}
}

func readdressed(f []byte) []byte {
	m := nic.BerthMAC()
	return append(m[:], f[6:]...)
}

func vector(t *testing.T, id string) corpus.Vector {
	t.Helper()
	for _, v := range corpus.All() {
		if v.ID == id {
			return v
		}
	}
	t.Fatalf("no vector %s", id)
	return corpus.Vector{}
}
