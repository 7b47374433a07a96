package datapath

import (
	"github.com/berth-net/berth/internal/dhcp6"
)

// The bits of answer6.flags, as in bpf/berth.h.
const (
	answer6Stateful = 1 << iota
	answer6Stateless
	answer6RapidCommit
	answer6Unicast
	answer6Named
	answer6Arch
	answer6High
	answer6ClientTime
)

// lowCodes is how many option codes the kernel has slots for.
const lowCodes = 256

// encodeAnswer6 is false for what there is no room for, or no answer.
func encodeAnswer6(c *dhcp6.Compiled, stamp uint64) (berthAnswer6, bool) {
	v := berthAnswer6{
		Stamp: stamp, Addr: in6Of(c.Addr), Flags: answer6Flags(c), Limit: uint16(c.Limit), Nheld: uint8(len(c.Held)),
	}
	if len(c.Held) > len(v.Held) || len(c.Options) >= len(v.Pieces) {
		return v, false
	}
	for i, p := range c.Held {
		v.Held[i].Addr, v.Held[i].Bits = in6Of(p.Addr()), uint32(p.Bits())
	}
	p := pieces{data: &v.Data.B}
	h := &c.Heads
	for i, b := range [...][]byte{h.Advertise, h.Rapid, h.Reply, h.Inform, h.Success, h.NotOnLink} {
		v.Heads[i].Off, v.Heads[i].Len = p.add(b)
	}
	for i, l := range [...]dhcp6.Lease{c.Addresses, c.Prefixes} {
		v.Ia[i].Off, v.Ia[i].Len = p.add(l.Body)
		if l.First.IsValid() {
			v.Given[i].Addr, v.Given[i].Bits = in6Of(l.First.Addr()), uint32(l.First.Bits())
		}
		v.Fqdn[i].Off, v.Fqdn[i].Len = p.add(c.FQDN[i])
	}
	v.Client.Off, v.Client.Len = p.add(c.Client)
	slot := uint8(0)
	for code := range uint16(lowCodes) {
		if b, ok := c.Options[code]; ok {
			slot++
			v.Slot[code] = slot
			v.Pieces[slot].Off, v.Pieces[slot].Len = p.add(b)
		}
	}
	return v, !p.full
}

func answer6Flags(c *dhcp6.Compiled) uint32 {
	high := false
	for code := range c.Options {
		high = high || code >= lowCodes
	}
	return flags(map[uint32]bool{
		answer6Stateful: c.Stateful, answer6Stateless: c.Stateless, answer6RapidCommit: c.RapidCommit,
		answer6Unicast: c.Unicast, answer6Named: c.Named, answer6Arch: c.Arch, answer6High: high,
		answer6ClientTime: c.ClientTime,
	})
}
