package nimbus_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/compat/nimbus"
)

const dhcpdConf = `# the site's part
ddns-update-style none;
default-lease-time 120; max-lease-time 240;
shared-network both {
  subnet 192.0.2.0 netmask 255.255.255.0 { }
  subnet 10.0.0.0 netmask 255.0.0.0 { option routers 10.0.0.1; }
}
host printer { hardware ethernet 00:00:00:00:00:01; fixed-address 192.0.2.99; }
# DHCP-CONFIG-AUTOMATIC-BEGINS below here nothing is edited by hand
host vm7 { # Added by dhcp-conf-alter @ Mon Jan  5
  hardware ethernet A2:AA:BB:00:00:07;
  fixed-address 192.0.2.10;
  option host-name "vm7.example.org";
  option subnet-mask 255.255.255.128;
  option routers 192.0.2.1;
  option broadcast-address 192.0.2.127;
  option domain-name-servers 192.0.2.53 192.0.2.54;
}
host vm8 {
  hardware ethernet a2:aa:bb:00:00:08;
  fixed-address 192.0.2.11;
  default-lease-time 600;
  max-lease-time 1200;
  option host-name "vm8";
  option domain-name-servers 192.0.2.53, 192.0.2.54;
}
`

// TestParseEntries: dhcp-conf-alter's two mistakes are no loss: a mask it
// stripped comes from the subnet (N2), DNS servers need no commas (N3).
func TestParseEntries(t *testing.T) {
	entries, problems := nimbus.ParseEntries("dhcpd.conf", []byte(dhcpdConf))
	if len(problems) > 0 {
		t.Error(problems)
	}
	dns := []netip.Addr{addr("192.0.2.53"), addr("192.0.2.54")}
	want := []nimbus.Entry{
		{Name: "vm7", Line: 10, Identity: nimbus.Identity{
			MAC: mac("a2:aa:bb:00:00:07"), Address: addr("192.0.2.10"), Bits: 25, Gateway: addr("192.0.2.1"), Broadcast: addr("192.0.2.127"),
			Hostname: "vm7.example.org", DNS: dns, Lease: 120, MaxLease: 240,
		}},
		{Name: "vm8", Line: 19, Identity: nimbus.Identity{
			MAC: mac("a2:aa:bb:00:00:08"), Address: addr("192.0.2.11"), Bits: 24, Hostname: "vm8", DNS: dns, Lease: 600, MaxLease: 1200,
		}},
	}
	if diff := cmp.Diff(want, entries, comparable); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b, err := entries[1].On("vm8-0").Binding()
	if err != nil || b.NIC != "vm8-0" || b.DHCP4.Lease != 600 || b.DHCP4.MaxLease != 1200 || b.Delivered().String() != "192.0.2.11/24" {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestParseEntriesMistakes(t *testing.T) {
	const head = "# DHCP-CONFIG-AUTOMATIC-BEGINS\n"
	const good = "host ok { hardware ethernet a2:aa:bb:00:00:01; fixed-address 192.0.2.1; option subnet-mask 255.255.255.0; }\n"
	host := func(inside string) string { return head + "host x {\n" + inside + "\n}\n" + good }
	const rest = "hardware ethernet a2:aa:bb:00:00:02; fixed-address 192.0.2.2;"
	tests := []struct{ text, want string }{
		{head + good, ""},
		{good, "f: there is no line with DHCP-CONFIG-AUTOMATIC-BEGINS, below which the entries are"},
		{head + "subnet 10.0.0.0 netmask 255.0.0.0 { }\n" + good, "f:2:1: not an entry of dhcp-conf-alter, it is left out: subnet 10.0.0.0 netmask 255.0.0.0"},
		{host("fixed-address 192.0.2.2;"), "f:2:1: hardware ethernet: missing"},
		{host("hardware ethernet a2:aa:bb:00:00:02;"), "f:2:1: fixed-address: missing"},
		{host("hardware ethernet a2;"), `f:3:1: hardware ethernet "a2": not a MAC address of six pairs of hex digits`},
		{host(rest + "\nzone x { }"), "f:4:1: no statement of dhcp-conf-alter: zone x"},
		{host("hardware;"), "f:3:1: hardware: incomplete"},
		{host("fixed-address vm.example.org;"), `f:3:1: fixed-address "vm.example.org": not an IPv4 address`},
		{host("fixed-address 192.0.2.2, 192.0.2.3;"), `f:3:1: fixed-address "192.0.2.2 192.0.2.3": want one value, it has 2`},
		{host(rest + "\noption subnet-mask 255.255.0.255;"), `f:4:1: option subnet-mask "255.255.0.255": not a mask`},
		{host(rest + "\noption routers x;"), `f:4:1: option routers "x": not an IPv4 address`},
		{host(rest + "\noption broadcast-address x;"), `f:4:1: option broadcast-address "x": not an IPv4 address`},
		{host(rest + "\noption domain-name-servers 192.0.2.53, x;"), `f:4:1: option domain-name-servers "x": not an IPv4 address`},
		{host(rest + "\ndefault-lease-time 0;"), `f:4:1: default-lease-time "0": not a number of seconds`},
		{host(rest + "\nmax-lease-time long;"), `f:4:1: max-lease-time "long": not a number of seconds`},
		{host(rest + "\nfilename \"pxe\";"), `f:4:1: filename "pxe": no statement of dhcp-conf-alter`},
		{host("hardware ethernet A2:AA:BB:00:00:03; fixed-address 192.0.2.3;") + "host y { hardware ethernet a2:aa:bb:00:00:03; fixed-address 192.0.2.4; }\n", `f:6:1: hardware ethernet "a2:aa:bb:00:00:03": is at f:2 already`},
		{host("hardware ethernet a2:aa:bb:00:00:03; fixed-address 192.0.2.3;") + "host y { hardware ethernet a2:aa:bb:00:00:04; fixed-address 192.0.2.3; }\n", `f:6:1: fixed-address "192.0.2.3": is at f:2 already`},
	}
	for _, tt := range tests {
		entries, problems := nimbus.ParseEntries("f", []byte(tt.text))
		told(t, tt.text, orNil(problems), tt.want)
		if ok := strings.Contains(tt.text, head); ok != (len(entries) > 0) {
			t.Errorf("%s\n%d entries: a broken one costs itself alone", tt.text, len(entries))
		}
	}
	entries, _ := nimbus.ParseEntries("f", []byte(host(rest)))
	_, err := entries[0].On("vm-0").Binding()
	told(t, "no subnet", err, "f:2:1: option subnet-mask: missing, and nothing says which subnet 192.0.2.2 is in")
}

func FuzzParseEntries(f *testing.F) {
	f.Add([]byte(dhcpdConf))
	f.Add([]byte("DHCP-CONFIG-AUTOMATIC-BEGINS\nhost a {{{\n\"x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _ := nimbus.ParseEntries("f", data)
		for _, e := range entries {
			if !e.Identity.Address.Is4() || e.Identity.MAC.IsZero() || e.Line < 1 {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// FuzzParseNetworking: whatever is accepted and checked is a valid binding.
func FuzzParseNetworking(f *testing.F) {
	f.Add(first+";;"+second, sample)
	f.Fuzz(func(t *testing.T, s, text string) {
		conf, _, _ := nimbus.ParseNetworksConf("n", []byte(text))
		nics, err := nimbus.ParseNetworking(s)
		if err != nil {
			return
		}
		ids, err := nimbus.Identities("vm", nics, &conf)
		if err != nil {
			return
		}
		for _, id := range ids {
			doc, err := id.Document()
			if (err == nil) != (len(doc) > 0) {
				t.Fatalf("%s, %v", doc, err)
			}
		}
	})
}
