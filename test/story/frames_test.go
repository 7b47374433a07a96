package story_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func broadcastMAC() nic.MAC { return nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// udp is a datagram between named ends.
type udp = wire.UDP4

func frame(u udp) []byte { return wire.AppendUDP4(nil, u) }

// dhcpIn decodes the DHCP message in a frame with a decoder that is not
// berth's; nil if there is none.
func dhcpIn(f testenv.Frame) *dhcpv4.DHCPv4 {
	u, err := wire.ParseUDP4(f.Data)
	if err != nil || u.DstPort != 67 && u.DstPort != 68 {
		return nil
	}
	m, err := dhcpv4.FromBytes(u.Payload)
	if err != nil {
		return nil
	}
	return m
}

// dhcpOf matches DHCP about a MAC: by chaddr or by either Ethernet address,
// whether or not it can be decoded.
func dhcpOf(mac nic.MAC) testenv.Filter {
	return func(f testenv.Frame) bool {
		u, err := wire.ParseUDP4(f.Data)
		if err != nil || u.DstPort != 67 && u.DstPort != 68 {
			return false
		}
		return u.EthSrc == mac || u.EthDst == mac || len(u.Payload) >= 34 && bytes.Equal(u.Payload[28:34], mac[:])
	}
}

// from matches frames a MAC sent.
func from(mac nic.MAC) testenv.Filter {
	return func(f testenv.Frame) bool { return len(f.Data) >= 12 && bytes.Equal(f.Data[6:12], mac[:]) }
}

// carrying matches frames that contain a text.
func carrying(text string) testenv.Filter {
	return func(f testenv.Frame) bool { return bytes.Contains(f.Data, []byte(text)) }
}

// both matches what both filters do.
func both(a, b testenv.Filter) testenv.Filter {
	return func(f testenv.Frame) bool { return a(f) && b(f) }
}

// reply matches a server's message of a type to a MAC.
func reply(mac nic.MAC, kind dhcpv4.MessageType) testenv.Filter {
	return func(f testenv.Frame) bool {
		m := dhcpIn(f)
		return m != nil && m.OpCode == dhcpv4.OpcodeBootReply && m.MessageType() == kind && bytes.Equal(m.ClientHWAddr, mac[:])
	}
}

// replyTo matches the answer to one message.
func replyTo(xid dhcpv4.TransactionID) testenv.Filter {
	return func(f testenv.Frame) bool {
		m := dhcpIn(f)
		return m != nil && m.OpCode == dhcpv4.OpcodeBootReply && m.TransactionID == xid
	}
}

// count is how many of the frames match.
func count(frames []testenv.Frame, match testenv.Filter) int {
	n := 0
	for _, f := range frames {
		if match(f) {
			n++
		}
	}
	return n
}

// request is a client's message, the way the guest's own would be.
func (g *guest) request(t testing.TB, kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	t.Helper()
	mods = append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(net.HardwareAddr(g.mac[:])), dhcpv4.WithMessageType(kind), dhcpv4.WithBroadcast(false),
	}, mods...)
	m, err := dhcpv4.New(mods...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// broadcast frames a message as a client without an address sends it.
func (g *guest) broadcast(m *dhcpv4.DHCPv4) []byte {
	return frame(udp{
		EthSrc: g.mac, EthDst: broadcastMAC(), Src: ip("0.0.0.0"), Dst: ip("255.255.255.255"),
		SrcPort: 68, DstPort: 67, Payload: m.ToBytes(),
	})
}

// unicast frames a message as a renewing client sends it to one server.
func (g *guest) unicast(m *dhcpv4.DHCPv4, to string) []byte {
	src, _ := netip.AddrFromSlice(m.ClientIPAddr.To4())
	return frame(udp{
		EthSrc: g.mac, EthDst: nic.MAC{0x52, 0x54, 0, 0xff, 0, 1}, Src: src, Dst: ip(to),
		SrcPort: 68, DstPort: 67, Payload: m.ToBytes(),
	})
}

// hello is an ordinary frame that the guest may send, marked by a text.
func (g *guest) hello(src netip.Addr, text string) []byte {
	return frame(udp{
		EthSrc: g.mac, EthDst: broadcastMAC(), Src: src, Dst: ip("192.0.2.255"),
		SrcPort: 4000, DstPort: 4001, Payload: []byte(text),
	})
}

// spoofMark is in every frame that must never be seen, where it has room.
const spoofMark = "SPOOFED!"

// Identities that no NIC of a test has.
func strangerMAC() nic.MAC    { return nic.MAC{0x52, 0x54, 0, 0xee, 0, 0xee} }
func strangerIP() netip.Addr  { return ip("192.0.2.99") }
func isSpoof() testenv.Filter { return carrying(spoofMark) }
func rogueServer() netip.Addr { return ip("192.0.2.98") }

// spoofs are one frame of each kind that a guest must not send: another's
// MAC, another's address, ARP for either, and a DHCP server's offer.
func (g *guest) spoofs() [][]byte {
	data := []byte(spoofMark)
	offer, err := dhcpv4.New(dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer), dhcpv4.WithHwAddr(net.HardwareAddr(g.mac[:])),
		dhcpv4.WithGeneric(dhcpv4.OptionMessage, data))
	if err != nil {
		panic(err) // no randomness left in the machine
	}
	offer.OpCode = dhcpv4.OpcodeBootReply
	all := broadcastMAC()
	return [][]byte{
		frame(udp{EthSrc: strangerMAC(), EthDst: all, Src: g.addr, Dst: ip("192.0.2.255"), SrcPort: 4000, DstPort: 4001, Payload: data}),
		frame(udp{EthSrc: g.mac, EthDst: all, Src: strangerIP(), Dst: ip("192.0.2.255"), SrcPort: 4000, DstPort: 4001, Payload: data}),
		arp(arpFields{src: g.mac, sha: g.mac, spa: strangerIP(), tpa: strangerIP()}),
		arp(arpFields{src: g.mac, sha: strangerMAC(), spa: g.addr, tpa: g.addr}),
		frame(udp{EthSrc: g.mac, EthDst: all, Src: rogueServer(), Dst: ip("255.255.255.255"), SrcPort: 67, DstPort: 68, Payload: offer.ToBytes()}),
	}
}

// arpFields are those a spoofer chooses.
type arpFields struct {
	src, sha nic.MAC
	spa, tpa netip.Addr
}

// arp is a broadcast request; its padding carries the mark.
func arp(a arpFields) []byte {
	to := broadcastMAC()
	b := append(append(to[:], a.src[:]...), 0x08, 0x06)
	b = binary.BigEndian.AppendUint16(b, 1)
	b = append(b, 0x08, 0x00, 6, 4, 0, 1)
	b = append(append(b, a.sha[:]...), a.spa.AsSlice()...)
	b = append(append(b, make([]byte, 6)...), a.tpa.AsSlice()...)
	b = append(b, spoofMark...)
	return append(b, make([]byte, 60-len(b))...)
}
