package corpus

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// siteRouter is the gateway's router advertisement.
func siteRouter(change func(*packet6)) []byte {
	p := packet6{esrc: G, src: GLL, dst: allNodes, proto: icmp6, payload: router(1800, G)}
	if change != nil {
		change(&p)
	}
	return p.frame()
}

// foreignRouters are the router advertisements of others than berth.
func foreignRouters() []Vector {
	bad := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, ToGuest: true, Case: "foreign router: " + what, Frames: frames, Want: drop(reason.RAForeign)}
	}
	behind := func(hs ...header6) []byte {
		return siteRouter(func(p *packet6) { p.esrc, p.src, p.payload, p.headers = B, BLL, router(1800, B), hs })
	}
	rogue := packet6{esrc: B, src: BLL, dst: allNodes, proto: icmp6, payload: router(1800, B)}
	plain := siteRouter(nil)
	return []Vector{
		bad("N04", "advertisement", plain),
		bad("N05", "behind destination options, hop-by-hop options, an atomic fragment, AH, a routing header, eight headers",
			behind(options6(destOpts)), behind(options6(hopByHop)), behind(part(0, false)), behind(authenticated()), behind(routed(0, allNodes)), behind(manyHeaders(8)...)),
		bad("N20", "advertisement by unicast", siteRouter(func(p *packet6) { p.dst = LL })),
		bad("N21", "hop limit 64", siteRouter(func(p *packet6) { p.hop = 64 })),
		bad("N22", "tagged VID 0, in SNAP", enc(plain, tag{0x8100, 0}), llcsnap(plain, 0)),
		{ID: "N23", ToGuest: true, Case: "foreign router: in two fragments, the message in the second", Want: []Want{drop(reason.IP6Chain)[0], pass()[0]}, Frames: hiddenInSecond(rogue)},
		{ID: "N24", ToGuest: true, Case: "foreign router: first fragment of eight bytes", Want: []Want{drop(reason.RAForeign)[0], pass()[0]}, Frames: split(rogue, 0, 1)},
		{ID: "N25", ToGuest: true, Case: "foreign router: behind 61 headers, in a jumbogram, behind hop-by-hop options that are not first", Want: drop(reason.IP6Chain), Frames: [][]byte{
			behind(manyHeaders(61)...), jumbo(rogue), behind(options6(destOpts), options6(hopByHop)),
		}},
	}
}

// asBerth is whatever is said in berth's name.
func asBerth() []Vector {
	as := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, ToGuest: true, Case: "in berth's name: " + what, Frames: frames, Want: drop(reason.AsBerth)}
	}
	from := func(esrc nic.MAC, src netip.Addr, payload []byte) []byte {
		return packet6{esrc: esrc, edst: M, src: src, dst: LL, proto: icmp6, payload: payload}.frame()
	}
	return []Vector{
		as("N26", "router advertisement, from its MAC and from its address", siteRouter(func(p *packet6) { p.esrc, p.src = berthMAC, berthLL }),
			siteRouter(func(p *packet6) { p.src = berthLL })),
		as("N30", "DHCPv6 REPLY", packet6{esrc: berthMAC, src: berthLL, dst: LL, proto: udpProto, payload: udp(547, 546, serverMessage(7))}.frame()),
		as("N60", "advertisement of its address by another", from(B, BLL, advert(flagOverride, berthLL, lla(2, B)))),
		as("N61", "solicitation from its address", from(B, berthLL, solicit(LL, lla(1, B)))),
		as("N62", "anything from its MAC", from(berthMAC, BLL, icmp6Type(128, 0)), ether(M, berthMAC, 0x0800, packet{src: B4, dst: M4, proto: udpProto, payload: udp(1, 2, nil)}.bytes())),
	}
}

// foreignServers6 are DHCPv6 servers other than berth.
func foreignServers6() []Vector {
	reply := func(change func(*packet6)) []byte {
		p := packet6{esrc: S, src: ip("fe80::3"), dst: LL, proto: udpProto, payload: udp(547, 546, serverMessage(7))}
		if change != nil {
			change(&p)
		}
		return p.frame()
	}
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, ToGuest: true, Case: "foreign DHCPv6 server: " + what, Frames: frames, Want: drop(why)}
	}
	whole := packet6{esrc: S, src: ip("fe80::3"), dst: LL, proto: udpProto, payload: udp(547, 546, serverMessage(7))}
	plain := reply(nil)
	return []Vector{
		bad("N06", "REPLY, RECONFIGURE", reason.DHCPForeign, plain, reply(func(p *packet6) { p.payload = udp(547, 546, serverMessage(10)) })),
		bad("N27", "from port 1025, in UDP-Lite, to a group", reason.DHCPForeign, reply(func(p *packet6) { p.payload = udp(1025, 546, serverMessage(7)) }),
			reply(func(p *packet6) { p.proto = 136 }), reply(func(p *packet6) { p.dst = allNodes })),
		bad("N28", "behind destination options, an atomic fragment", reason.DHCPForeign, reply(func(p *packet6) { p.headers = []header6{options6(destOpts)} }),
			reply(func(p *packet6) { p.headers = []header6{part(0, false)} })),
		bad("N29", "tagged VID 0, in SNAP", reason.DHCPForeign, enc(plain, tag{0x8100, 0}), llcsnap(plain, 0)),
		{ID: "N31", ToGuest: true, Case: "foreign DHCPv6 server: in two fragments, the ports in the second", Want: []Want{drop(reason.IP6Chain)[0], pass()[0]}, Frames: hiddenInSecond(whole)},
		bad("N32", "payload length and version that lie", reason.IP6Malformed, reply(func(p *packet6) { p.length = 1400 }), reply(func(p *packet6) { p.length = 4 }), reply(func(p *packet6) { p.version = 4 })),
		bad("N33", "frame that ends in the IPv6 header", reason.Truncated, plain[:53]),
	}
}

// mustPassTowards6 is the site's honest traffic to the guest.
func mustPassTowards6() []Vector {
	ok := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, ToGuest: true, Case: "towards: " + what, Frames: frames, Want: pass()}
	}
	from := func(esrc nic.MAC, p packet6) []byte { p.esrc = esrc; return p.frame() }
	discovery := func(src nic.MAC, p packet6) []byte { p.proto = icmp6; return from(src, p) }
	far := ip("2001:db8:ffff::1")
	data := func(hs ...header6) []byte {
		return from(G, packet6{src: far, dst: M6, proto: udpProto, payload: udp(1, 2, rep('A', 9)), headers: hs})
	}
	return []Vector{
		ok("P73", "IPv6 unicast, from ports 547 and 546, behind headers", data(), data(options6(destOpts)), data(part(0, false)), data(routed(4, M6)),
			from(G, packet6{src: far, dst: M6, proto: udpProto, payload: udp(547, 4444, nil)}), from(G, packet6{src: far, dst: M6, proto: udpProto, payload: udp(546, 547, make([]byte, 8))})),
		ok("P74", "solicitation, advertisement, MLD query", discovery(G, packet6{src: GLL, dst: solicitedNode(M6), payload: solicit(M6, lla(1, G))}),
			discovery(G, packet6{src: GLL, dst: M6, payload: advert(flagRouter|flagSolicited, GLL, lla(2, G))}),
			discovery(G, packet6{src: GLL, dst: allNodes, hop: 1, payload: icmp6Type(130, 0, make([]byte, 20)...), headers: []header6{alert()}})),
		ok("P75", "echo and its answer, too big, redirect", discovery(B, packet6{src: B6, dst: M6, payload: icmp6Type(128, 0, 0, 1, 0, 1)}), discovery(B, packet6{src: B6, dst: M6, payload: icmp6Type(129, 0, 0, 1, 0, 1)}),
			discovery(G, packet6{src: G6, dst: M6, payload: icmp6Type(2, 0, 0, 0, 5, 0)}), discovery(G, packet6{src: GLL, dst: M6, payload: redirect(BLL, B6)})),
		ok("P76", "another VM's SOLICIT and router solicitation", from(B, packet6{src: BLL, dst: allAgents, proto: udpProto, payload: udp(546, 547, dhcp6(1, duid(1, B)))}),
			discovery(B, packet6{src: BLL, dst: allRouters, payload: icmp6Type(133, 0, 0, 0, 0, 0)})),
		ok("N34", "a neighbour claims the guest's IPv6 address, seen and not hidden", discovery(B, packet6{src: BLL, dst: allNodes, payload: advert(flagOverride, M6, lla(2, B))}),
			discovery(B, packet6{src: Any6, dst: solicitedNode(M6), payload: solicit(M6)})),
	}
}
