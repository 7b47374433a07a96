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

	MACs       []nic.MAC      // permitted Ethernet sources, the NIC's own first
	IP4        []netip.Prefix // permitted IPv4 sources, masked, sorted, none inside another
	Ethertypes []uint16       // beyond IPv4, ARP and IPv6, sorted
	Rate       nic.Rate       // of DHCP handed up
}

// ClosedRules lets nothing pass.
func ClosedRules() Rules { return Rules{Closed: true} }

// Compile makes the rules of a binding. A suspended binding is guarded as if
// it had no addresses.
func Compile(b *nic.Binding) Rules {
	r := Rules{
		Audit:      b.Guard.Mode == nic.Audit,
		Router:     b.Guard.Router,
		MACs:       append([]nic.MAC{b.MAC}, b.Guard.AllowMACs...),
		Ethertypes: slices.Clone(b.Guard.AllowEthertypes),
		Rate:       b.Guard.Rate,
	}
	if b.Guard.Mode != nic.Off {
		r.Check = b.Guard.Checks
	}
	if !b.Suspended {
		r.IP4 = sources(b)
	}
	slices.Sort(r.Ethertypes)
	slices.SortFunc(r.MACs[1:], func(x, y nic.MAC) int { return slices.Compare(x[:], y[:]) })
	return r
}

// sources returns the permitted IPv4 sources: the NIC's own addresses and
// what it is allowed beyond, without any that another one covers.
func sources(b *nic.Binding) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range b.Addresses {
		if p.Addr().Is4() {
			all = append(all, netip.PrefixFrom(p.Addr(), 32))
		}
	}
	for _, p := range b.Guard.AllowAddresses {
		if p.Addr().Is4() {
			all = append(all, p.Masked())
		}
	}
	slices.SortFunc(all, comparePrefix)
	var out []netip.Prefix
	for _, p := range all {
		// Sorted by address then length, so a cover comes before what it covers.
		if n := len(out); n > 0 && out[n-1].Contains(p.Addr()) {
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
func (r *Rules) Digest() uint64 {
	h := fnv.New64a()
	buf := make([]byte, 0, 64)
	for _, b := range []bool{r.Closed, r.Audit, r.Check.MAC, r.Check.ARP, r.Check.IP, r.Check.L2, r.Router} {
		buf = append(buf, boolByte(b))
	}
	buf = binary.BigEndian.AppendUint32(buf, r.Rate.PerSecond)
	buf = binary.BigEndian.AppendUint32(buf, r.Rate.Burst)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(r.MACs)))
	for _, m := range r.MACs {
		buf = append(buf, m[:]...)
	}
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(r.IP4)))
	for _, p := range r.IP4 {
		a := p.Addr().As4()
		buf = append(append(buf, a[:]...), byte(p.Bits()))
	}
	for _, t := range r.Ethertypes {
		buf = binary.BigEndian.AppendUint16(buf, t)
	}
	_, _ = h.Write(buf) // hash.Hash never fails
	return max(h.Sum64(), 1)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
