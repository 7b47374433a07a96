package corpus

import (
	"bytes"
	"net/netip"
)

// mustPass6 is what an honest guest sends.
func mustPass6() []Vector {
	ok := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: what, Frames: frames, Want: pass()}
	}
	own := func(proto byte, payload []byte, hs ...header6) []byte {
		return packet6{src: M6, dst: G6, hop: 64, proto: proto, payload: payload, headers: hs}.frame()
	}
	to := func(dst string, payload []byte) []byte {
		return packet6{src: M6, dst: ip(dst), hop: 8, proto: udpProto, payload: payload}.frame()
	}
	nine := udp(40000, 40001, rep('A', 9))
	echo := cat(icmp6Type(128, 0, 0, 1, 0, 1), rep('x', 16))
	tcp80 := cat(be(5), be(80), rep(0, 8), []byte{0x50, 0x10, 0, 0, 0, 0, 0, 0})
	invoking := packet6{src: G6, dst: M6, proto: udpProto, payload: udp(1, 2, nil)}.bytes()
	fails := func(kind byte) []byte { return own(icmp6, cat(icmp6Type(kind, 0, 0, 0, 5, 0), invoking)) }
	inner4 := packet{src: G4, dst: M4, proto: udpProto, payload: udp(1, 2, nil)}.bytes()
	return []Vector{
		ok("P20", "IPv6: UDP, TCP, echo", udp6(M6, nil), own(tcp, tcp80), own(icmp6, echo)),
		ok("P21", "IPv6: a permitted further address", udp6(X6, nil)),
		ok("P22", "IPv6: the EUI-64 link-local", udp6(LL, func(p *packet6) { p.dst = BLL })),
		ok("P23", "IPv6: a stable-privacy link-local (RFC 7217)", udp6(LLS, func(p *packet6) { p.dst = BLL })),
		ok("P36", "IPv6: destination options and TCP", own(tcp, tcp80, options6(destOpts))),
		ok("P37", "IPv6: ESP, AH", own(50, make([]byte, 32)), own(udpProto, nine, authenticated())),
		ok("P38", "IPv6: multicast, mDNS, LLMNR, SSDP", to("ff0e::1", nine), to("ff02::fb", udp(5353, 5353, make([]byte, 12))),
			to("ff02::1:3", udp(5355, 5355, make([]byte, 12))), to("ff02::c", udp(40000, 1900, make([]byte, 12)))),
		ok("P39", "ICMPv6 unreachable, too big, time exceeded, parameter problem", fails(1), fails(2), fails(3), fails(4)),
		ok("P46", "IPv6: from port 546 and from port 547 to others", own(udpProto, udp(546, 53, rep('A', 20))), own(udpProto, udp(547, 53, rep('A', 20)))),
		ok("P60", "IPv6: 1514 bytes, TCP full segment", own(udpProto, udp(1, 2, rep('Z', 1452))), own(tcp, cat(tcp80, rep('G', 1440-20)))),
		ok("P61", "IPv6: no next header, an unknown protocol, no payload", own(noNext, nil), own(noNext, make([]byte, 8)), own(253, make([]byte, 8)), own(132, make([]byte, 16))),
		ok("P62", "IPv6: behind an atomic fragment, mobility, HIP, shim6, eight headers", own(udpProto, nine, part(0, false)), own(udpProto, nine, plain(mobility)),
			own(udpProto, nine, plain(hip)), own(udpProto, nine, plain(shim6)), own(udpProto, nine, manyHeaders(8)...), own(udpProto, nine, pads(16))),
		ok("P63", "IPv6: hop limit 1, traffic class and flow label", classed(own(udpProto, nine)), packet6{src: M6, dst: G6, hop: 1, proto: udpProto, payload: nine}.frame()),
		ok("I30", "IPv6: own address to another VM in a group's frame (hole 196)", packet6{src: M6, dst: B6, edst: macOf(allNodes), hop: 64, proto: icmp6, payload: echo}.frame()),
		ok("P65", "IPv6: VRRP and OSPF by unicast", packet6{src: LL, dst: BLL, hop: 255, proto: vrrpProto, payload: vrrp(vrid)}.frame(), own(89, make([]byte, 24))),
		ok("P66", "extended echo (RFC 8335), echo of a group", own(icmp6, icmp6Type(160, 0, 0, 1, 0, 1)), packet6{src: LL, dst: allNodes, proto: icmp6, payload: echo}.frame()),
		ok("M06", "IPv6 tunnels: GRE, 6in6, 4in6, VXLAN, L2TPv3", own(47, cat([]byte{0, 0, 8, 0}, inner4)), own(41, invoking), own(4, inner4),
			own(udpProto, udp(4789, 4789, make([]byte, 50))), own(115, make([]byte, 44))),
	}
}

// classed sets traffic class EF and a flow label.
func classed(f []byte) []byte {
	f[14], f[15], f[16], f[17] = 0x6b, 0x81, 0x23, 0x45
	return f
}

// fragments6 is own traffic in honest fragments.
func fragments6() []Vector {
	ok := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "IPv6 fragments: " + what, Frames: frames, Want: pass()}
	}
	whole := func(proto byte, payload []byte) packet6 {
		return packet6{src: M6, dst: G6, hop: 64, proto: proto, payload: payload}
	}
	data := udp(1, 2, rep('A', 3000))
	return []Vector{
		ok("P35", "UDP in two", split(whole(udpProto, udp(1, 2, rep('A', 1800))), 0, 151)...),
		ok("P67", "in halves of what just exceeds the least MTU", split(whole(udpProto, udp(1, 2, rep('A', 1016))), 0, 64)...),
		ok("P68", "in three, the last of eight bytes", split(whole(udpProto, data[:2904]), 0, 181, 362)...),
		ok("P69", "echo in two", split(whole(icmp6, cat(icmp6Type(128, 0, 0, 1, 0, 1), rep('x', 2000))), 0, 181)...),
	}
}

// neighbours6 is the neighbour discovery of an honest guest.
func neighbours6() []Vector {
	ok := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "neighbour discovery: " + what, Frames: frames, Want: pass()}
	}
	const o, s = flagOverride, flagSolicited
	dad := func(a netip.Addr, options ...[]byte) []byte {
		return nd(Any6, solicitedNode(a), solicit(a, options...))
	}
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}
	return []Vector{
		ok("P24", "duplicate detection of the EUI-64 link-local", dad(LL)),
		ok("P25", "duplicate detection of a stable-privacy link-local", dad(LLS)),
		ok("P26", "duplicate detection of the own address, with nonce (RFC 7527)", dad(M6, nonce), dad(X6)),
		ok("P27", "solicitation of the gateway", nd(LL, solicitedNode(GLL), solicit(GLL, lla(1, M))), nd(LLS, solicitedNode(GLL), solicit(GLL, lla(1, M), nonce))),
		ok("P28", "unreachability probe without an option", nd(M6, G6, solicit(G6))),
		ok("P29", "solicited advertisement of the own address", nd(M6, G6, advert(s, M6, lla(2, M)))),
		ok("P30", "solicited advertisement of the link-local", nd(LL, GLL, advert(s, LL, lla(2, M))), nd(LLS, GLL, advert(s|o, LLS, lla(2, M)))),
		ok("P31", "unsolicited advertisement of a permitted further address", nd(X6, allNodes, advert(o, X6, lla(2, M))), nd(LL, allNodes, advert(o, X6, lla(2, M)))),
		ok("P32", "advertisement without an option", nd(M6, G6, advert(s, M6))),
		ok("P70", "solicitation of another VM, of its link-local", nd(M6, solicitedNode(B6), solicit(B6, lla(1, M))), nd(LL, solicitedNode(BLL), solicit(BLL, lla(1, M)))),
		ok("P71", "own advertisement behind destination options, AH", nd(M6, allNodes, advert(o, M6, lla(2, M)), options6(destOpts)), nd(M6, allNodes, advert(o, M6, lla(2, M)), authenticated())),
		ok("P72", "options of SEND (RFC 3971) and of others", nd(M6, solicitedNode(G6), solicit(G6, lla(1, M), nonce, cat([]byte{13, 2}, make([]byte, 14)), cat([]byte{12, 3}, make([]byte, 22)), cat([]byte{11, 2}, make([]byte, 14)))),
			nd(M6, solicitedNode(G6), solicit(G6, bytes.Repeat(nonce, 16)))),
	}
}

// memberships is what a host says of its groups.
func memberships() []Vector {
	group := func(src, dst netip.Addr, m []byte, hs ...header6) []byte {
		return packet6{src: src, dst: dst, hop: 1, proto: icmp6, payload: m, headers: hs}.frame()
	}
	report := func(kind byte, a netip.Addr) []byte {
		g := a.As16()
		return icmp6Type(kind, 0, cat([]byte{0, 0, 0, 0}, g[:])...)
	}
	report2 := func(a netip.Addr) []byte {
		g := a.As16()
		return icmp6Type(143, 0, cat([]byte{0, 0, 0, 1, 4, 0, 0, 0}, g[:])...)
	}
	sn, five := solicitedNode(LL), ip("ff02::5")
	return []Vector{
		{ID: "P33", Case: "MLD: reports from :: (RFC 3590)", Want: pass(), Frames: [][]byte{group(Any6, mldRouters, report2(sn), alert()), group(Any6, sn, report(131, sn), alert())}},
		{ID: "P34", Case: "MLD: reports and done", Want: pass(), Frames: [][]byte{
			group(LL, mldRouters, report2(sn), alert()), group(LL, five, report(131, five)), group(LL, allRouters, report(132, five), alert()), group(LLS, mldRouters, report2(sn), alert()),
		}},
	}
}
