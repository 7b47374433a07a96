package corpus

import (
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/reason"
)

func taken(why reason.Reason) []Want { return []Want{{guard.Take, why}} }

// advertisements are the guest as a router. None leaves it, whatever hides it.
func advertisements() []Vector {
	rogue := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "rogue router: " + what, Frames: frames, Want: drop(reason.RARogue)}
	}
	ra := router(1800, M)
	all := packet6{src: LL, dst: allNodes, proto: icmp6, payload: ra}
	behind := func(hs ...header6) []byte { return nd(LL, allNodes, ra, hs...) }
	tagged := nd(LL, allNodes, ra)
	piece := func(eights uint16, more bool, data []byte) []byte {
		return packet6{src: LL, dst: allNodes, proto: icmp6, payload: data, raw: true, headers: []header6{part(eights, more)}}.frame()
	}
	sealedRA := sealed(LL, allNodes, icmp6, ra)
	echoed := append([]byte{128}, sealedRA[1:]...)
	return []Vector{
		rogue("E01", "advertisement", nd(LL, allNodes, ra)),
		rogue("E02", "advertisement by unicast", nd(LL, BLL, ra)),
		rogue("E03", "the gateway's advertisement with lifetime 0", nd(GLL, allNodes, router(0, G))),
		rogue("E04", "behind destination options", behind(options6(destOpts))),
		rogue("E05", "behind hop-by-hop options", behind(options6(hopByHop))),
		rogue("E06", "behind destination options, twice", behind(options6(destOpts), options6(destOpts))),
		rogue("E07", "in an atomic fragment", behind(part(0, false))),
		{ID: "E08", Case: "rogue router: in two fragments, the message in the second", Want: drop(reason.IP6Chain, reason.FragmentTiny), Frames: hiddenInSecond(all)},
		{ID: "E09", Case: "rogue router: first fragment of eight bytes", Want: drop(reason.RARogue, reason.FragmentTiny), Frames: split(all, 0, 1)},
		{
			ID: "E10", Case: "rogue router: overlapping fragments, the first an echo", Want: drop(reason.FragmentTiny, reason.RARogue, reason.FragmentTiny),
			Frames: [][]byte{piece(0, true, echoed[:16]), piece(0, true, sealedRA[:16]), piece(2, false, sealedRA[16:])},
		},
		{ID: "E11", Case: "rogue router: behind 61 headers", Want: drop(reason.IP6Chain), Frames: one(behind(manyHeaders(61)...))},
		rogue("E12", "behind a routing header", behind(routed(0, allNodes))),
		rogue("E13", "behind AH", behind(authenticated())),
		rogue("E14", "from a global address", nd(M6, allNodes, ra)),
		rogue("E15", "hop limit 64, code 1, from ::", packet6{src: LL, dst: allNodes, hop: 64, proto: icmp6, payload: ra}.frame(),
			nd(LL, allNodes, cat([]byte{134, 1}, ra[2:])), nd(Any6, allNodes, ra)),
		rogue("E28", "behind eight headers", behind(manyHeaders(8)...)),
		{ID: "E29", Case: "rogue router: in a jumbogram", Want: drop(reason.IP6Chain), Frames: one(jumbo(all))},
		rogue("E31", "behind mobility, HIP, shim6", behind(plain(mobility)), behind(plain(hip)), behind(plain(shim6))),
		rogue("E33", "cut to its first eight bytes", nd(LL, allNodes, ra[:8])),
		{ID: "E34", Case: "rogue router: cut to four bytes", Want: drop(reason.IP6Malformed), Frames: one(nd(LL, allNodes, ra[:4]))},
		rogue("E35", "tagged VID 0, in SNAP", enc(tagged, tag{0x8100, 0}), llcsnap(tagged, 0), enc(llcsnap(tagged, 0), tag{0x8100, 0})),
	}
}

func manyHeaders(n int) []header6 {
	var hs []header6
	for range n {
		hs = append(hs, header6{destOpts, cat([]byte{0, 1, 1, 12}, make([]byte, 12))})
	}
	return hs
}

// jumbo makes a jumbogram of a packet (RFC 2675): its payload length is zero,
// what it would be stands in a hop-by-hop option.
func jumbo(p packet6) []byte {
	p.headers = []header6{{hopByHop, []byte{0, 0, 0xc2, 4, 0, 1, 0, 0}}}
	f := p.frame()
	f[14+4], f[14+5] = 0, 0
	return f
}

func redirects() []Vector {
	elsewhere := ip("2001:db8:9::9")
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "router: " + what, Frames: frames, Want: drop(why)}
	}
	return []Vector{
		bad("E16", "redirect", reason.ICMPRedirect, nd(LL, BLL, redirect(LL, elsewhere))),
		bad("E18", "redirect from the gateway's address", reason.IP6Spoof, nd(GLL, BLL, redirect(LL, elsewhere))),
		bad("E36", "redirect behind hop-by-hop and destination options", reason.ICMPRedirect, nd(LL, BLL, redirect(LL, elsewhere), options6(hopByHop), options6(destOpts))),
		bad("E19", "renumbering, multicast router discovery", reason.ICMP6Type,
			nd(LL, allNodes, icmp6Type(138, 1, make([]byte, 12)...)), nd(LL, ip("ff02::6a"), icmp6Type(151, 20, 0, 0, 0, 0)),
			nd(LL, ip("ff02::6a"), icmp6Type(152, 0, 0, 0, 0, 0)), nd(LL, ip("ff02::6a"), icmp6Type(153, 0, 0, 0, 0, 0))),
	}
}

// solicitations are the guest's question for routers: taken, and answered or
// not, but never seen by anybody else.
func solicitations() []Vector {
	rs := func(options ...[]byte) []byte { return icmp6Type(133, 0, cat([]byte{0, 0, 0, 0}, cat(options...))...) }
	ask := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "router solicitation: " + what, Frames: frames, Want: taken(reason.RouterSolicit)}
	}
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "router solicitation: " + what, Frames: frames, Want: drop(why)}
	}
	own := nd(LL, allRouters, rs(lla(1, M)))
	return []Vector{
		ask("E20", "to all routers", own),
		ask("E21", "from ::", nd(Any6, allRouters, rs())),
		ask("E37", "from a stable-privacy link-local", nd(LLS, allRouters, rs(lla(1, M)))),
		ask("E30", "by unicast", nd(LL, GLL, rs(lla(1, M)))),
		ask("E38", "behind destination options", nd(LL, allRouters, rs(), options6(destOpts))),
		bad("E22", "from :: with a MAC", reason.NDMalformed, nd(Any6, allRouters, rs(lla(1, M)))),
		bad("E23", "hop limit 64", reason.NDMalformed, packet6{src: LL, dst: allRouters, hop: 64, proto: icmp6, payload: rs()}.frame()),
		bad("E24", "in an atomic fragment", reason.NDFragment, nd(LL, allRouters, rs(), part(0, false))),
		ask("E25", "from the victim's link-local, which nobody sees", nd(BLL, allRouters, rs(lla(1, M)))),
		bad("E26", "tagged VID 0, in SNAP", reason.NDFragment, enc(own, tag{0x8100, 0}), llcsnap(own, 0)),
		bad("E27", "with the victim's MAC", reason.NDSpoofMAC, nd(LL, allRouters, rs(lla(1, B)))),
		bad("E32", "from the victim's address", reason.IP6Spoof, nd(B6, allRouters, rs(lla(1, M)))),
		bad("E39", "from :: by unicast", reason.IP6Spoof, nd(Any6, GLL, rs())),
	}
}

// answered are the solicitations for what berth has on every NIC's link.
func answered() []Vector {
	ask := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "solicitation of berth: " + what, Frames: frames, Want: taken(reason.NeighbourSolicit)}
	}
	s := solicit(berthLL, lla(1, M))
	own := nd(LL, solicitedNode(berthLL), s)
	return []Vector{
		ask("D28", "by multicast, by unicast, from another link-local", own, packet6{src: LL, dst: berthLL, edst: berthMAC, proto: icmp6, payload: s}.frame(), nd(LLS, solicitedNode(berthLL), s)),
		ask("D41", "duplicate detection, which meets its holder", nd(Any6, solicitedNode(berthLL), solicit(berthLL))),
		{ID: "D42", Case: "solicitation of berth: with the victim's MAC", Want: drop(reason.NDSpoofMAC), Frames: one(nd(LL, solicitedNode(berthLL), solicit(berthLL, lla(1, B))))},
		{ID: "D43", Case: "solicitation of berth: tagged", Want: drop(reason.VLANTag), Frames: one(enc(own, tag{0x8100, 0}))},
		{ID: "D44", Case: "solicitation of berth: in an atomic fragment", Want: drop(reason.NDFragment), Frames: one(nd(LL, solicitedNode(berthLL), s, part(0, false)))},
		{ID: "D45", Case: "to berth's MAC, yet neither DHCP nor a solicitation", Want: drop(reason.ToBerth), Frames: [][]byte{
			packet6{src: LL, dst: berthLL, edst: berthMAC, proto: icmp6, payload: icmp6Type(128, 0, 0, 0, 0, 1)}.frame(),
			packet6{src: LL, dst: berthLL, edst: berthMAC, proto: icmp6, payload: advert(flagSolicited, LL, lla(2, M))}.frame(),
			to(berthMAC, packet{proto: udpProto, payload: udp(1, 2, nil)}),
			arp(berthMAC, arpMsg{op: 2, sha: M, tha: berthMAC, spa: M4, tpa: G4}),
		}},
	}
}
