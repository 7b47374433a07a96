// Package ipam decides who gets which address, MAC, interface and prefix. A
// State is all that the controller knows, fed by the store's keys; a decision
// is a pure function of it and of what is asked, and returns a Change: what to
// write, and all that must still be so for it to be right.
//
// Not here: who may ask (identity), what policies say (policy), and writing
// (etcd, control).
package ipam

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

// Entropy returns 64 random bits.
type Entropy func() uint64

// Options are what a decision is told besides the resource.
type Options struct {
	Now     time.Time
	Entropy Entropy // for MACs
	Actor   string  // "user:alice"
	// Revision that the resource must have now, unless 0. A document's own
	// meta.revision says the same.
	Revision int64
	// Force does what only an operator may: takes a NIC to another node without
	// a migration, and takes away ranges that are in use.
	Force bool
	// Sees reports whether the asker may be told what a project has; nil: of any.
	Sees func(project string) bool
	// InForce reports whether a node delivers a NIC now; nil: that is not known.
	InForce func(node, nic string) bool
	// Enrolled reports whether a node is one that will say when it has withdrawn
	// an address; nil: none is.
	Enrolled func(node string) bool
}

// Change is what one transaction does.
type Change struct {
	Needs    []fleet.Need
	Puts     []fleet.Put
	Deletes  []string // a key, or all that begin with it if it ends in a slash
	Revision fleet.Revision
}

// Class is what kind of refusal it is.
type Class string

// The classes.
const (
	Invalid   Class = "invalid"   // it could never be
	Conflict  Class = "conflict"  // somebody has it, or it is in use
	Exhausted Class = "exhausted" // there is nothing left
	Quota     Class = "quota"     // the project has as much as it may
	Denied    Class = "denied"    // not open to this project
	NotFound  Class = "not-found"
)

// cause is a rule with what breaking it comes to.
type cause struct {
	class Class
	rule  string
}

func (c Class) by(rule string) cause { return cause{c, rule} }

// Refusal is one reason why something is not done. Several are joined.
type Refusal struct {
	Class Class
	Kind  fleet.Kind
	Name  string
	Field string // path in the document; "": the whole
	Value string
	Rule  string // short name of the rule: "address-taken"
	Text  string // says who or what stands in the way
}

// Error prints what it is about and why.
func (r *Refusal) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s: ", r.Kind, r.Name)
	if r.Field != "" {
		s.WriteString(r.Field)
		if r.Value != "" {
			fmt.Fprintf(&s, " %q", r.Value)
		}
		s.WriteString(": ")
	}
	s.WriteString(r.Text)
	return s.String()
}

// Refusals returns those that err has joined.
func Refusals(err error) []*Refusal {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if r, one := errors.AsType[*Refusal](err); one {
			return []*Refusal{r}
		}
		return nil
	}
	var out []*Refusal
	for _, e := range joined.Unwrap() {
		out = append(out, Refusals(e)...)
	}
	return out
}

// Put creates or updates a resource. Nothing to do is a nil Change. The error
// is Refusals.
func (s *State) Put(res fleet.Resource, opt Options) (*Change, error) {
	res, err := clone(res)
	if err != nil {
		return nil, err
	}
	fleet.Complete(res)
	d := newDraft(s, opt, "put", *res.Header())
	if d.invalid(res); len(d.refused) > 0 {
		return nil, errors.Join(d.refused...)
	}
	if !d.current(res.Header()) {
		return nil, errors.Join(d.refused...)
	}
	switch v := res.(type) {
	case *fleet.Project:
		d.write(v)
	case *fleet.Network:
		d.putNetwork(v)
	case *fleet.Pool:
		d.putPool(v)
	case *fleet.Node:
		d.putNode(v)
	case *fleet.Policy:
		d.putPolicy(v)
	case *fleet.NIC:
		d.putNIC(v)
	case *fleet.Failover:
		d.putFailover(v)
	case *fleet.Request:
		d.putRequest(v)
	}
	return d.finish()
}

// Delete removes a resource. What is in use is refused, and told by whom.
func (s *State) Delete(kind fleet.Kind, name string, opt Options) (*Change, error) {
	d := newDraft(s, opt, "delete", fleet.Head{Kind: kind, Name: name})
	old := s.Get(kind, name)
	if old == nil {
		d.refuse(NotFound.by("no-such"), "", "", "there is no %s of this name", kind)
		return d.finish()
	}
	if !d.current(&fleet.Head{Kind: kind, Name: name}) {
		return d.finish()
	}
	switch v := old.(type) {
	case *fleet.Project:
		d.deleteProject(v)
	case *fleet.Network:
		d.deleteNetwork(v)
	case *fleet.Pool:
		d.deletePool(v)
	case *fleet.Node:
		d.deleteNode(v)
	case *fleet.Policy:
		d.remove(v)
		d.policyChanged()
	case *fleet.NIC:
		d.deleteNIC(v)
	case *fleet.Failover:
		d.deleteFailover(v)
	case *fleet.Request:
		d.deleteRequest(v)
	}
	return d.finish()
}

// clone is a copy that shares nothing with what the caller has.
func clone[R fleet.Resource](res R) (R, error) {
	var none R
	data, err := fleet.Encode(res)
	if err != nil {
		return none, err
	}
	c, err := fleet.Load(res.Header().Kind, data)
	if err != nil {
		return none, err
	}
	out, ok := c.(R)
	if !ok {
		return none, fmt.Errorf("%s is not what its kind says", res.Header().Name)
	}
	return out, nil
}

// invalid notes what is wrong with the resource by itself.
func (d *draft) invalid(res fleet.Resource) {
	for _, e := range nic.FieldErrors(res.Validate()) {
		d.refuse(Invalid.by("format"), e.Field, e.Value, "%s", e.Problem)
	}
}

// current holds the resource to the revision that its writer has seen.
func (d *draft) current(h *fleet.Head) bool {
	want := d.opt.Revision
	if want == 0 && h.Meta != nil {
		want = h.Meta.Revision
	}
	have := d.s.revisionOf(h.Kind, h.Name)
	if want == 0 || want == have {
		return true
	}
	d.refuse(Conflict.by("changed-since"), "meta.revision", fmt.Sprint(want), "has been changed since: it is at revision %d", have)
	return false
}
