package dnsmasq

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/nic"
)

// declared is what a dhcp-host line says.
type declared struct {
	line
	macs      []nic.MAC
	duid      string
	addresses []netip.Prefix // /32 and /128, or the length that is written
	name      string
	lease     compat.Time
	tags      []string
	ignore    bool
}

func (r *reader) finish() {
	for _, l := range r.hosts {
		d := declared{line: l}
		for _, part := range l.parts() {
			r.hostPart(&d, part)
		}
		r.host(d)
	}
}

func (r *reader) hostPart(d *declared, part string) {
	if b, ok := strings.CutPrefix(part, "id:"); ok {
		if duid, is := compat.HexBytes(b); is {
			d.duid = hex.EncodeToString(duid)
		}
		return // otherwise a client identifier, which tells nothing of a NIC
	}
	if tag, ok := strings.CutPrefix(part, "set:"); ok {
		d.tags = append(d.tags, tag)
		return
	}
	if mac, ok := hardware(part); ok {
		d.macs = append(d.macs, mac)
		return
	}
	if p, ok := address(part); ok {
		d.addresses = append(d.addresses, p)
		return
	}
	lease, isTime := leaseTime(part)
	switch {
	case part == "":
	case part == "ignore":
		d.ignore = true
	case isTime:
		d.lease = lease
	case strings.ContainsAny(part, ":*"):
		r.Note(d.Place, "%s: %q is not carried", text(d.line), part)
	default:
		d.name = part
	}
}

// hardware reads a MAC, also behind the number of Ethernet: 1-52:54:...
func hardware(s string) (nic.MAC, bool) {
	b, ok := compat.HexBytes(strings.TrimPrefix(strings.TrimPrefix(s, "01-"), "1-"))
	if !ok || len(b) != 6 {
		return nic.MAC{}, false
	}
	return nic.MAC(b), true
}

// address reads 192.0.2.1, [2001:db8::1] or [2001:db8::8/125]; [::1] is
// completed by its range.
func address(s string) (netip.Prefix, bool) {
	inner, bracketed := strings.CutPrefix(strings.TrimSuffix(s, "]"), "[")
	if a, err := netip.ParseAddr(inner); err == nil && a.Is6() == bracketed {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(inner)
	return p, err == nil && bracketed
}

func (r *reader) host(d declared) {
	if len(d.macs) == 0 {
		if mac, ok := compat.DUIDMAC(d.duid); ok {
			d.macs = []nic.MAC{mac}
		}
	}
	if len(d.macs) == 0 {
		r.Note(d.Place, "%s is not carried: it names no Ethernet address", text(d.line))
		return
	}
	if len(d.macs) > 1 {
		r.Note(d.Place, "%s: a binding has one MAC: %v is carried, the others are not", text(d.line), d.macs[0])
	}
	if len(d.addresses) == 0 {
		r.Note(d.Place, "%s is not carried: it has no address", text(d.line))
		return
	}
	for _, p := range d.addresses {
		r.family(d, p)
	}
}

func (r *reader) family(d declared, p netip.Prefix) {
	s, a := r.rangeOf(p.Addr())
	switch {
	case !p.IsSingleIP():
		r.Note(d.Place, "%s: %v is not carried: a host has one address of it, which is not said", text(d.line), p)
		return
	case s == nil:
		r.Note(d.Place, "%s: %v is not carried: no dhcp-range with a known netmask has it", text(d.line), p.Addr())
		return
	}
	h := compat.Host{Place: d.Place, Name: "dhcp-host " + d.title()}
	h.MAC, h.Hostname = d.macs[0], d.name
	h.Addresses = []netip.Prefix{netip.PrefixFrom(a, s.subnet.Bits())}
	tags := append(slices.Clone(d.tags), "known")
	if d.lease > 0 {
		leased := *s
		leased.lease = d.lease
		r.fill(&h, &leased, tags)
	} else {
		r.fill(&h, s, tags)
	}
	if a.Is4() {
		h.DHCP4.Off = d.ignore
	} else {
		h.DHCP6.DUID = d.duid
	}
	r.Hosts = append(r.Hosts, h)
}

func (d declared) title() string {
	if d.name != "" {
		return d.name
	}
	return d.macs[0].String()
}

// rangeOf finds the range an address is in; an IPv6 address without a prefix
// gets the first one's.
func (r *reader) rangeOf(a netip.Addr) (*scope, netip.Addr) {
	for i := range r.ranges {
		s := &r.ranges[i]
		if s.subnet.Contains(a) {
			return s, a
		}
		if whole := a.As16(); a.Is6() && s.subnet.Addr().Is6() && s.subnet.Bits() == 64 && [8]byte(whole[:8]) == [8]byte{} {
			prefix := s.subnet.Addr().As16()
			copy(whole[:8], prefix[:8])
			return s, netip.AddrFrom16(whole)
		}
	}
	return nil, a
}

// fill gives a host what its range and the options of its tags say.
func (r *reader) fill(h *compat.Host, s *scope, tags []string) {
	own := compat.ServerIn(r.in.Servers, s.subnet)
	if s.tag != "" {
		tags = append(tags, s.tag)
	}
	six := s.subnet.Addr().Is6()
	options := r.chosen(six, tags, own)
	if six {
		r.defaults(options, s, own, 23)
		r.fill6(h, s, options)
		return
	}
	r.defaults(options, s, own, 3, 6)
	r.Notes = append(r.Notes, h.Apply4(sent(options))...)
	if _, set := options[15]; !set {
		h.Domain = r.domain
	}
	if !h.Broadcast.IsValid() {
		h.Broadcast = s.broadcast
	}
	h.DHCP4.Lease, h.DHCP4.MaxLease = s.lease, s.lease
	if !h.DHCP4.ServerID.IsValid() {
		h.DHCP4.ServerID = own
	}
	for _, b := range r.boots {
		if matches(b.tags, tags) {
			h.DHCP4.Boot = b.boot
		}
	}
}

// defaults are what dnsmasq says of itself where no option does: router and DNS
// server, of IPv6 the latter.
func (r *reader) defaults(options compat.Options, s *scope, own netip.Addr, codes ...uint16) {
	if !own.IsValid() {
		r.unknown(options, s)
		return
	}
	for _, code := range codes {
		if _, set := options[code]; !set && (code == 3 || !r.noDNS) {
			options[code] = compat.Option{Code: code, Data: own.AsSlice(), Place: s.Place}
		}
	}
}

// unknown tells once of a subnet that dnsmasq's own address is missing, if it
// would be told.
func (r *reader) unknown(options compat.Options, s *scope) {
	_, set := options[23]
	six := s.subnet.Addr().Is6()
	switch {
	case s.untold || six && (set || r.noDNS):
		return
	case six:
		r.Note(s.Place, "subnet %v: dnsmasq's own address there is not in the file: it is the DNS server, which is not carried unless it is given", s.subnet)
	default:
		r.Note(s.Place, "subnet %v: dnsmasq's own address there is not in the file: it is the server identifier, and the router and the DNS server where no option says so; none of these is carried unless it is given", s.subnet)
	}
	s.untold = true
}

// sent leaves out what dhcp-option without a value takes away.
func sent(options compat.Options) compat.Options {
	out := compat.Options{}
	for code, o := range options {
		if o.Data != nil {
			out[code] = o
		}
	}
	return out
}

func (r *reader) fill6(h *compat.Host, s *scope, options compat.Options) {
	r.Notes = append(r.Notes, h.Apply6(sent(options))...)
	h.Domain = r.domain
	h.DHCP6.SetLease(s.lease)
	if !r.serveRA {
		h.RA.Mode = "site" // somebody else advertises on this link
	}
}

// leases reads "EXPIRY MAC ADDRESS NAME CLIENT-ID"; behind a line of "duid"
// are those of DHCPv6.
func (r *reader) leases(f compat.File) {
	for _, l := range lines(f) {
		fields := strings.Fields(l.key)
		switch {
		case len(fields) > 0 && fields[0] == "duid":
			r.Note(l.Place, "leases of DHCPv6 are not carried")
			return
		case len(fields) < 4:
			r.Note(l.Place, "is no lease")
		default:
			r.lease(l, fields)
		}
	}
}

func (r *reader) lease(l line, fields []string) {
	_, err := strconv.ParseUint(fields[0], 10, 64)
	mac, isMAC := hardware(fields[1])
	a, err2 := netip.ParseAddr(fields[2])
	if err != nil || err2 != nil || !isMAC {
		r.Note(l.Place, "lease %s is not carried: want a time, an Ethernet address and an address", fields[2])
		return
	}
	if slices.ContainsFunc(r.Hosts, func(h compat.Host) bool { return h.MAC == mac && h.Addresses[0].Addr().Is4() }) {
		return // what is declared is what the next answer gives
	}
	s, _ := r.rangeOf(a)
	if s == nil {
		r.Note(l.Place, "lease %v is not carried: no dhcp-range with a known netmask has it", a)
		return
	}
	h := compat.Host{Place: l.Place, Name: "lease " + a.String()}
	h.MAC, h.Addresses = mac, []netip.Prefix{netip.PrefixFrom(a, s.subnet.Bits())}
	r.fill(&h, s, nil)
	r.Hosts = append(r.Hosts, h)
}
