package words

import (
	"encoding/binary"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

func allNodes() netip.Addr { return netip.MustParseAddr("ff02::1") }

func allRouters() netip.Addr { return netip.MustParseAddr("ff02::2") }

// allServers is All_DHCP_Relay_Agents_and_Servers (RFC 8415 7.1).
func allServers() netip.Addr { return netip.MustParseAddr("ff02::1:2") }

// opt6 is one option of DHCPv6.
func opt6(code uint16, data ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// duid is a DUID-LL (RFC 8415 11.4).
func duid(m nic.MAC) []byte { return append([]byte{0, 3, 0, 1}, m[:]...) }

// association is an IA_NA or IA_PD with what is in it.
func association(code uint16, inner []byte) []byte {
	return opt6(code, append([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, inner...)...)
}

// holding is the IA_NA of an address whose lifetimes the client leaves to the
// server.
func holding(a netip.Addr) []byte {
	return association(3, opt6(5, append(a.AsSlice(), make([]byte, 8)...)...))
}

func head6(kind byte) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|xid&0xffffff)
}

// client6 is a client's message (RFC 8415 section 16), to its server if that is
// to be named.
func (s *sentence) client6(kind byte, toServer bool) []byte {
	m := append(head6(kind), opt6(1, duid(s.speaker.mac)...)...)
	if toServer && s.nic.ServerDUID != nil {
		m = append(m, opt6(2, s.nic.ServerDUID...)...)
	}
	if s.addr.IsValid() {
		m = append(m, holding(s.addr)...)
	} else if kind == 1 {
		m = append(m, s.wishes()...)
	}
	m = append(m, opt6(6, 0, 23, 0, 24, 0, 82, 0, 83)...)
	m = append(m, opt6(8, 0, 0)...)
	return wire.AppendUDP6(nil, wire.UDP6{
		EthSrc: s.speaker.mac, EthDst: wire.GroupMAC(allServers()), Src: s.speaker.a6, Dst: allServers(), SrcPort: 546, DstPort: 547, Payload: m,
	})
}

// wishes are what a client without an address asks for.
func (s *sentence) wishes() []byte {
	if !s.nic.Prefixes {
		return association(3, nil)
	}
	return append(association(3, nil), association(25, nil)...)
}

// advertise6 is what the speaker would answer as a server.
func (s *sentence) advertise6() []byte {
	m := cat(head6(2), opt6(1, duid(s.other.mac)...), opt6(2, duid(s.speaker.mac)...), holding(s.addr))
	return wire.AppendUDP6(nil, wire.UDP6{
		EthSrc: s.speaker.mac, EthDst: s.other.mac, Src: s.speaker.a6, Dst: s.other.a6, SrcPort: 547, DstPort: 546, Payload: m,
	})
}

// neighbour frames neighbour discovery (RFC 4861 section 4).
func (s *sentence) neighbour(src, dst netip.Addr, message []byte) []byte {
	return wire.AppendICMP6(nil, wire.ICMP6{
		EthSrc: s.speaker.mac, EthDst: wire.GroupMAC(dst), Src: src, Dst: dst, HopLimit: 255, Message: message,
	})
}

// mine is a link-layer address option with the speaker's MAC.
func (s *sentence) mine(kind byte) []byte { return append([]byte{kind, 1}, s.speaker.mac[:]...) }

func (s *sentence) solicitRouter() []byte {
	return s.neighbour(s.speaker.a6, allRouters(), append([]byte{133, 0, 0, 0, 0, 0, 0, 0}, s.mine(1)...))
}

// advertiseRouter is of a default router for half an hour.
func (s *sentence) advertiseRouter() []byte {
	return s.neighbour(s.speaker.a6, allNodes(), append([]byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}, s.mine(1)...))
}

// solicited is the group that a solicitation for an address goes to (RFC 4291
// 2.7.1).
func solicited(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

func target(kind, flags byte, a netip.Addr) []byte {
	return append([]byte{kind, 0, 0, 0, flags, 0, 0, 0}, a.AsSlice()...)
}

func (s *sentence) solicit() []byte {
	return s.neighbour(s.speaker.a6, solicited(s.addr), append(target(135, 0, s.addr), s.mine(1)...))
}

func (s *sentence) detect() []byte {
	return s.neighbour(netip.IPv6Unspecified(), solicited(s.addr), target(135, 0, s.addr))
}

// advertise is unsolicited, and overrides what was known; its source is the
// address itself.
func (s *sentence) advertise() []byte {
	return s.neighbour(s.addr, allNodes(), append(target(136, 0x20, s.addr), s.mine(2)...))
}

// ServerDUID finds the server's identifier in a frame with a DHCPv6 message;
// nil if there is none.
func ServerDUID(frame []byte) (found []byte) {
	u, err := wire.ParseUDP6(frame)
	if err != nil || len(u.Payload) < 4 {
		return nil
	}
	each6(u.Payload[4:], func(code uint16, data []byte) {
		if code == 2 {
			found = data
		}
	})
	return found
}

// NamesServer reports whether a sentence has a DHCPv6 server's identifier in
// it, which its NIC must have for it.
func NamesServer(words []string) bool {
	for len(words) > 2 && (words[0] == "from" || words[0] == "to") {
		words = words[2:]
	}
	f, _, _ := findForm(words) // what is no sentence names nobody
	switch f.words {
	case "dhcp6 request", "dhcp6 renew", "dhcp6 decline", "dhcp6 release":
		return true
	}
	return false
}
