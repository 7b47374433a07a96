package guard

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// The ICMPv6 types the guard knows by name.
const (
	mldQuery        = 130
	mldReport       = 131
	mldDone         = 132
	routerSolicit   = 133
	routerAdvert    = 134
	neighborSolicit = 135
	neighborAdvert  = 136
	redirect        = 137
	mldReport2      = 143
)

const (
	optSourceLLA = 1
	optTargetLLA = 2
	// maxNDOptions of one message are looked at; SEND, which has the most, has
	// five (RFC 3971).
	maxNDOptions = 16
	// minFragment6 is what an honest fragment but the last carries at least: the
	// smallest link carries 1280 bytes (RFC 8200 section 5), and a stack that
	// splits evenly makes two halves of what just exceeds it.
	minFragment6 = 512
)

// undecidable6 says why nobody can tell what an IPv6 packet is. RFC 7112, RFC
// 7113 and RFC 7610 let such packets be dropped wherever one asks.
func undecidable6(p *ip6) reason.Reason {
	switch {
	case p.short:
		return reason.Truncated
	case p.bad:
		return reason.IP6Malformed
	case p.chain, p.hidden && p.fragmented:
		return reason.IP6Chain
	case p.hidden:
		return reason.IP6Malformed
	default:
		return reason.None
	}
}

// contain6 says what a frame of the guest is: DHCPv6 or a solicitation to be
// taken, what must not exist, or neither.
func (r *Rules) contain6(f Frame, h l2, p *ip6) reason.Reason {
	if why := undecidable6(p); why != reason.None {
		return why
	}
	plain := !p.fragmented && !h.tagged && !h.llc
	switch {
	case p.ports && p.dport == portClient6:
		return r.contain546(plain && p.proto == protoUDP)
	case p.ports && p.dport == portServer6:
		return r.contain547(p.message(f.Data), plain && p.proto == protoUDP)
	case p.icmp() && p.kind == routerAdvert && !r.Advertise:
		return reason.RARogue
	case p.icmp() && p.kind == routerSolicit && !r.SiteRA:
		if !plain {
			return reason.NDFragment
		}
		return reason.RouterSolicit
	case p.icmp() && p.kind == neighborSolicit && plain && r.answersND(f.Data, p):
		return reason.NeighbourSolicit
	}
	return reason.None
}

// contain546 judges what goes to the DHCPv6 client port: servers' messages.
func (r *Rules) contain546(plain bool) reason.Reason {
	switch {
	case !r.Serve:
		return reason.DHCPServer
	case !plain:
		return reason.DHCPDisguised
	default:
		return reason.None
	}
}

// contain547 judges what goes to the DHCPv6 server port. A relay listens there
// as well: a server's message to it is a rogue's.
func (r *Rules) contain547(message byte, plain bool) reason.Reason {
	switch {
	case isServerMessage(message) && !r.Serve:
		return reason.DHCPServer
	case !plain:
		return reason.DHCPDisguised
	case r.SiteDHCP:
		return reason.None
	default:
		return reason.DHCP6
	}
}

// isServerMessage reports Advertise, Reply, Reconfigure and Relay-reply (RFC
// 8415 7.3).
func isServerMessage(m byte) bool { return m == 2 || m == 7 || m == 10 || m == 13 }

// answersND reports whether a neighbour solicitation is berth's to answer.
func (r *Rules) answersND(d []byte, p *ip6) bool {
	if p.end-p.up < 24 {
		return false
	}
	target := addr6(d[p.up+8:])
	if slices.Contains(r.Answer6, target) {
		return true
	}
	return r.AnswerAll && !p.src.IsUnspecified() && isGlobal(target) && !r.owns6(target)
}

// isGlobal reports what is neither a group, unspecified nor link-local.
func isGlobal(a netip.Addr) bool {
	return !isGroup6(a) && !a.IsUnspecified() && !isLocal6(a)
}

// foreign6 says whether a frame for the guest is a DHCPv6 server's, or a
// router advertisement that is not to reach it. Where the site's may, one that
// hides behind extension headers still is not (RFC 7113).
func (r *Rules) foreign6(f Frame, h l2, p *ip6) reason.Reason {
	if why := undecidable6(p); why != reason.None {
		return why
	}
	plain := !p.fragmented && !h.tagged && !h.llc
	switch {
	case p.ports && p.dport == portClient6 && (!r.SiteDHCP || !plain || p.proto != protoUDP):
		return reason.DHCPForeign
	case p.src == nic.BerthLinkLocal() || p.advertises(f.Data, nic.BerthLinkLocal()):
		return reason.AsBerth
	case !p.icmp() || p.kind != routerAdvert:
		return reason.None
	case r.SiteRA && plain && !p.extended && p.hop == 255:
		return reason.None
	}
	return reason.RAForeign
}

// permits6 reports whether the NIC may use an address, and whether it must
// first hold it as a link-local.
func (r *Rules) permits6(a netip.Addr) (ok, claim bool) {
	if !isLocal6(a) {
		return r.owns6(a), false
	}
	switch {
	case !r.IPv6, a == r.Gateway6, slices.Contains(r.Routers, a), a == nic.BerthLinkLocal():
		return false, false
	case r.LinkLocal == nic.FixedLinkLocal:
		return slices.Contains(r.Locals, a), false
	case a == r.MACs[0].EUI64():
		return true, false
	case r.LinkLocal == nic.FirstCome:
		return true, true
	}
	return false, false
}

// owns6 reports whether a global address is one of the NIC's. The first
// address of a subnet is its routers' (RFC 4291 section 2.6.1), and the
// gateway's stays the gateway's.
func (r *Rules) owns6(a netip.Addr) bool {
	if a == r.Gateway6 {
		return false
	}
	b := a.As16()
	anycast := [8]byte(b[8:]) == [8]byte{}
	for _, p := range r.IP6 {
		if p.Contains(a) {
			return !anycast || p.Bits() > 64
		}
	}
	return false
}

// claims collects the link-locals a frame speaks for.
type claims struct {
	list [2]netip.Addr
	n    int
}

func (c *claims) add(a netip.Addr) {
	c.list[c.n] = a
	c.n++
}

// checkIP6 asks for the source and for what only routers send.
func (r *Rules) checkIP6(f Frame, p *ip6, c *claims) reason.Reason {
	if why := r.checkSource6(p, c); why != reason.None {
		return why
	}
	if p.odd || p.alert && (!p.icmp() || !isMLD(p.kind)) {
		return reason.IP6Options
	}
	if why := checkFragment6(p); why != reason.None {
		return why
	}
	if r.Router || !p.first() {
		return reason.None
	}
	return r.checkControl6(f, p)
}

// checkSource6 asks for the source, but not of a solicitation that is taken:
// see checkARP.
func (r *Rules) checkSource6(p *ip6, c *claims) reason.Reason {
	if p.src.IsUnspecified() {
		if !unspecifiedSource(p) {
			return reason.IP6Spoof
		}
		return reason.None
	}
	if !p.taken && r.speaksFor(p.src, c) != reason.None {
		return reason.IP6Spoof
	}
	return reason.None
}

// unspecifiedSource permits what a host without an address sends: duplicate
// address detection, router solicitation, group membership (RFC 3590).
func unspecifiedSource(p *ip6) bool {
	if !p.icmp() || p.fragmented {
		return false
	}
	switch p.kind {
	case routerSolicit, neighborSolicit, mldReport, mldDone, mldReport2:
		return isGroup6(p.dst)
	}
	return false
}

func isMLD(kind byte) bool { return kind >= mldQuery && kind <= mldDone || kind == mldReport2 }

func checkFragment6(p *ip6) reason.Reason {
	tiny := p.more && p.end-p.up < minFragment6 || p.fragOff > 0 && p.fragOff < minFragment6
	if tiny {
		return reason.FragmentTiny
	}
	return reason.None
}

// checkControl6 keeps a NIC that is no router from speaking as one.
func (r *Rules) checkControl6(f Frame, p *ip6) reason.Reason {
	group := f.Data[0]&1 != 0 || isGroup6(p.dst)
	switch {
	case p.icmp():
		return checkType6(p.kind)
	case p.proto == protoEIGRP || p.proto == protoOSPF || p.proto == protoPIM:
		if group {
			return reason.RoutingControl
		}
	case p.proto == protoVRRP:
		if group && !speaksVRRP(r.VRIDs6, f.Data[p.up:p.end]) {
			return reason.RoutingControl
		}
	case p.ports && p.proto == protoUDP && group && (isRoutingPort(p.dport) || p.dport == 521 || p.dport == 6696):
		return reason.RoutingControl // also RIPng and Babel
	}
	return reason.None
}

// checkType6 permits the ICMPv6 messages that hosts send: errors, echo and
// extended echo, group membership, neighbour discovery.
func checkType6(kind byte) reason.Reason {
	switch kind {
	case 1, 2, 3, 4, 128, 129, mldReport, mldDone, mldReport2, 160, 161,
		routerSolicit, routerAdvert, neighborSolicit, neighborAdvert:
		return reason.None
	case mldQuery:
		return reason.MLDQuery
	case redirect:
		return reason.ICMPRedirect
	default:
		return reason.ICMP6Type
	}
}

// checkND holds neighbour discovery to RFC 4861 sections 6.1 and 7.1, and its
// source, target and link-layer addresses to the NIC: receivers believe of the
// source what the options say. In fragments it is nobody's (RFC 6980).
func (r *Rules) checkND(d []byte, p *ip6, c *claims) reason.Reason {
	if !p.icmp() || p.kind < routerSolicit || p.kind > redirect {
		return reason.None
	}
	if p.fragmented {
		return reason.NDFragment
	}
	m := d[p.up:p.end]
	fixed := ndFixed(p.kind)
	if p.hop != 255 || p.code != 0 || len(m) < fixed {
		return reason.NDMalformed
	}
	if !r.Check.IP { // or it was asked before
		if why := r.checkSource6(p, c); why != reason.None {
			return why
		}
	}
	if p.kind == redirect {
		return r.checkRedirect()
	}
	if why := r.checkNDOptions(m[fixed:], p.src.IsUnspecified()); why != reason.None {
		return why
	}
	switch p.kind {
	case neighborSolicit:
		return r.checkNS(addr6(m[8:]), p, c)
	case neighborAdvert:
		return r.checkNA(m, p, c)
	}
	return reason.None
}

// checkRedirect leaves redirects to routers. Their options are about the one
// they redirect to.
func (r *Rules) checkRedirect() reason.Reason {
	if r.Router {
		return reason.None
	}
	return reason.ICMPRedirect
}

// ndFixed is the length of a message before its options.
func ndFixed(kind byte) int {
	switch kind {
	case routerSolicit:
		return 8
	case routerAdvert:
		return 16
	case redirect:
		return 40
	default:
		return 24
	}
}

// checkNDOptions looks at all options, not only at the first of a kind: which
// one of two a receiver takes is its own affair.
func (r *Rules) checkNDOptions(opts []byte, unspecified bool) reason.Reason {
	seen := [3]bool{}
	for range maxNDOptions {
		if len(opts) == 0 {
			return reason.None
		}
		if len(opts) < 8 || opts[1] == 0 || int(opts[1])*8 > len(opts) {
			return reason.NDMalformed
		}
		if kind := opts[0]; kind == optSourceLLA || kind == optTargetLLA {
			if opts[1] != 1 || seen[kind] || unspecified {
				return reason.NDMalformed
			}
			seen[kind] = true
			if !slices.Contains(r.MACs, nic.MAC(opts[2:8])) {
				return reason.NDSpoofMAC
			}
		}
		opts = opts[int(opts[1])*8:]
	}
	if len(opts) > 0 {
		return reason.NDMalformed
	}
	return reason.None
}

// checkNS lets the NIC ask for anybody, but detect duplicates of its own
// addresses only: the probe of another's would deny it that address. A probe
// for an address that berth answers for meets its holder.
func (r *Rules) checkNS(target netip.Addr, p *ip6, c *claims) reason.Reason {
	if isGroup6(target) {
		return reason.NDMalformed
	}
	if !p.src.IsUnspecified() || slices.Contains(r.Answer6, target) {
		return reason.None
	}
	return r.speaksFor(target, c)
}

// checkNA leaves the router flag to routers, also for an address that is
// shared: keepalived sets it only where the guest forwards.
func (r *Rules) checkNA(m []byte, p *ip6, c *claims) reason.Reason {
	const routerFlag, solicited = 0x80, 0x40
	if m[4]&solicited != 0 && isGroup6(p.dst) {
		return reason.NDMalformed
	}
	if why := r.speaksFor(addr6(m[8:]), c); why != reason.None {
		return why
	}
	// Who advertises must say so here too, or is taken off the hosts' lists of
	// routers (RFC 4861 section 7.2.5).
	if m[4]&routerFlag != 0 && !r.Router && !r.Advertise {
		return reason.NDRouter
	}
	return reason.None
}

// speaksFor asks whether the NIC may say that it has an address.
func (r *Rules) speaksFor(a netip.Addr, c *claims) reason.Reason {
	ok, claim := r.permits6(a)
	if !ok {
		return reason.NDTarget
	}
	if claim {
		c.add(a)
	}
	return reason.None
}
