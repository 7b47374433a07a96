package plan_test

import (
	"fmt"
	"testing"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/table"
)

// many are n bindings as a database has them.
func many(tb testing.TB, n int) []nic.Binding {
	var all []nic.Binding
	for i := range n {
		doc := fmt.Sprintf("nic: p%d\nmac: 52:54:00:00:%02x:%02x\naddresses: [10.0.%d.%d/32]\nhostname: h%d\ndns: [192.0.2.53]\nmtu: 1450\n", i, i>>8, i&255, i>>8, i&255, i)
		r := manifest.Parse("x", []byte(doc), manifest.Networks{})
		if len(r.Problems) > 0 {
			tb.Fatal(r.Problems)
		}
		all = append(all, r.Bindings...)
	}
	return all
}

// BenchmarkCompile is what a source's change costs after it is read, however
// little changed.
func BenchmarkCompile(b *testing.B) {
	bindings := many(b, 10000)
	rank := func(*nic.Binding) int { return 0 }
	for b.Loop() {
		s := table.Merge(1, []table.Update{{Source: "x", Bindings: bindings}}, rank)
		for _, e := range s.Entries {
			plan.NewWant(e, nil)
		}
	}
}
