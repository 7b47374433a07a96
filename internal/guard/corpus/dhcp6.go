package corpus

import (
	"net/netip"

	"github.com/berth-net/berth/internal/reason"
)

// rogueServers6 is the guest as a DHCPv6 server.
func rogueServers6() []Vector {
	bad := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "rogue DHCPv6 server: " + what, Frames: frames, Want: drop(reason.DHCPServer)}
	}
	message := func(kind byte) []byte {
		return serve6(func(p *packet6) { p.payload = udp(547, 546, serverMessage(kind)) })
	}
	ports := func(sport, dport uint16, kind byte) []byte {
		return serve6(func(p *packet6) { p.payload = udp(sport, dport, serverMessage(kind)) })
	}
	behind := func(hs ...header6) []byte { return serve6(func(p *packet6) { p.headers = hs }) }
	reply := packet6{src: LL, dst: BLL, proto: udpProto, payload: udp(547, 546, serverMessage(7))}
	relayed := cat([]byte{13, 0}, make([]byte, 32))
	whole := serve6(nil)
	return []Vector{
		bad("F13", "ADVERTISE", message(2)),
		bad("F14", "REPLY", message(7)),
		bad("F15", "RECONFIGURE", message(10)),
		bad("F16", "REPLY from port 1025", ports(1025, 546, 7)),
		bad("F17", "REPLY behind destination options, hop-by-hop options, AH, a routing header",
			behind(options6(destOpts)), behind(options6(hopByHop)), behind(authenticated()), behind(routed(0, BLL))),
		{ID: "F18", Case: "rogue DHCPv6 server: in two fragments, the ports in the second (RFC 7610)", Want: drop(reason.IP6Chain, reason.FragmentTiny), Frames: hiddenInSecond(reply)},
		bad("F19", "RELAY-REPL, and any server's message to port 547", serve6(func(p *packet6) { p.payload = udp(547, 547, relayed) }),
			ports(547, 547, 2), ports(547, 547, 7), ports(547, 547, 10), ports(1025, 547, 7)),
		bad("F27", "REPLY in UDP-Lite", serve6(func(p *packet6) { p.proto = 136 })),
		bad("F28", "REPLY in an atomic fragment", behind(part(0, false))),
		{ID: "F29", Case: "rogue DHCPv6 server: first fragment of eight bytes", Want: drop(reason.DHCPServer, reason.FragmentTiny), Frames: split(reply, 0, 1)},
		bad("F30", "from a spoofed source", serve6(func(p *packet6) { p.src = ip("fe80::3") }), serve6(func(p *packet6) { p.src = GLL })),
		bad("F31", "REPLY tagged VID 0, in SNAP", enc(whole, tag{0x8100, 0}), llcsnap(whole, 0)),
		{ID: "F32", Case: "rogue DHCPv6 server: UDP header cut off", Want: drop(reason.IP6Malformed), Frames: one(serve6(func(p *packet6) { p.payload, p.raw = udp(547, 546, nil)[:6], true }))},
		{ID: "F33", Case: "rogue DHCPv6 server: payload length that lies", Want: drop(reason.IP6Malformed), Frames: [][]byte{
			serve6(func(p *packet6) { p.length = 1400 }), serve6(func(p *packet6) { p.length = 4 }), serve6(func(p *packet6) { p.version = 4 }),
		}},
	}
}

// clients6 are what a DHCPv6 client may ask, and what the answerer ignores or
// refuses: consumed all the same, never bridged.
func clients6() []Vector {
	ask := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "DHCPv6 client: " + what, Frames: frames, Want: taken(reason.DHCP6)}
	}
	says := func(m []byte) []byte { return ask6(func(p *packet6) { p.payload = udp(546, 547, m) }) }
	to := func(dst netip.Addr) []byte { return ask6(func(p *packet6) { p.dst = dst }) }
	me, none := duid(1, M), association(netip.Addr{})
	overrun := cat([]byte{0, 3, 0, 12, 1, 2, 3, 4}, make([]byte, 8), []byte{0, 1, 2, 0, 0, 3, 0, 1}, M[:])
	nested := cat(me, []byte{0, 3, 0, 16, 0, 0, 0, 1}, make([]byte, 8), []byte{0, 5, 0, 24})
	return []Vector{
		ask("G25", "SOLICIT", ask6(nil)),
		ask("G26", "SOLICIT from a stable-privacy link-local", ask6(func(p *packet6) { p.src = LLS })),
		ask("G27", "to all servers of the site", to(ip("ff05::1:3"))),
		ask("G28", "INFORMATION-REQUEST, with and without a client identifier", says(dhcp6(11, me)), says(dhcp6(11))),
		ask("G29", "SOLICIT with the DUID of another VM", says(dhcp6(1, duid(1, B), none))),
		ask("G30", "lengths that lie, empty client identifier, nested overrun", says(dhcp6(1, overrun)),
			says(dhcp6(1, option6(1), []byte{0, 3, 0, 1})), says(dhcp6(1, nested))),
		ask("G31", "RELAY-FORW of its own making", says(cat([]byte{12, 0}, make([]byte, 32), option6(9, dhcp6(1, duid(1, B))...)))),
		ask("G32", "REQUEST of another server, CONFIRM, RELEASE and DECLINE of another's address", says(dhcp6(3, me, duid(2, S), none)),
			says(dhcp6(4, me, association(B6))), says(dhcp6(8, me, association(B6))), says(dhcp6(9, me, association(B6)))),
		ask("G50", "unknown message types", says(dhcp6(0)), says(dhcp6(14)), says(dhcp6(255))),
		ask("G51", "no message, a byte", says(nil), says([]byte{1})),
		ask("G52", "renewal by unicast to a server and to berth, from the own address", ask6(func(p *packet6) { p.src, p.dst = M6, G6 }),
			ask6(func(p *packet6) { p.dst, p.edst = berthLL, berthMAC })),
		ask("G53", "from port 40000, from port 547", ask6(func(p *packet6) { p.payload = udp(40000, 547, dhcp6(1, me)) }),
			ask6(func(p *packet6) { p.payload = udp(547, 547, dhcp6(1, me)) })),
		ask("G62", "from the victim's link-local, which nobody sees", ask6(func(p *packet6) { p.src = BLL })),
		ask("G54", "behind destination options", ask6(func(p *packet6) { p.headers = []header6{options6(destOpts)} })),
		ask("G55", "wrong checksum", ask6(func(p *packet6) { p.raw = true })),
	}
}

// clientAbuse6 never reaches the answerer either.
func clientAbuse6() []Vector {
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "DHCPv6 abuse: " + what, Frames: frames, Want: drop(why)}
	}
	from := func(src netip.Addr) []byte { return ask6(func(p *packet6) { p.src = src }) }
	behind := func(hs ...header6) []byte { return ask6(func(p *packet6) { p.headers = hs }) }
	whole := ask6(nil)
	solicit := packet6{src: LL, dst: allAgents, hop: 1, proto: udpProto, payload: udp(546, 547, dhcp6(1, duid(1, M), make([]byte, 40)))}
	return []Vector{
		{ID: "G33", Case: "DHCPv6 abuse: fragmented SOLICIT", Want: drop(reason.DHCPDisguised, reason.FragmentTiny), Frames: split(solicit, 0, 3)},
		{ID: "G56", Case: "DHCPv6 abuse: fragments, the ports in the second", Want: drop(reason.IP6Chain, reason.FragmentTiny), Frames: hiddenInSecond(solicit)},
		bad("G57", "in an atomic fragment", reason.DHCPDisguised, behind(part(0, false))),
		bad("G58", "tagged VID 0, in SNAP", reason.DHCPDisguised, enc(whole, tag{0x8100, 0}), llcsnap(whole, 0)),
		bad("G59", "behind five tags", reason.VLANTag, enc(whole, tag{0x8100, 0}, tag{0x8100, 0}, tag{0x8100, 0}, tag{0x8100, 0}, tag{0x8100, 0})),
		bad("G60", "in UDP-Lite", reason.DHCPDisguised, ask6(func(p *packet6) { p.proto = 136 })),
		bad("G61", "from :: and from the victim's address", reason.IP6Spoof, from(Any6), from(B6)),
		bad("G63", "from the gateway's link-local and from berth's", reason.IP6Spoof, from(GLL), from(berthLL)),
		bad("G64", "behind a routing header", reason.IP6Options, behind(routed(4, allAgents))),
		bad("G65", "with the victim's MAC", reason.MACSpoof, ask6(func(p *packet6) { p.esrc = B })),
	}
}
