package kea

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/compat/compattest"
)

func TestImport(t *testing.T) {
	r := Parse(compat.Input{
		Files:  compattest.Files(t, "kea-dhcp4.conf", "kea-dhcp6.conf"),
		Leases: compattest.Files(t, "kea-leases4.csv"),
	})
	carried := compattest.Golden(t, "import.golden", r)
	address, told := compattest.Renew(t, &carried[1].Binding, 3, 6, 12, 15, 43, 121, 67, 222)
	if address != netip.MustParseAddr("192.0.2.10") {
		t.Errorf("renewed %v", address)
	}
	compattest.Told(t, told, map[byte][]byte{
		54: {192, 0, 2, 4}, 51: {0, 0, 15, 160}, 58: {0, 0, 3, 232}, 59: {0, 0, 7, 208}, 3: {192, 0, 2, 1},
		6: {192, 0, 2, 54}, 12: []byte("web"), 15: []byte("example.net"), 43: {1, 2, 3}, 67: []byte("pxelinux.0"),
		121: {8, 10, 192, 0, 2, 3, 0, 192, 0, 2, 1}, 222: {0, 0, 0, 7},
	})
}

// TestMistakes: each is told with its place.
func TestMistakes(t *testing.T) {
	in := func(subnet string) string {
		return "{ \"Dhcp4\": {\n\"subnet4\": [ { \"subnet\": \"192.0.2.0/24\", \"option-data\": [ {\"name\": \"dhcp-server-identifier\", \"data\": \"192.0.2.1\"} ],\n" + subnet + "} ] } }"
	}
	for _, c := range []struct{ text, want string }{
		{"{\n", "f:1: it ends too early; the file is not read"},
		{`{ "Dhcp4": nothing }`, "f:1: invalid character 'o' in literal null (expecting 'u'); the file is not read"},
		{"{ \"Dhcp4\": {} }\n}", "f:2: something stands behind the closing brace"},
		{`{ "DhcpDdns": {} }`, "f:1: has neither Dhcp4 nor Dhcp6"},
		{`{ "Dhcp4": [] }`, "f:1: Dhcp4 is not read: want an object"},
		{in(`"reservations": { "hw-address": "52:54:00:aa:00:01" }`), "f:3: reservations is not read: want a list"},
		{"\n<?include \"x\"?>{}", "f:2: an included file is not read"},
		{strings.Repeat("[", 100), "nested too deep"},
		{`{ "Dhcp4": { "subnet4": [ { "subnet": "2001:db8::/64" } ] } }`, "f:1: the subnet \"2001:db8::/64\" is no prefix of its family"},
		{in(`"reservations": [ { "circuit-id": "x", "ip-address": "192.0.2.9" } ]`), "f:3: reservation 192.0.2.9 is not carried: it has no Ethernet address"},
		{in(`"reservations": [ { "hw-address": "x", "ip-address": "192.0.2.9" } ]`), `f:3: reservation 192.0.2.9 is not carried: "x" is not a MAC`},
		{in(`"reservations": [ { "hw-address": "52:54:00:aa:00:01", "ip-address": "203.0.113.9" } ]`), `"203.0.113.9" is no address of the subnet`},
		{in(`"reservations": [ { "hw-address": "52:54:00:aa:00:01", "ip-address": "192.0.2.9", "option-data": [ { "name": "x", "data": "1" } ] } ]`), "f:3: option x is not carried: this option is not known"},
		{in(`"reservations": [ { "hw-address": "52:54:00:aa:00:01", "ip-address": "192.0.2.9", "option-data": [ { "code": 43, "data": "zz" } ] } ]`), "is not hexadecimal"},
		{in(`"pools": [ { "pool": "192.0.2.1-192.0.2.2" } ]`), "f:3: pools is not carried"},
		{in(`"unheard-of": 1`), "f:3: unheard-of is not carried: it is not understood"},
	} {
		r := Parse(compat.Input{Files: []compat.File{{Name: "f", Data: []byte(c.text)}}})
		if !slices.ContainsFunc(r.Notes, func(n compat.Note) bool { return strings.Contains(n.String(), c.want) }) {
			t.Errorf("%q: %v, want %q", c.text, r.Notes, c.want)
		}
	}
}

// TestHostname: the reservation's goes over an option's, and is told whole.
func TestHostname(t *testing.T) {
	for _, c := range []struct{ reserved, hostname, whole string }{
		{`"hostname": "web"`, "web", ""},
		{`"option-data": [ { "name": "host-name", "data": "db" } ]`, "db", ""},
		{`"hostname": "web", "option-data": [ { "name": "host-name", "data": "db" } ]`, "web", ""},
		{`"hostname": "web.example.net"`, "web", "7765622e6578616d706c652e6e6574"},
	} {
		text := `{ "Dhcp4": { "subnet4": [ { "subnet": "192.0.2.0/24", "reservations": [
			{ "hw-address": "52:54:00:aa:00:01", "ip-address": "192.0.2.9", ` + c.reserved + ` } ] } ] } }`
		r := Parse(compat.Input{Files: []compat.File{{Name: "f", Data: []byte(text)}}})
		whole := ""
		for _, o := range r.Hosts[0].DHCP4.Options {
			whole += o.Value
		}
		if got := r.Hosts[0].Hostname; got != c.hostname || whole != c.whole {
			t.Errorf("%s: %q, option 12 %q", c.reserved, got, whole)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range compattest.Files(f, "kea-dhcp4.conf", "kea-dhcp6.conf", "kea-leases4.csv") {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		conf := compattest.Files(t, "kea-dhcp4.conf")
		file := compat.File{Name: "f", Data: data}
		r := Parse(compat.Input{Files: append(conf, file), Leases: []compat.File{file}})
		for _, n := range r.Notes {
			if n.Place.File == "" || n.Place.Line < 0 {
				t.Errorf("a note of nowhere: %v", n)
			}
		}
	})
}
