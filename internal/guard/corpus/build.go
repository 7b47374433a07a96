package corpus

import (
	"encoding/binary"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

// The cast of every vector.
var (
	M  = mac("52:54:00:aa:00:01") // the NIC under test
	B  = mac("52:54:00:bb:00:02") // another VM
	G  = mac("52:54:00:ff:00:01") // the site's gateway
	S  = mac("52:54:00:ff:00:03") // the site's DHCP server
	V  = mac("00:00:5e:00:01:05") // a VRRP virtual MAC
	BC = mac("ff:ff:ff:ff:ff:ff")
	Z  = mac("00:00:00:00:00:00")

	M4   = ip("192.0.2.10")
	B4   = ip("192.0.2.20")
	G4   = ip("192.0.2.1")
	S4   = ip("192.0.2.3")
	X4   = ip("192.0.2.50") // further address the NIC may use
	Any4 = ip("0.0.0.0")
	BC4  = ip("255.255.255.255")

	M6   = ip("2001:db8:1::10")
	B6   = ip("2001:db8:1::20")
	G6   = ip("2001:db8:1::1")
	X6   = ip("2001:db8:1::50")            // further address the NIC may use
	LL   = ip("fe80::5054:ff:feaa:1")      // the NIC's EUI-64 link-local
	LLS  = ip("fe80::7c3a:91ff:22ab:5d10") // a stable-privacy link-local of its choice
	BLL  = ip("fe80::5054:ff:febb:2")
	GLL  = ip("fe80::1")
	Any6 = ip("::")
)

func mac(s string) nic.MAC {
	m, err := nic.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func be(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// rep is n times c.
func rep(c byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = c
	}
	return b
}

// ether is a frame, padded to 60 bytes.
func ether(dst, src nic.MAC, ethertype uint16, payload []byte) []byte {
	f := cat(dst[:], src[:], be(ethertype), payload)
	if len(f) < 60 {
		f = append(f, make([]byte, 60-len(f))...)
	}
	return f
}

// packet is an IPv4 packet under construction; zero fields mean the ordinary.
type packet struct {
	src, dst netip.Addr
	proto    byte
	opts     []byte // multiple of four
	frag     uint16 // flags and offset field as on the wire
	ttl      byte
	tos      byte
	id       uint16
	payload  []byte
	total    int  // lie about the total length
	verIHL   byte // lie about version and header length
}

func (p packet) bytes() []byte {
	h := make([]byte, 20, 20+len(p.opts))
	h[0] = 0x45 + byte(len(p.opts)/4)
	if p.verIHL != 0 {
		h[0] = p.verIHL
	}
	h[1] = p.tos
	total := 20 + len(p.opts) + len(p.payload)
	if p.total != 0 {
		total = p.total
	}
	binary.BigEndian.PutUint16(h[2:], uint16(total))
	binary.BigEndian.PutUint16(h[4:], p.id)
	binary.BigEndian.PutUint16(h[6:], p.frag)
	h[8] = 64
	if p.ttl != 0 {
		h[8] = p.ttl
	}
	h[9] = p.proto
	src, dst := p.src.As4(), p.dst.As4()
	copy(h[12:], src[:])
	copy(h[16:], dst[:])
	h = append(h, p.opts...)
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, p.payload...)
}

func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

const (
	icmp, igmp, tcp, udpProto = 1, 2, 6, 17
	moreFragments             = 0x2000
)

func udp(sport, dport uint16, data []byte) []byte {
	return cat(be(sport), be(dport), be(uint16(8+len(data))), be(0), data)
}

// udp4 is nine bytes from the NIC to the gateway, with what the caller changes.
func udp4(change func(*packet)) []byte {
	p := packet{src: M4, dst: G4, proto: udpProto, payload: udp(40000, 40001, rep('A', 9))}
	if change != nil {
		change(&p)
	}
	return ether(G, M, 0x0800, p.bytes())
}

func from(src netip.Addr) []byte { return udp4(func(p *packet) { p.src = src }) }

// to sends an own packet to a destination MAC.
func to(dst nic.MAC, p packet) []byte {
	if !p.src.IsValid() {
		p.src = M4
	}
	if !p.dst.IsValid() {
		p.dst = G4
	}
	return ether(dst, M, 0x0800, p.bytes())
}

// arpMsg is an ARP message; zero hardware fields mean Ethernet and IPv4.
type arpMsg struct {
	op           uint16
	sha, tha     nic.MAC
	spa, tpa     netip.Addr
	htype, ptype uint16
	hlen, plen   byte
}

func (a arpMsg) bytes() []byte {
	htype, ptype, hlen, plen := a.htype, a.ptype, a.hlen, a.plen
	if htype == 0 {
		htype = 1
	}
	if ptype == 0 {
		ptype = 0x0800
	}
	if hlen == 0 {
		hlen = 6
	}
	if plen == 0 {
		plen = 4
	}
	spa, tpa := a.spa.As4(), a.tpa.As4()
	return cat(be(htype), be(ptype), []byte{hlen, plen}, be(a.op), a.sha[:], spa[:], a.tha[:], tpa[:])
}

func arp(dst nic.MAC, a arpMsg) []byte { return ether(dst, M, 0x0806, a.bytes()) }

// tag is one VLAN tag.
type tag struct{ tpid, tci uint16 }

// enc puts tags behind the addresses of a frame.
func enc(f []byte, tags ...tag) []byte {
	out := append([]byte(nil), f[:12]...)
	for _, t := range tags {
		out = append(out, cat(be(t.tpid), be(t.tci))...)
	}
	return append(out, f[12:]...)
}

// llcsnap makes an 802.3 frame of an Ethernet II one.
func llcsnap(f []byte, length int, oui ...byte) []byte {
	if oui == nil {
		oui = []byte{0, 0, 0}
	}
	if length == 0 {
		length = len(f) - 12 + 6
	}
	return cat(f[:12], be(uint16(length)), []byte{0xaa, 0xaa, 3}, oui, f[12:])
}

// bootp is a DHCP message; options are as on the wire, without the end.
type bootp struct {
	op             byte
	htype, hlen    byte
	xid            uint32
	flags          uint16
	ci, yi, si, gi netip.Addr
	chaddr         nic.MAC
	options        []byte
}

func (m bootp) bytes() []byte {
	b := make([]byte, 240, 300)
	b[0], b[1], b[2] = m.op, 1, 6
	if m.htype != 0 {
		b[1] = m.htype
	}
	if m.hlen != 0 {
		b[2] = m.hlen
	}
	binary.BigEndian.PutUint32(b[4:], m.xid)
	binary.BigEndian.PutUint16(b[10:], m.flags)
	for i, a := range []netip.Addr{m.ci, m.yi, m.si, m.gi} {
		if a.IsValid() {
			v := a.As4()
			copy(b[12+4*i:], v[:])
		}
	}
	copy(b[28:], m.chaddr[:])
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63})
	b = append(append(b, m.options...), 255)
	if len(b) < 300 {
		b = append(b, make([]byte, 300-len(b))...)
	}
	return b
}

// dhcpFrame addresses a DHCP message; the zero value is a client's broadcast.
type dhcpFrame struct {
	esrc, edst   nic.MAC
	src, dst     netip.Addr
	sport, dport uint16
	msg          bootp
	change       func(*packet)
}

func (d dhcpFrame) bytes() []byte {
	if d.esrc == Z {
		d.esrc = M
	}
	if d.edst == Z {
		d.edst = BC
	}
	if !d.src.IsValid() {
		d.src = Any4
	}
	if !d.dst.IsValid() {
		d.dst = BC4
	}
	if d.sport == 0 {
		d.sport = 68
	}
	if d.dport == 0 {
		d.dport = 67
	}
	if d.msg.op == 0 {
		d.msg.op = 1
	}
	if d.msg.chaddr == Z {
		d.msg.chaddr = M
	}
	p := packet{src: d.src, dst: d.dst, proto: udpProto, payload: udp(d.sport, d.dport, d.msg.bytes())}
	if d.change != nil {
		d.change(&p)
	}
	return ether(d.edst, d.esrc, 0x0800, p.bytes())
}

// disc is a DISCOVER with what the caller changes.
func disc(change func(*dhcpFrame)) []byte {
	d := dhcpFrame{msg: bootp{xid: 0x1234abcd, options: []byte{53, 1, 1}}}
	if change != nil {
		change(&d)
	}
	return d.bytes()
}

// server is a server's message of a type, from the NIC, broadcast to clients.
func server(kind byte, change func(*dhcpFrame)) []byte {
	d := dhcpFrame{
		src: M4, sport: 67, dport: 68,
		msg: bootp{op: 2, yi: ip("10.6.6.6"), options: cat([]byte{53, 1, kind, 54, 4, 192, 0, 2, 10})},
	}
	if change != nil {
		change(&d)
	}
	return d.bytes()
}

// fragments cuts an untagged IPv4 frame into fragments of size payload bytes.
func fragments(f []byte, size int) [][]byte {
	ihl := int(f[14]&15) * 4
	total := int(binary.BigEndian.Uint16(f[16:]))
	head, body := f[14:14+ihl], f[14+ihl:14+total]
	var out [][]byte
	for off := 0; off < len(body); off += size {
		end := min(off+size, len(body))
		h := append([]byte(nil), head...)
		binary.BigEndian.PutUint16(h[2:], uint16(ihl+end-off))
		field := uint16(off / 8)
		if end < len(body) {
			field |= moreFragments
		}
		binary.BigEndian.PutUint16(h[6:], field)
		binary.BigEndian.PutUint16(h[10:], 0)
		binary.BigEndian.PutUint16(h[10:], checksum(h))
		out = append(out, ether(nic.MAC(f[0:6]), nic.MAC(f[6:12]), 0x0800, append(h, body[off:end]...)))
	}
	return out
}
