package nd

import "net/netip"

// ICMPv6 types, and the lengths of what comes before the options.
const (
	typeRS = 133
	typeRA = 134
	typeNS = 135
	typeNA = 136

	lenRS = 8
	lenNS = 24
)

// validRS is RFC 4861 6.1.1 but for the checksum: a guest with checksum
// offload does not fill it, and nothing on the way completes it.
func validRS(s Solicitation) bool { return valid(s, lenRS) }

// validNS is RFC 4861 7.1.1, again but for the checksum.
func validNS(s Solicitation) bool {
	if !valid(s, lenNS) || target(s).IsMulticast() {
		return false
	}
	// ff02::1:ff00:0/104, RFC 4291 2.7.1.
	solicited := netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff}), 104)
	return !s.Src.IsUnspecified() || solicited.Contains(s.Dst)
}

// valid checks what both kinds share; options begin at fixed. A source that
// is no host's, which neither section speaks of, is nobody to answer.
func valid(s Solicitation, fixed int) bool {
	if s.HopLimit != HopLimit || len(s.Message) < fixed || s.Message[1] != 0 {
		return false
	}
	if !s.Src.Is6() || s.Src.IsMulticast() {
		return false
	}
	linkLayer, ok := readOptions(s.Message[fixed:])
	return ok && (!linkLayer || !s.Src.IsUnspecified())
}

// readOptions reports whether there is a source link-layer address among the
// options, and whether each has a length and fits.
func readOptions(b []byte) (linkLayer, ok bool) {
	for len(b) > 0 {
		if len(b) < 2 || b[1] == 0 || int(b[1])*8 > len(b) {
			return false, false
		}
		linkLayer = linkLayer || b[0] == optSourceLinkLayer
		b = b[int(b[1])*8:]
	}
	return linkLayer, true
}

// target is that of a neighbour solicitation of at least lenNS bytes.
func target(s Solicitation) netip.Addr { return netip.AddrFrom16([16]byte(s.Message[8:24])) }
