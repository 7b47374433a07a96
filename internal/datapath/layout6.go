package datapath

import (
	"encoding/binary"
	"net/netip"
	"structs"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
)

// in6 is struct in6 of bpf/berth.h: an address as it is on the wire, in two
// words.
type in6 = struct {
	_  structs.HostLayout
	Hi uint64
	Lo uint64
}

func encode6(v *berthNicRules, r *guard.Rules, set uint32) {
	v.Segment = r.Segment
	v.Eui64 = in6Of(r.MACs[0].EUI64())
	v.Gateway6 = in6Of(r.Gateway6)
	v.Nrouters, v.Nlocals, v.Nanswer6 = uint8(len(r.Routers)), uint8(len(r.Locals)), uint8(len(r.Answer6))
	for i, a := range r.Routers {
		v.Routers[i] = in6Of(a)
	}
	for i, a := range r.Locals {
		v.Locals[i] = in6Of(a)
	}
	for i, a := range r.Answer6 {
		v.Answer6[i] = in6Of(a)
	}
	if len(r.IP6) > maxInline {
		v.Flags |= ruleSet6
		v.Set = set
		return
	}
	v.Nip6 = uint8(len(r.IP6))
	for i, p := range r.IP6 {
		v.Ip6[i].Addr, v.Ip6[i].Mask = in6Of(p.Addr()), in6Of(mask6(p.Bits()))
	}
}

func decode6(r *guard.Rules, v *berthNicRules) {
	r.IPv6 = v.Flags&ruleIP6 != 0
	r.Advertise = v.Flags&ruleAdvertise != 0
	r.SiteRA = v.Flags&ruleSiteRA != 0
	r.AnswerAll = v.Flags&ruleAnswerAll != 0
	r.Segment = v.Segment
	switch {
	case v.Flags&ruleFixed != 0:
		r.LinkLocal = nic.FixedLinkLocal
	case v.Flags&ruleFirstCome == 0 && r.IPv6:
		r.LinkLocal = nic.EUI64Only
	}
	if a := addr6Of(v.Gateway6); !a.IsUnspecified() {
		r.Gateway6 = a
	}
	for _, a := range v.Routers[:v.Nrouters] {
		r.Routers = append(r.Routers, addr6Of(a))
	}
	for _, a := range v.Locals[:v.Nlocals] {
		r.Locals = append(r.Locals, addr6Of(a))
	}
	for _, a := range v.Answer6[:v.Nanswer6] {
		r.Answer6 = append(r.Answer6, addr6Of(a))
	}
	for _, p := range v.Ip6[:v.Nip6] {
		r.IP6 = append(r.IP6, netip.PrefixFrom(addr6Of(p.Addr), ones(addr6Of(p.Mask))))
	}
}

// set6Keys returns the trie keys of r's IPv6 sources in set, none if they fit
// inline. Each has its length as value.
func set6Keys(r *guard.Rules, set uint32) []berthSet6Key {
	if len(r.IP6) <= maxInline {
		return nil
	}
	keys := make([]berthSet6Key, len(r.IP6))
	for i, p := range r.IP6 {
		keys[i] = berthSet6Key{Prefixlen: 32 + uint32(p.Bits()), Set: set, Addr: in6Of(p.Addr())}
	}
	return keys
}

// in6Of returns the words of an address, zeros of the zero Addr.
func in6Of(a netip.Addr) in6 {
	if !a.IsValid() {
		return in6{}
	}
	b := a.As16()
	return in6{Hi: binary.NativeEndian.Uint64(b[:8]), Lo: binary.NativeEndian.Uint64(b[8:])}
}

func addr6Of(v in6) netip.Addr {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], v.Hi)
	binary.NativeEndian.PutUint64(b[8:], v.Lo)
	return netip.AddrFrom16(b)
}

func mask6(bits int) netip.Addr {
	var b [16]byte
	for i := range bits {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom16(b)
}

func ones(mask netip.Addr) int {
	n := 0
	for _, b := range mask.As16() {
		for ; b != 0; b <<= 1 {
			n++
		}
	}
	return n
}
