package nimbus_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/compat/nimbus"
	"github.com/berth-net/berth/internal/nic"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func mac(s string) nic.MAC {
	m, err := nic.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func fields(s string) []string { return strings.Fields(s) }

// comparable leaves out where an identity was read.
var comparable = cmp.Options{cmpopts.IgnoreUnexported(nimbus.Identity{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()}

const fullAdd = "add vm7-0 192.0.2.10 vif0.0 A2:AA:BB:00:00:07 192.0.2.255 255.255.255.0 192.0.2.1 vm7 192.0.2.53 192.0.2.54"

func TestParseDHCPConfig(t *testing.T) {
	full := nimbus.Identity{
		NIC: "vm7-0", MAC: mac("a2:aa:bb:00:00:07"), Address: addr("192.0.2.10"), Bits: 24,
		Gateway: addr("192.0.2.1"), Broadcast: addr("192.0.2.255"), Hostname: "vm7",
		DNS: []netip.Addr{addr("192.0.2.53"), addr("192.0.2.54")},
	}
	least := nimbus.Identity{NIC: "vm7-0", MAC: full.MAC, Address: full.Address}
	oneDNS := full
	oneDNS.DNS = full.DNS[:1]
	tests := []struct {
		args string
		want nimbus.Command
	}{
		{fullAdd, nimbus.Command{NIC: "vm7-0", Address: full.Address, DHCPInterface: "vif0.0", Identity: full}},
		{"add vm7-0 192.0.2.10 vif0.0 a2-aa-bb-00-00-07 none none none none none none", nimbus.Command{NIC: "vm7-0", Address: full.Address, DHCPInterface: "vif0.0", Identity: least}},
		{strings.Replace(fullAdd, "192.0.2.54", "none", 1), nimbus.Command{NIC: "vm7-0", Address: full.Address, DHCPInterface: "vif0.0", Identity: oneDNS}},
		{strings.Replace(fullAdd, "192.0.2.53", "none", 1), nimbus.Command{NIC: "vm7-0", Address: full.Address, DHCPInterface: "vif0.0", Identity: func() nimbus.Identity {
			i := full
			i.DNS = full.DNS[1:]
			return i
		}()}},
		{strings.Replace(fullAdd, "192.0.2.54", "192.0.2.53", 1), nimbus.Command{NIC: "vm7-0", Address: full.Address, DHCPInterface: "vif0.0", Identity: oneDNS}},
		{"rem vm7-0 192.0.2.10", nimbus.Command{Remove: true, NIC: "vm7-0", Address: full.Address}},
	}
	for _, tt := range tests {
		got, err := nimbus.ParseDHCPConfig(fields(tt.args))
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
		}
		if diff := cmp.Diff(tt.want, got, comparable); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
	}
}

// TestDHCPConfigMistakes: each argument is told by its name, with its value.
func TestDHCPConfigMistakes(t *testing.T) {
	const form = "`add <vifname> <ipaddr> <dhcpif> <macaddr> <broadcast> <subnetmask> <gateway> <hostname> <dns1> <dns2>`"
	const verbs = ": want " + form + " or `rem <vifname> <ipaddr>`"
	with := func(i int, s string) []string {
		args := fields(fullAdd)
		args[i] = s
		return args
	}
	const noName = "not the name of an interface, which has 1 to 15 bytes without `/`, `:` and white space"
	tests := []struct {
		args []string
		want string
	}{
		{nil, "verb: missing" + verbs},
		{[]string{""}, "verb: neither add nor rem" + verbs},
		{fields("del vm7-0 192.0.2.10"), `verb "del": neither add nor rem` + verbs},
		{fields("--help"), `verb "--help": neither add nor rem` + verbs},
		{fields("add"), "vifname: missing: 1 words for " + form},
		{fields(fullAdd)[:10], "dns2: missing: 10 words for " + form},
		{append(fields(fullAdd), "-x"), `argument 12 "-x": one too many: 12 words for ` + form},
		{fields("rem vm7-0"), "ipaddr: missing: 2 words for `rem <vifname> <ipaddr>`"},
		{fields("rem vm7-0 192.0.2.10 x"), "argument 4 \"x\": one too many: 4 words for `rem <vifname> <ipaddr>`"},
		{fields("rem vm7-0 vm8"), `ipaddr "vm8": not an IPv4 address`},
		{[]string{"rem", "", "192.0.2.10"}, "vifname: " + noName},
		{with(1, "a-name-of-16-chr"), `vifname "a-name-of-16-chr": ` + noName},
		{with(1, "../x"), `vifname "../x": ` + noName},
		{with(2, "192.0.2.256"), `ipaddr "192.0.2.256": not an IPv4 address`},
		{with(2, "none"), `ipaddr "none": not an IPv4 address`},
		{with(2, "2001:db8::1"), `ipaddr "2001:db8::1": not an IPv4 address`},
		{with(2, "192.0.2.0"), `ipaddr "192.0.2.0/24": the network address of 192.0.2.0/24`},
		{with(3, "a b"), `dhcpif "a b": ` + noName},
		{with(4, "none"), `macaddr "none": not a MAC address of six pairs of hex digits`},
		{with(4, "a2:aa:bb:0:0:7"), `macaddr "a2:aa:bb:0:0:7": not a MAC address of six pairs of hex digits`},
		{with(4, "a2aa.bb00.0007"), `macaddr "a2aa.bb00.0007": not a MAC address of six pairs of hex digits`},
		{with(4, "01:00:5e:00:00:07"), `macaddr "01:00:5e:00:00:07": a group address`},
		{with(5, "bcast"), `broadcast "bcast": not an IPv4 address`},
		{with(5, "192.0.3.255"), `broadcast "192.0.3.255": not in the delivered subnet 192.0.2.0/24`},
		{with(6, "255.0.255.0"), `subnetmask "255.0.255.0": not a mask such as 255.255.255.0: its bits must be set from the left, at least one`},
		{with(6, "0.0.0.0"), `subnetmask "0.0.0.0": not a mask such as 255.255.255.0: its bits must be set from the left, at least one`},
		{with(6, "/24"), `subnetmask "/24": not a mask such as 255.255.255.0: its bits must be set from the left, at least one`},
		{with(6, "none"), "subnetmask: missing, and nothing says which subnet 192.0.2.10 is in"},
		{with(7, "x"), `gateway "x": not an IPv4 address`},
		{with(7, "198.51.100.1"), `gateway "198.51.100.1": `},
		{with(8, "vm_7"), `hostname "vm_7": `},
		{with(8, ""), ""},
		{with(9, "192.0.2"), `dns1 "192.0.2": not an IPv4 address`},
		{with(10, "224.0.0.1"), `dns2 "224.0.0.1": `},
	}
	for _, tt := range tests {
		c, err := nimbus.ParseDHCPConfig(tt.args)
		if err == nil && !c.Remove {
			_, err = c.Identity.Document()
		}
		told(t, strings.Join(tt.args, " "), err, tt.want)
	}
}

// told holds an error to one mistake; "" to none.
func told(t *testing.T, what string, err error, want string) {
	t.Helper()
	var bad nimbus.Mistakes
	switch {
	case want == "" && err == nil:
	case want == "" || !errors.As(err, &bad) || len(bad) != 1 || !strings.HasPrefix(bad[0].Error(), want):
		t.Errorf("%s\n got: %v\nwant: %s", what, err, want)
	}
}

// TestAllMistakes: a call with several says them all.
func TestAllMistakes(t *testing.T) {
	_, err := nimbus.ParseDHCPConfig(fields("add vm7-0 x vif0.0 y z 255.0.0.1 none none none none"))
	want := `ipaddr "x": not an IPv4 address; macaddr "y": not a MAC address of six pairs of hex digits; broadcast "z": not an IPv4 address; ` +
		`subnetmask "255.0.0.1": not a mask such as 255.255.255.0: its bits must be set from the left, at least one`
	if err == nil || err.Error() != want {
		t.Errorf(" got: %v\nwant: %s", err, want)
	}
	_, err = nimbus.ParseEbtablesConfig(fields("add vm7-0 vif0.0 192.0.2.300 a2:aa:bb:00:00:07"))
	want = `macaddr "vif0.0": not a MAC address of six pairs of hex digits; ipaddr "192.0.2.300": not an IPv4 address; ` +
		"dhcpif \"a2:aa:bb:00:00:07\": not the name of an interface, which has 1 to 15 bytes without `/`, `:` and white space"
	if err == nil || err.Error() != want {
		t.Errorf(" got: %v\nwant: %s", err, want)
	}
}

func TestParseEbtablesConfig(t *testing.T) {
	id := nimbus.Identity{NIC: "vm7-0", MAC: mac("a2:aa:bb:00:00:07"), Address: addr("192.0.2.10"), Serve: nimbus.Site}
	local := id
	local.Serve = nimbus.Hush
	noDHCP := nimbus.Command{NIC: "vm7-0", Address: id.Address, Identity: id}
	withDHCP := nimbus.Command{NIC: "vm7-0", Address: id.Address, DHCPInterface: "vif0.0", Identity: local}
	tests := []struct {
		args string
		want nimbus.Command
		err  string
	}{
		{"add vm7-0 A2:AA:BB:00:00:07 192.0.2.10", noDHCP, ""},
		{"add vm7-0 a2:aa:bb:00:00:07 192.0.2.10 vif0.0", withDHCP, ""},
		{"add vm7-0 vif0.0 a2:aa:bb:00:00:07 192.0.2.10", withDHCP, ""},
		{"rem vm7-0", nimbus.Command{Remove: true, NIC: "vm7-0"}, ""},

		{"", nimbus.Command{}, "verb: missing: want `add <vifname> <macaddr> <ipaddr> [<dhcpif>]` or `add <vifname> <dhcpif> <macaddr> <ipaddr>` or `rem <vifname>`"},
		{"rem", nimbus.Command{}, "vifname: missing"},
		{"rem vm7-0 192.0.2.10", nimbus.Command{}, `argument 3 "192.0.2.10": one too many`},
		{"add vm7-0 a2:aa:bb:00:00:07", nimbus.Command{}, "ipaddr: missing: 3 words for `add <vifname> <macaddr> <ipaddr> [<dhcpif>]`"},
		{"add vm7-0 vif0.0 192.0.2.10", nimbus.Command{}, `macaddr "vif0.0": not a MAC`},
		{"add vm7-0 a2:aa:bb:00:00:07 192.0.2.10 vif0.0 x", nimbus.Command{}, `argument 5 "vif0.0": one too many`},
		{"add vm7-0 vif0.0 a2:aa:bb:00:00:07 192.0.2", nimbus.Command{}, `ipaddr "192.0.2": not an IPv4`},
		{"add vm7-0 a2:aa:bb:00:00:07 192.0.2.10 a2:aa:bb:00:00:07", nimbus.Command{}, `dhcpif "a2:aa:bb:00:00:07": not the name`},
	}
	for _, tt := range tests {
		got, err := nimbus.ParseEbtablesConfig(fields(tt.args))
		told(t, tt.args, err, tt.err)
		if diff := cmp.Diff(tt.want, got, comparable); err == nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
	}
}

// TestServedFrom: what dhcpd took from its interface is taken from there.
func TestServedFrom(t *testing.T) {
	prefixes := func(all ...string) (out []netip.Prefix) {
		for _, s := range all {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	tests := []struct {
		name  string
		bits  int
		local []netip.Prefix
		want  string // server identifier and length
	}{
		{"no interface", 0, nil, "invalid IP 0"},
		{"another subnet", 24, prefixes("198.51.100.2/24"), "invalid IP 24"},
		{"its subnet", 0, prefixes("198.51.100.2/24", "192.0.2.2/25"), "192.0.2.2 25"},
		{"the mask was given", 24, prefixes("192.0.2.2/25"), "192.0.2.2 24"},
		{"the NIC's own address", 0, prefixes("192.0.2.10/24"), "invalid IP 0"},
		{"IPv6", 0, prefixes("2001:db8::1/64"), "invalid IP 0"},
	}
	for _, tt := range tests {
		id := nimbus.Identity{Address: addr("192.0.2.10"), Bits: tt.bits}.ServedFrom(tt.local)
		if got := fmt.Sprint(id.ServerID, id.Bits); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	wide := nimbus.Identity{Address: addr("192.0.2.10")}.Within(prefixes("192.0.0.0/16", "192.0.2.0/24", "192.0.3.0/28"))
	if given := (nimbus.Identity{Address: addr("192.0.2.10"), Bits: 20}).Within(prefixes("192.0.2.0/24")); wide.Bits != 24 || given.Bits != 20 {
		t.Errorf("within: /%d and /%d, want /24 and /20", wide.Bits, given.Bits)
	}
}

// TestDocuments: the text that berthd gets, for each way a NIC is served.
func TestDocuments(t *testing.T) {
	id := func(args ...string) nimbus.Identity {
		parse := nimbus.ParseEbtablesConfig
		if len(args) == 11 {
			parse = nimbus.ParseDHCPConfig
		}
		c, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		return c.Identity
	}
	tests := []struct {
		id   nimbus.Identity
		want string
	}{
		{
			id(fields(fullAdd)...).ServedFrom([]netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}),
			`{"nic":"vm7-0","mac":"a2:aa:bb:00:00:07","addresses":["192.0.2.10/24"],"hostname":"vm7","gateway":"192.0.2.1","broadcast":"192.0.2.255",` +
				`"dns":["192.0.2.53","192.0.2.54"],"served-by":"berth","dhcp4":{"off":false,"server-id":"192.0.2.2"}}`,
		},
		{
			id(fields("add vm7-0 192.0.2.10 vif0.0 a2:aa:bb:00:00:07 none 255.255.255.0 none none none none")...),
			`{"nic":"vm7-0","mac":"a2:aa:bb:00:00:07","addresses":["192.0.2.10/24"],"gateway":"none","broadcast":"none","dns":[],"served-by":"berth","dhcp4":{"off":false}}`,
		},
		{
			id(fields("add vm7-0 a2:aa:bb:00:00:07 192.0.2.10 vif0.0")...),
			`{"nic":"vm7-0","mac":"a2:aa:bb:00:00:07","addresses":["192.0.2.10/32"],"gateway":"none","broadcast":"none","dns":[],"served-by":"berth","dhcp4":{"off":true}}`,
		},
		{
			id(fields("add vm7-0 a2:aa:bb:00:00:07 192.0.2.10")...),
			`{"nic":"vm7-0","mac":"a2:aa:bb:00:00:07","addresses":["192.0.2.10/32"],"gateway":"none","broadcast":"none","dns":[],"served-by":"site","dhcp4":{"off":false}}`,
		},
	}
	for _, tt := range tests {
		doc, err := tt.id.Document()
		if err != nil {
			t.Fatal(err)
		}
		if string(doc) != tt.want {
			t.Errorf(" got: %s\nwant: %s", doc, tt.want)
		}
	}
	b, err := tests[3].id.Binding()
	if err != nil || b.ServedBy != nic.ServedBySite || !slices.Equal(b.Addresses, []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}) {
		t.Errorf("%+v, %v", b, err)
	}
}
