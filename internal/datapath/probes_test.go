package datapath

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
)

// A hundred thousand probes for duplicates of the NIC's own addresses pass and
// leave nothing behind: no claim, no token spent, nothing handed up.
func TestProbesLeaveNothing(t *testing.T) {
	const probes = 100_000
	o := newOracle(t)
	b := corpus.Binding()
	o.use(guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4}))
	for _, f := range [][]byte{corpus.Probe(corpus.M6), corpus.Probe(corpus.LL)} {
		before, entries := o.state(), o.entries()
		ret, err := o.k.progs.FromGuest.Run(&ebpf.RunOptions{Data: f, Repeat: probes})
		if err != nil || int32(ret) != -1 {
			t.Fatalf("verdict %d, %v; want it to pass", int32(ret), err)
		}
		after := o.state()
		if n := after.FromGuest - before.FromGuest; n != probes {
			t.Errorf("%d of %d probes passed", n, probes)
		}
		after.FromGuest = before.FromGuest
		if after != before || o.entries() != entries {
			t.Errorf("something is left: %+v, want %+v", after, before)
		}
	}
}

func (o *oracle) state() berthNicState {
	o.Helper()
	var s berthNicState
	if err := o.k.maps.States.Lookup(ptr(uint32(lo)), &s); err != nil {
		o.Fatal(err)
	}
	return s
}
