package corpus

func mustPass() []Vector {
	ok := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: what, Frames: frames, Want: pass()}
	}
	own := func(proto byte, payload []byte) []byte { return to(G, packet{proto: proto, payload: payload}) }
	echo := cat([]byte{8, 0, 0, 0, 0, 1, 0, 1}, rep('x', 16))
	tcp80 := cat(be(5), be(80), rep(0, 8), []byte{0x50, 0x10, 0, 0, 0, 0, 0, 0})
	group := mac("01:00:5e:01:02:03")
	inner := packet{src: G4, dst: M4, proto: udpProto, payload: udp(1, 2, nil)}.bytes()
	protos := ok("P18", "SCTP, ESP, AH, GRE, UDP-Lite")
	for _, p := range []byte{132, 50, 51, 47, 136} {
		protos.Frames = append(protos.Frames, own(p, make([]byte, 32)))
	}
	alert := []byte{148, 4, 0, 0}
	return []Vector{
		ok("P01", "ARP request for the gateway", arp(BC, arpMsg{op: 1, sha: M, spa: M4, tpa: G4})),
		ok("P02", "ARP reply", arp(G, arpMsg{op: 2, sha: M, tha: G, spa: M4, tpa: G4})),
		ok("P03", "ARP probe for the own address (RFC 5227)", arp(BC, arpMsg{op: 1, sha: M, spa: Any4, tpa: M4})),
		ok("P04", "ARP announcement", arp(BC, arpMsg{op: 1, sha: M, spa: M4, tpa: M4})),
		ok("P05", "gratuitous ARP reply", arp(BC, arpMsg{op: 2, sha: M, tha: BC, spa: M4, tpa: M4})),
		ok("P06", "gratuitous ARP of a permitted further address", arp(BC, arpMsg{op: 1, sha: M, spa: X4, tpa: X4}), arp(BC, arpMsg{op: 2, sha: M, tha: BC, spa: X4, tpa: X4})),
		ok("P07", "ARP probe for a permitted further address", arp(BC, arpMsg{op: 1, sha: M, spa: Any4, tpa: X4})),
		ok("P08", "unicast ARP request", arp(G, arpMsg{op: 1, sha: M, spa: M4, tpa: G4})),
		ok("P09", "UDP, TCP, ICMP", udp4(nil), own(tcp, tcp80), own(icmp, echo)),
		ok("P10", "a permitted further address", from(X4)),
		ok("P11", "unicast to another VM", to(B, packet{dst: B4, proto: udpProto, payload: udp(1, 2, rep('A', 9))})),
		ok("P12", "fragments", fragments(to(G, packet{proto: udpProto, payload: udp(1111, 2222, rep('F', 2900))}), 1400)...),
		ok("P13", "1514 bytes", own(udpProto, udp(1, 2, rep('Z', 1472)))),
		ok("P14", "subnet broadcast", to(BC, packet{dst: ip("192.0.2.255"), proto: udpProto, payload: udp(1, 2, nil)})),
		ok("P15", "limited broadcast, not DHCP", to(BC, packet{dst: BC4, proto: udpProto, payload: udp(4000, 4001, nil)})),
		ok("P16", "multicast", to(group, packet{dst: ip("239.1.2.3"), proto: udpProto, payload: udp(1, 2, nil)})),
		ok("P17", "IGMP reports and leave",
			to(group, packet{dst: ip("239.1.2.3"), ttl: 1, proto: igmp, payload: []byte{0x12, 0, 0, 0, 239, 1, 2, 3}}),
			to(group, packet{dst: ip("239.1.2.3"), ttl: 1, proto: igmp, opts: alert, payload: []byte{0x16, 0, 0, 0, 239, 1, 2, 3}}),
			to(mac("01:00:5e:00:00:02"), packet{dst: ip("224.0.0.2"), ttl: 1, proto: igmp, opts: alert, payload: []byte{0x17, 0, 0, 0, 239, 1, 2, 3}}),
			to(mac("01:00:5e:00:00:16"), packet{dst: ip("224.0.0.22"), ttl: 1, proto: igmp, opts: alert, payload: []byte{0x22, 0, 0xf9, 2, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 2, 3}}),
			to(mac("01:00:5e:00:00:16"), packet{src: Any4, dst: ip("224.0.0.22"), ttl: 1, proto: igmp, opts: alert, payload: []byte{0x22, 0, 0xf9, 2, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 2, 3}})),
		protos,
		ok("P19", "from port 68 to DNS", own(udpProto, udp(68, 53, rep('A', 20)))),
		ok("F22", "from port 67 to an ordinary port", own(udpProto, udp(67, 40000, rep('A', 10)))),
		ok("P40", "ICMP fragmentation needed, unreachable", own(icmp, cat([]byte{3, 4, 0, 0, 0, 0, 5, 0x78}, inner)), own(icmp, cat([]byte{3, 3, 0, 0, 0, 0, 0, 0}, inner))),
		ok("P41", "VRRP by unicast, and a last fragment of it", to(B, packet{dst: B4, ttl: 255, proto: vrrpProto, payload: vrrp(vrid)}), vrrp4(packet{frag: 6, payload: vrrp(vrid)})),
		ok("P47", "ARP with a trailer", cat(arp(BC, arpMsg{op: 1, sha: M, spa: M4, tpa: G4})[:42], rep(0xff, 18))),
		ok("P48", "TTL 1, DF, DSCP, ID 0", to(G, packet{proto: udpProto, ttl: 1, frag: 0x4000, tos: 0xb9, payload: udp(1, 2, nil)})),
		ok("P49", "TCP full segment", own(tcp, cat(tcp80, rep('G', 1426)))),
		ok("P51", "UDP without data", own(udpProto, udp(1, 2, nil))),
		ok("P52", "IPv4 padding options", to(G, packet{proto: udpProto, opts: []byte{1, 1, 1, 0}, payload: udp(1, 2, nil)})),
		ok("P53", "IPv4 without payload", own(253, nil)),
		ok("P54", "last fragment of one byte", to(G, packet{proto: udpProto, frag: 175, payload: []byte{1}})),
		ok("L07", "LLMNR and NetBIOS", to(mac("01:00:5e:00:00:fc"), packet{dst: ip("224.0.0.252"), ttl: 1, proto: udpProto, payload: udp(5355, 5355, make([]byte, 12))}),
			to(BC, packet{dst: ip("192.0.2.255"), proto: udpProto, payload: udp(137, 137, make([]byte, 12))})),
		ok("M02", "GRE, IPIP, VXLAN, GENEVE", own(47, cat([]byte{0, 0, 8, 0}, inner)), own(4, inner),
			own(udpProto, udp(4789, 4789, make([]byte, 50))), own(udpProto, udp(6081, 6081, make([]byte, 50)))),
		ok("M05", "EtherIP and L2TPv3", own(97, make([]byte, 44)), own(115, make([]byte, 44))),
	}
}

func mustPassTowards() []Vector {
	ok := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, ToGuest: true, Case: what, Frames: frames, Want: pass()}
	}
	site := func(dst [6]byte, p packet) []byte {
		if !p.src.IsValid() {
			p.src = G4
		}
		return ether(dst, G, 0x0800, p.bytes())
	}
	return []Vector{
		ok("P42", "towards: ARP", ether(BC, G, 0x0806, arpMsg{op: 1, sha: G, spa: G4, tpa: M4}.bytes()), ether(M, G, 0x0806, arpMsg{op: 2, sha: G, tha: M, spa: G4, tpa: M4}.bytes())),
		ok("P43", "towards: unicast", site(M, packet{src: ip("198.51.100.7"), dst: M4, proto: udpProto, payload: udp(1, 2, nil)})),
		ok("P44", "towards: IGMP query", site(mac("01:00:5e:00:00:01"), packet{dst: ip("224.0.0.1"), ttl: 1, proto: igmp, payload: []byte{0x11, 100, 0, 0, 0, 0, 0, 0}})),
		ok("P45", "towards: broadcast and DNS", site(BC, packet{dst: ip("192.0.2.255"), proto: udpProto, payload: udp(1, 2, nil)}), site(M, packet{dst: M4, proto: udpProto, payload: udp(53, 4444, rep('d', 20))})),
		ok("P55", "towards: from port 67 to an ordinary port", site(M, packet{dst: M4, proto: udpProto, payload: udp(67, 4444, nil)})),
		ok("N08", "towards: a neighbour claims the guest's address, seen and not hidden", ether(BC, B, 0x0806, arpMsg{op: 1, sha: B, spa: M4, tpa: M4}.bytes())),
		ok("N09", "towards: another VM's DISCOVER", disc(func(f *dhcpFrame) { f.esrc, f.msg.chaddr = B, B })),
	}
}
