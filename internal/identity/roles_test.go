package identity_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
)

func web() *fleet.Project {
	return &fleet.Project{
		Head:  fleet.Head{Kind: fleet.KindProject, Name: "web"},
		Roles: fleet.Roles{Admin: []string{"user:ada"}, Member: []string{"group:dev", "local:1000"}, Viewer: []string{"user:vic", "user:ada"}},
	}
}

// people are one of each sort.
func people() map[string]identity.Identity {
	return map[string]identity.Identity{
		"operator": {Kind: identity.Local, Name: "0", Operator: true},
		"admin":    {Kind: identity.User, Name: "ada"},
		"member":   {Kind: identity.User, Name: "max", Groups: []string{"x", "dev"}},
		"local":    {Kind: identity.Local, Name: "1000"},
		"viewer":   {Kind: identity.User, Name: "vic"},
		"stranger": {Kind: identity.User, Name: "group:dev", Groups: []string{"user:ada"}},
		"node":     {Kind: identity.Node, Name: "ada", Groups: []string{"dev"}},
	}
}

// Who may do it, of all people; the operator always may.
func TestAllowed(t *testing.T) {
	mine, none := web(), (*fleet.Project)(nil)
	viewers, members := "admin member local viewer", "admin member local"
	for _, c := range []struct {
		action  identity.Action
		kind    fleet.Kind
		project *fleet.Project
		who     string
	}{
		{identity.Get, fleet.KindNIC, mine, viewers},
		{identity.History, fleet.KindNIC, mine, viewers},
		{identity.Put, fleet.KindNIC, mine, members},
		{identity.Delete, fleet.KindRequest, mine, members},
		{identity.Migrate, fleet.KindNIC, mine, members},
		{identity.Restore, fleet.KindNIC, mine, members},
		{identity.Put, fleet.KindFailover, mine, members},
		{identity.Put, fleet.KindNIC, none, ""},
		{identity.Get, fleet.KindNIC, none, ""},
		{identity.List, fleet.KindNIC, none, viewers + " stranger"},
		{identity.List, fleet.KindNIC, mine, viewers},
		{identity.Watch, fleet.KindNIC, none, viewers + " stranger"},
		{identity.Get, fleet.KindProject, mine, viewers},
		{identity.Usage, fleet.KindProject, mine, viewers},
		{identity.Decisions, fleet.KindProject, mine, viewers},
		{identity.Put, fleet.KindProject, mine, "admin"},
		{identity.Put, fleet.KindProject, none, ""},
		{identity.Delete, fleet.KindProject, mine, ""},
		{identity.Restore, fleet.KindProject, mine, ""},
		{identity.Get, fleet.KindNetwork, mine, viewers},
		{identity.Get, fleet.KindNetwork, none, ""},
		{identity.Put, fleet.KindNetwork, mine, ""},
		{identity.Restore, fleet.KindNetwork, mine, ""},
		{identity.History, fleet.KindNetwork, mine, ""},
		{identity.Get, fleet.KindPool, mine, viewers},
		{identity.Delete, fleet.KindPool, mine, ""},
		{identity.Get, fleet.KindPolicy, mine, ""},
		{identity.Put, fleet.KindPolicy, mine, ""},
		{identity.List, fleet.KindNode, none, ""},
		{identity.Enrol, fleet.KindNode, none, ""},
		{"burn", fleet.KindNIC, mine, ""},
		{identity.Get, "secret", mine, ""},
	} {
		for name, id := range people() {
			want := name == "operator" || slices.Contains(strings.Fields(c.who), name)
			if err := identity.Allowed(id, c.action, c.kind, c.project); (err == nil) != want {
				t.Errorf("%s, %s %s of %v: %v, want %t", name, c.action, c.kind, c.project, err, want)
			}
		}
	}
}

func TestDeniedSaysWhy(t *testing.T) {
	for _, c := range []struct {
		who    string
		action identity.Action
		kind   fleet.Kind
		want   string
	}{
		{"viewer", identity.Put, fleet.KindNIC, `user:vic may not put a nic of project "web": it needs the role member there, and has viewer`},
		{"stranger", identity.Get, fleet.KindNIC, `user:group:dev may not get a nic of project "web": it needs the role viewer there, and has none`},
		{"admin", identity.Put, fleet.KindPolicy, `user:ada may not put a policy of project "web": that is for operators`},
		{"node", identity.Get, fleet.KindNIC, `node:ada may not get a nic of project "web": a node may only read its own stream and report`},
	} {
		if err := identity.Allowed(people()[c.who], c.action, c.kind, web()); err == nil || err.Error() != c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

func TestChangeProject(t *testing.T) {
	ten, alsoTen, more := 10, 10, 11
	before := web()
	before.Quota.NICs = &ten
	roles, quota, lifted := *before, *before, *before
	roles.Quota.NICs, roles.Roles.Viewer = &alsoTen, nil
	quota.Quota.NICs, lifted.Quota.NICs = &more, nil
	for _, c := range []struct {
		name          string
		before, after *fleet.Project
		who           string
	}{
		{"roles", before, &roles, "admin"},
		{"a quota", before, &quota, ""},
		{"no quota any more", before, &lifted, ""},
		{"a new one that names its admin", nil, &roles, ""},
	} {
		for name, id := range people() {
			want := name == "operator" || name == c.who
			if err := identity.ChangeProject(id, c.before, c.after); (err == nil) != want {
				t.Errorf("%s, %s: %v", c.name, name, err)
			}
		}
	}
}

func TestVisible(t *testing.T) {
	n := &fleet.NIC{Node: "n1", Migration: &fleet.Migration{From: "n1", To: "n2"}}
	for name, want := range map[string]bool{"operator": true, "admin": true, "member": true, "local": true, "viewer": true, "stranger": false, "node": false} {
		id := people()[name]
		if identity.Visible(id, web()) != want || identity.VisibleNIC(id, n, web()) != want {
			t.Errorf("%s: want %t", name, want)
		}
	}
	for name, want := range map[string]bool{"n1": true, "n2": true, "n3": false} {
		id := identity.Identity{Kind: identity.Node, Name: name}
		if identity.VisibleNIC(id, n, web()) != want {
			t.Errorf("node %s: want %t", name, want)
		}
	}
}

func TestThrough(t *testing.T) {
	other := &fleet.Project{Head: fleet.Head{Name: "db"}}
	projects := slices.Values([]*fleet.Project{other, web()})
	for _, c := range []struct {
		uses []string
		want bool
	}{{[]string{"web"}, true}, {[]string{"*"}, true}, {[]string{"db"}, false}, {nil, false}} {
		n := &fleet.Network{Projects: c.uses}
		if p := identity.Through(people()["viewer"], n, projects); (p != nil && p.Name == "web") != c.want {
			t.Errorf("%v: %v", c.uses, p)
		}
		if p := identity.Through(people()["stranger"], n, projects); p != nil {
			t.Errorf("%v: a stranger sees it through %s", c.uses, p.Name)
		}
	}
}

func TestOwnNode(t *testing.T) {
	if err := identity.OwnNode(identity.Identity{Kind: identity.Node, Name: "n1"}, "n1"); err != nil {
		t.Error(err)
	}
	for _, id := range []identity.Identity{
		{Kind: identity.Node, Name: "n2"}, {Kind: identity.User, Name: "n1"}, {Kind: identity.Local, Name: "0", Operator: true}, {},
	} {
		if identity.OwnNode(id, "n1") == nil {
			t.Errorf("%s is taken for n1", id)
		}
	}
}
