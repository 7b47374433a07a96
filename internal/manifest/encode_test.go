package manifest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/nic"
)

// compareNetip lets cmp see netip's unexported fields by their own equality.
func compareNetip() cmp.Options {
	return cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}
}

// maker makes random valid bindings out of a generator.
type maker struct{ r *rand.Rand }

func (m maker) yes() bool { return m.r.IntN(2) == 0 }

func (m maker) word() string {
	words := []string{"true", "null", "none", "12", "1e3", "0x10", "a", "web-1", "x1", "010", "off", "7e", "inf"}
	return words[m.r.IntN(len(words))]
}

func (m maker) text() string {
	words := []string{"", "true", "~", "a: b", "#x", " lead", "tail ", "é", "\"q\"", "'s'", "- x", "[a", "{b", "*c", "&d", "!e", "%f", "a\\b", "1_0", "0o7", "😀", "<<", "x #y", "|", ">", "@", "`", "---", "?"}
	return words[m.r.IntN(len(words))] + words[m.r.IntN(len(words))]
}

func (m maker) addr() netip.Addr {
	return netip.AddrFrom4([4]byte{10, 7, byte(m.r.IntN(256)), byte(1 + m.r.IntN(254))})
}

func (m maker) addrs() []netip.Addr {
	var out []netip.Addr
	for i := range m.r.IntN(4) {
		out = append(out, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	return out
}

func (m maker) boot() nic.Boot {
	if m.yes() {
		return nic.Boot{}
	}
	return nic.Boot{NextServer: m.addr(), ServerName: m.text(), File: m.text()}
}

func (m maker) seconds(least nic.Seconds) nic.Seconds {
	if m.r.IntN(8) == 0 {
		return nic.Infinite
	}
	return least + nic.Seconds(m.r.Uint32N(1_000_000))
}

func (m maker) binding() nic.Binding {
	b := nic.Binding{
		NIC:            fmt.Sprintf("tap%d", m.r.IntN(1000)),
		MAC:            nic.MAC{0x52, 0x54, 0, 1, 2, byte(m.r.IntN(256))},
		Suspended:      m.yes(),
		NoDefaultRoute: m.yes(),
		DNS:            m.addrs(),
		NTP:            m.addrs(),
		DHCP4:          m.dhcp4(),
		DHCP6:          m.dhcp6(),
		RA:             m.ra(),
		Guard:          m.guard(),
	}
	if m.yes() {
		b.Hostname, b.Domain, b.Network = m.word(), m.word()+".example", m.text()+"n"
		b.Search = []string{m.word() + ".example", "example.org"}
		b.Tags = map[string]string{"k" + m.text(): m.text(), "vm": m.text()}
		b.MTU = uint16(68 + m.r.IntN(9000))
	}
	if m.yes() {
		m.addresses(&b)
	}
	m.ipv6(&b)
	m.shared(&b)
	if b.ServesIPv6() && b.MTU != 0 {
		b.MTU = max(b.MTU, 1280)
	}
	return b
}

func (m maker) addresses(b *nic.Binding) {
	own := netip.AddrFrom4([4]byte{10, 7, 1, byte(10 + m.r.IntN(100))})
	b.Addresses = []netip.Prefix{netip.PrefixFrom(own, 16), netip.MustParsePrefix("198.51.100.7/32")}
	b.Gateway = netip.MustParseAddr("10.7.0.1")
	b.Routes = []nic.Route{{To: netip.MustParsePrefix("10.9.0.0/16"), Via: netip.MustParseAddr("10.7.0.2")}, {To: netip.MustParsePrefix("169.254.1.1/32")}}
	if m.yes() {
		b.Broadcast = netip.MustParseAddr("10.7.255.255")
		b.DHCP4.Address = b.Addresses[0]
	}
}

func (m maker) dhcp4() nic.DHCP4 {
	d := nic.DHCP4{
		Off: m.yes(), Lease: m.seconds(60), OnlyRequested: m.yes(), NoRouterWithRoutes: m.yes(),
		RapidCommit: m.yes(), Relay: m.yes(), AnyClient: m.yes(), Boot: m.boot(), BootIPXE: m.boot(),
		ServerID: nic.ServerID{Kind: nic.ServerIDKind(m.r.IntN(4))},
	}
	d.MaxLease = max(d.Lease, m.seconds(60))
	if m.yes() {
		d.T1, d.T2 = d.Lease/2, d.Lease-1
		d.V6OnlyWait = m.seconds(300)
	}
	if d.ServerID.Kind == nic.ServerIDFixed {
		d.ServerID.Addr = netip.MustParseAddr("169.254.169.254")
	}
	if m.yes() {
		d.BootArch = map[uint16]nic.Boot{0: m.boot(), 7: m.boot(), 65535: {File: "x"}}
		d.Options = []nic.Option{{Code: 43, Data: []byte{1, 2, 0xff}}, {Code: 224, Data: make([]byte, 300)}}
	}
	return d
}

// pick returns one of a few values.
func pick[T any](m maker, values ...T) T { return values[m.r.IntN(len(values))] }

func (m maker) ipv6(b *nic.Binding) {
	a, p := netip.MustParseAddr, netip.MustParsePrefix
	b.CaptivePortal = pick(m, "", "https://p.example/a?b=#c", "urn:ietf:params:capport:unrestricted")
	b.GatewayMAC = pick(m, nic.MAC{}, nic.MAC{0x52, 0x54, 0, 0xff, 0, 1})
	b.Gateway6 = pick(m, netip.Addr{}, a("fe80::1"))
	b.LinkLocal = pick(m, nic.LinkLocal{}, nic.LinkLocal{Kind: nic.EUI64Only})
	b.IPv6 = pick(m, nic.IPv6Auto, nic.IPv6Off, nic.IPv6LinkLocal)
	b.Routed = m.yes()
	switch {
	case b.Routed:
		b.Neighbours = pick(m, nic.NeighboursOff, nic.NeighboursAll)
	case !b.GatewayMAC.IsZero():
		b.Neighbours = pick(m, nic.NeighboursServer, nic.NeighboursGateway)
	}
	if b.IPv6 != nic.IPv6Auto || m.yes() {
		return
	}
	b.DNS = append(b.DNS, a("2001:db8::53"))
	b.Addresses = append(b.Addresses, p("2001:db8:1::10/64"), p("2001:db8:1::11/128"))
	b.LinkLocal = pick(m, b.LinkLocal, nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{a("fe80::7")}})
	b.SLAAC = pick(m, nil, []netip.Prefix{p("2001:db8:a::/64"), p("2001:db8:b::/64")})
	if m.yes() {
		b.Delegated = []netip.Prefix{p("2001:db8:100::/56")}
		b.DHCP6.IAs = []nic.IA{{IAID: m.r.Uint32(), Addresses: []netip.Addr{a("2001:db8:1::10")}}, {IAID: 0, Prefixes: b.Delegated}}
		b.DHCP6.Temporary = []netip.Addr{a("2001:db8:1::11")}
	}
}

func (m maker) shared(b *nic.Binding) {
	b.Group = pick(m, "", m.text())
	b.Routing = nic.Routing{Table: pick[uint32](m, 0, 1, 4294967295), Uplink: pick(m, "", "eth0", "true", "none", "7")}
	if b.Routed {
		return
	}
	b.ServedBy = pick(m, nic.ServedByBerth, nic.ServedBySite, nic.ServedByTenant)
	if m.yes() {
		b.Shared = []nic.Shared{
			{Group: m.text() + "a", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.7")}, VRID: uint8(m.r.IntN(256))},
			{Group: m.text() + "b", Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.8"), netip.MustParseAddr("203.0.113.9")}},
		}
	}
	if m.yes() && b.IPv6 == nic.IPv6Auto && b.Shared != nil {
		b.Shared[1].Addresses = append(b.Shared[1].Addresses, netip.MustParseAddr("2001:db8:9::9"))
	}
}

func (m maker) dhcp6() nic.DHCP6 {
	d := nic.DHCP6{
		Mode:      pick(m, nic.DHCP6Both, nic.DHCP6Stateful, nic.DHCP6Stateless, nic.DHCP6Off),
		Preferred: m.seconds(60), RapidCommit: m.yes(), Unicast: m.yes(), Relay: m.yes(), Refuse: m.yes(),
		Preference: uint8(m.r.IntN(256)), Refresh: pick(m, 0, m.seconds(600)),
		SolMaxRT: pick[nic.Seconds](m, 0, 60, 86400), InfMaxRT: pick[nic.Seconds](m, 0, 61),
		DUID: pick(m, nil, []byte{0, 1, 2}, make([]byte, 130)),
	}
	d.Valid = max(d.Preferred, m.seconds(60))
	if m.yes() {
		d.T1, d.T2 = d.Preferred/2, pick(m, 0, d.Preferred)
	}
	if m.yes() {
		d.Options = []nic.Option6{{Code: 17, Data: []byte{0, 0, 1, 2}}, {Code: 65535, Data: nil}}
		d.BootURL = "http://b.example/" + m.word()
		d.BootArgs = []string{m.text() + "a", "x y"}
		d.BootArch = map[uint16]string{0: "tftp://a/b", 65535: "http://c/d"}
	}
	return d
}

func (m maker) ra() nic.RA {
	a := nic.RA{
		Mode:     pick(m, nic.RAServe, nic.RAOff, nic.RASite),
		Interval: 4 + nic.Seconds(m.r.Uint32N(1700)), Preference: m.preference(), HopLimit: uint8(m.r.IntN(256)),
		Preferred: m.seconds(60), OffLink: m.yes(), Autonomous: m.yes(), Multicast: m.yes(),
		PREF64: pick(m, netip.Prefix{}, netip.MustParsePrefix("64:ff9b::/96")),
	}
	a.Valid = max(a.Preferred, m.seconds(60))
	a.Lifetime = pick(m, 0, a.Interval, 65535)
	if m.yes() {
		a.Routes = []nic.RARoute{
			{To: netip.MustParsePrefix("::/0"), Preference: m.preference(), Lifetime: m.seconds(1)},
			{To: netip.MustParsePrefix("2001:db8:ff::/48"), Preference: m.preference(), Lifetime: 1},
		}
	}
	return a
}

func (m maker) preference() nic.Preference {
	return pick(m, nic.PreferenceLow, nic.PreferenceMedium, nic.PreferenceHigh)
}

func (m maker) guard() nic.Guard {
	g := nic.Guard{
		Mode:   nic.Mode(m.r.IntN(3)),
		Checks: nic.Checks{MAC: m.yes(), ARP: m.yes(), ND: m.yes(), IP: m.yes(), L2: m.yes()},
		Router: m.yes(), Advertise: m.yes(),
		Rate: nic.Rate{PerSecond: 1 + m.r.Uint32N(100), Burst: 1 + m.r.Uint32N(100)},
	}
	if m.yes() {
		g.AllowAddresses = []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("203.0.113.9/32"), netip.MustParsePrefix("2001:db8:20::/64")}
		g.AllowMACs = []nic.MAC{{0, 0, 0x5e, 0, 1, 7}}
		g.AllowEthertypes = []uint16{0x88cc, 0x0600}
		g.AllowVLANs = []uint16{1, 4094}
		g.Peers = []nic.MACRange{{MAC: nic.MAC{0xaa, 0, 0x10}, Bits: 20}, {MAC: nic.MAC{2}, Bits: 7}, {MAC: nic.MAC{0x52, 1, 2, 3, 4, 5}, Bits: 48}}
		g.Routers = []netip.Addr{netip.MustParseAddr("fe80::3"), netip.MustParseAddr("fe80::1")}
	}
	return g
}

// Whatever a valid binding holds, what is written of it means the same.
func TestEncodeRoundTrip(t *testing.T) {
	for seed := range uint64(1000) {
		want := maker{rand.New(rand.NewPCG(seed, 1))}.binding()
		if err := nic.Validate(&want); err != nil {
			t.Fatalf("seed %d: the generator made an invalid binding: %v", seed, err)
		}
		text, err := Encode(&want)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r := Resolved("f", text)
		if len(r.Problems) > 0 || len(r.Bindings) != 1 {
			t.Fatalf("seed %d: %v\n%s", seed, r.Problems, text)
		}
		want.Origin = nic.Origin{File: "f", Line: 1}
		if d := cmp.Diff(want, r.Bindings[0], compareNetip()); d != "" {
			t.Fatalf("seed %d: -want +got\n%s\n%s", seed, d, text)
		}
		if want.Network != "" {
			continue
		}
		// Nothing is left for a network to fill in.
		nets, _ := ParseNetworks("n", []byte("network: default\ngateway: 10.7.0.9\nmtu: 1400\ndns: [9.9.9.9]\ndomain: d.example\ndhcp4: {v6-only-wait: 1h, boot: {file: x}, boot-arch: {3: {file: y}}}\n"+
			"served-by: site\nrouting: {table: 9, uplink: eth9}\ngateway6: fe80::9\ngateway-mac: 52:54:00:00:00:99\ncaptive-portal: http://x/\nlink-local: eui-64\nneighbours: server\n"+
			"dhcp6: {t1: 1m, boot-url: 'http://x/', boot-args: [q], boot-arch: {3: 'http://y/'}, options: [{code: 77, type: int8, value: 1}], refresh: 1h}\n"+
			"ra: {pref64: '64:ff9b::/96', routes: [{to: 'fc00::/7'}]}\nguard: {routers: ['fe80::5'], peers: ['02:00:00:00:00:09']}\n"))
		if d := cmp.Diff(want, Parse("f", text, nets).Bindings[0], compareNetip()); d != "" {
			t.Fatalf("seed %d: a network reaches what was resolved: -want +got\n%s", seed, d)
		}
	}
}
