package datapath

import (
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
)

// Every product of headers and of encapsulations, in both directions.
func TestKernelGenerated(t *testing.T) {
	o := newOracle(t)
	vs := variants()
	all := append(corpus.Chains(), corpus.Encapsulations()...)
	for _, name := range []string{"enforce", "off", "a router that advertises", "site's router"} {
		o.use(vs[name])
		for _, g := range all {
			for _, toGuest := range []bool{false, true} {
				got, want, ok := o.agree(toGuest, g.Frame)
				if !ok {
					t.Fatalf("%s: %s, to guest %t: kernel %+v, definition %+v", name, g.Name, toGuest, got, want)
				}
				if name == "enforce" && !toGuest && (got.Action == guard.Drop) != (g.Fate != corpus.Passes) {
					t.Errorf("%s: kernel %+v, want fate %d", g.Name, got, g.Fate)
				}
			}
		}
	}
	t.Logf("%d frames", len(all))
}

// What an honest guest and its site send, shuffled: all of it passes.
func TestKernelSoak(t *testing.T) {
	o := newOracle(t)
	o.use(variants()["enforce"])
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	out, in := honest(false), honest(true)
	var sent, heard uint64
	for range *soak {
		if rng.IntN(4) == 0 {
			o.run(true, in[rng.IntN(len(in))])
			heard++
		} else {
			o.run(false, out[rng.IntN(len(out))])
			sent++
		}
	}
	c, _, err := o.k.Counters(lo)
	if err != nil {
		t.Fatal(err)
	}
	if c.FromGuest != sent || c.ToGuest != heard || len(c.Dropped)+len(c.Taken)+len(c.Audited) != 0 {
		t.Errorf("of %d frames of the guest and %d to it: %+v", sent, heard, c)
	}
}

// honest are the frames that pass in one direction.
func honest(toGuest bool) [][]byte {
	var out [][]byte
	for _, v := range corpus.All() {
		for i, f := range v.Frames {
			if v.ToGuest == toGuest && v.At(i).Action == guard.Pass && runnable(f) {
				out = append(out, f)
			}
		}
	}
	return out
}

// run has the kernel judge a frame and returns what its program does.
func (o *oracle) run(toGuest bool, frame []byte) int32 {
	o.Helper()
	p := o.k.progs.FromGuest
	if toGuest {
		p = o.k.progs.ToGuest
	}
	ret, err := p.Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		o.Fatalf("run %d bytes: %v", len(frame), err)
	}
	return int32(ret)
}
