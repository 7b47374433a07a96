package datapath

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
)

// TestAnswersOfAnyBinding: whatever a binding says, also what no source would
// let it, guests are told the same by the kernel as by the definition.
func TestAnswersOfAnyBinding(t *testing.T) {
	k := openKernel(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := chance{rand.New(rand.NewPCG(seed, 8))}
	guests, neighbours := newGuest6(t, seed), newBreeder(seed)
	did := map[string]int{}
	for range max(*dialogues/500, 40) {
		b := c.binding()
		o := &answerOracle{TB: t, k: k, did: did}
		own := b.Delivered().Addr()
		o.hold4(b, func() []byte { return breed4(c.Rand, own, corpus.G4) })
		o.hold6(b, guests.frame)
		o = newOracleND(t, k, c.neighbourhood(b))
		o.did = did
		if pool := o.taken(); len(pool) > 0 {
			o.agreeOn(func() []byte { return neighbours.breed(pool[c.IntN(len(pool))]) })
		}
		if t.Failed() {
			t.Fatalf("%+v", b)
		}
	}
	(&answerOracle{TB: t, did: did}).report("DISCOVER -> OFFER", "REQUEST -> NAK", "SOLICIT -> ADVERTISE", "RENEW -> REPLY",
		"ARP -> ARP", "NS -> NA", "RS -> RA")
}

// hold4 holds DHCPv4 to its definition, if it is compiled; hold6 DHCPv6.
func (o *answerOracle) hold4(b *nic.Binding, frame func() []byte) {
	o.Helper()
	c, ok := dhcp4.Compile(dhcp4.Server{Binding: b, ID: corpus.G4})
	if !ok {
		o.Fatalf("nothing is compiled of %+v", b)
	}
	o.define = define4(b, corpus.G4)
	o.answer(b, neighbourhood{id: corpus.G4}.site(), Answers{DHCP4: &c})
	o.agreeOn(frame)
}

func (o *answerOracle) hold6(b *nic.Binding, frame func() []byte) {
	o.Helper()
	c, ok := dhcp6.Compile(server6(b))
	if !ok {
		return // it has no IPv6
	}
	o.define = define6(b)
	o.answer(b, neighbourhood{}.site(), Answers{DHCP6: &c})
	o.agreeOn(frame)
}

// agreeOn asks about some frames.
func (o *answerOracle) agreeOn(frame func() []byte) {
	o.Helper()
	for range 50 {
		if f := frame(); runnable(f) {
			o.agree(f)
		}
	}
}

// chance makes bindings.
type chance struct{ *rand.Rand }

func (c chance) in(n int) bool { return c.IntN(n) == 0 }

func of[T any](c chance, list ...T) T { return list[c.IntN(len(list))] }

func (c chance) seconds() nic.Seconds {
	return of[nic.Seconds](c, 0, 0, 1, 600, 86400, 1<<31, nic.Infinite)
}

func (c chance) text(lengths ...int) string { return strings.Repeat("x", of(c, lengths...)) }

func (c chance) data(lengths ...int) []byte {
	b := make([]byte, of(c, lengths...))
	for i := range b {
		b[i] = byte(c.Uint32())
	}
	return b
}

func (c chance) addr4() netip.Addr {
	return of(c, netip.Addr{}, corpus.B4, corpus.G4, corpus.B6, netip.MustParseAddr("::ffff:192.0.2.9"), netip.IPv4Unspecified())
}

func (c chance) binding() *nic.Binding {
	return withoutLimits(func(b *nic.Binding) {
		c.names(b)
		c.addresses(b)
		c.dhcp4(b)
		c.dhcp6(b)
		c.advertised(b)
	})
}

func (c chance) names(b *nic.Binding) {
	b.Hostname, b.Domain = of(c, "", "web1", "web1.example.org", c.text(60)), of(c, "", "example.com")
	b.Search = of(c, nil, []string{"a.example", "b.example"})
	b.DNS, b.NTP = []netip.Addr{c.addr4(), c.addr4()}, []netip.Addr{c.addr4()}
	b.CaptivePortal = of(c, "", "https://portal.example.com/")
	b.MTU = of[uint16](c, 0, 0, 67, 68, 500, 1280, 1400, 9000)
	if c.in(4) {
		b.Guard.Checks = nic.Checks{}
	}
}

func (c chance) addresses(b *nic.Binding) {
	b.Addresses[0] = netip.PrefixFrom(b.Addresses[0].Addr(), of(c, 32, 31, 30, 24, 8, 0))
	b.Gateway, b.Gateway6, b.GatewayMAC = c.addr4(), of(c, corpus.GLL, corpus.G6, netip.Addr{}), of(c, corpus.G, nic.MAC{})
	b.NoDefaultRoute, b.Routed = c.in(3), c.in(3)
	b.Neighbours = of(c, nic.NeighboursOff, nic.NeighboursServer, nic.NeighboursGateway, nic.NeighboursAll)
	switch c.IntN(4) {
	case 0:
		delegating(b)
	case 1:
		b.Addresses, b.SLAAC = b.Addresses[:1], []netip.Prefix{netip.MustParsePrefix("2001:db8:a::/64")}
	case 2:
		b.Routes = []nic.Route{{To: netip.MustParsePrefix("10.0.0.0/8"), Via: corpus.G4}}
	}
}

func (c chance) dhcp4(b *nic.Binding) {
	d := &b.DHCP4
	d.Lease, d.MaxLease, d.T1, d.T2, d.V6OnlyWait = c.seconds(), c.seconds(), c.seconds(), c.seconds(), c.seconds()
	d.OnlyRequested, d.NoRouterWithRoutes, d.RapidCommit = c.in(4), c.in(2), c.in(2)
	d.Relay, d.AnyClient = c.in(4), c.in(4)
	for range c.IntN(6) {
		code := of[uint8](c, 1, 3, 6, 28, 43, 51, 53, 54, 58, 59, 60, 61, 66, 67, 80, 81, 82, 108, 121, 224, 249, uint8(c.Uint32()))
		d.Options = append(d.Options, nic.Option{Code: code, Data: c.data(0, 1, 3, 4, 4, 8, 100, 255, 256, 300)})
	}
	if c.in(2) {
		d.Boot = nic.Boot{NextServer: c.addr4(), ServerName: c.text(0, 3, 63, 64), File: c.text(0, 3, 127, 128)}
	}
	d.BootIPXE.File = c.text(0, 0, 0, 9)
}

func (c chance) dhcp6(b *nic.Binding) {
	d := &b.DHCP6
	d.Mode = of(c, d.Mode, d.Mode, nic.DHCP6Stateful, nic.DHCP6Stateless)
	d.Preferred, d.Valid, d.T1, d.T2 = c.seconds(), c.seconds(), c.seconds(), c.seconds()
	d.Refresh, d.SolMaxRT, d.InfMaxRT = c.seconds(), c.seconds(), c.seconds()
	d.RapidCommit, d.Unicast, d.Refuse, d.Preference = c.in(2), c.in(2), c.in(4), of[uint8](c, 0, 1, 255)
	d.BootURL = of(c, "", "tftp://boot/image")
	if c.in(4) {
		d.DUID = cat([]byte{0, of[byte](c, 1, 3), 0, 1}, of(c, nil, []byte{1, 2, 3, 4}), corpus.M[:])
	}
	for range c.IntN(5) {
		code := of[uint16](c, 1, 2, 3, 7, 12, 13, 14, 21, 23, 24, 25, 31, 32, 39, 56, 82, 200, 255, 256, uint16(c.IntN(300)))
		d.Options = append(d.Options, nic.Option6{Code: code, Data: c.data(0, 1, 2, 16, 100, 300)})
	}
}

func (c chance) advertised(b *nic.Binding) {
	b.RA = nic.RA{
		Interval: 600, Lifetime: of[nic.Seconds](c, 0, 1800, 65535), HopLimit: of[uint8](c, 0, 64), Preferred: c.seconds(), Valid: c.seconds(),
		OffLink: c.in(2), Autonomous: c.in(2), Multicast: c.in(3), PREF64: of(c, netip.Prefix{}, netip.MustParsePrefix("64:ff9b::/96")),
	}
	if c.in(3) {
		b.RA.Routes = []nic.RARoute{{To: netip.MustParsePrefix("2001:db8:ff::/48"), Preference: nic.PreferenceLow, Lifetime: c.seconds()}}
	}
}

func (c chance) neighbourhood(b *nic.Binding) neighbourhood {
	former := []netip.Addr{olderID, madeUp, corpus.M4, corpus.S4}
	return neighbourhood{
		binding: b, id: of(c, corpus.S4, corpus.G4, madeUp, netip.Addr{}), former: former[:c.IntN(len(former)+1)], gatewayMAC: b.GatewayMAC,
	}
}
