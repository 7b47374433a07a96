package fleet

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/nic"
)

// Claim is the record that an address, or a MAC, of a network is a NIC's. It
// is made and changed only together with its NIC, in one transaction.
type Claim struct {
	Network  string   `json:"network"`
	Address  string   `json:"address"`         // as netip prints it, or a MAC
	Owner    string   `json:"owner,omitempty"` // "nic:web-1" or "failover:vip"; "": nobody, kept until Until
	Project  string   `json:"project,omitempty"`
	MAC      *nic.MAC `json:"mac,omitempty"` // kept with its address for good (R121)
	Hostname string   `json:"hostname,omitempty"`
	// Until nobody else gets it, after a release.
	Until time.Time `json:"until,omitzero"`
	// Awaits is the node that delivered it and has not said yet that it does so
	// no more: until then it goes to no other node.
	Awaits string `json:"awaits,omitempty"`
	// Since its owner has it, where the owner was then, and who gave it: what a
	// Tenure says of it.
	Since time.Time `json:"since,omitzero"`
	Node  string    `json:"node,omitempty"`
	By    string    `json:"by,omitempty"`
}

// Held reports whether nobody else may have it now.
func (c *Claim) Held(now time.Time) bool {
	return c.Owner != "" || c.Awaits != "" || now.Before(c.Until)
}

// Revision is one change: all that one transaction did.
type Revision struct {
	Number  int64     `json:"revision"` // etcd's; filled in when read
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`             // "user:alice", "node:n1", "system"
	Action  string    `json:"action"`            // "put", "delete", "migrate", "activate", "complete", "abort", "restore"
	Request string    `json:"request,omitempty"` // of the HTTP request, for the log
	Changes []Edit    `json:"changes"`
}

// Edit is one resource before and after.
type Edit struct {
	Kind   Kind            `json:"kind"`
	Name   string          `json:"name"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Tenure is one span in which an address was somebody's on one node (R137).
type Tenure struct {
	Network string     `json:"network"`
	Address netip.Addr `json:"address"`
	Owner   string     `json:"owner"`
	Project string     `json:"project"`
	MAC     *nic.MAC   `json:"mac,omitempty"`
	Node    string     `json:"node,omitempty"`
	From    time.Time  `json:"from"`
	To      *time.Time `json:"to,omitempty"` // nil: still
	Actor   string     `json:"actor"`        // who gave it
}

// Decision is one answer of the policies, with what it was about.
type Decision struct {
	ID       string          `json:"id"`
	Time     time.Time       `json:"time"`
	Actor    string          `json:"actor"`
	Project  string          `json:"project"`
	Allowed  bool            `json:"allowed"`
	Policy   string          `json:"policy,omitempty"` // which decided
	Rule     string          `json:"rule,omitempty"`
	Message  string          `json:"message,omitempty"`
	Revision int64           `json:"revision,omitempty"` // that it led to
	Input    json.RawMessage `json:"input"`              // policy.Input
}

// Status is what a node says of one NIC (R129). Times are the node's.
type Status struct {
	NIC      string            `json:"nic"`
	Node     string            `json:"node"`
	State    string            `json:"state"` // as the node's API has it: in-force, stale, waiting, closed, failed
	Reason   string            `json:"reason,omitempty"`
	Why      string            `json:"why,omitempty"`
	Since    time.Time         `json:"since"`
	Revision int64             `json:"revision"`          // of the NIC's document that this is about
	Sources  []netip.Prefix    `json:"sources,omitempty"` // installed
	Checked  bool              `json:"checked"`           // nothing else can be sent (R135)
	Answered []Told            `json:"answered,omitempty"`
	Dropped  map[string]uint64 `json:"dropped,omitempty"`
	Observed []netip.Addr      `json:"observed,omitempty"` // link-locals and shared addresses it was seen to hold
	Reported time.Time         `json:"reported"`
}

// Told is the last answer of one kind.
type Told struct {
	Message   string         `json:"message"` // OFFER, ACK, REPLY, RA...
	Time      time.Time      `json:"time"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
}
