package datapath

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
)

// layout is the version of the pinned maps' shape, and the name of their
// directory. What an older one holds is taken over (takeover.go).
const layout = "v4"

// The bits of nic_rules.flags, as in bpf/berth.h.
const (
	ruleClosed = 1 << iota
	ruleAudit
	ruleRouter
	ruleCheckMAC
	ruleCheckARP
	ruleCheckIP
	ruleCheckL2
	ruleSet
	ruleCheckND
	ruleIP6
	ruleAdvertise
	ruleSiteRA
	ruleAnswerAll
	ruleSet6
	ruleFirstCome
	ruleFixed
	ruleSiteDHCP
	ruleServe
	ruleShares
)

const (
	maxMACs    = 16
	maxInline  = 8 // more permitted sources than this go to the trie
	maxTypes   = 8
	maxVLANs   = 8
	maxAnswers = 2                // of each family
	maxPeers   = nic.MaxPeers + 1 // the gateway
	maxVRIDs   = nic.MaxShared
	maxName    = 15
	nanosecond = 1_000_000_000
)

// encodeRules makes the kernel's value of r for the NIC called name. set is
// the number of its trie entries, used only if r has more sources of a family
// than fit.
func encodeRules(name string, r *guard.Rules, set uint32) (berthNicRules, error) {
	v := berthNicRules{Digest: r.Digest(), Flags: encodeFlags(r)}
	if len(name) == 0 || len(name) > maxName {
		return v, fmt.Errorf("NIC name %q: want 1 to %d bytes", name, maxName)
	}
	if err := checkSizes(r); err != nil {
		return v, fmt.Errorf("NIC %s: %w", name, err)
	}
	copy(v.Name[:], name)
	if r.Closed {
		return v, nil
	}
	v.Nmacs, v.Ntypes, v.Nvlans = uint8(len(r.MACs)), uint8(len(r.Ethertypes)), uint8(len(r.VLANs))
	copy(v.Vlans[:], r.VLANs)
	for i, m := range r.MACs {
		v.Macs[i] = mac64(m)
	}
	copy(v.Types[:], r.Ethertypes)
	v.CostNs, v.Burst = nanosecond/uint64(max(r.Rate.PerSecond, 1)), max(r.Rate.Burst, 1)
	v.Nanswer4, v.Nformer4 = uint8(len(r.Answer4)), uint8(len(r.Former4))
	for i, a := range r.Answer4 {
		v.Answer4[i] = be32(a)
	}
	for i, a := range r.Former4 {
		v.Former4[i] = be32(a)
	}
	encodePeers(&v, r)
	v.Nvrids4, v.Nvrids6 = uint8(copy(v.Vrids4[:], r.VRIDs4)), uint8(copy(v.Vrids6[:], r.VRIDs6))
	encode6(&v, r, set)
	if len(r.IP4) > maxInline {
		v.Flags |= ruleSet
		v.Set = set
		return v, nil
	}
	v.Nip4 = uint8(len(r.IP4))
	for i, p := range r.IP4 {
		v.Ip4[i].Addr, v.Ip4[i].Mask = be32(p.Addr()), be32(maskOf(p))
	}
	return v, nil
}

// checkSizes holds the lists that are of one size in the kernel to it.
func checkSizes(r *guard.Rules) error {
	for _, l := range []struct {
		what      string
		have, max int
	}{
		{"MACs", len(r.MACs), maxMACs},
		{"VLANs", len(r.VLANs), maxVLANs},
		{"ethertypes", len(r.Ethertypes), maxTypes},
		{"link-locals", len(r.Locals), nic.MaxLinkLocals},
		{"routers", len(r.Routers), nic.MaxRouters},
		{"peers", len(r.Peers), maxPeers},
		{"virtual routers", max(len(r.VRIDs4), len(r.VRIDs6)), maxVRIDs},
		{"IPv4 addresses to answer for", len(r.Answer4), maxAnswers},
		{"IPv6 addresses to answer for", len(r.Answer6), maxAnswers},
		{"former servers", len(r.Former4), guard.MaxFormer},
	} {
		if l.have > l.max {
			return fmt.Errorf("%d %s, at most %d", l.have, l.what, l.max)
		}
	}
	return nil
}

func encodePeers(v *berthNicRules, r *guard.Rules) {
	v.Npeers = uint8(len(r.Peers))
	for i, p := range r.Peers {
		mask := ^uint64(0) << (48 - p.Bits) & (1<<48 - 1)
		v.Peers[i].Mac, v.Peers[i].Mask = mac64(p.MAC), mask
	}
}

func decodePeers(v *berthNicRules) []nic.MACRange {
	var out []nic.MACRange
	for _, p := range v.Peers[:v.Npeers] {
		out = append(out, nic.MACRange{MAC: unmac64(p.Mac), Bits: uint8(bits.OnesCount64(p.Mask))})
	}
	return out
}

func encodeFlags(r *guard.Rules) uint32 {
	var f uint32
	for _, b := range []struct {
		on   bool
		flag uint32
	}{
		{r.Closed, ruleClosed},
		{r.Audit, ruleAudit},
		{r.Router, ruleRouter},
		{r.Check.MAC, ruleCheckMAC},
		{r.Check.ARP, ruleCheckARP},
		{r.Check.IP, ruleCheckIP},
		{r.Check.L2, ruleCheckL2},
		{r.Check.ND, ruleCheckND},
		{r.IPv6, ruleIP6},
		{r.Advertise, ruleAdvertise},
		{r.SiteRA, ruleSiteRA},
		{r.AnswerAll, ruleAnswerAll},
		{r.LinkLocal == nic.FirstCome && r.IPv6, ruleFirstCome},
		{r.LinkLocal == nic.FixedLinkLocal, ruleFixed},
		{r.SiteDHCP, ruleSiteDHCP},
		{r.Serve, ruleServe},
		{len(r.Shared) > 0, ruleShares},
	} {
		if b.on {
			f |= b.flag
		}
	}
	return f
}

// decodeRules is encodeRules backwards: what the kernel holds, for people. The
// sources of the tries are given by the caller, and what is shared is left to it.
func decodeRules(v *berthNicRules, inTrie, inTrie6 []netip.Prefix) guard.Rules {
	r := guard.Rules{
		Closed: v.Flags&ruleClosed != 0,
		Audit:  v.Flags&ruleAudit != 0,
		Router: v.Flags&ruleRouter != 0,
		Check: nic.Checks{
			MAC: v.Flags&ruleCheckMAC != 0, ARP: v.Flags&ruleCheckARP != 0,
			IP: v.Flags&ruleCheckIP != 0, L2: v.Flags&ruleCheckL2 != 0, ND: v.Flags&ruleCheckND != 0,
		},
		SiteDHCP: v.Flags&ruleSiteDHCP != 0,
		Serve:    v.Flags&ruleServe != 0,
		Peers:    decodePeers(v),
		IP4:      inTrie,
		IP6:      inTrie6,
	}
	decode6(&r, v)
	for _, a := range v.Answer4[:v.Nanswer4] {
		r.Answer4 = append(r.Answer4, addrOf(a))
	}
	for _, a := range v.Former4[:v.Nformer4] {
		r.Former4 = append(r.Former4, addrOf(a))
	}
	for _, m := range v.Macs[:v.Nmacs] {
		r.MACs = append(r.MACs, unmac64(m))
	}
	for _, p := range v.Ip4[:v.Nip4] {
		r.IP4 = append(r.IP4, prefixOf(p.Addr, p.Mask))
	}
	if v.Ntypes > 0 {
		r.Ethertypes = append(r.Ethertypes, v.Types[:v.Ntypes]...)
	}
	if v.Nvrids4 > 0 {
		r.VRIDs4 = append(r.VRIDs4, v.Vrids4[:v.Nvrids4]...)
	}
	if v.Nvrids6 > 0 {
		r.VRIDs6 = append(r.VRIDs6, v.Vrids6[:v.Nvrids6]...)
	}
	if v.Nvlans > 0 {
		r.VLANs = append(r.VLANs, v.Vlans[:v.Nvlans]...)
	}
	if v.CostNs > 0 {
		r.Rate = nic.Rate{PerSecond: uint32(nanosecond / v.CostNs), Burst: v.Burst}
	}
	return r
}

// setKeys returns the trie keys of r's sources in set, none if they fit inline.
func setKeys(r *guard.Rules, set uint32) []berthSetKey {
	if len(r.IP4) <= maxInline {
		return nil
	}
	keys := make([]berthSetKey, len(r.IP4))
	for i, p := range r.IP4 {
		keys[i] = berthSetKey{Prefixlen: 32 + uint32(p.Bits()), Set: set, Addr: be32(p.Addr())}
	}
	return keys
}

func nameOf(v *berthNicRules) string {
	b, _, _ := bytes.Cut(v.Name[:], []byte{0})
	return string(b)
}

func mac64(m nic.MAC) uint64 {
	var b [8]byte
	copy(b[2:], m[:])
	return binary.BigEndian.Uint64(b[:])
}

func unmac64(v uint64) nic.MAC {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	return nic.MAC(b[2:])
}

// be32 returns an IPv4 address as the kernel program holds it: four bytes in
// network order, read as a host-order word.
func be32(a netip.Addr) uint32 {
	b := a.As4()
	return binary.NativeEndian.Uint32(b[:])
}

func addrOf(v uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func maskOf(p netip.Prefix) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ^uint32(0)<<(32-p.Bits()))
	return netip.AddrFrom4(b)
}

func prefixOf(addr, mask uint32) netip.Prefix {
	m := addrOf(mask).As4()
	return netip.PrefixFrom(addrOf(addr), bits.OnesCount32(binary.BigEndian.Uint32(m[:])))
}
