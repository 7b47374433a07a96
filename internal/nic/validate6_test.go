package nic_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
)

// good6 is good with an identity of IPv6 as well.
func good6() nic.Binding {
	b := good()
	b.Addresses = append(b.Addresses, prefix("2001:db8:1::10/64"), prefix("2001:db8:1::11/128"))
	b.Gateway6, b.GatewayMAC = addr("fe80::1"), nic.MAC{0x52, 0x54, 0, 0xff, 0, 1}
	b.DNS = append(b.DNS, addr("2001:db8::53"))
	b.CaptivePortal = "https://portal.example.org/api"
	b.LinkLocal = nic.LinkLocal{Kind: nic.FixedLinkLocal, Fixed: []netip.Addr{addr("fe80::7"), addr("fe80::8")}}
	b.SLAAC = []netip.Prefix{prefix("2001:db8:a::/64"), prefix("2001:db8:b::/64")}
	b.Delegated = []netip.Prefix{prefix("2001:db8:100::/56"), prefix("2001:db8:200::/127")}
	b.Neighbours = nic.NeighboursGateway
	b.DHCP6 = nic.DHCP6{
		Preferred: 3600, Valid: 7200, T1: 1800, T2: 2880, Refresh: 600, SolMaxRT: 60, InfMaxRT: 86400, DUID: []byte{0, 3, 1},
		IAs: []nic.IA{
			{IAID: 1, Addresses: []netip.Addr{addr("2001:db8:1::10")}},
			{IAID: 2, Prefixes: []netip.Prefix{prefix("2001:db8:100::/56")}},
		},
		Temporary: []netip.Addr{addr("2001:db8:1::11")},
		Options:   []nic.Option6{{Code: 17, Data: []byte{1}}, {Code: 23, Data: make([]byte, 32)}},
		BootURL:   "http://[2001:db8::5]/x", BootArgs: []string{"a b"}, BootArch: map[uint16]string{7: "tftp://b/x"},
	}
	b.RA.Routes = []nic.RARoute{{To: prefix("2001:db8:ff::/48"), Lifetime: 60}, {To: prefix("::/0"), Preference: nic.PreferenceLow}}
	b.RA.PREF64 = prefix("64:ff9b::/96")
	b.Guard.AllowAddresses = append(b.Guard.AllowAddresses, prefix("2001:db8:20::/64"))
	b.Guard.Routers = []netip.Addr{addr("fe80::3"), addr("fe80::2"), addr("fe80::1")} // the gateway among them
	return b
}

func TestValidateGood6(t *testing.T) {
	b := good6()
	if err := nic.Validate(&b); err != nil {
		t.Fatal(err)
	}
}

// Every rule of IPv6, broken alone, gives exactly its own message.
func TestValidate6(t *testing.T) {
	const link = "a link-local address, which means something on one link only (RFC 4291 section 2.5.6)"
	tellMistakes(t, good6, []mistake{
		{"our MAC", func(b *nic.Binding) { b.MAC = nic.BerthMAC() }, []string{`mac "02:62:65:72:74:68": berth's own, the sender of every answer`}},
		{"multicast", func(b *nic.Binding) { b.Addresses[3] = prefix("ff02::1/64"); b.DHCP6.Temporary = nil }, []string{`addresses[3] "ff02::1/64": a multicast address`}},
		{"link-local", func(b *nic.Binding) { b.Addresses[3] = prefix("fe80::1:2/64"); b.DHCP6.Temporary = nil }, []string{`addresses[3] "fe80::1:2/64": ` + link}},
		{"unspecified", func(b *nic.Binding) { b.Addresses[3] = prefix("::/128"); b.DHCP6.Temporary = nil }, []string{`addresses[3] "::/128": the unspecified address`}},
		{"loopback", func(b *nic.Binding) { b.Addresses[3] = prefix("::1/128"); b.DHCP6.Temporary = nil }, []string{`addresses[3] "::1/128": a loopback address`}},
		{"mapped", func(b *nic.Binding) { b.Addresses[3] = prefix("::ffff:192.0.2.1/128"); b.DHCP6.Temporary = nil }, []string{`addresses[3] "::ffff:192.0.2.1/128": an IPv4-mapped address; write 192.0.2.1`}},
		{"site-local", func(b *nic.Binding) { b.Addresses[3] = prefix("fec0::1/64"); b.DHCP6.Temporary = nil }, []string{`addresses[3] "fec0::1/64": a site-local address; they are deprecated (RFC 3879)`}},
		{"anycast", func(b *nic.Binding) { b.Addresses[3] = prefix("2001:db8:1::/64"); b.DHCP6.Temporary = nil }, []string{`addresses[3] "2001:db8:1::/64": the subnet-router anycast address of 2001:db8:1::/64 (RFC 4291 section 2.6.1)`}},
		{"/0", func(b *nic.Binding) { b.Addresses[3] = prefix("2001:db8:1::11/0") }, []string{`addresses[3] "2001:db8:1::11/0": a subnet cannot be /0`}},
		{"twice", func(b *nic.Binding) { b.Addresses[3] = prefix("2001:db8:1::10/128"); b.DHCP6.Temporary = nil }, []string{`addresses[3] "2001:db8:1::10/128": the same address as addresses[2]`}},

		{"gateway", func(b *nic.Binding) { b.Gateway = addr("fe80::1") }, []string{`gateway "fe80::1": not an IPv4 address; an IPv6 gateway is written as gateway6`}},
		{"broadcast", func(b *nic.Binding) { b.Broadcast = addr("ff02::1") }, []string{`broadcast "ff02::1": not an IPv4 address; IPv6 has no broadcast`}},
		{"route", func(b *nic.Binding) { b.Routes[0].To = prefix("2001:db8::/32") }, []string{`routes[0].to "2001:db8::/32": not an IPv4 prefix; IPv6 routes are announced with ra.routes`}},
		{"via", func(b *nic.Binding) { b.Routes[0].Via = addr("fe80::1") }, []string{`routes[0].via "fe80::1": not an IPv4 address; IPv6 routes are announced with ra.routes`}},
		{"delivered", func(b *nic.Binding) { b.Broadcast = netip.Addr{}; b.DHCP4.Address = prefix("2001:db8:1::10/64") }, []string{`dhcp4.address "2001:db8:1::10/64": not an IPv4 address; DHCPv6 gives all of IPv6`}},
		{"server", func(b *nic.Binding) { b.DHCP4.ServerID.Addr = addr("2001:db8::1") }, []string{`dhcp4.server-id "2001:db8::1": not an IPv4 address`}},
		{"next server", func(b *nic.Binding) { b.DHCP4.Boot.NextServer = addr("2001:db8::1") }, []string{`dhcp4.boot.next-server "2001:db8::1": not an IPv4 address`}},

		{"gateway6 IPv4", func(b *nic.Binding) { b.Gateway6 = addr("192.0.2.1") }, []string{`gateway6 "192.0.2.1": not an IPv6 address; an IPv4 gateway is written as gateway`}},
		{"gateway6 zone", func(b *nic.Binding) { b.Gateway6 = addr("fe80::1%eth0") }, []string{`gateway6 "fe80::1%eth0": a zone means nothing outside one host (RFC 4007 section 6)`}},
		{"gateway6 ours", func(b *nic.Binding) { b.Gateway6 = nic.BerthLinkLocal() }, []string{`gateway6 "fe80::62:65ff:fe72:7468": berth's own address on every NIC's link`}},
		{"gateway6 host", func(b *nic.Binding) { b.Gateway6 = addr("fe80::") }, []string{`gateway6 "fe80::": has no interface identifier (RFC 4291 section 2.5.6)`}},
		{"gateway6 derived", func(b *nic.Binding) { b.Gateway6 = b.MAC.EUI64() }, []string{`gateway6 "fe80::5054:ff:feaa:1": the NIC's own link-local: it follows from its MAC`}},
		{"gateway6 own", func(b *nic.Binding) { b.Gateway6 = addr("2001:db8:1::10") }, []string{`gateway6 "2001:db8:1::10": the NIC's own address`}},
		{"gateway6 delegated", func(b *nic.Binding) { b.Gateway6 = addr("2001:db8:100::1") }, []string{`gateway6 "2001:db8:100::1": in a prefix that is delegated to the NIC`}},
		{"gateway6 multicast", func(b *nic.Binding) { b.Gateway6 = addr("ff02::2") }, []string{`gateway6 "ff02::2": a multicast address`}},
		{"gateway6 anycast", func(b *nic.Binding) { b.Gateway6 = addr("2001:db8:1::") }, []string{`gateway6 "2001:db8:1::": the subnet-router anycast address of 2001:db8:1::/64 (RFC 4291 section 2.6.1)`}},
		{"gateway6 off link", func(b *nic.Binding) { b.Gateway6 = addr("2001:db8:2::1") }, []string{`gateway6 "2001:db8:2::1": not on link: in none of the NIC's IPv6 subnets; write the gateway's link-local`}},
		{"gateway6 alone", func(b *nic.Binding) { b.Gateway6, b.GatewayMAC, b.Neighbours = addr("2001:db8:1::1"), nic.MAC{}, 0 }, []string{`gateway6 "2001:db8:1::1": a gateway that is not a link-local needs gateway-mac`}},

		{"gateway-mac group", func(b *nic.Binding) { b.GatewayMAC[0] |= 1 }, []string{`gateway-mac "53:54:00:ff:00:01": a group address (IEEE 802 I/G bit) cannot be a source`}},
		{"gateway-mac ours", func(b *nic.Binding) { b.GatewayMAC = nic.BerthMAC() }, []string{`gateway-mac "02:62:65:72:74:68": berth's own, the sender of every answer`}},
		{"gateway-mac own", func(b *nic.Binding) { b.GatewayMAC = b.MAC }, []string{`gateway-mac "52:54:00:aa:00:01": the NIC's own MAC`}},
		{"gateway-mac allowed", func(b *nic.Binding) { b.GatewayMAC = b.Guard.AllowMACs[0] }, []string{`gateway-mac "00:00:5e:00:01:07": one of guard.allow-macs: the guest may not speak as its gateway`}},

		{"dns link-local", func(b *nic.Binding) { b.DNS[2] = addr("fe80::53") }, []string{`dns[2] "fe80::53": ` + link}},
		{"dns twice", func(b *nic.Binding) { b.DNS = append(b.DNS, b.DNS[2]) }, []string{`dns[3] "2001:db8::53": the same address as dns[2]`}},
		{"mtu", func(b *nic.Binding) { b.MTU = 1279 }, []string{`mtu "1279": at least 1280 for a NIC with IPv6 (RFC 8200 section 5), or 0 to announce none`}},

		{"portal scheme", func(b *nic.Binding) { b.CaptivePortal = "ftp://x/" }, []string{`captive-portal "ftp://x/": must begin with http:// or https:// and name a host`}},
		{"portal host", func(b *nic.Binding) { b.CaptivePortal = "https:/api" }, []string{`captive-portal "https:/api": must begin with http:// or https:// and name a host`}},
		{"portal space", func(b *nic.Binding) { b.CaptivePortal = "https://x/a b" }, []string{`captive-portal "https://x/a b": character ' ' is not allowed in a URI (RFC 3986 section 2)`}},
		{"portal letter", func(b *nic.Binding) { b.CaptivePortal = "https://é/" }, []string{`captive-portal "https://é/": character 'é' is not allowed in a URI (RFC 3986 section 2)`}},
		{"portal length", func(b *nic.Binding) { b.CaptivePortal = "https://x/" + strings.Repeat("a", 246) }, []string{`captive-portal "https://x/` + strings.Repeat("a", 246) + `": 256 bytes; at most 255 are allowed`}},
		{"portal escape", func(b *nic.Binding) { b.CaptivePortal = "https://x/%zz" }, []string{`captive-portal "https://x/%zz": not a URI such as https://example.org/path`}},

		{"mode", func(b *nic.Binding) { b.IPv6 = 3 }, []string{`ipv6 "3": unknown mode`}},
		{"off", func(b *nic.Binding) { b.IPv6, b.DHCP6.IAs, b.DHCP6.Temporary = nic.IPv6Off, nil, nil }, []string{
			`addresses[2] "2001:db8:1::10/64": an IPv6 address, but ipv6 is off`,
			`addresses[3] "2001:db8:1::11/128": an IPv6 address, but ipv6 is off`,
			`slaac[0] "2001:db8:a::/64": an IPv6 prefix, but ipv6 is off`,
			`slaac[1] "2001:db8:b::/64": an IPv6 prefix, but ipv6 is off`,
			`delegated[0] "2001:db8:100::/56": an IPv6 prefix, but ipv6 is off`,
			`delegated[1] "2001:db8:200::/127": an IPv6 prefix, but ipv6 is off`,
			`link-local: lists addresses, but ipv6 is off`,
		}},
		{"link-local only", func(b *nic.Binding) {
			b.IPv6, b.Addresses, b.DHCP6.Temporary, b.DHCP6.IAs, b.Delegated = nic.IPv6LinkLocal, b.Addresses[:2], nil, nil, nil
		}, []string{
			`slaac[0] "2001:db8:a::/64": an IPv6 prefix, but ipv6 is link-local`,
			`slaac[1] "2001:db8:b::/64": an IPv6 prefix, but ipv6 is link-local`,
		}},

		{"policy", func(b *nic.Binding) { b.LinkLocal.Kind = 3 }, []string{`link-local "3": unknown policy`}},
		{"policy with list", func(b *nic.Binding) { b.LinkLocal.Kind = nic.EUI64Only }, []string{`link-local: addresses go with the fixed policy only`}},
		{"list empty", func(b *nic.Binding) { b.LinkLocal.Fixed = nil }, []string{`link-local "0": a list has 1 to 4 addresses`}},
		{"list long", func(b *nic.Binding) { b.LinkLocal.Fixed = make([]netip.Addr, 5) }, []string{`link-local "5": a list has 1 to 4 addresses`}},
		{"list global", func(b *nic.Binding) { b.LinkLocal.Fixed[1] = addr("2001:db8::1") }, []string{`link-local[1] "2001:db8::1": not a link-local: not in fe80::/10`}},
		{"list IPv4", func(b *nic.Binding) { b.LinkLocal.Fixed[1] = addr("169.254.1.1") }, []string{`link-local[1] "169.254.1.1": not a link-local: not in fe80::/10`}},
		{"list nothing", func(b *nic.Binding) { b.LinkLocal.Fixed[1] = netip.Addr{} }, []string{`link-local[1]: not a link-local: not in fe80::/10`}},
		{"list host", func(b *nic.Binding) { b.LinkLocal.Fixed[1] = addr("fe80::") }, []string{`link-local[1] "fe80::": has no interface identifier (RFC 4291 section 2.5.6)`}},
		{"list ours", func(b *nic.Binding) { b.LinkLocal.Fixed[1] = nic.BerthLinkLocal() }, []string{`link-local[1] "fe80::62:65ff:fe72:7468": berth's own address on every NIC's link`}},
		{"list gateway", func(b *nic.Binding) { b.LinkLocal.Fixed[1], b.Guard.Routers = addr("fe80::1"), nil }, []string{`link-local[1] "fe80::1": the gateway's address`}},
		{"list twice", func(b *nic.Binding) { b.LinkLocal.Fixed[1] = addr("fe80::7") }, []string{`link-local[1] "fe80::7": the same address as link-local[0]`}},

		{"slaac many", func(b *nic.Binding) { b.SLAAC = make([]netip.Prefix, 9) }, []string{`slaac "9": at most 8 prefixes`}},
		{"slaac none", func(b *nic.Binding) { b.SLAAC[1] = netip.Prefix{} }, []string{`slaac[1]: not a prefix`}},
		{"slaac IPv4", func(b *nic.Binding) { b.SLAAC[1] = prefix("10.0.0.0/8") }, []string{`slaac[1] "10.0.0.0/8": not an IPv6 prefix`}},
		{"slaac bits", func(b *nic.Binding) { b.SLAAC[1] = prefix("2001:db8:b::1/64") }, []string{`slaac[1] "2001:db8:b::1/64": host bits are set; the prefix is 2001:db8:b::/64`}},
		{"slaac length", func(b *nic.Binding) { b.SLAAC[1] = prefix("2001:db8:b::/65") }, []string{`slaac[1] "2001:db8:b::/65": autoconfiguration needs a /64 (RFC 4862 section 5.5.3)`}},
		{"slaac twice", func(b *nic.Binding) { b.SLAAC[1] = b.SLAAC[0] }, []string{`slaac[1] "2001:db8:a::/64": the same prefix as slaac[0]`}},
		{"slaac link-local", func(b *nic.Binding) { b.SLAAC[1] = prefix("fe80::/64") }, []string{`slaac[1] "fe80::/64": ` + link}},
		{"delegated many", func(b *nic.Binding) { b.Delegated = make([]netip.Prefix, 17); b.DHCP6.IAs = nil }, []string{`delegated "17": at most 16 prefixes`}},
		{"delegated bits", func(b *nic.Binding) { b.Delegated[1] = prefix("2001:db8:200::1/56") }, []string{`delegated[1] "2001:db8:200::1/56": host bits are set; the prefix is 2001:db8:200::/56`}},
		{"delegated wide", func(b *nic.Binding) { b.Delegated[1] = prefix("3000::/15") }, []string{`delegated[1] "3000::/15": a prefix shorter than /16 would allow nearly any source`}},
		{"delegated /128", func(b *nic.Binding) { b.Delegated[1] = prefix("2001:db8:200::1/128") }, []string{`delegated[1] "2001:db8:200::1/128": one address is no prefix; write it as one of addresses`}},
		{"delegated multicast", func(b *nic.Binding) { b.Delegated[1] = prefix("ff02::/64") }, []string{`delegated[1] "ff02::/64": a multicast address`}},
		{"delegated overlap", func(b *nic.Binding) { b.Delegated[1] = prefix("2001:db8:100:10::/60") }, []string{`delegated[1] "2001:db8:100:10::/60": overlaps 2001:db8:100::/56 of delegated[0]`}},
		{"delegated slaac", func(b *nic.Binding) { b.Delegated[1] = prefix("2001:db8:a::/48") }, []string{`delegated[1] "2001:db8:a::/48": overlaps 2001:db8:a::/64 of slaac[0]`}},

		{"level", func(b *nic.Binding) { b.Neighbours = 4 }, []string{`neighbours "4": unknown level`}},
		{"all", func(b *nic.Binding) { b.Neighbours = nic.NeighboursAll }, []string{`neighbours "all": only for a routed NIC: on a bridge the others answer for themselves`}},
		{"no MAC", func(b *nic.Binding) { b.GatewayMAC = nic.MAC{} }, []string{`neighbours "gateway": needs gateway-mac to answer with`}},

		{"dhcp6 mode", func(b *nic.Binding) { b.DHCP6.Mode = 4 }, []string{`dhcp6.mode "4": unknown mode`}},
		{"valid", func(b *nic.Binding) { b.DHCP6.Valid = 59 }, []string{`dhcp6.valid "59s": at least 60s`}},
		{"preferred low", func(b *nic.Binding) { b.DHCP6.Preferred, b.DHCP6.T1, b.DHCP6.T2 = 59, 0, 0 }, []string{`dhcp6.preferred "59s": at least 60s`}},
		{"preferred", func(b *nic.Binding) { b.DHCP6.Preferred = 7201 }, []string{`dhcp6.preferred "7201s": longer than the valid lifetime of 7200s (RFC 8415 section 21.6)`}},
		{"t1 after t2", func(b *nic.Binding) { b.DHCP6.T1 = 2881 }, []string{`dhcp6.t1 "2881s": after t2 of 2880s (RFC 8415 section 21.4)`}},
		{"t1 alone", func(b *nic.Binding) { b.DHCP6.T1, b.DHCP6.T2 = 3601, 0 }, []string{`dhcp6.t1 "3601s": longer than the preferred lifetime of 3600s (RFC 8415 section 21.4)`}},
		{"t2", func(b *nic.Binding) { b.DHCP6.T2 = nic.Infinite }, []string{`dhcp6.t2 "infinite": longer than the preferred lifetime of 3600s (RFC 8415 section 21.4)`}},
		{"refresh", func(b *nic.Binding) { b.DHCP6.Refresh = 599 }, []string{`dhcp6.refresh "599s": at least 600s (RFC 8415 section 21.23)`}},
		{"sol", func(b *nic.Binding) { b.DHCP6.SolMaxRT = 86401 }, []string{`dhcp6.sol-max-rt "86401s": must be 60s to 86400s (RFC 8415 section 21.24)`}},
		{"inf", func(b *nic.Binding) { b.DHCP6.InfMaxRT = 59 }, []string{`dhcp6.inf-max-rt "59s": must be 60s to 86400s (RFC 8415 section 21.25)`}},
		{"duid short", func(b *nic.Binding) { b.DHCP6.DUID = []byte{} }, []string{`dhcp6.duid: 0 bytes; a DUID has 3 to 130 (RFC 8415 section 11.1)`}},
		{"server duid short", func(b *nic.Binding) { b.DHCP6.ServerDUID = []byte{0, 1} }, []string{`dhcp6.server-duid: 2 bytes; every reply must have room for it: want 3 to 18`}},
		{"server duid long", func(b *nic.Binding) { b.DHCP6.ServerDUID = make([]byte, 19) }, []string{`dhcp6.server-duid: 19 bytes; every reply must have room for it: want 3 to 18`}},
		{"duid long", func(b *nic.Binding) { b.DHCP6.DUID = make([]byte, 131) }, []string{`dhcp6.duid: 131 bytes; a DUID has 3 to 130 (RFC 8415 section 11.1)`}},

		{"IAs", func(b *nic.Binding) { b.DHCP6.IAs = make([]nic.IA, 17) }, []string{`dhcp6.ia "17": at most 16 identity associations`}},
		{"IAID twice", func(b *nic.Binding) { b.DHCP6.IAs[1].IAID = 1 }, []string{`dhcp6.ia[1].iaid "1": the same IAID as dhcp6.ia[0]`}},
		{"IA empty", func(b *nic.Binding) { b.DHCP6.IAs[1].Prefixes = nil }, []string{`dhcp6.ia[1]: gives nothing; list addresses or prefixes`}},
		{"IA foreign", func(b *nic.Binding) { b.DHCP6.IAs[0].Addresses[0] = addr("2001:db8:a::1") }, []string{`dhcp6.ia[0].addresses[0] "2001:db8:a::1": not one of the NIC's IPv6 addresses`}},
		{"IA IPv4", func(b *nic.Binding) { b.DHCP6.IAs[0].Addresses[0] = addr("192.0.2.10") }, []string{`dhcp6.ia[0].addresses[0] "192.0.2.10": not one of the NIC's IPv6 addresses`}},
		{"IA inner prefix", func(b *nic.Binding) { b.DHCP6.IAs[1].Prefixes[0] = prefix("2001:db8:100::/57") }, []string{`dhcp6.ia[1].prefixes[0] "2001:db8:100::/57": not one of the NIC's delegated prefixes`}},
		{"IA prefix twice", func(b *nic.Binding) { b.DHCP6.IAs[0].Prefixes = b.Delegated[:1] }, []string{`dhcp6.ia[1].prefixes[0] "2001:db8:100::/56": already in dhcp6.ia[0].prefixes[0]`}},
		{"temporary foreign", func(b *nic.Binding) { b.DHCP6.Temporary[0] = addr("2001:db8:1::12") }, []string{`dhcp6.temporary[0] "2001:db8:1::12": not one of the NIC's IPv6 addresses`}},
		{"temporary listed", func(b *nic.Binding) { b.DHCP6.Temporary[0] = addr("2001:db8:1::10") }, []string{`dhcp6.temporary[0] "2001:db8:1::10": already in dhcp6.ia[0].addresses[0]`}},

		{"option twice", func(b *nic.Binding) { b.DHCP6.Options[1].Code = 17 }, []string{`dhcp6.options[1].code "17": the same code as dhcp6.options[0]`}},
		{"option length", func(b *nic.Binding) { b.DHCP6.Options[1].Data = nil }, []string{`dhcp6.options[1]: option 23 has 0 bytes; it must have a multiple of 16`}},
		{"boot URL", func(b *nic.Binding) { b.DHCP6.BootURL = "//x" }, []string{`dhcp6.boot-url "//x": not a URI such as https://example.org/path`}},
		{"boot arch", func(b *nic.Binding) { b.DHCP6.BootArch[7] = "" }, []string{`dhcp6.boot-arch[7]: has no URL`}},
		{"boot arg", func(b *nic.Binding) { b.DHCP6.BootArgs[0] = "a\nb" }, []string{`dhcp6.boot-args[0] "a\nb": character '\n' is not allowed`}},
		{"boot args", func(b *nic.Binding) { b.DHCP6.BootArgs = make([]string, 17) }, []string{`dhcp6.boot-args "17": at most 16 parameters`}},
		{"too much", func(b *nic.Binding) { b.DHCP6.Options[0].Data = make([]byte, 800) }, []string{`dhcp6: a reply with all addresses, prefixes and options takes up to 1359 bytes; 1232 fit the least IPv6 packet`}},

		{"routers many", func(b *nic.Binding) { b.Guard.Routers = make([]netip.Addr, 5) }, []string{`guard.routers "5": at most 4 entries`}},
		{"router global", func(b *nic.Binding) { b.Guard.Routers[1] = addr("2001:db8:1::1") }, []string{`guard.routers[1] "2001:db8:1::1": not a link-local: not in fe80::/10`}},
		{"router IPv4", func(b *nic.Binding) { b.Guard.Routers[1] = addr("169.254.1.1") }, []string{`guard.routers[1] "169.254.1.1": not a link-local: not in fe80::/10`}},
		{"router nothing", func(b *nic.Binding) { b.Guard.Routers[1] = netip.Addr{} }, []string{`guard.routers[1]: not a link-local: not in fe80::/10`}},
		{"router zone", func(b *nic.Binding) { b.Guard.Routers[1] = addr("fe80::2%eth0") }, []string{`guard.routers[1] "fe80::2%eth0": a zone means nothing outside one host (RFC 4007 section 6)`}},
		{"router ours", func(b *nic.Binding) { b.Guard.Routers[1] = nic.BerthLinkLocal() }, []string{`guard.routers[1] "fe80::62:65ff:fe72:7468": berth's own address on every NIC's link`}},
		{"router derived", func(b *nic.Binding) { b.Guard.Routers[1] = b.MAC.EUI64() }, []string{`guard.routers[1] "fe80::5054:ff:feaa:1": the NIC's own link-local: it follows from its MAC`}},
		{"router listed", func(b *nic.Binding) { b.Guard.Routers[1] = addr("fe80::8") }, []string{`guard.routers[1] "fe80::8": the NIC's own: link-local[1]`}},
		{"router twice", func(b *nic.Binding) { b.Guard.Routers[1] = addr("fe80::3") }, []string{`guard.routers[1] "fe80::3": the same address as guard.routers[0]`}},

		{"ra mode", func(b *nic.Binding) { b.RA.Mode = 3 }, []string{`ra.mode "3": unknown mode`}},
		{"preference", func(b *nic.Binding) { b.RA.Preference = 2 }, []string{`ra.preference "2": unknown preference`}},
		{"interval", func(b *nic.Binding) { b.RA.Interval = 3 }, []string{`ra.interval "3s": must be 4s to 1800s (RFC 4861 section 6.2.1)`}},
		{"lifetime", func(b *nic.Binding) { b.RA.Lifetime = 599 }, []string{`ra.lifetime "599s": shorter than the interval of 600s: the guest would lose its router between two advertisements`}},
		{"lifetime long", func(b *nic.Binding) { b.RA.Lifetime = 65536 }, []string{`ra.lifetime "65536s": at most 65535s (RFC 8319 section 4)`}},
		{"ra preferred", func(b *nic.Binding) { b.RA.Preferred = nic.Infinite }, []string{`ra.preferred "infinite": longer than the valid lifetime of 7200s (RFC 4861 section 4.6.2)`}},
		{"ra route none", func(b *nic.Binding) { b.RA.Routes[0].To = netip.Prefix{} }, []string{`ra.routes[0].to: not a prefix`}},
		{"ra route IPv4", func(b *nic.Binding) { b.RA.Routes[0].To = prefix("10.0.0.0/8") }, []string{`ra.routes[0].to "10.0.0.0/8": not an IPv6 prefix; IPv4 routes are written as routes`}},
		{"ra route bits", func(b *nic.Binding) { b.RA.Routes[0].To = prefix("2001:db8::1/32") }, []string{`ra.routes[0].to "2001:db8::1/32": host bits are set; the prefix is 2001:db8::/32`}},
		{"ra route twice", func(b *nic.Binding) { b.RA.Routes[1].To = b.RA.Routes[0].To }, []string{`ra.routes[1].to "2001:db8:ff::/48": the same destination as ra.routes[0]`}},
		{"ra route multicast", func(b *nic.Binding) { b.RA.Routes[0].To = prefix("ff00::/8") }, []string{`ra.routes[0].to "ff00::/8": a multicast address`}},
		{"ra route preference", func(b *nic.Binding) { b.RA.Routes[0].Preference = 2 }, []string{`ra.routes[0].preference "2": unknown preference`}},
		{"pref64 length", func(b *nic.Binding) { b.RA.PREF64 = prefix("64:ff9b::/80") }, []string{`ra.pref64 "64:ff9b::/80": must be a /96, /64, /56, /48, /40 or /32 (RFC 8781 section 4)`}},
		{"pref64 u", func(b *nic.Binding) { b.RA.PREF64 = prefix("64:ff9b:0:0:100::/96") }, []string{`ra.pref64 "64:ff9b:0:0:100::/96": bits 64 to 71 must be zero (RFC 6052 section 2.2)`}},
		{"pref64 IPv4", func(b *nic.Binding) { b.RA.PREF64 = prefix("10.0.0.0/32") }, []string{`ra.pref64 "10.0.0.0/32": not an IPv6 prefix`}},

		{"allow /15", func(b *nic.Binding) { b.Guard.AllowAddresses[2] = prefix("2000::/15") }, []string{`guard.allow-addresses[2] "2000::/15": a prefix shorter than /16 would allow nearly any source`}},
		{"allow link-local", func(b *nic.Binding) { b.Guard.AllowAddresses[2] = prefix("fe80::9/128") }, []string{`guard.allow-addresses[2] "fe80::9/128": ` + link}},
		{"allow gateway", func(b *nic.Binding) {
			b.Gateway6 = addr("2001:db8:1::1")
			b.Guard.AllowAddresses[2] = prefix("2001:db8:1::/120")
		}, []string{`guard.allow-addresses[2] "2001:db8:1::/120": the gateway 2001:db8:1::1 must stay out of a guest's reach`}},
		{"allow our MAC", func(b *nic.Binding) { b.Guard.AllowMACs[0] = nic.BerthMAC() }, []string{`guard.allow-macs[0] "02:62:65:72:74:68": berth's own, the sender of every answer`}},
	})
}

// What makes up the protocol is refused, and nothing else.
func TestValidateOption6Codes(t *testing.T) {
	refused := []int{
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 18, 19, 20, 25, 26, 32, 37, 38, 39, 43, 53,
		61, 62, 66, 67, 79, 80, 81, 87, 112, 135, 138, 139,
	}
	for code := range 300 {
		b := good6()
		b.DHCP6.Options = []nic.Option6{{Code: uint16(code), Data: make([]byte, 16)}}
		got := false
		for _, e := range nic.FieldErrors(nic.Validate(&b)) {
			got = got || e.Field == "dhcp6.options[0].code"
		}
		if want := slices.Contains(refused, code); got != want {
			t.Errorf("option %d: refused %v, want %v", code, got, want)
		}
	}
}

// An address of a subnet is a gateway where its MAC is known or the host
// routes; a NIC of IPv4 alone is not held to what its network gives.
func TestValidateGateway6(t *testing.T) {
	for name, make := range map[string]func(*nic.Binding){
		"in a subnet": func(b *nic.Binding) { b.Gateway6 = addr("2001:db8:1::1") },
		"in slaac":    func(b *nic.Binding) { b.Gateway6 = addr("2001:db8:a::1") },
		"routed": func(b *nic.Binding) {
			b.Gateway6, b.GatewayMAC, b.Routed, b.Neighbours = addr("2001:db8:1::1"), nic.MAC{}, true, nic.NeighboursAll
		},
		"IPv4 alone": func(b *nic.Binding) {
			*b = good()
			b.Gateway6, b.MTU = addr("2001:db8:9::1"), 576
		},
		"IPv6 alone": func(b *nic.Binding) { b.Addresses, b.Routes = b.Addresses[2:], nil },
		"/127":       func(b *nic.Binding) { b.Addresses[3] = prefix("2001:db8:1::11/127") },
	} {
		b := good6()
		make(&b)
		if err := nic.Validate(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What DHCPv6 does not give takes no room in its replies, and what is not
// announced none in an advertisement.
func TestValidateSizes6(t *testing.T) {
	many := func(bits, n int) nic.Binding {
		b := good()
		for i := range n {
			b.Addresses = append(b.Addresses, prefix(fmt.Sprintf("2001:db8:%x::1/%d", i+1, bits)))
		}
		return b
	}
	for _, tt := range []struct {
		name string
		make func() nic.Binding
		want []string
	}{
		{"36 addresses", func() nic.Binding {
			b := many(128, 36)
			b.Hostname, b.Domain = "", ""
			b.Search, b.CaptivePortal = nil, ""
			return b
		}, nil},
		{"200 addresses", func() nic.Binding { return many(128, 200) }, []string{
			`dhcp6: a reply with all addresses, prefixes and options takes up to 5880 bytes; 1232 fit the least IPv6 packet`,
		}},
		{"stateless", func() nic.Binding {
			b := many(128, 200)
			b.DHCP6.Mode = nic.DHCP6Stateless
			return b
		}, nil},
		{"200 subnets", func() nic.Binding {
			b := many(64, 200)
			b.DHCP6.Mode = nic.DHCP6Off
			return b
		}, []string{`ra: a router advertisement with all prefixes, routes and servers takes up to 6496 bytes; 1240 fit the least IPv6 packet`}},
		{"not announced", func() nic.Binding {
			b := many(64, 200)
			b.DHCP6.Mode, b.RA.Mode = nic.DHCP6Off, nic.RASite
			return b
		}, nil},
	} {
		b := tt.make()
		var got []string
		for _, e := range nic.FieldErrors(nic.Validate(&b)) {
			got = append(got, e.Error())
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, d)
		}
	}
}

// What is accepted fits: the rooms that speak never have to leave anything out,
// on the smallest link.
func TestValidSizesFit(t *testing.T) {
	accepted, refused := 0, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 6))
		b := good6()
		b.MTU = 1280
		b.Hostname, b.Domain = []string{"", "vm7", "vm7.example.org"}[r.IntN(3)], []string{"", "example.org"}[r.IntN(2)]
		b.Search = b.Search[:r.IntN(3)]
		for i := range r.IntN(32) {
			b.Addresses = append(b.Addresses, prefix(fmt.Sprintf("2001:db8:77:%x::1/64", i)))
		}
		for i := range r.IntN(12) {
			b.Delegated = append(b.Delegated, prefix(fmt.Sprintf("2001:db9:%x::/48", i)))
			b.DNS = append(b.DNS, addr(fmt.Sprintf("2001:dba:%x::1", i)))
		}
		for i := range r.IntN(12) {
			b.NTP = append(b.NTP, addr(fmt.Sprintf("2001:dba:%x::1", i)))
			b.RA.Routes = append(b.RA.Routes, nic.RARoute{To: prefix(fmt.Sprintf("2001:dbb:%x::/%d", i, 48+i*7)), Lifetime: 60})
		}
		b.DHCP6.Options = b.DHCP6.Options[:r.IntN(3)]
		if seed%2 == 0 { // the advertisement is what is near its limit
			b.DHCP6.Mode, b.NTP = nic.DHCP6Off, nil
		}
		if nic.Validate(&b) != nil {
			refused++
			continue
		}
		accepted++
		if size, limit := dhcp6.Size(&b, 18), dhcp6.Limit(&b); size > limit && b.DHCP6.Mode != nic.DHCP6Off {
			t.Fatalf("seed %d: a reply of %d bytes, %d fit: %+v", seed, size, limit, b)
		}
		// Where more fits, no more than that is sent.
		want := nd.Advertisements(nd.Router{Binding: &b, GatewayMAC: b.GatewayMAC}, nd.Withdrawn{})
		roomy := b
		roomy.MTU = 9000
		if got := nd.Advertisements(nd.Router{Binding: &roomy, GatewayMAC: b.GatewayMAC}, nd.Withdrawn{}); len(got[0].Message) != len(want[0].Message) {
			t.Fatalf("seed %d: an advertisement of %d bytes is cut to %d: %+v", seed, len(got[0].Message), len(want[0].Message), b)
		}
	}
	if accepted < 500 || refused < 500 {
		t.Errorf("%d accepted, %d refused: hardly any are near the limit", accepted, refused)
	}
}
