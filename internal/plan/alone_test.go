package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

// What is planned for one bridged NIC among many is what is planned for it
// alone: the agent relies on it where one of very many changes.
func TestOneAmongMany(t *testing.T) {
	steps := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(drawn(r)...)
		w.in.Policy.Closed = []string{"vm*", "tap3"}
		w.links(drawnLinks(r)...)
		w.do(plan.Compute(w.in)) // now and then all is as it should be
		w.declare(drawn(r)...)
		for range r.IntN(3) {
			w.disturb(r)
		}
		whole := plan.Compute(w.in)
		for i := range 8 {
			name := fmt.Sprintf("tap%d", i)
			alone := plan.Compute(w.only(name))
			if d := cmp.Diff(of(whole, name), of(alone, name)); d != "" {
				t.Fatalf("seed %d, NIC %s (-among all +alone):\n%s", seed, name, d)
			}
			for _, s := range alone.Steps {
				if s.NIC != name && s.Index != 70+i {
					t.Fatalf("seed %d: alone %s has steps of others: %v", seed, name, alone.Steps)
				}
			}
			steps += len(alone.Steps)
		}
	}
	if steps < 1000 {
		t.Errorf("%d steps: that judges little", steps)
	}
}

// drawn are bindings of some NICs.
func drawn(r *rand.Rand) (all []*nic.Binding) {
	for i := range 8 {
		if r.IntN(4) > 0 {
			b := dual(fmt.Sprintf("tap%d", i), byte(10+10*i+r.IntN(3)))
			b.Suspended = r.IntN(8) == 0
			all = append(all, b)
		}
	}
	return all
}

func drawnLinks(r *rand.Rand) (all []plan.Link) {
	for i := range 8 {
		if r.IntN(3) > 0 {
			all = append(all, onBridge(tap(fmt.Sprintf("tap%d", i), 70+i), 3))
		}
	}
	return all
}

// disturb is what others do: they strip guards, disarm names and switch IPv6
// on.
func (w *world) disturb(r *rand.Rand) {
	switch i := r.IntN(8); r.IntN(3) {
	case 0:
		w.installed(70 + i).Attach = plan.Detached
	case 1:
		w.in.Armed.Names = slices.DeleteFunc(w.in.Armed.Names, func(n string) bool { return n == fmt.Sprintf("tap%d", i) })
	default:
		delete(w.in.Quiet, 70+i)
	}
}

// only is the world as far as one NIC has to do with it, and what is always
// locked.
func (w *world) only(name string) plan.Input {
	in := w.in
	in.Wants = plan.Wants{ByNIC: map[string]*plan.Want{}}
	if v, ok := w.in.Wants.ByNIC[name]; ok {
		in.Wants.ByNIC[name] = v
	}
	in.Armed.Names = slices.DeleteFunc(slices.Clone(w.in.Armed.Names), func(n string) bool { return n != name && n != "tap3" })
	if name != "tap3" && !slices.Contains(w.in.Armed.Names, "tap3") { // the agent takes a pass then
		in.Armed.Names = append(in.Armed.Names, "tap3")
	}
	in.Links, in.Installed, in.Answering, in.Routed = nil, nil, map[int]uint64{}, nil
	for _, l := range w.in.Links {
		if l.Name != name {
			continue
		}
		in.Links = []plan.Link{l}
		for _, i := range w.in.Installed {
			if i.Index == l.Index {
				in.Installed = []plan.Installed{i}
			}
		}
		if digest, ok := w.in.Answering[l.Index]; ok {
			in.Answering[l.Index] = digest
		}
	}
	return in
}

// of is what a plan says of one NIC.
func of(p plan.Plan, name string) []string {
	texts := steptexts(p, name)
	for _, w := range p.Waits {
		if w.NIC == name {
			texts = append(texts, "waiting: "+w.String())
		}
	}
	return texts
}

func steptexts(p plan.Plan, name string) (texts []string) {
	for _, s := range p.Steps {
		if s.NIC == name {
			texts = append(texts, s.String())
		}
	}
	return texts
}
