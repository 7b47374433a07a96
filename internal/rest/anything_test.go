package rest_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

var (
	requests = flag.Int("requests", 1500, "how many requests TestAnything makes")
	seed     = flag.Uint64("seed", 1, "of what it makes")
)

// Whatever is asked, made from the document or wild, is done or refused as the
// document says: never an error of the server's own, always a problem.
func TestAnything(t *testing.T) {
	s := newSite(t)
	c := newContract(t)
	s.furnish()
	g := &maker{r: rand.New(rand.NewPCG(*seed, 7)), api: c.api}
	statuses := map[int]int{}
	for range *requests {
		r := g.request()
		got := s.do(r)
		statuses[got.status]++
		if got.status >= 500 && got.status != http.StatusGatewayTimeout {
			t.Fatalf("%s %s %s\n%d %s", r.method, r.path, r.body, got.status, got.body)
		}
		if got.status >= 400 && got.kind != "application/problem+json" {
			t.Fatalf("%s %s: %d as %s", r.method, r.path, got.status, got.kind)
		}
		if err := c.check(r, got); err != nil {
			t.Fatalf("%s %s %s\n%d %s\n%v", r.method, r.path, r.body, got.status, got.body, err)
		}
	}
	t.Log(statuses)
	for _, want := range []int{200, 400, 401, 403, 404, 409, 422} {
		if statuses[want] == 0 {
			t.Errorf("nothing was answered with %d: %v", want, statuses)
		}
	}
}

// maker makes requests.
type maker struct {
	r   *rand.Rand
	api *openapi3.T
}

func (g *maker) one(n int) bool { return g.r.IntN(n) == 0 }

func pick[T any](g *maker, all ...T) T { return all[g.r.IntN(len(all))] }

func (g *maker) request() raw {
	path := pick(g, slices.Sorted(maps.Keys(g.api.Paths.Map()))...)
	item := g.api.Paths.Value(path)
	method := pick(g, slices.Sorted(maps.Keys(item.Operations()))...)
	op := item.GetOperation(method)
	if op.OperationID == "watch" { // it would not end
		return g.request()
	}
	r := raw{method: method, header: map[string]string{}}
	query := url.Values{}
	for _, p := range op.Parameters {
		g.parameter(&r, p.Value, &path, query)
	}
	if g.one(20) {
		query.Set(pick(g, "colour", "", "limit", "\x00"), g.wild())
	}
	if r.path = path; len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	if op.RequestBody != nil {
		g.body(&r, op.RequestBody.Value)
	}
	if r.as = "op"; g.one(4) {
		r.as = pick(g, "alice", "bob", "eve", "")
	}
	return r
}

func (g *maker) parameter(r *raw, p *openapi3.Parameter, path *string, query url.Values) {
	value := fmt.Sprint(g.value(p.Name, p.Schema, 0))
	if g.one(8) {
		value = g.wild()
	}
	switch p.In {
	case "path":
		*path = strings.Replace(*path, "{"+p.Name+"}", url.PathEscape(value), 1)
	case "query":
		if p.Required && !g.one(10) || g.one(3) {
			query.Set(p.Name, value)
		}
	case "header":
		if g.one(5) {
			r.header[p.Name] = pick(g, `"1"`, `"12"`, "12", `"-1"`, `"x"`, `"99999999999999999999"`)
		}
	}
}

func (g *maker) body(r *raw, b *openapi3.RequestBody) {
	doc, err := json.Marshal(g.value("", b.Content.Get("application/json").Schema, 0))
	if err != nil {
		panic(err)
	}
	r.body = string(doc)
	switch g.r.IntN(20) {
	case 0:
		r.body = g.wild()
	case 1:
		r.body = r.body[:g.r.IntN(len(r.body)+1)]
	case 2:
		r.body = strings.Replace(r.body, `":`, `":[{`, 1)
	case 3:
		r.header["Content-Type"] = pick(g, "application/yaml", "text/plain", "x", "application/json; charset=utf-8")
	}
}

// value is one that fits the schema, or nearly so.
func (g *maker) value(name string, ref *openapi3.SchemaRef, depth int) any {
	schema := ref.Value
	if g.one(40) {
		return pick[any](g, nil, true, -1, 1e300, 0.5, "", g.wild(), []any{}, []any{nil}, map[string]any{}, map[string]any{"x": []any{1}}, int64(1)<<62)
	}
	if known := g.known(name); known != nil && !g.one(6) {
		return known
	}
	if len(schema.Enum) > 0 {
		return pick(g, schema.Enum...)
	}
	types := schema.Type
	switch {
	case types == nil:
		return pick[any](g, "x", 1, nil, map[string]any{"a": 1}, []any{1})
	case types.Includes("object"):
		return g.object(schema, depth)
	case types.Includes("array"):
		list := []any{}
		for range g.r.IntN(3) {
			list = append(list, g.value(name, schema.Items, depth+1))
		}
		return list
	case types.Includes("boolean"):
		return g.one(2)
	case types.Includes("integer"):
		return pick[any](g, 0, 1, 2, 5, 100, 255, int64(1)<<53, -1)
	}
	return g.text(schema.Format)
}

func (g *maker) object(schema *openapi3.Schema, depth int) any {
	out := map[string]any{}
	if extra := schema.AdditionalProperties.Schema; extra != nil {
		for range g.r.IntN(3) {
			out[pick(g, "a", "gateway", "mtu", "dns", "guard", "ра")] = g.value("", extra, depth+1)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(schema.Properties)) {
		required := slices.Contains(schema.Required, key)
		if required && !g.one(30) || !required && depth < 5 && g.one(3) {
			out[key] = g.value(key, schema.Properties[key], depth+1)
		}
	}
	delete(out, pick(g, "meta", "granted", "kind", "name"))
	if g.one(3) {
		delete(out, "meta")
		delete(out, "kind")
		delete(out, "name")
	}
	if g.one(30) {
		out[pick(g, "colour", "", "Name", "kind ")] = 1
	}
	return out
}

// known are values that are about something that is there.
func (g *maker) known(name string) any {
	switch name {
	case "project":
		return pick(g, "web", "db")
	case "network":
		return "lan"
	case "node", "to":
		return pick(g, "n1", "n2")
	case "name", "after", "members":
		return pick(g, "a", "b", "c", "web", "lan", "n1", "public")
	case "addresses":
		return pick[any](g, []any{"public"}, []any{"192.0.2.77"}, []any{"public", "2001:db8::1"})
	case "address":
		return pick(g, "192.0.2.10", "192.0.2.11", "2001:db8::1")
	case "prefixes":
		return pick[any](g, []any{"198.51.100.0/24"}, []any{"2001:db8:1::/64", "203.0.113.0/24"})
	case "ranges":
		return []any{"192.0.2.201-192.0.2.220"}
	case "when":
		return pick(g, "true", "false", "request.vms.size() > 3", "usage.project.nics > 2", "1 +")
	case "csr", "token":
		return pick(g, "n1.00.00", "x", "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n")
	case "vms":
		if g.one(2) {
			return []any{map[string]any{"name": "v", "nics": []any{map[string]any{"network": "lan"}, map[string]any{"network": "lan"}}}}
		}
	}
	return nil
}

func (g *maker) text(format string) string {
	switch format {
	case "date-time":
		return pick(g, "2030-01-02T03:04:05Z", "2020-01-01T00:00:00.5+01:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
	case "ip":
		return pick(g, "192.0.2.10", "2001:db8::1", "::ffff:192.0.2.10", "0.0.0.0", "fe80::1%eth0", "255.255.255.255")
	case "prefix":
		return pick(g, "192.0.2.0/24", "0.0.0.0/0", "::/0", "192.0.2.1/24", "2001:db8::/129")
	case "mac":
		return pick(g, "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "02-00-00-00-00-02", "02:00")
	case "span":
		return pick(g, "0s", "1ms", "20ms", "90d", "-1s", "1w", "99999999h", "x")
	case "range":
		return pick(g, "192.0.2.10-192.0.2.20", "192.0.2.20-192.0.2.10", "::/0", "192.0.2.5")
	case "point":
		return pick(g, "1", "0", "5", "2030-01-02T03:04:05Z", "99999999999999999999")
	}
	return pick(g, "a", "web-1", "x.y_z", "tap0", "user:alice", "group:ops")
}

// wild is anything.
func (g *maker) wild() string {
	if g.one(3) {
		b := make([]byte, g.r.IntN(40))
		for i := range b {
			b[i] = byte(g.r.UintN(256))
		}
		return string(b)
	}
	return pick(g, "", " ", "..", "../../etc/passwd", "a/b", "%2e%2e", "\x00", "é", "\u202e", strings.Repeat("a", 300), "-1", "NaN", "null", "{}", "[]", "'; drop", "${x}", "99999999999999999999", "1e5", "a\nb", "__proto__", "*", "-")
}
