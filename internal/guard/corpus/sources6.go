package corpus

import (
	"net/netip"

	"github.com/berth-net/berth/internal/reason"
)

// sources6 is what a NIC must not send from.
func sources6() []Vector {
	var vs []Vector
	for _, c := range []struct{ id, what, addr string }{
		{"I01", "other VM", "2001:db8:1::20"},
		{"I02", "gateway's global address", "2001:db8:1::1"},
		{"I03", "gateway's link-local", "fe80::1"},
		{"I05", "off-link", "2001:db8:9::1"},
		{"I06", "adjacent", "2001:db8:1::11"},
		{"I07", "multicast", "ff02::1"},
		{"I08", "loopback", "::1"},
		{"I09", "IPv4-mapped", "::ffff:192.0.2.10"},
		{"I10", "IPv4-compatible", "::192.0.2.10"},
		{"I11", "6to4", "2002:c000:20a::1"},
		{"I12", "site-local", "fec0::1"},
		{"I13", "unique local", "fd00::1"},
		{"I14", "temporary address of the subnet (RFC 8981)", "2001:db8:1:0:1234:5678:9abc:def0"},
		{"I15", "Teredo", "2001:0:1::1"},
		{"I16", "unspecified", "::"},
		{"I31", "berth's link-local", "fe80::62:65ff:fe72:7468"},
		{"I32", "the subnet's routers (RFC 4291 2.6.1)", "2001:db8:1::"},
		{"I44", "a prefix that is not granted", "2001:db8:a::1234:5678:9abc:def0"},
		{"I45", "the last address of a prefix that is not granted", "2001:db8:a::ffff:ffff:ffff:ffff"},
		{"I46", "the routers' address in a prefix that may be granted", "2001:db8:a::"},
		{"I47", "just beyond a prefix that may be granted", "2001:db8:a:1::1"},
		{"I48", "a gateway in a prefix that may be granted", "2001:db8:a::1"},
		{"I49", "NAT64", "64:ff9b::c000:20a"},
		{"I70", "a mapped IPv4 link-local", "::ffff:169.254.1.1"},
	} {
		vs = append(vs, Vector{ID: c.id, Case: "IPv6 source: " + c.what, Frames: one(udp6(ip(c.addr), nil)), Want: drop(reason.IP6Spoof)})
	}
	spoof := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "IPv6 source: " + what, Frames: frames, Want: drop(reason.IP6Spoof)}
	}
	behind := func(hs ...header6) []byte { return udp6(B6, func(p *packet6) { p.headers = hs }) }
	later := packet6{src: B6, dst: G6, proto: udpProto, raw: true, payload: rep('A', 600), headers: []header6{part(151, false)}}
	group := ip("ff02::5").As16()
	return append(vs,
		Vector{ID: "I04", Case: "IPv6 source: other VM's link-local", Frames: one(udp6(BLL, nil)), Want: drop(reason.LLTaken)},
		spoof("I17", "unspecified, echo", nd(Any6, allNodes, icmp6Type(128, 0, 0, 1, 0, 1))),
		spoof("I18", "unspecified, group report by unicast", packet6{src: Any6, dst: B6, hop: 1, proto: icmp6, payload: icmp6Type(131, 0, cat([]byte{0, 0, 0, 0}, group[:])...)}.frame()),
		spoof("I19", "spoofed behind destination options, a fragment header, AH", behind(options6(destOpts)), behind(part(0, false)), behind(authenticated())),
		spoof("I20", "spoofed later fragment", later.frame()),
		spoof("I50", "unspecified, duplicate detection in an atomic fragment", nd(Any6, solicitedNode(M6), solicit(M6), part(0, false))),
		spoof("I51", "unspecified, advertisement", nd(Any6, allNodes, advert(flagOverride, M6))),
		Vector{ID: "I52", Case: "IPv6 source: own, foreign Ethernet source", Want: drop(reason.MACSpoof), Frames: [][]byte{
			udp6(M6, func(p *packet6) { p.esrc = B }), packet6{esrc: G, src: LL, dst: allNodes, proto: icmp6, payload: advert(flagOverride, LL, lla(2, M))}.frame(),
		}},
	)
}

// extensions is own traffic behind headers and options that no host sends, or
// that nobody can follow.
func extensions() []Vector {
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "IPv6 headers: " + what, Frames: frames, Want: drop(why)}
	}
	behind := func(hs ...header6) []byte { return udp6(M6, func(p *packet6) { p.headers = hs }) }
	victim := B6.As16()
	home := header6{destOpts, cat([]byte{0, 2, 1, 2, 0, 0, 0xc9, 16}, victim[:])}
	tiny := func(eights uint16, more bool, n int) []byte {
		return udp6(M6, func(p *packet6) {
			p.proto, p.raw, p.payload, p.headers = tcp, true, cat(be(80), be(80), make([]byte, n-4)), []header6{part(eights, more)}
		})
	}
	ra := func(group netip.Addr) []byte {
		return udp6(M6, func(p *packet6) { p.dst, p.hop, p.headers = group, 1, []header6{alert()} })
	}
	own := packet6{src: M6, dst: G6, proto: udpProto, payload: udp(1, 2, rep('A', 40))}
	lying := func(change func(*packet6)) []byte { p := own; change(&p); return p.frame() }
	return []Vector{
		bad("I21", "segment routing header, RPL source route", reason.IP6Options, behind(routed(4, B6)), behind(routed(3, B6))),
		bad("I22", "home address of the victim (RFC 6275)", reason.IP6Options, behind(home)),
		bad("I23", "routing header of type 0 (RFC 5095), of type 2, of type 253", reason.IP6Options, behind(routed(0, B6)), behind(routed(2, B6)), behind(routed(253, B6))),
		bad("I24", "Router Alert on no MLD", reason.IP6Options, ra(allRouters), ra(G6), nd(LL, allNodes, icmp6Type(128, 0, 0, 1, 0, 1), alert())),
		bad("I25", "hop-by-hop options not first, twice", reason.IP6Chain, behind(options6(destOpts), options6(hopByHop)), behind(options6(hopByHop), options6(hopByHop))),
		bad("I26", "jumbogram", reason.IP6Chain, jumbo(own)),
		bad("I27", "tiny fragments: first, middle, last at a small offset, each by a little", reason.FragmentTiny, tiny(0, true, 8), tiny(100, true, 8), tiny(1, false, 64),
			tiny(0, true, 511), tiny(64, true, 504), tiny(63, false, 64)),
		bad("I28", "payload length beyond the frame, within the UDP header", reason.IP6Malformed, lying(func(p *packet6) { p.length = 1400 }), lying(func(p *packet6) { p.length = 4 })),
		bad("I29", "version 4, 5 and 7", reason.IP6Malformed, lying(func(p *packet6) { p.version = 4 }), lying(func(p *packet6) { p.version = 5 }), lying(func(p *packet6) { p.version = 7 })),
		bad("I33", "two fragment headers", reason.IP6Chain, behind(part(0, false), part(0, false))),
		bad("I34", "nine headers", reason.IP6Chain, behind(manyHeaders(9)...)),
		bad("I35", "more options than anybody sends", reason.IP6Options, behind(pads(17)), behind(pads(40))),
		bad("I36", "hop-by-hop options of no host: jumbo, CALIPSO, RPL, quick start, IOAM", reason.IP6Options, behind(options6(hopByHop, 0xc2, 4, 0, 1, 0, 0)),
			behind(options6(hopByHop, 7, 8, 0, 0, 0, 1, 0, 0, 0, 0)), behind(options6(hopByHop, 0x63, 4, 0, 0, 0, 0)), behind(options6(hopByHop, 0x26, 6, 0, 0, 0, 0, 0, 0)), behind(options6(hopByHop, 0x31, 2, 0, 0))),
		bad("I37", "option beyond its header", reason.IP6Options, behind(header6{destOpts, []byte{0, 0, 1, 9, 0, 0, 0, 0}}), behind(header6{hopByHop, []byte{0, 0, 0, 0, 0, 0, 0, 1}})),
		bad("I38", "header beyond the packet", reason.IP6Chain, behind(header6{destOpts, []byte{0, 40, 1, 4, 0, 0, 0, 0}}), behind(header6{ah, []byte{0, 255, 0, 0, 0, 0, 0, 0}})),
		bad("I39", "first fragment that ends before UDP", reason.IP6Chain, lying(func(p *packet6) { p.headers, p.raw, p.payload = []header6{part(0, true)}, true, []byte{1, 2, 3, 4} })),
		bad("I40", "UDP and ICMPv6 cut off", reason.IP6Malformed, lying(func(p *packet6) { p.raw, p.payload = true, []byte{1, 2, 3, 4} }),
			packet6{src: M6, dst: G6, proto: icmp6, raw: true, payload: []byte{128, 0, 0}}.frame()),
		bad("I41", "frame ends in the IPv6 header", reason.Truncated, udp6(M6, nil)[:53]),
		bad("I42", "no upper layer at all behind a header", reason.IP6Chain, lying(func(p *packet6) { p.proto, p.raw, p.payload = destOpts, true, nil })),
	}
}

// pads is destination options of n PadN, the last one filling it up.
func pads(n int) header6 {
	var opts []byte
	for range n - 1 {
		opts = append(opts, 1, 0)
	}
	rest := -(len(opts) + 4) & 7
	return header6{destOpts, cat([]byte{0, byte((len(opts)+4+rest)/8 - 1)}, opts, []byte{1, byte(rest)}, make([]byte, rest))}
}

// control6 is what routers say to each other.
func control6() []Vector {
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "IPv6 control: " + what, Frames: frames, Want: drop(why)}
	}
	any6 := make([]byte, 16)
	query := func(src netip.Addr, hs ...header6) []byte {
		return packet6{src: src, dst: allNodes, hop: 1, proto: icmp6, headers: hs, payload: icmp6Type(130, 0, cat([]byte{0x27, 0x10, 0, 0}, any6)...)}.frame()
	}
	hello := func(last string, proto byte, payload []byte) []byte {
		return packet6{src: LL, dst: ip("ff02::" + last), hop: 1, proto: proto, payload: payload}.frame()
	}
	ports := func(p uint16) []byte { return udp(p, p, make([]byte, 20)) }
	inUnicast := func(src netip.Addr) []byte {
		return packet6{src: src, dst: ip("ff02::9"), edst: G, hop: 1, proto: udpProto, payload: ports(521)}.frame()
	}
	return []Vector{
		bad("L08", "MLD query", reason.MLDQuery, query(LL), query(LL, alert())),
		bad("L09", "MLD query from ::", reason.IP6Spoof, query(Any6), query(Any6, alert())),
		bad("L10", "OSPFv3, EIGRP, PIM", reason.RoutingControl, hello("5", 89, make([]byte, 36)), hello("a", 88, make([]byte, 20)), hello("d", 103, []byte{0x20, 0, 0, 0})),
		bad("L11", "RIPng, HSRP, Babel, LDP, GLBP", reason.RoutingControl, hello("9", udpProto, ports(521)), hello("66", udpProto, ports(2029)),
			hello("1:6", udpProto, ports(6696)), hello("2", udpProto, ports(646)), hello("66", udpProto, ports(3222))),
		bad("L12", "RIPng multicast in a unicast frame", reason.RoutingControl, inUnicast(LL), inUnicast(M6)),
		bad("L13", "mDNS from a spoofed source", reason.IP6Spoof, packet6{src: B6, dst: ip("ff02::fb"), proto: udpProto, payload: udp(5353, 5353, make([]byte, 12))}.frame()),
		bad("L14", "unknown and experimental ICMPv6", reason.ICMP6Type, types6(0, 5, 100, 101, 127, 150, 155, 156, 158, 159, 162, 200, 201, 255)...),
	}
}
