package dhcp4

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Compiled is what one NIC's server can say, prepared for whoever answers
// without this package, byte for byte as Answer does. Whoever does must hand
// over what Compiled says nothing about: relayed messages, other clients' than
// MAC, options that come twice, replies that do not fit.
type Compiled struct {
	MAC      nic.MAC // chaddr
	CheckMAC bool    // the Ethernet source must be it, too

	Own, ServerID netip.Addr
	NextServer    netip.Addr // siaddr; not IPv4: 0.0.0.0
	Names         []byte     // sname and file, 192 bytes; nil if both are empty

	Lease  nic.Seconds // to a client that asks for none
	Most   nic.Seconds // to one that asks for more
	T1, T2 nic.Seconds // of Lease, before they are scaled and ordered; 0: not sent
	Link   int         // how long a datagram the link carries, headers included

	Options map[uint8][]byte // by code, as on the wire (RFC 3396), but for T1 and T2
	Basics  []uint8          // what is sent unasked, in this order
	FQDN    [2][]byte        // option 81 as on the wire, by the client's E bit

	RapidCommit, OnlyRequested, NoRouterWithRoutes bool
	V6Only                                         bool // option 108 goes with a lease only

	IPXE bool // a client with a user class may have other boot information
	Arch bool // so may one with an architecture
	HTTP bool // and one whose vendor class is HTTPClient
}

// Compile prepares the answers of a server; false if it has none.
func Compile(s Server) (Compiled, bool) {
	if s.Binding == nil {
		return Compiled{}, false
	}
	b, d := s.Binding, &s.Binding.DHCP4
	nobody := netip.IPv4Unspecified()
	x := exchange{Server: s, query: Query{EthSrc: b.MAC}, m: message{kind: discover, chaddr: b.MAC, ciaddr: nobody, giaddr: nobody}}
	if x.admit() != reason.None {
		return Compiled{}, false
	}
	c := Compiled{
		MAC: b.MAC, CheckMAC: b.Guard.Checks.MAC,
		Own: b.Delivered().Addr(), ServerID: s.ID.Unmap(), NextServer: d.Boot.NextServer, Names: names(d.Boot),
		Link: x.link(), Options: map[uint8][]byte{}, Basics: basics(),
		RapidCommit: d.RapidCommit, OnlyRequested: d.OnlyRequested, NoRouterWithRoutes: d.NoRouterWithRoutes,
		IPXE: !d.BootIPXE.IsZero(), Arch: len(d.BootArch) > 0, HTTP: d.Boot.File != "",
	}
	c.Lease, c.Most, c.T1, c.T2 = leases(d)
	for i, e := range [...]byte{0, fqdnEncoded} {
		c.FQDN[i] = item{code: optClientFQDN, data: x.fqdn(e)}.appendTo(nil)
	}
	for code, data := range x.configuration(draft{boot: d.Boot, times: times{lease: c.Lease}}) {
		c.Options[code] = item{code: code, data: data}.appendTo(nil)
	}
	_, leased := c.Options[optV6Only]
	_, always := x.configuration(draft{boot: d.Boot})[optV6Only]
	c.V6Only = leased && !always
	return c, true
}

// names are the header's fields for boot information, nil if there is none.
func names(b nic.Boot) []byte {
	f := make([]byte, snameLen+fileLen)
	putName(f[:snameLen], b.ServerName)
	putName(f[snameLen:], b.File)
	if f[0] == 0 && f[snameLen] == 0 {
		return nil
	}
	return f
}
