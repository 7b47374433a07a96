// Package dhcp6 is the definition of the DHCPv6 server (RFC 8415): what one
// binding answers to one message. It is pure; no address is ever chosen here.
//
// Not here: frames (wire), router advertisements (nd), sockets and rates
// (answerer), and who may send at all (guard).
//
// The codec is our own. A general library accepts what this server must
// refuse (a singleton option that comes twice, a length that lies inside an
// IA) and allocates for every option a guest can write. Tests hold the bytes
// to an independent decoder.
package dhcp6

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Server is one NIC's DHCPv6 server.
type Server struct {
	Binding *nic.Binding
	DUID    []byte     // the node's server identifier, for bindings that name none
	Addr    netip.Addr // the source of every reply, a link-local: nic.BerthLinkLocal
}

// Query is one UDP datagram to port 547 as the guest sent it.
type Query struct {
	EthSrc   nic.MAC
	Src, Dst netip.Addr
	Message  []byte // the UDP payload
}

// Reply is one datagram from port 547 for the NIC.
type Reply struct {
	DstMAC   nic.MAC
	Src, Dst netip.Addr
	DstPort  uint16 // 546, or 547 to a relay
	Message  []byte // the UDP payload
}

// Outcome is what came of one query. A reply may go with a reason (a
// refusal, a release); no reply always has one.
type Outcome struct {
	// Request is the client's message by its RFC name, "SOLICIT"; a relayed
	// one's own, "RELAY-FORW" only if it was not looked into; "" if
	// undetermined.
	Request string
	Answer  string // "ADVERTISE", "REPLY"; "" for silence
	// Addresses is what the exchange is about: the addresses (as /128) and
	// prefixes given, or those refused, declined or released.
	Addresses []netip.Prefix
	XID       uint32
	Reply     *Reply
	Reason    reason.Reason
}
