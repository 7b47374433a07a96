package identity

import (
	"fmt"
	"iter"
	"slices"

	"github.com/berth-net/berth/internal/fleet"
)

// Action is what somebody wants to do with resources of a kind.
type Action string

// The actions.
const (
	Get       Action = "get"
	List      Action = "list"
	Watch     Action = "watch"
	Usage     Action = "usage"
	History   Action = "history"   // also who had an address
	Decisions Action = "decisions" // of the policies
	Put       Action = "put"
	Delete    Action = "delete"
	Migrate   Action = "migrate" // all steps of it
	Restore   Action = "restore"
	Enrol     Action = "enrol" // make a node's token
)

// Role is what somebody is in a project; a higher one may all that a lower
// one may.
type Role int

// The roles.
const (
	None Role = iota
	Viewer
	Member
	Admin
	beyond // nobody has it: operators need no role
)

func (r Role) String() string { return [...]string{"none", "viewer", "member", "admin", "operator"}[r] }

// RoleOf returns the role that somebody has in a project; a project that is
// not there (nil) gives none, nor does any to a node.
func RoleOf(id Identity, project *fleet.Project) Role {
	switch {
	case project == nil:
		return None
	case id.is(project.Roles.Admin):
		return Admin
	case id.is(project.Roles.Member):
		return Member
	case id.is(project.Roles.Viewer):
		return Viewer
	}
	return None
}

// Denied is that an identity may not do what it wants.
type Denied struct {
	Identity Identity
	Action   Action
	Kind     fleet.Kind
	Project  string // "": of none
	Why      string
}

func (d *Denied) Error() string {
	of := ""
	if d.Project != "" {
		of = fmt.Sprintf(" of project %q", d.Project)
	}
	return fmt.Sprintf("%s may not %s a %s%s: %s", d.Identity, d.Action, d.Kind, of, d.Why)
}

// Allowed returns a *Denied unless an action on a kind of resource is allowed.
// Project is whose the resource is; for a network or a pool one of those that
// may use it and that the identity has a role in; nil if there is none. Lists
// and watches of all projects (nil) are allowed to users: each item is judged
// by Visible. What is a node's is judged by OwnNode and VisibleNIC.
func Allowed(id Identity, action Action, kind fleet.Kind, project *fleet.Project) error {
	if id.Operator {
		return nil
	}
	d := &Denied{Identity: id, Action: action, Kind: kind}
	if project != nil {
		d.Project = project.Name
	}
	if id.Kind == Node {
		d.Why = "a node may only read its own stream and report"
		return d
	}
	need := needs(action, kind)
	switch has := RoleOf(id, project); {
	case need == beyond:
		d.Why = "that is for operators"
	case project == nil && (action == List || action == Watch), has >= need:
		return nil
	default:
		d.Why = fmt.Sprintf("it needs the role %s there, and has %s", need, has)
	}
	return d
}

// needs is the least role for an action.
func needs(action Action, kind fleet.Kind) Role {
	switch kind {
	case fleet.KindNIC, fleet.KindRequest, fleet.KindFailover:
		return byAction(action, Member)
	case fleet.KindProject:
		if action != Put {
			return byAction(action, beyond)
		}
		return Admin // of what is there; see ChangeProject
	case fleet.KindNetwork, fleet.KindPool:
		if action == History { // it has the NICs of other projects
			return beyond
		}
		return byAction(action, beyond)
	default: // nodes, policies, and what is not known
		return beyond
	}
}

// byAction is Viewer for what changes nothing, and write for what does.
func byAction(action Action, write Role) Role {
	switch action {
	case Get, List, Watch, Usage, History, Decisions:
		return Viewer
	case Put, Delete, Migrate, Restore:
		return write
	default: // enrolment, and what is not known
		return beyond
	}
}

// ChangeProject judges the change of a project, after Allowed with what is
// there: its admins change its roles, and nothing else.
func ChangeProject(id Identity, before, after *fleet.Project) error {
	if id.Operator {
		return nil
	}
	d := &Denied{Identity: id, Action: Put, Kind: fleet.KindProject, Project: after.Name}
	switch {
	case before == nil:
		d.Why = "new projects are made by operators"
	case RoleOf(id, before) < Admin:
		d.Why = "it needs the role admin there"
	case !sameQuota(before.Quota, after.Quota):
		d.Why = "quotas are set by operators"
	default:
		return nil
	}
	return d
}

func sameQuota(a, b fleet.Quota) bool {
	same := func(x, y *int) bool { return x == y || x != nil && y != nil && *x == *y }
	return same(a.VMs, b.VMs) && same(a.NICs, b.NICs) && same(a.Addresses4, b.Addresses4) && same(a.Addresses6, b.Addresses6)
}

// Visible reports whether somebody sees a project and what is in it.
func Visible(id Identity, project *fleet.Project) bool {
	return id.Operator || RoleOf(id, project) >= Viewer
}

// VisibleNIC reports whether somebody sees a NIC of a project: a node its own,
// and during a migration both nodes.
func VisibleNIC(id Identity, n *fleet.NIC, project *fleet.Project) bool {
	if id.Kind != Node {
		return Visible(id, project)
	}
	return n.Node == id.Name || n.Migration != nil && (n.Migration.From == id.Name || n.Migration.To == id.Name)
}

// Through returns one of the projects that somebody sees and that may use a
// network, nil if there is none: what Allowed wants for networks and pools.
func Through(id Identity, n *fleet.Network, projects iter.Seq[*fleet.Project]) *fleet.Project {
	for p := range projects {
		if RoleOf(id, p) >= Viewer && (slices.Contains(n.Projects, p.Name) || slices.Contains(n.Projects, "*")) {
			return p
		}
	}
	return nil
}

// OwnNode returns a *Denied unless the identity is that node: its stream, its
// report and its renewal are nobody else's, not even an operator's.
func OwnNode(id Identity, node string) error {
	if id.Kind == Node && id.Name == node {
		return nil
	}
	return &Denied{Identity: id, Action: Get, Kind: fleet.KindNode, Why: fmt.Sprintf("that is for node %q alone", node)}
}
