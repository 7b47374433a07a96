package corpus

import "github.com/berth-net/berth/internal/reason"

// neighbours is what must not be said in neighbour discovery.
func neighbours() []Vector {
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "neighbour discovery: " + what, Frames: frames, Want: drop(why)}
	}
	const o = flagOverride
	victim := advert(o, B6, lla(2, M))
	return []Vector{
		bad("D01", "advertisement of the gateway", reason.NDTarget, nd(LL, allNodes, advert(o, GLL, lla(2, M)))),
		bad("D02", "advertisement of the victim's address", reason.NDTarget, nd(M6, allNodes, victim)),
		bad("D03", "advertisement of the victim's address from it", reason.IP6Spoof, nd(B6, allNodes, victim)),
		bad("D04", "advertisement of the victim's link-local", reason.LLTaken, nd(LL, allNodes, advert(o, BLL, lla(2, M)))),
		bad("D05", "own advertisement with the router flag", reason.NDRouter, nd(LL, allNodes, advert(o|flagRouter, LL, lla(2, M)))),
		bad("D06", "advertisement of the victim's address without an option", reason.NDTarget, nd(M6, B6, advert(o, B6))),
		bad("D12", "duplicate detection of the victim's address", reason.NDTarget, nd(Any6, solicitedNode(B6), solicit(B6))),
		bad("D13", "solicitation with the victim's MAC", reason.NDSpoofMAC, nd(M6, solicitedNode(G6), solicit(G6, lla(1, B)))),
		bad("D14", "solicitation from the victim's address with the own MAC", reason.IP6Spoof, nd(B6, solicitedNode(G6), solicit(G6, lla(1, M)))),
		bad("D15", "duplicate detection with a MAC", reason.NDMalformed, nd(Any6, solicitedNode(M6), solicit(M6, lla(1, M)))),
		bad("D16", "duplicate detection of the gateway's address", reason.NDTarget, nd(Any6, solicitedNode(GLL), solicit(GLL))),
		bad("D20", "inverse discovery", reason.ICMP6Type,
			nd(LL, allNodes, icmp6Type(142, 0, cat([]byte{0, 0, 0, 0}, lla(1, B), lla(2, M))...)),
			nd(LL, allNodes, icmp6Type(141, 0, cat([]byte{0, 0, 0, 0}, lla(1, M), lla(2, B))...))),
		bad("D22", "own advertisement with the victim's MAC", reason.NDSpoofMAC, nd(M6, allNodes, advert(o, M6, lla(2, B)))),
		bad("D23", "own advertisement with the victim's MAC and no override (RFC 4429)", reason.NDSpoofMAC, nd(M6, allNodes, advert(0, M6, lla(2, B)))),
		bad("D24", "node information, home agents, mobile prefixes, SEND, FMIPv6", reason.ICMP6Type, types6(139, 140, 144, 145, 146, 147, 148, 149, 154)...),
		{
			ID: "D27", Case: "neighbour discovery: duplicate detection of the victim's link-local, to be answered with the conflict",
			Frames: one(nd(Any6, solicitedNode(BLL), solicit(BLL))), Want: taken(reason.NeighbourSolicit),
		},
		bad("D29", "advertisement of berth's link-local", reason.NDTarget, nd(LL, allNodes, advert(o, berthLL, lla(2, M)))),
		bad("D30", "advertisement of the subnet's routers", reason.NDTarget, nd(LL, allNodes, advert(o, ip("2001:db8:1::"), lla(2, M)))),
		bad("D35", "advertisement of an address of a prefix that is not granted", reason.NDTarget, nd(LL, allNodes, advert(o, granted, lla(2, M)))),
		bad("D36", "duplicate detection of an address of a prefix that is not granted", reason.NDTarget, nd(Any6, solicitedNode(granted), solicit(granted))),
		bad("D37", "own advertisement with a VRRP MAC that is not granted", reason.NDSpoofMAC, nd(LL, allNodes, advert(o, X6, lla(2, V)))),
		bad("D38", "advertisement with the victim's MAC as source option", reason.NDSpoofMAC, nd(LL, allNodes, advert(o, LL, lla(1, B)))),
		bad("D39", "the routers' address in a prefix that may be granted", reason.NDTarget, nd(LL, allNodes, advert(o, ip("2001:db8:a::"), lla(2, M)))),
	}
}

func types6(kinds ...byte) [][]byte {
	var out [][]byte
	for _, k := range kinds {
		out = append(out, nd(LL, allNodes, icmp6Type(k, 0, make([]byte, 12)...)))
	}
	return out
}

// neighbourDisguises is neighbour discovery behind other headers, and messages
// that are not what RFC 4861 makes them.
func neighbourDisguises() []Vector {
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "neighbour discovery: " + what, Frames: frames, Want: drop(why)}
	}
	const o = flagOverride
	victim := advert(o, B6, lla(2, M))
	behind := func(hs ...header6) []byte { return nd(M6, allNodes, victim, hs...) }
	nonce := func(data [6]byte) []byte { return cat([]byte{14, 1}, data[:]) }
	ask := func(options ...[]byte) []byte { return nd(M6, solicitedNode(G6), solicit(G6, options...)) }
	bothMACs := cat(lla(1, M), lla(1, B))
	var nonces [][]byte
	for range 17 {
		nonces = append(nonces, nonce(M))
	}
	return []Vector{
		bad("D07", "nonce with the own MAC where a fixed offset looks, then the victim's", reason.NDSpoofMAC, nd(M6, allNodes, advert(o, M6, nonce(M), lla(2, B)))),
		bad("D08", "behind destination options that repeat the own target and MAC at the fixed offsets", reason.NDTarget, behind(decoy())),
		bad("D09", "behind hop-by-hop options", reason.NDTarget, behind(options6(hopByHop))),
		bad("D10", "in an atomic fragment (RFC 6980)", reason.NDFragment, behind(part(0, false)), nd(M6, allNodes, advert(o, M6, lla(2, M)), part(0, false))),
		{
			ID: "D11", Case: "neighbour discovery: in two fragments, the message in the second", Want: drop(reason.IP6Chain, reason.FragmentTiny),
			Frames: hiddenInSecond(packet6{src: M6, dst: allNodes, proto: icmp6, payload: victim}),
		},
		bad("D17", "hop limit 64", reason.NDMalformed, packet6{src: M6, dst: allNodes, hop: 64, proto: icmp6, payload: victim}.frame()),
		bad("D18", "option of wrong length, of length 0", reason.NDMalformed,
			ask(cat([]byte{1, 2}, B[:], make([]byte, 8))), ask(cat([]byte{1, 0}, B[:])), nd(M6, allNodes, advert(o, M6, []byte{2, 0, 0, 0, 0, 0, 0, 0}))),
		bad("D19", "two MACs, the victim's second", reason.NDMalformed, ask(bothMACs), nd(M6, allNodes, advert(o, M6, lla(2, M), nonce(M), lla(2, B)))),
		bad("D21", "code 1", reason.NDMalformed, nd(M6, allNodes, cat([]byte{136, 1}, victim[2:]))),
		bad("D25", "message cut off", reason.NDMalformed, nd(M6, allNodes, victim[:20]), nd(M6, solicitedNode(G6), solicit(G6)[:8])),
		bad("D26", "solicited, yet to a group", reason.NDMalformed, nd(M6, allNodes, advert(o|flagSolicited, M6, lla(2, M)))),
		bad("D31", "solicitation of a group", reason.NDMalformed, nd(M6, allNodes, solicit(allNodes, lla(1, M)))),
		bad("D32", "more options than anybody sends", reason.NDMalformed, ask(nonces...)),
		bad("D33", "option beyond the message, half an option", reason.NDMalformed, ask(cat([]byte{14, 3}, make([]byte, 6))), ask(lla(1, M), []byte{14, 1, 0, 0})),
		bad("D34", "behind AH, mobility, HIP, shim6 and destination options", reason.NDTarget,
			behind(authenticated()), behind(plain(mobility)), behind(plain(hip)), behind(plain(shim6)), behind(options6(destOpts), options6(destOpts))),
		bad("D40", "behind a routing header", reason.IP6Options, behind(routed(0, B6))),
	}
}

// decoy is 40 bytes of destination options whose one unknown option repeats,
// where the message would be without it, the own target and MAC.
func decoy() header6 {
	h := make([]byte, 40)
	h[1], h[2], h[3] = 4, 0x1e, 36
	target := M6.As16()
	copy(h[8:], target[:])
	copy(h[24:], lla(2, M))
	return header6{destOpts, h}
}

// hiddenInSecond is a packet in two fragments, of which the first carries
// nothing but eight bytes of destination options.
func hiddenInSecond(p packet6) [][]byte {
	first, second := p, p
	first.headers, first.payload, first.raw = []header6{part(0, true), options6(destOpts)}, nil, true
	second.headers, second.payload, second.raw = []header6{part(1, false)}, sealed(p.src, p.dst, p.proto, p.payload), true
	return [][]byte{first.frame(), secondOf(second)}
}

// secondOf makes a later fragment say, as the first one does, that the whole
// begins with destination options.
func secondOf(p packet6) []byte {
	f := p.frame()
	f[14+40] = destOpts
	return f
}
