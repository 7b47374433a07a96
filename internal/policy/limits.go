package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
)

// BuiltIn is the policy of what is denied unless some policy allows it: exact
// addresses, asked-for MACs, and keys of the binding (R127).
const BuiltIn = "built-in"

// The limits, as they are named in a policy and as the rule of a verdict.
const (
	limitVMs       = "limits.vms"
	limitNICs      = "limits.nics-per-vm"
	limitAddresses = "limits.exact-addresses"
	limitMACs      = "limits.macs"
	limitBinding   = "limits.binding"
)

// limits returns a verdict if the policy's limits deny. Operators are exempt,
// and deletions cannot exceed anything.
func (c *considered) limits(p *compiled) *Verdict {
	if c.in.Identity.Operator || c.in.Action == Delete {
		return nil
	}
	if v := c.counts(&p.limits); v != nil {
		v.Policy = p.name
		return v
	}
	for _, l := range lifts(&p.limits, &c.granted) {
		switch {
		case *l.here == nil:
		case **l.here:
			*l.any = *l.here
		default:
			if v := l.denies(&c.in.Request, "this policy forbids it"); v != nil {
				v.Policy = p.name
				return v
			}
		}
	}
	return nil
}

func (c *considered) counts(l *fleet.Limits) *Verdict {
	r := &c.in.Request
	if l.VMs != nil && len(r.VMs) > *l.VMs {
		return &Verdict{
			Rule: limitVMs, Field: "vms", Value: strconv.Itoa(len(r.VMs)),
			Message: fmt.Sprintf("the request has %d VMs, at most %d are allowed", len(r.VMs), *l.VMs),
		}
	}
	for i := range r.VMs {
		if n := len(r.VMs[i].NICs); l.NICsPerVM != nil && n > *l.NICsPerVM {
			return &Verdict{
				Rule: limitNICs, Field: fmt.Sprintf("vms[%d].nics", i), Value: strconv.Itoa(n),
				Message: fmt.Sprintf("VM %q has %d NICs, at most %d are allowed", r.VMs[i].Name, n, *l.NICsPerVM),
			}
		}
	}
	return nil
}

// unlifted returns a verdict if something is asked for that is denied unless a
// policy allows it, and none did.
func (c *considered) unlifted() *Verdict {
	if c.in.Identity.Operator || c.in.Action == Delete {
		return nil
	}
	for _, l := range lifts(&fleet.Limits{}, &c.granted) {
		if *l.any != nil {
			continue
		}
		if v := l.denies(&c.in.Request, "no policy allows it for project "+c.in.Project); v != nil {
			v.Policy = BuiltIn
			return v
		}
	}
	return nil
}

// lift is one thing that a policy may allow or forbid.
type lift struct {
	rule, field string
	here, any   **bool // of one policy, and of those so far
	text        string
	asked       func(*NIC) []string
}

func lifts(here, all *fleet.Limits) []lift {
	return []lift{
		{
			limitAddresses, "addresses", &here.ExactAddresses, &all.ExactAddresses, "an exact address is asked for",
			func(n *NIC) []string { return n.Addresses },
		},
		{limitMACs, "mac", &here.MACs, &all.MACs, "a MAC is asked for", askedMAC},
		{
			limitBinding, "binding", &here.Binding, &all.Binding, "keys of the binding are set",
			func(n *NIC) []string { return slices.Sorted(maps.Keys(n.Binding)) },
		},
	}
}

func askedMAC(n *NIC) []string {
	if n.MAC == "" {
		return nil
	}
	return []string{n.MAC}
}

// denies returns a verdict about the first NIC that asks for it.
func (l *lift) denies(r *Request, why string) *Verdict {
	for i := range r.VMs {
		for j := range r.VMs[i].NICs {
			asked := l.asked(&r.VMs[i].NICs[j])
			if len(asked) == 0 {
				continue
			}
			value := strings.Join(asked, ", ")
			return &Verdict{
				Rule: l.rule, Field: r.at(i, j, l.field), Value: value,
				Message: fmt.Sprintf("%s (%s), and %s", l.text, value, why),
			}
		}
	}
	return nil
}

// at is the path of a NIC's field in the resource as it was written.
func (r *Request) at(vm, nic int, field string) string {
	if r.Kind != string(fleet.KindRequest) {
		return field
	}
	return fmt.Sprintf("vms[%d].nics[%d].%s", vm, nic, field)
}
