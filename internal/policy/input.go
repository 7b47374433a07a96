package policy

import (
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/fleet"
)

// Action is what is asked for.
type Action string

// The actions that policies decide on.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Actions are all of them.
func Actions() []Action { return []Action{Create, Update, Delete} }

// Input is all that a decision is made on: the variables of the expressions,
// under the same names.
type Input struct {
	Identity Identity  `json:"identity"`
	Action   Action    `json:"action"`
	Project  string    `json:"project"`
	Request  Request   `json:"request"`
	Usage    Usage     `json:"usage"`
	Time     time.Time `json:"time,omitzero"` // of the decision
}

// Identity is who asks.
type Identity struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"` // "user", "local" (the controller's socket)
	Groups     []string          `json:"groups,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// Operator is exempt from limits, not from rules.
	Operator bool `json:"operator,omitempty"`
}

// Request is what is asked for, as a whole. A NIC or a fail-over group that is
// written alone is a request with one VM and one NIC.
type Request struct {
	Kind     string            `json:"kind"` // "request", "nic", "failover"
	Name     string            `json:"name"`
	Duration int64             `json:"duration"` // seconds; 0: for good
	Labels   map[string]string `json:"labels,omitempty"`
	VMs      []VM              `json:"vms"`
}

// VM is one machine of a request; what was not said is 0 or "".
type VM struct {
	Name      string            `json:"name"`
	Image     Image             `json:"image,omitzero"`
	Memory    int64             `json:"memory"` // bytes
	CPUs      int               `json:"cpus"`
	Bandwidth int64             `json:"bandwidth"` // bit/s
	Labels    map[string]string `json:"labels,omitempty"`
	NICs      []NIC             `json:"nics"`
}

// Image is what a VM boots from.
type Image struct {
	Name string `json:"name"`
	Size int64  `json:"size"` // bytes
}

// NIC is one NIC as asked for, before anything is granted.
type NIC struct {
	Name      string         `json:"name"`
	Network   string         `json:"network"`
	Node      string         `json:"node"`
	Interface string         `json:"interface"`
	Pools     []string       `json:"pools,omitempty"`     // that an address of is asked for
	Addresses []string       `json:"addresses,omitempty"` // exact ones, as netip prints them
	MAC       string         `json:"mac"`                 // "": to be generated
	Hostname  string         `json:"hostname"`
	Binding   map[string]any `json:"binding,omitempty"`
}

// Usage is what is in use without what is asked for: for an update without
// what it has already.
type Usage struct {
	Project  fleet.Usage             `json:"project"`
	Networks map[string]NetworkUsage `json:"networks,omitempty"` // those of the request
}

// NetworkUsage counts the addresses of a network's pools.
type NetworkUsage struct {
	Used  int64 `json:"used"`
	Total int64 `json:"total"` // the highest int64 stands for any above
}

// OfRequest is how policies see a request.
func OfRequest(r *fleet.Request) Request {
	out := Request{
		Kind: string(fleet.KindRequest), Name: r.Name, Labels: r.Labels, VMs: make([]VM, 0, len(r.VMs)),
		Duration: int64(time.Duration(r.Duration) / time.Second),
	}
	for i := range r.VMs {
		out.VMs = append(out.VMs, ofVM(&r.VMs[i]))
	}
	return out
}

func ofVM(v *fleet.VM) VM {
	out := VM{
		Name: v.Name, Image: Image(v.Image), Memory: v.Memory, CPUs: v.CPUs, Bandwidth: v.Bandwidth, Labels: v.Labels,
		NICs: make([]NIC, 0, len(v.NICs)),
	}
	for i := range v.NICs {
		out.NICs = append(out.NICs, ofNIC(&v.NICs[i]))
	}
	return out
}

// OfNIC is how policies see a NIC that is written alone.
func OfNIC(n *fleet.NIC) Request {
	return Request{Kind: string(fleet.KindNIC), Name: n.Name, VMs: []VM{{Name: n.VM, NICs: []NIC{ofNIC(n)}}}}
}

// OfFailover is how policies see a fail-over group: its shared addresses are
// those of a NIC that bears the group's name.
func OfFailover(f *fleet.Failover) Request {
	n := NIC{Name: f.Name, Network: f.Network}
	n.Pools, n.Addresses = split(f.Addresses)
	return Request{Kind: string(fleet.KindFailover), Name: f.Name, VMs: []VM{{Name: f.Name, NICs: []NIC{n}}}}
}

func ofNIC(n *fleet.NIC) NIC {
	out := NIC{Name: n.Name, Network: n.Network, Node: n.Node, Interface: n.Interface, Hostname: n.Hostname, Binding: n.Binding}
	out.Pools, out.Addresses = split(n.Addresses)
	if n.MAC != nil {
		out.MAC = n.MAC.String()
	}
	return out
}

// split tells exact addresses from names of pools.
func split(asked []string) (pools, exact []string) {
	for _, a := range asked {
		if addr, err := netip.ParseAddr(a); err == nil {
			exact = append(exact, addr.String())
		} else {
			pools = append(pools, a)
		}
	}
	return pools, exact
}

// nics are those of all machines.
func (r *Request) nics() []NIC {
	var all []NIC
	for i := range r.VMs {
		all = append(all, r.VMs[i].NICs...)
	}
	return all
}
