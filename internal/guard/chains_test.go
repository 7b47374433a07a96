package guard_test

import (
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
)

// Every product of headers and of encapsulations meets its fate, with the
// checks on, only noted and off.
func TestGenerated(t *testing.T) {
	for _, c := range []struct {
		name  string
		all   []corpus.Generated
		least int
	}{{"chains", corpus.Chains(), 5000}, {"encapsulations", corpus.Encapsulations(), 942}} {
		if len(c.all) < c.least {
			t.Errorf("%s: only %d cases", c.name, len(c.all))
		}
		for _, mode := range []nic.Mode{nic.Enforce, nic.Audit, nic.Off} {
			b := corpus.Binding()
			b.Guard.Mode = mode
			r := guard.Compile(b)
			for _, g := range c.all {
				got := judge(&r, &corpus.Vector{}, g.Frame)
				if dropped := got.Action == guard.Drop; dropped != (g.Fate == corpus.Held || g.Fate == corpus.Checked && mode == nic.Enforce) {
					t.Errorf("%s, mode %d: %s: %+v, want fate %d", c.name, mode, g.Name, got, g.Fate)
				}
			}
		}
	}
}
