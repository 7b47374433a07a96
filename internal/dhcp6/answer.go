package dhcp6

import (
	"bytes"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Answer says what the NIC's server replies to one message. It depends on
// nothing but its arguments, so a retransmission gets the same reply, and the
// addresses are the binding's whatever the client prefers or calls itself: a
// new DUID or IAID, as after a reinstallation, changes nothing.
func Answer(s Server, q Query) Outcome {
	if s.Binding == nil {
		return Outcome{Reason: reason.NoBinding}
	}
	x := exchange{Server: s, query: q}
	why := x.read()
	if why == reason.None {
		why = x.admit()
	}
	switch {
	case why != reason.None:
		return x.silence(why)
	case !x.known():
		return x.refuse()
	case x.unicast() && !s.Binding.DHCP6.Unicast:
		return x.status(useMulticast, nil, reason.DHCPUnicast) // RFC 8415 18.4
	}
	return x.serve()
}

// exchange is one message being answered.
type exchange struct {
	Server
	query  Query
	relays []relay // the outermost first
	m      message
}

func (x *exchange) read() reason.Reason {
	b, why := x.unwrap()
	if why == reason.None {
		x.m, why = parse(b)
	}
	return why
}

// admit decides whether the message is one to answer at all.
func (x *exchange) admit() reason.Reason {
	b := x.Binding
	switch {
	case b.Suspended:
		return reason.DHCPSuspended
	case b.DHCP6.Mode == nic.DHCP6Off:
		return reason.DHCPOff
	case !b.ServesIPv6():
		return reason.DHCPNoIPv6
	case !x.inMode():
		return reason.DHCPMode
	}
	if why := x.admitAddresses(); why != reason.None {
		return why
	}
	return x.admitIdentifiers()
}

func (x *exchange) inMode() bool {
	switch x.Binding.DHCP6.Mode {
	case nic.DHCP6Stateful:
		return x.m.kind != informationRequest
	case nic.DHCP6Stateless:
		return x.m.kind == informationRequest
	default: // both; off is silent before
		return true
	}
}

// admitAddresses judges where the message came from and went to. Relay agents
// choose their own ways.
func (x *exchange) admitAddresses() reason.Reason {
	src, dst := x.query.Src, x.query.Dst
	switch {
	case !src.Is6() || src.IsUnspecified() || src.IsMulticast():
		return reason.DHCPMalformed // nowhere to reply to
	case x.relayed() || dst == allServersAndRelays():
		return reason.None
	case dst.IsMulticast():
		return reason.DHCPRelayed // ff05::1:3 is where relay agents send (RFC 8415 7.1)
	}
	if x.toOneServer() {
		return reason.None
	}
	return reason.DHCPUnicast // never by unicast (section 16)
}

// allServersAndRelays is All_DHCP_Relay_Agents_and_Servers (RFC 8415 7.1).
func allServersAndRelays() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 13: 0x01, 15: 0x02})
}

// unicast reports whether a client sent straight to the server.
func (x *exchange) unicast() bool { return !x.relayed() && !x.query.Dst.IsMulticast() }

// admitIdentifiers holds to RFC 8415 16.2 to 16.12.
func (x *exchange) admitIdentifiers() reason.Reason {
	client, identified := x.m.options[optClientID]
	server, addressed := x.m.options[optServerID]
	switch {
	case identified && (len(client) < minDUID || len(client) > maxDUID):
		return reason.DHCPNoClientID
	case !identified && x.m.kind != informationRequest:
		return reason.DHCPNoClientID
	case x.m.kind == informationRequest && len(x.m.ias) > 0:
		return reason.DHCPMalformed
	case addressed != x.toOneServer() && x.m.kind != informationRequest:
		return reason.DHCPNoServerID
	case addressed && !bytes.Equal(server, x.identifier()):
		return reason.DHCPOtherServer
	}
	return reason.None
}

// toOneServer reports whether the message is one that must name its server.
// One that need not must not, but for INFORMATION-REQUEST, which may.
func (x *exchange) toOneServer() bool {
	switch x.m.kind {
	case request, renew, release, decline:
		return true
	default:
		return false
	}
}

// known reports whether this is the client that the binding names, if it
// names one.
func (x *exchange) known() bool {
	want := x.Binding.DHCP6.DUID
	return len(want) == 0 || sameDUID(x.m.options[optClientID], want)
}

func (x *exchange) serve() Outcome {
	switch x.m.kind {
	case solicit:
		if _, asked := x.m.options[optRapidCommit]; asked && x.Binding.DHCP6.RapidCommit {
			return x.grant(reply)
		}
		return x.grant(advertise)
	case confirm:
		return x.confirm()
	case release:
		return x.forsake(reason.DHCPRelease)
	case decline:
		return x.forsake(reason.DHCPDecline)
	case informationRequest:
		return x.inform()
	default: // REQUEST, RENEW, REBIND
		return x.grant(reply)
	}
}

// silence reports a message that gets no reply.
func (x *exchange) silence(why reason.Reason) Outcome {
	return Outcome{Request: x.m.kind.String(), XID: x.m.xid32(), Reason: why}
}
