package hostroute

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/route"
)

// entry is a route as the kernel tells it, of whomever.
type entry struct {
	route.Route
	index    int // 0: several next hops, or none
	kind     uint8
	protocol uint8
	cached   bool
}

// ours needs the protocol only: nobody else writes it.
func (e entry) ours() bool {
	return e.protocol == Protocol && e.index != 0 && !e.cached
}

// String is the route as iproute2 writes it, for the operator who looks for it.
func (e entry) String() string {
	r := e.Route
	r.Table = 0
	s := fmt.Sprintf("%v dev #%d proto %d", r, e.index, e.protocol)
	if e.Table != 0 {
		s += fmt.Sprintf(" table %d", e.Table)
	}
	switch e.kind {
	case unix.RTN_LOCAL:
		return "local " + s
	case unix.RTN_BROADCAST:
		return "broadcast " + s
	case unix.RTN_ANYCAST:
		return "anycast " + s
	}
	return s
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func attr(kind int, value []byte) nl.NetlinkRequestData { return nl.NewRtAttr(kind, value) }

// routeMessage is struct rtmsg and its attributes (rtnetlink(7)).
func routeMessage(index int, r route.Route) []nl.NetlinkRequestData {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Protocol = family(r.To.Addr()), uint8(r.To.Bits()), Protocol
	data := []nl.NetlinkRequestData{
		m, attr(unix.RTA_DST, r.To.Addr().AsSlice()), attr(unix.RTA_OIF, native32(index)),
	}
	if r.Table != 0 {
		m.Table = unix.RT_TABLE_UNSPEC
		data = append(data, attr(unix.RTA_TABLE, native32(int(r.Table))))
	}
	if !r.Via.IsValid() {
		m.Scope = unix.RT_SCOPE_LINK // IPv6 has no scopes
		return data
	}
	// No route leads to the next hop: take it as on link unseen.
	m.Flags = unix.RTNH_F_ONLINK
	return append(data, attr(unix.RTA_GATEWAY, r.Via.AsSlice()))
}

// goneRouteMessage asks for the removal of the very route: destination,
// protocol, link and next hop must agree, so that no other one can be hit.
func goneRouteMessage(index int, r route.Route) []nl.NetlinkRequestData {
	data := routeMessage(index, r)
	m := nl.NewRtDelMsg() // of any scope
	m.Family, m.Dst_len, m.Protocol = family(r.To.Addr()), uint8(r.To.Bits()), Protocol
	if r.Table != 0 {
		m.Table = unix.RT_TABLE_UNSPEC
	}
	data[0] = m
	return data
}

// routeFilter selects in the kernel: a host may hold a whole Internet's routes.
func routeFilter(family uint8, index int) []nl.NetlinkRequestData {
	data := []nl.NetlinkRequestData{&nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Protocol: Protocol}}}
	if index != 0 {
		data = append(data, attr(unix.RTA_OIF, native32(index)))
	}
	return data
}

// tableFilter selects all routes of one table.
func tableFilter(family uint8, table uint32) []nl.NetlinkRequestData {
	return []nl.NetlinkRequestData{
		&nl.RtMsg{RtMsg: unix.RtMsg{Family: family}}, attr(unix.RTA_TABLE, native32(int(table))),
	}
}

// lookupMessage asks for the table entry that a packet to a would take.
func lookupMessage(a netip.Addr) []nl.NetlinkRequestData {
	m := &nl.RtMsg{RtMsg: unix.RtMsg{Family: family(a), Dst_len: uint8(a.BitLen()), Flags: unix.RTM_F_FIB_MATCH}}
	if a.Is4() {
		m.Flags |= unix.RTM_F_LOOKUP_TABLE // IPv6 tells the table anyway and refuses the flag
	}
	return []nl.NetlinkRequestData{m, attr(unix.RTA_DST, a.AsSlice())}
}

func parseRoute(b []byte) (entry, error) {
	if len(b) < unix.SizeofRtMsg {
		return entry{}, fmt.Errorf("route message of %d bytes", len(b))
	}
	m := nl.DeserializeRtMsg(b)
	e := entry{kind: m.Type, protocol: m.Protocol, cached: m.Flags&unix.RTM_F_CLONED != 0}
	e.Table = uint32(m.Table)
	attrs, err := nl.ParseRouteAttr(b[unix.SizeofRtMsg:])
	if err != nil {
		return entry{}, fmt.Errorf("route message: %w", err)
	}
	to := netip.IPv6Unspecified() // without RTA_DST it is the default route
	if m.Family == unix.AF_INET {
		to = netip.IPv4Unspecified()
	}
	for _, a := range attrs {
		switch v := a.Value; a.Attr.Type {
		case unix.RTA_DST:
			to, _ = netip.AddrFromSlice(v)
		case unix.RTA_GATEWAY:
			e.Via, _ = netip.AddrFromSlice(v)
		case unix.RTA_OIF:
			e.index = number(v)
		case unix.RTA_TABLE:
			e.Table = uint32(number(v))
		}
	}
	if e.Table == unix.RT_TABLE_MAIN {
		e.Table = 0
	}
	e.To = netip.PrefixFrom(to, int(m.Dst_len))
	return e, nil
}

// neighbourMessage is struct ndmsg and its attributes. A permanent entry is
// never resolved, never ages, and the guest's ARP or NA cannot change it.
func neighbourMessage(index int, n route.Neighbour) []nl.NetlinkRequestData {
	return []nl.NetlinkRequestData{
		&netlink.Ndmsg{Family: family(n.Addr), Index: uint32(index), State: netlink.NUD_PERMANENT, Type: unix.RTN_UNICAST},
		attr(netlink.NDA_DST, n.Addr.AsSlice()),
		attr(netlink.NDA_LLADDR, n.MAC[:]),
		attr(netlink.NDA_PROTOCOL, []byte{Protocol}), // Linux 5.0
	}
}

func neighbourFilter(index int) []nl.NetlinkRequestData {
	data := []nl.NetlinkRequestData{&netlink.Ndmsg{Family: unix.AF_UNSPEC}}
	if index != 0 {
		data = append(data, attr(netlink.NDA_IFINDEX, native32(index)))
	}
	return data
}

// ndmsgLen is the size of struct ndmsg.
const ndmsgLen = 12

// neighbour is one entry of the neighbour tables, of whomever.
type neighbour struct {
	route.Neighbour
	index     int
	protocol  uint8
	permanent bool
	proxy     bool
}

func parseNeighbour(b []byte) (neighbour, error) {
	if len(b) < ndmsgLen {
		return neighbour{}, fmt.Errorf("neighbour message of %d bytes", len(b))
	}
	e := neighbour{
		index:     number(b[4:]),
		permanent: binary.NativeEndian.Uint16(b[8:])&netlink.NUD_PERMANENT != 0,
		proxy:     b[10]&netlink.NTF_PROXY != 0,
	}
	attrs, err := nl.ParseRouteAttr(b[ndmsgLen:])
	if err != nil {
		return neighbour{}, fmt.Errorf("neighbour message: %w", err)
	}
	for _, a := range attrs {
		switch v := a.Value; {
		case a.Attr.Type == netlink.NDA_DST:
			e.Addr, _ = netip.AddrFromSlice(v)
		case a.Attr.Type == netlink.NDA_LLADDR && len(v) == len(nic.MAC{}):
			e.MAC = nic.MAC(v)
		case a.Attr.Type == netlink.NDA_PROTOCOL && len(v) == 1:
			e.protocol = v[0]
		}
	}
	return e, nil
}

func number(v []byte) int {
	if len(v) < 4 {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(v)))
}
