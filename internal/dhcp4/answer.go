package dhcp4

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Answer says what the NIC's server replies to one message. It depends on
// nothing but its arguments, so a retransmission gets the same reply, and the
// address is the binding's whatever the client prefers or calls itself.
func Answer(s Server, q Query) Outcome {
	if s.Binding == nil {
		return Outcome{Reason: reason.NoBinding}
	}
	m, why := parse(q.Message)
	x := exchange{Server: s, query: q, m: m}
	if why == reason.None {
		why = x.admit()
	}
	if why != reason.None {
		return x.silence(why)
	}
	switch m.kind {
	case discover:
		return x.discover()
	case request:
		return x.request()
	default:
		return x.inform()
	}
}

// exchange is one message being answered.
type exchange struct {
	Server
	query Query
	m     message
}

// admit decides whether the message is one to answer at all.
func (x *exchange) admit() reason.Reason {
	b := x.Binding
	switch {
	case x.m.chaddr != b.MAC && !b.DHCP4.AnyClient:
		return reason.DHCPChaddr
	case x.m.relayed() && !b.DHCP4.Relay:
		return reason.DHCPRelayed
	case !x.m.relayed() && b.Guard.Checks.MAC && x.m.chaddr != x.query.EthSrc:
		return reason.DHCPChaddr
	case b.Suspended:
		return reason.DHCPSuspended
	case b.DHCP4.Off:
		return reason.DHCPOff
	case !b.Delivered().Addr().Is4():
		return reason.DHCPNoIPv4
	}
	return x.admitType()
}

func (x *exchange) admitType() reason.Reason {
	switch x.m.kind {
	case discover, request, inform:
		if !usable(x.ID) {
			return reason.WaitServerID
		}
		return reason.None
	case decline:
		return reason.DHCPDecline
	case release:
		return reason.DHCPRelease
	default: // what only servers send, and what nobody knows
		return reason.DHCPType
	}
}

func (x *exchange) discover() Outcome {
	if _, asked := x.m.options[optRapidCommit]; asked && x.Binding.DHCP4.RapidCommit {
		return x.grant(ack)
	}
	return x.grant(offer)
}

// request tells the four states of RFC 2131 4.3.2 apart. ciaddr comes first:
// a client that has the address renews it, and is answered even if it names a
// server identifier that is no longer ours, because no other server can reach
// this NIC.
func (x *exchange) request() Outcome {
	server, selecting := x.m.address(optServerID)
	wanted, named := x.m.address(optRequestedIP)
	own := x.Binding.Delivered().Addr()
	switch {
	case !x.m.ciaddr.IsUnspecified(): // RENEWING, REBINDING
		if x.m.ciaddr != own {
			return x.refuse(x.m.ciaddr)
		}
		if named && wanted != own { // RFC 7844 3.3: the same address twice is well
			return x.refuse(wanted)
		}
		return x.grant(ack)
	case selecting && server != x.ID.Unmap(): // SELECTING, the offer of another
		return x.silence(reason.DHCPOtherServer)
	case named && wanted == own: // SELECTING, INIT-REBOOT
		return x.grant(ack)
	}
	return x.refuse(wanted)
}

// inform gives configuration to a client that has its address from elsewhere
// (RFC 2131 4.3.5), if it is the NIC's.
func (x *exchange) inform() Outcome {
	client := x.m.ciaddr
	if client.IsUnspecified() && !x.m.relayed() {
		client = x.query.Src
	}
	if !permits(x.Binding, client) {
		return x.silence(reason.DHCPSource)
	}
	return x.acknowledgeInform(client)
}

// permits reports whether the NIC may use an address as its own. A wide
// AllowAddresses does not make a group or broadcast address one.
func permits(b *nic.Binding, a netip.Addr) bool {
	if !usable(a) || a.IsMulticast() || a == limitedBroadcast() {
		return false
	}
	return owns(b, a) ||
		slices.ContainsFunc(b.Guard.AllowAddresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

func owns(b *nic.Binding, a netip.Addr) bool {
	return slices.ContainsFunc(b.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

// usable reports whether a is an IPv4 address that a host can have.
func usable(a netip.Addr) bool { return a.Unmap().Is4() && !a.Unmap().IsUnspecified() }

// silence reports a message that gets no reply.
func (x *exchange) silence(why reason.Reason) Outcome {
	return Outcome{
		Request: x.m.kind.String(),
		Address: x.named(),
		XID:     x.m.xid,
		Reason:  why,
	}
}

// named is the address the client's message is about, zero if none.
func (x *exchange) named() netip.Addr {
	if a, ok := x.m.address(optRequestedIP); ok && !a.IsUnspecified() {
		return a
	}
	if x.m.ciaddr.IsValid() && !x.m.ciaddr.IsUnspecified() {
		return x.m.ciaddr
	}
	return netip.Addr{}
}
