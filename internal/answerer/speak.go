package answerer

import (
	"fmt"
	"net/netip"

	"github.com/berth-net/berth/internal/arp"
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/wire"
)

// speak asks the protocol that a packet was taken for, and frames its reply;
// nil for silence.
func (a *Answerer) speak(p *port, packet Packet) (Exchange, []byte) {
	switch packet.Reason {
	case reason.DHCP4:
		return p.dhcp4(packet)
	case reason.DHCP6:
		return p.dhcp6(packet.Frame, a.duid)
	case reason.RouterSolicit, reason.NeighbourSolicit:
		return p.nd(packet.Frame)
	case reason.ARPRequest:
		return p.arp(packet.Frame)
	default: // of a kernel program newer than this daemon
		return Exchange{Reason: reason.DHCPMalformed}, nil
	}
}

func (p *port) dhcp4(packet Packet) (Exchange, []byte) {
	u, err := wire.ParseUDP4(packet.Frame)
	if err != nil {
		return Exchange{Reason: reason.DHCPMalformed}, nil
	}
	if packet.group != "" && packet.group == p.setting.Binding.Group {
		// The group vouches for it, unless the NIC has left it meanwhile.
		u.EthSrc = p.setting.Binding.MAC
	}
	o := dhcp4.Answer(dhcp4.Server{Binding: p.setting.Binding, ID: p.setting.ServerID},
		dhcp4.Query{EthSrc: u.EthSrc, Src: u.Src, Dst: u.Dst, Message: u.Payload})
	x := Exchange{
		Request: o.Request, Answer: o.Answer, Addresses: one(o.Address),
		XID: fmt.Sprintf("%08x", o.XID), Reason: o.Reason,
	}
	if o.Reply == nil {
		return x, nil
	}
	return x, wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: nic.BerthMAC(), EthDst: o.Reply.DstMAC,
		Src: o.Reply.Src, Dst: o.Reply.Dst, SrcPort: 67, DstPort: o.Reply.DstPort,
		Payload: o.Reply.Message,
	})
}

func (p *port) dhcp6(frame, duid []byte) (Exchange, []byte) {
	u, err := wire.ParseUDP6(frame)
	if err != nil {
		return Exchange{Reason: reason.DHCPMalformed}, nil
	}
	o := dhcp6.Answer(dhcp6.Server{Binding: p.setting.Binding, DUID: duid, Addr: nic.BerthLinkLocal()},
		dhcp6.Query{EthSrc: u.EthSrc, Src: u.Src, Dst: u.Dst, Message: u.Payload})
	x := Exchange{
		Request: o.Request, Answer: o.Answer, Addresses: o.Addresses,
		XID: fmt.Sprintf("%06x", o.XID), Reason: o.Reason,
	}
	if o.Reply == nil {
		return x, nil
	}
	return x, wire.AppendUDP6(nil, wire.UDP6{
		EthSrc: nic.BerthMAC(), EthDst: o.Reply.DstMAC,
		Src: o.Reply.Src, Dst: o.Reply.Dst, SrcPort: 547, DstPort: o.Reply.DstPort,
		Payload: o.Reply.Message,
	})
}

func (p *port) nd(frame []byte) (Exchange, []byte) {
	m, err := wire.ParseICMP6(frame)
	if err != nil {
		return Exchange{Reason: reason.NDInvalid}, nil
	}
	o := nd.Answer(p.router(), nd.Solicitation{
		EthSrc: m.EthSrc, Src: m.Src, Dst: m.Dst, HopLimit: m.HopLimit, Message: m.Message,
	}, p.gone)
	x := Exchange{Request: o.Request, Answer: o.Answer, Addresses: one(o.Address), Reason: o.Reason}
	if o.Reply == nil {
		return x, nil
	}
	return x, encodeND(*o.Reply)
}

func (p *port) arp(frame []byte) (Exchange, []byte) {
	m, err := wire.ParseARP(frame)
	if err != nil {
		return Exchange{Reason: reason.NDInvalid}, nil
	}
	o := arp.Answer(p.responder(), arp.Request{
		EthSrc: m.EthSrc, Op: m.Op, SenderMAC: m.SenderMAC, SenderIP: m.SenderIP, TargetIP: m.TargetIP,
	})
	x := Exchange{Request: o.Request, Answer: o.Answer, Addresses: one(o.Address), Reason: o.Reason}
	if o.Reply == nil {
		return x, nil
	}
	r := o.Reply
	return x, wire.AppendARP(nil, wire.ARP{
		EthSrc: r.SrcMAC, EthDst: r.DstMAC, Op: arp.OpReply,
		SenderMAC: r.SenderMAC, SenderIP: r.SenderIP, TargetMAC: r.DstMAC, TargetIP: r.TargetIP,
	})
}

// announcements are frames that say unasked where the neighbours of a routed
// NIC are.
func (p *port) announcements() [][]byte {
	var frames [][]byte
	for _, x := range arp.Announcements(p.responder()) {
		frames = append(frames, announceARP(x.IP, x.MAC)...)
	}
	for _, r := range nd.Announcements(p.router()) {
		frames = append(frames, encodeND(r))
	}
	return frames
}

// Announcement are the frames that tell the site that an address is behind mac:
// the guest's own, or for a routed NIC the host's on the link to the site.
func Announcement(a netip.Addr, mac nic.MAC) [][]byte {
	if a.Is4() {
		return announceARP(a, mac)
	}
	return [][]byte{encodeND(nd.ProxyAnnouncement(a, mac))}
}

// announceARP has both forms of ARP: hosts differ in which they heed.
func announceARP(a netip.Addr, mac nic.MAC) [][]byte {
	broadcast := nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	m := wire.ARP{EthSrc: mac, EthDst: broadcast, Op: arp.OpRequest, SenderMAC: mac, SenderIP: a, TargetIP: a}
	request := wire.AppendARP(nil, m)
	m.Op, m.TargetMAC = arp.OpReply, broadcast
	return [][]byte{request, wire.AppendARP(nil, m)}
}

func (p *port) responder() arp.Responder {
	return arp.Responder{
		Binding: p.setting.Binding, ServerID: p.setting.ServerID, Former: p.setting.FormerIDs, GatewayMAC: p.setting.GatewayMAC,
	}
}

func (p *port) router() nd.Router {
	return nd.Router{Binding: p.setting.Binding, GatewayMAC: p.setting.GatewayMAC}
}

// encodeND frames neighbour discovery, which is sent with hop limit 255 (RFC
// 4861 section 4).
func encodeND(r nd.Reply) []byte {
	return wire.AppendICMP6(nil, wire.ICMP6{
		EthSrc: r.SrcMAC, EthDst: r.DstMAC, Src: r.Src, Dst: r.Dst, HopLimit: 255, Message: r.Message,
	})
}

// one is a list of an address, empty if there is none.
func one(a netip.Addr) []netip.Prefix {
	if !a.IsValid() || a.IsUnspecified() {
		return nil
	}
	return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
}
