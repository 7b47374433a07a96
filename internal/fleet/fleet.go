// Package fleet holds the nouns of the controller: the resources that people
// declare, what is granted to them, and the records of what was decided. All
// of it is plain data, written and shown as YAML or JSON with the same keys.
//
// Not here: who decides (ipam, policy), where it is kept (etcd), and what a
// node makes of it (nic, manifest).
package fleet

import (
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/nic"
)

// Kind is what a resource is.
type Kind string

// The kinds of resources, in the order in which they depend on each other.
const (
	KindProject  Kind = "project"
	KindNetwork  Kind = "network"
	KindPool     Kind = "pool"
	KindNode     Kind = "node"
	KindPolicy   Kind = "policy"
	KindNIC      Kind = "nic"
	KindFailover Kind = "failover"
	KindRequest  Kind = "request"
)

// Kinds are all of them in that order.
func Kinds() []Kind {
	return []Kind{KindProject, KindNetwork, KindPool, KindNode, KindPolicy, KindNIC, KindFailover, KindRequest}
}

// Plural is the kind in paths and for the command line: "policies".
func (k Kind) Plural() string {
	if k == KindPolicy {
		return "policies"
	}
	return string(k) + "s"
}

// Resource is one of *Project, *Network, *Pool, *Node, *Policy, *NIC,
// *Failover, *Request.
type Resource interface {
	Header() *Head
	// Validate returns all mistakes of the resource by itself, as FieldErrors
	// of nic: field path, value as written, problem.
	Validate() error
}

// Head is what all resources begin with.
type Head struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"` // letters, digits, '-', '.', '_'; 1 to 63 bytes; unique for its kind
	Meta *Meta  `json:"meta,omitempty"`
}

// Header returns itself, for those who embed it.
func (h *Head) Header() *Head { return h }

// Meta is what the controller knows of a resource. In a document that is
// written only Revision matters: unless 0 it must be the one in force.
type Meta struct {
	Revision int64     `json:"revision"` // of the whole site, when the resource changed last
	Created  time.Time `json:"created,omitzero"`
	Changed  time.Time `json:"changed,omitzero"`
	By       string    `json:"by,omitempty"` // who changed it last: "user:alice"
}

// Project owns NICs.
type Project struct {
	Head  `json:",inline"`
	Quota Quota `json:"quota,omitzero"`
	// Roles says who may do what, as subjects "user:NAME", "group:NAME"
	// and "local:UID", of a process on the controller's host.
	Roles Roles `json:"roles,omitzero"`
}

// Quota are upper limits of a project; absent is without limit.
type Quota struct {
	VMs        *int `json:"vms,omitempty"`
	NICs       *int `json:"nics,omitempty"`
	Addresses4 *int `json:"addresses4,omitempty"`
	Addresses6 *int `json:"addresses6,omitempty"`
}

// Usage is what counts against a Quota.
type Usage struct {
	VMs        int `json:"vms"`
	NICs       int `json:"nics"`
	Addresses4 int `json:"addresses4"`
	Addresses6 int `json:"addresses6"`
}

// Roles of a project. An admin may all that a member may, and change roles; a
// member may write NICs, requests and fail-overs; a viewer may see them.
type Roles struct {
	Admin  []string `json:"admin,omitempty"`
	Member []string `json:"member,omitempty"`
	Viewer []string `json:"viewer,omitempty"`
}

// Network is an address namespace with the defaults of its NICs.
type Network struct {
	Head `json:",inline"`
	// Projects may use it; "*" stands for all.
	Projects []string `json:"projects,omitempty"`
	// Prefixes are the subnets: an address has the length of the one that it
	// lies in. They overlap those of no other network that is not isolated.
	Prefixes []netip.Prefix `json:"prefixes"`
	// Isolated networks may have the prefixes and MACs of others.
	Isolated bool `json:"isolated,omitempty"`
	// Transparent networks are their tenant's to serve (served-by: tenant).
	Transparent bool `json:"transparent,omitempty"`
	// Hold keeps an address that was released from others (R123).
	Hold Duration `json:"hold,omitempty"`
	// MACPrefix begins generated MACs: whole octets, locally administered
	// unicast, "02:62:65" unless given.
	MACPrefix string `json:"mac-prefix,omitempty"`
	// Defaults are keys of a network in docs/binding.md: gateway, dns, mtu, dhcp4...
	Defaults map[string]any `json:"defaults,omitempty"`
}

// Pool is a part of a network's addresses from which NICs get theirs.
type Pool struct {
	Head    `json:",inline"`
	Network string `json:"network"`
	// Default pools are drawn from, one address each, for a NIC that asks for
	// nothing in particular.
	Default bool     `json:"default,omitempty"`
	Ranges  []Range  `json:"ranges"`
	Exclude []Range  `json:"exclude,omitempty"`
	Fixed   []Fixed  `json:"fixed,omitempty"`
	Project []string `json:"projects,omitempty"` // who may draw; none: all of the network's
}

// Fixed is what comes with one address of a pool, whoever gets it.
type Fixed struct {
	Address  netip.Addr `json:"address"`
	Hostname string     `json:"hostname,omitempty"`
	MAC      *nic.MAC   `json:"mac,omitempty"`
}

// NIC is one virtual NIC of one VM.
type NIC struct {
	Head      `json:",inline"`
	Project   string `json:"project"`
	Network   string `json:"network"`
	Node      string `json:"node,omitempty"` // "": nowhere yet
	Interface string `json:"interface"`      // of the host, 1 to 15 bytes
	VM        string `json:"vm,omitempty"`   // groups NICs of one machine; in a request the machine's name
	// Addresses are asked for: the name of a pool for one of its addresses, or
	// an address. None: one of each default pool of the network.
	Addresses []string `json:"addresses,omitempty"`
	MAC       *nic.MAC `json:"mac,omitempty"` // asked for; else generated
	Hostname  string   `json:"hostname,omitempty"`
	// Binding are further keys of a NIC in docs/binding.md that this project
	// may set: guard, dhcp4, routed, slaac...
	Binding map[string]any `json:"binding,omitempty"`

	// Granted is the controller's; what is written there is not looked at.
	Granted   *Granted   `json:"granted,omitempty"`
	Migration *Migration `json:"migration,omitempty"`
	Request   string     `json:"request,omitempty"` // the request that it came with
}

// Granted is what a NIC has got.
type Granted struct {
	MAC       nic.MAC        `json:"mac"`
	Addresses []netip.Prefix `json:"addresses"` // as asked for, in that order
	Hostname  string         `json:"hostname,omitempty"`
}

// Phase is how far a migration is.
type Phase string

// The phases of a migration. The NIC's node is the source until it is active
// on the target, then the target; without a Migration it is done.
const (
	Prepared  Phase = "prepared"  // on the target all is ready and nothing passes
	Activated Phase = "activated" // in force on the target and announced there; nothing passes at the source any more
)

// Migration is one under way.
type Migration struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Phase Phase  `json:"phase"`
}

// Failover is a group of NICs that share addresses (R107).
type Failover struct {
	Head      `json:",inline"`
	Project   string   `json:"project"`
	Network   string   `json:"network"`
	Addresses []string `json:"addresses"` // as a NIC's
	VRID      uint8    `json:"vrid,omitempty"`
	Members   []string `json:"members"` // names of NICs

	Granted []netip.Addr `json:"granted,omitempty"`
}

// NodeState says whether a node gets new NICs.
type NodeState string

// The states of a node.
const (
	NodeEnabled  NodeState = "enabled"  // also ""
	NodeDraining NodeState = "draining" // keeps what it has, gets nothing new
	NodeDisabled NodeState = "disabled" // is sent nothing: its NICs keep what they have
)

// Node is one hypervisor.
type Node struct {
	Head     `json:",inline"`
	Networks []string          `json:"networks,omitempty"` // that it can serve (R125); "*" or none: all
	State    NodeState         `json:"state,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// Request is several VMs with their NICs, granted as a whole or not at all.
type Request struct {
	Head     `json:",inline"`
	Project  string            `json:"project"`
	Duration Duration          `json:"duration,omitempty"` // how long it is wanted; 0: for good
	VMs      []VM              `json:"vms"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// VM is one virtual machine of a request; what is not of the network is for
// policies.
type VM struct {
	Name      string            `json:"name"`
	Image     Image             `json:"image,omitzero"`
	Memory    int64             `json:"memory,omitempty"`    // bytes
	CPUs      int               `json:"cpus,omitempty"`      //
	Bandwidth int64             `json:"bandwidth,omitempty"` // bit/s
	Labels    map[string]string `json:"labels,omitempty"`
	// NICs without kind, project and vm; a name may be left out: VM-INDEX then.
	NICs []NIC `json:"nics"`
}

// Image is what a VM boots from.
type Image struct {
	Name string `json:"name,omitempty"`
	Size int64  `json:"size,omitempty"` // bytes
}

// Policy are rules on whole requests.
type Policy struct {
	Head `json:",inline"`
	// Projects it applies to; none: all.
	Projects []string `json:"projects,omitempty"`
	Limits   Limits   `json:"limits,omitzero"`
	Rules    []Rule   `json:"rules,omitempty"`
}

// Limits are the built-in policies (R127). Without a policy that allows them,
// exact addresses and asked-for MACs are denied.
type Limits struct {
	VMs            *int  `json:"vms,omitempty"`         // of one request
	NICsPerVM      *int  `json:"nics-per-vm,omitempty"` //
	ExactAddresses *bool `json:"exact-addresses,omitempty"`
	MACs           *bool `json:"macs,omitempty"`    // asked-for ones
	Binding        *bool `json:"binding,omitempty"` // keys of NIC.Binding
}

// Effect of a rule whose condition holds.
type Effect string

// The effects. A deny of any policy wins; if there is any allow rule that
// applies to the project, one of them must hold.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
)

// Rule is one CEL expression with its effect.
type Rule struct {
	Name   string `json:"name"`
	Effect Effect `json:"effect"`
	// Actions it is asked for: create, update, delete; none: create and update.
	Actions []string `json:"actions,omitempty"`
	When    string   `json:"when"`              // CEL of type bool
	Message string   `json:"message,omitempty"` // CEL of type string, or plain text
}
