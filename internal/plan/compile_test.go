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
	first := *plan.NewWant(table.Entry{Binding: b}, nil)
	first.Base = 42 // to be known again
	same := plan.NewWant(table.Entry{Binding: b, Stale: "line 3"}, &first)
	if same.Base != 42 || same.Stale != "line 3" || first.Stale != "" {
		t.Errorf("of the same binding: %+v, want its rules as they were, stale", same)
	}
	if again := plan.NewWant(table.Entry{Binding: b}, &first); again != &first {
		t.Error("the same entry is compiled again")
	}
	other := plan.NewWant(table.Entry{Binding: &changed}, &first)
	if fresh := plan.NewWant(table.Entry{Binding: &changed}, nil); other.Base != fresh.Base || other.Answer != fresh.Answer || other.Base == 42 {
		t.Errorf("of another binding: %+v, want %+v", other, fresh)
	}
}
