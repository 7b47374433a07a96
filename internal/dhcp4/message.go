package dhcp4

import (
	"encoding/binary"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Offsets of the fixed fields (RFC 2131 section 2, figure 1).
const (
	offXID    = 4
	offFlags  = 10
	offCIAddr = 12
	offYIAddr = 16
	offSIAddr = 20
	offGIAddr = 24
	offCHAddr = 28
	offSName  = 44
	offFile   = 108
	offMagic  = 236
	offOption = 240

	snameLen = offFile - offSName
	fileLen  = offMagic - offFile

	opRequest     = 1
	opReply       = 2
	htypeEthernet = 1
	hlenEthernet  = 6

	flagBroadcast = 0x8000
	magicCookie   = 0x63825363
)

// messageType is option 53.
type messageType uint8

const (
	discover messageType = 1
	offer    messageType = 2
	request  messageType = 3
	decline  messageType = 4
	ack      messageType = 5
	nak      messageType = 6
	release  messageType = 7
	inform   messageType = 8
)

// String names what a client or this server sends, "" for everything else:
// the name becomes a metric label, so the guest must not be able to choose it.
func (t messageType) String() string {
	names := [...]string{
		discover: "DISCOVER", offer: "OFFER", request: "REQUEST", decline: "DECLINE",
		ack: "ACK", nak: "NAK", release: "RELEASE", inform: "INFORM",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return ""
}

// message is a client's message, read but not yet judged.
type message struct {
	fixed          []byte // the header up to the magic cookie
	xid            uint32
	flags          uint16
	ciaddr, giaddr netip.Addr
	chaddr         nic.MAC
	kind           messageType
	options        options
}

// parse reads a client's message. The reason says why it is none; what could
// be read up to there is returned all the same, for the log.
func parse(b []byte) (message, reason.Reason) {
	var m message
	if len(b) < offOption {
		return m, reason.DHCPMalformed
	}
	m.fixed = b[:offMagic]
	m.xid = binary.BigEndian.Uint32(b[offXID:])
	m.flags = binary.BigEndian.Uint16(b[offFlags:])
	m.ciaddr = addr4(b[offCIAddr:])
	m.giaddr = addr4(b[offGIAddr:])
	m.chaddr = nic.MAC(b[offCHAddr : offCHAddr+hlenEthernet])
	if b[0] != opRequest || b[1] != htypeEthernet || b[2] != hlenEthernet {
		return m, reason.DHCPNotRequest
	}
	if binary.BigEndian.Uint32(b[offMagic:]) != magicCookie {
		return m, reason.DHCPMalformed
	}
	return m, m.readOptions(b)
}

func (m *message) readOptions(b []byte) reason.Reason {
	var ok bool
	if m.options, ok = parseOptions(b); !ok {
		return reason.DHCPMalformed
	}
	kind, ok := m.options[optMessageType]
	if !ok {
		return reason.DHCPBOOTP
	}
	m.kind = messageType(kind[0])
	return reason.None
}

// relayed reports whether a relay agent forwarded the message.
func (m *message) relayed() bool { return !m.giaddr.IsUnspecified() }

// broadcast reports whether the client cannot receive unicast before it is
// configured (RFC 2131 4.1).
func (m *message) broadcast() bool { return m.flags&flagBroadcast != 0 }

// address returns a four-byte option as an address.
func (m *message) address(code uint8) (netip.Addr, bool) {
	v, ok := m.options[code]
	if !ok {
		return netip.Addr{}, false
	}
	return addr4(v), true
}

// uint32 returns a four-byte option, 0 if absent.
func (m *message) uint32(code uint8) uint32 {
	if v, ok := m.options[code]; ok {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }
