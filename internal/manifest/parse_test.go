package manifest

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

const minimal = "nic: tap7\nmac: 52:54:00:aa:00:07\n"

func texts1(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Error())
	}
	return out
}

// The built-in defaults, all of them, as a value.
func TestDefaults(t *testing.T) {
	r := Parse("f.yaml", []byte("# a comment\n"+minimal), Networks{})
	want := Result{Bindings: []nic.Binding{{
		NIC: "tap7", MAC: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7},
		DHCP4:  nic.DHCP4{Lease: 86400, MaxLease: 86400, T1: 43200, T2: 75600},
		DHCP6:  nic.DHCP6{Preferred: 604800, Valid: 2592000, T1: 302400, T2: 483840},
		RA:     nic.RA{Interval: 600, Lifetime: 1800, HopLimit: 64, Preferred: 604800, Valid: 2592000},
		Guard:  nic.Guard{Mode: nic.Enforce, Checks: nic.AllChecks(), Rate: nic.Rate{PerSecond: 50, Burst: 100}},
		Origin: nic.Origin{File: "f.yaml", Line: 2},
	}}}
	if d := cmp.Diff(want, r, compareNetip()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Every key of the format, right, as a value.
func TestParseEverything(t *testing.T) {
	a, p := netip.MustParseAddr, netip.MustParsePrefix
	text := `{"nic":"tap7","network":"lan","mac":"5254.00AA.0007","suspended":true,"hostname":"vm7.example.org",
"domain":"example.org","search":["example.org"],"addresses":["192.0.2.10/24","198.51.100.7/32","2001:db8:1::10/64","2001:DB8:1:0::11/64","2001:db8:2::/64 eui-64"],"gateway":"192.0.2.1",
"gateway6":"2001:db8:1::1","gateway-mac":"52-54-00-FF-00-01","captive-portal":"https://portal.example.org/api","ipv6":"auto","link-local":["fe80::7"],
"slaac":["2001:db8:a::/64"],"delegated":["2001:db8:100::/56"],"routed":true,"neighbours":"gateway",
"broadcast":"192.0.2.255","no-default-route":true,"routes":[{"to":"10.0.0.0/8","via":"192.0.2.2"},{"to":"169.254.1.1/32"}],
"group":"vm7","routing":{"table":4294967295,"uplink":"eth0"},
"dns":["192.0.2.53","2001:db8::53"],"ntp":["192.0.2.123"],"mtu":1400,"tags":{"a":"b","n":12},
"dhcp4":{"off":true,"address":"192.0.2.10","server-id":"169.254.169.254","lease":3600,"max-lease":"infinite","t1":"20m","t2":"1h0m","only-requested":true,
"no-router-with-routes":true,"rapid-commit":true,"relay":true,"any-client":true,"v6-only-wait":"5m",
"options":[{"code":44,"type":"ipv4","values":["192.0.2.60","192.0.2.61"]},{"code":43,"type":"hex","value":"01:ff"}],
"boot":{"next-server":"192.0.2.5","server-name":"boot","file":"pxelinux.0"},"boot-arch":{"7":{"file":"x.efi"}},"boot-ipxe":{"file":"y"}},
"dhcp6":{"mode":"stateful","preferred":"1h","valid":"2h","t1":"none","t2":"40m","rapid-commit":true,"unicast":true,"relay":true,"preference":255,
"refresh":"10m","sol-max-rt":60,"inf-max-rt":"1d","server-duid":"00:03:00:01:02:62:65:00:00:01","duid":"00:03:00:01:52:54:00:aa:00:07","refuse":true,
"ia":[{"iaid":4294967295,"addresses":["2001:db8:1::10"],"prefixes":["2001:db8:100::/56"]}],"temporary":["2001:db8:1::11"],
"options":[{"code":22,"type":"ipv6","values":["2001:db8::60"]},{"code":1000,"type":"prefix","value":"2001:db8::/33"}],
"boot-url":"tftp://[2001:db8::5]/x","boot-args":["a b","c"],"boot-arch":{"0x10":"http://b/y"}},
"ra":{"mode":"serve","interval":4,"lifetime":"none","preference":"high","hop-limit":255,"preferred":"30m","valid":"infinite","off-link":false,
"autonomous":true,"multicast":true,"routes":[{"to":"::/0","preference":"low","lifetime":"infinite"}],"pref64":"64:ff9b::/96"},
"guard":{"mode":"audit","rate":{"per-second":5,"burst":6},"checks":{"mac":false,"arp":true,"nd":false,"ip":false,"l2":true},"allow-addresses":["203.0.113.9","10.20.0.0/16","2001:db8:20::9"],
"allow-macs":["00-00-5E-00-01-07"],"allow-ethertypes":["0x88CC"],"allow-vlans":["42","7"],"router":true,"advertise":true,"routers":["fe80::3","FE80::2"],"peers":["AA-00-10-00-00-00/20","52:54:00:00:00:01"]}}`
	text = strings.Replace(text, `"t2":"1h0m"`, `"t2":"59m59s"`, 1)
	nets, problems := ParseNetworks("n.yaml", []byte("network: lan\n"))
	r := Parse("f.json", []byte(text), nets)
	if got := texts1(append(problems, r.Problems...)); got != nil {
		t.Fatal(got)
	}
	want := nic.Binding{
		NIC: "tap7", Network: "lan", MAC: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7}, Suspended: true,
		Hostname: "vm7.example.org", Domain: "example.org", Search: []string{"example.org"},
		Addresses: []netip.Prefix{
			p("192.0.2.10/24"), p("198.51.100.7/32"),
			p("2001:db8:1::10/64"), p("2001:db8:1::11/64"), p("2001:db8:2::5054:ff:feaa:7/64"),
		},
		Gateway: a("192.0.2.1"), Gateway6: a("2001:db8:1::1"), GatewayMAC: nic.MAC{0x52, 0x54, 0, 0xff, 0, 1}, Broadcast: a("192.0.2.255"),
		NoDefaultRoute: true, Routes: []nic.Route{{To: p("10.0.0.0/8"), Via: a("192.0.2.2")}, {To: p("169.254.1.1/32")}},
		DNS: []netip.Addr{a("192.0.2.53"), a("2001:db8::53")}, NTP: []netip.Addr{a("192.0.2.123")}, MTU: 1400, Tags: map[string]string{"a": "b", "n": "12"},
		Group: "vm7", Routing: nic.Routing{Table: 4294967295, Uplink: "eth0"},
		CaptivePortal: "https://portal.example.org/api", Routed: true, Neighbours: nic.NeighboursGateway,
		LinkLocal: nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{a("fe80::7")}},
		SLAAC:     []netip.Prefix{p("2001:db8:a::/64")}, Delegated: []netip.Prefix{p("2001:db8:100::/56")},
		DHCP6: nic.DHCP6{
			Mode: nic.DHCP6Stateful, Preferred: 3600, Valid: 7200, T2: 2400, RapidCommit: true, Unicast: true, Relay: true, Preference: 255,
			Refresh: 600, SolMaxRT: 60, InfMaxRT: 86400, ServerDUID: []byte{0, 3, 0, 1, 2, 0x62, 0x65, 0, 0, 1}, DUID: []byte{0, 3, 0, 1, 0x52, 0x54, 0, 0xaa, 0, 7}, Refuse: true,
			IAs:       []nic.IA{{IAID: 0xffffffff, Addresses: []netip.Addr{a("2001:db8:1::10")}, Prefixes: []netip.Prefix{p("2001:db8:100::/56")}}},
			Temporary: []netip.Addr{a("2001:db8:1::11")},
			Options: []nic.Option6{
				{Code: 22, Data: []byte{0x20, 1, 0xd, 0xb8, 15: 0x60}},
				{Code: 1000, Data: []byte{33, 0x20, 1, 0xd, 0xb8, 0}},
			},
			BootURL: "tftp://[2001:db8::5]/x", BootArgs: []string{"a b", "c"}, BootArch: map[uint16]string{16: "http://b/y"},
		},
		RA: nic.RA{
			Interval: 4, Preference: nic.PreferenceHigh, HopLimit: 255, Preferred: 1800, Valid: nic.Infinite, Autonomous: true, Multicast: true,
			Routes: []nic.RARoute{{To: p("::/0"), Preference: nic.PreferenceLow, Lifetime: nic.Infinite}}, PREF64: p("64:ff9b::/96"),
		},
		DHCP4: nic.DHCP4{
			Off: true, Address: p("192.0.2.10/24"), ServerID: nic.ServerID{Kind: nic.ServerIDFixed, Addr: a("169.254.169.254")},
			Lease: 3600, MaxLease: nic.Infinite, T1: 1200, T2: 3599, OnlyRequested: true, NoRouterWithRoutes: true, RapidCommit: true, Relay: true, AnyClient: true, V6OnlyWait: 300,
			Options:  []nic.Option{{Code: 44, Data: []byte{192, 0, 2, 60, 192, 0, 2, 61}}, {Code: 43, Data: []byte{1, 255}}},
			Boot:     nic.Boot{NextServer: a("192.0.2.5"), ServerName: "boot", File: "pxelinux.0"},
			BootArch: map[uint16]nic.Boot{7: {File: "x.efi"}}, BootIPXE: nic.Boot{File: "y"},
		},
		Guard: nic.Guard{
			Mode: nic.Audit, Checks: nic.Checks{ARP: true, L2: true}, AllowAddresses: []netip.Prefix{p("203.0.113.9/32"), p("10.20.0.0/16"), p("2001:db8:20::9/128")},
			AllowMACs: []nic.MAC{{0, 0, 0x5e, 0, 1, 7}}, AllowEthertypes: []uint16{0x88cc}, AllowVLANs: []uint16{42, 7}, Router: true, Advertise: true, Rate: nic.Rate{PerSecond: 5, Burst: 6},
			Routers: []netip.Addr{a("fe80::3"), a("fe80::2")},
			Peers:   []nic.MACRange{{MAC: nic.MAC{0xaa, 0, 0x10}, Bits: 20}, {MAC: nic.MAC{0x52, 0x54, 0, 0, 0, 1}, Bits: 48}},
		},
		Origin: nic.Origin{File: "f.json", Line: 1},
	}
	if d := cmp.Diff([]nic.Binding{want}, r.Bindings, compareNetip()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// What a bridged NIC alone may have: shares, and other servers than berth.
func TestParseShared(t *testing.T) {
	text := minimal + "served-by: tenant\nshared:\n  - {group: web, addresses: [192.0.2.9, \"2001:db8::9\"], vrid: 255}\n  - {group: db, addresses: [198.51.100.9]}\n" +
		"routing: {table: 254}\n"
	r := Parse("f", []byte(text), Networks{})
	if len(r.Bindings) != 1 {
		t.Fatal(texts1(r.Problems))
	}
	b, a := r.Bindings[0], netip.MustParseAddr
	want := []nic.Shared{
		{Group: "web", Addresses: []netip.Addr{a("192.0.2.9"), a("2001:db8::9")}, VRID: 255},
		{Group: "db", Addresses: []netip.Addr{a("198.51.100.9")}},
	}
	if d := cmp.Diff(want, b.Shared, compareNetip()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if b.ServedBy != nic.ServedByTenant {
		t.Errorf("served by %d", b.ServedBy)
	}
	if b.Routing != (nic.Routing{}) {
		t.Errorf("the main table is %+v, want none named", b.Routing)
	}
}

// paths lists every key of the format, "[]" for the elements of a list.
func paths(t reflect.Type, prefix string) []string {
	var out []string
	for i := range t.NumField() {
		path := prefix + keyOf(t.Field(i))
		ft := t.Field(i).Type
		list := ""
		if ft.Kind() == reflect.Slice {
			list = "[]"
		}
		out = append(out, path)
		if e := ft.Elem(); (ft.Kind() == reflect.Slice || ft.Kind() == reflect.Pointer) && e.Kind() == reflect.Struct && keyOf(t.Field(i)) != "boot-ipxe" {
			out = append(out, paths(e, path+list+".")...)
		}
	}
	return out
}

func allPaths() []string { return paths(reflect.TypeFor[raw](), "") }

// mistake is a bad value of one key: what stands behind the minimal document,
// and the exact message.
type mistake struct{ path, text, want string }

// wrong is each key with a bad value; wrong6 has those of IPv6.
func wrong() []mistake {
	const sub = "addresses: [192.0.2.10/24]\n"
	types := "must be ipv4, int8, int16, int32, string, hex, domain, route or bool"
	duration := "not a time; want one like 24h, 1d12h, 90m, 3600 (seconds) or infinite"
	return []mistake{
		{"network", "network: [a]\n", `f:3:10: network: must be one value, not a list`},
		{"network", "network: blue\n", `f:3:10: network "blue": no such network`},
		{"suspended", "suspended: yes\n", `f:3:12: suspended "yes": must be true or false`},
		{"hostname", "hostname: a_b\n", `f:3:11: hostname "a_b": character '_' is not allowed in a name (RFC 1123 section 2.1)`},
		{"hostname", "hostname: \"a\\nb\"\n", `f:3:11: hostname "a\nb": character '\n' is not allowed in a name (RFC 1123 section 2.1)`},
		{"domain", "domain: {a: b}\n", `f:3:9: domain: must be one value, not keys with values`},
		{"search", "search: [ok, -a]\n", `f:3:14: search[1] "-a": label "-a" begins or ends with a hyphen (RFC 1123 section 2.1)`},
		{"addresses", "addresses:\n  - 192.0.2.10\n", `f:4:5: addresses[0] "192.0.2.10": has no prefix length; write 192.0.2.10/24 or whatever its subnet is`},
		{"addresses", "addresses: 192.0.2.10/24\n", `f:3:12: addresses "192.0.2.10/24": must be a list, not one value`},
		{"addresses", "addresses: [192.0.2.10/33]\n", `f:3:13: addresses[0] "192.0.2.10/33": not an address with its subnet's length such as 192.0.2.10/24`},
		{"gateway", sub + "gateway: 10.0.0.1\n", `f:4:10: gateway "10.0.0.1": not on link: in none of the NIC's subnets; if it is, add a route to 10.0.0.1/32 without via`},
		{"gateway", "gateway: router\n", `f:3:10: gateway "router": not an IPv4 address`},
		{"broadcast", sub + "broadcast: 192.0.3.255\n", `f:4:12: broadcast "192.0.3.255": not in the delivered subnet 192.0.2.0/24`},
		{"no-default-route", "no-default-route: 1\n", `f:3:19: no-default-route "1": must be true or false`},
		{"routes", "routes: {to: 10.0.0.0/8}\n", `f:3:9: routes: must be a list, not keys with values`},
		{"routes[].to", sub + "routes: [{to: 10.0.0.1/8}]\n", `f:4:15: routes[0].to "10.0.0.1/8": host bits are set; the prefix is 10.0.0.0/8`},
		{"routes[].to", sub + "routes:\n  - via: 192.0.2.1\n", `f:5:5: routes[0].to: missing: a route needs a destination`},
		{"routes[].to", sub + "routes: [{to: all}]\n", `f:4:15: routes[0].to "all": not a prefix such as 10.0.0.0/8`},
		{"routes[].via", sub + "routes:\n  - {to: 10.0.0.0/8, via: 10.9.9.9}\n", `f:5:27: routes[0].via "10.9.9.9": not on link: in none of the NIC's subnets; if it is, add a route to 10.9.9.9/32 without via`},
		{"dns", "dns: [127.0.0.53]\n", `f:3:7: dns[0] "127.0.0.53": a loopback address`},
		{"ntp", "ntp: [pool.ntp.org]\n", `f:3:7: ntp[0] "pool.ntp.org": not an IP address`},
		{"mtu", "mtu: 67\n", `f:3:6: mtu "67": at least 68 (RFC 791), or 0 to announce none`},
		{"mtu", "mtu: 65536\n", `f:3:6: mtu "65536": must be 0 to 65535`},
		{"mtu", "mtu: 01500\n", `f:3:6: mtu "01500": must be a whole number`},
		{"mtu", "mtu: 1e3\n", `f:3:6: mtu "1e3": must be a whole number`},
		{"mtu", "mtu:\n", `f:3:6: mtu: has no value; leave the key out, or say what it is`},
		{"tags", "tags: {a: [1]}\n", `f:3:11: tags.a: must be one value, not a list`},
		{"tags", "tags:\n  a: \"x\\ny\"\n", `f:4:6: tags.a "x\ny": character '\n' is not allowed`},
		{"dhcp4", "dhcp4: off\n", `f:3:8: dhcp4 "off": must be keys with values, not one value`},
		{"dhcp4.off", "dhcp4: {off: \"true\"}\n", `f:3:14: dhcp4.off "true": must be true or false`},
		{"dhcp4.address", sub + "dhcp4: {address: 192.0.2.11}\n", `f:4:18: dhcp4.address "192.0.2.11": not one of the NIC's addresses`},
		{"dhcp4.server-id", "dhcp4: {server-id: 0.0.0.0}\n", `f:3:20: dhcp4.server-id "0.0.0.0": in 0.0.0.0/8, which is no host's address (RFC 1122 section 3.2.1.3)`},
		{"dhcp4.server-id", "dhcp4: {server-id: host}\n", `f:3:20: dhcp4.server-id "host": must be gateway, first-host, interface or an IPv4 address`},
		{"dhcp4.lease", "dhcp4: {lease: 10}\n", `f:3:16: dhcp4.lease "10": at least 60s`},
		{"dhcp4.lease", "dhcp4: {lease: soon}\n", `f:3:16: dhcp4.lease "soon": ` + duration},
		{"dhcp4.max-lease", "dhcp4: {max-lease: 1h}\n", `f:3:20: dhcp4.max-lease "1h": shorter than the lease of 86400s`},
		{"dhcp4.t1", "dhcp4: {t1: 1d}\n", `f:3:13: dhcp4.t1 "1d": not shorter than the lease of 86400s (RFC 2131 section 4.4.5)`},
		{"dhcp4.t2", "dhcp4: {t2: 137y}\n", `f:3:13: dhcp4.t2 "137y": ` + duration},
		{"dhcp4.t2", "dhcp4: {t2: 52000w}\n", `f:3:13: dhcp4.t2 "52000w": longer than the wire can say (136 years); write infinite`},
		{"dhcp4.only-requested", "dhcp4: {only-requested: []}\n", `f:3:25: dhcp4.only-requested: must be one value, not a list`},
		{"dhcp4.no-router-with-routes", "dhcp4: {no-router-with-routes: no}\n", `f:3:32: dhcp4.no-router-with-routes "no": must be true or false`},
		{"dhcp4.rapid-commit", "dhcp4: {rapid-commit: ~}\n", `f:3:23: dhcp4.rapid-commit: has no value; leave the key out, or say what it is`},
		{"dhcp4.relay", "dhcp4: {relay: 10.0.0.1}\n", `f:3:16: dhcp4.relay "10.0.0.1": must be true or false`},
		{"dhcp4.v6-only-wait", "dhcp4: {v6-only-wait: 4m}\n", `f:3:23: dhcp4.v6-only-wait "4m": at least 300s (RFC 8925 section 3.4)`},
		{"dhcp4.options", "dhcp4: {options: [6]}\n", `f:3:19: dhcp4.options[0] "6": must be keys with values, not one value`},
		{"dhcp4.options[].code", "dhcp4: {options: [{code: 53, type: int8, value: 2}]}\n", `f:3:26: dhcp4.options[0].code "53": set by the server itself, never by a binding`},
		{"dhcp4.options[].code", "dhcp4: {options: [{code: 256, type: int8, value: 2}]}\n", `f:3:26: dhcp4.options[0].code "256": must be 0 to 255`},
		{"dhcp4.options[].code", "dhcp4: {options: [{type: int8, value: 2}]}\n", `f:3:19: dhcp4.options[0].code: missing: an option needs its number`},
		{"dhcp4.options[].type", "dhcp4: {options: [{code: 6, type: ip, value: 2}]}\n", `f:3:35: dhcp4.options[0].type "ip": ` + types},
		{"dhcp4.options[].type", "dhcp4: {options: [{code: 6, value: 2}]}\n", `f:3:19: dhcp4.options[0].type: missing: ` + types},
		{"dhcp4.options[].value", "dhcp4: {options: [{code: 6, type: ipv4, value: x}]}\n", `f:3:48: dhcp4.options[0].value "x": not an IPv4 address`},
		{"dhcp4.options[].value", "dhcp4: {options: [{code: 6, type: ipv4}]}\n", `f:3:19: dhcp4.options[0]: an option needs either value or values`},
		{"dhcp4.options[].value", "dhcp4: {options: [{code: 26, type: int8, value: 3}]}\n", `f:3:19: dhcp4.options[0]: option 26 has 1 bytes; it must have 2`},
		{"dhcp4.options[].values", "dhcp4: {options: [{code: 6, type: ipv4, values: [10.0.0.1, 10.0.0]}]}\n", `f:3:60: dhcp4.options[0].values[1] "10.0.0": not an IPv4 address`},
		{"dhcp4.options[].values", "dhcp4: {options: [{code: 66, type: string, values: [a, b]}]}\n", `f:3:52: dhcp4.options[0].values: a string has one value`},
		{"dhcp4.boot", "dhcp4: {boot: pxelinux.0}\n", `f:3:15: dhcp4.boot "pxelinux.0": must be keys with values, not one value`},
		{"dhcp4.boot.next-server", "dhcp4: {boot: {next-server: 224.0.0.1}}\n", `f:3:29: dhcp4.boot.next-server "224.0.0.1": a multicast address`},
		{"dhcp4.boot.server-name", "dhcp4: {boot: {server-name: \"a\\0\"}}\n", `f:3:29: dhcp4.boot.server-name "a\x00": character '\x00' is not allowed`},
		{"dhcp4.boot.file", "dhcp4: {boot: {file: " + strings.Repeat("f", 128) + "}}\n", `f:3:22: dhcp4.boot.file "` + strings.Repeat("f", 80) + `"...: 128 bytes; at most 127 are allowed`},
		{"dhcp4.boot-arch", "dhcp4: {boot-arch: {65536: {file: x}}}\n", `f:3:28: dhcp4.boot-arch[65536]: the client architecture must be 0 to 65535 (RFC 4578)`},
		{"dhcp4.boot-arch", "dhcp4: {boot-arch: {7: {file: x}, 0x7: {file: y}}}\n", `f:3:24: dhcp4.boot-arch[7]: architecture 7 is given twice`},
		{"dhcp4.boot-ipxe", "dhcp4: {boot-ipxe: {url: x}}\n", `f:3:21: dhcp4.boot-ipxe.url: unknown key`},
		{"dhcp4.any-client", "dhcp4: {any-client: yes}\n", `f:3:21: dhcp4.any-client "yes": must be true or false`},
		{"group", "group: [a]\n", `f:3:8: group: must be one value, not a list`},
		{"group", "group: \"a\\nb\"\n", `f:3:8: group "a\nb": character '\n' is not allowed`},
		{"shared", "shared: {group: web}\n", `f:3:9: shared: must be a list, not keys with values`},
		{"shared[].group", "shared: [{addresses: [192.0.2.9]}]\n", `f:3:10: shared[0].group: missing: who shares is told by the name of a group`},
		{"shared[].addresses", "shared: [{group: web}]\n", `f:3:10: shared[0]: shares nothing; list addresses`},
		{"shared[].addresses", "shared: [{group: web, addresses: [192.0.2.0/24]}]\n", `f:3:35: shared[0].addresses[0] "192.0.2.0/24": not an IP address`},
		{"shared[].addresses", sub + "shared: [{group: web, addresses: [192.0.2.10]}]\n", `f:4:35: shared[0].addresses[0] "192.0.2.10": the NIC's own: what it has alone is not shared`},
		{"shared[].vrid", "shared: [{group: web, addresses: [192.0.2.9], vrid: 0}]\n", `f:3:53: shared[0].vrid "0": must be 1 to 255 (RFC 9568 section 5.2.3)`},
		{"served-by", "served-by: me\n", `f:3:12: served-by "me": must be berth, site or tenant`},
		{"served-by", "served-by: site\nrouted: true\n", `f:3:12: served-by "site": not for a routed NIC: there is only berth on its link`},
		{"routing", "routing: main\n", `f:3:10: routing "main": must be keys with values, not one value`},
		{"routing.table", "routing: {table: 4294967296}\n", `f:3:18: routing.table "4294967296": must be 0 to 4294967295`},
		{"routing.table", "routing: {table: 255}\n", `f:3:18: routing.table "255": the table of the host's own addresses`},
		{"routing.uplink", "routing: {uplink: a/b}\n", `f:3:19: routing.uplink "a/b": character '/' is not allowed in an interface name`},
		{"guard.peers", "guard: {peers: [\"aa:00:04:10:00:00/16\"]}\n", `f:3:17: guard.peers[0] "aa:00:04:10:00:00/16": bits are set beyond the range; it is aa:00:00:00:00:00/16`},
		{"guard.peers", "guard: {peers: [aa/8]}\n", `f:3:17: guard.peers[0] "aa/8": not a MAC address or a beginning of one such as aa:00:10:00:00:00/20`},
		{"guard.rate", "guard: {rate: 50}\n", `f:3:15: guard.rate "50": must be keys with values, not one value`},
		{"guard.rate.per-second", "guard: {rate: {per-second: 0}}\n", `f:3:28: guard.rate.per-second "0": at least 1: a NIC that may ask nothing gets no address`},
		{"guard.rate.burst", "guard: {rate: {burst: -1}}\n", `f:3:23: guard.rate.burst "-1": must be 0 to 1000000`},
		{"guard", "guard: []\n", `f:3:8: guard: must be keys with values, not a list`},
		{"guard.mode", "guard: {mode: on}\n", `f:3:15: guard.mode "on": must be enforce, audit or off`},
		{"guard.checks", "guard: {checks: false}\n", `f:3:17: guard.checks "false": must be keys with values, not one value`},
		{"guard.checks.mac", "guard: {checks: {mac: off}}\n", `f:3:23: guard.checks.mac "off": must be true or false`},
		{"guard.checks.arp", "guard: {checks: {arp: off}}\n", `f:3:23: guard.checks.arp "off": must be true or false`},
		{"guard.checks.ip", "guard: {checks: {ip: off}}\n", `f:3:22: guard.checks.ip "off": must be true or false`},
		{"guard.checks.l2", "guard: {checks: {l2: off}}\n", `f:3:22: guard.checks.l2 "off": must be true or false`},
		{"guard.allow-addresses", "guard:\n  allow-addresses: [0.0.0.0/0]\n", `f:4:21: guard.allow-addresses[0] "0.0.0.0/0": a prefix shorter than /8 would allow nearly any source`},
		{"guard.allow-macs", "guard: {allow-macs: [\"ff:ff:ff:ff:ff:ff\"]}\n", `f:3:22: guard.allow-macs[0] "ff:ff:ff:ff:ff:ff": a group address (IEEE 802 I/G bit) cannot be a source`},
		{"guard.allow-macs", "guard: {allow-macs: [a0-11]}\n", `f:3:22: guard.allow-macs[0] "a0-11": not a MAC address; want six octets like 52:54:00:aa:00:01`},
		{"guard.allow-vlans", "guard: {allow-vlans: [4095]}\n", `f:3:23: guard.allow-vlans[0] "4095": not a VLAN: want 1 to 4094 (IEEE 802.1Q 9.6)`},
		{"guard.allow-vlans", "guard: {allow-vlans: [lan]}\n", `f:3:23: guard.allow-vlans[0] "lan": not a VLAN from 1 to 4094`},
		{"guard.allow-ethertypes", "guard: {allow-ethertypes: [0x0800]}\n", `f:3:28: guard.allow-ethertypes[0] "0x0800": IPv4, ARP and IPv6 have rules of their own and are not listed`},
		{"guard.allow-ethertypes", "guard: {allow-ethertypes: [lldp]}\n", `f:3:28: guard.allow-ethertypes[0] "lldp": not an ethertype such as 0x88cc`},
		{"guard.router", "guard: {router: maybe}\n", `f:3:17: guard.router "maybe": must be true or false`},
		{"", "mtuu: 3\n", `f:3:1: mtuu: unknown key; did you mean mtu?`},
		{"", "dhcp4:\n  leese: 3\n", `f:4:3: dhcp4.leese: unknown key; did you mean dhcp4.lease?`},
		{"", "colour: blue\n", `f:3:1: colour: unknown key`},
		{"", "mtu: 1500\nmtu: 1400\n", `f:4:1: mtu: given twice, first at line 3`},
		{"", "dns: &a [10.0.0.1]\nntp: *a\n", `f:3:6: YAML anchors, aliases and merge keys are not allowed; write the value out, or put it into a network`},
		{"", "dns: *a\n", `f:3:6: YAML anchors, aliases and merge keys are not allowed; write the value out, or put it into a network`},
		{"", "<<: {mtu: 1500}\n", `f:3:1: YAML anchors, aliases and merge keys are not allowed; write the value out, or put it into a network`},
		{"", "mtu: !!int 3\n", `f:3:6: YAML tags are not allowed`},
		{"", "? mtu\n: 3\n", `f:3:1: keys with ? are not allowed`},
		{"", "dns: " + strings.Repeat("[", 30) + "\n", `f:3:30: nested too deep`},
		{"", "dns: [10.0.0.1\n", `f:3:6: sequence end token ']' not found`},
	}
}

// Every key with a wrong value gives one exact message, and costs this NIC
// only.
func TestWrong(t *testing.T) {
	covered := map[string]bool{"nic": true, "mac": true} // TestNames
	for _, tt := range append(wrong(), wrong6()...) {
		covered[tt.path] = true
		t.Run(tt.path+" "+tt.text[:min(20, len(tt.text))], func(t *testing.T) {
			data := minimal + tt.text + "---\nnic: tap8\nmac: 52:54:00:aa:00:08\n"
			r := Parse("f", []byte(data), Networks{})
			if d := cmp.Diff([]string{tt.want}, texts1(r.Problems)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if d := cmp.Diff([]string{"tap7"}, r.Names); d != "" {
				t.Errorf("names: -want +got\n%s", d)
			}
			if len(r.Bindings) != 1 || r.Bindings[0].NIC != "tap8" {
				t.Errorf("bindings %v, want tap8 alone", r.Bindings)
			}
			for _, p := range r.Problems {
				if p.NIC != "tap7" {
					t.Errorf("problem of NIC %q, want tap7", p.NIC)
				}
			}
		})
	}
	for _, p := range allPaths() {
		if !covered[p] {
			t.Errorf("no wrong value is tried for %s", p)
		}
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		text  string
		want  []string
		names []string
		good  int
	}{
		{"mac: 52:54:00:aa:00:07\n", []string{"f:1:1: nic: missing: a document needs the name of its NIC"}, nil, 0},
		{"nic: tap7\n", []string{"f:1:1: mac: missing: a NIC needs its guest's MAC address"}, []string{"tap7"}, 0},
		{"nic: tap7\nmac: 52:54:00\n", []string{`f:2:6: mac "52:54:00": not a MAC address; want six octets like 52:54:00:aa:00:01`}, []string{"tap7"}, 0},
		{"nic: ''\nmac: 52:54:00:aa:00:07\n", []string{"f:1:6: nic: a NIC needs the name of its host interface"}, nil, 0},
		{"nic: a/b\nmac: 52:54:00:aa:00:07\n", []string{`f:1:6: nic "a/b": character '/' is not allowed in an interface name`}, nil, 0},
		{minimal + "---\n" + minimal, []string{`f:4:6: nic "tap7": declared twice in this file, first at line 1`}, nil, 1},
		{minimal + "x: 1\n---\n" + minimal, []string{"f:3:1: x: unknown key", `f:5:6: nic "tap7": declared twice in this file, first at line 1`}, []string{"tap7"}, 0},
		{"- nic: tap7\n", []string{"f:1:1: a document must be keys with values, not a list"}, nil, 0},
		{"tap7\n", []string{"f:1:1: a document must be keys with values, not one value"}, nil, 0},
		{"%YAML 1.2\n---\n" + minimal, []string{"f:1:1: YAML directives are not allowed"}, nil, 1},
		{"{\"nic\": \"tap7\", \"mac\n", []string{`f:1:17: could not find end character of double-quoted text`}, []string{"tap7"}, 0},
		{"", nil, nil, 0},
		{"---\n# nothing\n---\n...\n", nil, nil, 0},
		{"\ufeff" + minimal, nil, nil, 1},
		{strings.ReplaceAll(minimal, "\n", "\r\n") + "---\r\nnic: a\r\nmac: 52:54:00:aa:00:08\r\n", nil, nil, 2},
		{"--- {nic: tap7, mac: '52:54:00:aa:00:07', x: 1}\n", []string{"f:1:43: x: unknown key"}, []string{"tap7"}, 0},
		{"a\x00b", []string{"f: a NUL at byte 1: not a text file"}, nil, 0},
		{"nic: \xff\n", []string{"f: byte 5 (0xff) is not UTF-8"}, nil, 0},
		{strings.Repeat("#", MaxFile+1), []string{"f: 1048577 bytes; at most 1048576 are read"}, nil, 0},
		{strings.Repeat("---\na\n", MaxDocuments+1), []string{"f: 4097 documents; at most 4096 are allowed in one file"}, nil, 0},
	} {
		r := Parse("f", []byte(tt.text), Networks{})
		name := fmt.Sprintf("%.60q", tt.text)
		if d := cmp.Diff(tt.want, texts1(r.Problems)); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
		if d := cmp.Diff(tt.names, r.Names); d != "" {
			t.Errorf("%s: names -want +got\n%s", name, d)
		}
		if len(r.Bindings) != tt.good {
			t.Errorf("%s: %d bindings, want %d", name, len(r.Bindings), tt.good)
		}
	}
}

// All mistakes of a document are told at once, in the order of the file.
func TestAllProblems(t *testing.T) {
	text := "nic: tap7\nmac: 01:00:5e:00:00:01\ncolour: 1\nmtu: 5\nrelay: true\nhostname: -a\n"
	want := []string{
		`f:2:6: mac "01:00:5e:00:00:01": a group address (IEEE 802 I/G bit) cannot be a source`,
		`f:3:1: colour: unknown key`,
		`f:4:6: mtu "5": at least 68 (RFC 791), or 0 to announce none`,
		`f:5:1: relay: unknown key`,
		`f:6:11: hostname "-a": label "-a" begins or ends with a hyphen (RFC 1123 section 2.1)`,
	}
	if d := cmp.Diff(want, texts1(Parse("f", []byte(text), Networks{}).Problems)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A file cut off anywhere costs only the documents behind the cut: what comes
// before is as it was, and nothing is made up.
func TestTruncated(t *testing.T) {
	first := minimal + "addresses: [192.0.2.7/24]\n"
	second := "---\nnic: tap8\naddresses:\n  - 192.0.2.8/24\nhostname: \"vm8\"\nmac: 52:54:00:aa:00:08\n"
	whole := []byte(first + second)
	want := Parse("f", whole, Networks{}).Bindings
	if len(want) != 2 {
		t.Fatal("the whole file must be good")
	}
	for n := range len(whole) {
		r := Parse("f", whole[:n], Networks{})
		if n >= len(first) && (len(r.Bindings) == 0 || !reflect.DeepEqual(r.Bindings[0], want[0])) {
			t.Fatalf("cut at %d: the first NIC is affected: %v", n, r)
		}
		for _, b := range r.Bindings {
			if b.NIC == "tap8" && len(b.MAC) != 6 {
				t.Fatalf("cut at %d: half a binding: %v", n, b)
			}
		}
		if len(r.Bindings) == 2 && n < len(whole)-1 {
			t.Fatalf("cut at %d: the second NIC is taken from half a document", n)
		}
	}
}

// A parser that reads files of others must end, and in time: the limit is far
// above what linear time needs and far below what quadratic time takes.
func TestHostileShapes(t *testing.T) {
	units := []string{
		"[", "{", "]", "}", ",", "- ", "? ", ": ", "a: ", "a: b\n", "a:\n ", "\"", "'", "''", "!", "&a ", "*a ", "\t", "#\n",
		"|\n", ">", "[a,", "a,", "[],", "{a: ", "---\n- ", "%", "@", "`", "<<: ", "\\", "\n", "\n  ", "\r", "\r\n", "a\n", "- a\n  b\n", "- |\n  a\n", "\u00a0",
	}
	for _, unit := range units {
		for _, before := range []string{"", "nic: ", "a: [", "a: \"", "a: '", "a: |\n  "} {
			text := before + strings.Repeat(unit, (128<<10)/len(unit))
			start := time.Now()
			r := Parse("f", []byte(text), Networks{})
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("%q and %q repeated: took %v", before, unit, d)
			}
			if len(r.Bindings) != 0 || len(r.Problems) > maxProblems+MaxDocuments {
				t.Errorf("%q and %q repeated: %d bindings, %d problems", before, unit, len(r.Bindings), len(r.Problems))
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	for _, tt := range append(wrong(), wrong6()...) {
		f.Add([]byte(minimal + tt.text))
	}
	nets, _ := ParseNetworks("n", []byte("network: lan\nmtu: 1400\n---\nnetwork: bad\nmtu: 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := Parse("f", data, nets)
		if again := Parse("f", data, nets); !reflect.DeepEqual(texts1(r.Problems), texts1(again.Problems)) {
			t.Errorf("two readings differ: %v and %v", r.Problems, again.Problems)
		}
		if !slices.IsSorted(r.Names) {
			t.Errorf("names %q are not sorted", r.Names)
		}
		for _, p := range r.Problems {
			if strings.ContainsFunc(p.Error(), func(r rune) bool { return !strconv.IsPrint(r) }) {
				t.Errorf("a message that could forge a log line: %q", p.Error())
			}
		}
		for _, b := range r.Bindings {
			if err := nic.Validate(&b); err != nil {
				t.Errorf("an invalid binding came out: %v", err)
			}
			text, err := Encode(&b)
			if err != nil {
				t.Fatal(err)
			}
			back := Resolved("f", text)
			if len(back.Bindings) != 1 {
				t.Fatalf("%s: %v", text, back.Problems)
			}
			back.Bindings[0].Origin = b.Origin
			if d := cmp.Diff(b, back.Bindings[0], compareNetip()); d != "" {
				t.Errorf("-written +read\n%s", d)
			}
		}
	})
}
