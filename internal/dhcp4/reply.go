package dhcp4

import (
	"encoding/binary"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

const (
	clientPort = 68
	serverPort = 67

	// minMessage is what BOOTP clients expect at least: 300 bytes, the
	// 236 of the header and the 64 of its vendor field (RFC 951 section 3).
	minMessage = 300

	// refusal is option 56 of every NAK. It says nothing of the guest's own
	// bytes, so it can't carry them into anybody's log.
	refusal = "address does not belong to this interface"
)

// draft is a reply before it is bytes.
type draft struct {
	kind           messageType
	ciaddr, yiaddr netip.Addr
	boot           nic.Boot
	times          times
	items          []item
}

// grant offers or acknowledges the delivered address.
func (x *exchange) grant(kind messageType) Outcome {
	own := x.Binding.Delivered().Addr()
	d := draft{kind: kind, yiaddr: own, boot: x.boot(), times: x.times()}
	if x.m.kind == request {
		d.ciaddr = x.m.ciaddr // RFC 2131 table 3; 0 in an OFFER
	}
	b, ok := x.configure(d)
	if !ok {
		return x.silence(reason.DHCPTooLarge)
	}
	// RFC 2131 4.1. A ciaddr that is not the NIC's (in a DISCOVER) is not
	// honoured: no reply is ever addressed to another's address.
	to := own
	if x.m.ciaddr != own && x.m.broadcast() {
		to = limitedBroadcast()
	}
	return x.reply(kind, own, x.addressed(to, b))
}

// acknowledgeInform sends configuration alone: no address and no times (RFC
// 2131 4.3.5), to the address the client has.
func (x *exchange) acknowledgeInform(client netip.Addr) Outcome {
	b, ok := x.configure(draft{kind: ack, ciaddr: x.m.ciaddr, boot: x.boot()})
	if !ok {
		return x.silence(reason.DHCPTooLarge)
	}
	return x.reply(ack, client, x.addressed(client, b))
}

// refuse sends a NAK for the address the client took to be its own. It
// carries no configuration (RFC 2131 table 3) and is broadcast, because a
// client with a wrong address may not hear anything else; a relay is told by
// the flag to do the same (4.3.2).
func (x *exchange) refuse(wrong netip.Addr) Outcome {
	x.m.flags |= relayBroadcast(&x.m)
	items := []item{
		{code: optMessageType, data: []byte{byte(nak)}},
		{code: optServerID, data: x.ID.Unmap().AsSlice()},
		{code: optMessage, data: []byte(refusal), drop: 1},
	}
	items = append(items, x.echoes(false)...)
	b, _, ok := x.encode(draft{kind: nak, items: items})
	if !ok {
		return x.silence(reason.DHCPTooLarge)
	}
	o := x.reply(nak, wrong, x.addressed(limitedBroadcast(), b))
	o.Reason = reason.DHCPWrongAddr
	return o
}

func relayBroadcast(m *message) uint16 {
	if m.relayed() {
		return flagBroadcast
	}
	return 0
}

func (x *exchange) reply(kind messageType, about netip.Addr, r *Reply) Outcome {
	return Outcome{
		Request: x.m.kind.String(),
		Answer:  kind.String(),
		Address: about,
		XID:     x.m.xid,
		Reply:   r,
	}
}

// addressed puts a message on its way: to the relay if there is one, else to
// the given address at the client's MAC, which needs no ARP (RFC 2131 4.1).
func (x *exchange) addressed(to netip.Addr, b []byte) *Reply {
	r := &Reply{DstMAC: x.m.chaddr, Src: x.ID.Unmap(), Dst: to, DstPort: clientPort, Message: b}
	switch {
	case x.m.relayed():
		r.DstMAC, r.Dst, r.DstPort = x.query.EthSrc, x.m.giaddr, serverPort
	case to == limitedBroadcast():
		r.DstMAC = nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	return r
}

func limitedBroadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// encode writes the message and returns the items that fitted; false if what
// must be in it does not fit.
func (x *exchange) encode(d draft) ([]byte, []item, bool) {
	b := x.header(d)
	p, ok := pack(d.items, x.room(b))
	if !ok {
		return nil, nil, false
	}
	copy(b[offSName:offFile], p.sname)
	copy(b[offFile:offMagic], p.file)
	b = append(b, p.options...)
	if short := minMessage - len(b); short > 0 {
		b = append(b, make([]byte, short)...)
	}
	return b, p.sent, true
}

// header writes the fixed fields. htype, hlen, xid, flags, giaddr and the 16
// bytes of chaddr are the client's (RFC 2131 table 3); hops and secs are 0.
func (x *exchange) header(d draft) []byte {
	b := make([]byte, offOption, minMessage)
	copy(b, x.m.fixed[:3])
	b[0] = opReply
	copy(b[offXID:], x.m.fixed[offXID:offXID+4])
	binary.BigEndian.PutUint16(b[offFlags:], x.m.flags)
	putAddr(b[offCIAddr:], d.ciaddr)
	putAddr(b[offYIAddr:], d.yiaddr)
	putAddr(b[offSIAddr:], d.boot.NextServer)
	copy(b[offGIAddr:offSName], x.m.fixed[offGIAddr:offSName])
	putName(b[offSName:offFile], d.boot.ServerName)
	putName(b[offFile:offMagic], d.boot.File)
	binary.BigEndian.PutUint32(b[offMagic:], magicCookie)
	return b
}

// putAddr writes an address; what is not IPv4 stays 0.
func putAddr(b []byte, a netip.Addr) {
	if a = a.Unmap(); a.Is4() {
		copy(b, a.AsSlice())
	}
}

// putName writes a NUL-terminated string. One that does not fit is left out
// rather than cut: half a file name boots the wrong thing, and options 66 and
// 67 still carry it.
func putName(field []byte, s string) {
	if len(s) < len(field) {
		copy(field, s)
	}
}

// Sizes of a datagram (RFC 2132 9.10: option 57 counts the whole IP packet,
// and 576 is what every client must take).
const (
	headersLen   = 20 + 8
	minDatagram  = 576
	ethernetMTU  = 1500
	overloadSize = 3 // option 52 itself
)

// limit is the longest message for this client: what it can take, and what
// its link carries in one piece. It is never below 576 bytes of datagram,
// which every IPv4 host must accept whatever its MTU (RFC 791 3.1).
func (x *exchange) limit() int {
	takes := 0
	if v, ok := x.m.options[optMaxSize]; ok {
		takes = int(binary.BigEndian.Uint16(v))
	}
	return max(minDatagram, min(takes, x.link())) - headersLen
}

// link is what the NIC's link carries in one piece.
func (x *exchange) link() int {
	if mtu := int(x.Binding.MTU); mtu != 0 {
		return min(ethernetMTU, mtu)
	}
	return ethernetMTU
}

// room is what the header leaves for options. file and sname are free for
// option overload when no boot information is in them.
func (x *exchange) room(header []byte) room {
	r := room{options: x.limit() - offOption - 1}
	if header[offFile] == 0 {
		r.file = fileLen - 1
	}
	if header[offSName] == 0 {
		r.sname = snameLen - 1
	}
	return r
}
