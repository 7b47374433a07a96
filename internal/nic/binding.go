// Package nic holds the central noun: a Binding, what was declared for one
// virtual NIC. Values of this package are valid by construction: whoever makes
// a Binding runs Validate before passing it on.
//
// Not here: file formats (manifest), kernel identities such as an ifindex
// (plan), defaults from configuration (manifest).
package nic

import (
	"net/netip"
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

	Addresses      []netip.Prefix // own IPv4 addresses, each with its subnet's length
	Gateway        netip.Addr     // zero: none
	Broadcast      netip.Addr     // zero: derived from the delivered prefix
	NoDefaultRoute bool           // gateway known but not announced ("private")
	Routes         []Route
	DNS            []netip.Addr
	NTP            []netip.Addr
	MTU            uint16 // zero: not announced

	DHCP4 DHCP4
	Guard Guard
	Tags  map[string]string // free-form, never interpreted

	Origin Origin
}

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
	V6OnlyWait         Seconds // option 108, RFC 8925; zero: not offered

	Options  []Option // further options, by code; they win over derived ones
	Boot     Boot
	BootArch map[uint16]Boot // by client architecture, option 93 (RFC 4578)
	BootIPXE Boot            // for clients whose user class is iPXE

	Rate Rate // client messages handed up; never zero
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
	IP  bool // IPv4 source, options, fragments, router messages; IPv6
	L2  bool // ethertypes, tags, LLC, link control
}

// AllChecks is the default.
func AllChecks() Checks { return Checks{MAC: true, ARP: true, IP: true, L2: true} }

// Guard is what the NIC may send beyond its own MAC and addresses, and what
// is checked at all.
type Guard struct {
	Mode            Mode
	Checks          Checks
	AllowAddresses  []netip.Prefix // further sources: fail-over addresses, routed prefixes
	AllowMACs       []MAC          // further Ethernet sources, such as a VRRP virtual MAC
	AllowEthertypes []uint16       // beyond IPv4, ARP (and IPv6 where it is open)
	Router          bool           // redirects, IGMP queries and routing protocols allowed
}

// Origin says where a binding was declared.
type Origin struct {
	Source string // "dir", "socket"
	File   string
	Line   int
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
