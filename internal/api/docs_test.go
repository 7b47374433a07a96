package api_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/api"
)

// docs/api.md names every field of a NIC, and of what was traced.
func TestDocHasEveryField(t *testing.T) {
	raw, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append(jsonKeys(reflect.TypeFor[api.NIC](), ""), jsonKeys(reflect.TypeFor[api.Traced](), "")...) {
		if !strings.Contains(string(raw), "`"+key+"`") {
			t.Errorf("docs/api.md does not name `%s`", key)
		}
	}
}

// jsonKeys lists the keys of a type and of the types in it; those of a list's
// members as "list[].key".
func jsonKeys(typ reflect.Type, prefix string) (keys []string) {
	for i := range typ.NumField() {
		key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		keys = append(keys, prefix+key)
		inner, list := typ.Field(i).Type, ""
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			if inner.Kind() == reflect.Slice {
				list = key + "[]."
			}
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == reflect.TypeFor[api.NIC]().PkgPath() {
			keys = append(keys, jsonKeys(inner, list)...)
		}
	}
	return keys
}
