package nfdhcpd

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// web1 is the binding of the file called bridged.
func web1() nic.Binding {
	return nic.Binding{
		NIC: "tap0", Network: "br0", MAC: nic.MAC{0xaa, 0, 0, 0x11, 0x22, 0x33},
		Hostname:   "web1.example.org",
		Addresses:  prefixes("203.0.113.10/24", "2001:db8:1:0:a800:ff:fe11:2233/64"),
		Gateway:    ip("203.0.113.1"),
		Gateway6:   ip("fe80::ff:fe00:9"),
		GatewayMAC: nic.MAC{0x02, 0, 0, 0, 0, 0x09},
		DNS:        addrs("198.51.100.1", "198.51.100.2", "2001:db8::53"),
		Neighbours: nic.NeighboursServer,
		Tags:       map[string]string{"TAGS": "synnefo:network:0:protected"},
		DHCP4: nic.DHCP4{
			ServerID: nic.ServerID{Kind: nic.ServerIDFixed, Addr: ip("192.0.2.1")},
			Lease:    604800, MaxLease: 604800, T1: 3600,
			Options: []nic.Option{{Code: 12, Data: []byte("web1.example.org")}},
		},
		DHCP6: nic.DHCP6{Mode: nic.DHCP6Stateless, Preferred: 604800, Valid: 2592000, T1: 302400, T2: 483840},
		RA: nic.RA{
			Interval: 300, Lifetime: 14400, Preferred: nic.Infinite, Valid: nic.Infinite, Autonomous: true,
		},
		Guard:  nic.Guard{Checks: nic.AllChecks(), Rate: nic.Rate{PerSecond: 50, Burst: 100}},
		Origin: nic.Origin{File: tapFile, Line: 1},
	}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestBridged(t *testing.T) {
	equal(t, web1(), one(t, configured(t, conf), bridged))
}

// A routed NIC's router is the tap, with the link-local that the guest had
// from nfdhcpd.
func TestRouted(t *testing.T) {
	want := web1()
	want.Network, want.Routed, want.Neighbours, want.Tags = "", true, nic.NeighboursAll, nil
	want.Gateway6, want.GatewayMAC = ip("fe80::ce47:52ff:fe4e:4554"), nic.MAC{}
	equal(t, want, one(t, configured(t, conf), routed))
	equal(t, want, one(t, configured(t, conf), with(routed, "INDEV", "INDEV=")))

	for gateway, hosts := range map[string]Hosts{
		"fe80::ce47:52ff:fe4e:4554": {}, // snf-network's taps have one MAC
		"fe80::ff:fe00:99":          {MACs: map[string]nic.MAC{"tap0": {0x02, 0, 0, 0, 0, 0x99}}},
	} {
		want.Gateway6 = ip(gateway)
		r := configured(t, conf).Parse(tapFile, []byte(routed), hosts)
		told(t, tapFile, nil, r.Problems)
		equal(t, []nic.Binding{want}, r.Bindings)
	}
	want.Gateway6 = ip("fe80::1")
	equal(t, want, one(t, configured(t, conf), with(routed, "GATEWAY6", "GATEWAY6=fe80::1")))
}

// Every key of a file, with a value that says something.
func TestFileKeys(t *testing.T) {
	tests := []struct {
		key, line string
		want      func(*nic.Binding)
	}{
		{"IP", "IP=203.0.113.77", func(b *nic.Binding) { b.Addresses[0] = prefixes("203.0.113.77/24")[0] }},
		{"IP", "IP=", func(b *nic.Binding) { b.Addresses, b.Gateway = b.Addresses[1:], netip.Addr{} }},
		{"MAC", "MAC=AA-00-00-11-22-33", nil},
		{"MAC", `MAC="aa:00:00:11:22:33"`, nil},
		{"HOSTNAME", "HOSTNAME='db1'", func(b *nic.Binding) { b.Hostname, b.DHCP4.Options = "db1", nil }},
		{"HOSTNAME", "HOSTNAME=", func(b *nic.Binding) { b.Hostname, b.DHCP4.Options = "", nil }},
		{"INSTANCE", "INSTANCE=db1", func(b *nic.Binding) { b.Tags["INSTANCE"] = "db1" }},
		{"INDEV", "INDEV=br7", func(b *nic.Binding) {
			b.Network, b.Gateway6, b.GatewayMAC = "br7", netip.Addr{}, nic.MAC{} // not known to this host
		}},
		{"SUBNET", "SUBNET=203.0.112.0/20", func(b *nic.Binding) { b.Addresses[0] = prefixes("203.0.113.10/20")[0] }},
		{"SUBNET", "SUBNET=203.0.113.10/32", func(b *nic.Binding) {
			b.Addresses[0] = prefixes("203.0.113.10/32")[0]
			b.Routes = []nic.Route{{To: prefixes("203.0.113.1/32")[0]}}
		}},
		{"GATEWAY", "GATEWAY=203.0.113.254", func(b *nic.Binding) { b.Gateway = ip("203.0.113.254") }},
		{"GATEWAY", "GATEWAY=", func(b *nic.Binding) { b.Gateway = netip.Addr{} }},
		{"SUBNET6", "SUBNET6=", func(b *nic.Binding) { withoutIPv6(b) }},
		{"SUBNET6", "SUBNET6=fe80::/64", func(b *nic.Binding) { withoutIPv6(b); b.IPv6 = nic.IPv6LinkLocal }},
		{"GATEWAY6", "GATEWAY6=", nil},
		{"GATEWAY6", "GATEWAY6=fe80::1", func(b *nic.Binding) { b.Gateway6, b.GatewayMAC = ip("fe80::1"), nic.MAC{} }},
		{"GATEWAY6_MAC", "GATEWAY6_MAC=02:00:00:00:00:77", func(b *nic.Binding) {
			b.Gateway6, b.GatewayMAC = ip("2001:db8:1::1"), nic.MAC{2, 0, 0, 0, 0, 0x77}
		}},
		{"EUI64", "EUI64=", nil},
		{"EUI64", "EUI64=2001:db8:1::a/64", func(b *nic.Binding) { b.Addresses[1] = prefixes("2001:db8:1::a/64")[0] }},
		{"MACSPOOF", "MACSPOOF=", nil},
		{"MACSPOOF", "MACSPOOF=1", spoofs},
		{"MACSPOOF", "MACSPOOF=0", spoofs}, // as nfdhcpd had it
		{"MTU", "MTU=1442", func(b *nic.Binding) { b.MTU = 1442 }},
		{"MTU", "MTU=", nil},
		{"PRIVATE", "PRIVATE=yes", func(b *nic.Binding) { b.NoDefaultRoute = true }},
		{"PRIVATE", "PRIVATE=0", func(b *nic.Binding) { b.NoDefaultRoute = true }},
		{"PRIVATE", "PRIVATE=", nil},
		{"TAGS", "TAGS=", func(b *nic.Binding) { b.Tags = nil }},
		{"TAGS", "TAGS=" + strings.Repeat("x", 1025), func(b *nic.Binding) { b.Tags = nil }},
		{"LINK", "LINK=br0", func(b *nic.Binding) { b.Tags["LINK"] = "br0" }},
		{"NAMESERVERS", "NAMESERVERS=203.0.113.53,203.0.113.54", func(b *nic.Binding) {
			b.DNS = addrs("203.0.113.53", "203.0.113.54", "2001:db8::53")
		}},
		{"NAMESERVERS6", "NAMESERVERS6=2001:db8:1::53", func(b *nic.Binding) {
			b.DNS = addrs("198.51.100.1", "198.51.100.2", "2001:db8:1::53")
		}},
	}
	reached := map[string]bool{}
	for _, test := range tests {
		reached[test.key] = true
		t.Run(test.line, func(t *testing.T) {
			want := web1()
			if test.want != nil {
				test.want(&want)
			}
			equal(t, want, one(t, configured(t, conf), with(bridged, test.key, test.line)))
		})
	}
	for _, key := range known() {
		if !reached[key] {
			t.Errorf("%s has no test", key)
		}
	}
}

func withoutIPv6(b *nic.Binding) {
	b.Addresses, b.Gateway6, b.GatewayMAC = b.Addresses[:1], netip.Addr{}, nic.MAC{}
}

func spoofs(b *nic.Binding) {
	c := &b.Guard.Checks
	c.MAC, c.ARP, c.ND, b.DHCP4.AnyClient = false, false, false, true
}

func TestFileMistakes(t *testing.T) {
	tests := []struct{ key, line, want string }{
		{"IP", "IP=203.0.113.300", `2:1: IP "203.0.113.300": not an IPv4 address`},
		{"IP", "IP=2001:db8::1", `2:1: IP "2001:db8::1": not an IPv4 address`},
		{"IP", "IP=198.51.100.7", `2:1: IP "198.51.100.7": not in SUBNET 203.0.113.0/24`},
		{"IP", "IP=203.0.113.255", `2:1: IP "203.0.113.255": the broadcast address of 203.0.113.0/24`},
		{"MAC", "MAC=", `3:1: MAC: missing: a NIC needs its guest's MAC address`},
		{"MAC", "MAC=aa:00", `3:1: MAC "aa:00": not a MAC address such as 52:54:00:aa:00:01`},
		{"MAC", "MAC=01:00:5e:00:00:01", `3:1: MAC "01:00:5e:00:00:01": a group address (IEEE 802 I/G bit) cannot be a source`},
		{"HOSTNAME", "HOSTNAME=my_web", `4:1: HOSTNAME "my_web": character '_' is not allowed in a name (RFC 1123 section 2.1)`},
		{"INDEV", "INDEV=no/interface", `1:1: INDEV "no/interface": not the name of an interface`},
		{"GATEWAY", "GATEWAY=here", `6:1: GATEWAY "here": not an IPv4 address`},
		{"GATEWAY", "GATEWAY=203.0.113.10", `6:1: GATEWAY "203.0.113.10": the NIC's own address`},
		{"SUBNET", "SUBNET=203.0.113.1/24", `7:1: SUBNET "203.0.113.1/24": host bits are set; the subnet is 203.0.113.0/24`},
		{"SUBNET", "SUBNET=203.0.113.0", `7:1: SUBNET "203.0.113.0": not an IPv4 subnet such as 192.0.2.0/24`},
		{"SUBNET", "SUBNET=", `2:1: IP "203.0.113.10": needs SUBNET: without it nfdhcpd never answered`},
		{"GATEWAY6", "GATEWAY6=203.0.113.1", `8:1: GATEWAY6 "203.0.113.1": not an IPv6 address`},
		{"GATEWAY6", "GATEWAY6=2001:db8:2::1", `8:1: GATEWAY6 "2001:db8:2::1": not in SUBNET6 2001:db8:1::/64`},
		{"SUBNET6", "SUBNET6=2001:db8:1::1/64", `9:1: SUBNET6 "2001:db8:1::1/64": host bits are set; the subnet is 2001:db8:1::/64`},
		{"SUBNET6", "SUBNET6=2001:db8:1::/80", `9:1: SUBNET6 "2001:db8:1::/80": autoconfiguration needs a /64 (RFC 4862 section 5.5.3)`},
		{"SUBNET6", "SUBNET6=203.0.113.0/24", `9:1: SUBNET6 "203.0.113.0/24": not an IPv6 subnet such as 2001:db8:1::/64`},
		{"EUI64", "EUI64=me", `10:1: EUI64 "me": not an IPv6 address`},
		{"EUI64", "EUI64=2001:db8:2::1", `10:1: EUI64 "2001:db8:2::1": not in SUBNET6 2001:db8:1::/64`},
		{"EUI64", "EUI64=2001:db8:1::", `10:1: EUI64 "2001:db8:1::": the subnet-router anycast address of 2001:db8:1::/64 (RFC 4291 section 2.6.1)`},
		{"MTU", "MTU=jumbo", `11:1: MTU "jumbo": not a number of bytes up to 65535`},
		{"MTU", "MTU=576", `11:1: MTU "576": at least 1280 for a NIC with IPv6 (RFC 8200 section 5), or 0 to announce none`},
		{"GATEWAY6_MAC", "GATEWAY6_MAC=x", `11:1: GATEWAY6_MAC "x": not a MAC address such as 52:54:00:aa:00:01`},
		{"GATEWAY6_MAC", "GATEWAY6_MAC=aa:00:00:11:22:33", `11:1: GATEWAY6_MAC "aa:00:00:11:22:33": the NIC's own MAC`},
		{"NAMESERVERS", "NAMESERVERS=a", `11:1: NAMESERVERS "a": not an IPv4 address`},
		{"NAMESERVERS", "NAMESERVERS=127.0.0.1", `11:1: NAMESERVERS "127.0.0.1": a loopback address`},
		{"NAMESERVERS6", "NAMESERVERS6=1.1.1.1", `11:1: NAMESERVERS6 "1.1.1.1": not an IPv6 address`},
		{"NAMESERVERS6", "NAMESERVERS6=::1", `11:1: NAMESERVERS6 "::1": a loopback address`},
	}
	reached := map[string]bool{
		// Any value will do.
		keyMACSpoof: true, keyPrivate: true, keyInstance: true, keyTags: true, keyLink: true,
	}
	f := configured(t, conf)
	for _, test := range tests {
		reached[test.key] = true
		t.Run(test.line, func(t *testing.T) {
			r := f.Parse(tapFile, []byte(with(bridged, test.key, test.line)), host())
			told(t, tapFile, []string{test.want}, r.Problems)
			equal(t, []string{"tap0"}, r.Names)
			if len(r.Bindings) > 0 || len(r.Problems) > 0 && r.Problems[0].NIC != "tap0" {
				t.Errorf("%d bindings, problem of %q", len(r.Bindings), r.Problems[0].NIC)
			}
		})
	}
	for _, key := range known() {
		if !reached[key] {
			t.Errorf("%s has no test", key)
		}
	}
}

// A NIC whose server identifier is its own address cannot be told apart from
// its server; the conf is named.
func TestMistakeOfTheConfAtOneNIC(t *testing.T) {
	f := configured(t, with(conf, "dhcp.server_ip", "server_ip = 203.0.113.10"))
	r := f.Parse(tapFile, []byte(bridged), host())
	told(t, tapFile, []string{`dhcp.server_ip "203.0.113.10": the NIC's own address cannot be its server's`}, r.Problems)
}

func TestSeveralMistakes(t *testing.T) {
	text := with(with(with(bridged, "IP", "IP=x"), "HOSTNAME", "HOSTNAME=-"), "MAC", "MAC=x")
	r := configured(t, conf).Parse(tapFile, []byte(text), host())
	told(t, tapFile, []string{
		`2:1: IP "x": not an IPv4 address`,
		`3:1: MAC "x": not a MAC address such as 52:54:00:aa:00:01`,
		`4:1: HOSTNAME "-": label "-" begins or ends with a hyphen (RFC 1123 section 2.1)`,
	}, r.Problems)
}

func TestNameThatIsNone(t *testing.T) {
	r := configured(t, conf).Parse("/var/lib/nfdhcpd/a name of no interface", []byte(routed), host())
	if len(r.Bindings) > 0 || len(r.Problems) == 0 || r.Names != nil {
		t.Errorf("%d bindings, %d problems, names %v", len(r.Bindings), len(r.Problems), r.Names)
	}
}

func TestFileWarnings(t *testing.T) {
	f := configured(t, conf)
	tests := []struct{ text, want string }{
		{with(bridged, "INDEV", "INDEV=br7"), `1:1: INDEV "br7": the MAC of "br7" is not known: the guest is told of no IPv6 default router`},
		{with(bridged, "EUI64", "EUI64=2001:db8:1::a"), `10:1: EUI64 "2001:db8:1::a": the guest makes 2001:db8:1:0:a800:ff:fe11:2233 of its MAC, which this binding does not allow`},
		{with(bridged, "TAGS", "TAGS=a\tb"), "5:1: TAGS \"a\\tb\": not kept as a tag: over 1024 bytes, or not to be printed"},
		{with(routed, "GATEWAY6_MAC", "GATEWAY6_MAC=02:00:00:00:00:77"), `8:1: GATEWAY6_MAC "02:00:00:00:00:77": no effect: the host is the router of a routed NIC`},
		{bridged, ""},
		{routed, ""},
	}
	for _, test := range tests {
		want := []string{test.want}
		if test.want == "" {
			want = nil
		}
		told(t, tapFile, want, f.Warnings(tapFile, []byte(test.text), host()))
		if r := f.Parse(tapFile, []byte(test.text), host()); len(r.Bindings) != 1 {
			t.Errorf("a warning cost the binding: %v", r.Problems)
		}
	}
}

// What the conf says to every NIC.
func TestConfInBindings(t *testing.T) {
	tests := []struct {
		key, line string
		want      func(*nic.Binding)
	}{
		{"dhcp.enable_dhcp", "enable_dhcp = no", func(b *nic.Binding) { b.DHCP4.Off = true }},
		{"dhcp.lease_lifetime", "lease_lifetime = 4294967295", func(b *nic.Binding) { b.DHCP4.Lease, b.DHCP4.MaxLease = nic.Infinite, nic.Infinite }},
		{"dhcp.lease_renewal", "lease_renewal = 0", func(b *nic.Binding) { b.DHCP4.T1 = 0 }},
		{"dhcp.server_ip", "server_ip = 203.0.113.2", func(b *nic.Binding) { // may be somebody's
			b.DHCP4.ServerID.Addr, b.Neighbours = ip("203.0.113.2"), nic.NeighboursOff
		}},
		{"dhcp.server_on_link", "server_on_link = yes", func(b *nic.Binding) {
			b.DHCP4.ServerID, b.Neighbours = nic.ServerID{Kind: nic.ServerIDGateway}, nic.NeighboursOff
		}},
		{"dhcp.domain", "domain = example.net", func(b *nic.Binding) { b.Domain = "example.net" }},
		{"ipv6.enable_ipv6", "enable_ipv6 = no", func(b *nic.Binding) {
			withoutIPv6(b)
			b.IPv6, b.DHCP6.Mode = nic.IPv6Off, nic.DHCP6Off
		}},
		{"ipv6.mode", "mode = slaac", func(b *nic.Binding) { b.DHCP6.Mode = nic.DHCP6Off }},
		{"ipv6.mode", "mode = dhcpv6", func(b *nic.Binding) { b.DHCP6.Mode, b.RA.Autonomous = nic.DHCP6Stateful, false }},
		{"ipv6.ra_period", "ra_period = 60", func(b *nic.Binding) { b.RA.Interval = 60 }},
		{"ipv6.domains", "domains = example.org, example.net", func(b *nic.Binding) { b.Search = []string{"example.org", "example.net"} }},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			want := web1()
			test.want(&want)
			equal(t, want, one(t, configured(t, with(conf, test.key, test.line)), bridged))
		})
	}
}
