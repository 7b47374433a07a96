package datapath

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/reason"
)

// Fate is what would become of a frame.
type Fate int

// The fates, as in bpf/judge.h; Answered is ours.
const (
	Passed   Fate = iota
	Dropped       // for Reason
	Taken         // handed up, for Reason
	Answered      // by the program itself
)

// Asked is what the programs say of a frame that nobody sent.
type Asked struct {
	Fate     Fate
	Reason   reason.Reason // of Dropped and Taken
	Audited  reason.Reason // for which it would have been dropped
	Exchange Exchange      // of Answered
	Reply    []byte        // the whole frame, nil for silence
}

// askedAbout marks such a frame, ASKED_ABOUT in bpf/berth.h.
const askedAbout = 0xffffffff

// skBuff is struct __sk_buff: its beginning, up to what a program can write, and
// the rest of it, for which the kernel wants room.
type skBuff struct {
	Len, PktType, Mark, QueueMapping, Protocol uint32
	VLANPresent, VLANTCI, VLANProto, Priority  uint32
	IngressIfindex, Ifindex, TCIndex           uint32
	CB                                         [5]uint32
	_                                          [256 - 68]byte
}

// Ask runs a frame of the NIC on an ifindex through the programs and tables in
// force (BPF_PROG_TEST_RUN). Nothing is sent, counted, handed up or remembered.
// The frame has at least an Ethernet header, and an IP header behind an IP type.
func (k *Kernel) Ask(index int, toGuest bool, frame []byte) (Asked, error) {
	p := k.progs.FromGuest
	if toGuest {
		p = k.progs.ToGuest
	}
	in, out := skBuff{IngressIfindex: askedAbout, Ifindex: uint32(index)}, skBuff{}
	opts := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, 4096), Context: in, ContextOut: &out, Repeat: 1}
	ret, err := p.Run(opts)
	if err != nil {
		return Asked{}, fmt.Errorf("ask about a frame of %d bytes of ifindex %d: %w", len(frame), index, err)
	}
	a := Asked{Fate: Fate(out.CB[0]), Reason: reason.Reason(out.CB[1]), Audited: reason.Reason(out.CB[2])}
	if kind := out.CB[3]; kind != 0 {
		a.Fate = Answered
		a.Exchange = Exchange{Index: index}
		a.Exchange.name(uint8(kind - 1))
	}
	if int32(ret) == tcRedirect {
		a.Reply = opts.DataOut
	}
	return a, nil
}

// tcRedirect is TC_ACT_REDIRECT, what a program returns that sends the frame back.
const tcRedirect = 7
