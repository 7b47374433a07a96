package compat

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		kind   Kind
		values string // with | between
		want   string
	}{
		{Addrs4, "192.0.2.1|192.0.2.2", "c0000201c0000202"},
		{Addrs6, "[2001:db8::1]", "20010db8000000000000000000000001"},
		{Int8, "255|-1", "ffff"},
		{Int16, "1450", "05aa"},
		{Int32, "-3600", "fffff1f0"},
		{Int32, "0x10", "00000010"},
		{Flag, "true|off", "0100"},
		{Text, "a b", "612062"},
		{Text, "a|b", "612c62"},
		{Bytes, "0a:b:2C", "0a0b2c"},
		{Bytes, "web", "776562"},
		{Domains, "example.net.|a", "076578616d706c65036e6574000161" + "00"},
		{Text16, "ab", "00026162"},
		{Routes4, "8|10|192|0|2|3", "080ac0000203"},
		{Routes4, "10.0.0.0/8|192.0.2.3|0.0.0.0/0|192.0.2.1", "080ac000020300c0000201"},
		{Routes4, "10.0.0.0/8 - 192.0.2.3", "080ac0000203"},
	} {
		got, err := c.kind.Encode(strings.Split(c.values, "|"))
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%d %s: %x, %v, want %s", c.kind, c.values, got, err, c.want)
		}
	}
}

func TestEncodeMistakes(t *testing.T) {
	for _, c := range []struct {
		kind   Kind
		values []string
		want   string
	}{
		{Addrs4, nil, "has no value"},
		{Addrs4, []string{"gw"}, `"gw" is not an address of its family`},
		{Addrs4, []string{"2001:db8::1"}, "is not an address of its family"},
		{Addrs6, []string{"fe80::1%eth0"}, "is not an address of its family"},
		{Int8, []string{"256"}, `"256" is not a number of 1 bytes`},
		{Int16, []string{"-32769"}, "is not a number of 2 bytes"},
		{Flag, []string{"maybe"}, `"maybe" is neither true nor false`},
		{Domains, []string{"a..b"}, `"a..b" is not a domain name`},
		{Routes4, nil, "is not pairs of a destination and a router"},
		{Routes4, []string{"10.0.0.0/8"}, "is not pairs of a destination and a router"},
		{Routes4, []string{"10.0.0.0/8", "gw"}, "are not a destination and a router"},
		{Routes4, []string{"33", "1"}, "is not a list of routes"},
	} {
		if got, err := c.kind.Encode(c.values); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %v: %x, %v, want %s", c.kind, c.values, got, err, c.want)
		}
	}
}

// TestDefinitions: a name and a number mean one option each.
func TestDefinitions(t *testing.T) {
	for _, list := range [][]Definition{Definitions4(), Definitions6()} {
		seen := map[string]bool{}
		for _, d := range list {
			for _, key := range append([]string{fmt.Sprint(d.Code)}, d.Names...) {
				if seen[key] {
					t.Errorf("%s is there twice", key)
				}
				seen[key] = true
			}
			if got, ok := Named(list, d.Names[0]); !ok || got.Code != d.Code {
				t.Errorf("%s: %v", d.Names[0], got)
			}
			if got, ok := Numbered(list, d.Code); !ok || got.Kind != d.Kind {
				t.Errorf("%d: %v", d.Code, got)
			}
		}
	}
}

func TestIdentifiers(t *testing.T) {
	want := nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7}
	for _, s := range []string{"52:54:00:aa:00:07", "52:54:0:AA:0:7", "5254.00aa.0007"} {
		if got, err := MAC(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "52:54:00:aa:00", "52:54:00:aa:00:07:08", "1:2:3:4:5:zz"} {
		if got, err := MAC(s); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
	for duid, ok := range map[string]bool{
		"000100011c39cf88525400aa0007":           true,  // DUID-LLT
		"00:03:00:01:52:54:00:aa:00:07":          true,  // DUID-LL
		"00030006525400aa0007":                   false, // of IEEE 802, not Ethernet
		"0002000001375254":                       false, // DUID-EN
		"00030001525400aa000708":                 false,
		"0004525400aa00070000000000000000000000": false, // DUID-UUID
		"zz":                                     false, "": false,
	} {
		if got, is := DUIDMAC(duid); is != ok || ok && got != want {
			t.Errorf("%s: %v, %v", duid, got, is)
		}
	}
	for mask, bits := range map[string]int{"255.255.255.0": 24, "0.0.0.0": 0, "255.255.255.255": 32, "255.0.255.0": -1, "24": -1} {
		if got, ok := MaskBits(mask); ok != (bits >= 0) || ok && got != bits {
			t.Errorf("%s: %d, %v", mask, got, ok)
		}
	}
}

func option(t *testing.T, code uint16, data string) Options {
	t.Helper()
	b, err := hex.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	return Options{code: {Code: code, Data: b, Place: Place{"f", 3}}}
}

// TestApplyMistakes: an option whose bytes are not what it should be is told,
// with its place.
func TestApplyMistakes(t *testing.T) {
	for _, c := range []struct {
		code uint16
		data string
		want string
	}{
		{1, "ff00ff00", "is not a netmask"},
		{3, "c0", "is not a list of IPv4 addresses"},
		{3, "c0000201c0000202", "a binding has one gateway: 192.0.2.1 is carried"},
		{6, "c0", "is not a list of IPv4 addresses"},
		{26, "05", "is not a number of 2 bytes"},
		{28, "c0", "is not one IPv4 address"},
		{51, "05", "is not a number of 4 bytes"},
		{54, "", "is not one IPv4 address"},
		{61, "01", "is the protocol's own"},
		{119, "0361", "is not a list of domain names"},
		{119, "0161", "has a domain name without an end"},
		{121, "0000000000", "a default route without a router"},
	} {
		h := Host{Name: "web"}
		notes := h.Apply4(option(t, c.code, c.data))
		if len(notes) != 1 || !strings.HasPrefix(notes[0].String(), fmt.Sprintf("f:3: DHCPv4 option %d of web: ", c.code)) || !strings.Contains(notes[0].Text, c.want) {
			t.Errorf("%d %s: %v, want %s", c.code, c.data, notes, c.want)
		}
	}
	for code, data := range map[uint16]string{7: "", 23: "20", 24: "0361", 32: "01", 82: "", 83: "00"} {
		h := Host{Name: "web"}
		if notes := h.Apply6(option(t, code, data)); len(notes) != 1 {
			t.Errorf("DHCPv6 %d: %v", code, notes)
		}
	}
}

func TestApply6(t *testing.T) {
	h := Host{}
	for code, data := range map[uint16]string{
		7: "ff", 23: "20010db8000000000000000000000053", 24: "0161" + "00", 31: "20010db8000000000000000000000123",
		32: "00000e10", 59: "7574", 82: "00000e10", 83: "00000e11", 41: "5554", 103: "75",
	} {
		if notes := h.Apply6(option(t, code, data)); len(notes) > 0 {
			t.Error(notes)
		}
	}
	want := Document{
		DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53")}, NTP: []netip.Addr{netip.MustParseAddr("2001:db8::123")}, Search: []string{"a"},
		CaptivePortal: "u",
		DHCP6: DHCP6{
			Preference: 255, Refresh: 3600, BootURL: "ut", SolMaxRT: 3600, InfMaxRT: 3601,
			Options: []HexOption{{Code: 41, Type: "hex", Value: "5554"}},
		},
	}
	if diff := cmp.Diff(want, h.Document, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDefaultRoute: RFC 3442's default route is the gateway, if it is the only
// one.
func TestDefaultRoute(t *testing.T) {
	h := Host{}
	if notes := h.Apply4(option(t, 121, "00c0000201")); len(notes) > 0 || h.Gateway != netip.MustParseAddr("192.0.2.1") || len(h.Routes) > 0 {
		t.Errorf("%v %+v", notes, h)
	}
	h.Gateway = netip.MustParseAddr("192.0.2.2")
	if notes := h.Apply4(option(t, 121, "00c0000201")); len(notes) != 1 || !strings.Contains(notes[0].Text, "192.0.2.2, which is carried") {
		t.Error(notes)
	}
}

// TestRoutesWithoutDefault: a guest that takes its routes from option 121 and
// had no default route there is not given one (RFC 3442).
func TestRoutesWithoutDefault(t *testing.T) {
	h := Host{}
	options := option(t, 121, "080ac0000203")
	options[3] = option(t, 3, "c0000201")[3]
	if notes := h.Apply4(options); len(notes) > 0 || len(h.Routes) > 0 || h.Gateway != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("%v %+v", notes, h)
	}
	if diff := cmp.Diff([]HexOption{{Code: 121, Type: "hex", Value: "080ac0000203"}}, h.DHCP4.Options); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFullHostname: option 12 goes on whole, and no domain is made of it.
func TestFullHostname(t *testing.T) {
	whole := []HexOption{{Code: 12, Type: "hex", Value: hex.EncodeToString([]byte("web.lab.example.org"))}}
	for _, c := range []struct{ domain, want string }{{"", "web"}, {"example.org", "web.lab.example.org"}} {
		h := Host{}
		options := option(t, 12, whole[0].Value)
		if c.domain != "" {
			options[15] = option(t, 15, hex.EncodeToString([]byte(c.domain)))[15]
		}
		notes := h.Apply4(options)
		if diff := cmp.Diff(whole, h.DHCP4.Options); diff != "" || h.Hostname != c.want || h.Domain != c.domain || len(notes) > 0 {
			t.Errorf("%q: hostname %q, %v (-want +got):\n%s", c.domain, h.Hostname, notes, diff)
		}
	}
}
