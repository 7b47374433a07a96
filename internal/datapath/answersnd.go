package datapath

import (
	"github.com/berth-net/berth/internal/arp"
	"github.com/berth-net/berth/internal/nd"
)

// The bits of nd_answers.flags, as in bpf/berth.h.
const (
	answerNDConflicts = 1 << iota
	answerNDMulticast
)

// encodeARP is false for more neighbours than there is room for. Where it is
// the broadcast addresses that do not fit, only the others are handed up.
func encodeARP(c *arp.Compiled, stamp uint64) (berthArpAnswers, bool) {
	v := berthArpAnswers{Stamp: stamp, Others: mac64(c.Others)}
	if c.All && len(c.Not) <= len(v.Not) {
		v.All, v.Nnot = 1, uint32(len(c.Not))
		for i, a := range c.Not {
			v.Not[i] = be32(a)
		}
	}
	if len(c.Always)+len(c.Former) > len(v.Known) {
		return v, false
	}
	add := func(list []arp.Neighbour, former uint32) {
		for _, n := range list {
			k := &v.Known[v.Nknown]
			k.Mac, k.Addr, k.Former = mac64(n.MAC), be32(n.IP), former
			v.Nknown++
		}
	}
	add(c.Always, 0)
	add(c.Former, 1)
	return v, true
}

// encodeND is false for more than there is room for.
func encodeND(c *nd.Compiled, stamp uint64) (berthNdAnswers, bool) {
	v := berthNdAnswers{Stamp: stamp, Others: mac64(c.Others), Nknown: uint32(len(c.Neighbours))}
	if len(c.Neighbours) > len(v.Known) {
		return v, false
	}
	for i, n := range c.Neighbours {
		v.Known[i].Addr, v.Known[i].Mac, v.Known[i].Flags = in6Of(n.Addr), mac64(n.MAC), uint64(n.Flags)
	}
	v.Flags = flags(map[uint32]bool{answerNDConflicts: c.Conflicts, answerNDMulticast: c.Multicast})
	if c.RA == nil {
		return v, true
	}
	if len(c.RA.Message) > len(v.Ra)*dataBytes {
		return v, false
	}
	v.RouterMac, v.Router, v.RaLen = mac64(c.RA.SrcMAC), in6Of(c.RA.Src), uint64(len(c.RA.Message))
	n := copy(v.Ra[0].B[:], c.RA.Message)
	copy(v.Ra[1].B[:], c.RA.Message[n:])
	return v, true
}
