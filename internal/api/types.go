// Package api is the node agent's control interface: HTTP and JSON over a unix
// socket, its client, and the types both speak. docs/api.md documents it.
//
// Not here: any decision; the server asks the agent.
package api

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// State says in one word where a NIC stands.
type State string

// The states of a NIC.
const (
	InForce State = "in-force" // guard and answer are in the kernel
	Stale   State = "stale"    // in force, but from the last good version of its file
	Waiting State = "waiting"  // the reason says for what
	Closed  State = "closed"   // nothing passes
	Failed  State = "failed"   // a step failed and is tried again
)

// NIC is everything known about one NIC.
type NIC struct {
	Name   string        `json:"nic"`
	State  State         `json:"state"`
	Reason reason.Reason `json:"reason,omitempty"`
	Why    string        `json:"why,omitempty"`  // the reason in words, with file, line and value
	Hook   string        `json:"hook,omitempty"` // what a hook after the last event has failed with
	Since  time.Time     `json:"since"`

	MAC       *nic.MAC       `json:"mac,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"` // of both families
	SLAAC     []netip.Prefix `json:"slaac,omitempty"`
	Delegated []netip.Prefix `json:"delegated,omitempty"`
	Shared    []Shared       `json:"shared,omitempty"`
	Network   string         `json:"network,omitempty"`
	Source    string         `json:"source,omitempty"` // "dir", "nfdhcpd", "statichcpd", "controller", "socket"
	File      string         `json:"file,omitempty"`
	Line      int            `json:"line,omitempty"`
	// Binding is the declared binding in the file format's keys, defaults filled in.
	Binding json.RawMessage `json:"binding,omitempty"`

	Link      *Link      `json:"link,omitempty"`
	Installed *Installed `json:"installed,omitempty"`
	Answers   *Answers   `json:"answers,omitempty"`
	Counters  *Counters  `json:"counters,omitempty"`
}

// Link is the host interface.
type Link struct {
	Index     int    `json:"ifindex"`
	MAC       string `json:"host_mac"`
	Kind      string `json:"kind"`
	OperState string `json:"operstate"`
	Bridge    string `json:"bridge,omitempty"`
}

// Shared is an address that the NIC holds together with others.
type Shared struct {
	Group   string     `json:"group"`
	Address netip.Addr `json:"address"`
	Holder  string     `json:"holder,omitempty"` // the NIC that announced it last; "": none yet
	Seen    *time.Time `json:"seen,omitempty"`   // when that was
}

// Installed is what the kernel holds, read back.
type Installed struct {
	Attach    string         `json:"attach"` // "tcx", "clsact"
	Mode      string         `json:"mode"`   // "enforce", "audit", "off", "closed"
	MACs      []nic.MAC      `json:"macs"`
	Sources   []netip.Prefix `json:"sources"`              // permitted sources of both families, but link-locals
	LinkLocal []netip.Addr   `json:"link_local,omitempty"` // permitted, also those the guest chose
	IPv6      bool           `json:"ipv6"`                 // whether any IPv6 passes
	ServerID  netip.Addr     `json:"server_id"`
	Routes    []netip.Prefix `json:"routes,omitempty"` // of a routed NIC, in the host
	Answering bool           `json:"answering"`
	Kernel    []string       `json:"kernel,omitempty"` // what the kernel answers by itself, as Counters.Taken has them
	InForce   bool           `json:"in_force"`         // equal to what is desired
}

// Answers is what the NIC was told.
type Answers struct {
	Count map[string]uint64 `json:"count"` // by message: "OFFER", "REPLY", "RA"
	Last  []Answer          `json:"last"`  // newest first, at most 8
}

// Answer is one exchange.
type Answer struct {
	Time      time.Time      `json:"time"`
	Request   string         `json:"request"`
	Answer    string         `json:"answer,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"` // what it is about
	XID       string         `json:"xid,omitempty"`       // hex; ARP and neighbour discovery have none
	Reason    reason.Reason  `json:"reason,omitempty"`
}

// Counters are frames since the guard was first attached to this interface.
type Counters struct {
	FromGuest uint64            `json:"from_guest"` // passed
	ToGuest   uint64            `json:"to_guest"`   // passed
	Taken     map[string]uint64 `json:"taken"`      // consumed for answering, by kind
	Dropped   map[string]uint64 `json:"dropped"`    // by reason
	Audited   map[string]uint64 `json:"audited"`    // by reason: passed in audit mode
	Ignored   map[string]uint64 `json:"ignored"`    // by reason: messages without an answer
}

// Status is the agent itself.
type Status struct {
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Generation uint64    `json:"generation"` // of the snapshot in force
	Kernel     string    `json:"kernel"`
	Attach     string    `json:"attach"` // the strongest this kernel has: "tcx", "clsact"
	Lock       string    `json:"lock"`   // "armed" or what is wrong with the second lock
	Sources    []Source  `json:"sources"`
	// NICs counts NICs by state.
	NICs     map[State]int `json:"nics"`
	Problems []string      `json:"problems,omitempty"`
}

// Source is one place bindings come from.
type Source struct {
	Name       string    `json:"name"`
	Path       string    `json:"path"`
	Generation uint64    `json:"generation"`
	Bindings   int       `json:"bindings"`
	State      string    `json:"state,omitempty"`    // how it is connected, of a source that can be not
	Rejected   []string  `json:"rejected,omitempty"` // file:line:column: field value: problem
	Read       time.Time `json:"read"`
}

// Plan is what would change, as text a person can read and a golden file can
// hold.
type Plan struct {
	Steps []string `json:"steps"`
	Waits []string `json:"waits"`
}

// Event is something that happened to one NIC.
type Event struct {
	Seq    uint64        `json:"seq"`
	Time   time.Time     `json:"time"`
	NIC    string        `json:"nic,omitempty"`
	Index  int           `json:"ifindex,omitempty"`
	Kind   string        `json:"kind"` // "bound", "guarded", "dropped", "answered", "ignored", "closed", "lock", ...
	Reason reason.Reason `json:"reason,omitempty"`
	Text   string        `json:"text"`
	Missed uint64        `json:"missed,omitempty"` // of KindMissed: how many
}

// Problem is the body of every refusal (RFC 9457).
type Problem struct {
	Type   string   `json:"type"` // "about:blank"
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Errors []string `json:"errors,omitempty"` // one per field: "line:column: field value: problem"
	NIC    *NIC     `json:"nic,omitempty"`    // of a timeout: the NIC's last state (RFC 9457 section 3.2)
}
