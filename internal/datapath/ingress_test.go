package datapath

import (
	"testing"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/testenv"
)

// A device that has somebody's ingress qdisc, as bandwidth limits install it,
// has no room for clsact: the guard hangs on tcx at once, or not at all.
func TestForeignIngressQdisc(t *testing.T) {
	testenv.NeedTCX(t)
	ns := testenv.NewNS(t)
	ns.Exec("ip", "link", "add", "tapA", "type", "veth", "peer", "name", "eth0")
	ns.Exec("tc", "qdisc", "add", "dev", "tapA", "ingress")
	before := ns.Exec("tc", "qdisc", "show", "dev", "tapA")
	index := ns.Index("tapA")
	ns.Do(func() {
		k := openKernel(t)
		defer func() { _ = k.Forget(index) }()
		if err := k.Guard(index, "tapA", guard.Compile(corpus.Binding())); err != nil {
			t.Fatal(err)
		}
		if at, err := k.attached(index); err != nil || at != plan.TCX {
			t.Errorf("attached by %s (%v), want tcx", at, err)
		}
		k.tcx = false
		if err := k.dropLinks(index); err != nil {
			t.Fatal(err)
		}
		if err := k.Guard(index, "tapA", guard.Compile(corpus.Binding())); err == nil {
			t.Error("without tcx the guard is said to be in force on an ingress qdisc")
		}
	})
	if after := ns.Exec("tc", "qdisc", "show", "dev", "tapA"); after != before {
		t.Errorf("qdiscs before:\n%safter:\n%s", before, after)
	}
}
