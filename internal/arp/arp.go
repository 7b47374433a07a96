// Package arp is the definition of whose ARP requests a NIC gets answers to
// on its own link (RFC 826). It is pure.
//
// Not here: frames (wire), sockets and rates (answerer), and what the guest
// may send (guard).
package arp

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// The opcodes of RFC 826.
const (
	OpRequest = 1
	OpReply   = 2
)

// Responder is what answers on one NIC's link.
type Responder struct {
	Binding  *nic.Binding
	ServerID netip.Addr // DHCPv4's, in force; zero: none
	// Former are server identifiers that were in force before: a guest that
	// still has the address of that time renews with them.
	Former []netip.Addr
	// GatewayMAC is the binding's or, if routed, the host interface's; zero
	// while it is not known.
	GatewayMAC nic.MAC
}

// Request is one ARP packet of the guest.
type Request struct {
	EthSrc             nic.MAC
	Op                 uint16
	SenderMAC          nic.MAC
	SenderIP, TargetIP netip.Addr
}

// Reply is one ARP reply for the NIC; its target hardware address is DstMAC.
type Reply struct {
	SrcMAC, DstMAC     nic.MAC
	SenderMAC          nic.MAC
	SenderIP, TargetIP netip.Addr
}

// Outcome is what came of one request. No reply always has a reason.
type Outcome struct {
	Request string     // "ARP"; "" if it is no request
	Answer  string     // "ARP"; "" for silence
	Address netip.Addr // the target
	Reply   *Reply
	Reason  reason.Reason
}

// Answer says what the NIC is told in reply to one request. A probe (RFC 5227
// 2.1.1) is answered for nothing but what the binding says nobody else can
// have: there the answer is the conflict that the guest must see.
func Answer(r Responder, q Request) Outcome {
	if r.Binding == nil {
		return Outcome{Reason: reason.NoBinding}
	}
	if !valid(q) {
		return Outcome{Reason: reason.NDInvalid}
	}
	o := Outcome{Request: "ARP", Address: q.TargetIP}
	mac := r.mac(q.TargetIP)
	if !r.answersFor(q) || mac.IsZero() {
		o.Reason = reason.NDUnanswered
		return o
	}
	o.Answer = "ARP"
	o.Reply = &Reply{
		SrcMAC: mac, DstMAC: q.SenderMAC,
		SenderMAC: mac, SenderIP: q.TargetIP, TargetIP: q.SenderIP,
	}
	return o
}

// Announcement says unasked where an address is.
type Announcement struct {
	MAC nic.MAC
	IP  netip.Addr
}

// Announcements are what a routed NIC is told when it comes up: a guest that
// was migrated here still has the MAC of the node it came from. On a bridge the
// neighbours speak for themselves.
func Announcements(r Responder) []Announcement {
	if r.Binding == nil || r.Binding.Suspended || !r.Binding.Routed {
		return nil
	}
	var out []Announcement
	for _, a := range r.Binding.Answers4(r.ServerID) {
		if mac := r.mac(a); !mac.IsZero() && !isOwn(r.Binding, a) {
			out = append(out, Announcement{mac, a})
		}
	}
	return out
}

// valid: RFC 826 sends the reply to the sender's hardware address, so that
// has to be a station's.
func valid(q Request) bool {
	return q.Op == OpRequest && q.SenderIP.Is4() && q.TargetIP.Is4() &&
		!q.SenderMAC.IsZero() && !q.SenderMAC.IsGroup()
}

func (r Responder) answersFor(q Request) bool {
	b := r.Binding
	if b.Suspended || isOwn(b, q.TargetIP) {
		return false
	}
	if slices.Contains(b.Answers4(r.ServerID), q.TargetIP) || r.former(q) {
		return true
	}
	return b.AnswersAll() && !q.SenderIP.IsUnspecified() && q.TargetIP != q.SenderIP &&
		isElsewhere(b, q.TargetIP)
}

// former reports whether a guest that has not heard of its new address yet
// looks for the server it had. To one that has, that address is whose it is.
func (r Responder) former(q Request) bool {
	return slices.Contains(r.Former, q.TargetIP) && !q.SenderIP.IsUnspecified() && !isOwn(r.Binding, q.SenderIP)
}

// mac is the gateway's but for a server identifier that is not the gateway.
func (r Responder) mac(a netip.Addr) nic.MAC {
	if a != r.Binding.Gateway && (a == r.ServerID || slices.Contains(r.Former, a)) {
		return nic.BerthMAC()
	}
	return r.GatewayMAC
}

func isOwn(b *nic.Binding, a netip.Addr) bool {
	return slices.ContainsFunc(b.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// isElsewhere reports whether a can be a host's that is not the NIC's.
func isElsewhere(b *nic.Binding, a netip.Addr) bool {
	if a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a == limitedBroadcast() || a == b.Broadcast {
		return false
	}
	return !slices.ContainsFunc(b.Addresses, func(p netip.Prefix) bool { return isBroadcast(p, a) }) &&
		!slices.ContainsFunc(b.Guard.AllowAddresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

// isBroadcast reports whether a is the broadcast address of p's subnet; a /31
// and a /32 have none (RFC 3021).
func isBroadcast(p netip.Prefix, a netip.Addr) bool {
	if !p.Addr().Is4() || p.Bits() > 30 || !p.Contains(a) {
		return false
	}
	next := a.Next()
	return !next.IsValid() || !p.Contains(next)
}

func limitedBroadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }
