package corpus

import (
	"fmt"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// llcRaw is an 802.3 frame with a length field, padded to 60 bytes.
func llcRaw(dst, src nic.MAC, length int, body []byte) []byte {
	return ether(dst, src, uint16(length), body)
}

// encapsulated is the product of the tag stacks and LLC with an IPv4 spoof, an
// ARP poison and clean own traffic.
func encapsulated() []Vector {
	const q, ad = 0x8100, 0x88a8
	inner := []struct {
		what  string
		frame []byte
	}{
		{"IPv4 spoof", to(B, packet{src: G4, dst: B4, proto: udpProto, payload: udp(1, 2, nil)})},
		{"ARP poison", arp(B, arpMsg{op: 2, sha: M, tha: B, spa: G4, tpa: B4})},
		{"own traffic", udp4(nil)},
	}
	var vs []Vector
	n := 0
	for _, s := range stacks() {
		for _, i := range inner {
			n++
			vs = append(vs, Vector{ID: fmt.Sprintf("H%02d", n), Case: s.what + " carrying " + i.what, Frames: one(enc(i.frame, s.tags...)), Want: drop(reason.VLANTag)})
		}
	}
	poison, own := inner[1].frame, inner[2].frame
	return append(vs,
		Vector{ID: "H40", Case: "SNAP carrying ARP poison", Frames: one(llcsnap(poison, 0)), Want: drop(reason.LLC)},
		Vector{ID: "H41", Case: "SNAP carrying own traffic", Frames: one(llcsnap(own, 0)), Want: drop(reason.LLC)},
		Vector{ID: "H43", Case: "SNAP with length 1501", Frames: one(llcsnap(poison, 1501)), Want: drop(reason.LLC)},
		Vector{ID: "H44", Case: "VID 0 and SNAP", Frames: one(enc(llcsnap(poison, 0), tag{q, 0})), Want: drop(reason.VLANTag)},
		Vector{ID: "H45", Case: "SNAP that carries a tag", Frames: one(llcsnap(enc(poison, tag{q, 0}), 0)), Want: drop(reason.LLC)},
		Vector{ID: "H46", Case: "SNAP with the bridge-tunnel OUI", Frames: one(llcsnap(poison, 0, 0, 0, 0xf8)), Want: drop(reason.LLC)},
		Vector{ID: "H47", Case: "LLC IP", Frames: one(llcRaw(B, M, 64, cat([]byte{6, 6, 3}, packet{src: G4, dst: B4, proto: udpProto, payload: udp(1, 2, nil)}.bytes()))), Want: drop(reason.LLC)},
		Vector{ID: "H48", Case: "tag cut off", Frames: one(enc(own, tag{q, 0})[:16]), Want: drop(reason.Truncated)},
	)
}

// stack is VLAN tags, outermost first.
type stack struct {
	what string
	tags []tag
}

func stacks() []stack {
	const q, ad = 0x8100, 0x88a8
	return []stack{
		{"802.1Q VID 0", []tag{{q, 0}}},
		{"802.1Q VID 0 PCP 7", []tag{{q, 0xe000}}},
		{"802.1Q VID 1", []tag{{q, 1}}},
		{"802.1Q VID 42", []tag{{q, 42}}},
		{"802.1Q VID 4095", []tag{{q, 4095}}},
		{"802.1ad VID 0", []tag{{ad, 0}}},
		{"802.1ad and 802.1Q, VID 0", []tag{{ad, 0}, {q, 0}}},
		{"twice 802.1Q VID 0", []tag{{q, 0}, {q, 0}}},
		{"ten times 802.1Q VID 0", []tag{{q, 0}, {q, 0}, {q, 0}, {q, 0}, {q, 0}, {q, 0}, {q, 0}, {q, 0}, {q, 0}, {q, 0}}},
		{"0x9100", []tag{{0x9100, 0}}},
		{"0x9200", []tag{{0x9200, 0}}},
		{"0x9300", []tag{{0x9300, 0}}},
		{"QinQ 100/200", []tag{{ad, 100}, {q, 200}}},
	}
}

// otherTypes is one frame of each ethertype that no plain guest needs.
func otherTypes() []Vector {
	var vs []Vector
	for i, t := range []uint16{
		0x8863, 0x8864, 0x8906, 0x88a2, 0x8915, 0x8892, 0x8137, 0x88f7, 0x892f, 0x0842, 0x0600, 0xbeef,
		0x88cc, 0x8809, 0x888e, 0x8808, 0x88e5, 0x22f3, 0x88e7, 0x8847, 0x8848, 0x9000, 0xffff, 0x86de, 0x0801, 0x0807,
	} {
		vs = append(vs, Vector{ID: fmt.Sprintf("H%d", 60+i), Case: fmt.Sprintf("ethertype 0x%04x", t), Frames: one(ether(BC, M, t, make([]byte, 46))), Want: drop(reason.Ethertype)})
	}
	return vs
}

func control() []Vector {
	group := func(last byte) nic.MAC { return nic.MAC{0x01, 0x80, 0xc2, 0, 0, last} }
	cdp := Vector{ID: "K07", Case: "CDP, VTP, DTP, UDLD", Want: drop(reason.LLC)}
	for _, t := range []uint16{0x2000, 0x2003, 0x2004, 0x0111} {
		cdp.Frames = append(cdp.Frames, llcRaw(mac("01:00:0c:cc:cc:cc"), M, 40, cat([]byte{0xaa, 0xaa, 3, 0, 0, 0x0c}, be(t), make([]byte, 30))))
	}
	multicast := func(last byte, p packet) []byte {
		p.dst = ip(fmt.Sprintf("224.0.0.%d", last))
		p.ttl = 1
		return to(nic.MAC{0x01, 0, 0x5e, 0, 0, last}, p)
	}
	return []Vector{
		{ID: "K01", Case: "STP root claim, own MAC", Frames: one(llcRaw(group(0), M, 38, cat([]byte{0x42, 0x42, 3}, make([]byte, 35)))), Want: drop(reason.LLC)},
		{ID: "K02", Case: "STP topology change", Frames: one(llcRaw(group(0), M, 7, []byte{0x42, 0x42, 3, 0, 0, 0, 0x80})), Want: drop(reason.LLC)},
		{ID: "K04", Case: "LLDP", Frames: one(ether(group(14), M, 0x88cc, make([]byte, 46))), Want: drop(reason.LinkCtl)},
		{ID: "K05", Case: "LACP", Frames: one(ether(group(2), M, 0x8809, make([]byte, 110))), Want: drop(reason.LinkCtl)},
		{ID: "K06", Case: "EAPOL", Frames: one(ether(group(3), M, 0x888e, make([]byte, 46))), Want: drop(reason.LinkCtl)},
		cdp,
		{ID: "K08", Case: "PAUSE", Frames: one(ether(group(1), M, 0x8808, []byte{0, 1, 0xff, 0xff})), Want: drop(reason.LinkCtl)},
		{ID: "K09", Case: "own IPv4 to the bridge group", Frames: one(to(group(0), packet{proto: udpProto, payload: udp(1, 2, nil)})), Want: drop(reason.LinkCtl)},
		{ID: "K10", Case: "LLDP to broadcast", Frames: one(ether(BC, M, 0x88cc, make([]byte, 46))), Want: drop(reason.Ethertype)},
		{ID: "K11", Case: "IS-IS", Frames: one(llcRaw(group(0x14), M, 40, cat([]byte{0xfe, 0xfe, 3, 0x83}, make([]byte, 36)))), Want: drop(reason.LLC)},
		{ID: "L01", Case: "IGMP query", Frames: one(multicast(1, packet{proto: igmp, payload: []byte{0x11, 100, 0, 0, 0, 0, 0, 0}})), Want: drop(reason.IGMPQuery)},
		{ID: "L02", Case: "IGMP query from 0.0.0.0", Frames: one(multicast(1, packet{src: Any4, proto: igmp, payload: []byte{0x11, 100, 0, 0, 0, 0, 0, 0}})), Want: drop(reason.IP4Spoof)},
		{ID: "L03", Case: "PIM and DVMRP", Frames: [][]byte{
			multicast(13, packet{proto: 103, payload: []byte{0x20, 0, 0xdf, 0xff, 0, 1, 0, 2, 0, 0x69}}),
			multicast(4, packet{proto: igmp, payload: []byte{0x13, 1, 0xec, 0xfe, 0, 0, 0, 0}}),
		}, Want: drop(reason.RoutingControl, reason.IGMPQuery)},
		{ID: "L04", Case: "OSPF, EIGRP, RIP, HSRP, GLBP, LDP", Frames: [][]byte{
			multicast(5, packet{proto: 89, payload: make([]byte, 44)}),
			multicast(10, packet{proto: 88, payload: make([]byte, 20)}),
			multicast(9, packet{proto: udpProto, payload: udp(520, 520, make([]byte, 24))}),
			multicast(2, packet{proto: udpProto, payload: udp(1985, 1985, make([]byte, 20))}),
			multicast(102, packet{proto: udpProto, payload: udp(3222, 3222, make([]byte, 20))}),
			multicast(2, packet{proto: udpProto, payload: udp(646, 646, make([]byte, 20))}),
		}, Want: drop(reason.RoutingControl)},
		{ID: "L05", Case: "RIP multicast in a unicast frame", Frames: one(to(G, packet{dst: ip("224.0.0.9"), proto: udpProto, payload: udp(520, 520, make([]byte, 24))})), Want: drop(reason.RoutingControl)},
		{ID: "L06", Case: "mDNS from a spoofed source", Frames: one(multicast(251, packet{src: B4, proto: udpProto, payload: udp(5353, 5353, make([]byte, 12))})), Want: drop(reason.IP4Spoof)},
	}
}
