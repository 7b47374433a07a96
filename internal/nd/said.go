package nd

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/dnsname"
	"github.com/berth-net/berth/internal/nic"
)

// Flags of a router advertisement (RFC 4861 4.2, RFC 4191 2.2) and of its
// prefixes (RFC 4861 4.6.2).
const (
	flagManaged     = 0x80
	flagOther       = 0x40
	preferenceShift = 3

	flagOnLink     = 0x80
	flagAutonomous = 0x40
)

// said is what one router tells the guest: an advertisement before it is
// bytes.
type said struct {
	from netip.Addr
	mac  nic.MAC // of from; zero: not told

	hopLimit   uint8
	flags      uint8
	lifetime   uint16 // of the default router
	wasDefault bool   // it had a lifetime once: to be taken back

	prefixes []prefix
	routes   []nic.RARoute // their lifetimes resolved
	ttl      nic.Seconds   // of the next three
	dns      []netip.Addr
	search   []string
	pref64   []netip.Prefix
	mtu      uint16
	portal   string
}

// prefix is one prefix information option.
type prefix struct {
	netip.Prefix
	flags            uint8
	preferred, valid nic.Seconds
}

// announces reports whether the NIC gets berth's advertisements.
func (r Router) announces() bool {
	b := r.Binding
	return b != nil && !b.Suspended && b.ServesIPv6() && b.RA.Mode == nic.RAServe
}

// source is where advertisements come from. RFC 4861 4.2 wants a link-local,
// so a gateway that has none is spoken for by berth's.
func (r Router) source() netip.Addr {
	if g := r.Binding.Gateway6; g.IsLinkLocalUnicast() {
		return g
	}
	return nic.BerthLinkLocal()
}

func (r Router) lifetime() uint16 {
	b := r.Binding
	if b.NoDefaultRoute || !b.Gateway6.IsValid() {
		return 0
	}
	return uint16(min(b.RA.Lifetime, 0xffff))
}

// says returns what the NIC is told now, and whether it is told anything.
func (r Router) says() (said, bool) {
	if !r.announces() {
		return said{}, false
	}
	b := r.Binding
	s := said{
		from: r.source(), mac: r.mac(r.source()),
		hopLimit: b.RA.HopLimit, flags: managed(b), lifetime: r.lifetime(),
		prefixes: prefixes(b), routes: routes(b),
		// RFC 8106 5.1 and RFC 8781 4.1: three advertisements may be lost.
		ttl: 3 * b.RA.Interval,
		dns: dns(b), search: search(b), portal: b.CaptivePortal,
	}
	if s.lifetime > 0 { // else the bits must be 0 (RFC 4191 2.2)
		s.flags |= byte(b.RA.Preference) << preferenceShift
		s.wasDefault = true
	}
	if b.RA.PREF64.IsValid() {
		s.pref64 = []netip.Prefix{b.RA.PREF64.Masked()}
	}
	if b.MTU >= 1280 { // the least that IPv6 has
		s.mtu = b.MTU
	}
	return s, true
}

// managed is M and O as the DHCPv6 mode has it: M when it gives anything to
// this NIC, O when it gives configuration.
func managed(b *nic.Binding) uint8 {
	gives := len(b.Addresses6()) > 0 || len(b.Delegated) > 0
	switch b.DHCP6.Mode {
	case nic.DHCP6Both:
		if gives {
			return flagManaged | flagOther
		}
		return flagOther
	case nic.DHCP6Stateful:
		if gives {
			return flagManaged | flagOther
		}
	case nic.DHCP6Stateless:
		return flagOther
	case nic.DHCP6Off:
	}
	return 0
}

// prefixes are those for autoconfiguration, then the subnets of own addresses,
// each once. A /128 is no subnet, a prefix without a flag says nothing, and a
// delegated one is not on this link.
func prefixes(b *nic.Binding) []prefix {
	var out []prefix
	add := func(p netip.Prefix, autonomous bool) {
		n := prefix{Prefix: p.Masked(), preferred: b.RA.Preferred, valid: b.RA.Valid}
		if !b.RA.OffLink {
			n.flags |= flagOnLink
		}
		if autonomous && p.Bits() == 64 { // RFC 4862 5.5.3 d with RFC 2464 4
			n.flags |= flagAutonomous
		}
		if n.flags != 0 && find(out, n.Prefix) < 0 {
			out = append(out, n)
		}
	}
	for _, p := range b.SLAAC {
		add(p, true)
	}
	for _, p := range b.Addresses6() {
		if p.Bits() < 128 {
			add(p, b.RA.Autonomous)
		}
	}
	return out
}

// routes resolves lifetimes. A route of a router that is no default router
// lives as long as the rest.
func routes(b *nic.Binding) []nic.RARoute {
	out := slices.Clone(b.RA.Routes)
	for i := range out {
		out[i].To = out[i].To.Masked()
		if out[i].Lifetime == 0 {
			out[i].Lifetime = b.RA.Lifetime
		}
		if out[i].Lifetime == 0 {
			out[i].Lifetime = 3 * b.RA.Interval
		}
	}
	return out
}

func dns(b *nic.Binding) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(b.DNS), func(a netip.Addr) bool { return !a.Is6() })
}

func search(b *nic.Binding) []string {
	_, domain := dnsname.Split(b.Hostname, b.Domain)
	return dnsname.Search(b.Search, domain)
}

// advertisement is s as a message to all nodes, with what the same router has
// ended. It is never longer than limit: an option that does not fit is left
// out, those of ended first.
func (s said) advertisement(limit int, ended said) Reply {
	m := []byte{typeRA, 0, 0, 0, s.hopLimit, s.flags}
	m = binary.BigEndian.AppendUint16(m, s.lifetime)
	m = append(m, make([]byte, 8)...) // reachable and retransmission time: not specified
	for _, o := range append(s.options(), ended.options()...) {
		if len(m)+len(o) <= limit {
			m = append(m, o...)
		}
	}
	r := Reply{SrcMAC: s.mac, Src: s.from, Message: m}
	r.Dst, r.DstMAC = allNodes()
	if r.SrcMAC.IsZero() {
		r.SrcMAC = nic.BerthMAC()
	}
	return r
}
