// Package reason holds the one closed list of why something was dropped,
// ignored, refused or waits. A reason is a metric label, a row of
// docs/reasons.md and, for those a packet can meet, a constant of the kernel
// program (reasons.h is generated from this list).
//
// Not here: text for humans beyond one line each, and any counting.
package reason

import "fmt"

// Reason says why. The zero value, None, means that nothing is wrong.
type Reason uint8

// The reasons of the guard. Their numbers are shared with the kernel program
// and with counters already pinned, so a number is never used again.
const (
	None Reason = 0

	NoBinding  Reason = 1 // the NIC is closed: no binding is in force
	Truncated  Reason = 2 // the frame ends before the field that would authorise it
	MACSpoof   Reason = 3 // the Ethernet source is not the NIC's
	VLANTag    Reason = 4 // 802.1Q, 802.1ad or another tag, also VID 0
	LLC        Reason = 5 // 802.3 length field: LLC, SNAP, STP, CDP
	Ethertype  Reason = 6 // an ethertype that is not on the allow list
	LinkCtl    Reason = 7 // destination 01:80:c2:00:00:0x
	RARP       Reason = 8 // ethertype 0x8035
	IPv6Closed Reason = 9 // IPv6 on a NIC that has none

	ToBerth Reason = 10 // sent to the MAC that berth answers from
	AsBerth Reason = 12 // the site speaks as berth towards the NIC

	PeerForeign Reason = 13 // towards the NIC, from a MAC that is none of its peers

	ARPMalformed Reason = 16 // hardware, protocol, hlen or plen not Ethernet/IPv4
	ARPOpcode    Reason = 17 // neither request nor reply
	ARPSpoofMAC  Reason = 18 // sender hardware address is not the NIC's
	ARPSpoofIP   Reason = 19 // sender protocol address is not the NIC's
	ARPProbe     Reason = 20 // probe for an address that is not the NIC's

	NDMalformed Reason = 21 // hop limit, code, length or options that RFC 4861 forbids
	NDSpoofMAC  Reason = 22 // a link-layer address option that is not the NIC's MAC
	NDTarget    Reason = 23 // the target is not the NIC's
	NDRouter    Reason = 11 // a neighbour advertisement with the router flag

	IP4Malformed   Reason = 24 // version, header length or total length lie
	IP4Spoof       Reason = 25 // the source is not one of the NIC's addresses
	IP4Options     Reason = 26 // an IPv4 option other than NOP, EOL, Router Alert
	FragmentTiny   Reason = 27 // a fragment too small to be honest
	FragmentBcast  Reason = 28 // a fragment to the limited broadcast address
	ICMPRedirect   Reason = 29 // ICMP redirect from a NIC that is no router
	IGMPQuery      Reason = 30 // IGMP query or router message from a NIC that is no router
	RoutingControl Reason = 31 // routing protocol multicast from a NIC that is no router

	IP6Malformed Reason = 32 // version or payload length do not fit the frame
	IP6Spoof     Reason = 33 // the source is not one of the NIC's addresses
	IP6Chain     Reason = 34 // a header chain that nobody can follow
	IP6Options   Reason = 35 // routing header, Home Address, a hop-by-hop option no host sends
	ICMP6Type    Reason = 36 // an ICMPv6 message that no host sends
	MLDQuery     Reason = 37 // MLD query from a NIC that is no router
	LLTaken      Reason = 38 // the link-local is another NIC's of the segment
	LLLimit      Reason = 39 // the NIC holds as many link-locals as it may

	DHCPServer    Reason = 40 // the guest acts as a DHCP server
	DHCPForeign   Reason = 41 // a DHCP server other than berth towards the NIC
	DHCPDisguised Reason = 42 // DHCP in fragments, in tags, in UDP-Lite
	DHCPRate      Reason = 43 // more for the daemon than the NIC's token bucket allows
	DHCPRingFull  Reason = 44 // the daemon did not keep up

	RARogue    Reason = 45 // the guest acts as a router
	RAForeign  Reason = 46 // a router advertisement towards the NIC that is not berth's
	NDFragment Reason = 47 // neighbour discovery in fragments (RFC 6980), tags or LLC

	// Taken for the answerer: not a fault.
	DHCP4            Reason = 48 // DHCPv4 of the guest
	DHCP6            Reason = 49 // DHCPv6 of the guest
	RouterSolicit    Reason = 50 // router solicitation of the guest
	NeighbourSolicit Reason = 51 // neighbour solicitation for an address berth answers for
	ARPRequest       Reason = 52 // ARP request for an address berth answers for
)

// The reasons of the answerer: why a message of the guest got no answer, or a
// refusal.
const (
	DHCPMalformed   Reason = 64 // not a DHCP message: magic, options, lengths, source
	DHCPNotRequest  Reason = 65 // op is not BOOTREQUEST, or hardware not Ethernet
	DHCPBOOTP       Reason = 66 // no message type: plain BOOTP
	DHCPChaddr      Reason = 67 // chaddr is not the NIC's MAC
	DHCPType        Reason = 68 // a message type no client sends
	DHCPOtherServer Reason = 69 // the client chose another server
	DHCPRelayed     Reason = 70 // by a relay agent, and relays not enabled
	DHCPRelease     Reason = 71 // RELEASE: noted, the binding stays
	DHCPDecline     Reason = 72 // DECLINE: the guest found the address in use
	DHCPNoIPv4      Reason = 73 // the binding has no IPv4 address to give
	DHCPSuspended   Reason = 74 // the binding is suspended
	DHCPWrongAddr   Reason = 75 // the client asked for an address that is not its own (NAK)
	DHCPSource      Reason = 76 // INFORM for an address that is not the NIC's
	DHCPTooLarge    Reason = 77 // what an answer must have does not fit the client's limit or the MTU
	DHCPHeld        Reason = 78 // more messages than are kept while a NIC changes
	SendFailed      Reason = 79 // the kernel refused the answer's frame
	DHCPOff         Reason = 80 // DHCP, of this version, is switched off for this NIC
	DHCPNoIPv6      Reason = 81 // the binding has nothing that this DHCPv6 message asks for
	DHCPNoClientID  Reason = 82 // no client identifier, or one of impossible length
	DHCPOtherClient Reason = 83 // not the DUID the binding names
	DHCPUnicast     Reason = 84 // DHCPv6 by unicast, which was not offered (UseMulticast)
	DHCPNotOnLink   Reason = 85 // an address of another link (NotOnLink)
	DHCPMode        Reason = 86 // a message that the DHCPv6 mode does not serve
	DHCPNoServerID  Reason = 87 // a server identifier is missing, or is where none may be
	RAUnserved      Reason = 88 // a router solicitation of a NIC that gets no advertisements
	NDInvalid       Reason = 89 // a solicitation that RFC 4861 tells to ignore
	NDUnanswered    Reason = 90 // a solicitation for an address that is not answered for
)

// The reasons of plan and table: why a NIC is not, or not yet, served.
const (
	WaitNoLink      Reason = 96  // no host interface of that name yet
	WaitNotEthernet Reason = 97  // the interface carries no Ethernet
	WaitForbidden   Reason = 98  // the interface is a bridge, an uplink or on the deny list
	WaitConflict    Reason = 99  // another binding holds the MAC, address or interface
	WaitRejected    Reason = 100 // its file is broken and there is no last good version
	WaitFailed      Reason = 101 // the last step failed; it is tried again
	Stale           Reason = 102 // its file is broken; the last good version is in force
	WaitClosed      Reason = 103 // matches a managed pattern and has no binding
	WaitMoved       Reason = 104 // the interface was moved to another namespace
	WaitServerID    Reason = 105 // the chosen server identifier has no address yet
	WaitHook        Reason = 106 // a hook before the change has not succeeded
	WaitTurn        Reason = 107 // many are brought up, and others come first
)

// Info is one row of the list.
type Info struct {
	Reason Reason
	Name   string // stable, kebab-case: metric label and API value
	Text   string // one line for people
	Room   string // who says it: guard, dhcp (of both versions), dhcp4, dhcp6, nd, answerer, plan
}

// All returns every reason but None, ordered by number.
func All() []Info { return infos[:] }

// String returns the stable name, "none" for None.
func (r Reason) String() string {
	if r == None {
		return "none"
	}
	if i, ok := r.info(); ok {
		return i.Name
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// Text returns one line for people.
func (r Reason) Text() string {
	i, _ := r.info()
	return i.Text
}

// MarshalText writes the stable name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Reason) UnmarshalText(b []byte) error {
	if string(b) == "none" {
		*r = None
		return nil
	}
	for _, i := range infos {
		if i.Name == string(b) {
			*r = i.Reason
			return nil
		}
	}
	return fmt.Errorf("unknown reason %q", b)
}

// Containment reports whether the reason belongs to what stays enforced on
// every managed NIC, also in audit mode and with all checks off: nobody's DHCP
// crosses the NIC, nor anybody's router advertisement.
func (r Reason) Containment() bool {
	return r >= DHCPServer && r <= NDFragment || r == NoBinding || r == ToBerth || r == AsBerth
}

func (r Reason) info() (Info, bool) {
	for _, i := range infos {
		if i.Reason == r {
			return i, true
		}
	}
	return Info{}, false
}
