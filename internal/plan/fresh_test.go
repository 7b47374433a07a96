package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/plan"
)

// Of NICs that come at once each is answered before the next is begun, but
// behind every guard that takes an address away which one of them may get.
func TestFreshNICsComeOneByOne(t *testing.T) {
	w := newWorld(binding("tap1", 10))
	w.in.Links = []plan.Link{tap("tap1", 1)}
	w.do(plan.Compute(w.in))
	w.declare(binding("tap0", 10), binding("tap1", 11), binding("tap2", 12))
	w.in.Links = []plan.Link{tap("tap0", 3), tap("tap1", 1), tap("tap2", 2)}
	p := plan.Compute(w.in)
	var got []string
	for _, s := range p.Steps {
		if s.Verb == plan.Guard || s.Verb == plan.Answer || s.Verb == plan.Quiet {
			got = append(got, s.Verb.String()+" "+s.NIC)
		}
	}
	want := []string{
		"guard tap1", "answer tap1", "guard tap0", "answer tap0", "guard tap2", "answer tap2", "quiet tap0", "quiet tap2",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	p.PutOff(map[string]bool{"tap2": true})
	if _, served := p.Served[2]; served || len(p.Served) != 2 || len(p.Waits) != 1 || p.Waits[0].NIC != "tap2" {
		t.Errorf("put off, and served %v, waits %v", p.Served, p.Waits)
	}
}

// A link that is not up has not been heard yet, and will not be.
func TestQuietBeforeTheLinkIsUp(t *testing.T) {
	w := newWorld(binding("tap1", 10))
	l := tap("tap1", 1)
	l.Up = false
	w.in.Links = []plan.Link{l}
	p := plan.Compute(w.in)
	if len(p.Steps) < 2 || p.Steps[1].Verb != plan.Quiet {
		t.Errorf("steps %v, want quiet behind arm", p.Steps)
	}
}
