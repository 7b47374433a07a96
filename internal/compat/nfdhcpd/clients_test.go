package nfdhcpd

import (
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

func TestClients(t *testing.T) {
	plain := nic.Binding{NIC: "tap10", MAC: nic.MAC{2, 0, 0, 0, 0, 1}}
	later := web1()
	later.NIC = "tap9"
	equal(t, []string{
		"KEY    HOSTNAME          MAC                TAP    IP            EUI64",
		"tap0   web1.example.org  aa:00:00:11:22:33  tap0   203.0.113.10  2001:db8:1:0:a800:ff:fe11:2233",
		"tap10  -                 02:00:00:00:00:01  tap10  -             -",
		"tap9   web1.example.org  aa:00:00:11:22:33  tap9   203.0.113.10  2001:db8:1:0:a800:ff:fe11:2233",
	}, Clients([]nic.Binding{later, plain, web1()}))
	if got := Clients(nil); len(got) != 1 {
		t.Errorf("of no NIC: %q, want the heading alone", got)
	}
}
