package nic_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// good is a binding with nothing wrong and most keys used.
func good() nic.Binding {
	return nic.Binding{
		NIC: "tap7", Network: "lan", MAC: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1},
		Hostname: "vm7.example.org", Domain: "example.org", Search: []string{"example.org", "example.net"},
		Addresses: []netip.Prefix{prefix("192.0.2.10/24"), prefix("198.51.100.7/32")},
		Gateway:   addr("192.0.2.1"), Broadcast: addr("192.0.2.255"),
		Routes: []nic.Route{{To: prefix("10.0.0.0/8"), Via: addr("192.0.2.2")}, {To: prefix("169.254.1.1/32")}},
		DNS:    []netip.Addr{addr("192.0.2.53"), addr("9.9.9.9")}, NTP: []netip.Addr{addr("192.0.2.123")},
		MTU: 1500, Tags: map[string]string{"vm": "seven"},
		DHCP4: nic.DHCP4{
			ServerID: nic.ServerID{Kind: nic.ServerIDFixed, Addr: addr("169.254.169.254")},
			Lease:    3600, MaxLease: 7200, T1: 1800, T2: 3150, V6OnlyWait: 300,
			Options:  []nic.Option{{Code: 43, Data: []byte{1}}, {Code: 33, Data: make([]byte, 16)}},
			Boot:     nic.Boot{NextServer: addr("192.0.2.5"), ServerName: "boot", File: "pxelinux.0"},
			BootArch: map[uint16]nic.Boot{7: {File: "x.efi"}}, BootIPXE: nic.Boot{File: "http://b/x"},
		},
		DHCP6: nic.DHCP6{Preferred: 3600, Valid: 7200, T1: 1800, T2: 2880},
		RA:    nic.RA{Interval: 600, Lifetime: 1800, HopLimit: 64, Preferred: 3600, Valid: 7200},
		Guard: nic.Guard{
			Rate:            nic.Rate{PerSecond: 50, Burst: 100},
			Checks:          nic.AllChecks(),
			AllowAddresses:  []netip.Prefix{prefix("10.20.0.0/16"), prefix("203.0.113.9/32")},
			AllowMACs:       []nic.MAC{{0, 0, 0x5e, 0, 1, 7}},
			AllowEthertypes: []uint16{0x88cc},
		},
	}
}

func TestValidateGood(t *testing.T) {
	b := good()
	if err := nic.Validate(&b); err != nil {
		t.Fatal(err)
	}
}

// mistake spoils a binding with nothing wrong, and is what Validate says then.
type mistake struct {
	name  string
	spoil func(b *nic.Binding)
	want  []string
}

func tellMistakes(t *testing.T, good func() nic.Binding, all []mistake) {
	t.Helper()
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			b := good()
			tt.spoil(&b)
			var got []string
			for _, e := range nic.FieldErrors(nic.Validate(&b)) {
				got = append(got, e.Error())
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// Every rule, broken alone, gives exactly its own message.
func TestValidate(t *testing.T) {
	label := strings.Repeat("a", 64)
	tellMistakes(t, good, []mistake{
		{"no name", func(b *nic.Binding) { b.NIC = "" }, []string{`nic: a NIC needs the name of its host interface`}},
		{"long name", func(b *nic.Binding) { b.NIC = "abcdefghijklmnop" }, []string{`nic "abcdefghijklmnop": 16 bytes; Linux allows interface names of at most 15`}},
		{"slash", func(b *nic.Binding) { b.NIC = "a/b" }, []string{`nic "a/b": character '/' is not allowed in an interface name`}},
		{"newline", func(b *nic.Binding) { b.NIC = "a\nb" }, []string{`nic "a\nb": character '\n' is not allowed in an interface name`}},
		{"dot", func(b *nic.Binding) { b.NIC = "." }, []string{`nic ".": not an interface name`}},
		{"dots", func(b *nic.Binding) { b.NIC = ".." }, []string{`nic "..": not an interface name`}},
		{"pattern", func(b *nic.Binding) { b.NIC = "tap%d" }, []string{`nic "tap%d": character '%' is not allowed in an interface name`}},
		{"network", func(b *nic.Binding) { b.Network = "a\x00" }, []string{`network "a\x00": character '\x00' is not allowed`}},
		{"zero MAC", func(b *nic.Binding) { b.MAC = nic.MAC{} }, []string{`mac "00:00:00:00:00:00": a NIC needs a MAC address that is not zero`}},
		{"group MAC", func(b *nic.Binding) { b.MAC[0] = 1 }, []string{`mac "01:54:00:aa:00:01": a group address (IEEE 802 I/G bit) cannot be a source`}},
		{"hostname", func(b *nic.Binding) { b.Hostname = "a_b" }, []string{`hostname "a_b": character '_' is not allowed in a name (RFC 1123 section 2.1)`}},
		{"hostname newline", func(b *nic.Binding) { b.Hostname = "a\nb" }, []string{`hostname "a\nb": character '\n' is not allowed in a name (RFC 1123 section 2.1)`}},
		{"hostname NUL", func(b *nic.Binding) { b.Hostname = "a\x00" }, []string{`hostname "a\x00": character '\x00' is not allowed in a name (RFC 1123 section 2.1)`}},
		{"hostname hyphen", func(b *nic.Binding) { b.Hostname = "a-.b" }, []string{`hostname "a-.b": label "a-" begins or ends with a hyphen (RFC 1123 section 2.1)`}},
		{"long label", func(b *nic.Binding) { b.Domain = label }, []string{fmt.Sprintf("domain %q: a label of 64 bytes; at most 63 are allowed (RFC 1035 section 2.3.4)", label)}},
		{"long domain", func(b *nic.Binding) { b.Domain = strings.Repeat("a.", 127) }, []string{fmt.Sprintf("domain %q: 254 bytes; a domain name has at most 253 (RFC 1035 section 2.3.4)", strings.Repeat("a.", 127))}},
		{"search", func(b *nic.Binding) { b.Search[1] = "a..b" }, []string{`search[1] "a..b": an empty label`}},
		{"mapped", func(b *nic.Binding) { b.DNS[0] = addr("::ffff:192.0.2.1") }, []string{`dns[0] "::ffff:192.0.2.1": an IPv4-mapped address; write 192.0.2.1`}},
		{"network address", func(b *nic.Binding) { b.Addresses[0] = prefix("192.0.2.0/24") }, []string{`addresses[0] "192.0.2.0/24": the network address of 192.0.2.0/24`}},
		{"broadcast address", func(b *nic.Binding) { b.Addresses[0] = prefix("192.0.2.255/24") }, []string{`addresses[0] "192.0.2.255/24": the broadcast address of 192.0.2.0/24`, `broadcast "192.0.2.255": the NIC's own address`}},
		{"zero net", func(b *nic.Binding) { b.Addresses = append(b.Addresses, prefix("0.1.2.3/24")) }, []string{`addresses[2] "0.1.2.3/24": in 0.0.0.0/8, which is no host's address (RFC 1122 section 3.2.1.3)`}},
		{"loopback", func(b *nic.Binding) { b.Addresses = append(b.Addresses, prefix("127.0.0.2/8")) }, []string{`addresses[2] "127.0.0.2/8": a loopback address`}},
		{"multicast", func(b *nic.Binding) { b.Addresses = append(b.Addresses, prefix("224.1.1.1/32")) }, []string{`addresses[2] "224.1.1.1/32": a multicast address`}},
		{"class E", func(b *nic.Binding) { b.Addresses = append(b.Addresses, prefix("240.0.0.1/32")) }, []string{`addresses[2] "240.0.0.1/32": in 240.0.0.0/4, which is reserved (RFC 1112 section 4)`}},
		{"/0", func(b *nic.Binding) { b.Addresses = append(b.Addresses, prefix("10.0.0.1/0")) }, []string{`addresses[2] "10.0.0.1/0": a subnet cannot be /0`}},
		{"twice", func(b *nic.Binding) { b.Addresses = append(b.Addresses, prefix("192.0.2.10/25")) }, []string{`addresses[2] "192.0.2.10/25": the same address as addresses[0]`}},
		{"gateway off link", func(b *nic.Binding) { b.Gateway = addr("10.1.1.1") }, []string{`gateway "10.1.1.1": not on link: in none of the NIC's subnets; if it is, add a route to 10.1.1.1/32 without via`}},
		{"gateway own", func(b *nic.Binding) { b.Gateway = addr("192.0.2.10") }, []string{`gateway "192.0.2.10": the NIC's own address`}},
		{"gateway is network", func(b *nic.Binding) { b.Gateway = addr("192.0.2.0") }, []string{`gateway "192.0.2.0": the network address of 192.0.2.0/24`}},
		{"broadcast outside", func(b *nic.Binding) { b.DHCP4.Address = prefix("192.0.2.10/24"); b.Broadcast = addr("192.0.3.255") }, []string{`broadcast "192.0.3.255": not in the delivered subnet 192.0.2.0/24`}},
		{"broadcast of /32", func(b *nic.Binding) { b.DHCP4.Address = prefix("198.51.100.7/32") }, []string{`broadcast "192.0.2.255": 198.51.100.7/32 has no broadcast address (RFC 3021)`}},
		{"dns loopback", func(b *nic.Binding) { b.DNS[1] = addr("127.0.0.53") }, []string{`dns[1] "127.0.0.53": a loopback address`}},
		{"dns twice", func(b *nic.Binding) { b.DNS[1] = b.DNS[0] }, []string{`dns[1] "192.0.2.53": the same address as dns[0]`}},
		{"ntp", func(b *nic.Binding) { b.NTP[0] = addr("255.255.255.255") }, []string{`ntp[0] "255.255.255.255": in 240.0.0.0/4, which is reserved (RFC 1112 section 4)`}},
		{"mtu", func(b *nic.Binding) { b.MTU = 67 }, []string{`mtu "67": at least 68 (RFC 791), or 0 to announce none`}},
		{"route bits", func(b *nic.Binding) { b.Routes[0].To = prefix("10.0.0.1/8") }, []string{`routes[0].to "10.0.0.1/8": host bits are set; the prefix is 10.0.0.0/8`}},
		{"route twice", func(b *nic.Binding) { b.Routes[1].To = b.Routes[0].To }, []string{`routes[1].to "10.0.0.0/8": the same destination as routes[0]`}},
		{"route multicast", func(b *nic.Binding) { b.Routes[0].To = prefix("224.0.0.0/4") }, []string{`routes[0].to "224.0.0.0/4": a multicast prefix`}},
		{"via off link", func(b *nic.Binding) { b.Routes[0].Via = addr("172.16.0.1") }, []string{`routes[0].via "172.16.0.1": not on link: in none of the NIC's subnets; if it is, add a route to 172.16.0.1/32 without via`}},
		{"tag value", func(b *nic.Binding) { b.Tags["vm"] = "a\nb" }, []string{`tags.vm "a\nb": character '\n' is not allowed`}},
		{"tag UTF-8", func(b *nic.Binding) { b.Tags["vm"] = "\xff" }, []string{`tags.vm "\xff": not UTF-8`}},
		{"delivered", func(b *nic.Binding) { b.DHCP4.Address = prefix("192.0.2.11/24") }, []string{`dhcp4.address "192.0.2.11/24": not one of the NIC's addresses`}},
		{"server 0", func(b *nic.Binding) { b.DHCP4.ServerID.Addr = addr("0.0.0.0") }, []string{`dhcp4.server-id "0.0.0.0": in 0.0.0.0/8, which is no host's address (RFC 1122 section 3.2.1.3)`}},
		{"server missing", func(b *nic.Binding) { b.DHCP4.ServerID.Addr = netip.Addr{} }, []string{`dhcp4.server-id: not an address`}},
		{"server own", func(b *nic.Binding) { b.DHCP4.ServerID.Addr = addr("192.0.2.10") }, []string{`dhcp4.server-id "192.0.2.10": the NIC's own address cannot be its server's`}},
		{"server broadcast", func(b *nic.Binding) { b.DHCP4.ServerID.Addr = addr("192.0.2.255") }, []string{`dhcp4.server-id "192.0.2.255": the broadcast address of 192.0.2.0/24`}},
		{"server stray", func(b *nic.Binding) { b.DHCP4.ServerID.Kind = nic.ServerIDGateway }, []string{`dhcp4.server-id "169.254.169.254": an address goes with a fixed server identifier only`}},
		{"lease", func(b *nic.Binding) { b.DHCP4.Lease = 59 }, []string{`dhcp4.lease "59s": at least 60s`}},
		{"max-lease", func(b *nic.Binding) { b.DHCP4.MaxLease = 3599 }, []string{`dhcp4.max-lease "3599s": shorter than the lease of 3600s`}},
		{"infinite lease", func(b *nic.Binding) { b.DHCP4.Lease = nic.Infinite }, []string{`dhcp4.max-lease "7200s": shorter than the lease of infinite`}},
		{"t1", func(b *nic.Binding) { b.DHCP4.T1 = 3150 }, []string{`dhcp4.t1 "3150s": not before t2 of 3150s (RFC 2131 section 4.4.5)`}},
		{"t1 alone", func(b *nic.Binding) { b.DHCP4.T1, b.DHCP4.T2 = 3600, 0 }, []string{`dhcp4.t1 "3600s": not shorter than the lease of 3600s (RFC 2131 section 4.4.5)`}},
		{"t2", func(b *nic.Binding) { b.DHCP4.T2 = 3600 }, []string{`dhcp4.t2 "3600s": not shorter than the lease of 3600s (RFC 2131 section 4.4.5)`}},
		{"v6 only", func(b *nic.Binding) { b.DHCP4.V6OnlyWait = 299 }, []string{`dhcp4.v6-only-wait "299s": at least 300s (RFC 8925 section 3.4)`}},
		{"option twice", func(b *nic.Binding) { b.DHCP4.Options[1] = b.DHCP4.Options[0] }, []string{`dhcp4.options[1].code "43": the same code as dhcp4.options[0]`}},
		{"option length", func(b *nic.Binding) { b.DHCP4.Options[1].Data = make([]byte, 12) }, []string{`dhcp4.options[1]: option 33 has 12 bytes; it must have a multiple of 8`}},
		{"option empty", func(b *nic.Binding) { b.DHCP4.Options[0].Data = nil }, []string{`dhcp4.options[0]: option 43 has 0 bytes; it must have at least 1`}},
		{"option exact", func(b *nic.Binding) { b.DHCP4.Options[0] = nic.Option{Code: 26, Data: []byte{1}} }, []string{`dhcp4.options[0]: option 26 has 1 bytes; it must have 2`}},
		{"too much", func(b *nic.Binding) { b.DHCP4.Options[0].Data = make([]byte, 1200) }, []string{`dhcp4.options: all options together take 1451 bytes; 1232 fit one Ethernet packet`}},
		{"boot file", func(b *nic.Binding) { b.DHCP4.Boot.File = strings.Repeat("f", 128) }, []string{fmt.Sprintf("dhcp4.boot.file %q: 128 bytes; at most 127 are allowed", strings.Repeat("f", 128))}},
		{"boot name", func(b *nic.Binding) { b.DHCP4.BootIPXE.ServerName = strings.Repeat("s", 64) }, []string{fmt.Sprintf("dhcp4.boot-ipxe.server-name %q: 64 bytes; at most 63 are allowed", strings.Repeat("s", 64))}},
		{"boot server", func(b *nic.Binding) { b.DHCP4.BootArch[7] = nic.Boot{NextServer: addr("224.0.0.1")} }, []string{`dhcp4.boot-arch[7].next-server "224.0.0.1": a multicast address`}},
		{"rate", func(b *nic.Binding) { b.Guard.Rate = nic.Rate{} }, []string{`guard.rate.per-second "0": at least 1: a NIC that may ask nothing gets no address`, `guard.rate.burst "0": at least 1: a NIC that may ask nothing gets no address`}},
		{"allow all", func(b *nic.Binding) { b.Guard.AllowAddresses[0] = prefix("0.0.0.0/0") }, []string{`guard.allow-addresses[0] "0.0.0.0/0": a prefix shorter than /8 would allow nearly any source`}},
		{"allow /7", func(b *nic.Binding) { b.Guard.AllowAddresses[0] = prefix("10.0.0.0/7") }, []string{`guard.allow-addresses[0] "10.0.0.0/7": a prefix shorter than /8 would allow nearly any source`}},
		{"allow gateway", func(b *nic.Binding) { b.Guard.AllowAddresses[0] = prefix("192.0.2.0/30") }, []string{`guard.allow-addresses[0] "192.0.2.0/30": the gateway 192.0.2.1 must stay out of a guest's reach`}},
		{"allow multicast", func(b *nic.Binding) { b.Guard.AllowAddresses[1] = prefix("224.0.0.0/8") }, []string{`guard.allow-addresses[1] "224.0.0.0/8": a multicast address`}},
		{"allow loopback", func(b *nic.Binding) { b.Guard.AllowAddresses[1] = prefix("127.0.0.0/8") }, []string{`guard.allow-addresses[1] "127.0.0.0/8": a loopback address`}},
		{"allow bits", func(b *nic.Binding) { b.Guard.AllowAddresses[0] = prefix("10.20.0.1/16") }, []string{`guard.allow-addresses[0] "10.20.0.1/16": host bits are set; the prefix is 10.20.0.0/16`}},
		{"allow IPv6", func(b *nic.Binding) { b.Guard.AllowAddresses[0] = prefix("::/0") }, []string{`guard.allow-addresses[0] "::/0": a prefix shorter than /16 would allow nearly any source`}},
		{"allow too many", func(b *nic.Binding) { b.Guard.AllowAddresses = make([]netip.Prefix, 65537) }, []string{`guard.allow-addresses "65537": at most 65536 entries`}},
		{"allow own MAC", func(b *nic.Binding) { b.Guard.AllowMACs[0] = b.MAC }, []string{`guard.allow-macs[0] "52:54:00:aa:00:01": the same address as mac`}},
		{"allow group MAC", func(b *nic.Binding) { b.Guard.AllowMACs[0] = nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }, []string{`guard.allow-macs[0] "ff:ff:ff:ff:ff:ff": a group address (IEEE 802 I/G bit) cannot be a source`}},
		{"too many MACs", func(b *nic.Binding) { b.Guard.AllowMACs = make([]nic.MAC, 16) }, []string{`guard.allow-macs "16": at most 15 entries`}},
		{"VLAN", func(b *nic.Binding) { b.Guard.AllowVLANs = []uint16{0, 42, 42} }, []string{`guard.allow-vlans[0] "0": not a VLAN: want 1 to 4094 (IEEE 802.1Q 9.6)`, `guard.allow-vlans[2] "42": the same VLAN as guard.allow-vlans[1]`}},
		{"too many VLANs", func(b *nic.Binding) { b.Guard.AllowVLANs = make([]uint16, 9) }, []string{`guard.allow-vlans "9": at most 8 entries`}},
		{"length", func(b *nic.Binding) { b.Guard.AllowEthertypes[0] = 0x5ff }, []string{`guard.allow-ethertypes[0] "0x05ff": below 0x0600 it is a length, not a type (IEEE 802.3)`}},
		{"IPv4 type", func(b *nic.Binding) { b.Guard.AllowEthertypes[0] = 0x800 }, []string{`guard.allow-ethertypes[0] "0x0800": IPv4, ARP and IPv6 have rules of their own and are not listed`}},
		{"RARP type", func(b *nic.Binding) { b.Guard.AllowEthertypes[0] = 0x8035 }, []string{`guard.allow-ethertypes[0] "0x8035": reverse ARP is never allowed`}},
		{"VLAN type", func(b *nic.Binding) { b.Guard.AllowEthertypes[0] = 0x88a8 }, []string{`guard.allow-ethertypes[0] "0x88a8": a VLAN tag would hide the frame behind it`}},
		{"too many types", func(b *nic.Binding) { b.Guard.AllowEthertypes = make([]uint16, 9) }, []string{`guard.allow-ethertypes "9": at most 8 entries`}},
	})
}

// The codes the server sets itself are refused, and no others.
func TestValidateOptionCodes(t *testing.T) {
	refused := map[int]bool{0: true, 50: true, 51: true, 52: true, 53: true, 54: true, 55: true, 57: true, 61: true, 80: true, 81: true, 82: true, 255: true}
	for code := range 256 {
		b := good()
		b.DHCP4.Options = []nic.Option{{Code: uint8(code), Data: make([]byte, 8)}}
		got := false
		for _, e := range nic.FieldErrors(nic.Validate(&b)) {
			got = got || e.Field == "dhcp4.options[0].code"
		}
		if got != refused[code] {
			t.Errorf("option %d: refused %v, want %v", code, got, refused[code])
		}
	}
}

// RFC 3021: both addresses of a /31 are hosts.
func TestValidatePointToPoint(t *testing.T) {
	b := good()
	b.Broadcast, b.Routes = netip.Addr{}, nil
	b.Addresses = []netip.Prefix{prefix("192.0.2.0/31")}
	b.Gateway = addr("192.0.2.1")
	if err := nic.Validate(&b); err != nil {
		t.Error(err)
	}
}

// A /32 with its gateway behind an on-link route is what routed hosts use.
func TestValidateOffLinkGateway(t *testing.T) {
	b := good()
	b.Broadcast = netip.Addr{}
	b.Addresses = []netip.Prefix{prefix("198.51.100.7/32")}
	b.Gateway = addr("169.254.1.1")
	b.Routes = []nic.Route{{To: prefix("169.254.1.1/32")}}
	if err := nic.Validate(&b); err != nil {
		t.Error(err)
	}
}

// A NIC without addresses is guarded and told nothing; what its network would
// announce is no mistake.
func TestValidateNoAddresses(t *testing.T) {
	b := good()
	b.Addresses = nil
	if err := nic.Validate(&b); err != nil {
		t.Error(err)
	}
}
