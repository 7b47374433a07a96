package rest

import (
	"encoding/json"
	"reflect"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/policy"
	"github.com/berth-net/berth/internal/rest/wire"
)

// access is who may use a route at all; what of it, control decides.
type access int

const (
	person   access = iota // users and operators
	anybody                // without saying who
	asker                  // whoever has said who, nodes too
	operator               //
	theNode                // the node that the path names, and nobody else
)

// route is one line of the tables below.
type route struct {
	method, path string
	id, what     string // operationId and summary
	access       access
	query        []param
	matches      bool         // it knows If-Match
	body         reflect.Type // nil: none
	yaml         bool         // also as YAML
	answer       reflect.Type
	lines        bool // it answers with JSON lines, without an end
	handle       func(*Server, *call) (any, error)
}

// routes is the whole interface; docs/openapi.json is made from it.
func routes() []route {
	all := append(siteRoutes(), nodeRoutes()...)
	all = append(all, recordRoutes()...)
	return append(all, resourceRoutes()...)
}

func siteRoutes() []route {
	return []route{
		{method: "GET", path: "/healthz", id: "health", what: "Whether the process is alive", access: anybody, answer: reflect.TypeFor[wire.Health](), handle: (*Server).health},
		{method: "GET", path: "/readyz", id: "ready", what: "Whether it has read the whole site and its store answers", access: anybody, answer: reflect.TypeFor[wire.Health](), handle: (*Server).ready},
		{method: "GET", path: "/v1/openapi.json", id: "openapi", what: "This document", access: anybody, answer: reflect.TypeFor[any](), handle: (*Server).openapi},
		{method: "GET", path: "/v1/whoami", id: "whoami", what: "Who the controller takes the asker for", access: asker, answer: reflect.TypeFor[wire.Whoami](), handle: (*Server).whoami},
		{
			method: "GET", path: "/v1/watch", id: "watch", what: "Changes behind a revision, as they come", lines: true,
			query:  []param{{"kind", kind, false, "only of this kind"}, {"from", number, false, "only those behind this revision; without it, those to come"}},
			answer: reflect.TypeFor[wire.Event[json.RawMessage]](), handle: (*Server).watch,
		},
		{
			method: "GET", path: "/v1/usage", id: "usage", what: "What a project uses of its quota, or what is taken of a network",
			query:  []param{{"project", name, false, "this or network"}, {"network", name, false, "this or project"}},
			answer: reflect.TypeFor[wire.Usage](), handle: (*Server).usage,
		},
		{
			method: "GET", path: "/v1/addresses/{address}", id: "address", what: "Whose an address is now",
			query:  []param{{"network", name, false, "none: all networks"}},
			answer: reflect.TypeFor[wire.Items[wire.Address]](), handle: (*Server).address,
		},
		{
			method: "POST", path: "/v1/policies/test", id: "testPolicies", what: "How policies would decide; nothing is kept",
			body: reflect.TypeFor[wire.PolicyTest[policy.Input]](), answer: reflect.TypeFor[wire.Items[wire.Verdict]](), handle: (*Server).testPolicies,
		},
	}
}

func nodeRoutes() []route {
	return []route{
		{
			method: "GET", path: "/v1/nodes/{name}/status", id: "nodeStatus", what: "How a node is connected, and what it says of its NICs", access: operator,
			answer: reflect.TypeFor[wire.NodeStatus](), handle: (*Server).nodeStatus,
		},
		{
			method: "POST", path: "/v1/nodes/{name}/token", id: "nodeToken", what: "A token with which the node enrols, once", access: operator,
			answer: reflect.TypeFor[wire.Token](), handle: (*Server).nodeToken,
		},
		{
			method: "POST", path: "/v1/enrol", id: "enrol", what: "A node's certificate for a token", access: anybody,
			body: reflect.TypeFor[wire.Enrol](), answer: reflect.TypeFor[wire.Enrolled](), handle: (*Server).enrol,
		},
		{
			method: "POST", path: "/v1/nodes/{name}/renew", id: "renew", what: "A new certificate for one that is still good", access: theNode,
			body: reflect.TypeFor[wire.Renew](), answer: reflect.TypeFor[wire.Enrolled](), handle: (*Server).renew,
		},
		{
			method: "GET", path: "/v1/nodes/{name}/stream", id: "stream", what: "The node's own set, and every change of it", access: theNode, lines: true,
			query:  []param{{"generation", number, false, "of the set that the node has"}, {"digest", text, false, "of that set; none: it has none"}},
			answer: reflect.TypeFor[nodelink.Message](), handle: (*Server).stream,
		},
		{
			method: "POST", path: "/v1/nodes/{name}/report", id: "report", what: "What came of it", access: theNode,
			body: reflect.TypeFor[nodelink.Report](), answer: reflect.TypeFor[struct{}](), handle: (*Server).report,
		},
	}
}

func recordRoutes() []route {
	return []route{
		{
			method: "GET", path: "/v1/history", id: "history", what: "Changes, newest first",
			query: []param{
				{"kind", kind, false, "of resources of this kind"},
				{"name", name, false, "and this name"},
				{"actor", text, false, "by them, such as user:alice"},
				{"from", moment, false, "not before"},
				{"to", moment, false, "before"},
				limitParam(),
			},
			answer: reflect.TypeFor[wire.Items[fleet.Revision]](), handle: (*Server).history,
		},
		{
			method: "GET", path: "/v1/who-had", id: "whoHad", what: "Who had an address, newest first",
			query:  []param{{"address", address, true, ""}, {"network", name, false, "none: all networks"}, {"at", moment, false, "at this time; none: ever"}},
			answer: reflect.TypeFor[wire.Items[fleet.Tenure]](), handle: (*Server).whoHad,
		},
		{
			method: "GET", path: "/v1/diff", id: "diff", what: "What changed between two moments", access: operator,
			query:  []param{{"from", point, true, "a revision, or a time"}, {"to", point, false, "the same; none: now"}},
			answer: reflect.TypeFor[wire.Diff](), handle: (*Server).diff,
		},
		{
			method: "POST", path: "/v1/restore", id: "restore", what: "Put a resource back to what it was right after a revision", query: writeParams(),
			body: reflect.TypeFor[wire.Restore](), answer: reflect.TypeFor[wire.Written[json.RawMessage]](), handle: (*Server).restore,
		},
		{
			method: "GET", path: "/v1/decisions", id: "decisions", what: "What policies answered, newest first",
			query:  []param{{"project", name, false, "only of this project"}, limitParam()},
			answer: reflect.TypeFor[wire.Items[fleet.Decision]](), handle: (*Server).decisions,
		},
	}
}

func limitParam() param { return param{"limit", page, false, "how many at most"} }

func writeParams() []param {
	return []param{
		{"dry-run", yes, false, "say what would change, and change nothing"},
		{"force", yes, false, "for operators: take away ranges that NICs have addresses of, and take a NIC to another node though it is in force"},
		{"wait", duration, false, "until the nodes have it in force, at most"},
	}
}

// shape is what differs between the kinds of resources.
type shape struct {
	kind                    fleet.Kind
	resource, page, written reflect.Type
}

func shapeOf[T any](k fleet.Kind) shape {
	return shape{k, reflect.TypeFor[T](), reflect.TypeFor[wire.Page[T]](), reflect.TypeFor[wire.Written[T]]()}
}

func shapes() []shape {
	return []shape{
		shapeOf[fleet.Project](fleet.KindProject), shapeOf[fleet.Network](fleet.KindNetwork), shapeOf[fleet.Pool](fleet.KindPool),
		shapeOf[fleet.Node](fleet.KindNode), shapeOf[fleet.Policy](fleet.KindPolicy), shapeOf[fleet.NIC](fleet.KindNIC),
		shapeOf[fleet.Failover](fleet.KindFailover), shapeOf[fleet.Request](fleet.KindRequest),
	}
}

func resourceRoutes() []route {
	var all []route
	for _, s := range shapes() {
		all = append(all, s.routes()...)
	}
	return append(all, migrationRoutes()...)
}

func (s shape) routes() []route {
	list, one, suffix := "/v1/"+s.kind.Plural(), "/v1/"+s.kind.Plural()+"/{name}", s.resource.Name()
	return []route{
		{
			method: "GET", path: list, id: "list" + suffix, what: "All that the asker may see, by name", answer: s.page,
			query: []param{
				{"project", name, false, "only of this project"},
				{"network", name, false, "only of this network"},
				{"node", name, false, "only on this node"},
				{"vm", text, false, "only of this VM"},
				{"after", name, false, "the page behind this name"},
				limitParam(),
			},
			handle: func(v *Server, c *call) (any, error) { return v.list(c, s.kind) },
		},
		{
			method: "GET", path: one, id: "get" + suffix, what: "One of them", answer: s.resource,
			handle: func(v *Server, c *call) (any, error) { return v.get(c, s.kind) },
		},
		{
			method: "PUT", path: one, id: "put" + suffix, what: "Make or change it", query: writeParams(), matches: true, body: s.resource, yaml: true, answer: s.written,
			handle: func(v *Server, c *call) (any, error) { return v.put(c, s.kind) },
		},
		{
			method: "DELETE", path: one, id: "delete" + suffix, what: "Remove it", query: writeParams(), matches: true, answer: s.written,
			handle: func(v *Server, c *call) (any, error) { return v.remove(c, s.kind) },
		},
	}
}

func migrationRoutes() []route {
	const path = "/v1/nics/{name}/migration"
	written := reflect.TypeFor[wire.Written[fleet.NIC]]()
	return []route{
		{method: "GET", path: "/v1/nics/{name}/status", id: "statusNIC", what: "What the nodes say of it", answer: reflect.TypeFor[wire.NICStatus](), handle: (*Server).nicStatus},
		{
			method: "POST", path: path, id: "prepareMigration", what: "Prepare it on another node", query: writeParams(), matches: true,
			body: reflect.TypeFor[wire.Move](), answer: written, handle: (*Server).prepare,
		},
		{
			method: "PUT", path: path, id: "activateMigration", what: "Put it in force there, and withdraw it at the source", query: writeParams(), matches: true,
			body: reflect.TypeFor[wire.Advance](), answer: written, handle: (*Server).activate,
		},
		{method: "DELETE", path: path, id: "abortMigration", what: "Return it to the source", query: writeParams(), matches: true, answer: written, handle: (*Server).abort},
		{method: "POST", path: path + "/complete", id: "completeMigration", what: "The source forgets it", query: writeParams(), matches: true, answer: written, handle: (*Server).complete},
	}
}
