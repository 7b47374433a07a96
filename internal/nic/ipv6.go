package nic

import "net/netip"

// IPv6Mode says how much of IPv6 a NIC has.
type IPv6Mode uint8

// The modes.
const (
	IPv6Auto      IPv6Mode = iota // on if the binding has anything of IPv6
	IPv6Off                       // no IPv6 frame passes
	IPv6LinkLocal                 // link-local traffic only; nothing is announced
)

// LinkLocalKind is the policy on link-local addresses.
type LinkLocalKind uint8

// The policies. A NIC's EUI-64 link-local is kept for it on its segment
// whatever the policy; no policy ever gives a gateway's or another NIC's.
const (
	FirstCome      LinkLocalKind = iota // up to MaxLinkLocals of the guest's choice at a time
	EUI64Only                           // fe80:: with the MAC's interface identifier (RFC 4291 appendix A)
	FixedLinkLocal                      // those listed
)

// MaxLinkLocals is how many link-locals of its own choice a NIC holds.
const MaxLinkLocals = 4

// LinkLocal is the policy on a NIC's link-local addresses.
type LinkLocal struct {
	Kind  LinkLocalKind
	Fixed []netip.Addr // for FixedLinkLocal, 1 to MaxLinkLocals
}

// Neighbours says whose ARP requests and neighbour solicitations are answered
// on the NIC's own link. Each level includes the ones before it; an address of
// the NIC's own is never answered for, and duplicate address detection is left
// alone. What nobody else can have (berth's link-local, a made-up server
// identifier) is answered for at every level.
type Neighbours uint8

// The levels.
const (
	NeighboursOff     Neighbours = iota
	NeighboursServer             // the DHCPv4 server identifier
	NeighboursGateway            // and both gateways, with GatewayMAC or, if routed, the host interface's MAC
	NeighboursAll                // and everything else: only for a routed NIC
)

// DHCP6Mode is what DHCPv6 gives.
type DHCP6Mode uint8

// The modes.
const (
	DHCP6Both      DHCP6Mode = iota // addresses and configuration
	DHCP6Stateful                   // addresses, with configuration; no Information-request
	DHCP6Stateless                  // configuration only
	DHCP6Off                        // client messages are consumed and not answered
)

// DHCP6 is how the DHCPv6 server speaks to this NIC (RFC 8415).
type DHCP6 struct {
	Mode             DHCP6Mode
	Preferred, Valid Seconds // of every address and prefix; preferred <= valid
	T1, T2           Seconds // T1 <= T2 <= preferred; zero: left to the client
	RapidCommit      bool
	Unicast          bool // option 12 is sent and unicast accepted; else UseMulticast
	Relay            bool // Relay-forward is answered
	Preference       uint8
	Refresh          Seconds // option 32; zero: not sent
	SolMaxRT         Seconds // option 82; zero: not sent
	InfMaxRT         Seconds // option 83; zero: not sent

	// ServerDUID is the server's identifier for this NIC; nil: the node's own.
	// One that two nodes share lets a guest move between them and be renewed.
	ServerDUID []byte

	DUID   []byte // the only client that is answered; nil: any
	Refuse bool   // another client is told NoAddrsAvail; else it meets silence

	IAs       []IA         // by IAID; what none of them lists goes to the first other IA
	Temporary []netip.Addr // of the NIC's addresses: given as IA_TA only

	Options  []Option6 // further options, by code; they win over derived ones
	BootURL  string    // option 59, RFC 5970
	BootArgs []string  // option 60
	BootArch map[uint16]string
}

// IA says what the identity association of one IAID gets, of both kinds.
type IA struct {
	IAID      uint32
	Addresses []netip.Addr
	Prefixes  []netip.Prefix
}

// Option6 is a DHCPv6 option as it goes on the wire, without its header.
type Option6 struct {
	Code uint16
	Data []byte
}

// RAMode says whose router advertisements the NIC gets.
type RAMode uint8

// The modes.
const (
	RAServe RAMode = iota // berth's, on behalf of the gateway
	RAOff                 // none: solicitations are consumed
	RASite                // the site's: solicitations and advertisements pass
)

// Preference is a router's or route's preference (RFC 4191 2.1), as on the wire.
type Preference uint8

// The preferences.
const (
	PreferenceMedium Preference = 0
	PreferenceHigh   Preference = 1
	PreferenceLow    Preference = 3
)

// RA is what the NIC's router advertisements say (RFC 4861 4.2). M and O
// follow the DHCPv6 mode.
type RA struct {
	Mode             RAMode
	Interval         Seconds // MaxRtrAdvInterval, 4 to 1800
	Lifetime         Seconds // of the default router, at most 65535; 0: none
	Preference       Preference
	HopLimit         uint8
	Preferred, Valid Seconds // of announced prefixes
	OffLink          bool    // prefixes are announced without the L flag
	Autonomous       bool    // A also for the subnets of own addresses, for guests that derive EUI-64
	Multicast        bool    // solicited answers go to ff02::1
	Routes           []RARoute
	PREF64           netip.Prefix // RFC 8781; zero: none
}

// RARoute is one route information option, RFC 4191.
type RARoute struct {
	To         netip.Prefix
	Preference Preference
	Lifetime   Seconds // zero: as the router's
}

// EUI64 returns the link-local address of a MAC (RFC 4291 appendix A).
func (m MAC) EUI64() netip.Addr {
	return m.InPrefix(netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80}), 64))
}

// InPrefix returns the MAC's modified EUI-64 address in a /64.
func (m MAC) InPrefix(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As16()
	copy(a[8:], []byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	return netip.AddrFrom16(a)
}
