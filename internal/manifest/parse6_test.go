package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// wrong6 is each key of IPv6 with a bad value.
func wrong6() []mistake {
	const (
		sub  = "addresses: [2001:db8:1::10/64]\n"
		bits = "ra: {interval: 1h}\n"
	)
	duration := "not a time; want one like 24h, 1d12h, 90m, 3600 (seconds) or infinite"
	types := "must be ipv6, ipv4, int8, int16, int32, string, hex, domain, prefix or bool"
	return []mistake{
		{"addresses", "addresses: [2001:db8::1]\n", `f:3:13: addresses[0] "2001:db8::1": has no prefix length; write 2001:db8::1/64 or whatever its subnet is`},
		{"addresses", "addresses: [fe80::1/64]\n", `f:3:13: addresses[0] "fe80::1/64": a link-local address, which means something on one link only (RFC 4291 section 2.5.6)`},
		{"addresses", "addresses: [2001:db8::/48 eui-64]\n", `f:3:13: addresses[0] "2001:db8::/48 eui-64": what stands before eui-64 is not a /64 such as 2001:db8::/64`},
		{"addresses", "addresses: [2001:db8::1/64 eui-64]\n", `f:3:13: addresses[0] "2001:db8::1/64 eui-64": what stands before eui-64 is not a /64 such as 2001:db8::/64`},
		{"gateway", "gateway: fe80::1\n", `f:3:10: gateway "fe80::1": not an IPv4 address; an IPv6 gateway is written as gateway6`},
		{"gateway6", "gateway6: 192.0.2.1\n", `f:3:11: gateway6 "192.0.2.1": not an IPv6 address; an IPv4 gateway is written as gateway`},
		{"gateway6", "gateway6: fe80::1%eth0\n", `f:3:11: gateway6 "fe80::1%eth0": a zone means nothing outside one host (RFC 4007 section 6)`},
		{"gateway6", "gateway6: router\n", `f:3:11: gateway6 "router": not an IPv6 address`},
		{"gateway6", sub + "gateway6: 2001:db8:1::1\n", `f:4:11: gateway6 "2001:db8:1::1": a gateway that is not a link-local needs gateway-mac`},
		{"gateway-mac", "gateway-mac: 52:54\n", `f:3:14: gateway-mac "52:54": not a MAC address; want six octets like 52:54:00:aa:00:01`},
		{"gateway-mac", "gateway-mac: 00:00:00:00:00:00\n", `f:3:14: gateway-mac "00:00:00:00:00:00": nobody's address; if it is not known, write none`},
		{"gateway-mac", "gateway-mac: 52:54:00:aa:00:07\n", `f:3:14: gateway-mac "52:54:00:aa:00:07": the NIC's own MAC`},
		{"routes[].to", "routes: [{to: 2001:db8::/32}]\n", `f:3:15: routes[0].to "2001:db8::/32": not an IPv4 prefix; IPv6 routes are announced with ra.routes`},
		{"captive-portal", "captive-portal: portal.example.org\n", `f:3:17: captive-portal "portal.example.org": not a URI such as https://example.org/path`},
		{"ipv6", "ipv6: on\n", `f:3:7: ipv6 "on": must be auto, off or link-local`},
		{"ipv6", sub + "ipv6: off\n", `f:3:13: addresses[0] "2001:db8:1::10/64": an IPv6 address, but ipv6 is off`},
		{"link-local", "link-local: any\n", `f:3:13: link-local "any": must be first-come or eui-64, or a list of addresses`},
		{"link-local", "link-local: {a: b}\n", `f:3:13: link-local: must be a word or a list, not keys with values`},
		{"link-local", "link-local: [fe80::7, 2001:db8::7]\n", `f:3:23: link-local[1] "2001:db8::7": not a link-local: not in fe80::/10`},
		{"link-local", "link-local: []\n", `f:3:13: link-local "0": a list has 1 to 4 addresses`},
		{"slaac", "slaac: [2001:db8:a::/56]\n", `f:3:9: slaac[0] "2001:db8:a::/56": autoconfiguration needs a /64 (RFC 4862 section 5.5.3)`},
		{"slaac", "slaac: [2001:db8:a::]\n", `f:3:9: slaac[0] "2001:db8:a::": not an IPv6 prefix such as 2001:db8::/64`},
		{"delegated", "delegated: [2001:db8:100::/56, 2001:db8:100:80::/60]\n", `f:3:32: delegated[1] "2001:db8:100:80::/60": overlaps 2001:db8:100::/56 of delegated[0]`},
		{"routed", "routed: yes\n", `f:3:9: routed "yes": must be true or false`},
		{"neighbours", "neighbours: on\n", `f:3:13: neighbours "on": must be off, server, gateway or all`},
		{"neighbours", "neighbours: all\n", `f:3:13: neighbours "all": only for a routed NIC: on a bridge the others answer for themselves`},
		{"dhcp6", "dhcp6: off\n", `f:3:8: dhcp6 "off": must be keys with values, not one value`},
		{"dhcp6.mode", "dhcp6: {mode: on}\n", `f:3:15: dhcp6.mode "on": must be both, stateful, stateless or off`},
		{"dhcp6.preferred", "dhcp6: {preferred: 2h, valid: 1h}\n", `f:3:20: dhcp6.preferred "2h": longer than the valid lifetime of 3600s (RFC 8415 section 21.6)`},
		{"dhcp6.valid", "dhcp6: {valid: none}\n", `f:3:16: dhcp6.valid "none": at least 60s`},
		{"dhcp6.t1", "dhcp6: {t1: 6d}\n", `f:3:13: dhcp6.t1 "6d": after t2 of 483840s (RFC 8415 section 21.4)`},
		{"dhcp6.t2", "dhcp6: {t2: 8d}\n", `f:3:13: dhcp6.t2 "8d": longer than the preferred lifetime of 604800s (RFC 8415 section 21.4)`},
		{"dhcp6.rapid-commit", "dhcp6: {rapid-commit: 1}\n", `f:3:23: dhcp6.rapid-commit "1": must be true or false`},
		{"dhcp6.unicast", "dhcp6: {unicast: fe80::1}\n", `f:3:18: dhcp6.unicast "fe80::1": must be true or false`},
		{"dhcp6.relay", "dhcp6: {relay: no}\n", `f:3:16: dhcp6.relay "no": must be true or false`},
		{"dhcp6.preference", "dhcp6: {preference: 256}\n", `f:3:21: dhcp6.preference "256": must be 0 to 255`},
		{"dhcp6.refresh", "dhcp6: {refresh: 599s}\n", `f:3:18: dhcp6.refresh "599s": at least 600s (RFC 8415 section 21.23)`},
		{"dhcp6.sol-max-rt", "dhcp6: {sol-max-rt: 59}\n", `f:3:21: dhcp6.sol-max-rt "59": must be 60s to 86400s (RFC 8415 section 21.24)`},
		{"dhcp6.inf-max-rt", "dhcp6: {inf-max-rt: 2d}\n", `f:3:21: dhcp6.inf-max-rt "2d": must be 60s to 86400s (RFC 8415 section 21.25)`},
		{"dhcp6.duid", "dhcp6: {duid: 00:01}\n", `f:3:15: dhcp6.duid "00:01": 2 bytes; a DUID has 3 to 130 (RFC 8415 section 11.1)`},
		{"dhcp6.server-duid", "dhcp6: {server-duid: mine}\n", `f:3:22: dhcp6.server-duid "mine": not hexadecimal bytes such as 00:01:00:01:2a:3b`},
		{"dhcp6.server-duid", "dhcp6: {server-duid: 00:01}\n", `f:3:22: dhcp6.server-duid "00:01": 2 bytes; every reply must have room for it: want 3 to 18`},
		{"dhcp6.duid", "dhcp6: {duid: any}\n", `f:3:15: dhcp6.duid "any": not hexadecimal bytes such as 00:01:00:01:2a:3b`},
		{"dhcp6.refuse", "dhcp6: {refuse: maybe}\n", `f:3:17: dhcp6.refuse "maybe": must be true or false`},
		{"dhcp6.ia", "dhcp6: {ia: {iaid: 1}}\n", `f:3:13: dhcp6.ia: must be a list, not keys with values`},
		{"dhcp6.ia", "dhcp6: {ia: [{iaid: 1}]}\n", `f:3:14: dhcp6.ia[0]: gives nothing; list addresses or prefixes`},
		{"dhcp6.ia[].iaid", sub + "dhcp6: {ia: [{addresses: ['2001:db8:1::10']}]}\n", `f:4:14: dhcp6.ia[0].iaid: missing: an identity association needs its IAID`},
		{"dhcp6.ia[].iaid", sub + "dhcp6: {ia: [{iaid: 4294967296, addresses: ['2001:db8:1::10']}]}\n", `f:4:21: dhcp6.ia[0].iaid "4294967296": must be 0 to 4294967295`},
		{"dhcp6.ia[].addresses", sub + "dhcp6: {ia: [{iaid: 1, addresses: ['2001:db8:1::11']}]}\n", `f:4:36: dhcp6.ia[0].addresses[0] "2001:db8:1::11": not one of the NIC's IPv6 addresses`},
		{"dhcp6.ia[].prefixes", sub + "dhcp6: {ia: [{iaid: 1, prefixes: ['2001:db8:1::/64']}]}\n", `f:4:35: dhcp6.ia[0].prefixes[0] "2001:db8:1::/64": not one of the NIC's delegated prefixes`},
		{"dhcp6.temporary", sub + "dhcp6: {temporary: ['2001:db8:1::10'], ia: [{iaid: 1, addresses: ['2001:db8:1::10']}]}\n", `f:4:21: dhcp6.temporary[0] "2001:db8:1::10": already in dhcp6.ia[0].addresses[0]`},
		{"dhcp6.options", "dhcp6: {options: {code: 23}}\n", `f:3:18: dhcp6.options: must be a list, not keys with values`},
		{"dhcp6.options[].code", "dhcp6: {options: [{code: 3, type: hex, value: 00}]}\n", `f:3:26: dhcp6.options[0].code "3": set by the server itself, never by a binding`},
		{"dhcp6.options[].code", "dhcp6: {options: [{code: 32, type: int32, value: 600}]}\n", `f:3:26: dhcp6.options[0].code "32": set by dhcp6.refresh`},
		{"dhcp6.options[].code", "dhcp6: {options: [{code: 65536, type: hex, value: 00}]}\n", `f:3:26: dhcp6.options[0].code "65536": must be 0 to 65535`},
		{"dhcp6.options[].type", "dhcp6: {options: [{code: 23, type: route, value: 2}]}\n", `f:3:36: dhcp6.options[0].type "route": ` + types},
		{"dhcp6.options[].value", "dhcp6: {options: [{code: 23, type: ipv6, value: 192.0.2.1}]}\n", `f:3:49: dhcp6.options[0].value "192.0.2.1": not an IPv6 address`},
		{"dhcp6.options[].value", "dhcp6: {options: [{code: 23, type: int32, value: 1}]}\n", `f:3:19: dhcp6.options[0]: option 23 has 4 bytes; it must have a multiple of 16`},
		{"dhcp6.options[].values", "dhcp6: {options: [{code: 113, type: prefix, values: ['2001:db8::1/32']}]}\n", `f:3:54: dhcp6.options[0].values[0] "2001:db8::1/32": not an IPv6 prefix such as 2001:db8::/32`},
		{"dhcp6.boot-url", "dhcp6: {boot-url: boot.img}\n", `f:3:19: dhcp6.boot-url "boot.img": not a URI such as https://example.org/path`},
		{"dhcp6.boot-args", "dhcp6: {boot-args: console=ttyS0}\n", `f:3:20: dhcp6.boot-args "console=ttyS0": must be a list, not one value`},
		{"dhcp6.boot-args", "dhcp6: {boot-args: [a, '']}\n", `f:3:24: dhcp6.boot-args[1]: an empty parameter`},
		{"dhcp6.boot-arch", "dhcp6: {boot-arch: {7: x.efi}}\n", `f:3:24: dhcp6.boot-arch[7] "x.efi": not a URI such as https://example.org/path`},
		{"dhcp6.boot-arch", "dhcp6: {boot-arch: {uefi: 'http://b/x'}}\n", `f:3:27: dhcp6.boot-arch[uefi] "http://b/x": the client architecture must be 0 to 65535 (RFC 4578)`},
		{"ra", "ra: site\n", `f:3:5: ra "site": must be keys with values, not one value`},
		{"ra.mode", "ra: {mode: on}\n", `f:3:12: ra.mode "on": must be serve, off or site`},
		{"ra.interval", bits, `f:3:16: ra.interval "1h": must be 4s to 1800s (RFC 4861 section 6.2.1)`},
		{"ra.lifetime", "ra: {lifetime: 9m}\n", `f:3:16: ra.lifetime "9m": shorter than the interval of 600s: the guest would lose its router between two advertisements`},
		{"ra.lifetime", "ra: {lifetime: 1d}\n", `f:3:16: ra.lifetime "1d": at most 65535s (RFC 8319 section 4)`},
		{"ra.preference", "ra: {preference: 1}\n", `f:3:18: ra.preference "1": must be medium, high or low`},
		{"ra.hop-limit", "ra: {hop-limit: 256}\n", `f:3:17: ra.hop-limit "256": must be 0 to 255`},
		{"ra.preferred", "ra: {preferred: 31d, valid: 30d}\n", `f:3:17: ra.preferred "31d": longer than the valid lifetime of 2592000s (RFC 4861 section 4.6.2)`},
		{"ra.valid", "ra: {valid: ever}\n", `f:3:13: ra.valid "ever": ` + duration},
		{"ra.off-link", "ra: {off-link: 1}\n", `f:3:16: ra.off-link "1": must be true or false`},
		{"ra.autonomous", "ra: {autonomous: A}\n", `f:3:18: ra.autonomous "A": must be true or false`},
		{"ra.multicast", "ra: {multicast: ff02::1}\n", `f:3:17: ra.multicast "ff02::1": must be true or false`},
		{"ra.routes", "ra: {routes: ['2001:db8::/32']}\n", `f:3:15: ra.routes[0] "2001:db8::/32": must be keys with values, not one value`},
		{"ra.routes[].to", "ra: {routes: [{to: 10.0.0.0/8}]}\n", `f:3:20: ra.routes[0].to "10.0.0.0/8": not an IPv6 prefix; IPv4 routes are written as routes`},
		{"ra.routes[].to", "ra: {routes: [{preference: low}]}\n", `f:3:15: ra.routes[0].to: missing: a route needs a destination`},
		{"ra.routes[].preference", "ra: {routes: [{to: 2001:db8::/32, preference: best}]}\n", `f:3:47: ra.routes[0].preference "best": must be medium, high or low`},
		{"ra.routes[].lifetime", "ra: {routes: [{to: 2001:db8::/32, lifetime: long}]}\n", `f:3:45: ra.routes[0].lifetime "long": ` + duration},
		{"ra.pref64", "ra: {pref64: 64:ff9b::/95}\n", `f:3:14: ra.pref64 "64:ff9b::/95": must be a /96, /64, /56, /48, /40 or /32 (RFC 8781 section 4)`},
		{"ra.pref64", "ra: {pref64: 64:ff9b::}\n", `f:3:14: ra.pref64 "64:ff9b::": not an IPv6 prefix such as 64:ff9b::/96`},
		{"guard.checks.nd", "guard: {checks: {nd: off}}\n", `f:3:22: guard.checks.nd "off": must be true or false`},
		{"guard.allow-addresses", "guard: {allow-addresses: ['2001::/15']}\n", `f:3:27: guard.allow-addresses[0] "2001::/15": a prefix shorter than /16 would allow nearly any source`},
		{"guard.advertise", "guard: {advertise: 1}\n", `f:3:20: guard.advertise "1": must be true or false`},
		{"guard.routers", "guard: {routers: ['2001:db8::1']}\n", `f:3:19: guard.routers[0] "2001:db8::1": not a link-local: not in fe80::/10`},
		{"guard.routers", "guard: {routers: [vrrp]}\n", `f:3:19: guard.routers[0] "vrrp": not an IPv6 address`},
		{"guard.routers", "guard: {routers: fe80::2}\n", `f:3:18: guard.routers "fe80::2": must be a list, not one value`},
	}
}

// Defaults follow what is given, so that one key is enough.
func TestDefaultsFollow(t *testing.T) {
	for _, tt := range []struct {
		text string
		want func(*nic.Binding)
	}{
		{"dhcp6: {valid: 1h}\n", func(b *nic.Binding) {
			b.DHCP6.Preferred, b.DHCP6.Valid, b.DHCP6.T1, b.DHCP6.T2 = 3600, 3600, 1800, 2880
			b.RA.Preferred, b.RA.Valid = 3600, 3600
		}},
		{"dhcp6: {preferred: 60d}\n", func(b *nic.Binding) {
			const d = nic.Seconds(day)
			b.DHCP6.Preferred, b.DHCP6.Valid, b.DHCP6.T1, b.DHCP6.T2 = 60*d, 60*d, 30*d, 48*d
			b.RA.Preferred, b.RA.Valid = 60*d, 60*d
		}},
		{"dhcp6: {preferred: infinite}\n", func(b *nic.Binding) {
			b.DHCP6.Preferred, b.DHCP6.Valid, b.DHCP6.T1, b.DHCP6.T2 = nic.Infinite, nic.Infinite, nic.Infinite, nic.Infinite
			b.RA.Preferred, b.RA.Valid = nic.Infinite, nic.Infinite
		}},
		{"dhcp6: {t1: none, t2: none}\n", func(b *nic.Binding) { b.DHCP6.T1, b.DHCP6.T2 = 0, 0 }},
		{"ra: {valid: 1d}\n", func(b *nic.Binding) { b.RA.Preferred, b.RA.Valid = 86400, 86400 }},
		{"ra: {interval: 1800}\n", func(b *nic.Binding) { b.RA.Interval, b.RA.Lifetime = 1800, 5400 }},
		{"ra: {lifetime: 0}\n", func(b *nic.Binding) { b.RA.Lifetime = 0 }},
		{"routed: true\n", func(b *nic.Binding) { b.Routed, b.Neighbours, b.RA.OffLink = true, nic.NeighboursAll, true }},
		{"routed: true\nneighbours: off\nra: {off-link: false}\n", func(b *nic.Binding) { b.Routed = true }},
		{"link-local: eui-64\n", func(b *nic.Binding) { b.LinkLocal.Kind = nic.EUI64Only }},
	} {
		want := Parse("f", []byte(minimal), Networks{}).Bindings[0]
		tt.want(&want)
		r := Parse("f", []byte(minimal+tt.text), Networks{})
		if d := cmp.Diff([]nic.Binding{want}, r.Bindings, compareNetip()); d != "" {
			t.Errorf("%q: %v: -want +got\n%s", tt.text, texts1(r.Problems), d)
		}
	}
}

// A network may leave to its NICs what its own keys need, and give to all what
// some have no use for.
func TestNetworkOfBothFamilies(t *testing.T) {
	lan := "network: lan\ngateway: 192.0.2.1\ngateway6: 2001:db8:1::1\ngateway-mac: 52:54:00:ff:00:01\n" +
		"link-local: eui-64\nguard: {allow-addresses: ['2001:db8:20::/64'], routers: ['fe80::2']}\nra: {mode: site}\n"
	routed := "---\nnetwork: routed\nneighbours: all\n"
	nets, problems := ParseNetworks("n", []byte(lan+routed))
	if problems != nil {
		t.Fatal(texts1(problems))
	}
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"network: lan\naddresses: [192.0.2.7/24]\n", nil},
		{"network: lan\naddresses: [2001:db8:1::7/64]\n", nil},
		{"network: lan\nlink-local: [fe80::7]\n", nil},
		{"network: lan\nipv6: off\n", nil},
		{"network: lan\nipv6: link-local\n", nil},
		{"network: lan\naddresses: [2001:db8:1::7/64]\ngateway-mac: none\n", []string{
			`f:3:10: gateway6 "2001:db8:1::1": a gateway that is not a link-local needs gateway-mac (from n:3:11: network "lan")`,
		}},
		{"network: routed\nrouted: true\n", nil},
		{"network: routed\n", []string{
			`f:3:10: neighbours "all": only for a routed NIC: on a bridge the others answer for themselves (from n:10:13: network "routed")`,
		}},
	} {
		r := Parse("f", []byte(minimal+tt.text), nets)
		if d := cmp.Diff(tt.want, texts1(r.Problems)); d != "" {
			t.Errorf("%q: -want +got\n%s", tt.text, d)
		}
	}
}

// What says who a NIC is belongs to no network.
func TestNetworkHasNoIdentity(t *testing.T) {
	_, problems := ParseNetworks("n", []byte("network: lan\nslaac: [2001:db8:a::/64]\nlink-local: [fe80::7]\ndhcp6: {ia: []}\n"))
	want := []string{
		`n:2:8: slaac: belongs to a NIC, not to a network`,
		`n:3:13: link-local: a list of addresses belongs to a NIC, not to a network`,
		`n:4:13: dhcp6.ia: belongs to a NIC, not to a network`,
	}
	if d := cmp.Diff(want, texts1(problems)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// An address that follows from the MAC is written as the address it is.
func TestDerivedAddress(t *testing.T) {
	r := Parse("f", []byte(minimal+"addresses: [2001:db8:2::/64 eui-64]\nlink-local: eui-64\n"), Networks{})
	if r.Problems != nil {
		t.Fatal(texts1(r.Problems))
	}
	text, err := Encode(&r.Bindings[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"addresses":["2001:db8:2:0:5054:ff:feaa:7/64"]`, `"link-local":"eui-64"`} {
		if !strings.Contains(string(text), key) {
			t.Errorf("no %s in\n%s", key, text)
		}
	}
}

// The document names the address that nobody can have.
func TestDocumentNamesOurAddress(t *testing.T) {
	if a := nic.BerthLinkLocal().String(); !strings.Contains(string(readFile(t, "../../docs/binding.md")), "`"+a+"`") {
		t.Errorf("docs/binding.md does not name %s", a)
	}
}
