package dhcp4

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// routes is option 121 (RFC 3442): nil unless the binding has routes or a
// gateway that its subnet does not contain.
//
// A client that takes option 121 ignores option 3, so the default route is
// part of it. A next hop that is on no link the client knows of, such as the
// gateway of a /32, first gets a route that puts it on link, because clients
// install the routes in order and kernels refuse an unreachable next hop.
func routes(b *nic.Binding) []byte {
	all := slices.DeleteFunc(slices.Clone(b.Routes), func(r nic.Route) bool { return !r.To.Addr().Is4() })
	gateway, announced := router(b)
	if len(all) == 0 && (!announced || b.Delivered().Masked().Contains(gateway)) {
		return nil
	}
	if announced && !slices.ContainsFunc(all, func(r nic.Route) bool { return r.To.Bits() == 0 }) {
		all = append(all, nic.Route{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: gateway})
	}
	// On-link routes first, wherever they were declared: others stand on them.
	slices.SortStableFunc(all, func(x, y nic.Route) int { return btoi(usable(x.Via)) - btoi(usable(y.Via)) })
	var data []byte
	for _, r := range append(onLink(b, all), all...) {
		data = appendRoute(data, r)
	}
	return data
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// onLink returns the host routes that the next hops need.
func onLink(b *nic.Binding, all []nic.Route) []nic.Route {
	known := []netip.Prefix{b.Delivered().Masked()}
	for _, r := range all {
		if !usable(r.Via) {
			known = append(known, r.To)
		}
	}
	var hosts []nic.Route
	for _, r := range all {
		via := r.Via.Unmap()
		if !usable(via) || slices.ContainsFunc(known, func(p netip.Prefix) bool { return p.Contains(via) }) {
			continue
		}
		host := netip.PrefixFrom(via, 32)
		known = append(known, host)
		hosts = append(hosts, nic.Route{To: host})
	}
	return hosts
}

// appendRoute writes a destination descriptor, the width and the significant
// octets, and the router; 0.0.0.0 is on link.
func appendRoute(b []byte, r nic.Route) []byte {
	to := r.To.Masked()
	octets := to.Addr().As4()
	b = append(b, byte(to.Bits()))
	b = append(b, octets[:(to.Bits()+7)/8]...)
	var via [4]byte
	putAddr(via[:], r.Via)
	return append(b, via[:]...)
}
