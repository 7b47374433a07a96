package dnsmasq

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/nic"
)

// dnsmasq's own lease times (dnsmasq(8), --dhcp-range).
const (
	defaultLease  = 3600
	defaultLease6 = 86400
)

// rangeLine reads a dhcp-range; of the addresses only their subnet matters.
func (r *reader) rangeLine(l line) {
	s := scope{Place: l.Place}
	var addresses []netip.Addr
	pool := true
	for _, part := range l.parts() {
		a, err := netip.ParseAddr(part)
		switch {
		case err == nil:
			addresses = append(addresses, a)
		case s.part(part):
		case part == "static" || part == "ra-only" || part == "ra-stateless":
			pool = false
		case strings.HasPrefix(part, "ra-") || part == "slaac" || part == "off-link" || part == "proxy" || strings.HasPrefix(part, "constructor:"):
			r.Note(l.Place, "%s: %s is not carried", text(l), part)
		default:
			r.Note(l.Place, "%s: %q is not understood", text(l), part)
		}
	}
	if len(addresses) == 0 {
		r.Note(l.Place, "%s is not carried: it has no address", text(l))
		return
	}
	if pool {
		r.Note(l.Place, "%s: addresses are not given from a pool; leases can be carried, from the file of leases", text(l))
	}
	r.subnet(&s, addresses)
}

// part takes a tag, a length or a time; it reports whether it is one.
func (s *scope) part(part string) bool {
	for _, prefix := range []string{"set:", "net:"} {
		if tag, ok := strings.CutPrefix(part, prefix); ok {
			s.tag = tag
			return true
		}
	}
	if strings.HasPrefix(part, "tag:") || part == "" {
		return true
	}
	if n, err := strconv.Atoi(part); err == nil && n <= 128 && s.subnet.Bits() <= 0 && s.lease == 0 {
		s.subnet = netip.PrefixFrom(netip.IPv6Unspecified(), n)
		return true
	}
	t, ok := leaseTime(part)
	if ok {
		s.lease = t
	}
	return ok
}

// subnet finds the length: a netmask, the number of a range of IPv6, or that of
// the address dnsmasq has there.
func (r *reader) subnet(s *scope, addresses []netip.Addr) {
	first, bits := addresses[0], -1
	for i, a := range addresses[1:] {
		if n, ok := compat.MaskBits(a.String()); ok && n > 0 && first.Is4() {
			bits = n
			if len(addresses) > i+2 {
				s.broadcast = addresses[i+2]
			}
		}
	}
	switch {
	case first.Is6() && s.subnet.IsValid():
		bits = s.subnet.Bits()
	case first.Is6():
		bits = 64
	case s.subnet.IsValid() && s.lease == 0: // a small number is a time here
		s.lease = compat.Time(max(s.subnet.Bits(), 120))
	}
	if bits < 0 {
		bits = r.ownLength(first)
	}
	if bits < 0 {
		r.Note(s.Place, "dhcp-range of %v: its netmask is that of dnsmasq's interface, which is not in the file; hosts in it are not carried unless dnsmasq's address is given with its length", first)
		return
	}
	s.subnet = netip.PrefixFrom(first, bits).Masked()
	if s.lease == 0 {
		s.lease = defaultLease
		if first.Is6() {
			s.lease = defaultLease6
		}
	}
	r.ranges = append(r.ranges, *s)
}

func (r *reader) ownLength(a netip.Addr) int {
	for _, p := range r.in.Servers {
		if !p.IsSingleIP() && p.Contains(a) {
			return p.Bits()
		}
	}
	return -1
}

// leaseTime reads 45, 45m, 12h, 2d, 1w or infinite; dnsmasq's least is two
// minutes.
func leaseTime(s string) (compat.Time, bool) {
	if s == "infinite" {
		return compat.Time(nic.Infinite), true
	}
	units := map[byte]uint64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
	unit := uint64(1)
	if s != "" {
		if u, ok := units[s[len(s)-1]|0x20]; ok {
			unit, s = u, s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n*unit >= uint64(nic.Infinite) {
		return 0, false
	}
	return compat.Time(max(n*unit, 120)), true
}
