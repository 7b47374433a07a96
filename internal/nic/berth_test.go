package nic_test

import (
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// What berth answers for ends where others serve the link.
func TestServedByOthers(t *testing.T) {
	b := good6()
	b.Neighbours, b.Routed = nic.NeighboursAll, true
	id := netip.MustParseAddr("169.254.0.1")
	if !b.ServesIPv6() || len(b.Answers4(id)) == 0 || len(b.Answers6()) == 0 || !b.AnswersAll() {
		t.Fatal("the NIC is not answered at all")
	}
	for _, by := range []nic.ServedBy{nic.ServedBySite, nic.ServedByTenant} {
		b.ServedBy = by
		if b.ServesIPv6() || b.Answers4(id) != nil || b.Answers6() != nil || b.AnswersAll() {
			t.Errorf("served by %d: IPv6 %t, answers for %v %v, all %t", by, b.ServesIPv6(), b.Answers4(id), b.Answers6(), b.AnswersAll())
		}
		if !b.HasIPv6() {
			t.Errorf("served by %d: the NIC has lost its IPv6", by)
		}
	}
}

// A NIC that has IPv6 through a share alone has it.
func TestSharedIPv6(t *testing.T) {
	b := nic.Binding{Shared: []nic.Shared{{Group: "web", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.60")}}}}
	if b.HasIPv6() {
		t.Error("IPv6 by a share of IPv4")
	}
	b.Shared[0].Addresses = append(b.Shared[0].Addresses, netip.MustParseAddr("2001:db8:1::60"))
	if !b.HasIPv6() {
		t.Error("no IPv6 by a share of both families")
	}
	b.IPv6 = nic.IPv6Off
	if b.HasIPv6() {
		t.Error("IPv6 where it is off")
	}
}
