package link

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Way is a port by which a bridge lets out what comes in untagged by another one.
type Way struct {
	Index int
	VLAN  uint16 // that it is tagged with; 0: untagged
}

// The kernel's numbers, of linux/if_link.h and linux/if_bridge.h.
const (
	portState  = 1 // IFLA_BRPORT_STATE
	forwarding = 3 // BR_STATE_FORWARDING
)

// Ways returns those out of a bridge for what comes in untagged by one of its
// ports: the other ports that forward, of its VLAN if the bridge filters them.
func Ways(bridge, port int) ([]Way, error) {
	all, err := bridgePorts(bridge)
	if err != nil {
		return nil, fmt.Errorf("ports of bridge ifindex %d: %w", bridge, err)
	}
	filters, err := filtersVLANs(bridge)
	if err != nil {
		return nil, err
	}
	var ways []Way
	for index, p := range all {
		if index == port || !p.forwards {
			continue
		}
		way := Way{Index: index}
		if filters {
			own := all[port].pvid
			flags, member := p.vlans[own]
			if own == 0 || !member {
				continue
			}
			if flags&nl.BRIDGE_VLAN_INFO_UNTAGGED == 0 {
				way.VLAN = own
			}
		}
		ways = append(ways, way)
	}
	return ways, nil
}

func filtersVLANs(bridge int) (bool, error) {
	l, err := netlink.LinkByIndex(bridge)
	if err != nil {
		return false, fmt.Errorf("look at bridge ifindex %d: %w", bridge, err)
	}
	b, ok := l.(*netlink.Bridge)
	return ok && b.VlanFiltering != nil && *b.VlanFiltering, nil
}

// bridgePort is a port as the bridge has it.
type bridgePort struct {
	master   int
	forwards bool
	pvid     uint16
	vlans    map[uint16]uint16 // flags, by VLAN
}

func bridgePorts(bridge int) (map[int]bridgePort, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(nl.RTEXT_FILTER_BRVLAN)))
	msgs, err := whole(func() ([][]byte, error) { return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK) })
	if err != nil {
		return nil, err
	}
	all := map[int]bridgePort{}
	for _, m := range msgs {
		if len(m) < unix.SizeofIfInfomsg {
			return nil, fmt.Errorf("link message of %d bytes", len(m))
		}
		p := bridgePort{vlans: map[uint16]uint16{}}
		if err := eachAttr(m[unix.SizeofIfInfomsg:], p.attr); err != nil {
			return nil, err
		}
		if p.master == bridge {
			all[int(int32(binary.NativeEndian.Uint32(m[4:])))] = p
		}
	}
	return all, nil
}

// attr reads an attribute of a port.
func (p *bridgePort) attr(kind uint16, v []byte) error {
	switch {
	case kind == unix.IFLA_MASTER && len(v) >= 4:
		p.master = int(binary.NativeEndian.Uint32(v))
	case kind == unix.IFLA_PROTINFO:
		return eachAttr(v, func(kind uint16, v []byte) error {
			if kind == portState && len(v) > 0 {
				p.forwards = v[0] == forwarding
			}
			return nil
		})
	case kind == unix.IFLA_AF_SPEC:
		return eachAttr(v, func(kind uint16, v []byte) error {
			if kind == nl.IFLA_BRIDGE_VLAN_INFO && len(v) >= 4 { // struct bridge_vlan_info
				flags, id := binary.NativeEndian.Uint16(v), binary.NativeEndian.Uint16(v[2:])
				p.vlans[id] = flags
				if flags&nl.BRIDGE_VLAN_INFO_PVID != 0 {
					p.pvid = id
				}
			}
			return nil
		})
	}
	return nil
}
