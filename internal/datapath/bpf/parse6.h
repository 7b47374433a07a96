/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading IPv6: the extension headers as far as they can be followed, then the
 * upper layer. */
#ifndef BERTH_PARSE6_H
#define BERTH_PARSE6_H

struct ip6 {
	__u8 truncated, bad; /* no header to read; a header that lies */
	__u8 chain;          /* the headers cannot be followed to their end */
	__u8 odd;            /* a header or option no host sends */
	__u8 alert;          /* Router Alert among the hop-by-hop options */
	__u8 extended, fragmented, more;
	__u8 taken; /* a neighbour solicitation that berth answers */
	__u8 hop, proto, hidden, ports, kind, code;
	__u16 sport, dport;
	__u32 frag_off, up, end;
	struct in6 src, dst;
};

enum {
	MLD_QUERY = 130,
	MLD_REPORT = 131,
	MLD_DONE = 132,
	ROUTER_SOLICIT = 133,
	ROUTER_ADVERT = 134,
	NEIGHBOR_SOLICIT = 135,
	NEIGHBOR_ADVERT = 136,
	ND_REDIRECT = 137,
	MLD_REPORT2 = 143,
};

#define BE64(v) bpf_cpu_to_be64(v)
#define BERTH_LINK_LOCAL {BE64(0xfe80000000000000ULL), BE64(0x006265fffe727468ULL)}

static __always_inline int in6_equal(const struct in6 *a, const struct in6 *b)
{
	return a->hi == b->hi && a->lo == b->lo;
}

static __always_inline int in6_unspecified(const struct in6 *a)
{
	return (a->hi | a->lo) == 0;
}

static __always_inline int in6_multicast(const struct in6 *a)
{
	return (a->hi & BE64(0xff00000000000000ULL)) == BE64(0xff00000000000000ULL);
}

static __always_inline int in6_local(const struct in6 *a)
{
	return (a->hi & BE64(0xffc0000000000000ULL)) == BE64(0xfe80000000000000ULL);
}

static __always_inline int is_udp6(const struct ip6 *p)
{
	return p->proto == IPPROTO_UDP || p->proto == IPPROTO_UDPLITE;
}

/* is_icmp6 says whether kind and code were read. */
static __always_inline int is_icmp6(const struct ip6 *p)
{
	return p->frag_off == 0 && p->proto == IPPROTO_ICMPV6 && !p->hidden;
}

#define OPTIONS_ODD 1
#define OPTIONS_ALERT 2

/* options6 looks for what no host sends: a Home Address (RFC 6275 6.3), any
 * hop-by-hop option but padding and Router Alert, options that overrun. */
__noinline int options6(struct __sk_buff *skb, __u32 at, __u32 end, __u32 hop_by_hop)
{
	int found = 0;

	for (int n = 0; n < MAX_TLVS; n++) {
		__u8 o[2] = {};

		if (at >= end)
			return found;
		if (bpf_skb_load_bytes(skb, at, o, 1) < 0)
			return found | OPTIONS_ODD;
		if (o[0] == 0) {
			at++;
			continue;
		}
		if (at + 2 > end || bpf_skb_load_bytes(skb, at, o, 2) < 0 || at + 2 + o[1] > end)
			return found | OPTIONS_ODD;
		if (o[0] == 0xc9 || (hop_by_hop && o[0] != 1 && o[0] != 5))
			return found | OPTIONS_ODD;
		if (hop_by_hop && o[0] == 5)
			found |= OPTIONS_ALERT;
		at += 2 + o[1];
	}
	return at < end ? found | OPTIONS_ODD : found;
}

static __always_inline int is_extension(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
	       proto == IPPROTO_AH || proto == IPPROTO_DSTOPTS || proto == IPPROTO_MH ||
	       proto == 139 || proto == 140; /* HIP, shim6 */
}

static __always_inline __u32 header_size(__u8 proto, __u8 length)
{
	if (proto == IPPROTO_FRAGMENT)
		return 8;
	if (proto == IPPROTO_AH)
		return ((__u32)length + 2) * 4;
	return ((__u32)length + 1) * 8;
}

/* walk6 follows the extension headers (RFC 8200 section 4). It stops at the
 * upper layer, at a later fragment and where it cannot go on. */
__noinline int walk6(struct __sk_buff *skb, struct ip6 *p)
{
	if (!p)
		return 0;
	for (int n = 0; n <= MAX_HEADERS; n++) {
		__u8 h[4], found;
		__u32 size;

		if (!is_extension(p->proto))
			return 0;
		p->extended = 1;
		if (n == MAX_HEADERS || (p->proto == IPPROTO_HOPOPTS && n > 0) ||
		    (p->proto == IPPROTO_FRAGMENT && p->fragmented) || p->up + 8 > p->end ||
		    bpf_skb_load_bytes(skb, p->up, h, sizeof(h)) < 0)
			break;
		size = header_size(p->proto, h[1]);
		if (p->up + size > p->end)
			break;
		if (p->proto == IPPROTO_FRAGMENT) {
			p->fragmented = 1;
			p->frag_off = ((__u32)h[2] << 8 | h[3]) & 0xfff8;
			p->more = h[3] & 1;
		} else if (p->proto == IPPROTO_ROUTING) {
			p->odd = 1;
		} else if (p->proto == IPPROTO_HOPOPTS || p->proto == IPPROTO_DSTOPTS) {
			found = options6(skb, p->up + 2, p->up + size, p->proto == IPPROTO_HOPOPTS);
			p->odd |= found & OPTIONS_ODD;
			p->alert |= found & OPTIONS_ALERT;
		}
		p->proto = h[0];
		p->up += size;
		if (p->frag_off)
			return 0;
	}
	p->chain = 1;
	return 0;
}

static __always_inline void parse_upper6(struct __sk_buff *skb, struct ip6 *p)
{
	__u8 h[8];

	if (p->proto != IPPROTO_ICMPV6 && !is_udp6(p))
		return;
	if (p->up + 8 > p->end || bpf_skb_load_bytes(skb, p->up, h, sizeof(h)) < 0) {
		p->hidden = 1;
		return;
	}
	if (p->proto == IPPROTO_ICMPV6) {
		p->kind = h[0];
		p->code = h[1];
		return;
	}
	p->ports = 1;
	p->sport = (__u16)h[0] << 8 | h[1];
	p->dport = (__u16)h[2] << 8 | h[3];
}

/* parse_ip6 reads the packet at off of a frame of len bytes. */
__noinline int parse_ip6(struct __sk_buff *skb, __u32 off, __u32 len, struct ip6 *p)
{
	__u8 h[8];

	if (!p)
		return 0;
	p->up = off + 40;
	if (bpf_skb_load_bytes(skb, off, h, sizeof(h)) < 0 ||
	    bpf_skb_load_bytes(skb, off + 8, &p->src, 16) < 0 ||
	    bpf_skb_load_bytes(skb, off + 24, &p->dst, 16) < 0) {
		p->truncated = 1;
		return 0;
	}
	p->end = p->up + ((__u32)h[4] << 8 | h[5]);
	p->proto = h[6];
	p->hop = h[7];
	if (h[0] >> 4 != 6 || p->end > len) {
		p->bad = 1;
		return 0;
	}
	walk6(skb, p);
	if (!p->chain && p->frag_off == 0)
		parse_upper6(skb, p);
	return 0;
}

/* message6 is the DHCPv6 message type of a UDP packet, 0 if there is none. */
static __always_inline __u8 message6(const struct frame *f, const struct ip6 *p)
{
	__u8 kind = 0;

	if (p->up + 9 <= p->end)
		bpf_skb_load_bytes(f->skb, p->up + 8, &kind, 1);
	return kind;
}

#endif
