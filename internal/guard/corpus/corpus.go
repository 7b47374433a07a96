// Package corpus is the attacks and the must-pass frames as data: each vector
// a few frames, and what the guard must say of each. The Go definition, the
// kernel program and the tests on the wire all run it. The identifiers are
// classes of attack: A Ethernet source, B IPv4, C ARP, D neighbour discovery, E
// rogue router, F rogue DHCP server, G DHCP client abuse, H encapsulation, I
// IPv6, K link control, L routing control, M tunnels, N towards the guest, P
// must pass.
//
// Not here: anything but test data; no shipped program imports this.
package corpus

import (
	"net/netip"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Vector is one case.
type Vector struct {
	ID, Case string
	ToGuest  bool // sent by the site towards the guest
	Frames   [][]byte
	// Want is what becomes of each frame; the last one stands for the rest.
	Want []Want
}

// Want is one expected verdict in enforce mode.
type Want struct {
	Action guard.Action
	Reason reason.Reason
}

// At returns what becomes of frame i.
func (v *Vector) At(i int) Want { return v.Want[min(i, len(v.Want)-1)] }

// Binding is the NIC that every vector is about.
func Binding() *nic.Binding {
	return &nic.Binding{
		NIC: "tapA", MAC: M,
		Addresses: []netip.Prefix{netip.PrefixFrom(M4, 24), netip.PrefixFrom(M6, 64)},
		Gateway:   G4,
		Gateway6:  GLL,
		DHCP4:     nic.DHCP4{Lease: 86400, MaxLease: 86400},
		Guard: nic.Guard{
			Checks:         nic.AllChecks(),
			Rate:           nic.Rate{PerSecond: 1000, Burst: 100000},
			AllowAddresses: []netip.Prefix{netip.PrefixFrom(X4, 32), netip.PrefixFrom(X6, 128)},
		},
	}
}

// All returns the whole corpus for that binding.
func All() []Vector {
	var all []Vector
	for _, class := range [][]Vector{
		ethernet(), sources(), headers(), arps(), rogueServers(), clients(), clientAbuse(),
		encapsulated(), otherTypes(), control(), towards(), mustPass(), mustPassTowards(),
		neighbours(), neighbourDisguises(), advertisements(), redirects(), solicitations(), answered(),
		rogueServers6(), clients6(), clientAbuse6(), encapsulated6(), sources6(), extensions(), control6(),
		foreignRouters(), foreignServers6(), asBerth(), mustPass6(), fragments6(), neighbours6(), memberships(), mustPassTowards6(),
		virtualRouters(), shares(), strangers(),
	} {
		all = append(all, class...)
	}
	return all
}

func pass() []Want { return []Want{{Action: guard.Pass}} }

func take() []Want { return []Want{{guard.Take, reason.DHCP4}} }

func drop(rs ...reason.Reason) []Want {
	var w []Want
	for _, r := range rs {
		w = append(w, Want{guard.Drop, r})
	}
	return w
}

func one(f []byte) [][]byte { return [][]byte{f} }

func ethernet() []Vector {
	spoof := func(id, what string, src nic.MAC) Vector {
		p := packet{src: M4, dst: B4, proto: udpProto, payload: udp(40000, 40001, rep('A', 9))}
		return Vector{ID: id, Case: "MAC spoof: " + what, Frames: one(ether(B, src, 0x0800, p.bytes())), Want: drop(reason.MACSpoof)}
	}
	flood := Vector{ID: "A12", Case: "MAC flood", Want: drop(reason.MACSpoof)}
	for i := range 64 {
		src := nic.MAC{2, 0, 0, 0, byte(i), byte(i)}
		flood.Frames = append(flood.Frames, ether(B, src, 0x0800, packet{src: M4, dst: B4, proto: udpProto, payload: udp(1, 2, nil)}.bytes()))
	}
	stp := llcRaw(nic.MAC{0x01, 0x80, 0xc2}, B, 38, cat([]byte{0x42, 0x42, 3}, make([]byte, 35)))
	return []Vector{
		spoof("A01", "another VM", B),
		spoof("A02", "gateway", G),
		spoof("A03", "random locally administered", mac("02:de:ad:be:ef:01")),
		spoof("A04", "multicast", mac("53:54:00:aa:00:01")),
		spoof("A05", "broadcast", BC),
		spoof("A06", "all zero", Z),
		spoof("A07", "the host's answerer", mac("02:62:65:72:74:68")),
		spoof("A11", "one bit off", mac("52:54:00:aa:00:03")),
		spoof("A13", "VRRP MAC without a grant", V),
		spoof("A14", "VRRP MAC of another router", mac("00:00:5e:00:01:06")),
		{ID: "A08", Case: "STP with foreign MAC", Frames: one(stp), Want: drop(reason.MACSpoof)},
		{ID: "A09", Case: "DISCOVER with foreign Ethernet source, chaddr own", Want: drop(reason.MACSpoof), Frames: one(disc(func(d *dhcpFrame) { d.esrc = B }))},
		{ID: "A10", Case: "ARP with foreign Ethernet source", Want: drop(reason.MACSpoof), Frames: one(ether(BC, B, 0x0806, arpMsg{op: 1, sha: M, spa: M4, tpa: G4}.bytes()))},
		flood,
	}
}

func sources() []Vector {
	var vs []Vector
	for _, c := range []struct{ id, what, addr string }{
		{"B01", "other VM", "192.0.2.20"},
		{"B02", "gateway", "192.0.2.1"},
		{"B03", "off-link", "198.51.100.7"},
		{"B04", "loopback", "127.0.0.1"},
		{"B05", "loopback 127/8", "127.1.2.3"},
		{"B06", "multicast", "224.0.0.1"},
		{"B07", "limited broadcast", "255.255.255.255"},
		{"B08", "subnet broadcast", "192.0.2.255"},
		{"B09", "network address", "192.0.2.0"},
		{"B10", "0/8", "0.0.0.1"},
		{"B11", "class E", "240.0.0.1"},
		{"B13", "metadata", "169.254.169.254"},
		{"B14", "adjacent +1", "192.0.2.11"},
		{"B15", "adjacent -1", "192.0.2.9"},
		{"B16", "0.0.0.0, not DHCP", "0.0.0.0"},
	} {
		vs = append(vs, Vector{ID: c.id, Case: "IPv4 source: " + c.what, Frames: one(from(ip(c.addr))), Want: drop(reason.IP4Spoof)})
	}
	big := cat(be(1), be(80), rep(0, 16), rep('S', 1400))
	long := packet{src: B4, dst: G4, proto: udpProto, payload: udp(1, 2, rep('F', 1600))}
	rr := []byte{7, 7, 4, 0, 0, 0, 0, 0}
	return append(vs,
		Vector{ID: "B17", Case: "0.0.0.0, ICMP echo", Want: drop(reason.IP4Spoof), Frames: one(to(G, packet{src: Any4, proto: icmp, payload: cat([]byte{8, 0, 0, 0, 0, 1, 0, 1}, rep('x', 16))}))},
		Vector{ID: "B18", Case: "0.0.0.0, IGMP report", Want: drop(reason.IP4Spoof), Frames: one(to(G, packet{src: Any4, proto: igmp, payload: []byte{0x16, 0, 0, 0, 239, 1, 2, 3}}))},
		Vector{ID: "B19", Case: "spoofed source behind DHCP ports 68 to 67, unicast", Want: drop(reason.IP4Spoof), Frames: one(to(B, packet{src: ip("192.0.2.77"), dst: B4, proto: udpProto, payload: udp(68, 67, rep('A', 300))}))},
		Vector{ID: "B20", Case: "spoofed source to port 67 from port 9999", Want: drop(reason.IP4Spoof), Frames: one(to(BC, packet{src: ip("192.0.2.77"), dst: BC4, proto: udpProto, payload: udp(9999, 67, rep('A', 20))}))},
		Vector{ID: "B21", Case: "spoofed source to port 67, ciaddr another", Want: drop(reason.IP4Spoof), Frames: one(disc(func(d *dhcpFrame) { d.src, d.dst, d.msg.ci = ip("192.0.2.77"), B4, B4 }))},
		Vector{ID: "B24", Case: "spoofed TCP", Want: drop(reason.IP4Spoof), Frames: one(to(G, packet{src: B4, proto: tcp, payload: cat(be(1), be(80), rep(0, 16))}))},
		Vector{ID: "B28", Case: "spoofed full-size TCP", Want: drop(reason.IP4Spoof), Frames: one(to(G, packet{src: B4, proto: tcp, payload: big}))},
		Vector{ID: "B29", Case: "fragments of a spoofed source", Want: drop(reason.IP4Spoof), Frames: fragments(to(G, long), 800)},
		Vector{ID: "B32", Case: "Record Route with spoofed source", Want: drop(reason.IP4Spoof), Frames: one(to(G, packet{src: B4, proto: udpProto, opts: rr, payload: udp(1, 2, nil)}))},
	)
}

func headers() []Vector {
	own := packet{src: M4, dst: G4, proto: udpProto, payload: udp(40000, 40001, rep('A', 9))}
	verIHL := func(v byte) [][]byte { p := own; p.verIHL = v; return one(to(G, p)) }
	total := func(n int) [][]byte { p := own; p.total = n; return one(to(G, p)) }
	opts := func(o ...byte) [][]byte { p := own; p.opts = o; return one(to(G, p)) }
	frag := func(proto byte, field uint16, payload []byte) [][]byte {
		return one(to(G, packet{proto: proto, frag: field, payload: payload}))
	}
	v6 := cat([]byte{0x60, 0, 0, 0, 0, 8, 17, 64}, rep(0x20, 32), make([]byte, 8))
	return []Vector{
		{ID: "B22", Case: "IPv6 in ethertype IPv4", Want: drop(reason.IP4Malformed), Frames: one(ether(G, M, 0x0800, v6))},
		{ID: "B23", Case: "IPv4 in ethertype IPv6", Want: drop(reason.IP6Malformed), Frames: one(ether(G, M, 0x86dd, packet{src: B4, dst: G4, proto: udpProto, payload: udp(1, 2, nil)}.bytes()))},
		{ID: "B25", Case: "header length 16", Want: drop(reason.IP4Malformed), Frames: verIHL(0x44)},
		{ID: "B26", Case: "header length beyond total", Want: drop(reason.IP4Malformed), Frames: verIHL(0x4f)},
		{ID: "B27", Case: "version 5", Want: drop(reason.IP4Malformed), Frames: verIHL(0x55)},
		{ID: "B30", Case: "total length below header", Want: drop(reason.IP4Malformed), Frames: total(19)},
		{ID: "B33", Case: "total length beyond frame", Want: drop(reason.IP4Malformed), Frames: total(1400)},
		{ID: "B34", Case: "IPv4 in ethertype ARP", Want: drop(reason.ARPMalformed), Frames: one(ether(BC, M, 0x0806, packet{src: B4, dst: G4, proto: udpProto, payload: udp(1, 2, nil)}.bytes()))},
		{ID: "B35", Case: "frame ends in the IPv4 header", Want: drop(reason.Truncated), Frames: one(udp4(nil)[:33])},
		{ID: "B36", Case: "UDP length under eight", Want: drop(reason.IP4Malformed), Frames: one(to(G, packet{proto: udpProto, payload: []byte{1, 2, 3}}))},
		{ID: "B31", Case: "loose source route", Want: drop(reason.IP4Options), Frames: opts(131, 11, 4, 192, 0, 2, 1, 192, 0, 2, 20, 0)},
		{ID: "B37", Case: "strict source route behind padding", Want: drop(reason.IP4Options), Frames: opts(1, 137, 7, 4, 192, 0, 2, 1)},
		{ID: "B38", Case: "record route, own source", Want: drop(reason.IP4Options), Frames: opts(7, 7, 4, 0, 0, 0, 0, 0)},
		{ID: "B39", Case: "Router Alert of wrong length", Want: drop(reason.IP4Options), Frames: opts(148, 2, 0, 0)},
		{ID: "B40", Case: "Router Alert cut off", Want: drop(reason.IP4Options), Frames: opts(1, 1, 148, 4)},
		{ID: "B41", Case: "tiny first fragment, TCP", Want: drop(reason.FragmentTiny), Frames: frag(tcp, moreFragments, make([]byte, 8))},
		{ID: "B42", Case: "tiny middle fragment", Want: drop(reason.FragmentTiny), Frames: frag(tcp, moreFragments|7, make([]byte, 40))},
		{ID: "B43", Case: "TCP fragment that rewrites the flags", Want: drop(reason.FragmentTiny), Frames: frag(tcp, 1, make([]byte, 64))},
		{ID: "B44", Case: "fragment beyond 65535 (ping of death)", Want: drop(reason.IP4Malformed), Frames: frag(icmp, 8191, make([]byte, 64))},
		{ID: "B45", Case: "spoofed source behind padding options", Want: drop(reason.IP4Spoof), Frames: one(to(G, packet{src: B4, proto: udpProto, opts: []byte{1, 1, 1, 0}, payload: udp(1, 2, nil)}))},
		{ID: "B46", Case: "fragment to the limited broadcast", Want: drop(reason.FragmentBcast), Frames: one(to(BC, packet{dst: BC4, proto: icmp, frag: 100, payload: make([]byte, 64)}))},
		{ID: "E17", Case: "ICMP redirect", Want: drop(reason.ICMPRedirect), Frames: one(to(B, packet{dst: B4, proto: icmp, payload: cat([]byte{5, 1, 0, 0, 192, 0, 2, 10}, make([]byte, 28))}))},
	}
}

func arps() []Vector {
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "ARP: " + what, Frames: frames, Want: drop(why)}
	}
	rarp := func(dst nic.MAC, a arpMsg) []byte { return ether(dst, M, 0x8035, a.bytes()) }
	storm := bad("C25", "replies for the whole subnet", reason.ARPSpoofIP)
	for i := byte(100); i < 116; i++ {
		storm.Frames = append(storm.Frames, arp(B, arpMsg{op: 2, sha: M, tha: B, spa: netip.AddrFrom4([4]byte{192, 0, 2, i}), tpa: B4}))
	}
	return []Vector{
		bad("C01", "reply claiming the gateway", reason.ARPSpoofIP, arp(B, arpMsg{op: 2, sha: M, tha: B, spa: G4, tpa: B4})),
		bad("C02", "request claiming the gateway", reason.ARPSpoofIP, arp(BC, arpMsg{op: 1, sha: M, spa: G4, tpa: B4})),
		bad("C03", "gratuitous request for the gateway", reason.ARPSpoofIP, arp(BC, arpMsg{op: 1, sha: M, spa: G4, tpa: G4})),
		bad("C04", "gratuitous reply for the gateway", reason.ARPSpoofIP, arp(BC, arpMsg{op: 2, sha: M, tha: BC, spa: G4, tpa: G4})),
		bad("C05", "own address, another's sender MAC", reason.ARPSpoofMAC, arp(G, arpMsg{op: 2, sha: B, tha: G, spa: M4, tpa: G4})),
		bad("C06", "own address, broadcast sender MAC", reason.ARPSpoofMAC, arp(G, arpMsg{op: 2, sha: BC, tha: G, spa: M4, tpa: G4})),
		bad("C07", "own address, multicast sender MAC", reason.ARPSpoofMAC, arp(G, arpMsg{op: 2, sha: mac("01:00:5e:00:00:01"), tha: G, spa: M4, tpa: G4})),
		bad("C08", "victim's address in a unicast request", reason.ARPSpoofIP, arp(G, arpMsg{op: 1, sha: M, spa: B4, tpa: G4})),
		bad("C09", "probe for the victim's address", reason.ARPProbe, arp(BC, arpMsg{op: 1, sha: M, spa: Any4, tpa: B4})),
		bad("C10", "announcement of the victim's address", reason.ARPSpoofIP, arp(BC, arpMsg{op: 1, sha: M, spa: B4, tpa: B4})),
		bad("C11", "reply from 0.0.0.0", reason.ARPProbe, arp(BC, arpMsg{op: 2, sha: M, spa: Any4, tpa: M4})),
		bad("C12", "hlen 8", reason.ARPMalformed, arp(B, arpMsg{op: 2, sha: M, tha: B, spa: G4, tpa: B4, hlen: 8})),
		bad("C13", "plen 16", reason.ARPMalformed, arp(B, arpMsg{op: 2, sha: M, tha: B, spa: M4, tpa: B4, plen: 16})),
		bad("C15", "hardware type IEEE 802", reason.ARPMalformed, arp(B, arpMsg{op: 2, sha: M, tha: B, spa: G4, tpa: B4, htype: 6})),
		bad("C16", "protocol IPv6", reason.ARPMalformed, arp(B, arpMsg{op: 2, sha: M, tha: B, spa: G4, tpa: B4, ptype: 0x86dd})),
		bad("C18", "inverse ARP", reason.ARPOpcode, arp(B, arpMsg{op: 8, sha: M, spa: M4, tpa: B4}), arp(B, arpMsg{op: 9, sha: M, spa: G4, tpa: B4})),
		bad("C19", "opcodes 0, 3, 256 and 65535", reason.ARPOpcode, arp(B, arpMsg{op: 0, sha: M, spa: G4, tpa: B4}), arp(B, arpMsg{op: 3, sha: M, spa: M4, tpa: B4}),
			arp(B, arpMsg{op: 256, sha: M, spa: M4, tpa: B4}), arp(B, arpMsg{op: 65535, sha: M, spa: G4, tpa: B4})),
		bad("C20", "message cut off", reason.Truncated, arp(BC, arpMsg{op: 1, sha: M, spa: M4, tpa: G4})[:41]),
		bad("C21", "RARP reply", reason.RARP, rarp(B, arpMsg{op: 4, sha: M, tha: B, spa: M4, tpa: ip("10.6.6.6")})),
		bad("C22", "RARP announcement", reason.RARP, rarp(BC, arpMsg{op: 3, sha: B, tha: B, spa: Any4, tpa: Any4})),
		bad("C24", "permitted further address, another's sender MAC", reason.ARPSpoofMAC, arp(BC, arpMsg{op: 2, sha: G, tha: BC, spa: X4, tpa: X4})),
		bad("C26", "permitted further address, VRRP sender MAC without a grant", reason.ARPSpoofMAC, arp(BC, arpMsg{op: 1, sha: V, spa: X4, tpa: X4})),
		storm,
	}
}
