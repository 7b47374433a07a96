package iscdhcpd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/compat/compattest"
)

func TestImport(t *testing.T) {
	r := Parse(compat.Input{
		Files:  compattest.Files(t, "dhcpd.conf", "dhcpd6.conf"),
		Leases: compattest.Files(t, "dhcpd.leases"),
	})
	carried := compattest.Golden(t, "import.golden", r)
	address, told := compattest.Renew(t, &carried[1].Binding, 1, 3, 6, 12, 15, 26, 28, 42, 119, 121, 66, 67, 2)
	if address != netip.MustParseAddr("192.0.2.10") {
		t.Errorf("renewed %v", address)
	}
	compattest.Told(t, told, map[byte][]byte{
		54: {192, 0, 2, 4}, 51: {0, 0, 2, 88}, 1: {255, 255, 255, 0}, 3: {192, 0, 2, 1},
		6: {192, 0, 2, 53, 198, 51, 100, 53}, 12: []byte("web"), 15: []byte("example.net"), 26: {5, 170},
		28: {192, 0, 2, 255}, 42: {192, 0, 2, 123}, 2: {255, 255, 241, 240},
		121: {8, 10, 192, 0, 2, 3, 0, 192, 0, 2, 1}, 66: []byte("tftp.example.net"), 67: []byte("pxelinux.0"),
	})
}

// TestMistakes: each is told with its place, and what is before it is kept.
func TestMistakes(t *testing.T) {
	const subnet = "subnet 192.0.2.0 netmask 255.255.255.0 { server-identifier 192.0.2.1; }\n"
	for _, c := range []struct{ text, want string }{
		{`option domain-name "x`, "f:2: a text without its closing quote"},
		{"host a { hardware ethernet 52:54:00:aa:00:01;", "f:2: the file ends within a block"},
		{"}", "f:2: a closing brace without an opening one"},
		{"next-server 192.0.2.1 }", "f:2: a statement without its semicolon"},
		{"subnet 192.0.2.0 netmask 255.0.255.0 {}", "f:2: subnet 192.0.2.0 netmask 255.0.255.0: want an address"},
		{"subnet6 192.0.2.0/24 {}", "f:2: subnet6 192.0.2.0/24: want an IPv6 prefix"},
		{"host a { fixed-address 192.0.2.9; }", "f:2: host a is not carried: it has no Ethernet address"},
		{"host a { hardware token-ring 1:2:3:4:5:6; fixed-address 192.0.2.9; }", "only Ethernet"},
		{"host a { hardware ethernet 1:2:3; fixed-address 192.0.2.9; }", `f:2: host a: hardware ethernet 1:2:3: "1:2:3" is not a MAC`},
		{"host a { hardware ethernet 52:54:00:aa:00:01; }", "f:2: host a is not carried: it has no fixed address"},
		{"default-lease-time soon; host a { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; }", "f:2: default-lease-time soon: not a number"},
		{"next-server tftp; host a { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; }", "f:2: next-server tftp: not an address"},
		{"option x 1; host a { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; }", "f:2: option x is not carried: this option is not known"},
		{"option interface-mtu 70000; host a { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; }", "f:2: option interface-mtu is not carried"},
		{"option x code 200 = { integer 8, text };", "f:2: option x code"},
		{"option host-name = pick-first-value(option host-name);", "its value is computed"},
		{`include "other";`, `f:2: include "other" is not read`},
		{"zone example.net. { primary 192.0.2.1; }", "f:2: zone example.net. is not carried: berth does not update DNS"},
		{"option domain-name \"a\" option host-name \"b\"; host a { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; }", "f:2: option domain-name is not carried: want one text and a semicolon"},
		{"host a { hardware ethernet 52:54:00:aa:00:01\nfixed-address 192.0.2.9; }", "f:2: host a: hardware ethernet 52:54:00:aa:00:01 fixed-address 192.0.2.9: want one address and a semicolon"},
		{"max-lease-time 600 next-server 192.0.2.1; host a { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; }", "f:2: max-lease-time 600 next-server 192.0.2.1: not a number"},
		{"next-server 192.0.2.1 filename x; host a { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; }", "f:2: next-server 192.0.2.1 filename x: not an address"},
		{"min-lease-time 900;", "f:2: min-lease-time 900 is carried only for who asks for no time"},
		{"option dhcp-lease-time 900; host a { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; }", "f:2: option dhcp-lease-time is not carried: dhcpd goes by default-lease-time"},
		{strings.Repeat("group {\n", 40), "nested too deep"},
	} {
		r := Parse(compat.Input{Files: []compat.File{{Name: "f", Data: []byte(subnet + c.text)}}})
		if !slices.ContainsFunc(r.Notes, func(n compat.Note) bool { return strings.Contains(n.String(), c.want) }) {
			t.Errorf("%q: %v, want %q", c.text, r.Notes, c.want)
		}
	}
}

func TestInclude(t *testing.T) {
	in := compat.Input{
		Files: []compat.File{{Name: "a", Data: []byte("include \"b\";\n")}},
		Include: func(from, name string) ([]compat.File, error) {
			return []compat.File{{Name: name, Data: []byte("subnet 192.0.2.0 netmask 255.255.255.0 { server-identifier 192.0.2.1;\nhost h { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; } }")}}, nil
		},
	}
	r := Parse(in)
	if len(r.Hosts) != 1 || r.Hosts[0].String() != "b:2" || len(r.Notes) != 0 {
		t.Errorf("%v %v", r.Hosts, r.Notes)
	}
	in.Include = func(string, string) ([]compat.File, error) {
		return in.Files, fmt.Errorf("again")
	}
	if r := Parse(in); len(r.Notes) == 0 || !strings.Contains(fmt.Sprint(r.Notes), "nested too deep") {
		t.Errorf("a file that includes itself: %v", r.Notes)
	}
}

// TestServer: without server-identifier it is the address that is given.
func TestServer(t *testing.T) {
	const text = "subnet 192.0.2.0 netmask 255.255.255.0 { host h { hardware ethernet 52:54:00:aa:00:01; fixed-address 192.0.2.9; } }"
	in := compat.Input{Files: []compat.File{{Name: "f", Data: []byte(text)}}}
	if r := Parse(in); len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Text, "server identifier") || r.Hosts[0].DHCP4.ServerID.IsValid() {
		t.Errorf("not given: %v", r.Notes)
	}
	in.Servers = []netip.Prefix{netip.MustParsePrefix("198.51.100.4/32"), netip.MustParsePrefix("192.0.2.4/24")}
	if r := Parse(in); len(r.Notes) != 0 || r.Hosts[0].DHCP4.ServerID != netip.MustParseAddr("192.0.2.4") {
		t.Errorf("given: %v %v", r.Notes, r.Hosts)
	}
}

// TestTimes: what dhcpd 4.4.3 gave to a client that asked for no time.
func TestTimes(t *testing.T) {
	for _, c := range []struct{ lease, longest, shortest, want, most compat.Time }{
		{0, 0, 0, 43200, 86400},
		{600, 7200, 0, 600, 7200},
		{120, 240, 0, 240, 240},
		{120, 7200, 0, 300, 7200},
		{0, 3600, 0, 3600, 3600},
		{600, 7200, 900, 900, 7200},
		{600, 7200, 9000, 9000, 9000},
		{600, 7200, 60, 600, 7200},
	} {
		if lease, most := Times(c.lease, c.longest, c.shortest); lease != c.want || most != c.most {
			t.Errorf("%d to %d, at least %d: %d of %d, want %d of %d", c.lease, c.longest, c.shortest, lease, most, c.want, c.most)
		}
	}
}

// TestRenewal6: T1 and T2 of DHCPv6 are options of DHCPv4's.
func TestRenewal6(t *testing.T) {
	const text = `option dhcp-renewal-time 100; subnet6 2001:db8:1::/64 {}
host a { hardware ethernet 52:54:00:aa:00:01; fixed-address6 2001:db8:1::9; option dhcp-rebinding-time 200; }`
	r := Parse(compat.Input{Files: []compat.File{{Name: "f", Data: []byte(text)}}})
	if d := r.Hosts[0].DHCP6; d.T1 != 100 || d.T2 != 200 || len(r.Notes) > 0 {
		t.Errorf("%+v %v", d, r.Notes)
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range compattest.Files(f, "dhcpd.conf", "dhcpd6.conf", "dhcpd.leases") {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := []compat.File{{Name: "f", Data: data}}
		r := Parse(compat.Input{Files: file, Leases: file})
		for _, n := range r.Notes {
			if n.Place.File != "f" || n.Place.Line < 1 || n.Place.Line > 1+strings.Count(string(data), "\n") {
				t.Errorf("a note of nowhere: %v", n)
			}
		}
	})
}
