package datapath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/reason"
)

// Kind is a message and what comes of it.
type Kind struct {
	Request string // "DISCOVER"
	Answer  string // "OFFER"; "" for silence
	Reason  reason.Reason
}

// Exchange is one message that the program itself has dealt with.
type Exchange struct {
	Kind
	Index   int
	Address netip.Prefix
	XID     string
	Age     time.Duration // since it happened
}

// exchangeKind is one of enum exchange_kind of bpf/berth.h.
type exchangeKind struct {
	Kind
	xid string // its format; "" if the protocol has none
}

const (
	xid4 = "%08x"
	xid6 = "%06x"
)

// exchangeKinds are in the order of enum exchange_kind.
//
//nolint:gochecknoglobals // a constant table
var exchangeKinds = [...]exchangeKind{
	{Kind{"DISCOVER", "OFFER", reason.None}, xid4},
	{Kind{"DISCOVER", "ACK", reason.None}, xid4},
	{Kind{"REQUEST", "ACK", reason.None}, xid4},
	{Kind{"REQUEST", "NAK", reason.DHCPWrongAddr}, xid4},
	{Kind{"INFORM", "ACK", reason.None}, xid4},
	{Kind{"DECLINE", "", reason.DHCPDecline}, xid4},
	{Kind{"RELEASE", "", reason.DHCPRelease}, xid4},
	{Kind{"ARP", "ARP", reason.None}, ""},
	{Kind{"NS", "NA", reason.None}, ""},
	{Kind{"RS", "RA", reason.None}, ""},
	{Kind{"SOLICIT", "ADVERTISE", reason.None}, xid6},
	{Kind{"SOLICIT", "REPLY", reason.None}, xid6},
	{Kind{"REQUEST", "REPLY", reason.None}, xid6},
	{Kind{"RENEW", "REPLY", reason.None}, xid6},
	{Kind{"REBIND", "REPLY", reason.None}, xid6},
	{Kind{"CONFIRM", "REPLY", reason.None}, xid6},
	{Kind{"INFORMATION-REQUEST", "REPLY", reason.None}, xid6},
	{Kind{"RELEASE", "REPLY", reason.DHCPRelease}, xid6},
	{Kind{"DECLINE", "REPLY", reason.DHCPDecline}, xid6},
	{Kind{"CONFIRM", "REPLY", reason.DHCPNotOnLink}, xid6},
}

// name sets what follows from the kind; false if no kind has that number.
func (x *Exchange) name(kind uint8) bool {
	if int(kind) >= len(exchangeKinds) {
		return false
	}
	x.Kind = exchangeKinds[kind].Kind
	return true
}

// byKind names counts.
func byKind(counts []uint64) map[Kind]uint64 {
	m := map[Kind]uint64{}
	for i, k := range &exchangeKinds {
		if counts[i] > 0 {
			m[k.Kind] = counts[i]
		}
	}
	return m
}

// exchangeBytes is the size of struct exchange of bpf/berth.h.
const exchangeBytes = 40

// parseExchange reads struct exchange. now is CLOCK_MONOTONIC.
func parseExchange(b []byte, now time.Duration) (Exchange, bool) {
	if len(b) < exchangeBytes {
		return Exchange{}, false
	}
	x := Exchange{Index: int(binary.NativeEndian.Uint32(b)), Age: now - time.Duration(binary.NativeEndian.Uint64(b[16:]))}
	if !x.name(b[4]) {
		return Exchange{}, false
	}
	if f := exchangeKinds[b[4]].xid; f != "" {
		x.XID = fmt.Sprintf(f, binary.NativeEndian.Uint32(b[8:]))
	}
	if bits := int(b[5]); bits > 0 {
		a := netip.AddrFrom16([16]byte(b[24:40])).Unmap()
		x.Address = netip.PrefixFrom(a, min(bits, a.BitLen()))
	}
	return x, true
}
