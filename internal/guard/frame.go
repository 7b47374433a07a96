package guard

import (
	"encoding/binary"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

// Frame is one Ethernet frame at a tc hook.
type Frame struct {
	Data []byte
	// Tagged says that the kernel has moved a VLAN tag out of Data into the
	// frame's metadata, as it does on receive.
	Tagged bool
	VID    uint16 // of that tag; 0 if it is not 802.1Q
}

const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeRARP = 0x8035
	typeIPv6 = 0x86dd
	typeVLAN = 0x8100

	// minEthertype: smaller values are an 802.3 length (IEEE 802.3 3.2.6).
	minEthertype = 0x0600
	// maxTags tags are looked behind for DHCP; more are nobody's honest frame.
	maxTags = 4

	protoICMP    = 1
	protoIGMP    = 2
	protoTCP     = 6
	protoUDP     = 17
	protoEIGRP   = 88
	protoOSPF    = 89
	protoPIM     = 103
	protoVRRP    = 112
	protoUDPLite = 136

	portServer = 67
	portClient = 68
)

// l2 is what the link layer says: the innermost ethertype and where it starts.
type l2 struct {
	ethertype uint16 // 0: LLC that is not SNAP
	off       int    // of the payload
	tagged    bool
	vid       uint16 // of the only tag, if that is 802.1Q; else 0
	llc       bool
	tooDeep   bool // more tags than are looked behind
	short     bool // the frame ends within the link-layer headers
}

func parseL2(f Frame) l2 {
	h := l2{off: 14, tagged: f.Tagged, vid: f.VID}
	if len(f.Data) < 14 {
		h.short = true
		return h
	}
	h.ethertype = be16(f.Data, 12)
	for n := 0; isTPID(h.ethertype); n++ {
		only := !h.tagged && h.ethertype == typeVLAN
		h.tagged, h.vid = true, 0
		if n == maxTags {
			h.tooDeep = true
			return h
		}
		if len(f.Data) < h.off+4 {
			h.short = true
			return h
		}
		if only {
			h.vid = be16(f.Data, h.off) & 0xfff
		}
		h.ethertype = be16(f.Data, h.off+2)
		h.off += 4
	}
	if h.ethertype < minEthertype {
		h.llc = true
		h.parseSNAP(f.Data)
	}
	return h
}

// parseSNAP looks behind LLC/SNAP with OUI 00:00:00 (RFC 1042) or 00:00:f8
// (802.1H), because receivers unwrap both (CVE-2021-27854).
func (h *l2) parseSNAP(d []byte) {
	h.ethertype = 0
	if len(d) < h.off+8 {
		return
	}
	s := d[h.off:]
	if s[0] == 0xaa && s[1] == 0xaa && s[2] == 3 && s[3] == 0 && s[4] == 0 && (s[5] == 0 || s[5] == 0xf8) {
		h.ethertype = be16(s, 6)
		h.off += 8
		h.tooDeep = isTPID(h.ethertype)
	}
}

// isTPID reports whether the ethertype announces a VLAN tag: 802.1Q, 802.1ad
// and the older 0x9100 family.
func isTPID(t uint16) bool {
	return t == 0x8100 || t == 0x88a8 || t == 0x9100 || t == 0x9200 || t == 0x9300
}

// ip4 is an IPv4 header whose lengths have been checked against the frame.
type ip4 struct {
	short, bad bool // no header to read; a header that lies
	off, ihl   int  // of the header, its length in bytes
	payload    int  // bytes after the header, by the total length
	proto      byte
	fragOff    int // bytes
	more       bool
	src, dst   netip.Addr

	// Of the payload where this is the first fragment or the whole:
	ports        bool // sport and dport were read
	hidden       bool // UDP whose ports are not within this fragment
	sport, dport uint16
	kind         byte // the first payload byte: ICMP or IGMP type
}

func (p *ip4) fragment() bool { return p.more || p.fragOff != 0 }

func (p *ip4) isUDP() bool { return p.proto == protoUDP || p.proto == protoUDPLite }

func parseIP4(d []byte, off int) ip4 {
	p := ip4{off: off}
	if len(d) < off+20 {
		p.short = true
		return p
	}
	h := d[off:]
	p.ihl = int(h[0]&15) * 4
	total := int(be16(h, 2))
	frag := be16(h, 6)
	p.payload = total - p.ihl
	p.fragOff = int(frag&0x1fff) * 8
	p.more = frag&0x2000 != 0
	p.proto = h[9]
	p.src, p.dst = addr4(h[12:]), addr4(h[16:])
	if h[0]>>4 != 4 || p.ihl < 20 || p.payload < 0 || off+total > len(d) || p.fragOff+p.payload > 65535 {
		p.bad = true
		return p
	}
	if p.fragOff == 0 {
		p.parseL4(d[off+p.ihl : off+total])
	}
	return p
}

func (p *ip4) parseL4(l4 []byte) {
	if len(l4) > 0 {
		p.kind = l4[0]
	}
	if p.proto != protoUDP && p.proto != protoUDPLite {
		return
	}
	if len(l4) < 8 {
		p.hidden = true
		return
	}
	p.ports = true
	p.sport, p.dport = be16(l4, 0), be16(l4, 2)
}

// bootp returns op and ciaddr of a DHCP message in p, zeros where the payload
// is too short for them.
func (p *ip4) bootp(d []byte) (op byte, ciaddr netip.Addr) {
	m := d[p.off+p.ihl+8 : p.off+p.ihl+p.payload]
	if len(m) > 0 {
		op = m[0]
	}
	if len(m) >= 16 {
		ciaddr = addr4(m[12:])
	}
	return op, ciaddr
}

func be16(b []byte, off int) uint16 { return binary.BigEndian.Uint16(b[off:]) }

func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }

func macAt(b []byte, off int) nic.MAC { return nic.MAC(b[off : off+6]) }
