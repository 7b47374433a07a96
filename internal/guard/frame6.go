package guard

import "net/netip"

const (
	protoHopByHop = 0
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoICMP6    = 58
	protoDestOpts = 60
	protoMobility = 135
	protoHIP      = 139
	protoShim6    = 140

	portClient6 = 546
	portServer6 = 547

	// maxHeaders extension headers are looked behind; honest packets have one
	// or two, and what hides behind more is nobody's honest frame.
	maxHeaders = 8
	// maxTLVs options of one header are looked at.
	maxTLVs = 16

	optPad1        = 0
	optPadN        = 1
	optRouterAlert = 5
	optHomeAddress = 0xc9
)

// ip6 is an IPv6 packet whose extension headers have been followed to the
// upper-layer header, as far as one can.
type ip6 struct {
	short, bad bool // no header to read; a header that lies
	chain      bool // the headers cannot be followed to their end
	odd        bool // a routing header, Home Address or another option no host sends
	alert      bool // Router Alert among the hop-by-hop options
	extended   bool // there are extension headers
	fragmented bool // one of them is a fragment header
	fragOff    int  // bytes
	more       bool
	taken      bool // a neighbour solicitation that berth answers
	hop        byte
	src, dst   netip.Addr

	proto   byte // of the upper layer
	up, end int  // where it begins in the frame, and where the packet ends
	hidden  bool // UDP or ICMPv6 whose header is not within this packet

	ports        bool // sport and dport were read
	sport, dport uint16
	kind, code   byte // ICMPv6
}

// first reports whether the upper-layer header is to be expected here: not in
// a later fragment.
func (p *ip6) first() bool { return p.fragOff == 0 }

func (p *ip6) isUDP() bool { return p.proto == protoUDP || p.proto == protoUDPLite }

// icmp reports whether kind and code were read.
func (p *ip6) icmp() bool { return p.first() && p.proto == protoICMP6 && !p.hidden }

func parseIP6(d []byte, off int) ip6 {
	p := ip6{up: off + 40}
	if len(d) < off+40 {
		p.short = true
		return p
	}
	h := d[off:]
	p.end = off + 40 + int(be16(h, 4))
	p.proto, p.hop = h[6], h[7]
	p.src, p.dst = addr6(h[8:]), addr6(h[24:])
	if h[0]>>4 != 6 || p.end > len(d) {
		p.bad = true
		return p
	}
	p.walk(d)
	if !p.chain && p.first() {
		p.parseL4(d[p.up:p.end])
	}
	return p
}

// walk follows the extension headers (RFC 8200 section 4). It stops at the
// upper layer, at a later fragment, whose bytes say nothing by themselves, and
// where it cannot go on.
func (p *ip6) walk(d []byte) {
	for n := 0; isExtension(p.proto); n++ {
		p.extended = true
		// Hop-by-hop options come first or not at all, a fragment header once.
		if n == maxHeaders || p.proto == protoHopByHop && n > 0 || p.proto == protoFragment && p.fragmented ||
			p.up+8 > p.end {
			p.chain = true
			return
		}
		h := d[p.up:p.end]
		size := headerSize(p.proto, h[1])
		if size > len(h) {
			p.chain = true
			return
		}
		p.header(h[:size])
		p.proto = h[0]
		p.up += size
		if !p.first() {
			return
		}
	}
}

func isExtension(proto byte) bool {
	switch proto {
	case protoHopByHop, protoRouting, protoFragment, protoAH, protoDestOpts, protoMobility, protoHIP, protoShim6:
		return true
	}
	return false
}

// headerSize returns an extension header's bytes; AH counts in fours (RFC 4302
// section 2.2).
func headerSize(proto, length byte) int {
	switch proto {
	case protoFragment:
		return 8
	case protoAH:
		return (int(length) + 2) * 4
	default:
		return (int(length) + 1) * 8
	}
}

// header notes what one extension header says.
func (p *ip6) header(h []byte) {
	switch p.proto {
	case protoFragment:
		p.fragmented = true
		p.fragOff = int(be16(h, 2) & 0xfff8)
		p.more = h[3]&1 != 0
	case protoRouting:
		p.odd = true
	case protoHopByHop, protoDestOpts:
		p.options(h)
	}
}

// options looks for what no host sends: a Home Address, by which a receiver
// takes another source than the one that was checked (RFC 6275 section 6.3),
// and any hop-by-hop option but padding and Router Alert.
func (p *ip6) options(h []byte) {
	at := 2
	for range maxTLVs {
		switch {
		case at >= len(h):
			return
		case h[at] == optPad1:
			at++
			continue
		case at+1 >= len(h) || at+2+int(h[at+1]) > len(h),
			h[at] == optHomeAddress,
			p.proto == protoHopByHop && h[at] != optPadN && h[at] != optRouterAlert:
			p.odd = true
			return
		}
		if p.proto == protoHopByHop && h[at] == optRouterAlert {
			p.alert = true
		}
		at += 2 + int(h[at+1])
	}
	p.odd = p.odd || at < len(h)
}

func (p *ip6) parseL4(l4 []byte) {
	switch {
	case p.proto == protoICMP6, p.isUDP():
		if len(l4) < 8 {
			p.hidden = true
			return
		}
	default:
		return
	}
	if p.proto == protoICMP6 {
		p.kind, p.code = l4[0], l4[1]
		return
	}
	p.ports = true
	p.sport, p.dport = be16(l4, 0), be16(l4, 2)
}

// message returns the DHCPv6 message type of a UDP packet, 0 if there is none.
func (p *ip6) message(d []byte) byte {
	if p.end-p.up < 9 {
		return 0
	}
	return d[p.up+8]
}

// probes reports duplicate address detection (RFC 4862 section 5.4.2).
func (p *ip6) probes(h l2) bool {
	return h.ethertype == typeIPv6 && !h.tagged && !h.llc && !p.fragmented &&
		p.icmp() && p.kind == neighborSolicit && p.src.IsUnspecified()
}

// advertises reports a neighbour advertisement of an address.
func (p *ip6) advertises(d []byte, a netip.Addr) bool {
	return p.icmp() && p.kind == neighborAdvert && p.end-p.up >= 24 && addr6(d[p.up+8:]) == a
}

func addr6(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b[:16])) }

// isGroup6 and isLocal6 go by the bits (RFC 4291 section 2.4). netip's methods
// see the IPv4 address in a mapped one: ::ffff:169.254.1.1 is link-local to them.
func isGroup6(a netip.Addr) bool { return a.As16()[0] == 0xff }

func isLocal6(a netip.Addr) bool {
	b := a.As16()
	return b[0] == 0xfe && b[1]&0xc0 == 0x80
}
