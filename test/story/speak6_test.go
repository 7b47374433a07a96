package story_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// Kinds of neighbour discovery messages (RFC 4861 section 4).
const (
	routerSolicitation    = 133
	routerAdvertisement   = 134
	neighbourSolicitation = 135
	neighbourAdvert       = 136
)

// Kinds of DHCPv6 messages (RFC 8415 section 7.3).
const (
	solicit6     = 1
	request6     = 3
	information6 = 11
	relay6       = 12
)

func allNodes() netip.Addr { return ip("ff02::1") }

// eui is the link-local address that a guest makes of its MAC.
func (g *guest) eui() netip.Addr { return g.mac.EUI64() }

// icmp6 frames a message of neighbour discovery as its RFC has it sent.
func (g *guest) icmp6(src, dst netip.Addr, message []byte) []byte {
	return wire.AppendICMP6(nil, wire.ICMP6{
		EthSrc: g.mac, EthDst: wire.GroupMAC(dst), Src: src, Dst: dst, HopLimit: 255, Message: message,
	})
}

// rs solicits routers, from :: without a link-layer address.
func (g *guest) rs(src netip.Addr) []byte {
	return g.icmp6(src, ip("ff02::2"), g.linkLayer([]byte{routerSolicitation, 0, 0, 0, 0, 0, 0, 0}, 1, src))
}

// ra claims to be a default router for half an hour, DHCPv6 beside it.
func (g *guest) ra(src netip.Addr) []byte {
	return g.icmp6(src, allNodes(), g.linkLayer([]byte{routerAdvertisement, 0, 0, 0, 64, 0xc0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}, 1, src))
}

// ns asks for a target; from :: it is duplicate address detection.
func (g *guest) ns(src, target netip.Addr) []byte {
	message := append([]byte{neighbourSolicitation, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
	return g.icmp6(src, solicitedNode(target), g.linkLayer(message, 1, src))
}

// na says unasked that a target is the guest's.
func (g *guest) na(src, target netip.Addr) []byte {
	message := append([]byte{neighbourAdvert, 0, 0, 0, 0x20, 0, 0, 0}, target.AsSlice()...)
	return g.icmp6(src, allNodes(), g.linkLayer(message, 2, src))
}

// linkLayer appends the option of a source's or target's MAC, unless the
// message comes from nobody.
func (g *guest) linkLayer(message []byte, kind byte, src netip.Addr) []byte {
	if src.IsUnspecified() {
		return message
	}
	return append(append(message, kind, 1), g.mac[:]...)
}

// solicitedNode is the group of RFC 4291 section 2.7.1.
func solicitedNode(a netip.Addr) netip.Addr {
	group, b := ip("ff02::1:ff00:0").As16(), a.As16()
	copy(group[13:], b[13:])
	return netip.AddrFrom16(group)
}

// hello6 is an ordinary frame of IPv6, marked by a text.
func (g *guest) hello6(src netip.Addr, text string) []byte {
	return wire.AppendUDP6(nil, wire.UDP6{
		EthSrc: g.mac, EthDst: wire.GroupMAC(allNodes()), Src: src, Dst: allNodes(),
		SrcPort: 4000, DstPort: 4001, Payload: []byte(text),
	})
}

// message6 is a client's DHCPv6 message with a number for its transaction:
// client identifier, elapsed time, an IA_NA and an IA_PD unless it is an
// Information-request, and the request for DNS servers.
func (g *guest) message6(kind byte, n int) []byte {
	b := append([]byte{kind, byte(n >> 16), byte(n >> 8), byte(n), 0, 1, 0, 10, 0, 3, 0, 1}, g.mac[:]...)
	b = append(b, 0, 8, 0, 2, 0, 0, 0, 6, 0, 2, 0, 23)
	if kind == information6 {
		return b
	}
	for _, ia := range []byte{3, 25} {
		b = append(b, 0, ia, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	return b
}

// forwarded is what a relay agent makes of a message of its client's.
func (g *guest) forwarded(message []byte) []byte {
	peer, link := g.eui().As16(), ip("2001:db8:1::1").As16()
	b := append([]byte{relay6, 0}, link[:]...)
	b = append(append(b, peer[:]...), 0, 9, byte(len(message)>>8), byte(len(message)))
	return append(b, message...)
}

// toServers frames a DHCPv6 message to all servers and relay agents.
func (g *guest) toServers(message []byte) []byte {
	dst := ip("ff02::1:2")
	return wire.AppendUDP6(nil, wire.UDP6{
		EthSrc: g.mac, EthDst: wire.GroupMAC(dst), Src: g.eui(), Dst: dst, SrcPort: 546, DstPort: 547, Payload: message,
	})
}

// advertise6 is a DHCPv6 server's offer to somebody.
func (g *guest) advertise6(to *guest, n int) []byte {
	b := append(to.message6(2, n), 0, 2, 0, 10, 0, 3, 0, 1)
	return wire.AppendUDP6(nil, wire.UDP6{
		EthSrc: g.mac, EthDst: to.mac, Src: g.eui(), Dst: to.eui(), SrcPort: 547, DstPort: 546, Payload: append(b, g.mac[:]...),
	})
}

// icmpIn decodes the ICMPv6 message in a frame; false if there is none.
func icmpIn(f testenv.Frame) (wire.ICMP6, bool) {
	m, err := wire.ParseICMP6(f.Data)
	return m, err == nil
}

// isND matches a kind of neighbour discovery message.
func isND(kind byte) testenv.Filter {
	return func(f testenv.Frame) bool {
		m, ok := icmpIn(f)
		return ok && m.Message[0] == kind
	}
}

// aboutTarget matches solicitations or advertisements of one target.
func aboutTarget(kind byte, target netip.Addr) testenv.Filter {
	return both(isND(kind), func(f testenv.Frame) bool {
		m, _ := icmpIn(f)
		return len(m.Message) >= 24 && bytes.Equal(m.Message[8:24], target.AsSlice())
	})
}

// isDHCP6 matches DHCPv6 of either direction, whether or not it can be decoded.
func isDHCP6(f testenv.Frame) bool {
	u, err := wire.ParseUDP6(f.Data)
	return err == nil && (u.DstPort == 546 || u.DstPort == 547 || u.SrcPort == 546 || u.SrcPort == 547)
}

// isControl6 matches what must stay between a NIC and berth.
func isControl6(f testenv.Frame) bool {
	return isDHCP6(f) || isND(routerSolicitation)(f) || isND(routerAdvertisement)(f)
}

// saidBy matches what berth itself says on a NIC's link: by its own MAC, or in
// the name of a gateway that nobody else speaks for.
func saidBy(gateway netip.Addr) testenv.Filter {
	return func(f testenv.Frame) bool {
		if from(nic.BerthMAC())(f) {
			return true
		}
		h, err := wire.ParseIP6(f.Data)
		return err == nil && (h.Src == gateway || h.Src == nic.BerthLinkLocal())
	}
}

// gives matches a DHCPv6 message of a kind that gives an address.
func gives(kind dhcpv6.MessageType, addr string) testenv.Filter {
	return func(f testenv.Frame) bool {
		m := dhcp6In(f)
		if m == nil || m.MessageType != kind || m.Options.OneIANA() == nil {
			return false
		}
		a := m.Options.OneIANA().Options.OneAddress()
		return a != nil && a.IPv6Addr.String() == addr
	}
}

// dhcp6In decodes the server's message in a frame with a decoder that is not
// berth's; nil if there is none.
func dhcp6In(f testenv.Frame) *dhcpv6.Message {
	u, err := wire.ParseUDP6(f.Data)
	if err != nil || u.DstPort != 546 {
		return nil
	}
	d, err := dhcpv6.FromBytes(u.Payload)
	if err != nil {
		return nil
	}
	m, _ := d.(*dhcpv6.Message)
	return m
}

// fence6 is fence with an address of IPv6.
func fence6(t testing.TB, g *guest, at *testenv.Sniffer) {
	t.Helper()
	text := "fence6 of " + g.port
	testenv.Inject(t, g.NS, "eth0", g.hello6(g.eui(), text))
	at.Wait(10*time.Second, text, carrying(text))
}
