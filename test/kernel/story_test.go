package kernel

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
)

const binding = `nic: vm1
mac: 52:54:00:00:00:10
addresses: [192.0.2.10/24, 2001:db8:1::10/64]
slaac: [2001:db8:a::/64]
gateway: 192.0.2.1
gateway6: fe80::1
dns: [192.0.2.53, 2001:db8::53]
dhcp4: {lease: 12h}
`

// wantStory is what the guest saw. The first lines show that the test would
// see a leak; the last four, that the guard needs no daemon.
var wantStory = []string{
	"TRY unguarded yes",
	"TRY unguarded6 yes",
	"TRY in-force yes",
	"LEASE ip=192.0.2.10/24 router=192.0.2.1 dns=192.0.2.53 lease=43200 serverid=192.0.2.1",
	"TRY own-address yes",
	"TRY foreign-address no",
	"LEASE6 ip=2001:db8:1::10 dns=2001:db8::53 preferred=604800 valid=2592000",
	"TRY slaac-address yes",
	"TRY given-address yes",
	"TRY foreign-address6 no",
	"BERTHD ended 0",
	"TRY foreign-address-without-berthd no",
	"TRY foreign-address6-without-berthd no",
	"TRY own-address-without-berthd yes",
	"TRY slaac-address-without-berthd yes",
}

func checkStory(t *testing.T, c console) {
	if diff := cmp.Diff(wantStory, c.story); diff != "" {
		t.Errorf("what the guest saw (-want +got):\n%s", diff)
	}
	var st api.Status
	if err := json.Unmarshal([]byte(c.status), &st); err != nil {
		t.Fatalf("berth status said %q: %v", c.status, err)
	}
	got := [3]string{st.Kernel, st.Attach, st.Lock}
	if want := [3]string{c.release, "clsact", "armed for 1 names"}; got != want || st.NICs[api.InForce] != 1 || st.Problems != nil {
		t.Errorf("status is %+v, want kernel, attach and lock %q, one NIC in force and no problems", st, want)
	}
	checkNIC(t, c.nic)
}

func checkNIC(t *testing.T, said string) {
	t.Helper()
	var n api.NIC
	if err := json.Unmarshal([]byte(said), &n); err != nil {
		t.Fatalf("berth show said %q: %v", said, err)
	}
	if n.Installed == nil || n.Counters == nil || n.Answers == nil {
		t.Fatalf("vm1 is %s (%s), with nothing installed, counted or answered", n.State, n.Why)
	}
	if n.Installed.Attach != "clsact" || !n.Installed.InForce {
		t.Errorf("installed: %+v, want clsact, in force", n.Installed)
	}
	if n.Counters.Dropped["ip6-spoof"]+n.Counters.Dropped["nd-target"] == 0 {
		t.Errorf("no spoofed frame of IPv6 was dropped: %v", n.Counters.Dropped)
	}
	// The frame is IPv4 where the gateway's MAC is known, else ARP.
	if n.Counters.Dropped["ip4-spoof"]+n.Counters.Dropped["arp-spoof-ip"] == 0 {
		t.Errorf("no spoofed frame was dropped: %v", n.Counters.Dropped)
	}
	if n.Answers.Count["RA"] == 0 {
		t.Error("no router advertisement was sent")
	}
	delete(n.Answers.Count, "RA") // one asked for, some not
	if diff := cmp.Diff(map[string]uint64{"OFFER": 1, "ACK": 1, "ADVERTISE": 1, "REPLY": 1}, n.Answers.Count); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}
