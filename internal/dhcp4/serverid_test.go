package dhcp4

import (
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func TestServerID(t *testing.T) {
	hosts := []netip.Addr{ip("fe80::1"), ip("0.0.0.0"), ip("192.0.2.250"), ip("192.0.2.251")}
	for name, c := range map[string]struct {
		kind      nic.ServerIDKind
		fixed     string
		addresses []netip.Prefix
		gateway   string
		host      []netip.Addr
		want      string
		wait      reason.Reason
	}{
		"gateway":                    {kind: nic.ServerIDGateway, gateway: "192.0.2.254", want: "192.0.2.254"},
		"no gateway":                 {want: "192.0.2.1"},
		"gateway off link":           {gateway: "203.0.113.1", want: "192.0.2.1"},
		"gateway is the NIC":         {gateway: "192.0.2.10", want: "192.0.2.1"},
		"gateway of IPv6":            {gateway: "2001:db8::1", want: "192.0.2.1"},
		"gateway of a /32":           {addresses: prefixes("192.0.2.10/32"), gateway: "192.0.2.1", want: "169.254.0.1"},
		"gateway of a /31":           {addresses: prefixes("192.0.2.10/31"), gateway: "192.0.2.11", want: "192.0.2.11"},
		"first host":                 {kind: nic.ServerIDFirstHost, gateway: "192.0.2.254", want: "192.0.2.1"},
		"first host is the NIC":      {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.1/24"), want: "192.0.2.2"},
		"first two are the NIC":      {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.2/24", "192.0.2.1/32"), want: "192.0.2.3"},
		"first host of a /30":        {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.9/30"), want: "192.0.2.10"},
		"/30 full":                   {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.9/30", "192.0.2.10/30"), want: "169.254.0.1"},
		"first host of a /31, upper": {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.11/31"), want: "192.0.2.10"},
		"first host of a /31, lower": {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.10/31"), want: "192.0.2.11"},
		"/31 full":                   {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.10/31", "192.0.2.11/31"), want: "169.254.0.1"},
		"last /31 full":              {kind: nic.ServerIDFirstHost, addresses: prefixes("255.255.255.254/31", "255.255.255.255/31"), want: "169.254.0.1"},
		"first host of a /32":        {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.10/32"), want: "169.254.0.1"},
		"first host of everything":   {kind: nic.ServerIDFirstHost, addresses: prefixes("192.0.2.10/0"), want: "0.0.0.1"},
		"the dummy is the NIC":       {kind: nic.ServerIDFirstHost, addresses: prefixes("169.254.0.1/32"), want: "169.254.0.2"},
		"no IPv4":                    {addresses: prefixes("2001:db8::5/64"), want: "169.254.0.1"},
		"interface":                  {kind: nic.ServerIDInterface, host: hosts, want: "192.0.2.250"},
		"gateway, mapped":            {gateway: "::ffff:192.0.2.254", want: "192.0.2.254"},
		"interface, mapped":          {kind: nic.ServerIDInterface, host: []netip.Addr{ip("::ffff:192.0.2.10"), ip("::ffff:192.0.2.3")}, want: "192.0.2.3"},
		"interface has the NIC's":    {kind: nic.ServerIDInterface, host: []netip.Addr{ip("192.0.2.10"), ip("192.0.2.3")}, want: "192.0.2.3"},
		"interface without IPv4":     {kind: nic.ServerIDInterface, host: hosts[:2], wait: reason.WaitServerID},
		"interface without any":      {kind: nic.ServerIDInterface, wait: reason.WaitServerID},
		"fixed":                      {kind: nic.ServerIDFixed, fixed: "198.51.100.53", host: hosts, want: "198.51.100.53"},
		"fixed, mapped":              {kind: nic.ServerIDFixed, fixed: "::ffff:198.51.100.53", want: "198.51.100.53"},
		"fixed, unspecified":         {kind: nic.ServerIDFixed, fixed: "0.0.0.0", wait: reason.WaitServerID},
		"fixed, IPv6":                {kind: nic.ServerIDFixed, fixed: "2001:db8::1", wait: reason.WaitServerID},
		"fixed, missing":             {kind: nic.ServerIDFixed, wait: reason.WaitServerID},
	} {
		t.Run(name, func(t *testing.T) {
			b := changed(func(b *nic.Binding) {
				b.DHCP4.ServerID = nic.ServerID{Kind: c.kind, Addr: ip(c.fixed)}
				b.Gateway = ip(c.gateway)
				if c.addresses != nil {
					b.Addresses = c.addresses
				}
			})
			id, wait := ServerID(b, c.host)
			if id != ip(c.want) || wait != c.wait {
				t.Errorf("server identifier %v, %v; want %q, %v", id, wait, c.want, c.wait)
			}
		})
	}
}
