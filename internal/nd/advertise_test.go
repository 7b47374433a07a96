package nd

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func set(change func(*nic.Binding)) func(*nic.Binding) { return change }

func slaac(list ...string) func(*nic.Binding) {
	return func(b *nic.Binding) { b.SLAAC = prefixList(list...) }
}

func mode(m nic.DHCP6Mode) func(*nic.Binding) { return func(b *nic.Binding) { b.DHCP6.Mode = m } }

func addresses(list ...string) func(*nic.Binding) {
	return func(b *nic.Binding) { b.Addresses = prefixList(list...) }
}

// What each kind of NIC is told, byte for byte.
func TestAdvertisement(t *testing.T) {
	all := func(b *nic.Binding) {
		b.MTU, b.CaptivePortal = 1500, "https://example.org/portal"
		b.Search = []string{"a.example", "b.example."}
		b.RA.Preference = nic.PreferenceHigh
		b.RA.PREF64 = netip.MustParsePrefix("64:ff9b::/96")
		b.RA.Routes = []nic.RARoute{
			{To: netip.MustParsePrefix("::/0"), Preference: nic.PreferenceLow},
			{To: netip.MustParsePrefix("2001:db8:ff::/48"), Lifetime: 600},
			{To: netip.MustParsePrefix("2001:db8:1:2:8000::/65"), Preference: nic.PreferenceHigh, Lifetime: nic.Infinite},
		}
	}
	for name, c := range map[string]struct {
		router Router
		want   string
	}{
		"DHCPv6 alone": {router(), header + slla + hostPIO + told},
		"SLAAC alone": {
			router(addresses(), slaac("2001:db8:a::/64"), mode(nic.DHCP6Off)),
			"8600000040000708" + "0000000000000000" + slla + slaacPIO + told,
		},
		"SLAAC and stateless DHCPv6": {
			router(addresses(), slaac("2001:db8:a::/64"), mode(nic.DHCP6Stateless)),
			"8600000040400708" + "0000000000000000" + slla + slaacPIO + told,
		},
		"both": {router(slaac("2001:db8:a::/64")), header + slla + slaacPIO + hostPIO + told},
		"no default route": {
			router(set(func(b *nic.Binding) { b.NoDefaultRoute, b.RA.Preference = true, nic.PreferenceHigh })),
			"8600000040c00000" + "0000000000000000" + slla + hostPIO + told,
		},
		"no gateway": {
			router(set(func(b *nic.Binding) { b.Gateway6 = netip.Addr{} })),
			"8600000040c00000" + "0000000000000000" + sllaOwn + hostPIO + told,
		},
		"gateway's MAC not known": {
			router(set(func(b *nic.Binding) { b.GatewayMAC = nic.MAC{} })),
			header + hostPIO + told,
		},
		"routed": {
			router(set(func(b *nic.Binding) { b.Routed, b.Neighbours, b.RA.OffLink = true, nic.NeighboursAll, true })),
			header + slla + told,
		},
		"off link with autoconfiguration": {
			router(slaac("2001:db8:a::/64"), set(func(b *nic.Binding) { b.RA.OffLink = true })),
			header + slla + strings.Replace(slaacPIO, "030440c0", "03044040", 1) + told,
		},
		"subnet of an address is autoconfigured": {
			router(set(func(b *nic.Binding) { b.RA.Autonomous = true })),
			header + slla + strings.Replace(hostPIO, "03044080", "030440c0", 1) + told,
		},
		"many prefixes": {
			router(addresses("2001:db8:1::10/64", "2001:db8:1::11/64", "2001:db8:a::7/64", "2001:db8:2::1/128",
				"2001:db8:1::10/56", "192.0.2.10/24"), slaac("2001:db8:a::/64")),
			header + slla + slaacPIO + hostPIO +
				"03043880" + "00278d00" + "00093a80" + "00000000" + "20010db8000100000000000000000000" + told,
		},
		"delegated prefix": {
			router(addresses(), set(func(b *nic.Binding) { b.Delegated = prefixList("2001:db8:100::/56") })),
			header + slla + told,
		},
		"every option": {
			router(all),
			"8600000040c80708" + "0000000000000000" + slla + hostPIO + rdnss1 +
				"0501000000000" + "5dc" +
				"18010018" + "00000708" +
				"18023000" + "00000258" + "20010db800ff0000" +
				"18034108" + "ffffffff" + "20010db8000100028000000000000000" +
				"2602" + "0708" + "0064ff9b0000000000000000" +
				"1f040000" + "00000708" + "0161076578616d706c6500" + "0162076578616d706c6500" + "0000" +
				"2504" + hex.EncodeToString([]byte("https://example.org/portal")) + "00000000",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := one(t, c.router, Withdrawn{})
			message(t, c.want, r.Message)
			if r.Dst != ip("ff02::1") || r.DstMAC != everyMAC() {
				t.Errorf("to %v at %v, want all nodes", r.Dst, r.DstMAC)
			}
		})
	}
}

func TestFlagsFollowTheDHCPv6Mode(t *testing.T) {
	none := []func(*nic.Binding){addresses(), slaac("2001:db8:a::/64")}
	delegated := append(none, set(func(b *nic.Binding) { b.Delegated = prefixList("2001:db8:100::/56") }))
	for _, c := range []struct {
		mode                             nic.DHCP6Mode
		withAddress, withPrefix, without byte
	}{
		{nic.DHCP6Both, 0xc0, 0xc0, 0x40},
		{nic.DHCP6Stateful, 0xc0, 0xc0, 0},
		{nic.DHCP6Stateless, 0x40, 0x40, 0x40},
		{nic.DHCP6Off, 0, 0, 0},
	} {
		got := [3]byte{
			one(t, router(mode(c.mode)), Withdrawn{}).Message[5],
			one(t, router(append(delegated, mode(c.mode))...), Withdrawn{}).Message[5],
			one(t, router(append(none, mode(c.mode))...), Withdrawn{}).Message[5],
		}
		if want := [3]byte{c.withAddress, c.withPrefix, c.without}; got != want {
			t.Errorf("mode %d: flags %x with an address, a delegated prefix, neither; want %x", c.mode, got, want)
		}
	}
}

// A is for /64s only, and no prefix is announced without a flag.
func TestPrefixesOfOtherLengthsAreNeverAutonomous(t *testing.T) {
	for bits := 1; bits <= 128; bits++ {
		p := fmt.Sprintf("2001:db8:1::10/%d", bits)
		flags := map[bool]byte{}
		for _, offLink := range []bool{false, true} {
			r := router(addresses(p), set(func(b *nic.Binding) { b.RA.Autonomous, b.RA.OffLink = true, offLink }))
			for _, o := range decode(t, one(t, r, Withdrawn{}).Message).options[3] {
				flags[offLink] = o[3]
			}
		}
		want := map[bool]byte{false: 0x80}
		switch bits {
		case 64:
			want = map[bool]byte{false: 0xc0, true: 0x40}
		case 128:
			want = map[bool]byte{}
		}
		if d := cmp.Diff(want, flags); d != "" {
			t.Errorf("/%d: flags by off-link (-want +got):\n%s", bits, d)
		}
	}
}

// Whose the advertisement is: the gateway's own, or what stands in for it.
func TestSource(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*nic.Binding)
		from     string
		mac      nic.MAC
		lifetime uint16
	}{
		"link-local gateway": {set(func(*nic.Binding) {}), gateway, gatewayMAC(), 1800},
		"global gateway":     {set(func(b *nic.Binding) { b.Gateway6 = ip("2001:db8:1::1") }), berthLL, gatewayMAC(), 1800},
		"no gateway":         {set(func(b *nic.Binding) { b.Gateway6 = ip("") }), berthLL, nic.BerthMAC(), 0},
		"routes alone": {set(func(b *nic.Binding) {
			b.Gateway6 = ip("")
			b.RA.Routes = []nic.RARoute{{To: netip.MustParsePrefix("2001:db8:ff::/48")}}
		}), berthLL, gatewayMAC(), 0},
		"private":          {set(func(b *nic.Binding) { b.NoDefaultRoute = true }), gateway, gatewayMAC(), 0},
		"lifetime of none": {set(func(b *nic.Binding) { b.RA.Lifetime = 0 }), gateway, gatewayMAC(), 0},
		"longest lifetime": {set(func(b *nic.Binding) { b.RA.Lifetime = 65535 }), gateway, gatewayMAC(), 65535},
		"MAC not known":    {set(func(b *nic.Binding) { b.GatewayMAC = nic.MAC{} }), gateway, nic.BerthMAC(), 1800},
	} {
		t.Run(name, func(t *testing.T) {
			r := one(t, router(c.change), Withdrawn{})
			if r.Src != ip(c.from) || r.SrcMAC != c.mac {
				t.Errorf("from %v at %v, want %s at %v", r.Src, r.SrcMAC, c.from, c.mac)
			}
			if got := decode(t, r.Message).lifetime; got != c.lifetime {
				t.Errorf("router lifetime %d, want %d", got, c.lifetime)
			}
		})
	}
}

func TestRouteLifetimes(t *testing.T) {
	for name, c := range map[string]struct {
		own, router nic.Seconds
		want        string
	}{
		"its own":                           {60, 1800, "0000003c"},
		"the router's":                      {0, 1800, "00000708"},
		"no default router: three beats":    {0, 0, "00000708"},
		"its own where there is no default": {60, 0, "0000003c"},
	} {
		r := router(set(func(b *nic.Binding) {
			b.RA.Lifetime = c.router
			b.RA.Routes = []nic.RARoute{{To: netip.MustParsePrefix("2001:db8:ff::/48"), Lifetime: c.own}}
		}))
		got := decode(t, one(t, r, Withdrawn{}).Message).options[24][0]
		if d := cmp.Diff("18023000"+c.want+"20010db800ff0000", hex.EncodeToString(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// RFC 8781: units of 8 s rounded up in 13 bits, then the length's code.
func TestPREF64(t *testing.T) {
	for name, c := range map[string]struct {
		prefix   string
		interval nic.Seconds
		want     string
	}{
		"/96":         {"64:ff9b::/96", 600, "26020708" + "0064ff9b0000000000000000"},
		"/64":         {"2001:db8:64::/64", 600, "26020709" + "20010db80064000000000000"},
		"/56":         {"2001:db8:64::/56", 600, "2602070a" + "20010db80064000000000000"},
		"/48":         {"2001:db8:64::/48", 600, "2602070b" + "20010db80064000000000000"},
		"/40":         {"2001:db8:6400::/40", 600, "2602070c" + "20010db86400000000000000"},
		"/32":         {"2001:db8::/32", 600, "2602070d" + "20010db80000000000000000"},
		"rounded up":  {"64:ff9b::/96", 5, "26020010" + "0064ff9b0000000000000000"},
		"at its most": {"64:ff9b::/96", 30000, "2602fff8" + "0064ff9b0000000000000000"},
	} {
		r := router(set(func(b *nic.Binding) {
			b.RA.PREF64, b.RA.Interval = netip.MustParsePrefix(c.prefix), c.interval
		}))
		got := decode(t, one(t, r, Withdrawn{}).Message).options[38]
		if len(got) != 1 || hex.EncodeToString(got[0]) != c.want {
			t.Errorf("%s: %x, want %s", name, got, c.want)
		}
	}
}

func TestMTUAndPortal(t *testing.T) {
	for mtu, want := range map[uint16]string{0: "", 1279: "", 1280: "0501000000000500", 9000: "0501000000002328"} {
		o := decode(t, one(t, router(set(func(b *nic.Binding) { b.MTU = mtu })), Withdrawn{}).Message).options[5]
		if got := strings.Join(hexes(o), " "); got != want {
			t.Errorf("MTU %d: option %q, want %q", mtu, got, want)
		}
	}
	for n, units := range map[int]byte{1: 1, 6: 1, 7: 2, 255: 33} {
		uri := strings.Repeat("u", n)
		o := decode(t, one(t, router(set(func(b *nic.Binding) { b.CaptivePortal = uri })), Withdrawn{}).Message).options[37]
		want := "25" + hex.EncodeToString([]byte{units}) + hex.EncodeToString([]byte(uri)) +
			strings.Repeat("00", int(units)*8-2-n)
		if d := cmp.Diff([]string{want}, hexes(o)); d != "" {
			t.Errorf("portal of %d bytes (-want +got):\n%s", n, d)
		}
	}
}

func hexes(list [][]byte) []string {
	var out []string
	for _, b := range list {
		out = append(out, hex.EncodeToString(b))
	}
	return out
}

// A long list is told as far as it goes: 9 servers are two options; a name
// that cannot be written is none.
func TestLongLists(t *testing.T) {
	r := router(set(func(b *nic.Binding) {
		b.DNS = nil
		for i := range 9 {
			b.DNS = append(b.DNS, ip(fmt.Sprintf("2001:db8::%d", i)))
		}
		b.Search = []string{strings.Repeat("x", 64), "a..b", "ok.example", strings.Repeat("abcdefg.", 33)}
	}))
	got := decode(t, one(t, r, Withdrawn{}).Message)
	var lengths []int
	for _, o := range got.options[25] {
		lengths = append(lengths, len(o))
	}
	if d := cmp.Diff([]int{8 + 7*16, 8 + 2*16}, lengths); d != "" {
		t.Errorf("RDNSS options (-want +got):\n%s", d)
	}
	want := []string{"1f030000" + "00000708" + "026f6b" + "076578616d706c65" + "00" + "00000000"}
	if d := cmp.Diff(want, hexes(got.options[31])); d != "" {
		t.Errorf("DNSSL options (-want +got):\n%s", d)
	}
}

// An advertisement never needs fragmentation. What does not fit is left out,
// and what matters most is kept.
func TestAdvertisementFitsTheMTU(t *testing.T) {
	crowd := func(n int, mtu uint16) Router {
		return router(set(func(b *nic.Binding) {
			b.MTU, b.CaptivePortal = mtu, "https://example.org/"
			for i := range n {
				b.Addresses = append(b.Addresses, netip.MustParsePrefix(fmt.Sprintf("2001:db8:2:%x::1/64", i)))
			}
			for i := range 20 {
				b.Search = append(b.Search, fmt.Sprintf("%s%d.example", strings.Repeat("n", 40), i))
			}
		}))
	}
	for _, c := range []struct {
		others, prefixes, servers, search, portal int
		mtu                                       uint16
		most                                      int
	}{
		{0, 1, 1, 3, 1, 0, 1460},
		{17, 18, 1, 2, 1, 0, 1460},
		{12, 13, 1, 2, 1, 1280, 1240},
		{40, 41, 1, 0, 1, 0, 1460},
		{43, 44, 1, 0, 0, 0, 1460},
		{200, 44, 1, 0, 0, 9000, 1460},
	} {
		m := one(t, crowd(c.others, c.mtu), Withdrawn{}).Message
		o := decode(t, m).options
		got := []int{len(o[3]), len(o[25]), len(o[31]), len(o[37])}
		if d := cmp.Diff([]int{c.prefixes, c.servers, c.search, c.portal}, got); d != "" {
			t.Errorf("%d other subnets, MTU %d: prefixes, servers, search lists, portals (-want +got):\n%s", c.others, c.mtu, d)
		}
		if len(m) > c.most {
			t.Errorf("%d other subnets, MTU %d: %d bytes, at most %d", c.others, c.mtu, len(m), c.most)
		}
	}
}

// A solicitation is answered to who asked, or to all nodes: never elsewhere.
func TestSolicited(t *testing.T) {
	fromNowhere := func(s *Solicitation) { s.Src, s.Message = netip.IPv6Unspecified(), s.Message[:8] }
	for name, c := range map[string]struct {
		multicast bool
		change    func(*Solicitation)
		dst       string
		mac       nic.MAC
	}{
		"unicast":                {false, func(*Solicitation) {}, guestLL, guestMAC()},
		"stable privacy address": {false, func(s *Solicitation) { s.Src = ip("fe80::aaaa:bbbb:cccc:dddd") }, "fe80::aaaa:bbbb:cccc:dddd", guestMAC()},
		"without an option":      {false, func(s *Solicitation) { s.Message = s.Message[:8] }, guestLL, guestMAC()},
		"another MAC it has":     {false, func(s *Solicitation) { s.EthSrc[5] = 9 }, guestLL, nic.MAC{0x52, 0x54, 0, 0xaa, 0, 9}},
		"no address yet":         {false, fromNowhere, "ff02::1", everyMAC()},
		"multicast":              {true, func(*Solicitation) {}, "ff02::1", everyMAC()},
	} {
		t.Run(name, func(t *testing.T) {
			s := rs(t)
			c.change(&s)
			r := router(set(func(b *nic.Binding) { b.RA.Multicast = c.multicast }))
			o := Answer(r, s, Withdrawn{})
			want := Outcome{Request: "RS", Answer: "RA", Reply: &Reply{
				SrcMAC: gatewayMAC(), DstMAC: c.mac, Src: ip(gateway), Dst: ip(c.dst),
				Message: unhex(t, header+slla+hostPIO+told),
			}}
			if d := cmp.Diff(want, o, sameAddr()); d != "" {
				t.Errorf("outcome (-want +got):\n%s", d)
			}
		})
	}
}

// Who gets no advertisement gets none unasked either, nor a final one.
func TestUnserved(t *testing.T) {
	for name, change := range map[string]func(*nic.Binding){
		"no IPv6":       addresses("192.0.2.10/24"),
		"IPv6 is off":   func(b *nic.Binding) { b.IPv6 = nic.IPv6Off },
		"link-local":    func(b *nic.Binding) { b.IPv6 = nic.IPv6LinkLocal },
		"off":           func(b *nic.Binding) { b.RA.Mode = nic.RAOff },
		"of the site's": func(b *nic.Binding) { b.RA.Mode = nic.RASite },
		"suspended":     func(b *nic.Binding) { b.Suspended = true },
	} {
		r := router(change)
		o := Answer(r, rs(t), Withdrawn{})
		if d := cmp.Diff(Outcome{Request: "RS", Reason: reason.RAUnserved}, o, sameAddr()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if a, f := Advertisements(r, Withdrawn{}), final(r); len(a) > 0 || f != nil {
			t.Errorf("%s: advertisements %v, final %v", name, a, f)
		}
	}
	if o := Answer(Router{}, rs(t), Withdrawn{}); o.Reason != reason.NoBinding || o.Reply != nil {
		t.Errorf("no binding: %+v", o)
	}
}
