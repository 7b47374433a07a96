package rest_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/berth-net/berth/internal/rest"
)

var update = flag.Bool("update", false, "write docs/openapi.json")

const committed = "../../docs/openapi.json"

// The committed document is the one that the types and routes make, and a valid
// OpenAPI document.
func TestOpenAPIIsCommitted(t *testing.T) {
	doc, err := rest.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(committed, doc, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(doc, have) {
		t.Errorf("%s is not what the types and routes make: go test ./internal/rest -run OpenAPI -update", committed)
	}
	load(t)
}

// load reads the document as a client would.
func load(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := rest.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	api, err := openapi3.NewLoader().LoadFromData(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return api
}
