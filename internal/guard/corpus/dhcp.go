package corpus

import (
	"github.com/berth-net/berth/internal/reason"
)

func rogueServers() []Vector {
	bad := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "rogue DHCP server: " + what, Frames: frames, Want: drop(reason.DHCPServer)}
	}
	ports := func(s, d uint16) func(*dhcpFrame) { return func(f *dhcpFrame) { f.sport, f.dport = s, d } }
	offer := packet{src: M4, dst: BC4, proto: udpProto, id: 77, payload: udp(67, 68, bootp{op: 2, yi: ip("10.6.6.6"), options: []byte{53, 1, 2}}.bytes())}
	disguised := func(id, what string, rest reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "rogue DHCP server: " + what, Frames: frames, Want: drop(reason.DHCPServer, rest)}
	}
	lite := packet{src: M4, dst: BC4, proto: 136}
	lite68, lite67 := lite, lite
	lite68.payload = udp(67, 68, make([]byte, 40))
	lite67.payload = udp(68, 67, make([]byte, 40))
	overlap := func(dport uint16) []byte {
		return to(BC, packet{dst: BC4, proto: udpProto, frag: moreFragments, id: 80, payload: cat(be(5555), be(dport), be(272), be(0), make([]byte, 56))})
	}
	return []Vector{
		bad("F01", "OFFER", server(2, nil)),
		bad("F02", "ACK", server(5, nil)),
		bad("F03", "NAK", server(6, func(f *dhcpFrame) { f.msg.yi = Any4 })),
		bad("F04", "FORCERENEW", server(9, func(f *dhcpFrame) { f.edst, f.dst, f.msg.yi = B, B4, Any4 })),
		bad("F05", "OFFER with spoofed source", server(2, func(f *dhcpFrame) { f.src = S4 })),
		bad("F06", "reply to a relay", server(2, func(f *dhcpFrame) { f.edst, f.dst, f.dport = G, G4, 67 })),
		bad("F07", "OFFER from port 68", server(2, ports(68, 68))),
		bad("F08", "OFFER from port 1025", server(2, ports(1025, 68))),
		{ID: "F26", Case: "rogue DHCP server: IPv4 header that lies", Want: drop(reason.IP4Malformed), Frames: [][]byte{
			server(2, func(f *dhcpFrame) { f.change = func(p *packet) { p.verIHL = 0x65 } }),
			server(2, func(f *dhcpFrame) { f.change = func(p *packet) { p.total = 19 } }),
			server(2, func(f *dhcpFrame) { f.change = func(p *packet) { p.total = 65000 } }),
		}},
		bad("F21", "proxyDHCP from port 4011", server(5, ports(4011, 68))),
		disguised("F09", "fragments, ports in the first", reason.FragmentBcast, fragments(to(BC, offer), 64)...),
		{ID: "F10", Case: "rogue DHCP server: first fragment of eight bytes", Frames: fragments(to(BC, offer), 8)[:4], Want: drop(reason.DHCPServer, reason.FragmentTiny)},
		{ID: "F11", Case: "rogue DHCP server: first fragment without ports", Want: drop(reason.DHCPDisguised), Frames: one(to(B, packet{dst: B4, proto: udpProto, frag: moreFragments, payload: []byte{0, 67, 0, 68}}))},
		{ID: "F12", Case: "rogue DHCP server: overlap rewrites the port", Frames: [][]byte{overlap(9999), overlap(68)}, Want: drop(reason.FragmentBcast, reason.DHCPServer)},
		{ID: "F20", Case: "rogue DHCP server: with IPv4 options", Want: drop(reason.DHCPServer), Frames: one(server(2, func(f *dhcpFrame) { f.change = func(p *packet) { p.opts = []byte{1, 1, 1, 0} } }))},
		{ID: "F23", Case: "rogue DHCP server: with 40 bytes of options", Want: drop(reason.DHCPServer), Frames: one(server(2, func(f *dhcpFrame) { f.change = func(p *packet) { p.opts = rep(1, 40) } }))},
		{ID: "F24", Case: "UDP-Lite to the client port", Want: drop(reason.DHCPServer), Frames: one(to(BC, lite68))},
		{ID: "F25", Case: "UDP-Lite to the server port", Want: drop(reason.DHCPDisguised), Frames: one(to(BC, lite67))},
	}
}

// clients are what a client may ask: consumed and answered, never bridged.
func clients() []Vector {
	ask := func(id, what string, change func(*dhcpFrame)) Vector {
		return Vector{ID: id, Case: "DHCP client: " + what, Frames: one(disc(change)), Want: take()}
	}
	kind := func(f *dhcpFrame, k byte) { f.msg.options = []byte{53, 1, k} }
	return []Vector{
		ask("G01", "DISCOVER", nil),
		ask("G40", "renewal by unicast", func(f *dhcpFrame) { kind(f, 3); f.src, f.dst, f.edst, f.msg.ci = M4, G4, G, M4 }),
		ask("G41", "renewal of a former address, to be told NAK", func(f *dhcpFrame) {
			kind(f, 3)
			f.src, f.dst, f.edst, f.msg.ci = ip("192.0.2.99"), S4, S, ip("192.0.2.99")
		}),
		ask("G42", "rebinding", func(f *dhcpFrame) { kind(f, 3); f.src, f.msg.ci = M4, M4 }),
		ask("G06", "REQUEST by unicast to the site's server", func(f *dhcpFrame) { kind(f, 3); f.src, f.dst, f.edst, f.msg.ci = M4, S4, S, M4 }),
		ask("G37", "INFORM", func(f *dhcpFrame) { kind(f, 8); f.src, f.msg.ci = M4, M4 }),
		ask("G38", "multicast destination", func(f *dhcpFrame) { f.src, f.dst, f.edst = M4, ip("224.0.0.1"), mac("01:00:5e:00:00:01") }),
		ask("G43", "odd source port", func(f *dhcpFrame) { f.sport = 40000 }),
		ask("G44", "from port 67", func(f *dhcpFrame) { f.sport = 67 }),
	}
}

// clientAbuse never reaches anybody; the answerer ignores or refuses it.
func clientAbuse() []Vector {
	ask := func(id, what string, change func(*dhcpFrame)) Vector {
		return Vector{ID: id, Case: "DHCP abuse: " + what, Frames: one(disc(change)), Want: take()}
	}
	options := func(o ...byte) func(*dhcpFrame) {
		return func(f *dhcpFrame) { f.msg.options = cat([]byte{53, 1, 1}, o) }
	}
	starve := Vector{ID: "G03", Case: "DHCP abuse: starvation", Want: take()}
	for i := range byte(64) {
		starve.Frames = append(starve.Frames, disc(func(f *dhcpFrame) { f.msg.chaddr, f.msg.xid = mac("02:11:22:33:00:00"), uint32(i) }))
	}
	flood := Vector{ID: "G23", Case: "DHCP abuse: flood", Want: take()}
	for i := range uint32(32) {
		flood.Frames = append(flood.Frames, disc(func(f *dhcpFrame) { f.msg.xid = i }))
	}
	whole := disc(nil)
	return []Vector{
		ask("G02", "chaddr is not the Ethernet source", func(f *dhcpFrame) { f.msg.chaddr = mac("02:11:22:33:44:55") }),
		starve,
		ask("G05", "client-id of another VM", options(cat([]byte{61, 7, 1}, B[:])...)),
		ask("G08", "giaddr set", func(f *dhcpFrame) { f.msg.gi = ip("192.0.2.77") }),
		ask("G09", "BOOTP", func(f *dhcpFrame) { f.msg.options = nil }),
		ask("G11", "message type 99", func(f *dhcpFrame) { f.msg.options = []byte{53, 1, 99} }),
		ask("G14", "hlen 255", func(f *dhcpFrame) { f.msg.hlen = 255 }),
		ask("G15", "option length beyond the message", options(61, 254, 0, 0x12)),
		ask("G17", "hostname with newline, shell and NUL", options(cat([]byte{12, 12}, []byte("a\n$(reboot)\x00;"))...)),
		ask("G18", "REQUEST for another's address", func(f *dhcpFrame) { f.msg.options = []byte{53, 1, 3, 50, 4, 192, 0, 2, 20} }),
		ask("G20", "DECLINE", func(f *dhcpFrame) { f.msg.options = []byte{53, 1, 4, 50, 4, 192, 0, 2, 10, 54, 4, 192, 0, 2, 1} }),
		ask("G24", "relay option inserted", options(82, 6, 1, 4, 'e', 'v', 'i', 'l')),
		ask("G36", "INFORM from a spoofed address", func(f *dhcpFrame) { f.msg.options = []byte{53, 1, 8}; f.src, f.msg.ci = B4, B4 }),
		ask("G04", "chaddr of broadcast", func(f *dhcpFrame) { f.msg.chaddr = BC }),
		ask("G07", "DISCOVER by unicast to another VM", func(f *dhcpFrame) { f.edst, f.dst = B, B4 }),
		ask("G10", "RELEASE of the own address", func(f *dhcpFrame) { f.msg.options = []byte{53, 1, 7}; f.src, f.msg.ci, f.dst, f.edst = M4, M4, G4, G }),
		ask("G16", "overload without an end, options twice", options(52, 1, 3, 53, 1, 3, 61, 0)),
		ask("G19", "REQUEST of another server", options(54, 4, 192, 0, 2, 3)),
		ask("G21", "DECLINE of the victim's address", func(f *dhcpFrame) { f.msg.options = []byte{53, 1, 4, 50, 4, 192, 0, 2, 20} }),
		ask("G22", "RELEASE of the victim's address", func(f *dhcpFrame) {
			f.msg.options = []byte{53, 1, 7}
			f.src, f.msg.ci, f.dst, f.edst = M4, B4, G4, G
		}),
		{ID: "G12", Case: "DHCP abuse: wrong UDP checksum", Want: take(), Frames: one(badChecksum(whole))},
		flood,
		{ID: "G13", Case: "DHCP abuse: UDP to port 67 of one byte", Want: take(), Frames: one(to(BC, packet{src: Any4, dst: BC4, proto: udpProto, payload: udp(68, 67, []byte{1})}))},
		{ID: "G34", Case: "DHCP abuse: fragmented DISCOVER", Want: drop(reason.DHCPDisguised, reason.IP4Spoof), Frames: fragments(whole, 64)},
		{ID: "G35", Case: "DHCP abuse: DISCOVER tagged VID 0", Want: drop(reason.DHCPDisguised), Frames: one(enc(whole, tag{0x8100, 0}))},
		{ID: "G45", Case: "DHCP abuse: DISCOVER in SNAP", Want: drop(reason.DHCPDisguised), Frames: one(llcsnap(whole, 0))},
		{ID: "G46", Case: "DHCP abuse: DISCOVER behind five tags", Want: drop(reason.VLANTag), Frames: one(enc(whole, tag{0x8100, 0}, tag{0x8100, 0}, tag{0x8100, 0}, tag{0x8100, 0}, tag{0x8100, 0}))},
		{ID: "G47", Case: "DHCP abuse: total length hides the end", Want: take(), Frames: one(disc(func(f *dhcpFrame) { f.change = func(p *packet) { p.total = 20 + 8 + 20 } }))},
		{ID: "G48", Case: "DHCP abuse: IPv4 options", Want: drop(reason.IP4Options), Frames: one(disc(func(f *dhcpFrame) { f.change = func(p *packet) { p.opts = []byte{7, 7, 4, 0, 0, 0, 0, 0} } }))},
	}
}

// badChecksum gives an untagged UDP frame over IPv4 without options a checksum.
func badChecksum(f []byte) []byte {
	return cat(f[:40], []byte{0xde, 0xad}, f[42:])
}

// towards is what a neighbour must not get to the guest.
func towards() []Vector {
	foreign := func(id, what string, change func(*dhcpFrame)) Vector {
		return Vector{ID: id, ToGuest: true, Case: "foreign DHCP server: " + what, Want: drop(reason.DHCPForeign), Frames: one(server(2, func(f *dhcpFrame) {
			f.esrc, f.edst, f.src = S, M, S4
			change(f)
		}))}
	}
	offer := server(2, func(f *dhcpFrame) { f.esrc, f.src = S, S4 })
	lying := func(change func(*packet)) []byte {
		return server(2, func(f *dhcpFrame) { f.esrc, f.edst, f.src, f.change = S, M, S4, change })
	}
	return []Vector{
		foreign("N01", "OFFER", func(*dhcpFrame) {}),
		foreign("N02", "broadcast OFFER", func(f *dhcpFrame) { f.edst = BC }),
		foreign("N03", "NAK from port 1025", func(f *dhcpFrame) { f.sport, f.msg.options = 1025, []byte{53, 1, 6} }),
		{ID: "N07", ToGuest: true, Case: "foreign DHCP server: spoofing the gateway and berth's MAC", Want: drop(reason.AsBerth), Frames: one(server(2, func(f *dhcpFrame) {
			f.esrc, f.edst, f.src, f.dst = berthMAC, M, G4, M4
		}))},
		foreign("N11", "with IPv4 options", func(f *dhcpFrame) { f.change = func(p *packet) { p.opts = []byte{1, 1, 1, 0} } }),
		{ID: "N10", ToGuest: true, Case: "OFFER tagged VID 0", Frames: one(enc(offer, tag{0x8100, 0})), Want: drop(reason.DHCPForeign)},
		{ID: "N12", ToGuest: true, Case: "OFFER in SNAP", Frames: one(llcsnap(offer, 0)), Want: drop(reason.DHCPForeign)},
		{ID: "N13", ToGuest: true, Case: "OFFER in UDP-Lite", Want: drop(reason.DHCPForeign), Frames: one(ether(M, S, 0x0800, packet{src: S4, dst: M4, proto: 136, payload: udp(67, 68, make([]byte, 40))}.bytes()))},
		{ID: "N14", ToGuest: true, Case: "OFFER whose first fragment hides the ports", Want: drop(reason.DHCPDisguised), Frames: one(ether(M, S, 0x0800, packet{src: S4, dst: M4, proto: udpProto, frag: moreFragments, payload: []byte{0, 67, 0, 68}}.bytes()))},
		{ID: "N15", ToGuest: true, Case: "OFFER in fragments, ports in the first", Want: []Want{drop(reason.DHCPForeign)[0], pass()[0]}, Frames: fragments(server(2, func(f *dhcpFrame) { f.esrc, f.edst, f.src, f.dst = S, M, S4, M4 }), 64)},
		{ID: "N18", ToGuest: true, Case: "OFFER whose IPv4 header lies: version 5, total 20, total 65000", Want: drop(reason.IP4Malformed), Frames: [][]byte{
			lying(func(p *packet) { p.verIHL = 0x55 }), lying(func(p *packet) { p.total = 20 }), lying(func(p *packet) { p.total = 65000 }),
		}},
		{ID: "N19", ToGuest: true, Case: "frame that ends in the IPv4 header", Want: drop(reason.Truncated), Frames: one(lying(func(*packet) {})[:33])},
		{ID: "N16", ToGuest: true, Case: "tagged frame", Want: drop(reason.VLANTag), Frames: one(enc(ether(M, G, 0x0800, packet{src: G4, dst: M4, proto: icmp, payload: make([]byte, 8)}.bytes()), tag{0x8100, 42}))},
		{ID: "N17", ToGuest: true, Case: "BPDU", Want: drop(reason.LLC), Frames: one(llcRaw(mac("01:80:c2:00:00:00"), G, 38, cat([]byte{0x42, 0x42, 3}, make([]byte, 35))))},
	}
}
