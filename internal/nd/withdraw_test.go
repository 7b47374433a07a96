package nd

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// Pieces of what takes back what web1 was told.
const (
	lastHeader = "86000000" + "00" + "00" + "0000" + "0000000000000000"
	endedPIO   = "03044080" + "00000000" + "00000000" + "00000000" + "20010db8000100000000000000000000"
	endedRDNSS = "19030000" + "00000000" + "20010db8000000000000000000000053"
	endedDNSSL = "1f030000" + "00000000" + "076578616d706c65" + "036f7267" + "00" + "000000"
	ended      = endedPIO + endedRDNSS + endedDNSSL
)

func gateway6(s string) func(*nic.Binding) { return func(b *nic.Binding) { b.Gateway6 = ip(s) } }

// final is what a NIC hears when its binding goes; nil if it was told nothing.
func final(r Router) *Reply {
	all := Advertisements(Router{}, Withdraw(r, Router{}, Withdrawn{}))
	if len(all) == 0 {
		return nil
	}
	return &all[0]
}

func TestFinal(t *testing.T) {
	for name, c := range map[string]struct {
		router Router
		want   string
	}{
		"of a link-local gateway": {router(), lastHeader + slla + ended},
		"of every option": {
			router(slaac("2001:db8:a::/64"), set(func(b *nic.Binding) {
				b.MTU, b.CaptivePortal = 1500, "https://example.org/"
				b.RA.Preference = nic.PreferenceHigh
				b.RA.PREF64 = netip.MustParsePrefix("64:ff9b::/96")
				b.RA.Routes = []nic.RARoute{{To: netip.MustParsePrefix("2001:db8:ff::/48"), Preference: nic.PreferenceLow, Lifetime: 60}}
			})),
			lastHeader + slla +
				"030440c0" + "00000000" + "00000000" + "00000000" + "20010db8000a00000000000000000000" +
				endedPIO + endedRDNSS +
				"18023000" + "00000000" + "20010db800ff0000" +
				"26020000" + "0064ff9b0000000000000000" + endedDNSSL,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := final(c.router)
			if got == nil {
				t.Fatal("nothing")
			}
			message(t, c.want, got.Message)
			got.Message = nil
			want := &Reply{SrcMAC: gatewayMAC(), DstMAC: everyMAC(), Src: ip(gateway), Dst: ip("ff02::1")}
			if d := cmp.Diff(want, got, sameAddr()); d != "" {
				t.Errorf("reply (-want +got):\n%s", d)
			}
		})
	}
}

func TestFinalOfNothing(t *testing.T) {
	bare := router(addresses("2001:db8::1/128"), gateway6(""), set(func(b *nic.Binding) { b.DNS, b.Domain = nil, "" }))
	if got := len(Advertisements(bare, Withdrawn{})); got != 1 {
		t.Errorf("%d advertisements, want 1: the flags are told", got)
	}
	for name, r := range map[string]Router{"flags alone": bare, "no binding": {}} {
		if got := final(r); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// heard is what a host makes of the advertisements it hears, RFC 4861 6.3.4:
// default routers and routes by who said them, everything else but once.
type heard map[string]bool

func (h heard) hear(t testing.TB, list ...Reply) heard {
	t.Helper()
	for _, r := range list {
		d := decode(t, r.Message)
		h.set("router "+r.Src.String(), d.lifetime > 0)
		for kind, options := range d.options {
			for _, o := range options {
				h.option(r.Src.String(), kind, o)
			}
		}
	}
	return h
}

func (h heard) option(from string, kind byte, o []byte) {
	live := hex.EncodeToString(o[4:8]) != "00000000"
	switch kind {
	case 3:
		for bit, what := range map[byte]string{0x80: "on link", 0x40: "autonomous"} {
			if o[3]&bit != 0 {
				h.set(fmt.Sprintf("%s %x/%d", what, o[16:32], o[2]), live)
			}
		}
	case 24:
		h.set(fmt.Sprintf("route %x/%d by %s", o[8:], o[2], from), live)
	case 25:
		for a := range slices.Chunk(o[8:], 16) {
			h.set(fmt.Sprintf("server %x", a), live)
		}
	case 31:
		for b := o[8:]; len(b) > 0 && b[0] > 0; {
			var name []byte
			for b[0] > 0 {
				name = append(append(name, b[1:1+b[0]]...), '.')
				b = b[1+b[0]:]
			}
			b = b[1:]
			h.set("domain "+string(name), live)
		}
	case 38:
		h.set(fmt.Sprintf("nat64 %x/%d", o[4:], o[3]&7), o[2] > 0 || o[3]&0xf8 > 0)
	}
}

func (h heard) set(key string, live bool) {
	if live {
		h[key] = true
	} else {
		delete(h, key)
	}
}

// A change of one thing takes back that thing and no more.
func TestWithdraw(t *testing.T) {
	routes := func(list ...string) func(*nic.Binding) {
		return func(b *nic.Binding) {
			for _, p := range prefixList(list...) {
				b.RA.Routes = append(b.RA.Routes, nic.RARoute{To: p, Preference: nic.PreferenceHigh, Lifetime: 600})
			}
		}
	}
	nat64 := func(s string) func(*nic.Binding) {
		return func(b *nic.Binding) { b.RA.PREF64 = netip.MustParsePrefix(s) }
	}
	other := addresses("2001:db8:1::10/64", "2001:db8:9::10/64")
	for name, c := range map[string]struct {
		before, now []func(*nic.Binding)
		want        string
	}{
		"nothing":                 {nil, nil, ""},
		"an address's subnet":     {[]func(*nic.Binding){other}, nil, strings.Replace(endedPIO, "20010db80001", "20010db80009", 1)},
		"another of the same":     {nil, []func(*nic.Binding){addresses("2001:db8:1::11/64")}, ""},
		"all prefixes":            {nil, []func(*nic.Binding){addresses("2001:db8:1::10/128")}, endedPIO},
		"another prefix length":   {nil, []func(*nic.Binding){addresses("2001:db8:1::10/60")}, endedPIO},
		"on link no more":         {nil, []func(*nic.Binding){set(func(b *nic.Binding) { b.RA.OffLink = true })}, endedPIO},
		"autoconfigured no more":  {[]func(*nic.Binding){set(func(b *nic.Binding) { b.RA.Autonomous = true })}, nil, strings.Replace(endedPIO, "03044080", "03044040", 1)},
		"autoconfigured anew":     {nil, []func(*nic.Binding){set(func(b *nic.Binding) { b.RA.Autonomous = true })}, ""},
		"a server":                {nil, []func(*nic.Binding){set(func(b *nic.Binding) { b.DNS = []netip.Addr{ip("2001:db8::54")} })}, endedRDNSS},
		"the servers":             {nil, []func(*nic.Binding){set(func(b *nic.Binding) { b.DNS = nil })}, endedRDNSS},
		"the domain":              {nil, []func(*nic.Binding){set(func(b *nic.Binding) { b.Domain = "example.net" })}, endedDNSSL},
		"a route":                 {[]func(*nic.Binding){routes("::/0", "2001:db8:ff::/48")}, []func(*nic.Binding){routes("::/0")}, "18023000" + "00000000" + "20010db800ff0000"},
		"a route's life":          {[]func(*nic.Binding){routes("::/0")}, []func(*nic.Binding){routes("::/0"), set(func(b *nic.Binding) { b.RA.Routes[0].Lifetime = 9 })}, ""},
		"NAT64":                   {[]func(*nic.Binding){nat64("64:ff9b::/96")}, nil, "26020000" + "0064ff9b0000000000000000"},
		"another NAT64":           {[]func(*nic.Binding){nat64("64:ff9b::/96")}, []func(*nic.Binding){nat64("2001:db8:64::/96")}, "26020000" + "0064ff9b0000000000000000"},
		"the default router":      {nil, []func(*nic.Binding){set(func(b *nic.Binding) { b.NoDefaultRoute = true })}, ""},
		"what cannot be":          {[]func(*nic.Binding){set(func(b *nic.Binding) { b.MTU, b.CaptivePortal = 1400, "https://example.org/" })}, nil, ""},
		"prefix, server, domain":  {nil, []func(*nic.Binding){addresses("2001:db8:1::10/128"), set(func(b *nic.Binding) { b.DNS, b.Domain = nil, "" })}, ended},
		"the gateway's MAC alone": {nil, []func(*nic.Binding){set(func(b *nic.Binding) { b.GatewayMAC[5]++ })}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before, now := router(c.before...), router(c.now...)
			gone := Withdraw(before, now, Withdrawn{})
			if gone.IsZero() != (c.want == "") {
				t.Errorf("nothing withdrawn: %t", gone.IsZero())
			}
			alone := one(t, now, Withdrawn{})
			unasked, asked := one(t, now, gone), Answer(now, rs(t), gone)
			for _, m := range [][]byte{unasked.Message, asked.Reply.Message} {
				message(t, hex.EncodeToString(alone.Message)+c.want, m)
			}
			again := Withdraw(now, before, gone)
			if d := cmp.Diff(heard{}.hear(t, one(t, before, Withdrawn{})), heard{}.hear(t, one(t, before, again))); d != "" {
				t.Errorf("back again (-without +with what is withdrawn):\n%s", d)
			}
		})
	}
}

// A router that no longer speaks says so itself, before the present one, with
// the present one's flags; what both announce stays.
func TestWithdrawRouter(t *testing.T) {
	route := set(func(b *nic.Binding) {
		b.RA.Routes = []nic.RARoute{{To: netip.MustParsePrefix("2001:db8:ff::/48")}}
	})
	before, now := router(route), router(route, gateway6("fe80::2"), addresses("2001:db8:7::10/64"))
	got := Advertisements(now, Withdraw(before, now, Withdrawn{}))
	if len(got) != 2 {
		t.Fatalf("%d advertisements, want 2", len(got))
	}
	message(t, "86000000"+"00"+"c0"+"0000"+"0000000000000000"+slla+endedPIO+"18023000"+"00000000"+"20010db800ff0000", got[0].Message)
	if got[0].Src != ip(gateway) || got[0].SrcMAC != gatewayMAC() || got[0].DstMAC != everyMAC() {
		t.Errorf("the old router's words come from %v at %v to %v", got[0].Src, got[0].SrcMAC, got[0].DstMAC)
	}
	if d := cmp.Diff(one(t, now, Withdrawn{}), got[1], sameAddr()); d != "" {
		t.Errorf("the new router's words (-want +got):\n%s", d)
	}
}

// From A to B and back: A's own words take over, and B says its last.
func TestWithdrawRouterAndBack(t *testing.T) {
	a, b := router(), router(gateway6("fe80::2"))
	gone := Withdraw(b, a, Withdraw(a, b, Withdrawn{}))
	var from []string
	for _, r := range Advertisements(a, gone) {
		from = append(from, fmt.Sprintf("%v %d", r.Src, decode(t, r.Message).lifetime))
	}
	if d := cmp.Diff([]string{"fe80::2 0", "fe80::1 1800"}, from); d != "" {
		t.Errorf("routers and lifetimes (-want +got):\n%s", d)
	}
}

// A router that once was the default one is taken back, though its last
// binding had nothing to take back.
func TestWithdrawRememberedRouter(t *testing.T) {
	host := addresses("2001:db8:1::10/128")
	now := router(host, gateway6("fe80::2"))
	private := router(host, set(func(b *nic.Binding) { b.NoDefaultRoute = true }))
	for name, before := range map[string]Router{"default": router(host), "private": private} {
		gone := Withdraw(before, now, Withdrawn{})
		if gone.IsZero() != (name == "private") {
			t.Errorf("%s: nothing withdrawn: %t", name, gone.IsZero())
		}
		gone = Withdraw(private, now, gone)
		if gone.IsZero() != (name == "private") {
			t.Errorf("%s, then private: nothing withdrawn: %t", name, gone.IsZero())
		}
	}
}

// A NIC that is told nothing any more still hears the last words, whatever
// came over it; a suspension is one of those.
func TestWithdrawEverything(t *testing.T) {
	for name, now := range map[string]Router{
		"no IPv6":          router(addresses("192.0.2.10/24")),
		"IPv6 off":         router(set(func(b *nic.Binding) { b.IPv6 = nic.IPv6Off })),
		"no advertisement": router(set(func(b *nic.Binding) { b.RA.Mode = nic.RAOff })),
		"suspended":        router(set(func(b *nic.Binding) { b.Suspended = true })),
		"no binding":       {},
	} {
		gone := Withdraw(router(), now, Withdrawn{})
		if d := cmp.Diff(*final(router()), one(t, now, gone), sameAddr()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if still := Withdraw(now, now, gone); still.IsZero() {
			t.Errorf("%s: nothing is withdrawn any more", name)
		}
		if back := Withdraw(now, router(), gone); !back.IsZero() {
			t.Errorf("%s: announced again and withdrawn: %+v", name, back)
		}
	}
}

// Where the site advertises, berth takes nothing back in the gateway's name:
// the guest would lose the site's default route. Its own it does.
func TestWithdrawNothingOfTheSite(t *testing.T) {
	site := router(set(func(b *nic.Binding) { b.RA.Mode = nic.RASite }))
	if gone := Withdraw(router(), site, Withdrawn{}); !gone.IsZero() {
		t.Errorf("withdrawn: %+v", gone)
	}
	own := router(gateway6("2001:db8:1::1"))
	got := one(t, site, Withdraw(own, site, Withdrawn{}))
	message(t, lastHeader+slla+ended, got.Message)
	if got.Src != ip(berthLL) {
		t.Errorf("from %v, want berth's own", got.Src)
	}
}

// What is taken back gives way first.
func TestWithdrawnGivesWay(t *testing.T) {
	many := func(n int) func(*nic.Binding) {
		return func(b *nic.Binding) {
			b.Addresses = nil
			for i := range n {
				b.Addresses = append(b.Addresses, netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::1/64", 0x100+i)))
			}
		}
	}
	before, now := router(many(44)), router(many(20))
	m := one(t, now, Withdraw(before, now, Withdrawn{})).Message
	alive, dead := 0, 0
	for _, o := range decode(t, m).options[3] {
		if hex.EncodeToString(o[4:12]) == strings.Repeat("0", 16) {
			dead++
		} else {
			alive++
		}
	}
	if alive != 20 || dead != 23 || len(m) > 1460 || len(decode(t, m).options[31]) != 1 {
		t.Errorf("%d prefixes announced and %d taken back in %d bytes, want 20 and 23", alive, dead, len(m))
	}
}

// A NIC that is changed for ever holds no more than the newest of it, and what
// an advertisement has room for is the newest too.
func TestWithdrawnDoesNotGrow(t *testing.T) {
	nth := func(i int) Router {
		return router(addresses(fmt.Sprintf("2001:db8:%x::1/64", 0x1000+i)), set(func(b *nic.Binding) {
			b.DNS = []netip.Addr{ip(fmt.Sprintf("2001:db8::%x", 0x1000+i))}
		}), gateway6(fmt.Sprintf("fe80::%x", 1+i/100)))
	}
	var gone Withdrawn
	for i := range 2000 {
		gone = Withdraw(nth(i), nth(i+1), gone)
	}
	if got := len(Advertisements(nth(2000), gone)); got != maxRouters+1 {
		t.Errorf("%d advertisements, want %d", got, maxRouters+1)
	}
	for _, s := range gone.list {
		if len(s.prefixes) != maxEnded || len(s.dns) != maxEnded {
			t.Errorf("%v: %d prefixes and %d servers, want %d", s.from, len(s.prefixes), len(s.dns), maxEnded)
		}
	}
	newest := gone.list[len(gone.list)-1]
	if newest.from != ip("fe80::14") || newest.prefixes[0].Prefix != netip.MustParsePrefix("2001:db8:17cf::/64") {
		t.Errorf("the newest is %v of %v", newest.prefixes[0], newest.from)
	}
}

// Withdrawn values may be kept: what is made of them later changes none.
func TestWithdrawnDoesNotChange(t *testing.T) {
	a := router(set(func(b *nic.Binding) { b.RA.Autonomous = true }))
	b, c := router(addresses("2001:db8:2::1/64")), router(addresses("2001:db8:1::1/64"), set(func(b *nic.Binding) { b.DNS = nil }))
	first := Withdraw(a, b, Withdrawn{})
	want := one(t, b, first)
	for _, now := range []Router{c, b, a, {}} {
		Withdraw(c, now, first)
		Withdraw(a, now, Withdraw(b, c, first))
	}
	if d := cmp.Diff(want, one(t, b, first), sameAddr()); d != "" {
		t.Errorf("advertisement (-before +after):\n%s", d)
	}
}

// Whatever bindings a NIC had, and whichever advertisements it heard of, it
// ends up knowing exactly what one that only ever had the last binding knows.
func TestWithdrawLeavesNothingBehind(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		host, gone := heard{}, Withdrawn{}
		before := Router{}
		for range 1 + random.IntN(5) {
			now := randomRouter(random)
			gone = Withdraw(before, now, gone)
			if random.IntN(3) > 0 {
				host.hear(t, Advertisements(now, gone)...)
			}
			before = now
		}
		host.hear(t, Advertisements(before, gone)...)
		want := heard{}.hear(t, Advertisements(before, Withdrawn{})...)
		if d := cmp.Diff(want, host); d != "" {
			t.Fatalf("binding %+v: known (-want +got):\n%s", before.Binding, d)
		}
	}
}

func randomRouter(random *rand.Rand) Router {
	one := func(list ...string) string { return list[random.IntN(len(list))] }
	yes := func() bool { return random.IntN(3) == 0 }
	return router(set(func(b *nic.Binding) {
		b.Addresses = prefixList(one("2001:db8:1::1/64", "2001:db8:1::2/60", "2001:db8:2::1/128"), one("2001:db8:1::3/64", "192.0.2.1/24"))
		b.SLAAC = prefixList([]string{"2001:db8:1::/64", "2001:db8:a::/64"}[:random.IntN(3)]...)
		b.Gateway6 = ip(one("", gateway, "fe80::2", "2001:db8:1::ff"))
		b.DNS = []netip.Addr{ip(one("2001:db8::53", "192.0.2.53")), ip(one("2001:db8::54", "2001:db8::55"))}
		b.Domain = one("", "a.example", "b.example")
		b.NoDefaultRoute, b.RA.OffLink, b.RA.Autonomous = yes(), yes(), yes()
		if yes() {
			b.RA.PREF64 = netip.MustParsePrefix(one("64:ff9b::/96", "2001:db8::/32"))
		}
		if yes() {
			b.RA.Routes = []nic.RARoute{{To: netip.MustParsePrefix(one("::/0", "2001:db8:ff::/48"))}}
		}
		if random.IntN(9) == 0 {
			b.RA.Mode = nic.RAOff
		}
		if random.IntN(9) == 0 {
			b.Suspended = true
		}
	}))
}
