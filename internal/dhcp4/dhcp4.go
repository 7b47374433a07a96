// Package dhcp4 is the definition of the DHCPv4 server: what one binding
// answers to one message. It is pure; no address is ever chosen here.
//
// Not here: frames (wire), sockets and rates (answerer), and who may send at
// all (guard).
//
// The codec is our own. What a general library offers beyond the fixed header
// is a map of options, and this server needs what a map loses: the order the
// client asked for, option overload (RFC 2131 4.1), which field an option was
// in, and how often it came. Tests hold the bytes to an independent decoder.
package dhcp4

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Server is one NIC's DHCPv4 server: its binding and the server identifier
// resolved for it, never 0.0.0.0.
type Server struct {
	Binding *nic.Binding
	ID      netip.Addr
}

// Query is one UDP datagram to port 67 as the guest sent it.
type Query struct {
	EthSrc   nic.MAC
	Src, Dst netip.Addr
	Message  []byte // the UDP payload
}

// Reply is one datagram from port 67 for the NIC.
type Reply struct {
	DstMAC   nic.MAC
	Src, Dst netip.Addr
	DstPort  uint16 // 68, or 67 to a relay
	Message  []byte // the UDP payload
}

// Outcome is what came of one query. A reply may go with a reason (a NAK); no
// reply always has one.
type Outcome struct {
	Request string // the client's message, "DISCOVER"; "" if undetermined
	Answer  string // "OFFER", "ACK", "NAK"; "" for silence
	// Address is what the exchange is about: the address given, or the one
	// refused, informed about, declined or released; zero if none was named.
	Address netip.Addr
	XID     uint32
	Reply   *Reply
	Reason  reason.Reason
}
