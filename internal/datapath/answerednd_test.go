package datapath

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/arp"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// neighbourhood is all that says what a NIC is told of its neighbours.
type neighbourhood struct {
	binding    *nic.Binding
	id         netip.Addr
	former     []netip.Addr
	gatewayMAC nic.MAC
	gone       nd.Withdrawn
}

func (l neighbourhood) responder() arp.Responder {
	return arp.Responder{Binding: l.binding, ServerID: l.id, Former: l.former, GatewayMAC: l.gatewayMAC}
}

func (l neighbourhood) router() nd.Router {
	return nd.Router{Binding: l.binding, GatewayMAC: l.gatewayMAC}
}

func (l neighbourhood) site() guard.Site {
	return guard.Site{Segment: 7, ServerID: l.id, Former: l.former}
}

func (l neighbourhood) answers() (a Answers) {
	if c, ok := arp.Compile(l.responder()); ok {
		a.ARP = &c
	}
	if c, ok := nd.Compile(l.router(), l.gone); ok {
		a.ND = &c
	}
	return a
}

// define is the definition: what the daemon would send.
func (l neighbourhood) define(frame []byte) ([]byte, Exchange) {
	if frame[12] == 8 {
		return l.defineARP(frame)
	}
	m, err := wire.ParseICMP6(frame)
	if err != nil {
		return nil, Exchange{}
	}
	o := nd.Answer(l.router(), nd.Solicitation{EthSrc: m.EthSrc, Src: m.Src, Dst: m.Dst, HopLimit: m.HopLimit, Message: m.Message}, l.gone)
	x := Exchange{Kind: Kind{o.Request, o.Answer, o.Reason}}
	if o.Reply == nil {
		return nil, x
	}
	return wire.AppendICMP6(nil, wire.ICMP6{
		EthSrc: o.Reply.SrcMAC, EthDst: o.Reply.DstMAC, Src: o.Reply.Src, Dst: o.Reply.Dst, HopLimit: nd.HopLimit, Message: o.Reply.Message,
	}), x
}

func (l neighbourhood) defineARP(frame []byte) ([]byte, Exchange) {
	m, err := wire.ParseARP(frame)
	if err != nil {
		return nil, Exchange{}
	}
	o := arp.Answer(l.responder(), arp.Request{EthSrc: m.EthSrc, Op: m.Op, SenderMAC: m.SenderMAC, SenderIP: m.SenderIP, TargetIP: m.TargetIP})
	x := Exchange{Kind: Kind{o.Request, o.Answer, o.Reason}}
	if o.Reply == nil {
		return nil, x
	}
	r := o.Reply
	return wire.AppendARP(nil, wire.ARP{
		EthSrc: r.SrcMAC, EthDst: r.DstMAC, Op: arp.OpReply,
		SenderMAC: r.SenderMAC, SenderIP: r.SenderIP, TargetMAC: r.DstMAC, TargetIP: r.TargetIP,
	}), x
}

// newOracleND puts a link's answers in force, beside a neighbour that holds
// corpus.BLL.
func newOracleND(t testing.TB, k *Kernel, l neighbourhood) *answerOracle {
	t.Helper()
	other := corpus.Binding()
	other.MAC = corpus.B
	theirs := guard.Compile(other).On(other, guard.Site{Segment: 7})
	if err := k.fill(neighbour, "other", &theirs); err != nil {
		t.Fatal(err)
	}
	o := &answerOracle{TB: t, k: k, define: l.define, did: map[string]int{}}
	o.answer(l.binding, l.site(), l.answers())
	return o
}

var (
	olderID = netip.MustParseAddr("192.0.2.4")
	madeUp  = netip.MustParseAddr("169.254.0.1")
)

// neighbourhoods are the shapes of what a NIC may be on.
func neighbourhoods() map[string]neighbourhood {
	shapes := map[string]neighbourhood{}
	add := func(name string, change func(*neighbourhood, *nic.Binding)) {
		l := neighbourhood{id: corpus.S4, former: []netip.Addr{olderID, madeUp, corpus.M4, corpus.S4}, gatewayMAC: corpus.G}
		l.binding = withoutLimits(func(b *nic.Binding) {
			b.GatewayMAC, b.Neighbours = corpus.G, nic.NeighboursGateway
			b.RA = nic.RA{Interval: 600, Lifetime: 1800, HopLimit: 64, Preferred: 14400, Valid: 86400}
		})
		change(&l, l.binding)
		shapes[name] = l
	}
	routed := func(_ *neighbourhood, b *nic.Binding) {
		b.Routed, b.Neighbours = true, nic.NeighboursAll
		b.SLAAC = []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
		b.Delegated = []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/56")}
		b.Broadcast = netip.MustParseAddr("192.0.2.127")
	}
	unguarded := func(b *nic.Binding) { b.Guard.Mode = nic.Off }
	add("bridged", func(*neighbourhood, *nic.Binding) {})
	add("bridged, unguarded", func(_ *neighbourhood, b *nic.Binding) { unguarded(b) })
	add("server alone", func(_ *neighbourhood, b *nic.Binding) { b.Neighbours = nic.NeighboursServer })
	add("off", func(l *neighbourhood, b *nic.Binding) { b.Neighbours, l.id = nic.NeighboursOff, madeUp })
	add("the gateway serves", func(l *neighbourhood, _ *nic.Binding) { l.id = corpus.G4 })
	add("routed", routed)
	add("routed, unguarded", func(l *neighbourhood, b *nic.Binding) { routed(l, b); unguarded(b) })
	add("routed, many sources", func(l *neighbourhood, b *nic.Binding) {
		routed(l, b)
		for i := range byte(40) {
			b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, i * 3}), 32),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xff, i}), 64))
		}
	})
	add("routed, many broadcasts", func(l *neighbourhood, b *nic.Binding) {
		routed(l, b)
		for i := range byte(30) {
			b.Addresses = append(b.Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, i, 1}), 24))
		}
	})
	add("routed, MAC not known", func(l *neighbourhood, b *nic.Binding) { routed(l, b); l.gatewayMAC = nic.MAC{} })
	add("gateway without a link-local", func(_ *neighbourhood, b *nic.Binding) { b.Gateway6 = corpus.G6 })
	add("gateway without a link-local, no default router", func(_ *neighbourhood, b *nic.Binding) { b.Gateway6, b.NoDefaultRoute = corpus.G6, true })
	add("gateway that is the NIC", func(_ *neighbourhood, b *nic.Binding) { b.Gateway, b.Gateway6 = corpus.M4, corpus.M6 })
	add("fixed link-local", func(_ *neighbourhood, b *nic.Binding) {
		b.LinkLocal = nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{corpus.LLS}}
	})
	add("link-local only", func(_ *neighbourhood, b *nic.Binding) { b.IPv6 = nic.IPv6LinkLocal })
	add("IPv4 only", func(_ *neighbourhood, b *nic.Binding) { b.IPv6 = nic.IPv6Off })
	add("served by the site", func(_ *neighbourhood, b *nic.Binding) { b.ServedBy = nic.ServedBySite })
	add("suspended", func(_ *neighbourhood, b *nic.Binding) { b.Suspended = true })
	add("advertised to all", func(_ *neighbourhood, b *nic.Binding) { everythingND(b); b.RA.Multicast = true })
	add("everything", func(_ *neighbourhood, b *nic.Binding) { everythingND(b) })
	add("as long as can be", func(_ *neighbourhood, b *nic.Binding) { longRA(b) })
	add("withdrawn", func(l *neighbourhood, b *nic.Binding) {
		before := *b
		before.Domain = "old.example"
		l.gone = nd.Withdraw(nd.Router{Binding: &before}, l.router(), nd.Withdrawn{})
	})
	return shapes
}

// everythingND declares all that an advertisement can say.
func everythingND(b *nic.Binding) {
	b.MTU, b.CaptivePortal, b.Domain, b.DNS = 1400, "https://portal.example.com/", "example.com", []netip.Addr{corpus.B6, corpus.G6}
	b.RA.Preference, b.RA.Autonomous, b.RA.PREF64 = nic.PreferenceHigh, true, netip.MustParsePrefix("64:ff9b::/96")
	b.RA.Routes = []nic.RARoute{{To: netip.MustParsePrefix("2001:db8:ff::/48"), Preference: nic.PreferenceLow, Lifetime: 60}}
}

// longRA is an advertisement that leaves options out to fit the link.
func longRA(b *nic.Binding) {
	for i := range byte(60) {
		b.SLAAC = append(b.SLAAC, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xee, i}), 64))
	}
}

// asks are what a guest may want to know of its link, by what it is.
func asks() map[string][]byte {
	out := map[string][]byte{}
	for _, from := range []string{"192.0.2.10", "192.0.2.50", "0.0.0.0", "198.51.100.7"} {
		for _, to := range []string{
			"192.0.2.1", "192.0.2.3", "192.0.2.4", "169.254.0.1", "192.0.2.20", "192.0.2.10", "192.0.2.50", "8.8.8.8", "198.51.100.7",
			"169.254.169.254", "192.0.2.255", "192.0.2.127", "10.0.29.255", "0.0.0.0", "0.0.0.9", "127.0.0.1", "224.0.0.1", "255.255.255.255",
		} {
			out["ARP "+from+" "+to] = corpus.AskARP(netip.MustParseAddr(from), netip.MustParseAddr(to))
		}
	}
	for _, from := range []string{"2001:db8:1::10", "fe80::5054:ff:feaa:1", "2001:db8:9::9"} {
		for _, to := range targets6() {
			out["NS "+from+" "+to.String()] = corpus.Ask6(netip.MustParseAddr(from), to)
		}
		out["RS "+from] = corpus.Solicit(netip.MustParseAddr(from))
	}
	for _, to := range targets6() {
		out["NS probe "+to.String()] = corpus.Probe(to)
	}
	out["RS ::"] = solicit(nil)
	out["RS :: with an option"] = solicit([]byte{14, 1, 1, 2, 3, 4, 5, 6})
	return out
}

func targets6() []netip.Addr {
	list := []netip.Addr{corpus.GLL, corpus.G6, nic.BerthLinkLocal(), corpus.BLL, corpus.LL, corpus.LLS, corpus.M6, corpus.X6, corpus.B6}
	for _, a := range []string{"2001:db8:a::7", "2001:db8:a::", "2001:db8:100::1", "2606:4700::1111", "fd00::1", "2001:db8:9::9", "::", "::1", "ff02::1", "::ffff:8.8.8.8"} {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

// solicit is a router solicitation of a host that has no address yet.
func solicit(options []byte) []byte {
	return wire.AppendICMP6(nil, wire.ICMP6{
		EthSrc: corpus.M, EthDst: nic.MAC{0x33, 0x33, 0, 0, 0, 2}, Src: corpus.Any6, Dst: netip.IPv6LinkLocalAllRouters(),
		HopLimit: nd.HopLimit, Message: append([]byte{133, 0, 0, 0, 0, 0, 0, 0}, options...),
	})
}

// TestAnswersOfNeighbours: what is taken and has an answer, the kernel answers.
func TestAnswersOfNeighbours(t *testing.T) {
	k := openKernel(t)
	all := map[string]int{}
	for name, l := range neighbourhoods() {
		t.Run(name, func(t *testing.T) {
			o := newOracleND(t, k, l)
			o.did = all
			for what, frame := range asks() {
				if !o.agree(frame) && o.misses(frame) && !beyond(name, what) {
					t.Errorf("%s is handed up", what)
				}
			}
		})
	}
	(&answerOracle{TB: t, did: all}).report("ARP -> ARP", "NS -> NA", "RS -> RA")
}

// misses reports whether a frame that the kernel hands up has an answer.
func (o *answerOracle) misses(frame []byte) bool {
	o.Helper()
	a, err := o.k.Ask(lo, false, frame)
	if err != nil {
		o.Fatal(err)
	}
	reply, _ := o.define(frame)
	return a.Fate == Taken && reply != nil
}

// beyond says what the kernel leaves to the daemon.
func beyond(name, what string) bool {
	switch name {
	case "withdrawn":
		return what[:2] == "RS"
	case "routed, many broadcasts":
		return what[:3] == "ARP"
	}
	return false
}

// What is changed on the way back, the kernel does not answer.
func TestUnansweredNeighbours(t *testing.T) {
	k := openKernel(t)
	o := newOracleND(t, k, neighbourhoods()["routed, unguarded"])
	ns := corpus.Ask6(corpus.M6, corpus.GLL)
	change := func(f func(frame []byte)) []byte {
		frame := bytes.Clone(ns)
		f(frame)
		return frame
	}
	behind := append(bytes.Clone(ns[:54]), append([]byte{58, 0, 1, 4, 0, 0, 0, 0}, ns[54:]...)...)
	behind[19], behind[20] = behind[19]+8, 60
	for name, frame := range map[string][]byte{
		"checksum left to others": change(leavePartial6),
		"hop limit":               change(func(f []byte) { f[21] = 64 }),
		"code":                    change(func(f []byte) { f[55] = 1 }),
		"from a group":            change(func(f []byte) { f[22] = 0xff }),
		"option without length":   change(func(f []byte) { f[79] = 0 }),
		"option too long":         change(func(f []byte) { f[79] = 2 }),
		"payload too long":        change(func(f []byte) { f[19]++ }),
		"behind options":          behind,
	} {
		if o.agree(frame) {
			t.Errorf("%s: answered", name)
		}
	}
	if !o.agree(ns) {
		t.Error("the solicitation itself is handed up")
	}
	if err := k.Unanswer(lo); err != nil {
		t.Fatal(err)
	}
	if o.agree(ns) || o.agree(corpus.AskARP(corpus.M4, corpus.G4)) {
		t.Error("still answered")
	}
}

// leavePartial6 is leavePartial of an ICMPv6 message.
func leavePartial6(frame []byte) {
	pseudo := append(bytes.Clone(frame[22:54]), 0, 58, frame[18], frame[19])
	binary.BigEndian.PutUint16(frame[56:], ^wire.Checksum(pseudo))
}

// What is answered is named, router solicitations apart from the others: they are
// the daemon's while an advertisement says what is gone.
func TestAnsweringNamesIt(t *testing.T) {
	k := openKernel(t)
	for name, want := range map[string][]reason.Reason{
		"everything": {reason.ARPRequest, reason.RouterSolicit, reason.NeighbourSolicit},
		"withdrawn":  {reason.ARPRequest, reason.NeighbourSolicit},
		"IPv4 only":  {reason.ARPRequest},
		"suspended":  nil,
	} {
		newOracleND(t, k, neighbourhoods()[name])
		got, err := k.Answering(lo)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	a, _ := compile4(t, corpus.Binding())
	if err := k.Answer(lo, a); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Answering(lo); err != nil || !slices.Equal(got, []reason.Reason{reason.DHCP4}) {
		t.Errorf("DHCPv4 alone: %v, %v", got, err)
	}
}

// TestAnswersOfGuestsND: frames bred from what guests ask, and worse.
func TestAnswersOfGuestsND(t *testing.T) {
	k := openKernel(t)
	shapes := neighbourhoods()
	all, missed := map[string]int{}, map[string]int{}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	b := newBreeder(seed)
	for name, l := range shapes {
		o := newOracleND(t, k, l)
		o.did = all
		pool := o.taken()
		if len(pool) == 0 {
			continue // suspended
		}
		for range *dialogues / len(shapes) {
			f := b.breed(pool[b.IntN(len(pool))])
			if runnable(f) && !o.agree(f) && o.misses(f) {
				missed[name]++
			}
			if t.Failed() {
				t.Fatal(name)
			}
		}
	}
	t.Logf("handed up, but answered by the daemon: %v", missed)
	(&answerOracle{TB: t, did: all}).report("ARP -> ARP", "NS -> NA", "RS -> RA")
}

// taken are the asks that do not go past berth.
func (o *answerOracle) taken() (out [][]byte) {
	o.Helper()
	for _, frame := range asks() {
		a, err := o.k.Ask(lo, false, frame)
		if err != nil {
			o.Fatal(err)
		}
		if a.Fate == Taken || a.Fate == Answered {
			out = append(out, frame)
		}
	}
	return out
}

// TestNeighboursOnTheWire: a guest hears the answers, the daemon hears of them,
// and the site hears nothing.
func TestNeighboursOnTheWire(t *testing.T) {
	l := neighbourhoods()["as long as can be"]
	eachAttachment(t, func(h *host, index int, _ plan.Attach) {
		told := exchanges(h, h.k)
		h.protect(index, guard.Compile(l.binding).On(l.binding, l.site()))
		h.do("answer", func() error { return h.k.Answer(index, l.answers()) })
		heard := testenv.Capture(h, h.guest, "eth0", testenv.InboundOnly)
		for _, c := range []struct{ what, about string }{
			{"ARP 192.0.2.10 192.0.2.1", "192.0.2.1/32"},
			{"NS fe80::5054:ff:feaa:1 fe80::1", "fe80::1/128"},
			{"NS probe fe80::1", "fe80::1/128"},
			{"RS fe80::5054:ff:feaa:1", ""},
			{"RS ::", ""},
		} {
			frame := asks()[c.what]
			want, x := l.define(frame)
			if c.about != "" {
				x.Address = netip.MustParsePrefix(c.about)
			}
			testenv.Inject(h, h.guest, "eth0", frame)
			heard.Wait(patience, c.what, func(f testenv.Frame) bool { return bytes.Equal(f.Data, want) })
			h.lan.None(c.what, func(f testenv.Frame) bool { return bytes.Equal(f.Data, frame) })
			select {
			case got := <-told:
				if got.Request != x.Request || got.Answer != x.Answer || got.Address != x.Address || got.Index != index {
					h.Errorf("%s: the daemon is told %+v, want %+v", c.what, got, x)
				}
			case <-time.After(patience):
				h.Fatalf("%s: the daemon is told nothing", c.what)
			}
		}
		h.counted(index, map[reason.Reason]uint64{reason.ARPRequest: 1, reason.NeighbourSolicit: 2, reason.RouterSolicit: 2})
	})
}

// counted holds the NIC's counters of what was taken to want.
func (h *host) counted(index int, want map[reason.Reason]uint64) {
	h.Helper()
	c, _, err := h.k.Counters(index)
	if err != nil {
		h.Fatal(err)
	}
	if fmt.Sprint(c.Taken) != fmt.Sprint(want) {
		h.Errorf("taken %v, want %v", c.Taken, want)
	}
}
