// Package guard is the definition of what one NIC may send and receive: Rules,
// compiled from a binding, and the verdict on a frame in plain Go. The kernel
// program is a faster copy of it and is held to it frame by frame.
//
// Not here: how rules reach the kernel (datapath), how DHCP is answered
// (dhcp4), and how fast a guest may ask (the kernel's token bucket).
package guard

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// Rules is what one NIC may send and receive, in canonical form: two equal
// meanings are equal values.
type Rules struct {
	Closed bool // nothing passes; every other field is zero
	Audit  bool // a broken check is counted, not dropped
	Check  nic.Checks
	Router bool

	SiteDHCP  bool // the guest's DHCP requests pass instead of being taken, and the site's answers
	Serve     bool // the guest's own DHCP answers pass
	IPv6      bool // the NIC speaks IPv6 at all
	Advertise bool // the guest's own router advertisements pass
	SiteRA    bool // the site's router advertisements and the guest's solicitations pass
	AnswerAll bool // every neighbour is answered for, but for the NIC's own addresses

	MACs       []nic.MAC      // permitted Ethernet sources, the NIC's own first
	Peers      []nic.MACRange // Ethernet sources that may reach the NIC, sorted, none inside another; none: all
	VRIDs4     []uint8        // VRRP virtual routers of IPv4 that the NIC may speak for, sorted
	VRIDs6     []uint8        // and of IPv6, where the same numbers are other ones
	Shared     []netip.Addr   // of the permitted sources, those that others may hold as well, sorted
	IP4        []netip.Prefix // permitted IPv4 sources, masked, sorted, none inside another
	IP6        []netip.Prefix // permitted IPv6 sources but link-locals, likewise
	Gateway6   netip.Addr     // never permitted, whatever IP6 and LinkLocal say
	Routers    []netip.Addr   // further routers' link-locals, never permitted either, sorted
	LinkLocal  nic.LinkLocalKind
	Locals     []netip.Addr // for FixedLinkLocal, sorted
	Segment    uint32       // where link-locals are told apart: the bridge, or the link itself
	Answer4    []netip.Addr // ARP requests for these are taken, sorted
	Former4    []netip.Addr // and for these, of a guest that still speaks from a former address, sorted
	Answer6    []netip.Addr // neighbour solicitations for these are taken, sorted
	VLANs      []uint16     // permitted 802.1Q tags, sorted
	Ethertypes []uint16     // beyond IPv4, ARP and IPv6, sorted
	Rate       nic.Rate     // of what is handed up
}

// ClosedRules lets nothing pass.
func ClosedRules() Rules { return Rules{Closed: true} }

// Compile makes the rules of a binding. A suspended binding is guarded as if
// it had no addresses. What depends on the link is added by On.
func Compile(b *nic.Binding) Rules {
	r := Rules{
		Audit:      b.Guard.Mode == nic.Audit,
		Router:     b.Guard.Router,
		MACs:       macs(b),
		Peers:      peers(b),
		Ethertypes: slices.Clone(b.Guard.AllowEthertypes),
		VLANs:      slices.Clone(b.Guard.AllowVLANs),
		Rate:       b.Guard.Rate,
	}
	if b.Guard.Mode != nic.Off {
		r.Check = b.Guard.Checks
	}
	if !b.Suspended {
		r.IP4 = sources(b, netip.Addr.Is4)
		r.AnswerAll = b.AnswersAll()
		r.VRIDs4, r.VRIDs6 = vrids(b, netip.Addr.Is4), vrids(b, netip.Addr.Is6)
	}
	r.compile6(b)
	r.compileServed(b)
	r.Shared = r.shared(b)
	slices.Sort(r.Ethertypes)
	slices.Sort(r.VLANs)
	return r
}

func (r *Rules) compile6(b *nic.Binding) {
	r.Advertise = b.Guard.Advertise
	r.SiteRA = b.RA.Mode == nic.RASite
	if b.Suspended || !b.HasIPv6() {
		return
	}
	r.IPv6 = true
	r.IP6 = sources(b, netip.Addr.Is6)
	r.Gateway6 = b.Gateway6
	r.Routers = routers(b)
	r.LinkLocal = b.LinkLocal.Kind
	r.Locals = slices.Clone(b.LinkLocal.Fixed)
	slices.SortFunc(r.Locals, netip.Addr.Compare)
	r.Answer6 = b.Answers6()
}

// compileServed opens the link to those who serve it. A suspended NIC's stays
// as it is: what it asks is taken, and meets silence.
func (r *Rules) compileServed(b *nic.Binding) {
	if b.Suspended || b.ServedBy == nic.ServedByBerth {
		return
	}
	r.SiteDHCP, r.SiteRA = true, true
	if b.ServedBy == nic.ServedByTenant {
		r.Serve, r.Advertise = true, true
	}
}

// routers returns the routers that no guest may be but the gateway, which is
// one anyway.
func routers(b *nic.Binding) []netip.Addr {
	list := slices.Clone(b.Guard.Routers)
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.DeleteFunc(list, func(a netip.Addr) bool { return a == b.Gateway6 })
}

// MaxFormer is how many former server identifiers are answered for.
const MaxFormer = 4

// Site is what rules need to know of the link they are put in force on.
type Site struct {
	Segment  uint32       // where link-locals are told apart
	ServerID netip.Addr   // DHCPv4's, in force; zero: none
	Former   []netip.Addr // earlier ones, which the guest may still renew with; the first MaxFormer count
}

// On returns the rules as they are on one link.
func (r Rules) On(b *nic.Binding, s Site) Rules {
	if r.Closed || b.Suspended {
		return r
	}
	r.Segment = s.Segment
	r.Answer4 = b.Answers4(s.ServerID)
	if b.ServedBy == nic.ServedByBerth {
		r.Former4 = r.former(b.Gateway, s.Former)
	}
	return r
}

// former returns the server identifiers that a guest's lease may still name,
// and that nothing else is answered for. What is the NIC's own by now, or its
// gateway's, has a speaker.
func (r *Rules) former(gateway netip.Addr, former []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range former[:min(len(former), MaxFormer)] {
		if a.Is4() && a != gateway && !r.owns(a) && !slices.Contains(r.Answer4, a) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// sources returns the permitted sources of a family: the NIC's own addresses
// and prefixes, and what it is allowed beyond, without any that another one
// covers.
func sources(b *nic.Binding, family func(netip.Addr) bool) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range b.Addresses {
		all = append(all, netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
	}
	for _, p := range slices.Concat(b.SLAAC, b.Delegated, b.Guard.AllowAddresses) {
		all = append(all, p.Masked())
	}
	for _, s := range b.Shared {
		for _, a := range s.Addresses {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	slices.SortFunc(all, comparePrefix)
	var out []netip.Prefix
	for _, p := range all {
		// Sorted by address then length, so a cover comes before what it covers.
		if n := len(out); !family(p.Addr()) || n > 0 && out[n-1].Contains(p.Addr()) {
			continue
		}
		out = append(out, p)
	}
	return out
}

func comparePrefix(x, y netip.Prefix) int {
	if c := x.Addr().Compare(y.Addr()); c != 0 {
		return c
	}
	return cmp.Compare(x.Bits(), y.Bits())
}

// Mode names the rules' mode for people: closed, enforce, audit or off.
func (r *Rules) Mode() string {
	switch {
	case r.Closed:
		return "closed"
	case r.Check == (nic.Checks{}):
		return "off"
	case r.Audit:
		return "audit"
	default:
		return "enforce"
	}
}

// Digest identifies the rules' meaning; it is never 0. It is stored beside
// the rules in the kernel, so that a restarted agent can tell whether what is
// installed is what it wants.
func (r *Rules) Digest() uint64 { return r.DigestOn(r.Base()) }

// DigestOn is Digest for rules whose base, the digest of what does not depend
// on the link, is known: that may be a long text.
func (r *Rules) DigestOn(base uint64) uint64 {
	d := digest(binary.BigEndian.AppendUint64(nil, base))
	d.number(r.Segment)
	for _, list := range [][]netip.Addr{r.Answer4, r.Former4} {
		d.number(uint32(len(list)))
		for _, a := range list {
			d = append(d, a.AsSlice()...)
		}
	}
	return d.sum()
}

// Base is the digest of what does not depend on the link.
func (r *Rules) Base() uint64 {
	d := digest{}
	for _, b := range []bool{
		r.Closed, r.Audit, r.Check.MAC, r.Check.ARP, r.Check.ND, r.Check.IP, r.Check.L2, r.Router,
		r.SiteDHCP, r.Serve, r.IPv6, r.Advertise, r.SiteRA, r.AnswerAll,
	} {
		d.bool(b)
	}
	d.number(r.Rate.PerSecond)
	d.number(r.Rate.Burst)
	d.number(uint32(r.LinkLocal))
	d.number(uint32(len(r.MACs)))
	for _, m := range r.MACs {
		d = append(d, m[:]...)
	}
	d.number(uint32(len(r.Peers)))
	for _, p := range r.Peers {
		d = append(append(d, p.MAC[:]...), p.Bits)
	}
	for _, list := range [][]uint8{r.VRIDs4, r.VRIDs6} {
		d.number(uint32(len(list)))
		d = append(d, list...)
	}
	for _, list := range [][]netip.Prefix{r.IP4, r.IP6} {
		d.number(uint32(len(list)))
		for _, p := range list {
			d = append(append(d, p.Addr().AsSlice()...), byte(p.Bits()))
		}
	}
	for _, list := range [][]netip.Addr{{r.Gateway6}, r.Routers, r.Locals, r.Answer6, r.Shared} {
		d.number(uint32(len(list)))
		for _, a := range list {
			d = append(d, a.AsSlice()...)
		}
	}
	d.number(uint32(len(r.VLANs)))
	for _, t := range slices.Concat(r.VLANs, r.Ethertypes) {
		d = binary.BigEndian.AppendUint16(d, t)
	}
	return d.sum()
}

// digest is the text a digest is made from.
type digest []byte

func (d *digest) bool(b bool) {
	if b {
		*d = append(*d, 1)
		return
	}
	*d = append(*d, 0)
}

func (d *digest) sum() uint64 {
	h := fnv.New64a()
	_, _ = h.Write(*d) // hash.Hash never fails
	return max(h.Sum64(), 1)
}

func (d *digest) number(n uint32) { *d = binary.BigEndian.AppendUint32(*d, n) }
