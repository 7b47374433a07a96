package answerer

import (
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/wire"
)

// member is one NIC of a group: MACs are unique within it.
type member struct {
	group string
	mac   nic.MAC
}

func memberOf(s *Setting) (m member, ok bool) {
	if s.Binding == nil || s.Binding.Group == "" {
		return member{}, false
	}
	return member{s.Binding.Group, s.Binding.MAC}, true
}

// enlist keeps who is where; called with mu held.
func (a *Answerer) enlist(index int, p *port) {
	if m, ok := memberOf(&p.setting); ok {
		a.members[m] = index
	}
}

// strike takes a NIC out of its group; called with mu held.
func (a *Answerer) strike(index int) {
	p := a.ports[index]
	if p == nil {
		return
	}
	if m, ok := memberOf(&p.setting); ok && a.members[m] == index {
		delete(a.members, m)
	}
}

// owner returns whose message came by the NIC on an ifindex: a host with
// several NICs may send what one of them has to say by another, as its routes
// tell it to (a unicast renewal), and is answered where it belongs. Called with
// mu held.
func (a *Answerer) owner(index int, packet Packet) (int, Packet) {
	own, ok := memberOf(&a.ports[index].setting)
	if !ok || packet.Reason != reason.DHCP4 {
		return index, packet
	}
	u, err := wire.ParseUDP4(packet.Frame)
	if err != nil || u.EthSrc != own.mac {
		return index, packet
	}
	mac, ok := dhcp4.ClientMAC(u.Payload)
	if !ok || mac == own.mac {
		return index, packet
	}
	other, ok := a.members[member{own.group, mac}]
	if !ok {
		return index, packet
	}
	packet.group = own.group
	return other, packet
}
