package datapath

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/arp"
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/reason"
)

// Answers is what the kernel answers one NIC by itself; what is nil it hands up.
type Answers struct {
	DHCP4 *dhcp4.Compiled
	DHCP6 *dhcp6.Compiled
	ARP   *arp.Compiled
	ND    *nd.Compiled
}

// Answering names what the kernel answers on an ifindex by itself.
func (k *Kernel) Answering(index int) ([]reason.Reason, error) {
	key := uint32(index)
	var list []reason.Reason
	for _, m := range []struct {
		taken reason.Reason
		table *ebpf.Map
	}{
		{reason.DHCP4, k.maps.Answers4},
		{reason.DHCP6, k.maps.Answers6},
		{reason.ARPRequest, k.maps.AnswersARP},
	} {
		switch v, err := m.table.LookupBytes(&key); {
		case err != nil:
			return nil, fmt.Errorf("read answers: %w", err)
		case v != nil:
			list = append(list, m.taken)
		}
	}
	var v berthNdAnswers
	switch err := k.maps.AnswersND.Lookup(&key, &v); {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return list, nil
	case err != nil:
		return nil, fmt.Errorf("read answers: %w", err)
	case v.RaLen > 0:
		list = append(list, reason.RouterSolicit)
	}
	return append(list, reason.NeighbourSolicit), nil
}

// The bits of answer4.flags, as in bpf/berth.h.
const (
	answer4CheckMAC = 1 << iota
	answer4RapidCommit
	answer4OnlyRequested
	answer4NoRouterWithRoutes
	answer4IPXE
	answer4Arch
	answer4HTTP
	answer4V6Only
)

// dataBytes is how much of options one NIC's answers of a protocol may take.
const dataBytes = 1024

// taken is how many things a frame can be taken for, TAKEN in bpf/berth.h.
const taken = 8

// enableAnswers puts this build's programs where from_guest and to_guest look
// for them.
func (k *Kernel) enableAnswers() error {
	have := map[uint32]*ebpf.Program{taken: k.progs.FromGuest, taken + 1: k.progs.ToGuest}
	for why, p := range k.progs.answerers() {
		have[uint32(why-reason.DHCP4)] = p
	}
	// What judges a frame again goes first: an earlier build's way to an answer may
	// not be that of this one, which then sends the frame back there.
	last := k.maps.Answerers.MaxEntries() - 1
	for n := range last + 1 {
		i := last - n
		p, ok := have[i]
		if !ok {
			if err := ignoreMissing(k.maps.Answerers.Delete(i)); err != nil {
				return fmt.Errorf("remove answerer %d: %w", i, err)
			}
			continue
		}
		if err := k.maps.Answerers.Update(i, uint32(p.FD()), ebpf.UpdateAny); err != nil {
			return fmt.Errorf("set answerer %d: %w", i, err)
		}
	}
	return nil
}

// Answer lets the kernel answer a NIC. What does not fit its tables is handed
// up as before; that is no error.
func (k *Kernel) Answer(index int, a Answers) error {
	at := place{uint32(index), k.nextStamp()}
	return errors.Join(
		putAnswer(k.maps.Answers4, at, a.DHCP4, encodeAnswer4),
		putAnswer(k.maps.Answers6, at, a.DHCP6, encodeAnswer6),
		putAnswer(k.maps.AnswersARP, at, a.ARP, encodeARP),
		putAnswer(k.maps.AnswersND, at, a.ND, encodeND),
	)
}

// nextStamp tells a table's value from all others.
func (k *Kernel) nextStamp() uint64 {
	k.stamp = max(k.stamp+1, uint64(Clock())) // pins outlive the process, but no boot
	return k.stamp
}

// place is where answers are put, and what tells them from all others.
type place struct {
	key   uint32
	stamp uint64
}

// putAnswer replaces what a NIC is answered, or takes it away: of what is nil,
// does not fit, or cannot be replaced. No old answer stands in for a new one.
func putAnswer[C, V any](m *ebpf.Map, at place, c *C, encode func(*C, uint64) (V, bool)) error {
	var failed error
	if c != nil {
		if v, ok := encode(c, at.stamp); ok {
			err := m.Update(&at.key, &v, ebpf.UpdateAny)
			if err == nil {
				return nil
			}
			failed = fmt.Errorf("update %s: %w", m, err)
		}
	}
	return errors.Join(failed, ignoreMissing(m.Delete(&at.key)))
}

// Unanswer makes the kernel hand everything of a NIC up again.
func (k *Kernel) Unanswer(index int) error { return k.Answer(index, Answers{}) }

// pieces lays bytes out, each piece at a multiple of eight: the kernel copies
// by words.
type pieces struct {
	data *[dataBytes]uint8
	used int
	full bool
}

func (p *pieces) add(b []byte) (off, length uint16) {
	if p.used+len(b) > dataBytes-8 {
		p.full = true
		return 0, 0
	}
	copy(p.data[p.used:], b)
	off = uint16(p.used)
	p.used = (p.used + len(b) + 7) &^ 7
	return off, uint16(len(b))
}

// encodeAnswer4 is false for what there is no room for.
func encodeAnswer4(c *dhcp4.Compiled, stamp uint64) (berthAnswer4, bool) {
	v := berthAnswer4{
		Stamp: stamp,
		Mac:   mac64(c.MAC), Own: be32(c.Own), Server: be32(c.ServerID), NextServer: be32or0(c.NextServer),
		Flags: answer4Flags(c), Lease: uint32(c.Lease), Most: uint32(c.Most), T1: uint32(c.T1), T2: uint32(c.T2),
		Link: uint16(c.Link), Nbasics: uint8(len(c.Basics)),
	}
	if len(c.Basics) > len(v.Basics) || len(c.Options) >= len(v.Pieces) {
		return v, false
	}
	copy(v.Basics[:], c.Basics)
	p := pieces{data: &v.Data.B}
	v.Names.Off, v.Names.Len = p.add(c.Names)
	for i := range c.FQDN {
		v.Fqdn[i].Off, v.Fqdn[i].Len = p.add(c.FQDN[i])
	}
	slot := uint8(0)
	for code := range 256 {
		if b, ok := c.Options[uint8(code)]; ok {
			slot++
			v.Slot[code] = slot
			v.Pieces[slot].Off, v.Pieces[slot].Len = p.add(b)
		}
	}
	return v, !p.full
}

func answer4Flags(c *dhcp4.Compiled) uint32 {
	return flags(map[uint32]bool{
		answer4CheckMAC: c.CheckMAC, answer4RapidCommit: c.RapidCommit, answer4OnlyRequested: c.OnlyRequested,
		answer4NoRouterWithRoutes: c.NoRouterWithRoutes, answer4IPXE: c.IPXE, answer4Arch: c.Arch,
		answer4HTTP: c.HTTP, answer4V6Only: c.V6Only,
	})
}

func flags(set map[uint32]bool) (f uint32) {
	for bit, on := range set {
		if on {
			f |= bit
		}
	}
	return f
}

// be32or0 is be32 of what may be no IPv4 address.
func be32or0(a netip.Addr) uint32 {
	if a = a.Unmap(); a.Is4() {
		return be32(a)
	}
	return 0
}
