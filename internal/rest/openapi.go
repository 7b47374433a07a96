package rest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

func kindType() reflect.Type { return reflect.TypeFor[fleet.Kind]() }

// Media types.
const (
	typeJSON    = "application/json"
	typeYAML    = "application/yaml"
	typeLines   = "application/jsonl"
	typeProblem = "application/problem+json"
)

// OpenAPI returns the document of the interface (OpenAPI 3.1), made from the
// table of routes and the Go types that they read and write.
func OpenAPI() ([]byte, error) {
	s := &schemas{components: object{}}
	paths := object{}
	for _, rt := range routes() {
		operations, ok := paths[rt.path].(object)
		if !ok {
			operations = object{}
			paths[rt.path] = operations
		}
		operations[strings.ToLower(rt.method)] = rt.operation(s)
	}
	doc := object{
		"openapi": "3.1.0",
		"info": object{
			"title":       "berth-controller",
			"version":     "1",
			"description": "Decides which virtual NIC has which address, and tells the nodes. Everything is refused that is not described here: unknown parameters, unknown fields, unknown paths.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []object{{"url": "/"}},
		"security": []object{{"certificate": []string{}}, {"bearer": []string{}}},
		"paths":    paths,
		"components": object{
			"schemas": s.components,
			"securitySchemes": object{
				"certificate": object{"type": "mutualTLS", "description": "a certificate of a user or a node"},
				"bearer":      object{"type": "http", "scheme": "bearer", "description": "an OIDC token, or a static one"},
			},
		},
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	return append(out, '\n'), nil
}

// operation describes one route.
func (rt *route) operation(s *schemas) object {
	op := object{
		"operationId": rt.id,
		"summary":     rt.what,
		"responses": object{
			"200":     object{"description": "done", "content": object{rt.answerType(): object{"schema": s.of(rt.answer)}}},
			"default": object{"description": "refused", "content": object{typeProblem: object{"schema": s.of(reflect.TypeFor[wire.Problem]())}}},
		},
	}
	if rt.access == anybody {
		op["security"] = []object{}
	}
	if params := rt.parameters(); len(params) > 0 {
		op["parameters"] = params
	}
	if rt.body != nil {
		content := object{typeJSON: object{"schema": s.of(rt.body)}}
		if rt.yaml {
			content[typeYAML] = content[typeJSON]
		}
		op["requestBody"] = object{"required": true, "content": content}
	}
	return op
}

func (rt *route) answerType() string {
	if rt.lines {
		return typeLines
	}
	return typeJSON
}

func (rt *route) parameters() []object {
	var all []object
	for _, p := range rt.inPath() {
		all = append(all, object{"name": p.name, "in": "path", "required": true, "schema": p.schema()})
	}
	for _, p := range rt.query {
		o := object{"name": p.name, "in": "query", "description": p.what, "schema": p.schema()}
		if p.required {
			o["required"] = true
		}
		all = append(all, o)
	}
	if rt.matches {
		all = append(all, object{
			"name": "If-Match", "in": "header", "schema": object{"type": "string", "pattern": `^"[0-9]+"$`},
			"description": "the revision, in quotes, that the resource must still have",
		})
	}
	return all
}

// inPath are the parameters in braces.
func (rt *route) inPath() []param {
	var all []param
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(rt.path, -1) {
		p := param{name: m[1], form: name}
		if m[1] == "address" {
			p.form = address
		}
		all = append(all, p)
	}
	return all
}

// methods are those of each path.
func methods(all []route) map[string][]string {
	out := map[string][]string{}
	for _, rt := range all {
		out[rt.path] = append(out[rt.path], rt.method)
	}
	for _, m := range out {
		slices.Sort(m)
	}
	return out
}
