package words

// forms are all sentences there are.
func forms() []form {
	const address4, address6 = "[IPV4]", "[IPV6]"
	server := func(kind byte) func(*sentence) []byte {
		return func(s *sentence) []byte { return s.client6(kind, true) }
	}
	any6 := func(kind byte) func(*sentence) []byte {
		return func(s *sentence) []byte { return s.client6(kind, false) }
	}
	return []form{
		{"dhcp discover", "", "a client looks for servers", nil, (*sentence).discover},
		{"dhcp request", address4, "it takes the offer of an address", own4, (*sentence).request},
		{"dhcp reboot", address4, "it wants the address that it had", own4, (*sentence).reboot},
		{"dhcp renew", address4, "it renews, by unicast", own4, (*sentence).renew},
		{"dhcp rebind", address4, "it renews, by broadcast", own4, (*sentence).rebind},
		{"dhcp inform", address4, "it has an address and wants the rest", own4, (*sentence).inform},
		{"dhcp decline", address4, "it found the address in use", own4, (*sentence).decline},
		{"dhcp release", address4, "it gives the address back", own4, (*sentence).release},
		{"dhcp offer", address4, "a DHCP server's answer", own4, (*sentence).offer},
		{"dhcp6 solicit", "", "a client looks for servers", nil, any6(1)},
		{"dhcp6 request", address6, "it takes the address advertised", own6, server(3)},
		{"dhcp6 renew", address6, "it renews with its server", own6, server(5)},
		{"dhcp6 rebind", address6, "it renews with any server", own6, any6(6)},
		{"dhcp6 confirm", address6, "it asks whether the address still fits the link", own6, any6(4)},
		{"dhcp6 decline", address6, "it found the address in use", own6, server(9)},
		{"dhcp6 release", address6, "it gives the address back", own6, server(8)},
		{"dhcp6 information-request", "", "it wants configuration alone", nil, any6(11)},
		{"dhcp6 advertise", address6, "a DHCPv6 server's answer", own6, (*sentence).advertise6},
		{"rs", "", "a router solicitation", nil, (*sentence).solicitRouter},
		{"ra", "", "a router advertisement", nil, (*sentence).advertiseRouter},
		{"ns", "IPV6", "a neighbour solicitation for an address", nil, (*sentence).solicit},
		{"dad", "IPV6", "the same, of who would take it (duplicate address detection)", nil, (*sentence).detect},
		{"na", "IPV6", "a neighbour advertisement of an address", nil, (*sentence).advertise},
		{"arp", "IPV4", "an ARP request for an address", nil, (*sentence).ask},
		{"arp probe", "IPV4", "the same, of who would take it (RFC 5227)", nil, (*sentence).probe},
		{"arp announce", "IPV4", "ARP that tells an address to all", nil, (*sentence).announce},
		{"ip", "ADDRESS to ADDRESS [port NUMBER]", "a UDP datagram of either family, to port 9 if none is named", nil, (*sentence).datagram},
	}
}
