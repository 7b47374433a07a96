package dnsmasq

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/compat/carry"
	"github.com/berth-net/berth/internal/compat/compattest"
)

func input(t testing.TB) compat.Input {
	return compat.Input{
		Files:   compattest.Files(t, "dnsmasq.conf"),
		Leases:  compattest.Files(t, "dnsmasq.leases"),
		Servers: []netip.Prefix{netip.MustParsePrefix("192.0.2.4/24")},
	}
}

func TestImport(t *testing.T) {
	carried := compattest.Golden(t, "import.golden", Parse(input(t)))
	address, told := compattest.Renew(t, &carried[1].Binding, 3, 6, 12, 15, 26, 42, 66, 67, 224)
	if address != netip.MustParseAddr("192.0.2.10") {
		t.Errorf("renewed %v", address)
	}
	compattest.Told(t, told, map[byte][]byte{
		54: {192, 0, 2, 4}, 51: {0, 0, 10, 140}, 3: {192, 0, 2, 4}, 6: {192, 0, 2, 53}, 12: []byte("web"),
		15: []byte("example.net"), 26: {35, 40}, 42: {192, 0, 2, 123, 192, 0, 2, 4}, 66: []byte("boot"), 67: []byte("pxelinux.0"),
		224: []byte("site one"),
	})
}

// TestMistakes: each is told with its place.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"dhcp-range=192.0.2.1,192.0.2.9", "f:2: dhcp-range of 192.0.2.1: its netmask is that of dnsmasq's interface"},
		{"dhcp-range=lan", `f:2: dhcp-range=lan: "lan" is not understood`},
		{"dhcp-host=52:54:00:aa:00:01,203.0.113.1", "f:2: dhcp-host=52:54:00:aa:00:01,203.0.113.1: 203.0.113.1 is not carried: no dhcp-range"},
		{"dhcp-host=52:54:00:aa:00:01,52:54:00:aa:00:02,198.51.100.9", "a binding has one MAC"},
		{"dhcp-host=web,198.51.100.9", "names no Ethernet address"},
		{"dhcp-host=52:54:00:aa:00:01,web", "it has no address"},
		{"dhcp-host=52:54:00:aa:00:01,[2001:db8::8/125]", "a host has one address of it"},
		{"dhcp-option=option:unheard-of,1", "f:2: dhcp-option=option:unheard-of,1 is not carried: this option is not known"},
		{"dhcp-option=vendor:x,1,0", "vendor's own space"},
		{"dhcp-option=option:mtu,big\ndhcp-host=52:54:00:aa:00:01,198.51.100.9", "f:2: dhcp-option=option:mtu,big is not carried"},
		{"dhcp-boot=x,y,tftp", `"tftp" is not an address`},
		{"domain=example.net,192.0.2.0/24", "only a domain for all addresses"},
		{"conf-file=/etc/x", "f:2: conf-file=/etc/x is not read"},
		{"address=/x/192.0.2.1", "it is not about who a NIC is"},
	} {
		text := "dhcp-range=198.51.100.0,static,255.255.255.0\n" + c.text
		r := Parse(compat.Input{Files: []compat.File{{Name: "f", Data: []byte(text)}}})
		if !slices.ContainsFunc(r.Notes, func(n compat.Note) bool { return strings.Contains(n.String(), c.want) }) {
			t.Errorf("%q: %v, want %q", c.text, r.Notes, c.want)
		}
	}
}

// TestDefaults6: dnsmasq names itself as the DNS server of IPv6, unless an
// option says another or it serves no DNS.
func TestDefaults6(t *testing.T) {
	own := netip.MustParsePrefix("2001:db8:1::1/64")
	const unknown = "it is the DNS server, which is not carried"
	for _, c := range []struct {
		text    string
		servers []netip.Prefix
		dns     []netip.Addr
		told    string
	}{
		{"", []netip.Prefix{own}, []netip.Addr{own.Addr()}, ""},
		{"", nil, nil, unknown},
		{"port=0\n", []netip.Prefix{own}, nil, ""},
		{"port=0\n", nil, nil, ""},
		{"dhcp-option=option6:dns-server,[2001:db8::53]\n", nil, []netip.Addr{netip.MustParseAddr("2001:db8::53")}, ""},
	} {
		text := c.text + "domain=example.org\ndhcp-range=2001:db8:1::,static,64,infinite\ndhcp-host=52:54:00:aa:00:01,[::9]\n"
		r := Parse(compat.Input{Files: []compat.File{{Name: "f", Data: []byte(text)}}, Servers: c.servers})
		h := r.Hosts[0]
		if !slices.Equal(h.DNS, c.dns) || h.Domain != "example.org" || h.DHCP6.T2 != h.DHCP6.Valid {
			t.Errorf("%q: %+v", c.text, h.Document)
		}
		notes := fmt.Sprint(r.Notes)
		if c.told == "" && len(r.Notes) > 0 || !strings.Contains(notes, c.told) {
			t.Errorf("%q: %s, want %q", c.text, notes, c.told)
		}
		names := compattest.Names()
		if _, bad := carry.Carry(r.Hosts, "", names); len(bad) > 0 {
			t.Errorf("%q: %v", c.text, bad)
		}
	}
}

// TestFiles: lines of a hosts file and an options file have no key.
func TestFiles(t *testing.T) {
	r := Parse(compat.Input{
		Files: []compat.File{{Name: "f", Data: []byte("dhcp-range=192.0.2.0,static,255.255.255.0\ndhcp-hostsfile=h\ndhcp-optsfile=o\n")}},
		Include: func(_, name string) ([]compat.File, error) {
			text := map[string]string{"h": "# one\n52:54:00:aa:00:01,192.0.2.9\n", "o": "option:router,192.0.2.1\n54,192.0.2.1\noption:dns-server\n"}[name]
			return []compat.File{{Name: name, Data: []byte(text)}}, nil
		},
	})
	if len(r.Hosts) != 1 || r.Hosts[0].Gateway != netip.MustParseAddr("192.0.2.1") || r.Hosts[0].String() != "h:2" {
		t.Errorf("%+v %v", r.Hosts, r.Notes)
	}
}

func TestLeaseTime(t *testing.T) {
	for text, want := range map[string]compat.Time{"45": 120, "200": 200, "3m": 180, "12h": 43200, "2d": 172800, "1w": 604800, "infinite": 1<<32 - 1} {
		if got, ok := leaseTime(text); !ok || got != want {
			t.Errorf("%s: %d", text, got)
		}
	}
	for _, text := range []string{"", "h", "x", "-1", "99999999999"} {
		if got, ok := leaseTime(text); ok {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range compattest.Files(f, "dnsmasq.conf", "dnsmasq.leases") {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := input(t)
		in.Files = append(in.Files, compat.File{Name: "f", Data: data})
		in.Leases = []compat.File{{Name: "f", Data: data}}
		for _, n := range Parse(in).Notes {
			if n.Place.Line < 1 || n.Place.File == "f" && n.Place.Line > 1+strings.Count(string(data), "\n") {
				t.Errorf("a note of nowhere: %v", n)
			}
		}
	})
}
