/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The shortcut: nearly all frames carry a TCP segment or a datagram from one
 * host to another, of which most rules say nothing. What surely passes here the
 * judge would pass, without leaving anything behind; of all else nothing is said.
 *
 * This alone reads through skb->data: a header that is not all there, because
 * the guest would have it so, is the judge's to read. Loads are aligned where
 * the kernel aligns the IP header. */
#ifndef BERTH_SHORTCUT_H
#define BERTH_SHORTCUT_H

static __always_inline __u16 half(const __u8 *b)
{
	return bpf_ntohs(*(const __be16 *)b);
}

static __always_inline int has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* is_ordinary4: without options, no fragment, to one host and no port of DHCP. */
static __always_inline int is_ordinary4(const __u8 *ip, __u64 room)
{
	__u16 total = half(ip + 2), dport = half(ip + 22);

	return ip[0] == 0x45 && !(half(ip + 6) & 0x3fff) && has_ports(ip[9]) && total >= 20 + 8 &&
	       total <= room && ip[16] < 224 && dport != PORT_SERVER && dport != PORT_CLIENT;
}

/* is_ordinary6: without extension headers, to one host and no port of DHCPv6. */
static __always_inline int is_ordinary6(const __u8 *ip, __u64 room)
{
	__u16 payload = half(ip + 4), dport = half(ip + 42);

	return ip[0] >> 4 == 6 && has_ports(ip[6]) && payload >= 8 && payload + 40ULL <= room &&
	       ip[24] != 0xff && dport != PORT_SERVER6 && dport != PORT_CLIENT6;
}

/* ordinary6 says so of the packet in a frame to a NIC that has IPv6, and that
 * its source is no link-local but, if it is asked for that, the NIC's. It is a
 * function of its own because the program's stack has no room for an address. */
__noinline int ordinary6(const struct __sk_buff *skb, const struct nic_rules *r, __u32 owned)
{
	const __u8 *b = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct in6 src;

	if (!r || !(r->flags & RULE_IP6) || b + 14 + 40 + 8 > end || !is_ordinary6(b + 14, skb->len - 14ULL))
		return 0;
	src.hi = *(const __u64 *)(b + 22);
	src.lo = *(const __u64 *)(b + 30);
	return !in6_local(&src) && (!owned || owns_ip6(r, &src));
}

static __always_inline __u64 destination(const __u8 *b)
{
	return (__u64)half(b) << 32 | bpf_ntohl(*(const __be32 *)(b + 2));
}

static __always_inline __u64 source(const __u8 *b)
{
	return (__u64)bpf_ntohl(*(const __be32 *)(b + 6)) << 16 | half(b + 10);
}

/* is_unicast says whether there is an untagged frame with ports to one host. */
static __always_inline int is_unicast(const struct __sk_buff *skb, const __u8 *b, const __u8 *end)
{
	return b + 14 + 20 + 8 <= end && !skb->vlan_present && !(b[0] & 1);
}

/* The first of a list is looked at here, because most lists have no other. */
static __always_inline int surely_owns_mac(const struct nic_rules *r, __u64 mac)
{
	return (r->nmacs > 0 && r->macs[0] == mac) || owns_mac(r, mac);
}

static __always_inline int surely_owns_ip4(const struct nic_rules *r, __be32 a)
{
	return (r->nip4 > 0 && (a & r->ip4[0].mask) == r->ip4[0].addr) || owns_ip4(r, a);
}

/* surely_from_guest makes the checks whether the rules ask for them or not. */
static __always_inline int surely_from_guest(const struct __sk_buff *skb, const struct nic_rules *r)
{
	const __u8 *b = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__be32 src;
	__u64 mac;

	if (r->flags & RULE_CLOSED || !is_unicast(skb, b, end) || destination(b) == BERTH_MAC)
		return 0;
	mac = source(b);
	if (half(b + 12) == ETHERTYPE_IP6)
		return ordinary6(skb, r, 1) && surely_owns_mac(r, mac);
	if (half(b + 12) != ETHERTYPE_IP4 || !is_ordinary4(b + 14, skb->len - 14ULL))
		return 0;
	src = *(const __be32 *)(b + 26);
	return surely_owns_mac(r, mac) && surely_owns_ip4(r, src);
}

/* is_ask4: a whole datagram from a client's port to a server's, with a BOOTREQUEST,
 * whose IP header is not wrong. */
static __always_inline int is_ask4(const __u8 *ip, __u64 room)
{
	__u16 total = half(ip + 2);

	return ip[0] == 0x45 && !(half(ip + 6) & 0x3fff) && ip[9] == IPPROTO_UDP && half(ip + 20) == PORT_CLIENT &&
	       half(ip + 22) == PORT_SERVER && ip[28] == 1 && total > 20 + 8 && total <= room;
}

/* surely_asks4 says that a frame is DHCPv4 that the judge would take: from the
 * NIC's own MAC, from an address that it has or none yet. */
static __always_inline int surely_asks4(const struct __sk_buff *skb, const struct nic_rules *r)
{
	const __u8 *b = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__be32 src;

	if (r->flags & (RULE_CLOSED | RULE_SITE_DHCP) || b + 14 + 20 + 8 + 1 > end || skb->vlan_present)
		return 0;
	if ((b[0] & 1 && b[0] != 0xff) || half(b + 12) != ETHERTYPE_IP4 || !is_ask4(b + 14, skb->len - 14ULL))
		return 0;
	if (r->nmacs == 0 || source(b) != r->macs[0])
		return 0;
	src = *(const __be32 *)(b + 26);
	return src == 0 || (r->nip4 > 0 && (src & r->ip4[0].mask) == r->ip4[0].addr);
}

static __always_inline int surely_to_guest(const struct __sk_buff *skb, const struct nic_rules *r)
{
	const __u8 *b = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u64 mac;

	if (r->flags & RULE_CLOSED || !is_unicast(skb, b, end))
		return 0;
	mac = source(b);
	if (mac == BERTH_MAC)
		return 0;
	if (half(b + 12) == ETHERTYPE_IP6)
		return ordinary6(skb, r, 0) && is_peer(r, mac);
	if (half(b + 12) != ETHERTYPE_IP4 || !is_ordinary4(b + 14, skb->len - 14ULL))
		return 0;
	return r->npeers == 0 || is_peer(r, mac);
}

#endif
