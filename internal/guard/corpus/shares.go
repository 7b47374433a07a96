package corpus

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// What the NIC may hold together with others, where its binding says so.
var (
	Y4 = ip("192.0.2.60")
	Y6 = ip("2001:db8:1::60")
	V6 = mac("00:00:5e:00:02:05") // a VRRP virtual MAC of IPv6
)

const (
	vrrpProto = 112
	vrid      = 5
)

// vrrp is an advertisement of a virtual router at its highest priority.
func vrrp(id byte) []byte { return cat([]byte{0x31, id, 255, 1, 0, 100, 0, 0}, rep(0, 16)) }

// Vrrp4 is an advertisement of a virtual router to VRRP's group.
func Vrrp4(id byte) []byte { return vrrp4(packet{payload: vrrp(id)}) }

func vrrp4(p packet) []byte {
	p.dst, p.ttl, p.proto = ip("224.0.0.18"), 255, vrrpProto
	return to(mac("01:00:5e:00:00:12"), p)
}

func vrrp6(p packet6) []byte {
	p.src, p.dst, p.hop, p.proto = LL, ip("ff02::12"), 255, vrrpProto
	return p.frame()
}

// virtualRouters is VRRP (RFC 9568) of a NIC that has no share in any.
func virtualRouters() []Vector {
	bad := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "VRRP: " + what, Frames: frames, Want: drop(reason.RoutingControl)}
	}
	long := cat(vrrp(vrid), make([]byte, 24+512))
	return []Vector{
		bad("L15", "advertisement: to the group, in a unicast frame, by unicast in a group's frame, behind padding, in a first fragment", Vrrp4(vrid),
			to(G, packet{dst: ip("224.0.0.18"), proto: vrrpProto, payload: vrrp(vrid)}), to(mac("01:00:5e:00:00:12"), packet{dst: B4, proto: vrrpProto, payload: vrrp(vrid)}),
			vrrp4(packet{opts: []byte{1, 1, 1, 0}, payload: vrrp(vrid)}), vrrp4(packet{frag: moreFragments, payload: long[:48]})),
		bad("L16", "advertisement of another virtual router, of none, of a byte, without any", Vrrp4(6), Vrrp4(0),
			vrrp4(packet{payload: []byte{0x31}}), vrrp4(packet{})),
		bad("L17", "IPv6 advertisement: to the group, in a unicast frame, behind destination options, in a first and in an atomic fragment", vrrp6(packet6{payload: vrrp(vrid)}),
			vrrp6(packet6{edst: G, payload: vrrp(vrid)}), vrrp6(packet6{payload: vrrp(vrid), headers: []header6{options6(destOpts)}}),
			vrrp6(packet6{payload: long[:512], headers: []header6{part(0, true)}}), vrrp6(packet6{payload: vrrp(vrid), headers: []header6{part(0, false)}})),
		bad("L18", "IPv6 advertisement of another virtual router, of none, of a byte, without any", vrrp6(packet6{payload: vrrp(6)}), vrrp6(packet6{payload: vrrp(0)}),
			vrrp6(packet6{payload: []byte{0x31}}), vrrp6(packet6{})),
		{ID: "L19", Case: "VRRP: from a spoofed source", Frames: [][]byte{vrrp4(packet{src: B4, payload: vrrp(vrid)})}, Want: drop(reason.IP4Spoof)},
		{
			ID: "L20", Case: "VRRP: in two fragments, the message in the second", Want: drop(reason.FragmentTiny),
			Frames: hiddenInSecond(packet6{src: LL, dst: ip("ff02::12"), hop: 255, proto: vrrpProto, payload: vrrp(vrid)}),
		},
		{ID: "H54", Case: "802.1Q VID 42 carrying VRRP", Want: drop(reason.VLANTag), Frames: [][]byte{
			enc(Vrrp4(vrid), tag{0x8100, 42}), enc(vrrp6(packet6{payload: vrrp(vrid)}), tag{0x8100, 42}),
		}},
	}
}

// Announce4 and Announce6 say unasked that an address is at a MAC.
func Announce4(a netip.Addr, at nic.MAC) []byte {
	return ether(BC, at, 0x0806, arpMsg{op: 1, sha: at, spa: a, tpa: a}.bytes())
}

// Announce6 is the same for IPv6, from the address itself.
func Announce6(a netip.Addr, at nic.MAC) []byte {
	return packet6{esrc: at, src: a, dst: allNodes, proto: icmp6, payload: advert(flagOverride, a, lla(2, at))}.frame()
}

// shares is what a NIC does that holds an address in common with others, of
// one that has none.
func shares() []Vector {
	bad := func(id, what string, why reason.Reason, frames ...[]byte) Vector {
		return Vector{ID: id, Case: "share: " + what, Frames: frames, Want: drop(why)}
	}
	reply := arpMsg{op: 2, sha: M, tha: B, spa: Y4, tpa: B4}
	byMAC := reply
	byMAC.sha = V
	const o = flagOverride
	return []Vector{
		bad("A15", "from a virtual MAC: IPv4, IPv6, ARP and its own announcements", reason.MACSpoof, ether(B, V, 0x0800, packet{src: M4, dst: B4, proto: udpProto, payload: udp(1, 2, nil)}.bytes()),
			Announce4(Y4, V), Announce4(M4, V)),
		bad("A16", "from a virtual MAC of IPv6", reason.MACSpoof, udp6(M6, func(p *packet6) { p.esrc = V6 }), Announce6(Y6, V6), Announce6(M6, V6)),
		bad("B47", "from its address", reason.IP4Spoof, from(Y4)),
		bad("C27", "its address announced, asked from, answered", reason.ARPSpoofIP, Announce4(Y4, M), AskARP(Y4, B4), arp(B, reply)),
		bad("C28", "its address answered with a virtual MAC", reason.ARPSpoofMAC, arp(B, byMAC)),
		bad("C29", "its address probed", reason.ARPProbe, AskARP(Any4, Y4)),
		bad("I53", "from its IPv6 address", reason.IP6Spoof, udp6(Y6, nil), Announce6(Y6, M)),
		bad("D46", "its IPv6 address advertised, probed", reason.NDTarget, nd(LL, allNodes, advert(o, Y6, lla(2, M))), Probe(Y6)),
		bad("D47", "its IPv6 address advertised with a virtual MAC", reason.NDSpoofMAC, nd(LL, allNodes, advert(o, Y6, lla(2, V6)))),
		bad("D48", "its IPv6 address advertised with the router flag", reason.NDTarget, nd(LL, allNodes, advert(o|flagRouter, Y6, lla(2, M)))),
	}
}

// strangers is the site's honest traffic from stations that are not the
// gateway.
func strangers() []Vector {
	ok := func(id, what string, frames ...[]byte) Vector {
		return Vector{ID: id, ToGuest: true, Case: "towards: " + what, Frames: frames, Want: pass()}
	}
	data := packet{src: B4, dst: M4, proto: udpProto, payload: udp(1, 2, nil)}.bytes()
	hello := arpMsg{op: 1, sha: B, spa: B4, tpa: M4}.bytes()
	return []Vector{
		ok("N35", "from another VM: IPv4, broadcast, multicast, ARP", ether(M, B, 0x0800, data), ether(BC, B, 0x0800, data), ether(mac("01:00:5e:00:00:01"), B, 0x0800, data), ether(BC, B, 0x0806, hello)),
		ok("N36", "from another VM: IPv6, multicast", packet6{esrc: B, src: B6, dst: M6, proto: udpProto, payload: udp(1, 2, nil)}.frame(), packet6{esrc: B, src: BLL, dst: allNodes, proto: udpProto, payload: udp(1, 2, nil)}.frame()),
		{ID: "N37", ToGuest: true, Case: "towards: tagged, in LLC, from another VM", Want: drop(reason.VLANTag, reason.LLC), Frames: [][]byte{
			enc(ether(M, B, 0x0800, data), tag{0x8100, 42}), llcsnap(ether(M, B, 0x0800, data), 0),
		}},
		ok("N38", "from near the gateway's MAC", ether(M, mac("52:54:00:ff:00:02"), 0x0800, data)),
	}
}
