// Package plan computes what must change: snapshot x links x installed gives
// ordered steps and typed waits. It is pure; the order that keeps a NIC closed
// until its guard stands is written here and nowhere else.
//
// Not here: how a step is done (datapath, lock, answerer) and when (agent).
package plan

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

// Link is one host interface as the kernel shows it, from one dump.
type Link struct {
	Index     int
	Name      string
	MAC       nic.MAC // the host side's, not the guest's
	Kind      string  // IFLA_INFO_KIND: "tun", "veth", "bridge", ...; "" for hardware
	Ethernet  bool    // ARPHRD_ETHER
	Up        bool    // IFF_UP
	OperState string  // "up", "down", "unknown"; unknown counts as up
	Master    int     // ifindex of the bridge, 0 if none
	MTU       int
	IPv4      []netip.Addr // the host's own addresses on it, for server-id: interface
	Loopback  bool
}

// Attach says by which mechanism the guard's programs hang on a link.
type Attach uint8

// The attachments, weakest first.
const (
	Detached Attach = iota
	Clsact          // cls_bpf filters at the clsact qdisc
	TCX             // pinned tcx links
)

// Installed is what the kernel holds for one ifindex, read back from pins and
// maps.
type Installed struct {
	Index  int
	Name   string // the NIC name it was installed for
	Attach Attach // the weaker of the two directions
	Digest uint64 // of the guard's rules in force; 0: none
	Gone   bool   // the device does not exist any more; the pins are dead
	Moved  bool   // the pins hang on a device that is not here: it was moved to another namespace
}

// String names the attachment.
func (a Attach) String() string { return [...]string{"none", "clsact", "tcx"}[a] }
