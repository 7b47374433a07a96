// Package nd is the definition of what a NIC is told on its own link by IPv6
// neighbour discovery: router advertisements, and advertisements for the
// neighbours that are answered for (RFC 4861). It is pure.
//
// Not here: frames and checksums (wire), when an unsolicited advertisement is
// due and how often one may be asked for (answerer), and what the guest may
// send (guard).
package nd

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// HopLimit is what every message is sent with, and the only one that is
// believed: it shows that no router forwarded it.
const HopLimit = 255

// Router is what one NIC is told on its link. A nil binding is told nothing.
type Router struct {
	Binding *nic.Binding
	// GatewayMAC is the binding's or, if routed, the host interface's; zero
	// while it is not known.
	GatewayMAC nic.MAC
}

// Solicitation is one ICMPv6 message of the guest.
type Solicitation struct {
	EthSrc   nic.MAC
	Src, Dst netip.Addr
	HopLimit uint8
	Message  []byte // from the type on
}

// Reply is one message for the NIC. It is sent with HopLimit; its checksum
// field is zero and left to wire.
type Reply struct {
	SrcMAC, DstMAC nic.MAC
	Src, Dst       netip.Addr
	Message        []byte // from the type on
}

// Outcome is what came of one solicitation. No reply always has a reason.
type Outcome struct {
	Request string     // "RS" or "NS"; "" if it is neither
	Answer  string     // "RA" or "NA"; "" for silence
	Address netip.Addr // the target of an NS; zero for an RS, or if it was not read
	Reply   *Reply
	Reason  reason.Reason
}

// Answer says what the NIC is told in reply to one solicitation. An
// advertisement so asked for also carries what gone says the same router no
// longer announces.
func Answer(r Router, s Solicitation, gone Withdrawn) Outcome {
	switch {
	case r.Binding == nil:
		return Outcome{Reason: reason.NoBinding}
	case len(s.Message) > 0 && s.Message[0] == typeRS:
		return r.router(s, gone)
	case len(s.Message) > 0 && s.Message[0] == typeNS:
		return r.neighbour(s)
	}
	return Outcome{Reason: reason.NDInvalid}
}

func (r Router) router(s Solicitation, gone Withdrawn) Outcome {
	o := Outcome{Request: "RS"}
	if !validRS(s) {
		o.Reason = reason.NDInvalid
		return o
	}
	told, ok := r.says()
	if !ok {
		o.Reason = reason.RAUnserved
		return o
	}
	reply := told.advertisement(r.limit(), gone.of(told.from))
	if !r.Binding.RA.Multicast && !s.Src.IsUnspecified() {
		reply.DstMAC, reply.Dst = s.EthSrc, s.Src
	}
	o.Answer, o.Reply = "RA", &reply
	return o
}

// Advertisements are the unsolicited ones, to all nodes, in the order to send
// them; none if the NIC gets none. There is more than one when a router of
// gone no longer speaks: its last words come first, so that whatever both
// said ends up as the present one says it.
func Advertisements(r Router, gone Withdrawn) []Reply {
	told, speaks := r.says()
	var out []Reply
	for _, g := range gone.list {
		if speaks && g.from == told.from {
			continue
		}
		// A host takes M and O from whoever spoke last (RFC 4861 6.3.4).
		g.flags = told.flags & (flagManaged | flagOther)
		out = append(out, g.advertisement(r.limit(), said{}))
	}
	if speaks {
		out = append(out, told.advertisement(r.limit(), gone.of(told.from)))
	}
	return out
}

// limit is the longest message that needs no fragmentation, which no host
// would put together again (RFC 6980).
func (r Router) limit() int {
	const headers, minimum, ethernet = 40, 1280, 1500
	mtu := ethernet
	if b := r.Binding; b != nil && b.MTU >= minimum {
		mtu = min(mtu, int(b.MTU))
	}
	return mtu - headers
}

// allNodes is ff02::1 and its Ethernet address.
func allNodes() (netip.Addr, nic.MAC) {
	return netip.IPv6LinkLocalAllNodes(), nic.MAC{0x33, 0x33, 0, 0, 0, 1}
}
