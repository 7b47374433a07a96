package nfdhcpd

import (
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// FuzzParseFile: no binding file makes the reader panic; it gives one valid
// binding of the file's name, or says why not.
func FuzzParseFile(f *testing.F) {
	f.Add([]byte(bridged))
	f.Add([]byte(routed))
	f.Add([]byte("MAC=aa:00:00:11:22:33\nMTU=\nPRIVATE=''\nMACSPOOF=0\nGATEWAY6_MAC=02:00:00:00:00:77\nSUBNET6=2001:db8::/64"))
	formats := []Format{
		configured(f, conf),
		configured(f, with(with(conf, "dhcp.server_on_link", "server_on_link = 1"), "ipv6.mode", "mode = dhcpv6")),
		configured(f, with(conf, "ipv6.enable_ipv6", "enable_ipv6 = no")),
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range formats {
			r := format.Parse(tapFile, data, host())
			if len(r.Bindings)+min(1, len(r.Problems)) != 1 || len(r.Names) != min(1, len(r.Problems)) {
				t.Fatalf("%d bindings, problems %v, names %v", len(r.Bindings), r.Problems, r.Names)
			}
			for i := range r.Bindings {
				if err := nic.Validate(&r.Bindings[i]); err != nil || r.Bindings[i].NIC != "tap0" {
					t.Fatalf("%s: %v", r.Bindings[i].NIC, err)
				}
			}
			format.Warnings(tapFile, data, host())
		}
	})
}

// FuzzParseConfig: no configuration makes the reader panic, and one without a
// mistake gives a plain file a valid binding.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(conf))
	f.Add([]byte("[dhcp]\na = 'b', \"c\" # d\n[[x]]\n"))
	const plain = "MAC=aa:00:00:11:22:33\nSUBNET6=2001:db8:1::/64\n"
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems, _ := ParseConfig(confFile, data)
		if len(problems) > 0 {
			return
		}
		r := Format{c}.Parse(tapFile, []byte(plain), host())
		if len(r.Bindings) != 1 {
			t.Fatalf("%+v costs a NIC its binding: %v", c, r.Problems)
		}
		if err := nic.Validate(&r.Bindings[0]); err != nil {
			t.Fatal(err)
		}
	})
}
