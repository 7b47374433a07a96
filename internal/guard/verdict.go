package guard

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Action is what happens to a frame.
type Action uint8

// The actions.
const (
	Pass Action = iota
	Drop
	Take // consumed here and handed to the answerer
)

// String names the action.
func (a Action) String() string { return [...]string{"pass", "drop", "take"}[a] }

// Verdict is the judgement on one frame.
type Verdict struct {
	Action  Action
	Reason  reason.Reason // of a Drop or a Take
	Audited reason.Reason // what would have been dropped, in audit mode
	// Claims are link-locals the frame speaks for that are the NIC's only if it
	// holds them, or may: Locals.Settle decides.
	Claims [2]netip.Addr
	// Probe says that the frame asks whether anybody has the address it claims:
	// if another NIC does, it is taken, to be answered with the conflict.
	Probe bool
}

// FromGuest judges a frame that the guest sends.
//
// Two questions are asked apart. Containment, whose DHCP and whose router
// advertisement is this, is answered on every managed NIC in every mode. The
// checks, may this NIC send this, can be switched off or only counted.
func FromGuest(r *Rules, f Frame) Verdict {
	if r.Closed {
		return Verdict{Action: Drop, Reason: reason.NoBinding}
	}
	h := parseL2(f)
	if why := unreadable(h); why != reason.None {
		return Verdict{Action: Drop, Reason: why}
	}
	p := parseIP(f, h)
	v := Verdict{}
	switch held := r.contain(f, h, &p); {
	case isTaken(held):
		v = Verdict{Action: Take, Reason: held}
		p.taken, p.six.taken = held, held == reason.NeighbourSolicit
	case held != reason.None:
		return Verdict{Action: Drop, Reason: held}
	case macAt(f.Data, 0) == nic.BerthMAC():
		return Verdict{Action: Drop, Reason: reason.ToBerth}
	}
	c := claims{}
	broken := r.checkFromGuest(f, h, &p, &c)
	if broken == reason.None && v.Action == Pass {
		v.Claims = c.list // what is taken is seen by no neighbour
		v.Probe = p.six.probes(h)
	}
	return r.enforce(v, broken)
}

// ToGuest judges a frame on its way to the guest.
func ToGuest(r *Rules, f Frame) Verdict {
	if r.Closed {
		return Verdict{Action: Drop, Reason: reason.NoBinding}
	}
	h := parseL2(f)
	if why := unreadable(h); why != reason.None {
		return Verdict{Action: Drop, Reason: why}
	}
	p := parseIP(f, h)
	if why := r.foreign(f, h, &p); why != reason.None {
		return Verdict{Action: Drop, Reason: why}
	}
	return r.enforce(Verdict{}, r.checkToGuest(f, h))
}

func (r *Rules) checkToGuest(f Frame, h l2) reason.Reason {
	if r.Check.MAC && !r.isPeer(macAt(f.Data, 6)) {
		return reason.PeerForeign
	}
	return r.checkL2(f, h)
}

// packet is what a frame carries, of the family its ethertype says.
type packet struct {
	four  ip4
	six   ip6
	taken reason.Reason // what the frame is taken for
}

func parseIP(f Frame, h l2) packet {
	switch h.ethertype {
	case typeIPv4:
		return packet{four: parseIP4(f.Data, h.off)}
	case typeIPv6:
		return packet{six: parseIP6(f.Data, h.off)}
	}
	return packet{}
}

// isTaken reports what is handed to the answerer.
func isTaken(r reason.Reason) bool { return r >= reason.DHCP4 && r <= reason.ARPRequest }

// enforce turns a broken check into a drop, or into a note in audit mode.
func (r *Rules) enforce(v Verdict, broken reason.Reason) Verdict {
	switch {
	case broken == reason.None:
		return v
	case r.Audit:
		v.Audited = broken
		return v
	default:
		return Verdict{Action: Drop, Reason: broken}
	}
}

// unreadable is the one class that no switch opens: without the link-layer
// header nobody can tell whether this is DHCP.
func unreadable(h l2) reason.Reason {
	switch {
	case h.short:
		return reason.Truncated
	case h.tooDeep && h.llc:
		return reason.LLC
	case h.tooDeep:
		return reason.VLANTag
	default:
		return reason.None
	}
}

// contain says what a frame of the guest is: something to be taken, something
// that must not exist, or None.
func (r *Rules) contain(f Frame, h l2, p *packet) reason.Reason {
	switch h.ethertype {
	case typeIPv4:
		return r.contain4(f, h, &p.four)
	case typeIPv6:
		return r.contain6(f, h, &p.six)
	case typeARP:
		if !h.tagged && !h.llc && r.answersARP(f.Data, h.off) {
			return reason.ARPRequest
		}
	}
	return reason.None
}

func (r *Rules) contain4(f Frame, h l2, p *ip4) reason.Reason {
	if why := undecidable(p); why != reason.None {
		return why
	}
	switch {
	case !p.ports || p.dport != portClient && p.dport != portServer:
		return reason.None
	case p.dport == portClient && !r.Serve:
		return reason.DHCPServer
	case disguised(h, p):
		return reason.DHCPDisguised
	case p.dport == portClient:
		return reason.None
	}
	if op, _ := p.bootp(f.Data); op == 2 && !r.Serve {
		return reason.DHCPServer // BOOTREPLY, to a relay
	}
	if r.SiteDHCP {
		return reason.None
	}
	return reason.DHCP4
}

// disguised reports DHCP that does not look like it to whoever is not the
// receiver.
func disguised(h l2, p *ip4) bool {
	return p.more || h.tagged || h.llc || p.proto == protoUDPLite
}

// answersARP reports whether an ARP request is berth's to answer.
func (r *Rules) answersARP(d []byte, off int) bool {
	if len(d) < off+28 {
		return false
	}
	a := d[off:]
	if !isEthernetARP(a) || be16(a, 6) != 1 {
		return false
	}
	spa, tpa := addr4(a[14:]), addr4(a[24:])
	if slices.Contains(r.Answer4, tpa) || r.missesServer(spa, tpa) {
		return true
	}
	return r.AnswerAll && !spa.IsUnspecified() && tpa != spa && isHost4(tpa) && !r.owns(tpa)
}

// missesServer reports whether a guest that has not heard of its new address
// yet looks for the server it had. To one that has, that address is whose it is.
func (r *Rules) missesServer(spa, tpa netip.Addr) bool {
	return slices.Contains(r.Former4, tpa) && !spa.IsUnspecified() && !r.owns(spa)
}

// isEthernetARP holds ARP to RFC 826 for Ethernet and IPv4.
func isEthernetARP(a []byte) bool {
	return be16(a, 0) == 1 && be16(a, 2) == typeIPv4 && a[4] == 6 && a[5] == 4
}

// isHost4 reports what is not 0/8, a group or reserved.
func isHost4(a netip.Addr) bool { b := a.As4(); return b[0] != 0 && b[0] < 224 }

// undecidable says why nobody can tell whether an IPv4 packet is DHCP. Clients
// that read raw frames look at the protocol and the ports, and at little else:
// a header that lies does not keep them from it.
func undecidable(p *ip4) reason.Reason {
	switch {
	case p.short:
		return reason.Truncated
	case !p.isUDP():
		return reason.None
	case p.hidden && p.more:
		return reason.DHCPDisguised // the ports may come in an overlapping fragment
	case p.bad, p.hidden:
		return reason.IP4Malformed
	default:
		return reason.None
	}
}

// foreign says whether a frame for the guest is a DHCP server's or a router's.
// Only the answerer may speak to the client ports of a managed NIC, and its
// frames do not come this way: nor may anybody else speak as it.
func (r *Rules) foreign(f Frame, h l2, p *packet) reason.Reason {
	if macAt(f.Data, 6) == nic.BerthMAC() {
		return reason.AsBerth
	}
	switch h.ethertype {
	case typeIPv4:
		if why := undecidable(&p.four); why != reason.None {
			return why
		}
		if p.four.ports && p.four.dport == portClient && (!r.SiteDHCP || disguised(h, &p.four)) {
			return reason.DHCPForeign
		}
	case typeIPv6:
		return r.foreign6(f, h, &p.six)
	}
	return reason.None
}

func (r *Rules) checkFromGuest(f Frame, h l2, p *packet, c *claims) reason.Reason {
	if r.Check.MAC && !slices.Contains(r.MACs, macAt(f.Data, 6)) {
		return reason.MACSpoof
	}
	if why := r.checkL2(f, h); why != reason.None {
		return why
	}
	switch h.ethertype {
	case typeARP:
		if r.Check.ARP {
			return r.checkARP(f.Data[h.off:], p.taken == reason.ARPRequest)
		}
	case typeRARP:
		if r.Check.ARP {
			return reason.RARP
		}
	case typeIPv4:
		if r.Check.IP {
			return r.checkIP4(f, &p.four)
		}
	case typeIPv6:
		return r.check6(f, &p.six, c)
	}
	return reason.None
}

// check6 asks of IPv6 what ARP and IPv4 are asked apart.
func (r *Rules) check6(f Frame, p *ip6, c *claims) reason.Reason {
	if r.Check.IP {
		if why := r.checkIP6(f, p, c); why != reason.None {
			return why
		}
	}
	if r.Check.ND {
		return r.checkND(f.Data, p, c)
	}
	return reason.None
}

// checkL2 is what both directions ask of the link layer, and whether the NIC
// speaks IPv6 at all.
func (r *Rules) checkL2(f Frame, h l2) reason.Reason {
	if r.Check.L2 {
		switch {
		case h.tagged && !slices.Contains(r.VLANs, h.vid):
			return reason.VLANTag
		case h.llc:
			return reason.LLC
		case isLinkControl(macAt(f.Data, 0)):
			return reason.LinkCtl
		case h.ethertype == typeRARP:
			return reason.RARP
		case !r.permits(h.ethertype):
			return reason.Ethertype
		}
	}
	if h.ethertype == typeIPv6 && r.Check.IP && !r.IPv6 {
		return reason.IPv6Closed
	}
	return reason.None
}

func (r *Rules) permits(ethertype uint16) bool {
	switch ethertype {
	case typeIPv4, typeARP, typeIPv6:
		return true
	}
	return slices.Contains(r.Ethertypes, ethertype)
}

// isLinkControl reports the reserved bridge group addresses
// 01:80:c2:00:00:00 to 0f (IEEE 802.1Q 8.6.3).
func isLinkControl(m nic.MAC) bool {
	return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && m[5] < 16
}

// checkARP holds ARP to RFC 826 and its sender to the NIC. A probe (RFC 5227
// 2.1.1) may ask for the NIC's own addresses only, as the probe of another's
// would deny it that address. A request that is taken may come from any
// address: no neighbour hears it, and a guest whose address was changed still
// looks for the server it renews with.
func (r *Rules) checkARP(a []byte, taken bool) reason.Reason {
	if len(a) < 28 {
		return reason.Truncated
	}
	if !isEthernetARP(a) {
		return reason.ARPMalformed
	}
	op, spa, tpa := be16(a, 6), addr4(a[14:]), addr4(a[24:])
	switch {
	case op != 1 && op != 2:
		return reason.ARPOpcode
	case !slices.Contains(r.MACs, macAt(a, 8)):
		return reason.ARPSpoofMAC
	case taken:
		return reason.None
	case spa.IsUnspecified():
		if op != 1 || !r.owns(tpa) {
			return reason.ARPProbe
		}
	case !r.owns(spa):
		return reason.ARPSpoofIP
	}
	return reason.None
}

func (r *Rules) owns(a netip.Addr) bool {
	for _, p := range r.IP4 {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (r *Rules) checkIP4(f Frame, p *ip4) reason.Reason {
	switch {
	case p.bad:
		return reason.IP4Malformed
	case !r.owns(p.src) && !r.clientSource(f, p) && !r.joinsUnnumbered(p):
		return reason.IP4Spoof
	case badOptions(f.Data[p.off+20 : p.off+p.ihl]):
		return reason.IP4Options
	}
	if why := checkFragment(p); why != reason.None {
		return why
	}
	if r.Router {
		return reason.None
	}
	return r.checkControl(f, p)
}

// clientSource permits the two foreign sources a DHCP client has: none yet,
// and the address it held before its binding changed, which it renews from
// port 68 with that address in ciaddr (RFC 2131 4.3.2), to be told NAK. Where
// others serve, the second would leave the NIC.
func (r *Rules) clientSource(f Frame, p *ip4) bool {
	if p.proto != protoUDP || !p.ports || p.dport != portServer {
		return false
	}
	if p.src.IsUnspecified() || r.SiteDHCP {
		return p.src.IsUnspecified()
	}
	op, ciaddr := p.bootp(f.Data)
	return p.sport == portClient && op == 1 && ciaddr == p.src
}

// joinsUnnumbered permits the IGMPv3 report of an interface that has no address
// yet (RFC 3376 section 4.2.13), such as keepalived's for a virtual MAC.
func (r *Rules) joinsUnnumbered(p *ip4) bool {
	return len(r.IP4) > 0 && p.src.IsUnspecified() && p.proto == protoIGMP && p.kind == 0x22 && !p.fragment() &&
		p.dst == netip.AddrFrom4([4]byte{224, 0, 0, 22})
}

// badOptions permits what an honest host sends: padding and Router Alert
// (RFC 2113, in IGMP reports). RFC 7126 advises to drop the rest.
func badOptions(opts []byte) bool {
	for i := 0; i < len(opts); {
		switch opts[i] {
		case 0: // end of options
			return false
		case 1: // no operation
			i++
		case 148: // Router Alert, always four bytes
			if i+4 > len(opts) || opts[i+1] != 4 {
				return true
			}
			i += 4
		default:
			return true
		}
	}
	return false
}

// minFragment is the payload that the smallest IPv4 link (68 bytes, RFC 791)
// can always carry; an honest fragment but the last is never smaller.
const minFragment = 48

func checkFragment(p *ip4) reason.Reason {
	switch {
	case !p.fragment():
		return reason.None
	case p.more && p.payload < minFragment:
		return reason.FragmentTiny
	case p.proto == protoTCP && p.fragOff == 8:
		return reason.FragmentTiny // rewrites the TCP flags, RFC 3128
	case p.dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return reason.FragmentBcast
	default:
		return reason.None
	}
}

// checkControl keeps a NIC that is no router from speaking as one. Of a
// fragmented message the first fragment is judged: without it there is none.
func (r *Rules) checkControl(f Frame, p *ip4) reason.Reason {
	if p.fragOff != 0 {
		return reason.None
	}
	group := f.Data[0]&1 != 0 || p.dst.As4()[0] >= 224
	switch p.proto {
	case protoICMP:
		if p.kind == 5 {
			return reason.ICMPRedirect
		}
	case protoIGMP:
		if !isIGMPReport(p.kind) {
			return reason.IGMPQuery
		}
	case protoEIGRP, protoOSPF, protoPIM:
		if group {
			return reason.RoutingControl
		}
	case protoVRRP:
		if l4 := p.off + p.ihl; group && !speaksVRRP(r.VRIDs4, f.Data[l4:l4+p.payload]) {
			return reason.RoutingControl
		}
	case protoUDP:
		if group && isRoutingPort(p.dport) {
			return reason.RoutingControl
		}
	}
	return reason.None
}

// isIGMPReport reports membership reports of IGMP versions 1 to 3 and leave.
func isIGMPReport(t byte) bool { return t == 0x12 || t == 0x16 || t == 0x17 || t == 0x22 }

// isRoutingPort reports RIP, LDP, HSRP (v1 and v2 for IPv6) and GLBP.
func isRoutingPort(p uint16) bool {
	return p == 520 || p == 646 || p == 1985 || p == 2029 || p == 3222
}
