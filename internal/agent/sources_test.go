package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/source"
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

// However many mistakes a source has, the history of others stays.
func TestManyProblems(t *testing.T) {
	a := restarted(from("dir", "tap7", 7, 10))
	a.EventLog = api.NewEventLog(keptEvents)
	a.Add(api.Event{NIC: "tap9", Kind: "bound"})
	list := make([]manifest.Problem, 3*keptEvents)
	for i := range list {
		list[i] = manifest.Problem{File: "db", Line: i, NIC: "tap1", Text: "not an address"}
	}
	a.hear(source.Update{Source: "statichcpd", Generation: 1, Problems: list})
	a.takeUpdates()
	b, err := a.After(t.Context(), 0, keptEvents)
	if err != nil || b.Missed > 0 || len(b.Events) != 1+mostTold+1 {
		t.Fatalf("%d events are lost and %d kept, %v", b.Missed, len(b.Events), err)
	}
	if got, want := b.Events[mostTold+1].Text, "24064 further mistakes in source statichcpd; the status lists them"; got != want {
		t.Errorf("the last says %q, want %q", got, want)
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
