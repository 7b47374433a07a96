package datapath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/reason"
)

// Exchange is one message that the program itself has dealt with.
type Exchange struct {
	Index   int
	Request string // "DISCOVER"
	Answer  string // "OFFER"; "" for silence
	Address netip.Prefix
	XID     string
	Reason  reason.Reason
	Age     time.Duration // since it happened
}

// exchangeKind names enum exchange_kind of bpf/berth.h.
type exchangeKind struct {
	request, answer string
	why             reason.Reason
	xid             string // its format; "" if the protocol has none
}

const (
	xid4 = "%08x"
	xid6 = "%06x"
)

// exchangeKinds are in the order of enum exchange_kind.
func exchangeKinds() []exchangeKind {
	return []exchangeKind{
		{"DISCOVER", "OFFER", reason.None, xid4},
		{"DISCOVER", "ACK", reason.None, xid4},
		{"REQUEST", "ACK", reason.None, xid4},
		{"REQUEST", "NAK", reason.DHCPWrongAddr, xid4},
		{"INFORM", "ACK", reason.None, xid4},
		{"DECLINE", "", reason.DHCPDecline, xid4},
		{"RELEASE", "", reason.DHCPRelease, xid4},
		{"ARP", "ARP", reason.None, ""},
		{"NS", "NA", reason.None, ""},
		{"RS", "RA", reason.None, ""},
		{"SOLICIT", "ADVERTISE", reason.None, xid6},
		{"SOLICIT", "REPLY", reason.None, xid6},
		{"REQUEST", "REPLY", reason.None, xid6},
		{"RENEW", "REPLY", reason.None, xid6},
		{"REBIND", "REPLY", reason.None, xid6},
		{"CONFIRM", "REPLY", reason.None, xid6},
		{"INFORMATION-REQUEST", "REPLY", reason.None, xid6},
		{"RELEASE", "REPLY", reason.DHCPRelease, xid6},
		{"DECLINE", "REPLY", reason.DHCPDecline, xid6},
		{"CONFIRM", "REPLY", reason.DHCPNotOnLink, xid6},
	}
}

// name sets what follows from the kind; false if no kind has that number.
func (x *Exchange) name(kind uint8) bool {
	kinds := exchangeKinds()
	if int(kind) >= len(kinds) {
		return false
	}
	k := kinds[kind]
	x.Request, x.Answer, x.Reason = k.request, k.answer, k.why
	return true
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
	if f := exchangeKinds()[b[4]].xid; f != "" {
		x.XID = fmt.Sprintf(f, binary.NativeEndian.Uint32(b[8:]))
	}
	if bits := int(b[5]); bits > 0 {
		a := netip.AddrFrom16([16]byte(b[24:40])).Unmap()
		x.Address = netip.PrefixFrom(a, min(bits, a.BitLen()))
	}
	return x, true
}
