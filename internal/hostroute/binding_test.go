package hostroute

import (
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/route"
)

var guestMAC = nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1}

const guestLL = "fe80::5054:ff:feaa:1"

func prefixes(s string) []netip.Prefix {
	var out []netip.Prefix
	for f := range strings.FieldsSeq(s) {
		out = append(out, netip.MustParsePrefix(f))
	}
	return out
}

// routed is a NIC with something of every kind.
func routed() *nic.Binding {
	return &nic.Binding{
		NIC: "tap7", MAC: guestMAC, Routed: true,
		Addresses: prefixes("192.0.2.10/24 2001:db8:1::10/64 192.0.2.9/24"),
		SLAAC:     prefixes("2001:db8:a::/64"),
		Delegated: prefixes("2001:db8:100::/56"),
		Guard:     nic.Guard{AllowAddresses: prefixes("203.0.113.0/28 203.0.113.77/32 2001:db8:200::/48")},
	}
}

// state is what the kernel has once it has all that is wanted.
func state(w route.Want) route.State {
	s := route.State{Routes: w.Routes}
	for _, a := range w.Neighbours {
		s.Neighbours = append(s.Neighbours, route.Neighbour{Addr: a, MAC: w.MAC})
	}
	return s
}
