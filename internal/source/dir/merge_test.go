package dir

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// decl is a binding as these tests tell bindings apart: by version.
func decl(name, file, version string) nic.Binding {
	return nic.Binding{NIC: name, Hostname: version, Origin: nic.Origin{Source: "dir", File: file, Line: 1}}
}

func lastGood(bs ...nic.Binding) map[string]*nic.Binding {
	m := map[string]*nic.Binding{}
	for i := range bs {
		m[bs[i].NIC] = &bs[i]
	}
	return m
}

func bad(file, name string) manifest.Problem {
	return manifest.Problem{File: file, Line: 2, Column: 1, NIC: name, Text: "broken"}
}

func says(path string, bs ...nic.Binding) file {
	return file{path: path, result: manifest.Result{Bindings: bs}}
}

// breaks is a file with a problem, which names these NICs in broken documents.
func breaks(f file, names ...string) file {
	if len(names) == 0 {
		f.result.Problems = append(f.result.Problems, bad(f.path, ""))
	}
	for _, n := range names {
		f.result.Problems = append(f.result.Problems, bad(f.path, n))
	}
	f.result.Names = names
	return f
}

func TestMerge(t *testing.T) {
	a1, a2, b1, c1 := decl("tapA", "a", "1"), decl("tapA", "a", "2"), decl("tapB", "a", "1"), decl("tapC", "c", "1")
	failed := manifest.Problem{File: "d", Text: "permission denied"}
	gone := manifest.Problem{Text: "the directory of the bindings is gone; the 2 it had stay in force until it is back (make it again, empty, to remove them)"}
	for _, tt := range []struct {
		name     string
		last     map[string]*nic.Binding
		r        reading
		good     []nic.Binding
		stale    map[string]manifest.Problem
		problems []manifest.Problem
	}{
		{name: "nothing"},
		{name: "first reading", r: reading{files: []file{says("a", a1, b1), says("c", c1)}}, good: []nic.Binding{a1, b1, c1}},
		{name: "changed", last: lastGood(a1), r: reading{files: []file{says("a", a2)}}, good: []nic.Binding{a2}},
		{name: "file deleted", last: lastGood(a1, c1), r: reading{files: []file{says("a", a1)}}, good: []nic.Binding{a1}},
		{name: "document deleted", last: lastGood(a1, b1), r: reading{files: []file{says("a", a1)}}, good: []nic.Binding{a1}},
		{name: "empty directory", last: lastGood(a1, c1)},
		{
			name: "document broken", last: lastGood(a1, b1), r: reading{files: []file{breaks(says("a", b1), "tapA")}},
			good: []nic.Binding{a1, b1}, stale: map[string]manifest.Problem{"tapA": bad("a", "tapA")}, problems: []manifest.Problem{bad("a", "tapA")},
		},
		{
			name: "broken and never good", r: reading{files: []file{breaks(says("a", b1), "tapA")}},
			good: []nic.Binding{b1}, problems: []manifest.Problem{bad("a", "tapA")},
		},
		{
			name: "broken beyond its name", last: lastGood(a1, b1, c1), r: reading{files: []file{breaks(says("a", a2)), says("c", c1)}},
			good: []nic.Binding{a2, b1, c1}, stale: map[string]manifest.Problem{"tapB": bad("a", "")}, problems: []manifest.Problem{bad("a", "")},
		},
		{
			name: "half-written: the name is cut", last: lastGood(a1), r: reading{files: []file{breaks(says("a"), "tap")}},
			good: []nic.Binding{a1}, stale: map[string]manifest.Problem{"tapA": bad("a", "tap")}, problems: []manifest.Problem{bad("a", "tap")},
		},
		{
			name: "broken, others deleted elsewhere", last: lastGood(a1, c1), r: reading{files: []file{breaks(says("a"), "tapA")}},
			good: []nic.Binding{a1}, stale: map[string]manifest.Problem{"tapA": bad("a", "tapA")}, problems: []manifest.Problem{bad("a", "tapA")},
		},
		{
			name: "moved to another file", last: lastGood(a1), r: reading{files: []file{says("z", decl("tapA", "z", "2"))}},
			good: []nic.Binding{decl("tapA", "z", "2")},
		},
		{
			name: "moved while its new document is broken", last: lastGood(a1), r: reading{files: []file{breaks(says("z"), "tapA")}},
			good: []nic.Binding{a1}, stale: map[string]manifest.Problem{"tapA": bad("z", "tapA")}, problems: []manifest.Problem{bad("z", "tapA")},
		},
		{
			name: "twice", r: reading{files: []file{says("a", a1), says("z", decl("tapA", "z", "2"))}}, good: []nic.Binding{a1},
			problems: []manifest.Problem{{File: "z", Line: 1, Column: 1, NIC: "tapA", Field: "nic", Value: "tapA", Text: "also declared in a, which comes first and stays"}},
		},
		{
			name: "twice, the first broken", last: lastGood(a1), r: reading{files: []file{breaks(says("a"), "tapA"), says("z", decl("tapA", "z", "2"))}},
			good: []nic.Binding{a1}, stale: map[string]manifest.Problem{"tapA": bad("a", "tapA")},
			problems: []manifest.Problem{bad("a", "tapA"), {File: "z", Line: 1, Column: 1, NIC: "tapA", Field: "nic", Value: "tapA", Text: "also declared in a, which comes first and stays"}},
		},
		{
			name: "directory unreadable", last: lastGood(a1, c1), r: reading{failed: &failed}, good: []nic.Binding{a1, c1},
			stale: map[string]manifest.Problem{"tapA": failed, "tapC": failed}, problems: []manifest.Problem{failed},
		},
		{name: "directory unreadable from the start", r: reading{failed: &failed}, problems: []manifest.Problem{failed}},
		{
			name: "directory gone", last: lastGood(a1, c1), r: reading{missing: true}, good: []nic.Binding{a1, c1},
			stale: map[string]manifest.Problem{"tapA": gone, "tapC": gone}, problems: []manifest.Problem{gone},
		},
		{name: "directory not there yet", r: reading{missing: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := maps.Clone(tt.last)
			out := merge(tt.last, tt.r)
			var got []nic.Binding
			for _, b := range slices.SortedFunc(maps.Values(out.good), byName) {
				got = append(got, *b)
			}
			if d := cmp.Diff(tt.good, got, equal()); d != "" {
				t.Errorf("in force: -want +got\n%s", d)
			}
			if d := cmp.Diff(tt.stale, out.stale, equal()); d != "" {
				t.Errorf("stale: -want +got\n%s", d)
			}
			if d := cmp.Diff(tt.problems, out.problems); d != "" {
				t.Errorf("problems: -want +got\n%s", d)
			}
			if d := cmp.Diff(before, tt.last, equal()); d != "" {
				t.Errorf("merge changed what it was given: %s", d)
			}
		})
	}
}
