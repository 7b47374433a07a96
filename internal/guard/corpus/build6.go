package corpus

import (
	"encoding/binary"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

// Groups, and addresses that only IPv6 vectors need.
var (
	allNodes   = ip("ff02::1")
	allRouters = ip("ff02::2")
	mldRouters = ip("ff02::16")
	allAgents  = ip("ff02::1:2") // relay agents and servers, RFC 8415 7.1
	berthMAC   = mac("02:62:65:72:74:68")
	berthLL    = ip("fe80::62:65ff:fe72:7468")
	granted    = ip("2001:db8:a::1234:5678:9abc:def0") // within what a prefix grant may give
)

const (
	hopByHop, routing, fragmentHeader, ah, icmp6, noNext, destOpts = 0, 43, 44, 51, 58, 59, 60
	mobility, hip, shim6                                           = 135, 139, 140
)

// packet6 is an IPv6 packet under construction; zero fields mean the ordinary.
type packet6 struct {
	esrc, edst nic.MAC
	src, dst   netip.Addr
	hop        byte // zero: 255 for ICMPv6, else 64
	headers    []header6
	proto      byte
	payload    []byte
	raw        bool // a fragment's or a broken payload: without a checksum of its own
	length     int  // lie about the payload length
	version    byte
}

// header6 is an extension header; its first byte becomes what follows it.
type header6 struct {
	proto byte
	data  []byte
}

func (p packet6) bytes() []byte {
	if !p.raw {
		p.payload = sealed(p.src, p.dst, p.proto, p.payload)
	}
	body, next := p.payload, p.proto
	for i := len(p.headers) - 1; i >= 0; i-- {
		h := append([]byte(nil), p.headers[i].data...)
		h[0] = next
		body, next = append(h, body...), p.headers[i].proto
	}
	if p.length == 0 {
		p.length = len(body)
	}
	if p.version == 0 {
		p.version = 6
	}
	if p.hop == 0 {
		p.hop = 64
		if p.proto == icmp6 {
			p.hop = 255
		}
	}
	src, dst := p.src.As16(), p.dst.As16()
	return cat([]byte{p.version << 4, 0, 0, 0}, be(uint16(p.length)), []byte{next, p.hop}, src[:], dst[:], body)
}

// frame is the packet in Ethernet, from the NIC's MAC to where its destination
// lives.
func (p packet6) frame() []byte {
	if p.esrc == Z {
		p.esrc = M
	}
	if p.edst == Z {
		p.edst = macOf(p.dst)
	}
	return ether(p.edst, p.esrc, 0x86dd, p.bytes())
}

func macOf(a netip.Addr) nic.MAC {
	switch {
	case a.IsMulticast():
		b := a.As16()
		return nic.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
	case a == M6, a == X6, a == LL, a == LLS:
		return M
	case a == B6, a == BLL:
		return B
	}
	return G
}

// sealed is an ICMPv6, UDP or TCP payload with its checksum (RFC 8200 8.1).
func sealed(src, dst netip.Addr, proto byte, payload []byte) []byte {
	at := map[byte]int{icmp6: 2, udpProto: 6, tcp: 16}[proto]
	if at == 0 || len(payload) < at+2 {
		return payload
	}
	b := append([]byte(nil), payload...)
	s, d := src.As16(), dst.As16()
	pseudo := cat(s[:], d[:], be(0), be(uint16(len(b))), []byte{0, 0, 0, proto}, b)
	sum := checksum(pseudo)
	if sum == 0 && proto == udpProto {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], sum)
	return b
}

// udp6 is nine bytes from a source to the gateway's global address, with what
// the caller changes.
func udp6(src netip.Addr, change func(*packet6)) []byte {
	p := packet6{src: src, dst: G6, proto: udpProto, payload: udp(40000, 40001, rep('A', 9))}
	if change != nil {
		change(&p)
	}
	return p.frame()
}

// options6 is a hop-by-hop or destination options header: the options padded
// with PadN to whole eights.
func options6(proto byte, opts ...byte) header6 {
	h := cat([]byte{0, 0}, opts)
	if pad := -len(h) & 7; pad == 1 {
		h = append(h, 0)
	} else if pad > 1 {
		h = cat(h, []byte{1, byte(pad - 2)}, make([]byte, pad-2))
	}
	h[1] = byte(len(h)/8 - 1)
	return header6{proto, h}
}

func alert() header6 { return options6(hopByHop, 5, 2, 0, 0) }

// routed is a routing header of a type with one address yet to visit.
func routed(kind byte, via netip.Addr) header6 {
	a := via.As16()
	return header6{routing, cat([]byte{0, 2, kind, 1, 0, 0, 0, 0}, a[:])}
}

// part is a fragment header: the offset in eights of bytes, and whether more
// fragments follow.
func part(eights uint16, more bool) header6 {
	field := eights << 3
	if more {
		field |= 1
	}
	return header6{fragmentHeader, cat([]byte{0, 0}, be(field), []byte{0x11, 0x22, 0x33, 0x44})}
}

func authenticated() header6 { return header6{ah, cat([]byte{0, 4}, make([]byte, 22))} }

// plain is eight bytes of a mobility, HIP or shim6 header.
func plain(proto byte) header6 { return header6{proto, make([]byte, 8)} }

// lla is a link-layer address option: kind 1 of the source, 2 of the target.
func lla(kind byte, m nic.MAC) []byte { return cat([]byte{kind, 1}, m[:]) }

// icmp6Type is an ICMPv6 message without its checksum.
func icmp6Type(kind, code byte, body ...byte) []byte {
	return cat([]byte{kind, code, 0, 0}, body)
}

func solicit(target netip.Addr, options ...[]byte) []byte { return neighbor(135, 0, target, options) }

const (
	flagRouter, flagSolicited, flagOverride = 0x80, 0x40, 0x20
)

func advert(flags byte, target netip.Addr, options ...[]byte) []byte {
	return neighbor(136, flags, target, options)
}

func neighbor(kind, flags byte, target netip.Addr, options [][]byte) []byte {
	t := target.As16()
	return cat(icmp6Type(kind, 0, flags, 0, 0, 0), t[:], cat(options...))
}

// router is a router advertisement of two autonomous hours.
func router(lifetime uint16, sll nic.MAC) []byte {
	prefix := ip("2001:db8:bad::").As16()
	return cat(icmp6Type(134, 0, 64, 0), be(lifetime), make([]byte, 8), lla(1, sll),
		[]byte{3, 4, 64, 0xc0, 0, 0, 0x1c, 0x20, 0, 0, 0x1c, 0x20, 0, 0, 0, 0}, prefix[:])
}

func redirect(target, destination netip.Addr) []byte {
	t, d := target.As16(), destination.As16()
	return cat(icmp6Type(137, 0, 0, 0, 0, 0), t[:], d[:])
}

// solicitedNode is the group of an address (RFC 4291 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// nd is a neighbour discovery message from a source.
func nd(src, dst netip.Addr, message []byte, headers ...header6) []byte {
	return packet6{src: src, dst: dst, proto: icmp6, payload: message, headers: headers}.frame()
}

// dhcp6 is a DHCPv6 message: type, transaction and options as on the wire.
func dhcp6(kind byte, options ...[]byte) []byte {
	return cat([]byte{kind, 0xab, 0xcd, 0xef}, cat(options...))
}

func option6(code uint16, data ...byte) []byte {
	return cat(be(code), be(uint16(len(data))), data)
}

// duid is a DUID-LL client (1) or server (2) identifier.
func duid(code uint16, m nic.MAC) []byte { return option6(code, cat([]byte{0, 3, 0, 1}, m[:])...) }

// association is an IA_NA with an address, none if it is the zero value.
func association(a netip.Addr) []byte {
	ia := cat([]byte{0, 0, 0, 1}, make([]byte, 8))
	if a.IsValid() {
		v := a.As16()
		ia = cat(ia, option6(5, cat(v[:], make([]byte, 8))...))
	}
	return option6(3, ia...)
}

// ask6 is a SOLICIT of the NIC with what the caller changes.
func ask6(change func(*packet6)) []byte {
	p := packet6{src: LL, dst: allAgents, hop: 1, proto: udpProto, payload: udp(546, 547, dhcp6(1, duid(1, M), association(netip.Addr{})))}
	if change != nil {
		change(&p)
	}
	return p.frame()
}

// serve6 is a DHCPv6 server's REPLY of the NIC to another VM with what the
// caller changes.
func serve6(change func(*packet6)) []byte {
	p := packet6{src: LL, dst: BLL, proto: udpProto, payload: udp(547, 546, serverMessage(7))}
	if change != nil {
		change(&p)
	}
	return p.frame()
}

func serverMessage(kind byte) []byte {
	return dhcp6(kind, duid(1, B), duid(2, M), association(ip("2001:db8:bad::9")))
}

// split is the packet without its headers in fragments at the given offsets,
// in eights of bytes.
func split(p packet6, at ...uint16) [][]byte {
	whole := p.payload
	if !p.raw {
		whole = sealed(p.src, p.dst, p.proto, p.payload)
	}
	var out [][]byte
	for i, start := range at {
		f := p
		end := len(whole)
		if more := i+1 < len(at); more {
			end = int(at[i+1]) * 8
			f.headers = []header6{part(start, true)}
		} else {
			f.headers = []header6{part(start, false)}
		}
		f.payload, f.raw = whole[int(start)*8:end], true
		out = append(out, f.frame())
	}
	return out
}
