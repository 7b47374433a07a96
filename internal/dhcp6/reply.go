package dhcp6

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

const (
	clientPort = 546
	serverPort = 547

	headersLen  = 40 + 8 // IPv6 and UDP
	ethernetMTU = 1500
	minMTU      = 1280 // RFC 8200 section 5
)

// draft is a reply before it is bytes.
type draft struct {
	kind   messageType
	status []option // the message's own, if any
	grants []grant
	config bool // whether configuration belongs in it
}

// grant gives what the binding has. Where it has nothing for any IA, the
// configuration goes out all the same, and each IA carries its status, also in
// an ADVERTISE (RFC 8415 18.3.9). RFC 3315 17.2.2 had one status for the whole
// message and no IA; clients of today take both, but a status of the message
// makes them throw away its configuration, SOL_MAX_RT included.
func (x *exchange) grant(kind messageType) Outcome {
	g := x.grants()
	o := x.send(draft{kind: kind, grants: g, config: true}, given(g))
	if o.Reply != nil {
		o.Reason = shortfall(g)
	}
	return o
}

// inform gives configuration alone (RFC 8415 18.3.6).
func (x *exchange) inform() Outcome {
	return x.send(draft{kind: reply, config: true}, nil)
}

// confirm says whether the client's addresses are still its own (18.3.3). An
// address on the right link but no longer the NIC's is no use to it: the guard
// stops it.
func (x *exchange) confirm() Outcome {
	mine := holdings(x.Binding)
	var held, wrong []netip.Prefix
	for _, a := range x.m.ias {
		for _, p := range a.listed {
			switch {
			case a.code == optIAPD: // prefixes are not confirmed (18.2.3)
			case mine[p]:
				held = append(held, p)
			default:
				wrong = append(wrong, p)
			}
		}
	}
	switch {
	case wrong != nil:
		return x.status(notOnLink, wrong, reason.DHCPNotOnLink)
	case held != nil:
		return x.status(success, held, reason.None)
	}
	return x.silence(reason.DHCPNoIPv6)
}

// forsake acknowledges a RELEASE or DECLINE; the binding stays. Only an IA
// none of whose addresses is the NIC's is in the reply, with NoBinding
// (18.3.7, 18.3.8).
func (x *exchange) forsake(why reason.Reason) Outcome {
	mine := holdings(x.Binding)
	var unknown []ia
	var held []netip.Prefix
	for _, a := range x.m.ias {
		n := len(held)
		for _, p := range a.listed {
			if mine[p] {
				held = append(held, p)
			}
		}
		if len(held) == n && len(a.listed) > 0 {
			unknown = append(unknown, a)
		}
	}
	d := draft{kind: reply, status: []option{success.option()}}
	d.grants = statuses(unknown, func(ia) statusCode { return noBinding })
	return because(why, x.send(d, held))
}

// refuse answers a client that is not the one the binding names. Without an
// IA there is nothing to refuse.
func (x *exchange) refuse() Outcome {
	if !x.Binding.DHCP6.Refuse || len(x.m.ias) == 0 {
		return x.silence(reason.DHCPOtherClient)
	}
	d := draft{kind: reply}
	switch x.m.kind {
	case solicit:
		d.kind = advertise
	case request, renew, rebind:
	default:
		return x.silence(reason.DHCPOtherClient)
	}
	var wanted []netip.Prefix
	for _, a := range x.m.ias {
		wanted = append(wanted, a.listed...)
	}
	d.grants = statuses(x.m.ias, unavailable)
	return because(reason.DHCPOtherClient, x.send(d, wanted))
}

// status replies with a status alone.
func (x *exchange) status(s statusCode, about []netip.Prefix, why reason.Reason) Outcome {
	return because(why, x.send(draft{kind: reply, status: []option{s.option()}}, about))
}

// because gives a reply its reason; silence has its own.
func because(why reason.Reason, o Outcome) Outcome {
	if o.Reply != nil {
		o.Reason = why
	}
	return o
}

func (x *exchange) send(d draft, about []netip.Prefix) Outcome {
	b, ok := x.encode(d)
	if !ok {
		return x.silence(reason.DHCPTooLarge)
	}
	return Outcome{
		Request:   x.m.kind.String(),
		Answer:    d.kind.String(),
		Addresses: about,
		XID:       x.m.xid32(),
		Reply:     x.addressed(b),
	}
}

// addressed puts a message on its way: to where the query came from, whatever
// that address is made of.
func (x *exchange) addressed(b []byte) *Reply {
	port := uint16(clientPort)
	if x.relayed() {
		port = serverPort
	}
	return &Reply{
		DstMAC: x.query.EthSrc, Src: x.Addr, Dst: x.query.Src,
		DstPort: port, Message: x.wrap(b),
	}
}

// encode writes the message: the head, the IAs in the client's order, then
// configuration in the order of its option 6. It is false if what must be in
// it does not fit.
func (x *exchange) encode(d draft) ([]byte, bool) {
	room := x.limit() - headerLen - sizeOf(x.mandatory(d)) + staleSize(d.grants)
	if room < 0 {
		return nil, false
	}
	var config []option
	if d.config {
		config, room = x.choose(room)
	}
	cutStale(d.grants, room)
	b := append([]byte{byte(d.kind)}, x.m.xid[:]...)
	for _, o := range slices.Concat(x.mandatory(d), config) {
		b = o.appendTo(b)
	}
	return b, true
}

// mandatory is everything but configuration.
func (x *exchange) mandatory(d draft) []option {
	list := x.head(d)
	for _, g := range d.grants {
		list = append(list, g.option(&x.Binding.DHCP6))
	}
	return list
}

// head lists what comes before the IAs.
func (x *exchange) head(d draft) []option {
	var list []option
	if id, ok := x.m.options[optClientID]; ok {
		list = append(list, option{optClientID, id})
	}
	list = append(list, option{optServerID, x.identifier()})
	list = append(list, d.status...)
	if d.kind == reply && x.m.kind == solicit {
		list = append(list, option{code: optRapidCommit})
	}
	if p := x.Binding.DHCP6.Preference; p != 0 && d.kind == advertise {
		list = append(list, option{optPreference, []byte{p}})
	}
	if x.offersUnicast(d) {
		list = append(list, option{optUnicast, x.Addr.AsSlice()})
	}
	return list
}

// offersUnicast: an INFORMATION-REQUEST never comes by unicast (RFC 8415
// section 16), and a link-local is of no use behind a relay.
func (x *exchange) offersUnicast(d draft) bool {
	return d.config && x.m.kind != informationRequest && x.Binding.DHCP6.Unicast && !x.relayed()
}

// limit is the longest message that the link carries in one piece.
func (x *exchange) limit() int { return limit(x.Binding) - x.wrapping() }

func limit(b *nic.Binding) int {
	if b.MTU >= minMTU {
		return min(ethernetMTU, int(b.MTU)) - headersLen
	}
	return ethernetMTU - headersLen
}
