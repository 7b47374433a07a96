/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Generated from internal/reason by go generate; do not edit. */
#ifndef BERTH_REASONS_H
#define BERTH_REASONS_H

enum reason {
	REASON_NO_BINDING = 1, /* the NIC is closed: no binding is in force */
	REASON_TRUNCATED = 2, /* the frame ends before the field that would authorise it */
	REASON_MAC_SPOOF = 3, /* the Ethernet source is not one of the NIC's MACs */
	REASON_VLAN_TAG = 4, /* the frame carries a VLAN tag (802.1Q, 802.1ad, also VID 0) */
	REASON_LLC = 5, /* 802.3 length field instead of an ethertype: LLC, SNAP, STP, CDP */
	REASON_ETHERTYPE = 6, /* the ethertype is not on the NIC's allow list */
	REASON_LINK_CONTROL = 7, /* sent to 01:80:c2:00:00:0x, the bridge's own group */
	REASON_RARP = 8, /* reverse ARP */
	REASON_IPV6_CLOSED = 9, /* IPv6 on a NIC that has none */
	REASON_TO_BERTH = 10, /* sent to berth's own MAC, which takes DHCP and solicitations only */
	REASON_ND_ROUTER = 11, /* neighbour advertisement with the router flag from a NIC that is no router */
	REASON_AS_BERTH = 12, /* the site speaks as berth towards the NIC: from its MAC or link-local, or for that */
	REASON_PEER_FOREIGN = 13, /* towards the NIC, from an Ethernet source that is none of its peers */
	REASON_ARP_MALFORMED = 16, /* ARP whose hardware, protocol, hlen or plen is not Ethernet and IPv4 */
	REASON_ARP_OPCODE = 17, /* ARP that is neither request nor reply */
	REASON_ARP_SPOOF_MAC = 18, /* ARP sender hardware address is not one of the NIC's MACs */
	REASON_ARP_SPOOF_IP = 19, /* ARP sender protocol address is not one of the NIC's addresses */
	REASON_ARP_PROBE = 20, /* ARP probe for an address that is not the NIC's */
	REASON_ND_MALFORMED = 21, /* neighbour discovery with a hop limit, code, length or option that RFC 4861 forbids */
	REASON_ND_SPOOF_MAC = 22, /* a link-layer address option is not one of the NIC's MACs */
	REASON_ND_TARGET = 23, /* neighbour discovery for a target that is not the NIC's */
	REASON_IP4_MALFORMED = 24, /* IPv4 version, header length or total length do not fit the frame */
	REASON_IP4_SPOOF = 25, /* the IPv4 source is not one of the NIC's addresses */
	REASON_IP4_OPTIONS = 26, /* an IPv4 option other than NOP, EOL and Router Alert */
	REASON_FRAGMENT_TINY = 27, /* a fragment too small to be honest, or one that hides its ports */
	REASON_FRAGMENT_BROADCAST = 28, /* a fragment to the limited broadcast address */
	REASON_ICMP_REDIRECT = 29, /* ICMP redirect from a NIC that is no router */
	REASON_IGMP_QUERY = 30, /* IGMP query or router message from a NIC that is no router */
	REASON_ROUTING_CONTROL = 31, /* routing protocol multicast from a NIC that is no router, or VRRP of a group it has no share in */
	REASON_IP6_MALFORMED = 32, /* IPv6 version or payload length do not fit the frame */
	REASON_IP6_SPOOF = 33, /* the IPv6 source is not one of the NIC's addresses */
	REASON_IP6_CHAIN = 34, /* IPv6 extension headers that hide what the packet is */
	REASON_IP6_OPTIONS = 35, /* routing header, Home Address or a hop-by-hop option that no host sends */
	REASON_ICMP6_TYPE = 36, /* an ICMPv6 message that no host sends */
	REASON_MLD_QUERY = 37, /* MLD query from a NIC that is no router */
	REASON_LINK_LOCAL_TAKEN = 38, /* the link-local address is a gateway's or another NIC's of the segment */
	REASON_LINK_LOCAL_LIMIT = 39, /* the NIC already uses as many link-local addresses as it may */
	REASON_DHCP_SERVER = 40, /* the guest acts as a DHCP or DHCPv6 server */
	REASON_DHCP_FOREIGN = 41, /* a DHCP or DHCPv6 server other than berth towards the NIC */
	REASON_DHCP_DISGUISED = 42, /* DHCP in fragments, behind tags or LLC, or in UDP-Lite */
	REASON_DHCP_RATE = 43, /* the guest asks more (DHCP, ARP, solicitations) of what goes up to the daemon than the NIC's rate allows */
	REASON_DHCP_RING_FULL = 44, /* the daemon did not keep up with what guests ask */
	REASON_RA_ROGUE = 45, /* the guest acts as an IPv6 router */
	REASON_RA_FOREIGN = 46, /* a router advertisement other than berth's towards the NIC */
	REASON_ND_FRAGMENT = 47, /* neighbour discovery in fragments, behind tags or LLC */
	REASON_DHCP4 = 48, /* DHCPv4 of the guest, taken to be answered (not a fault) */
	REASON_DHCP6 = 49, /* DHCPv6 of the guest, taken to be answered (not a fault) */
	REASON_ROUTER_SOLICITATION = 50, /* router solicitation, taken to be answered (not a fault) */
	REASON_NEIGHBOUR_SOLICITATION = 51, /* neighbour solicitation, taken to be answered (not a fault) */
	REASON_ARP_REQUEST = 52, /* ARP request, taken to be answered (not a fault) */
};

#endif
