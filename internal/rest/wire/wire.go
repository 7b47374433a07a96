// Package wire is what the controller's HTTP interface says: the bodies of
// requests and answers that are not resources themselves. Server and client
// share it; docs/openapi.json is made from it.
//
// Not here: resources and records (fleet), messages to nodes (nodelink).
package wire

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

// DefaultSocket is where the controller answers local operators.
const DefaultSocket = "/run/berth-controller/controller.sock"

// Limits of one request.
const (
	MaxBody   = 1 << 20 // bytes
	MaxWait   = 10 * time.Minute
	MaxPage   = 10000 // items of one page
	PageSize  = 1000  // items of a page of which no number was asked
	KeepAlive = 15 * time.Second
)

// Page is one part of a list, in the order of names. Next is "" at the end,
// else what to give as `after` for the following part.
type Page[T any] struct {
	Items    []T    `json:"items"`
	Revision int64  `json:"revision"` // of the whole site, that the page shows
	Next     string `json:"next,omitempty"`
}

// Items is a list that is not of resources; newest first.
type Items[T any] struct {
	Items []T `json:"items"`
}

// Written answers every change.
type Written[T any] struct {
	Revision int64        `json:"revision"` // in force with it
	Changed  bool         `json:"changed"`  // false: it was so already
	Resource *T           `json:"resource,omitempty"`
	Edits    []fleet.Edit `json:"edits,omitempty"` // of a dry run: what would be done
	// Status of the NICs that were waited for.
	Status []fleet.Status `json:"status,omitempty"`
}

// EventType is what happened to a resource.
type EventType string

// The types of events.
const (
	Put     EventType = "put"
	Deleted EventType = "delete"
)

// Event is one line of a watch.
type Event[T any] struct {
	Revision int64      `json:"revision"`
	Type     EventType  `json:"type"`
	Kind     fleet.Kind `json:"kind"`
	Name     string     `json:"name"`
	Resource *T         `json:"resource,omitempty"` // as it is now
}

// Problem is an error (RFC 9457), with what is wrong in each field.
type Problem struct {
	Type   string    `json:"type"`
	Title  string    `json:"title"`
	Status int       `json:"status"`
	Detail string    `json:"detail"`
	Errors []Mistake `json:"errors,omitempty"`
	Policy string    `json:"policy,omitempty"` // that refused
	Rule   string    `json:"rule,omitempty"`   // of the policy, or built in
}

// Mistake is one bad value.
type Mistake struct {
	Field   string `json:"field"`
	Value   string `json:"value"`
	Problem string `json:"problem"`
	Line    int    `json:"line,omitempty"` // in the body as it was sent
	Column  int    `json:"column,omitempty"`
	Rule    string `json:"rule,omitempty"` // that it breaks
}

// Whoami is who the controller takes the asker for.
type Whoami struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"` // user, node, local
	Operator   bool              `json:"operator"`
	Groups     []string          `json:"groups,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Roles      map[string]string `json:"roles,omitempty"` // by project: admin, member, viewer
}

// Health answers /healthz and /readyz.
type Health struct {
	Status   string `json:"status"` // ok
	Revision int64  `json:"revision"`
	Version  string `json:"version"`
}

// NICStatus is what the nodes say of one NIC.
type NICStatus struct {
	NIC      string         `json:"nic"`
	Revision int64          `json:"revision"` // of the document that the nodes were sent
	InForce  bool           `json:"in_force"` // the node it is on has that one in force
	Nodes    []fleet.Status `json:"nodes"`    // two while it migrates
	// Document is what its node is told: all that it is assigned, with what
	// comes from its network, DNS and all (docs/binding.md). None: no node.
	Document json.RawMessage `json:"document,omitempty"`
}

// NodeStatus is how a node is connected and what it says of its NICs.
type NodeStatus struct {
	Node      string         `json:"node"`
	Connected bool           `json:"connected"`
	Alive     *Alive         `json:"alive,omitempty"`
	NICs      int            `json:"nics"` // that it is sent
	Digest    string         `json:"digest"`
	Revision  int64          `json:"revision"` // of the site, when its set changed last
	Status    []fleet.Status `json:"status"`
}

// Alive is kept under a lease as long as a node is connected.
type Alive struct {
	Replica    string    `json:"replica"`
	Since      time.Time `json:"since"`
	Version    string    `json:"version,omitempty"`
	Kernel     string    `json:"kernel,omitempty"`
	Generation int64     `json:"generation,omitempty"` // that it reported last
}

// Address is what is known of one address (R135).
type Address struct {
	Address  netip.Addr `json:"address"`
	Network  string     `json:"network"`
	Owner    string     `json:"owner,omitempty"` // "nic:web-1"; "": nobody
	Project  string     `json:"project,omitempty"`
	MAC      *nic.MAC   `json:"mac,omitempty"`
	Hostname string     `json:"hostname,omitempty"`
	Until    time.Time  `json:"until,omitzero"` // nobody else gets it before
	Node     string     `json:"node,omitempty"`
	// Checked: the node says that nothing but the owner can send from it.
	Checked bool `json:"checked"`
}

// Usage is what is taken of a project's quota or of a network's addresses.
type Usage struct {
	Project string       `json:"project,omitempty"`
	Quota   *fleet.Quota `json:"quota,omitempty"`
	Used    *fleet.Usage `json:"used,omitempty"`
	Network string       `json:"network,omitempty"`
	Pools   []PoolUsage  `json:"pools,omitempty"`
}

// PoolUsage counts the addresses of one pool. The highest int64 stands for any
// number above.
type PoolUsage struct {
	Pool  string `json:"pool"`
	Used  int64  `json:"used"`
	Held  int64  `json:"held"` // released, and kept from others for a while
	Total int64  `json:"total"`
}

// Move begins a migration.
type Move struct {
	To string `json:"to"` // node
}

// Advance moves a migration on.
type Advance struct {
	Phase fleet.Phase `json:"phase"` // activated
}

// Restore puts a resource back to what it was right after a revision.
type Restore struct {
	Kind     fleet.Kind `json:"kind"`
	Name     string     `json:"name"`
	Revision int64      `json:"revision"`
}

// Diff is what changed between two moments, one edit for each resource.
type Diff struct {
	From  int64        `json:"from"`
	To    int64        `json:"to"`
	Edits []fleet.Edit `json:"edits"`
}

// PolicyTest asks how policies would decide; nothing is kept.
type PolicyTest[T any] struct {
	Policies []fleet.Policy `json:"policies"`
	Inputs   []T            `json:"inputs"`
}

// Verdict is one answer of policies.
type Verdict struct {
	Allowed bool   `json:"allowed"`
	Policy  string `json:"policy,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Message string `json:"message,omitempty"`
	// Field and Value are what a limit stumbled on.
	Field string `json:"field,omitempty"`
	Value string `json:"value,omitempty"`
}

// Token lets one node enrol, once.
type Token struct {
	Token   string    `json:"token"` // NODE.SECRET.FINGERPRINT
	Expires time.Time `json:"expires"`
}

// ParseToken takes a token apart.
func ParseToken(token string) (node, secret, fingerprint string, ok bool) {
	rest, fingerprint, ok := cutLast(token)
	if !ok {
		return "", "", "", false
	}
	node, secret, ok = cutLast(rest) // a node's name may have dots
	return node, secret, fingerprint, ok && node != "" && secret != "" && fingerprint != ""
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// Enrol gives a token for a certificate. CSR is PEM.
type Enrol struct {
	Token string `json:"token"`
	CSR   string `json:"csr"`
}

// Renew asks for a certificate with one that is still good.
type Renew struct {
	CSR string `json:"csr"`
}

// Enrolled is all that a node needs from then on. Certificate and CA are PEM.
type Enrolled struct {
	Certificate string    `json:"certificate"`
	CA          string    `json:"ca"`
	Expires     time.Time `json:"expires"`
	DUID        string    `json:"duid"` // of the site's DHCPv6 servers, hex with colons
	Controllers []string  `json:"controllers"`
}
