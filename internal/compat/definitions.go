package compat

import "slices"

// Definitions4 are the options of DHCPv4 that configurations have names for
// (RFC 2132 and later).
func Definitions4() []Definition {
	return []Definition{
		{1, Addrs4, []string{"subnet-mask", "netmask"}},
		{2, Int32, []string{"time-offset"}},
		{3, Addrs4, []string{"routers", "router"}},
		{4, Addrs4, []string{"time-servers"}},
		{5, Addrs4, []string{"ien116-name-servers", "name-servers"}},
		{6, Addrs4, []string{"domain-name-servers", "dns-server"}},
		{7, Addrs4, []string{"log-servers", "log-server"}},
		{8, Addrs4, []string{"cookie-servers"}},
		{9, Addrs4, []string{"lpr-servers", "lpr-server"}},
		{10, Addrs4, []string{"impress-servers"}},
		{11, Addrs4, []string{"resource-location-servers"}},
		{12, Text, []string{"host-name", "hostname"}},
		{13, Int16, []string{"boot-size", "boot-file-size"}},
		{14, Text, []string{"merit-dump"}},
		{15, Text, []string{"domain-name"}},
		{16, Addrs4, []string{"swap-server"}},
		{17, Text, []string{"root-path"}},
		{18, Text, []string{"extensions-path", "extension-path"}},
		{19, Flag, []string{"ip-forwarding", "ip-forward-enable"}},
		{20, Flag, []string{"non-local-source-routing"}},
		{21, Addrs4, []string{"policy-filter"}},
		{22, Int16, []string{"max-dgram-reassembly", "max-datagram-reassembly"}},
		{23, Int8, []string{"default-ip-ttl", "default-ttl"}},
		{26, Int16, []string{"interface-mtu", "mtu"}},
		{27, Flag, []string{"all-subnets-local"}},
		{28, Addrs4, []string{"broadcast-address", "broadcast"}},
		{31, Flag, []string{"router-discovery"}},
		{32, Addrs4, []string{"router-solicitation-address", "router-solicitation"}},
		{33, Addrs4, []string{"static-routes", "static-route"}},
		{34, Flag, []string{"trailer-encapsulation"}},
		{35, Int32, []string{"arp-cache-timeout", "arp-timeout"}},
		{36, Flag, []string{"ieee802-3-encapsulation", "ethernet-encap"}},
		{37, Int8, []string{"default-tcp-ttl", "tcp-ttl"}},
		{38, Int32, []string{"tcp-keepalive-interval", "tcp-keepalive-internal", "tcp-keepalive"}},
		{40, Text, []string{"nis-domain"}},
		{41, Addrs4, []string{"nis-servers", "nis-server"}},
		{42, Addrs4, []string{"ntp-servers", "ntp-server"}},
		{43, Bytes, []string{"vendor-encapsulated-options", "vendor-encap"}},
		{44, Addrs4, []string{"netbios-name-servers", "netbios-ns"}},
		{45, Addrs4, []string{"netbios-dd-server", "netbios-dd"}},
		{46, Int8, []string{"netbios-node-type", "netbios-nodetype"}},
		{47, Text, []string{"netbios-scope"}},
		{48, Addrs4, []string{"font-servers", "x-windows-fs"}},
		{49, Addrs4, []string{"x-display-manager", "x-windows-dm"}},
		{51, Int32, []string{"dhcp-lease-time"}},
		{54, Addrs4, []string{"dhcp-server-identifier", "server-identifier", "server-ip-address"}},
		{58, Int32, []string{"dhcp-renewal-time", "T1"}},
		{59, Int32, []string{"dhcp-rebinding-time", "T2"}},
		{60, Text, []string{"vendor-class-identifier", "vendor-class"}},
		{64, Text, []string{"nisplus-domain-name", "nisplus-domain", "nis+-domain"}},
		{65, Addrs4, []string{"nisplus-servers", "nisplus-server", "nis+-server"}},
		{66, Text, []string{"tftp-server-name", "tftp-server"}},
		{67, Text, []string{"bootfile-name", "boot-file-name"}},
		{68, Addrs4, []string{"mobile-ip-home-agent"}},
		{69, Addrs4, []string{"smtp-server"}},
		{70, Addrs4, []string{"pop-server", "pop3-server"}},
		{71, Addrs4, []string{"nntp-server"}},
		{72, Addrs4, []string{"www-server"}},
		{73, Addrs4, []string{"finger-server"}},
		{74, Addrs4, []string{"irc-server"}},
		{100, Text, []string{"pcode", "posix-timezone"}},
		{101, Text, []string{"tcode", "tzdb-timezone"}},
		{108, Int32, []string{"v6-only-preferred", "ipv6-only"}},
		{114, Text, []string{"default-url", "v4-captive-portal", "captive-portal"}},
		{119, Domains, []string{"domain-search"}},
		{121, Routes4, []string{"classless-static-route", "rfc3442-classless-static-routes"}},
		{150, Addrs4, []string{"tftp-server-address"}},
		{249, Routes4, []string{"ms-classless-static-routes"}},
	}
}

// Definitions6 are those of DHCPv6.
func Definitions6() []Definition {
	return []Definition{
		{7, Int8, []string{"preference"}},
		{21, Domains, []string{"sip-servers-names", "sip-server-dns", "sip-server-domain"}},
		{22, Addrs6, []string{"sip-servers-addresses", "sip-server-addr", "sip-server"}},
		{23, Addrs6, []string{"name-servers", "dns-servers", "dns-server"}},
		{24, Domains, []string{"domain-search"}},
		{27, Addrs6, []string{"nis-servers", "nis-server"}},
		{28, Addrs6, []string{"nisp-servers", "nis+-server"}},
		{29, Domains, []string{"nis-domain-name", "nis-domain"}},
		{30, Domains, []string{"nisp-domain-name", "nis+-domain"}},
		{31, Addrs6, []string{"sntp-servers", "sntp-server"}},
		{32, Int32, []string{"info-refresh-time", "information-refresh-time"}},
		{41, Text, []string{"new-posix-timezone"}},
		{42, Text, []string{"new-tzdb-timezone"}},
		{59, Text, []string{"bootfile-url"}},
		{60, Text16, []string{"bootfile-param"}},
		{82, Int32, []string{"solmax-rt"}},
		{83, Int32, []string{"inf-max-rt"}},
		{103, Text, []string{"v6-captive-portal", "captive-portal"}},
	}
}

// Named finds a definition by its name.
func Named(list []Definition, name string) (Definition, bool) {
	i := slices.IndexFunc(list, func(d Definition) bool { return slices.Contains(d.Names, name) })
	if i < 0 {
		return Definition{}, false
	}
	return list[i], true
}

// Numbered finds a definition by its code; an unknown one is Bytes.
func Numbered(list []Definition, code uint16) (Definition, bool) {
	i := slices.IndexFunc(list, func(d Definition) bool { return d.Code == code })
	if i < 0 {
		return Definition{Code: code}, false
	}
	return list[i], true
}
