package nfdhcpd

import (
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// shipped is what conf says.
func shipped() Config {
	return Config{
		Datapath:   "/var/lib/nfdhcpd",
		EnableDHCP: true, LeaseLifetime: 604800, LeaseRenewal: 3600,
		ServerIP: ip("192.0.2.1"), Nameservers: addrs("198.51.100.1", "198.51.100.2"),
		EnableIPv6: true, Mode: ModeSLAACDHCPv6, RAPeriod: 300, Nameservers6: addrs("2001:db8::53"),
	}
}

func TestShippedConfig(t *testing.T) {
	c, problems, warnings := ParseConfig(confFile, []byte(conf))
	equal(t, shipped(), c)
	told(t, confFile, nil, problems)
	told(t, confFile, []string{
		`3:1: general.pidfile "/var/run/nfdhcpd/nfdhcpd.pid": not used by berth`,
		`5:1: general.logdir "/var/log/nfdhcpd": not used by berth`,
		`6:1: general.user "nobody": not used by berth`,
		`14:1: dhcp.dhcp_queue "42": no longer needed: berth has no queues`,
		`21:1: ipv6.rs_queue "43": no longer needed but for mode auto: berth has no queues`,
		`22:1: ipv6.ns_queue "44": no longer needed but for mode auto: berth has no queues`,
		`23:1: ipv6.dhcpv6_queue "45": no longer needed but for mode auto: berth has no queues`,
	}, warnings)
}

func TestConfigKeys(t *testing.T) {
	tests := []struct {
		key, value string
		want       func(*Config)
	}{
		{"general.datapath", `"/srv/a, b"`, func(c *Config) { c.Datapath = "/srv/a, b" }},
		{"general.pidfile", "/p", nil},
		{"general.logdir", "/l", nil},
		{"general.user", "65534", nil},
		{"dhcp.enable_dhcp", "no", func(c *Config) { c.EnableDHCP = false }},
		{"dhcp.enable_dhcp", "On", nil},
		{"dhcp.lease_lifetime", "4294967295", func(c *Config) { c.LeaseLifetime = nic.Infinite }},
		{"dhcp.lease_renewal", "600", func(c *Config) { c.LeaseRenewal = 600 }},
		{"dhcp.server_ip", "'1.2.3.4'", func(c *Config) { c.ServerIP = ip("1.2.3.4") }},
		{"dhcp.server_on_link", "1", func(c *Config) { c.ServerOnLink = true }},
		{"dhcp.dhcp_queue", "0", nil},
		{"dhcp.nameservers", "203.0.113.53", func(c *Config) { c.Nameservers = addrs("203.0.113.53") }},
		{"dhcp.nameservers", "203.0.113.53, 203.0.113.53,", func(c *Config) { c.Nameservers = addrs("203.0.113.53") }},
		{"dhcp.nameservers", ",", func(c *Config) { c.Nameservers = nil }},
		{"dhcp.domain", "example.net", func(c *Config) { c.Domain = "example.net" }},
		{"ipv6.enable_ipv6", "off", func(c *Config) { c.EnableIPv6, c.Mode = false, ModeSLAAC }},
		{"ipv6.mode", "slaac", func(c *Config) { c.Mode = ModeSLAAC }},
		{"ipv6.mode", "slaac+dhcpv6", nil},
		{"ipv6.mode", "dhcpv6", func(c *Config) { c.Mode = ModeDHCPv6 }},
		{"ipv6.ra_period", "1800", func(c *Config) { c.RAPeriod = 1800 }},
		{"ipv6.rs_queue", "1", nil},
		{"ipv6.ns_queue", "1", nil},
		{"ipv6.dhcpv6_queue", "0", func(c *Config) { c.Mode = ModeSLAAC }},
		{"ipv6.dhcp_queue", "46", nil},
		{"ipv6.nameservers", "2001:db8::1, 2001:db8::2", func(c *Config) { c.Nameservers6 = addrs("2001:db8::1", "2001:db8::2") }},
		{"ipv6.domains", "example.org, example.net", func(c *Config) { c.Domains = []string{"example.org", "example.net"} }},
		{"ipv6.enable_dhcpv6", "yes", nil},
	}
	reached := map[string]bool{}
	for _, test := range tests {
		reached[test.key] = true
		t.Run(test.key+"="+test.value, func(t *testing.T) {
			_, name, _ := strings.Cut(test.key, ".")
			want := shipped()
			if test.want != nil {
				test.want(&want)
			}
			equal(t, want, configured(t, with(conf, test.key, name+" = "+test.value)).Config)
		})
	}
	for _, k := range confKeys() {
		if !reached[k.name] {
			t.Errorf("%s has no test", k.name)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	tests := []struct{ key, value, want string }{
		{"general.pidfile", "a, b", `3:1: general.pidfile "a, b": one value is wanted, not a list; put it in quotes if it has a comma`},
		{"general.datapath", "", `4:1: general.datapath: empty: there is no directory to read`},
		{"general.datapath", "a, b", `4:1: general.datapath "a, b": one value is wanted, not a list; put it in quotes if it has a comma`},
		{"general.logdir", "a,", `5:1: general.logdir "a": one value is wanted, not a list; put it in quotes if it has a comma`},
		{"general.user", "a,b", `6:1: general.user "a, b": one value is wanted, not a list; put it in quotes if it has a comma`},
		{"dhcp.enable_dhcp", "maybe", `9:1: dhcp.enable_dhcp "maybe": must be true, on, 1, yes, false, off, 0 or no`},
		{"dhcp.lease_lifetime", "1d", `10:1: dhcp.lease_lifetime "1d": must be 0 to 4294967295`},
		{"dhcp.lease_renewal", "4294967296", `11:1: dhcp.lease_renewal "4294967296": must be 0 to 4294967295`},
		{"dhcp.server_ip", "2001:db8::1", `12:1: dhcp.server_ip "2001:db8::1": "2001:db8::1" is not an IPv4 address`},
		{"dhcp.server_ip", "127.0.0.1", `12:1: dhcp.server_ip "127.0.0.1": a loopback address`},
		{"dhcp.server_on_link", "2", `13:1: dhcp.server_on_link "2": must be true, on, 1, yes, false, off, 0 or no`},
		{"dhcp.dhcp_queue", "65536", `14:1: dhcp.dhcp_queue "65536": must be 0 to 65535`},
		{"dhcp.nameservers", "198.51.100.1, dns", `15:1: dhcp.nameservers "198.51.100.1, dns": "dns" is not an IPv4 address`},
		{"dhcp.nameservers", "198.51.100.1, 224.0.0.1", `15:1: dhcp.nameservers "224.0.0.1": a multicast address`},
		{"dhcp.domain", "not_a_name", `9:1: dhcp.domain "not_a_name": character '_' is not allowed in a name (RFC 1123 section 2.1)`},
		{"ipv6.enable_ipv6", "", `18:1: ipv6.enable_ipv6: must be true, on, 1, yes, false, off, 0 or no`},
		{"ipv6.mode", "stateless", `19:1: ipv6.mode "stateless": must be auto, slaac, dhcpv6 or slaac+dhcpv6`},
		{"ipv6.ra_period", "0", `20:1: ipv6.ra_period "0": must be 1 to 4294967295`},
		{"ipv6.rs_queue", "-1", `21:1: ipv6.rs_queue "-1": must be 0 to 65535`},
		{"ipv6.rs_queue", "0", `19:1: ipv6.mode "auto": auto follows rs_queue, ns_queue and dhcpv6_queue, and too few are set; write slaac or slaac+dhcpv6`},
		{"ipv6.ns_queue", "x", `22:1: ipv6.ns_queue "x": must be 0 to 65535`},
		{"ipv6.dhcpv6_queue", "70000", `23:1: ipv6.dhcpv6_queue "70000": must be 0 to 65535`},
		{"ipv6.dhcp_queue", "x", `18:1: ipv6.dhcp_queue "x": must be 0 to 65535`},
		{"ipv6.nameservers", "198.51.100.1", `24:1: ipv6.nameservers "198.51.100.1": "198.51.100.1" is not an IPv6 address`},
		{"ipv6.nameservers", "fe80::1", `24:1: ipv6.nameservers "fe80::1": a link-local address, which means something on one link only (RFC 4291 section 2.5.6)`},
		{"ipv6.domains", "example..org", `18:1: ipv6.domains "example..org": an empty label`},
	}
	reached := map[string]bool{"ipv6.enable_dhcpv6": true} // nothing of it is read
	for _, test := range tests {
		reached[test.key] = true
		t.Run(test.key+"="+test.value, func(t *testing.T) {
			_, name, _ := strings.Cut(test.key, ".")
			text := with(conf, test.key, name+" = "+test.value)
			if test.key == "ipv6.rs_queue" && test.value == "0" { // only DHCPv6 would be left: take that too
				text = with(text, "ipv6.dhcpv6_queue", "dhcpv6_queue = 0")
			}
			_, problems, _ := ParseConfig(confFile, []byte(text))
			told(t, confFile, []string{test.want}, problems)
		})
	}
	for _, k := range confKeys() {
		if !reached[k.name] {
			t.Errorf("%s has no test", k.name)
		}
	}
}

func TestConfigTellsEveryMistake(t *testing.T) {
	_, problems, _ := ParseConfig(confFile, []byte("[dhcp]\nserver_ip = x\nlease_lifetime = y\n"))
	told(t, confFile, []string{
		"general.pidfile: missing",
		"general.datapath: missing",
		"general.logdir: missing",
		"general.user: missing",
		"dhcp.lease_renewal: missing",
		"dhcp.dhcp_queue: missing",
		"dhcp.nameservers: missing",
		"ipv6.nameservers: missing",
		`2:1: dhcp.server_ip "x": "x" is not an IPv4 address`,
		`3:1: dhcp.lease_lifetime "y": must be 0 to 4294967295`,
	}, trimmed(problems))
}

func TestConfigWarnings(t *testing.T) {
	tests := []struct{ key, line, want string }{
		{"ipv6.dhcp_queue", "dhcp_queue = 45", `18:1: ipv6.dhcp_queue "45": deprecated: the name is dhcpv6_queue; no longer needed but for mode auto: berth has no queues`},
		{"ipv6.enable_dhcpv6", "enable_dhcpv6 = yes", `18:1: ipv6.enable_dhcpv6 "yes": without effect since nfdhcpd 0.16: mode decides`},
		{"dhcp.typo", "typo = 1", `9:1: dhcp.typo "1": unknown; nfdhcpd ignored it too`},
		{"ipv6.mode", "mode = dhcpv6", `19:1: ipv6.mode "dhcpv6": stateful DHCPv6, with which nfdhcpd did not start: guests get their address by DHCPv6`},
		{"ipv6.ra_period", "ra_period = 3600", `20:1: ipv6.ra_period "3600": 1800 seconds are used: must be 4 to 1800 (RFC 4861 section 6.2.1)`},
		{"ipv6.ra_period", "ra_period = 1", `20:1: ipv6.ra_period "1": 4 seconds are used: must be 4 to 1800 (RFC 4861 section 6.2.1)`},
		{"dhcp.lease_renewal", "lease_renewal = 604800", `11:1: dhcp.lease_renewal "604800": not before the lease ends: not sent, and guests renew after half of it (RFC 2131 section 4.4.5)`},
		{"dhcp.lease_lifetime", "lease_lifetime = 0", `10:1: dhcp.lease_lifetime "0": leases are of 60 seconds at least`},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			_, problems, warnings := ParseConfig(confFile, []byte(with(conf, test.key, test.line)))
			told(t, confFile, nil, problems)
			all := messages(warnings)
			for _, m := range all {
				if m == confFile+":"+test.want {
					return
				}
			}
			t.Errorf("warnings %q lack %q", all, test.want)
		})
	}
}

// The deprecated name counts as the present one, in auto mode.
func TestDeprecatedQueueDecidesTheMode(t *testing.T) {
	text := with(conf, "ipv6.dhcpv6_queue", "dhcp_queue = 45")
	if got := configured(t, text).Config.Mode; got != ModeSLAACDHCPv6 {
		t.Errorf("mode %d, want %d", got, ModeSLAACDHCPv6)
	}
}

func TestConfigAutoWithDHCPv6Alone(t *testing.T) {
	text := with(conf, "ipv6.rs_queue", "rs_queue = 0")
	if got := configured(t, text).Config.Mode; got != ModeDHCPv6 {
		t.Errorf("mode %d, want %d", got, ModeDHCPv6)
	}
}

func TestINI(t *testing.T) {
	tests := []struct{ text, want string }{
		{"[dhcp]\n a = 1 # one\n", "dhcp.a=1"},
		{"\r\n[ dhcp ] # c\r\n\"a\" = 'x # y'\r\n", "dhcp.a=x # y"},
		{"a = x=y\n", "a=x=y"},
		{"a = b, \"c, d\", 'e' # f\n", "a=b|c, d|e"},
		{"a = b,\n", "a=b"},
		{"a = ,\n", "a="},
		{"a =\n", "a="},
		{"[dhcp\n", `1:1: not a section such as [dhcp]`},
		{"nonsense\n", `1:1: not key = value`},
		{"= 1\n", `1:1: not key = value`},
		{"a = 'b\n", `1:1: a quote is not closed`},
		{"a = 'b' c\n", `1:1: text after a closing quote`},
		{"a = '''b\n", `1:1: a value of several lines; none of nfdhcpd's keys has one`},
		{"[a]\nb = 1\nb = 2\n", `3:1: there twice, first at line 2`},
		{"[a]\n[b]\n[a]\n", `3:1: there twice, first at line 1`},
		{"a = \xff\n", "not UTF-8 text"},
		{strings.Repeat("#", 1<<20+1), "longer than 1048576 bytes"},
	}
	for _, test := range tests {
		settings, problems := readINI(confFile, []byte(test.text))
		got := messages(trimmed(problems))
		for _, s := range settings {
			if len(problems) == 0 {
				got = append(got, s.key+"="+strings.Join(s.values, "|"))
			}
		}
		equal(t, []string{test.want}, got)
	}
}
