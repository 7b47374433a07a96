package dhcp4

import "slices"

// configuration is what may be told to this client, by code.
type configuration map[uint8][]byte

// unasked is dropped before anything the client asked for.
const unasked = 1 << 16

// basics are sent to a client that did not ask, unless the binding says
// otherwise, so that one without option 55 gets a usable configuration. The
// order is that on the wire.
func basics() []uint8 {
	return []uint8{optMask, optRouter, optDNS, optHostname, optDomain, optMTU, optBroadcast, optT1, optT2, optRoutes}
}

// importance orders the basics when space is short, the most needed first.
func importance() []uint8 {
	return []uint8{optMask, optRouter, optRoutes, optDNS, optMTU, optT1, optT2, optHostname, optDomain, optBroadcast}
}

// configure encodes a reply that carries configuration.
func (x *exchange) configure(d draft) ([]byte, bool) {
	have := x.configuration(d)
	d.items = x.items(d, have)
	b, sent, ok := x.encode(d)
	if ok && indexOf(d.items, optRoutes) >= 0 && indexOf(sent, optRoutes) < 0 {
		// Its router may have been left out for the sake of the routes
		// (NoRouterWithRoutes); without them the router is needed again.
		delete(have, optRoutes)
		d.items = x.items(d, have)
		b, _, ok = x.encode(d)
	}
	return b, ok
}

// items lists the options of a reply in the order they are sent: what every
// such reply carries, what the client asked for in its order (RFC 2131 4.3.1),
// the basics, and the echoes.
func (x *exchange) items(d draft, have configuration) []item {
	head := []item{
		{code: optMessageType, data: []byte{byte(d.kind)}},
		{code: optServerID, data: x.ID.Unmap().AsSlice()},
	}
	if d.times.lease != 0 {
		head = append(head, item{code: optLease, data: d.times.lease32()})
	}
	if d.kind == ack && x.m.kind == discover {
		head = append(head, item{code: optRapidCommit}) // RFC 4039 section 3.1
	}
	body := x.body(have)
	if x.Binding.DHCP4.NoRouterWithRoutes && indexOf(body, optRoutes) >= 0 {
		body = slices.DeleteFunc(body, func(it item) bool { return it.code == optRouter })
	}
	maskFirst(body)
	return slices.Concat(head, body, x.echoes(true))
}

// body lists the configuration to send, each code once.
func (x *exchange) body(have configuration) []item {
	var body []item
	seen := map[uint8]bool{}
	add := func(code uint8, drop int) {
		if data, ok := have[code]; ok && !seen[code] {
			seen[code] = true
			body = append(body, item{code: code, data: data, drop: drop})
		}
	}
	for i, code := range x.asked() {
		add(code, 1+i)
	}
	if x.Binding.DHCP4.OnlyRequested {
		return body
	}
	for _, code := range basics() {
		add(code, unasked+slices.Index(importance(), code))
	}
	return body
}

// asked is what the client wants. A UEFI HTTP client takes a boot file only
// from a server that names it in option 60 (UEFI specification, HTTP Boot), so
// its class counts as asked for.
func (x *exchange) asked() []uint8 {
	list := x.m.options[optRequestList]
	if x.httpBoot() {
		return append([]uint8{optVendorClass}, list...)
	}
	return list
}

// maskFirst moves the subnet mask in front of the router if both are sent,
// as RFC 2132 3.3 demands whatever the client's order.
func maskFirst(body []item) {
	mask, router := indexOf(body, optMask), indexOf(body, optRouter)
	if router < 0 || mask < router {
		return
	}
	it := body[mask]
	copy(body[router+1:mask+1], body[router:mask])
	body[router] = it
}

func indexOf(items []item, code uint8) int {
	return slices.IndexFunc(items, func(it item) bool { return it.code == code })
}

// echoes are what the client or its relay sent and must see again: the client
// identifier unchanged (RFC 6842 section 3), the name it may use (RFC 4702)
// unless this is a NAK, and last the relay's own option (RFC 3046 2.2). Option
// 82 from anybody but a relay is ignored (2.1).
func (x *exchange) echoes(withName bool) []item {
	var tail []item
	if id, ok := x.m.options[optClientID]; ok {
		tail = append(tail, item{code: optClientID, data: id})
	}
	if name, ok := x.m.options[optClientFQDN]; ok && withName {
		tail = append(tail, item{code: optClientFQDN, data: x.fqdn(name[0]), drop: unasked - 1})
	}
	if agent, ok := x.m.options[optRelayAgent]; ok && x.m.relayed() {
		tail = append(tail, item{code: optRelayAgent, data: agent})
	}
	return tail
}
