package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

func TestRememberedServers(t *testing.T) {
	now := time.Unix(1000, 0)
	id := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	var list []server
	for n := byte(1); n <= 6; n++ {
		list = remembered(list, server{id(n), now.Add(time.Duration(n) * time.Minute)}, now)
	}
	list = remembered(list, server{id(4), now.Add(time.Hour)}, now.Add(3*time.Minute)) // again; 3 is just over
	var got []string
	for _, s := range list {
		got = append(got, s.id.String())
	}
	if d := cmp.Diff([]string{"192.0.2.4", "192.0.2.6", "192.0.2.5"}, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestServersExpire(t *testing.T) {
	now := time.Unix(1000, 0)
	id := netip.MustParseAddr("192.0.2.9")
	a := &Agent{
		servers: map[string][]server{"tap7": {{id, now.Add(time.Minute)}}, "gone": {{id, now.Add(time.Minute)}}},
	}
	a.wants.set("tap7", &plan.Want{Binding: &nic.Binding{}})
	a.expireServers(now)
	if got := a.wants.nic("tap7").Former; len(got) != 1 || got[0] != id {
		t.Errorf("former servers %v, want %s", got, id)
	}
	a.expireServers(now.Add(time.Minute))
	if got := a.wants.nic("tap7").Former; len(got) != 0 || len(a.servers) != 0 {
		t.Errorf("former servers %v after their leases, %d remembered", got, len(a.servers))
	}
}

func TestLongestLease(t *testing.T) {
	b := &nic.Binding{DHCP4: nic.DHCP4{Lease: 60, MaxLease: 600}}
	if got := longest(b); got != 10*time.Minute {
		t.Errorf("%v", got)
	}
	b.DHCP4.Lease = nic.Infinite
	if got := longest(b); got < 100*365*24*time.Hour {
		t.Errorf("an endless lease lasts %v", got)
	}
}
