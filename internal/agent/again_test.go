package agent

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
)

// TestSameAgain: what a NIC has already is set again without a merge of all: a
// controller may well say every second what it wants of everybody.
func TestSameAgain(t *testing.T) {
	const others = 2000
	n := newNode(t, 1)
	var all []nic.Binding
	for i := range others {
		b := from("dir", fmt.Sprintf("absent%d", i), 0, 0)
		b.MAC[2], b.MAC[3] = byte(1+i>>8), byte(i)
		b.Addresses = nil
		all = append(all, b)
	}
	n.says("dir", all...)
	doc := []byte("nic: tap0\nmac: 52:54:00:00:00:00\naddresses: [192.0.2.10/24]\n")
	set := func(changed bool) {
		t.Helper()
		c, err := n.set(t.Context(), "tap0", doc, api.SetOptions{})
		if err != nil || c.Changed != changed || c.Now == nil || c.Now.State != api.InForce {
			t.Fatalf("set: %+v, %v; want it changed: %t", c, err, changed)
		}
	}
	n.do("set", func() error {
		n.pass()
		set(true)
		for n.pending {
			n.pass()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		set(false)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 100*others {
			t.Errorf("the same again takes %d bytes among %d others", took, others)
		}
		return nil
	})
}
