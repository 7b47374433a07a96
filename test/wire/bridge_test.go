package wire

import "encoding/binary"

// bridged is what the bridge makes of a frame; false: it does not forward it.
func (s *site) bridged(f []byte) ([]byte, bool) {
	if !forwarded(f) {
		return nil, false
	}
	if !s.nf {
		return f, true
	}
	switch binary.BigEndian.Uint16(f[12:]) {
	case 0x0800:
		return throughNetfilter(f)
	case 0x86dd:
		return throughNetfilter6(f)
	default:
		return f, true
	}
}

// throughNetfilter is what bridge-nf-call-iptables adds to a bridge: it checks
// untagged IPv4 as the IP stack does and cuts what follows the total length,
// which is how padding gets lost (br_validate_ipv4 in br_netfilter_hooks.c).
func throughNetfilter(f []byte) ([]byte, bool) {
	p := f[14:]
	if len(p) < 20 || p[0]>>4 != 4 {
		return nil, false
	}
	ihl, total := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	if ihl < 20 || total < ihl || total > len(p) || !validHeader(p[:ihl]) {
		return nil, false
	}
	return f[:14+total], true
}

func validHeader(h []byte) bool {
	var sum uint32
	for ; len(h) >= 2; h = h[2:] {
		sum += uint32(binary.BigEndian.Uint16(h))
	}
	return uint16(sum)+uint16(sum>>16) == 0xffff
}

// throughNetfilter6 is the same of IPv6 (br_validate_ipv6 in
// br_netfilter_ipv6.c): the version, the payload length and hop-by-hop options
// that fit; what follows is cut.
func throughNetfilter6(f []byte) ([]byte, bool) {
	p := f[14:]
	if len(p) < 40 || p[0]>>4 != 6 {
		return nil, false
	}
	total := 40 + int(binary.BigEndian.Uint16(p[4:]))
	if total > len(p) || p[6] == 0 && !validHopByHop(p[40:]) {
		return nil, false
	}
	return f[:14+total], true
}

// validHopByHop is nf_ip6_check_hbh_len: every option fits, and no jumbo
// payload is announced, as no frame here is that long.
func validHopByHop(h []byte) bool {
	if len(h) < 8 || len(h) < int(h[1])*8+8 {
		return false
	}
	for opts := h[2 : int(h[1])*8+8]; len(opts) > 0; {
		if opts[0] == 0 {
			opts = opts[1:]
			continue
		}
		if len(opts) < 2 || len(opts) < 2+int(opts[1]) || opts[0] == 0xc2 {
			return false
		}
		opts = opts[2+int(opts[1]):]
	}
	return true
}
