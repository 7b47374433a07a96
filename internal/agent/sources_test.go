package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/manifest"
)

func TestNewProblems(t *testing.T) {
	at := func(line int) manifest.Problem {
		return manifest.Problem{File: "db", Line: line, Text: "not an address"}
	}
	got := newProblems([]manifest.Problem{at(1), at(2), at(3)}, []manifest.Problem{at(4), at(2), at(1), at(5)})
	if d := cmp.Diff([]manifest.Problem{at(4), at(5)}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// There may be a problem for every row of a database, and the loop waits.
func BenchmarkNewProblems(b *testing.B) {
	list := make([]manifest.Problem, 100_000)
	for i := range list {
		list[i] = manifest.Problem{File: "db", Line: i, Text: "not an address"}
	}
	for b.Loop() {
		newProblems(list, list)
	}
}
