package nd

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Flags of a neighbour advertisement (RFC 4861 4.4).
const (
	flagRouter    = 0x80
	flagSolicited = 0x40
	flagOverride  = 0x20
)

// neighbour answers a neighbour solicitation. The Ethernet source is the MAC
// that the answer names: no bridge sees it, and a guest that learns from
// frames learns the same.
func (r Router) neighbour(s Solicitation) Outcome {
	o := Outcome{Request: "NS"}
	if !validNS(s) {
		o.Reason = reason.NDInvalid
		return o
	}
	o.Address = target(s)
	flags, ok := r.answersFor(s)
	mac := r.mac(o.Address)
	if r.isTaken(s) {
		flags, mac, ok = flagOverride, nic.BerthMAC(), true
	}
	if !ok || mac.IsZero() {
		o.Reason = reason.NDUnanswered
		return o
	}
	reply := Reply{SrcMAC: mac, DstMAC: s.EthSrc, Src: o.Address, Dst: s.Src}
	if s.Src.IsUnspecified() {
		// Duplicate address detection: the guest may not have this one, and
		// has no address yet to be told at (RFC 4861 7.2.4).
		reply.Dst, reply.DstMAC = allNodes()
	} else {
		flags |= flagSolicited
	}
	reply.Message = neighbourAdvertisement(o.Address, mac, flags)
	o.Answer, o.Reply = "NA", &reply
	return o
}

// Announcements are what a routed NIC is told of its neighbours when it comes
// up, unsolicited (RFC 4861 7.2.6): a guest that was migrated here still has
// the MAC of the node it came from. On a bridge the neighbours speak for
// themselves.
func Announcements(r Router) []Reply {
	if r.Binding == nil || r.Binding.Suspended || !r.Binding.Routed {
		return nil
	}
	var out []Reply
	for _, a := range r.Binding.Answers6() {
		mac := r.mac(a)
		if mac.IsZero() || isOwn(r.Binding, a) {
			continue
		}
		reply := Reply{SrcMAC: mac, Src: a, Message: neighbourAdvertisement(a, mac, r.flags(a))}
		reply.Dst, reply.DstMAC = allNodes()
		out = append(out, reply)
	}
	return out
}

// ProxyAnnouncement says on the link to the site, unsolicited, that an address
// is behind mac, which forwards to it. RFC 4861 7.2.8 wants no O flag of a
// proxy, for the sake of an owner that speaks itself; here there is none on
// that link, and whoever has the MAC of the node that the guest came from must
// not keep it.
func ProxyAnnouncement(a netip.Addr, mac nic.MAC) Reply {
	r := Reply{SrcMAC: mac, Src: a, Message: neighbourAdvertisement(a, mac, flagOverride)}
	r.Dst, r.DstMAC = allNodes()
	return r
}

// isTaken reports a probe for a link-local that is another NIC's. Of those
// that are not answered for, the kernel hands up no others. The guest is to see
// the conflict and to choose again; nobody is to be reached at the answer's MAC.
func (r Router) isTaken(s Solicitation) bool {
	a, b := target(s), r.Binding
	return s.Src.IsUnspecified() && a.IsLinkLocalUnicast() && b.HasIPv6() && !b.Suspended &&
		!isOwn(b, a) && !slices.Contains(b.Answers6(), a)
}

// answersFor reports whether the target is answered for, and the R and O
// flags of the answer.
func (r Router) answersFor(s Solicitation) (flags byte, ok bool) {
	a, b := target(s), r.Binding
	if b.Suspended || !b.ServesIPv6() || isOwn(b, a) {
		return 0, false
	}
	if slices.Contains(b.Answers6(), a) {
		return r.flags(a), true
	}
	// For others the host is a proxy: no O flag (RFC 4861 7.2.8), and never a
	// word to duplicate address detection or about what is on the NIC's link.
	return 0, b.AnswersAll() && !s.Src.IsUnspecified() && a != s.Src && isElsewhere(b, a)
}

// flags are R and O of an address that is always answered for.
func (r Router) flags(a netip.Addr) uint8 {
	if r.isRouter(a) {
		return flagOverride | flagRouter
	}
	return flagOverride
}

// isRouter: a host that is told so of no router drops its default route (RFC
// 4861 7.2.5).
func (r Router) isRouter(a netip.Addr) bool {
	return a == r.Binding.Gateway6 || r.announces() && a == r.source()
}

// isOwn reports whether a is an address that the NIC has whatever it does.
func isOwn(b *nic.Binding, a netip.Addr) bool {
	return a == b.MAC.EUI64() || slices.Contains(b.LinkLocal.Fixed, a) ||
		slices.ContainsFunc(b.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// isElsewhere reports whether a is a host's beyond the NIC's link, and in no
// prefix of the NIC's.
func isElsewhere(b *nic.Binding, a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.Is4In6() {
		return false
	}
	has := func(p netip.Prefix) bool { return p.Contains(a) }
	return !slices.ContainsFunc(b.SLAAC, has) && !slices.ContainsFunc(b.Delegated, has) &&
		!slices.ContainsFunc(b.Guard.AllowAddresses, has)
}

// mac is the link-layer address of a neighbour that is answered for; zero
// while it is not known.
func (r Router) mac(a netip.Addr) nic.MAC {
	if a == nic.BerthLinkLocal() && !r.standsIn() {
		return nic.BerthMAC()
	}
	return r.GatewayMAC
}

// standsIn reports whether the guest sends what leaves its link through
// berth's link-local: what it means by that is the gateway.
func (r Router) standsIn() bool {
	return r.announces() && r.source() == nic.BerthLinkLocal() &&
		(r.lifetime() > 0 || len(r.Binding.RA.Routes) > 0)
}

func neighbourAdvertisement(target netip.Addr, mac nic.MAC, flags byte) []byte {
	m := []byte{typeNA, 0, 0, 0, flags, 0, 0, 0}
	m = append(m, target.AsSlice()...)
	return append(m, linkLayer(optTargetLinkLayer, mac)...)
}
