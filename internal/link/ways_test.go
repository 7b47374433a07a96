package link

import (
	"slices"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// ports is a namespace whose br0 has tap0, tap1 and up0; br1 has up1.
type ports struct {
	testing.TB
	ns        *testenv.NS
	tap1, up0 int
}

func newPorts(t testing.TB) *ports {
	ns := testenv.NewNS(t)
	for i, name := range []string{"tap0", "tap1", "up0", "up1"} {
		testenv.Veth(t, ns, name, ns, name+"p", nic.MAC{2, 0, 0, 0, 1, byte(i)})
	}
	testenv.Bridge(t, ns, "br0", "tap0", "tap1", "up0")
	testenv.Bridge(t, ns, "br1", "up1")
	p := &ports{t, ns, ns.Index("tap1"), ns.Index("up0")}
	both := []Way{{Index: p.tap1}, {Index: p.up0}}
	slices.SortFunc(both, byIndex)
	testenv.Wait(t, 10*time.Second, "both ports to forward", func() bool { return slices.Equal(p.ways(), both) })
	return p
}

func byIndex(a, b Way) int { return a.Index - b.Index }

// ways are those from tap0.
func (p *ports) ways() (list []Way) {
	p.Helper()
	var err error
	p.ns.Do(func() { list, err = Ways(p.ns.Index("br0"), p.ns.Index("tap0")) })
	if err != nil {
		p.Fatal(err)
	}
	slices.SortFunc(list, byIndex)
	return list
}

// TestWays: all other ports of the bridge, never one that does not forward.
func TestWays(t *testing.T) {
	p := newPorts(t)
	p.ns.Sh("bridge link set dev up0 state 0")
	if got := p.ways(); !slices.Equal(got, []Way{{Index: p.tap1}}) {
		t.Errorf("where one port is disabled: %v", got)
	}
}
