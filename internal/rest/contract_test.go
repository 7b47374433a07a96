package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/berth-net/berth/internal/fleet"
)

// contract holds answers to the document.
type contract struct {
	api   *openapi3.T
	paths map[string]*regexp.Regexp
}

func newContract(t testing.TB) *contract {
	c := &contract{api: load(t), paths: map[string]*regexp.Regexp{}}
	for path := range c.api.Paths.Map() {
		c.paths[path] = regexp.MustCompile("^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
	}
	return c
}

// find is the operation of a request; nil: the document has none.
func (c *contract) find(method, path string) *routers.Route {
	var best string
	for template, re := range c.paths {
		// The one with fewer parameters is meant.
		if re.MatchString(path) && (best == "" || strings.Count(template, "{") < strings.Count(best, "{")) && c.api.Paths.Value(template).GetOperation(method) != nil {
			best = template
		}
	}
	if best == "" {
		return nil
	}
	item := c.api.Paths.Value(best)
	return &routers.Route{Spec: c.api, Path: best, PathItem: item, Method: method, Operation: item.GetOperation(method)}
}

// check returns what an answer has that the document has not.
func (c *contract) check(r raw, got answer) error {
	path, _, _ := strings.Cut(r.path, "?")
	route := c.find(r.method, path)
	if route == nil {
		if got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
			return fmt.Errorf("%s %s is not documented and answers %d", r.method, r.path, got.status)
		}
		return nil
	}
	req, err := http.NewRequest(r.method, "https://controller"+path, http.NoBody)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route},
		Status:                 got.status, Header: got.header, Body: io.NopCloser(bytes.NewReader(got.body)),
	})
}

// Each route of the document answers as it says, with a success: real requests,
// real answers.
func TestAnswersAreAsDocumented(t *testing.T) {
	s := newSite(t)
	c := newContract(t)
	s.furnish()
	n1 := s.node("n1")
	defer n1.follow()()
	w := s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0}")
	_, csr := s.newKey()
	csrJSON, _ := json.Marshal(csr)
	token := func() string {
		tk, err := s.as("op").NodeToken(t.Context(), "n2")
		if err != nil {
			t.Fatal(err)
		}
		return tk.Token
	}
	done := map[string]bool{}
	for _, r := range []raw{
		{method: "GET", path: "/healthz"},
		{method: "GET", path: "/readyz"},
		{method: "GET", path: "/v1/openapi.json"},
		{method: "GET", path: "/v1/whoami"},
		{method: "PUT", path: "/v1/projects/p", body: `{"quota": {"nics": 5}}`},
		{method: "GET", path: "/v1/projects/p"},
		{method: "GET", path: "/v1/projects"},
		{method: "PUT", path: "/v1/networks/n", body: `{"prefixes": ["198.51.100.0/24", "2001:db8::/64"], "defaults": {"gateway": "198.51.100.1"}}`},
		{method: "GET", path: "/v1/networks/n"},
		{method: "GET", path: "/v1/networks"},
		{method: "PUT", path: "/v1/pools/q", body: `{"network": "n", "ranges": ["198.51.100.8/29"], "fixed": [{"address": "198.51.100.9", "hostname": "x"}]}`},
		{method: "GET", path: "/v1/pools/q"},
		{method: "GET", path: "/v1/pools"},
		{method: "PUT", path: "/v1/nodes/n3", body: `{"labels": {"rack": "1"}}`},
		{method: "GET", path: "/v1/nodes/n3"},
		{method: "GET", path: "/v1/nodes"},
		{method: "PUT", path: "/v1/policies/x", body: `{"limits": {"vms": 5}, "rules": [{"name": "r", "effect": "deny", "when": "false"}]}`},
		{method: "GET", path: "/v1/policies/x"},
		{method: "GET", path: "/v1/policies"},
		{method: "PUT", path: "/v1/nics/b", body: `{"project": "web", "network": "lan", "node": "n1"}`},
		{method: "GET", path: "/v1/nics/b"},
		{method: "GET", path: "/v1/nics?limit=1"},
		{method: "GET", path: "/v1/nics?after=a"},
		{method: "PUT", path: "/v1/nics/z?dry-run=1", body: `{"project": "web", "network": "lan"}`},
		{method: "PUT", path: "/v1/failovers/f", body: `{"project": "web", "network": "lan", "members": ["a", "b"], "addresses": ["public"]}`},
		{method: "GET", path: "/v1/failovers/f"},
		{method: "GET", path: "/v1/failovers"},
		{method: "PUT", path: "/v1/requests/r", body: `{"project": "web", "duration": "36h", "vms": [{"name": "v", "memory": 1024, "nics": [{"network": "lan"}]}]}`},
		{method: "GET", path: "/v1/requests/r"},
		{method: "GET", path: "/v1/requests"},
		{method: "GET", path: "/v1/nics/a/status"},
		{method: "GET", path: "/v1/nodes/n1/status"},
		{method: "POST", path: "/v1/nics/a/migration", body: `{"to": "n2"}`},
		{method: "PUT", path: "/v1/nics/a/migration?force=1", body: `{"phase": "activated"}`},
		{method: "POST", path: "/v1/nics/a/migration/complete"},
		{method: "POST", path: "/v1/nics/b/migration", body: `{"to": "n2"}`},
		{method: "DELETE", path: "/v1/nics/b/migration"},
		{method: "GET", path: "/v1/usage?project=web"},
		{method: "GET", path: "/v1/usage?network=lan"},
		{method: "GET", path: "/v1/addresses/192.0.2.10"},
		{method: "GET", path: "/v1/history"},
		{method: "GET", path: "/v1/history?kind=nic&name=a&limit=1"},
		{method: "GET", path: "/v1/who-had?address=192.0.2.10"},
		{method: "GET", path: fmt.Sprintf("/v1/diff?from=%d", w.Revision)},
		{method: "GET", path: "/v1/decisions?project=web"},
		{method: "POST", path: "/v1/restore", body: fmt.Sprintf(`{"kind": "nic", "name": "a", "revision": %d}`, w.Revision)},
		{method: "POST", path: "/v1/policies/test", body: `{"policies": [{"kind": "policy", "name": "x", "rules": [{"name": "r", "effect": "deny", "when": "true", "message": "no"}]}], "inputs": [{"identity": {"name": "a", "kind": "user"}, "action": "create", "project": "web", "request": {"kind": "nic", "name": "n", "duration": 0, "vms": []}, "usage": {"project": {"vms": 0, "nics": 0, "addresses4": 0, "addresses6": 0}}}]}`},
		{method: "POST", path: "/v1/nodes/n2/token"},
		{method: "POST", path: "/v1/enrol", body: fmt.Sprintf(`{"token": %q, "csr": %s}`, token(), csrJSON)},
		{method: "DELETE", path: "/v1/requests/r"},
		{method: "DELETE", path: "/v1/failovers/f"},
		{method: "DELETE", path: "/v1/nics/b"},
		{method: "DELETE", path: "/v1/policies/x"},
		{method: "DELETE", path: "/v1/nodes/n3"},
		{method: "DELETE", path: "/v1/pools/q"},
		{method: "DELETE", path: "/v1/networks/n"},
		{method: "DELETE", path: "/v1/projects/p"},
	} {
		r.as = "op"
		got := s.do(r)
		if err := c.check(r, got); err != nil || got.status != http.StatusOK {
			t.Errorf("%s %s: %d %s: %v", r.method, r.path, got.status, got.body, err)
		}
		path, _, _ := strings.Cut(r.path, "?")
		if rt := c.find(r.method, path); rt != nil {
			done[rt.Operation.OperationID] = true
		}
	}
	// These are for nodes, or without an end; other tests read them.
	for _, id := range []string{"watch", "stream", "report", "renew"} {
		done[id] = true
	}
	for path, item := range c.api.Paths.Map() {
		for method, op := range item.Operations() {
			if !done[op.OperationID] {
				t.Errorf("%s %s was not asked", method, path)
			}
		}
	}
}
