package policy_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/docstest"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/policy"
)

// docs/policy.md lists the fields of Input, and no others, in their order.
func TestDocHasEveryVariable(t *testing.T) {
	want := leaves(reflect.TypeFor[policy.Input](), "")
	if got := firstCells(t, "Variables"); !slices.Equal(got, want) {
		t.Errorf("docs/policy.md has\n%q\nwant\n%q", got, want)
	}
}

func TestDocHasEveryLimitAndKey(t *testing.T) {
	for heading, typ := range map[string]reflect.Type{"Limits": reflect.TypeFor[fleet.Limits](), "A rule": reflect.TypeFor[fleet.Rule]()} {
		if got, want := firstCells(t, heading), leaves(typ, ""); !slices.Equal(got, want) {
			t.Errorf("%s: docs/policy.md has %q, want %q", heading, got, want)
		}
	}
}

func TestDocHasEveryExample(t *testing.T) {
	files, err := filepath.Glob(examples + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range files {
		want = append(want, filepath.Base(f))
	}
	got := firstCells(t, "Examples")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("docs/policy.md has %q, want %q", got, want)
	}
}

// The examples in the text are what they say.
func TestDocExamplesRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	s, err := policy.ParseSuite("docs/policy.md", []byte(blocks[0][1]))
	if err != nil {
		t.Fatal(err)
	}
	compile(t, s.Policies...)
	results, err := policy.RunTests("docs/policy.md", []byte(blocks[1][1]))
	if err != nil || len(results) != 1 || results[0].Problem != "" {
		t.Errorf("%+v, %v", results, err)
	}
}

func firstCells(t *testing.T, heading string) (cells []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(docstest.Section(t, "policy.md", heading), -1) {
		cells = append(cells, m[1])
	}
	return cells
}

// leaves lists the fields of a type, those of its structs in their place, and
// lists of structs followed by their members' as "vms[].name".
func leaves(typ reflect.Type, prefix string) (names []string) {
	for i := range typ.NumField() {
		key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		field, name := typ.Field(i).Type, prefix+key
		if field.Kind() == reflect.Slice || field.Kind() == reflect.Map {
			names, field, name = append(names, name), field.Elem(), name+"[]"
		} else if field.Kind() != reflect.Struct || field == reflect.TypeFor[time.Time]() {
			names = append(names, name)
		}
		if field.Kind() == reflect.Struct && field != reflect.TypeFor[time.Time]() {
			names = append(names, leaves(field, name+".")...)
		}
	}
	return names
}
