package nimbus_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/compat/nimbus"
)

const (
	first  = "eth0;public;A2:AA:BB:00:00:07;Bridged;Static;192.0.2.10;192.0.2.1;192.0.2.255;255.255.255.0;192.0.2.53;vm7"
	second = "eth1;private;A2:AA:BB:00:00:08;Bridged;Independent;10.1.2.3;null;null;255.255.0.0;null;null"
)

func TestParseNetworking(t *testing.T) {
	one := nimbus.NIC{Name: "eth0", Network: "public", Identity: nimbus.Identity{
		MAC: mac("a2:aa:bb:00:00:07"), Address: addr("192.0.2.10"), Bits: 24, Gateway: addr("192.0.2.1"), Broadcast: addr("192.0.2.255"),
		DNS: []netip.Addr{addr("192.0.2.53")}, Hostname: "vm7", Tags: map[string]string{"nimbus-network": "public", "nimbus-nic": "eth0"},
	}}
	two := nimbus.NIC{Name: "eth1", Network: "private", Identity: nimbus.Identity{
		MAC: mac("a2:aa:bb:00:00:08"), Address: addr("10.1.2.3"), Bits: 16,
		Tags: map[string]string{"nimbus-network": "private", "nimbus-nic": "eth1"},
	}}
	tests := []struct {
		text string
		want []nimbus.NIC
	}{
		{first, []nimbus.NIC{one}},
		{"'" + first + ";;" + second + "'", []nimbus.NIC{one, two}},
		{first + ";null;null;null;null;;" + second, []nimbus.NIC{one, two}},
	}
	for _, tt := range tests {
		got, err := nimbus.ParseNetworking(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		}
		if diff := cmp.Diff(tt.want, got, comparable); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

// TestNetworkingMistakes: each field wrong in turn, told with its NIC.
func TestNetworkingMistakes(t *testing.T) {
	with := func(i int, s string) string {
		f := strings.Split(first, ";")
		f[i] = s
		return strings.Join(f, ";")
	}
	tests := []struct{ text, want string }{
		{"", "networking: empty: it names no NIC"},
		{"''", "networking: empty: it names no NIC"},
		{"eth0;public", `NIC 1: networking "eth0;public": 2 fields, want at least 11`},
		{first + ";;", `NIC 2: networking: 1 fields, want at least 11`},
		{with(0, ""), "NIC 1: name: missing"},
		{with(2, "null"), `NIC 1: MAC "null": not a MAC address of six pairs of hex digits`},
		{with(5, "null"), `NIC 1: IP "null": not an IPv4 address`},
		{with(5, "192.0.2.256"), `NIC 1: IP "192.0.2.256": not an IPv4 address`},
		{with(5, "192.0.2.0"), `NIC 1: IP "192.0.2.0/24": the network address of 192.0.2.0/24`},
		{with(6, "none"), `NIC 1: gateway "none": not an IPv4 address`},
		{with(6, "198.51.100.1"), `NIC 1: gateway "198.51.100.1": `},
		{with(7, "x"), `NIC 1: broadcast "x": not an IPv4 address`},
		{with(8, "255.255.255.1"), `NIC 1: netmask "255.255.255.1": not a mask`},
		{with(8, "null"), "NIC 1: netmask: missing, and nothing says which subnet 192.0.2.10 is in"},
		{with(9, "x"), `NIC 1: dns "x": not an IPv4 address`},
		{with(9, "255.255.255.255"), `NIC 1: dns "255.255.255.255": `},
		{with(10, "-x"), `NIC 1: hostname "-x": `},
		{with(10, "null"), ""},
		{first + ";;" + strings.Replace(second, "eth1", "eth0", 1), `NIC 2: name "eth0": NIC 1 has it already`},
		{first + ";;" + strings.Replace(second, "00:08", "00:07", 1), `NIC 2: MAC "a2:aa:bb:00:00:07": NIC 1 has it already`},
		{first + ";;" + strings.Replace(second, "10.1.2.3", "192.0.2.10", 1), `NIC 2: IP "192.0.2.10": NIC 1 has it already`},
	}
	for _, tt := range tests {
		told(t, tt.text, networkingError(tt.text), tt.want)
	}
}

func networkingError(text string) error {
	nics, err := nimbus.ParseNetworking(text)
	if err != nil {
		return err
	}
	ids, err := nimbus.Identities("vm7", nics, nil)
	for _, id := range ids {
		if _, e := id.Document(); e != nil {
			return e
		}
	}
	return err
}

func TestInterface(t *testing.T) {
	tests := []struct {
		vm    string
		index int
		want  string
		err   string
	}{
		{"wrksp-7", 0, "wrksp-7-0", ""},
		{"WRKSP-7", 12, "wrksp-7-12", ""},
		{"a234567890123", 9, "a234567890123-9", ""},
		{"a234567890123", 10, "", "a234567890123-10 is too long for an interface's name"},
		{"a2345678901234", 0, "", "14 characters, want at most 13"},
		{"", 0, "", "a VM needs a name"},
		{"7vm", 0, "", "does not begin with a letter"},
		{"-vm", 0, "", "does not begin with a letter"},
		{"vm_7", 0, "", "has other characters than a-z, 0-9 and hyphen"},
		{"vm/7", 0, "", "has other characters than a-z, 0-9 and hyphen"},
		{"vmé", 0, "", "has other characters than a-z, 0-9 and hyphen"},
	}
	for _, tt := range tests {
		got, err := nimbus.Interface(tt.vm, tt.index)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tt.want || text != tt.err {
			t.Errorf("%s, %d: %q, %q; want %q, %q", tt.vm, tt.index, got, text, tt.want, tt.err)
		}
	}
}

// TestIdentities: networks.conf says who serves a NIC, and a subnet.
func TestIdentities(t *testing.T) {
	null := strings.Replace(first, "255.255.255.0", "null", 1)
	tests := []struct {
		name, networking, conf string
		nic                    string
		bits                   int
		serve                  nimbus.Serve
		err                    string
	}{
		{"no file", first, "", "vm7-0", 24, nimbus.Berth, ""},
		{"the site's server", first, "[bridges]\nxenbr0: 192.0.2.0/25\n", "vm7-0", 24, nimbus.Site, ""},
		{"its own server", first, "[bridges]\nxenbr0: 192.0.2.0/24\n[dhcp]\nlocaldhcp: true\n", "vm7-0", 24, nimbus.Berth, ""},
		{"mask from the range", null, "[bridges]\nxenbr0: 192.0.2.0/25\n[dhcp]\nlocaldhcp: true\n", "vm7-0", 25, nimbus.Berth, ""},
		{"a-b has no mask", null, "[bridges]\nxenbr0: 192.0.2.0-192.0.2.127\n[dhcp]\nlocaldhcp: true\n", "vm7-0", 0, nimbus.Berth, ""},
		{"no bridge", first, "[bridges]\nxenbr0: 10.0.0.0/8\n", "", 0, 0, `NIC 1: IP "192.0.2.10": networks.conf has no bridge for it, and no default bridge`},
	}
	for _, tt := range tests {
		nics, err := nimbus.ParseNetworking(tt.networking)
		if err != nil {
			t.Fatal(err)
		}
		var conf *nimbus.NetworksConf
		if tt.conf != "" {
			c, bad, _ := nimbus.ParseNetworksConf("networks.conf", []byte(tt.conf))
			if len(bad) > 0 {
				t.Fatal(bad)
			}
			conf = &c
		}
		ids, err := nimbus.Identities("vm7", nics, conf)
		told(t, tt.name, err, tt.err)
		if err == nil && (ids[0].NIC != tt.nic || ids[0].Bits != tt.bits || ids[0].Serve != tt.serve) {
			t.Errorf("%s: %+v", tt.name, ids[0])
		}
	}
	_, err := nimbus.Identities("7", nil, nil)
	if err != nil {
		t.Errorf("no NICs: %v", err)
	}
	nics, _ := nimbus.ParseNetworking(first)
	_, err = nimbus.Identities("7", nics, nil)
	told(t, "bad VM name", err, `name "7": does not begin with a letter`)
}

const sample = `# a comment
; another
[defaultbridge]
default: xenbr0

[bridges]
xenbr1: 192.0.2.0/25, 192.0.2.200-192.0.2.210 ; inline
    198.51.100.7
xenbr2 = 10.0.0.5/8

[netsecurity]
ebtablesconfig: xen-ebtables-config.sh
[dhcp]
localdhcp: True
dhcpconfig: dhcp-config.sh
[dhcp-bridges]
xenbr0: vif0.0
xenbr1: vif0.1
[sudo]
sudo: /usr/bin/sudo
`

func TestParseNetworksConf(t *testing.T) {
	got, bad, warnings := nimbus.ParseNetworksConf("networks.conf", []byte(sample))
	if len(bad) > 0 || len(warnings) > 0 {
		t.Errorf("problems %v, warnings %v", bad, warnings)
	}
	prefix := netip.MustParsePrefix
	want := nimbus.NetworksConf{
		Default: "xenbr0", LocalDHCP: true, DHCPBridges: map[string]string{"xenbr0": "vif0.0", "xenbr1": "vif0.1"},
		Ranges: []nimbus.Range{
			{Bridge: "xenbr1", First: addr("192.0.2.0"), Last: addr("192.0.2.127"), Subnet: prefix("192.0.2.0/25"), Line: 7, Text: "192.0.2.0/25"},
			{Bridge: "xenbr1", First: addr("192.0.2.200"), Last: addr("192.0.2.210"), Line: 7, Text: "192.0.2.200-192.0.2.210"},
			{Bridge: "xenbr1", First: addr("198.51.100.7"), Last: addr("198.51.100.7"), Line: 8, Text: "198.51.100.7"},
			{Bridge: "xenbr2", First: addr("10.0.0.0"), Last: addr("10.255.255.255"), Subnet: prefix("10.0.0.0/8"), Line: 9, Text: "10.0.0.5/8"},
		},
	}
	if diff := cmp.Diff(want, got, comparable); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for ip, bridge := range map[string]string{
		"192.0.2.0": "xenbr1", "192.0.2.127": "xenbr1", "192.0.2.128": "xenbr0", "192.0.2.200": "xenbr1", "192.0.2.210": "xenbr1",
		"192.0.2.211": "xenbr0", "198.51.100.7": "xenbr1", "10.255.255.255": "xenbr2", "11.0.0.0": "xenbr0",
	} {
		if b, ok := got.Bridge(addr(ip)); b != bridge || !ok {
			t.Errorf("%s is on %s (%t), want %s", ip, b, ok, bridge)
		}
	}
	if b, ok := (&nimbus.NetworksConf{}).Bridge(addr("192.0.2.1")); b != "" || ok {
		t.Errorf("nothing configured: %q, %t", b, ok)
	}
}

func TestNetworksConfMistakes(t *testing.T) {
	tests := []struct{ text, problems, warnings string }{
		{"[bridges]\na: 192.0.2.0/24\nb: 192.0.2.0/24\n", `n:3:1: bridges.b "192.0.2.0/24": overlaps 192.0.2.0/24 of a at line 2`, ""},
		{"[bridges]\na: 192.0.2.0/24\nb: 10.0.0.0/8, 192.0.2.9\n", `n:3:1: bridges.b "192.0.2.9": overlaps 192.0.2.0/24 of a at line 2`, ""},
		{"[bridges]\na: 192.0.2.9, 192.0.2.0-192.0.2.9\n", `n:2:1: bridges.a "192.0.2.0-192.0.2.9": overlaps 192.0.2.9 of a at line 2`, ""},
		{"[bridges]\na: 192.0.2.9-192.0.2.1\n", `n:2:1: bridges.a "192.0.2.9-192.0.2.1": not a range of IPv4 addresses such as 192.0.2.0/24 or 192.0.2.10-192.0.2.19`, ""},
		{"[bridges]\na: 2001:db8::/64\n", `n:2:1: bridges.a "2001:db8::/64": not a range`, ""},
		{"[bridges]\na: 192.0.2.0/24\na: 10.0.0.0/8\n", `n:3:1: bridges.a "10.0.0.0/8": set twice, first at line 2`, ""},
		{"[bridges]\na/b: 192.0.2.0/24\n", `n:2:1: bridges.a/b "a/b": not the name of an interface`, ""},
		{"[defaultbridge]\ndefault: x y\n", `n:2:1: defaultbridge.default "x y": not the name`, ""},
		{"[defaultbridge]\ndefault:\n", "", ""},
		{"[dhcp]\nlocaldhcp: maybe\n", `n:2:1: dhcp.localdhcp "maybe": want true or false`, ""},
		{"[dhcp]\nlocaldhcp: true\nlocaldhcp: false\n", `n:3:1: dhcp.localdhcp "false": set twice, first at line 2`, ""},
		{"[dhcp]\nlocaldhcp: true\n  more\n", `n:3:1: dhcp.localdhcp "more": goes on in a second line`, ""},
		{"[dhcp-bridges]\nxenbr0: not/a/name\n", `n:2:1: dhcp-bridges.xenbr0 "not/a/name": not the name`, ""},
		{"[dhcp\n", "n:1:1: not a section such as [bridges]: [dhcp", ""},
		{"nonsense\n", "n:1:1: neither a section nor `key: value`: nonsense", ""},
		{"[netsecurity]\nebtablesconfig:\n", "", "n:2:1: netsecurity.ebtablesconfig: empty switched it off; berth guards every NIC all the same"},
		{"[dhcp]\ndhcpconfig: ; none\n", "", "n:2:1: dhcp.dhcpconfig: empty switched it off"},
		{"[other]\nkey: v\n", "", `n:2:1: other.key "v": not read by berth`},
	}
	for _, tt := range tests {
		_, bad, warnings := nimbus.ParseNetworksConf("n", []byte(tt.text))
		told(t, tt.text, orNil(bad), tt.problems)
		told(t, tt.text, orNil(warnings), tt.warnings)
	}
}

func orNil(m nimbus.Mistakes) error {
	if len(m) == 0 {
		return nil
	}
	return m
}
