package dhcp6

import (
	"slices"

	"github.com/berth-net/berth/internal/reason"
)

const (
	// relayHeader is the type, hop-count, link-address and peer-address of a
	// relay message (RFC 8415 9.1).
	relayHeader = 1 + 1 + 16 + 16
	// hopCountLimit is HOP_COUNT_LIMIT of RFC 8415 7.6.
	hopCountLimit = 8
)

// relay is what one relay agent wants to see again.
type relay struct {
	header []byte // as received
	echo   []byte // its options to return, encoded
}

// unwrap takes a client's message out of the relay messages around it.
func (x *exchange) unwrap() ([]byte, reason.Reason) {
	b := x.query.Message
	for len(b) > 0 && messageType(b[0]) == relayForw {
		x.m.kind = relayForw
		if !x.Binding.DHCP6.Relay {
			return nil, reason.DHCPRelayed
		}
		r, inner, ok := parseRelay(b)
		if !ok || len(x.relays) == hopCountLimit {
			return nil, reason.DHCPMalformed
		}
		x.relays = append(x.relays, r)
		b = inner
	}
	return b, reason.None
}

func parseRelay(b []byte) (relay, []byte, bool) {
	if len(b) < relayHeader || b[1] > hopCountLimit {
		return relay{}, nil, false
	}
	s := singles{}
	ok := walk(b[relayHeader:], func(code uint16, data []byte) bool {
		switch code {
		case optRelayMessage, optInterfaceID, optEchoRequest:
			return s.add(code, data)
		}
		return true
	})
	inner, whole := s[optRelayMessage]
	if !ok || !whole || len(s[optEchoRequest])%2 != 0 {
		return relay{}, nil, false
	}
	return relay{header: b[:relayHeader], echo: echoes(b[relayHeader:], s[optEchoRequest])}, inner, true
}

// echoes returns the Interface-ID (RFC 8415 19.3) and what the relay agent
// asks to have back (RFC 4994 section 5), in its order.
func echoes(list, wanted []byte) []byte {
	back := map[uint16]bool{}
	for _, c := range codes(wanted) {
		back[c] = true
	}
	back[optInterfaceID], back[optRelayMessage], back[optEchoRequest] = true, false, false
	var b []byte
	walk(list, func(code uint16, data []byte) bool {
		if back[code] {
			b = option{code, data}.appendTo(b)
		}
		return true
	})
	return b
}

// relayed reports whether a relay agent forwarded the message.
func (x *exchange) relayed() bool { return len(x.relays) > 0 }

// wrap puts a reply into one RELAY-REPL for each relay agent, which copies
// hop-count and addresses (RFC 8415 19.3).
func (x *exchange) wrap(b []byte) []byte {
	for _, r := range slices.Backward(x.relays) {
		outer := append([]byte{byte(relayRepl)}, r.header[1:]...)
		outer = append(outer, r.echo...)
		b = option{optRelayMessage, b}.appendTo(outer)
	}
	return b
}

// wrapping is what wrap adds to a reply.
func (x *exchange) wrapping() int {
	n := 0
	for _, r := range x.relays {
		n += relayHeader + len(r.echo) + optionHeader
	}
	return n
}
