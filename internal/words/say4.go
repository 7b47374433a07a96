package words

import (
	"encoding/binary"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// xid is every message's, so that the same words are the same bytes. DHCPv6
// has the last three bytes of it.
const xid = 0x62657274

// boot is a DHCPv4 message (RFC 2131 section 2).
type boot struct {
	op, kind byte
	ciaddr   netip.Addr
	yiaddr   netip.Addr
	chaddr   nic.MAC
	options  []byte // as on the wire, beside the type
}

func (m boot) bytes() []byte {
	b := make([]byte, 240, 300)
	b[0], b[1], b[2] = m.op, 1, 6
	binary.BigEndian.PutUint32(b[4:], xid)
	copy(b[12:], slice4(m.ciaddr))
	copy(b[16:], slice4(m.yiaddr))
	copy(b[28:], m.chaddr[:])
	binary.BigEndian.PutUint32(b[236:], 0x63825363)
	b = append(b, 53, 1, m.kind)
	b = append(b, m.options...)
	b = append(b, 255)
	return append(b, make([]byte, max(0, 300-len(b)))...) // BOOTP's least (RFC 1542 2.1)
}

// slice4 is empty for what is no IPv4 address.
func slice4(a netip.Addr) []byte {
	if !a.Is4() {
		return nil
	}
	return a.AsSlice()
}

// wanted is the parameter request list of an ordinary client.
func wanted() []byte { return []byte{55, 11, 1, 3, 6, 12, 15, 26, 28, 42, 51, 119, 121} }

// naming is an option that is an address; nothing if there is none.
func naming(code byte, a netip.Addr) []byte {
	if !a.Is4() {
		return nil
	}
	return append([]byte{code, 4}, a.AsSlice()...)
}

// client sends a message from an address, by broadcast unless to a server.
func (s *sentence) client(src, server netip.Addr, m boot) []byte {
	m.op, m.chaddr = 1, s.speaker.mac
	u := wire.UDP4{EthSrc: s.speaker.mac, EthDst: broadcast(), Src: src, Dst: server, SrcPort: 68, DstPort: 67, Payload: m.bytes()}
	if server.Is4() {
		u.EthDst = s.other.mac
	} else {
		u.Dst = broadcast4()
	}
	return wire.AppendUDP4(nil, u)
}

func (s *sentence) discover() []byte {
	return s.client(netip.Addr{}, netip.Addr{}, boot{kind: 1, options: wanted()})
}

func (s *sentence) request() []byte {
	return s.client(netip.Addr{}, netip.Addr{}, boot{kind: 3, options: cat(naming(50, s.addr), naming(54, s.nic.ServerID), wanted())})
}

func (s *sentence) reboot() []byte {
	return s.client(netip.Addr{}, netip.Addr{}, boot{kind: 3, options: cat(naming(50, s.addr), wanted())})
}

func (s *sentence) renew() []byte {
	return s.client(s.addr, s.nic.ServerID, boot{kind: 3, ciaddr: s.addr, options: wanted()})
}

func (s *sentence) rebind() []byte {
	return s.client(s.addr, netip.Addr{}, boot{kind: 3, ciaddr: s.addr, options: wanted()})
}

func (s *sentence) inform() []byte {
	return s.client(s.addr, netip.Addr{}, boot{kind: 8, ciaddr: s.addr, options: wanted()})
}

func (s *sentence) decline() []byte {
	return s.client(netip.Addr{}, netip.Addr{}, boot{kind: 4, options: cat(naming(50, s.addr), naming(54, s.nic.ServerID))})
}

func (s *sentence) release() []byte {
	return s.client(s.addr, s.nic.ServerID, boot{kind: 7, ciaddr: s.addr, options: naming(54, s.nic.ServerID)})
}

// offer is what the speaker would send as a server, to all.
func (s *sentence) offer() []byte {
	m := boot{op: 2, kind: 2, yiaddr: s.addr, chaddr: s.other.mac, options: naming(54, s.speaker.a4)}
	return wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: s.speaker.mac, EthDst: broadcast(), Src: s.speaker.a4, Dst: broadcast4(), SrcPort: 67, DstPort: 68, Payload: m.bytes(),
	})
}

// who is ARP about an address, from a sender address (RFC 826, RFC 5227).
func (s *sentence) who(from netip.Addr) []byte {
	return wire.AppendARP(nil, wire.ARP{
		EthSrc: s.speaker.mac, EthDst: broadcast(), Op: 1, SenderMAC: s.speaker.mac, SenderIP: from, TargetIP: s.addr,
	})
}

func (s *sentence) ask() []byte      { return s.who(s.speaker.a4) }
func (s *sentence) probe() []byte    { return s.who(netip.Addr{}) }
func (s *sentence) announce() []byte { return s.who(s.addr) }

// datagram is UDP of either family.
func (s *sentence) datagram() []byte {
	const text = "berth trace"
	if s.addr.Is4() {
		return wire.AppendUDP4(nil, wire.UDP4{
			EthSrc: s.speaker.mac, EthDst: s.next(s.to), Src: s.addr, Dst: s.to, SrcPort: 40000, DstPort: s.port, Payload: []byte(text),
		})
	}
	return wire.AppendUDP6(nil, wire.UDP6{
		EthSrc: s.speaker.mac, EthDst: s.next(s.to), Src: s.addr, Dst: s.to, SrcPort: 40000, DstPort: s.port, Payload: []byte(text),
	})
}

// next is the Ethernet destination of a packet (RFC 1112 6.4, RFC 2464 7).
func (s *sentence) next(to netip.Addr) nic.MAC {
	switch {
	case to == broadcast4():
		return broadcast()
	case to.Is4() && to.IsMulticast():
		b := to.As4()
		return nic.MAC{0x01, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
	case to.IsMulticast():
		return wire.GroupMAC(to)
	}
	return s.other.mac
}

func broadcast() nic.MAC { return nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

func broadcast4() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

func cat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
