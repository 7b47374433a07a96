package agent

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/table"
)

// What an earlier process's rules hold keeps others out, but not those with
// whom an address is shared.
func TestHeldByRules(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.100")
	sharing := func(name string, last byte) nic.Binding {
		return nic.Binding{
			NIC: name, Network: "red", MAC: nic.MAC{0x52, 0x54, 0, 0, 0, last},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 32)},
			Shared:    []nic.Shared{{Group: "web", Addresses: []netip.Addr{vip}, VRID: 51}},
		}
	}
	before, partner := sharing("tap7", 10), sharing("tap8", 11)
	now := sharing("tap7", 30)
	now.Shared[0].Addresses = append(now.Shared[0].Addresses, netip.MustParseAddr("192.0.2.101"))
	r := guard.Compile(&before)
	held := heldBy("tap7", &r, &now)
	want := before
	want.Origin.Source = "before the restart"
	if d := cmp.Diff(&want, held, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	now.Shared = nil
	for what, c := range map[string]struct {
		now    nic.Binding
		refuse bool
	}{"still shared": {sharing("tap7", 30), false}, "not shared any more": {now, true}} {
		s := table.Merge(0, []table.Update{{Bindings: []nic.Binding{*heldBy("tap7", &r, &c.now), partner}}}, func(*nic.Binding) int { return 0 })
		if _, refused := s.Refused["tap8"]; refused != c.refuse {
			t.Errorf("%s: the other of the pair is refused: %v, want %v (%v)", what, refused, c.refuse, s.Refused)
		}
	}
}
