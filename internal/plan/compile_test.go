package plan_test

import (
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/table"
)

// What the last snapshot had of the very same binding is taken over, and nothing
// that another one says, or that is not the binding's.
func TestCompileTakesOver(t *testing.T) {
	b := &nic.Binding{NIC: "tap7", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}}
	changed := *b
	changed.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.8/24")}
	entry := func(b *nic.Binding, stale string) table.Snapshot {
		return table.Snapshot{Entries: map[string]table.Entry{"tap7": {Binding: b, Stale: stale}}}
	}
	first := plan.Compile(entry(b, ""), plan.Wants{}).ByNIC["tap7"]
	first.Base, first.Former = 42, []netip.Addr{netip.MustParseAddr("192.0.2.1")} // to be known again
	last := plan.Wants{ByNIC: map[string]plan.Want{"tap7": first}}

	same := plan.Compile(entry(b, "line 3"), last).ByNIC["tap7"]
	if same.Base != 42 || same.Stale != "line 3" || same.Former != nil {
		t.Errorf("of the same binding: %+v, want its rules as they were, stale, no former servers", same)
	}
	other := plan.Compile(entry(&changed, ""), last).ByNIC["tap7"]
	if fresh := plan.Compile(entry(&changed, ""), plan.Wants{}).ByNIC["tap7"]; other.Base != fresh.Base || other.Answer != fresh.Answer || other.Base == 42 {
		t.Errorf("of another binding: %+v, want %+v", other, fresh)
	}
}
