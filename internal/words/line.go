package words

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// Line says in a few words what a frame, or its beginning, claims to be. The
// bytes are a stranger's: only numbers and addresses are printed.
func Line(f []byte) string {
	if len(f) < 14 {
		return fmt.Sprintf("%d bytes", len(f))
	}
	text := fmt.Sprintf("%s to %s", nic.MAC(f[6:12]), nic.MAC(f[0:6]))
	kind := uint16(f[12])<<8 | uint16(f[13])
	switch {
	case kind == 0x0806 && len(f) >= 42:
		return fmt.Sprintf("%s, ARP %s is at %s", text, addr4(f[28:32]), nic.MAC(f[22:28]))
	case kind == 0x0800 && len(f) >= 34:
		return text + fmt.Sprintf(", IPv4 %s to %s protocol %d", addr4(f[26:30]), addr4(f[30:34]), f[23]) + ports4(f[14:])
	case kind == 0x86dd && len(f) >= 54:
		text += fmt.Sprintf(", IPv6 %s to %s", addr6(f[22:38]), addr6(f[38:54]))
		return text + upper6(f)
	default:
		return fmt.Sprintf("%s, type 0x%04x", text, kind)
	}
}

// ports4 reads UDP's ports, if the packet has any: what it says of its lengths
// does not matter, since only its beginning is here.
func ports4(p []byte) string {
	header := int(p[0]&0x0f) * 4
	first := be16(p[6:])&0x1fff == 0 // of a datagram's fragments
	if p[9] != 17 || !first || header < 20 || len(p) < header+4 {
		return ""
	}
	return fmt.Sprintf(" port %d to %d", be16(p[header:]), be16(p[header+2:]))
}

// upper6 looks behind extension headers, if that can be done.
func upper6(f []byte) string {
	f = slices.Clone(f)
	if here := uint16(len(f) - 54); be16(f[18:]) > here {
		binary.BigEndian.PutUint16(f[18:], here) // the kernel hands up a frame's beginning
	}
	p, err := wire.ParseIP6(f)
	switch {
	case err != nil && f[20] == 44:
		return " fragment"
	case err != nil:
		return fmt.Sprintf(" next header %d", f[20])
	case p.Protocol == 17 && len(p.Payload) >= 4:
		return fmt.Sprintf(" protocol 17 port %d to %d", be16(p.Payload), be16(p.Payload[2:]))
	case p.Protocol == 58 && len(p.Payload) >= 24 && 135 <= p.Payload[0] && p.Payload[0] <= 137:
		return fmt.Sprintf(" %s for %s", icmp6Name(p.Payload[0]), addr6(p.Payload[8:24]))
	case p.Protocol == 58 && len(p.Payload) > 0:
		return " " + icmp6Name(p.Payload[0])
	default:
		return fmt.Sprintf(" protocol %d", p.Protocol)
	}
}

// icmp6Name names the ICMPv6 messages that the guard has an opinion on.
func icmp6Name(kind byte) string {
	switch kind {
	case 128:
		return "echo request"
	case 129:
		return "echo reply"
	case 130:
		return "MLD query"
	case 133:
		return "router solicitation"
	case 134:
		return "router advertisement"
	case 135:
		return "neighbour solicitation"
	case 136:
		return "neighbour advertisement"
	case 137:
		return "redirect"
	default:
		return fmt.Sprintf("ICMPv6 type %d", kind)
	}
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

func addr6(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b[:16])) }

func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }
