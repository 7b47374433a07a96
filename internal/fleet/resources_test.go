package fleet_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/docstest"
	"github.com/berth-net/berth/internal/fleet"
)

// TestResourcesDoc: docs/resources.md lists the keys of each kind, and no
// others, in their order.
func TestResourcesDoc(t *testing.T) {
	if got, want := keysInDoc(t, "Every resource"), keys(reflect.TypeFor[fleet.Head](), ""); !slices.Equal(got, want) {
		t.Errorf("every resource: docs/resources.md has\n%q\nwant\n%q", got, want)
	}
	for _, kind := range fleet.Kinds() {
		want := keys(reflect.TypeOf(fleet.New(kind)).Elem(), "")
		if got := keysInDoc(t, string(kind)); !slices.Equal(got, want) {
			t.Errorf("%s: docs/resources.md has\n%q\nwant\n%q", kind, got, want)
		}
	}
}

func keysInDoc(t *testing.T, heading string) (keys []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(docstest.Section(t, "resources.md", heading), -1) {
		keys = append(keys, m[1])
	}
	return keys
}

// keys lists those of a struct, with those of the structs in it; what has a
// page or a section of its own is one key.
func keys(typ reflect.Type, path string) (all []string) {
	own := []reflect.Type{reflect.TypeFor[fleet.NIC](), reflect.TypeFor[fleet.Limits](), reflect.TypeFor[fleet.Rule](), reflect.TypeFor[fleet.Range]()}
	for f := range typ.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			continue // the head, which all have
		}
		inner, suffix := f.Type, ""
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			if inner.Kind() == reflect.Slice {
				suffix = "[]"
			}
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && strings.HasSuffix(inner.PkgPath(), "/fleet") && !slices.Contains(own, inner) {
			all = append(all, keys(inner, path+key+suffix+".")...)
		} else {
			all = append(all, path+key)
		}
	}
	return all
}

// TestShippedResources: the examples are what the page names, and valid.
func TestShippedResources(t *testing.T) {
	const dir = "../../packaging/etc/berth/resources"
	files, err := filepath.Glob(dir + "/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	page, err := os.ReadFile("../../docs/resources.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all, problems := fleet.Decode(filepath.Base(file), text)
		for _, p := range problems {
			t.Error(p)
		}
		if len(all) == 0 {
			t.Errorf("%s: there is nothing in it", file)
		}
		if !strings.Contains(string(page), "`"+filepath.Base(file)+"`") {
			t.Errorf("docs/resources.md does not name %s", filepath.Base(file))
		}
	}
}
