// Package nic holds the central noun: a Binding, what was declared for one
// virtual NIC. Values of this package are valid by construction: whoever makes
// a Binding runs Validate before passing it on.
//
// Not here: file formats (manifest), kernel identities such as an ifindex
// (plan), defaults from configuration (manifest).
package nic

import (
	"net/netip"
	"slices"
)

// Binding is what one NIC is: its MAC, its addresses, what it is told and
// what it may send. It never changes while it is in force; a change is a new
// Binding.
type Binding struct {
	NIC       string // host interface name, 1 to 15 bytes
	Network   string // address namespace; "" is the default one
	MAC       MAC    // the guest's, never the host interface's
	Suspended bool   // guarded as if it had no addresses, and not answered

	Hostname string   // a single label or an FQDN, sent as option 12
	Domain   string   // option 15
	Search   []string // option 119, RFC 3397

	Addresses      []netip.Prefix // own addresses of both families, each with its subnet's length
	Gateway        netip.Addr     // IPv4; zero: none
	Gateway6       netip.Addr     // IPv6: a link-local, or an address on link if GatewayMAC is known
	GatewayMAC     MAC            // of both gateways; zero: the guest resolves them
	Broadcast      netip.Addr     // zero: derived from the delivered prefix
	NoDefaultRoute bool           // gateways known but not announced ("private")
	Routes         []Route        // IPv4, option 121; for IPv6 see RA.Routes
	DNS            []netip.Addr   // of both families
	NTP            []netip.Addr   // of both families
	MTU            uint16         // zero: not announced
	CaptivePortal  string         // a URI, RFC 8910; "": none

	IPv6      IPv6Mode
	LinkLocal LinkLocal
	SLAAC     []netip.Prefix // /64s that are wholly the NIC's, announced for autoconfiguration
	Delegated []netip.Prefix // prefixes that are wholly the NIC's, given by DHCPv6 as IA_PD

	Routed     bool // the host routes to this NIC: no bridge, host routes for all it has
	Routing    Routing
	Neighbours Neighbours

	// Group names NICs that belong together, such as all of one VM: DHCPv4 of
	// one that leaves by another is answered as its own. "": none.
	Group    string
	Shared   []Shared // addresses held together with other NICs of the network
	ServedBy ServedBy

	DHCP4 DHCP4
	DHCP6 DHCP6
	RA    RA
	Guard Guard
	Tags  map[string]string // free-form, never interpreted

	Origin Origin
}

// Routing is where the host routes of a routed NIC are, and who is told.
type Routing struct {
	Table  uint32 // routing table, also for what comes from the NIC; zero: the main one
	Uplink string // host interface towards the site, on which its addresses are answered for and announced; "": none
}

// Shared are addresses that several NICs of one network may use, for one to
// take over from another (fail-over). All that name the same group share them,
// nobody else in the network may have them.
type Shared struct {
	Group     string
	Addresses []netip.Addr
	// VRID is the VRRP virtual router they are the addresses of (RFC 9568): its
	// advertisements may be sent, and its virtual MACs used. Zero: none.
	VRID uint8
}

// ServedBy says whose DHCP and router advertisements the NIC's link has.
type ServedBy uint8

// The choices.
const (
	ServedByBerth  ServedBy = iota // berth's alone: nothing of it leaves or reaches the NIC
	ServedBySite                   // the site's servers: the guest's requests pass, and their answers
	ServedByTenant                 // the tenant's own: the guest may be a server and a router itself
)

// Route is one classless static route, RFC 3442. An unspecified Via means
// that the destination is on link.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Seconds is a duration on the wire; Infinite is RFC 2131's 0xffffffff.
type Seconds uint32

// Infinite is a lease that never ends.
const Infinite Seconds = 0xffffffff

// DHCP4 is how the DHCPv4 server speaks to this NIC.
type DHCP4 struct {
	Off      bool         // client messages are consumed and not answered
	Address  netip.Prefix // the delivered one of Addresses; zero: the first
	ServerID ServerID
	Lease    Seconds // given when the client asks for none
	MaxLease Seconds // a client's option 51 is honoured up to here
	T1, T2   Seconds // zero: not sent

	// OnlyRequested sends configuration only if option 55 asks for it; the
	// default also sends the basic set to a client that does not ask.
	OnlyRequested bool
	// NoRouterWithRoutes leaves option 3 out when option 121 is sent.
	NoRouterWithRoutes bool
	RapidCommit        bool    // RFC 4039
	Relay              bool    // messages with giaddr are answered to the relay
	AnyClient          bool    // whatever its chaddr: the NIC's MAC is not held against it
	V6OnlyWait         Seconds // option 108, RFC 8925; zero: not offered

	Options  []Option // further options, by code; they win over derived ones
	Boot     Boot
	BootArch map[uint16]Boot // by client architecture, option 93 (RFC 4578)
	BootIPXE Boot            // for clients whose user class is iPXE
}

// ServerIDKind says where the server identifier comes from (option 54, and
// the source address of every reply). It is never 0.0.0.0.
type ServerIDKind uint8

// The server identifier choices.
const (
	ServerIDGateway   ServerIDKind = iota // the gateway if on link, else the first host
	ServerIDFirstHost                     // the first host of the delivered prefix that is not the NIC's
	ServerIDInterface                     // the host interface's own first IPv4 address
	ServerIDFixed                         // Addr
)

// ServerID is the chosen server identifier.
type ServerID struct {
	Kind ServerIDKind
	Addr netip.Addr // for ServerIDFixed
}

// Option is a DHCPv4 option as it goes on the wire; Data may be longer than
// 255 bytes and is then split (RFC 3396).
type Option struct {
	Code uint8
	Data []byte
}

// Boot is what a netbooting client is told.
type Boot struct {
	NextServer netip.Addr // siaddr
	ServerName string     // option 66 / sname
	File       string     // option 67 / file
}

// IsZero reports whether nothing is to be said about booting.
func (b Boot) IsZero() bool { return b == Boot{} }

// Rate is a token bucket.
type Rate struct {
	PerSecond uint32
	Burst     uint32
}

// Mode is what the guard does with a frame that breaks a rule.
type Mode uint8

// The guard's modes. Containment of DHCP is the same in all of them.
const (
	Enforce Mode = iota // dropped and counted
	Audit               // passed, counted as what would have been dropped
	Off                 // not examined
)

// Checks are the switches of the guard; all on by default.
type Checks struct {
	MAC bool // Ethernet source
	ARP bool // ARP sender and opcode
	ND  bool // IPv6 neighbour discovery: target, link-layer options, kind
	IP  bool // source, options, extension headers, fragments, router messages
	L2  bool // ethertypes, tags, LLC, link control
}

// AllChecks is the default.
func AllChecks() Checks { return Checks{MAC: true, ARP: true, ND: true, IP: true, L2: true} }

// Guard is what the NIC may send beyond its own MAC and addresses, and what
// is checked at all.
type Guard struct {
	Mode            Mode
	Checks          Checks
	AllowAddresses  []netip.Prefix // further sources: fail-over addresses, routed prefixes
	AllowMACs       []MAC          // further Ethernet sources, such as a VRRP virtual MAC
	AllowEthertypes []uint16       // beyond IPv4, ARP (and IPv6 where it is open)
	AllowVLANs      []uint16       // 802.1Q tags, 1 to 4094: what they hold is judged as if untagged
	Router          bool           // redirects, IGMP and MLD queries, routing protocols, NA with the router flag
	Advertise       bool           // router advertisements of the guest's own; meant for a router
	Peers           []MACRange     // Ethernet sources that may reach the NIC; none: all
	Routers         []netip.Addr   // link-locals of the site's routers besides Gateway6: no guest's on the segment
	Rate            Rate           // what the guest asks, handed up; never zero
}

// MACRange is all MACs that begin with the first Bits bits of one.
type MACRange struct {
	MAC  MAC // the bits beyond are zero
	Bits uint8
}

// Origin says where a binding was declared.
type Origin struct {
	Source string // "dir", "socket"
	File   string
	Line   int
}

// HasIPv6 reports whether the NIC may speak IPv6 at all.
func (b *Binding) HasIPv6() bool {
	switch b.IPv6 {
	case IPv6Off:
		return false
	case IPv6LinkLocal:
		return true
	case IPv6Auto: // if it has anything of IPv6
	}
	is6 := func(p netip.Prefix) bool { return p.Addr().Is6() }
	shares6 := func(s Shared) bool { return slices.ContainsFunc(s.Addresses, netip.Addr.Is6) }
	return len(b.SLAAC) > 0 || len(b.Delegated) > 0 || slices.ContainsFunc(b.Shared, shares6) ||
		slices.ContainsFunc(b.Addresses, is6) || slices.ContainsFunc(b.Guard.AllowAddresses, is6)
}

// ServesIPv6 reports whether the NIC has an IPv6 identity for berth to tell it
// of: more than link-locals, on a link that is berth's to serve.
func (b *Binding) ServesIPv6() bool {
	return b.ServedBy == ServedByBerth && b.IPv6 == IPv6Auto && b.HasIPv6()
}

// Addresses6 returns the IPv6 ones of the NIC's own addresses.
func (b *Binding) Addresses6() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range b.Addresses {
		if p.Addr().Is6() {
			out = append(out, p)
		}
	}
	return out
}

// Delivered returns the address DHCPv4 gives, the zero Prefix if none.
func (b *Binding) Delivered() netip.Prefix {
	if b.DHCP4.Address.IsValid() {
		return b.DHCP4.Address
	}
	for _, p := range b.Addresses {
		if p.Addr().Is4() {
			return p
		}
	}
	return netip.Prefix{}
}
