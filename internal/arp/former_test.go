package arp

import (
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// TestFormerServer: a guest whose address and server were changed renews with
// the old server, and must find it (statichcpd README, case 3).
func TestFormerServer(t *testing.T) {
	for name, c := range map[string]struct {
		sender, target, formers string
		want                    nic.MAC
	}{
		"from the old address":           {"192.0.2.99", "192.0.2.77", "192.0.2.77", nic.BerthMAC()},
		"from the new address":           {"192.0.2.10", "192.0.2.77", "192.0.2.77", nic.MAC{}},
		"a probe":                        {"0.0.0.0", "192.0.2.77", "192.0.2.77", nic.MAC{}},
		"somebody else":                  {"192.0.2.99", "192.0.2.78", "192.0.2.77", nic.MAC{}},
		"the gateway, if it was one":     {"192.0.2.99", "192.0.2.1", "192.0.2.1", gatewayMAC()},
		"the server in force is as ever": {"192.0.2.99", "192.0.2.2", "192.0.2.77", nic.BerthMAC()},
	} {
		r := responder()
		r.Former = append(r.Former, ip(c.formers))
		q := request(c.target)
		q.SenderIP = ip(c.sender)
		var got nic.MAC
		if o := Answer(r, q); o.Reply != nil {
			got = o.Reply.SenderMAC
		}
		if got != c.want {
			t.Errorf("%s: %s is told to be at %s, want %s", name, c.target, got, c.want)
		}
	}
}
