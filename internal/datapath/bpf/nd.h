/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Solicitations answered here and now: function by function what internal/nd
 * says in Go, for those that get an answer. The others are handed up. */
#ifndef BERTH_ND_H
#define BERTH_ND_H

#define IP6_SRC (ETH_BYTES + 8)
#define IP6_DST (ETH_BYTES + 24)
#define ICMP6 (ETH_BYTES + 40)
#define ND_FLAGS (ICMP6 + 4)
#define ND_TARGET (ICMP6 + 8)
#define ND_OPTIONS (ICMP6 + 24)
#define RS_BYTES 8
#define NS_BYTES 24
#define ALL_NODES_MAC 0x333300000001ULL

enum { FLAG_SOLICITED = 0x40, FLAG_OVERRIDE = 0x20 };

static __always_inline struct in6 load_in6(const __u8 *b)
{
	struct in6 a;

	__builtin_memcpy(&a, b, sizeof(a));
	return a;
}

/* in6_mapped: what such an address is nd asks of the IPv4 address in it. */
static __always_inline int in6_mapped(const struct in6 *a)
{
	return a->hi == 0 && (a->lo & BE64(0xffffffff00000000ULL)) == BE64(0x0000ffff00000000ULL);
}

static __always_inline int in6_loopback(const struct in6 *a)
{
	return a->hi == 0 && a->lo == BE64(1);
}

/* in6_solicited_node: ff02::1:ff00:0/104, RFC 4291 2.7.1. */
static __always_inline int in6_solicited_node(const struct in6 *a)
{
	return a->hi == BE64(0xff02000000000000ULL) &&
	       (a->lo & BE64(0xffffffffff000000ULL)) == BE64(0x00000001ff000000ULL);
}

/* pseudo_nd adds up the pseudo-header of a message (RFC 8200 8.1), whose two
 * addresses are where they are in a frame. */
static __always_inline __u64 pseudo_nd(__u8 *frame, __u32 length)
{
	return (__u64)(__u32)bpf_csum_diff(0, 0, (__be32 *)(frame + IP6_SRC), 32, 0) +
	       bpf_htons(IPPROTO_ICMPV6) + bpf_htons(length);
}

/* read_nd_options says whether each option has a length and fits, and none says
 * what the MAC of no address is (RFC 4861 7.1.1). */
__noinline int read_nd_options(struct scratch *s, __u32 at, __u32 unspecified)
{
	__u32 pos, n;

	if (!s)
		return -1;
	set_pos(s, at);
	for (int i = 0; i < MAX_ND_OPTIONS; i++) {
		pos = pos_of(s);
		if (pos >= s->len)
			return 0;
		n = s->in[in_at(pos + 1)] * 8;
		if (n == 0 || pos + n > s->len)
			return -1;
		if (unspecified && s->in[in_at(pos)] == 1)
			return -1;
		set_pos(s, pos + n);
	}
	return pos_of(s) >= s->len ? 0 : -1;
}

/* read_nd finds a message of a kind in a plain frame, and says whether it is
 * valid, but for its checksum. One whose checksum the guest leaves to others is
 * for the daemon: they would write it into the reply, too. */
__noinline int read_nd(struct scratch *s, __u32 kind, __u32 fixed)
{
	struct in6 src;
	__u32 end;

	if (!s || s->len < ICMP6 + fixed || load16(s->in + 12) != ETHERTYPE_IP6 || s->in[ETH_BYTES] >> 4 != 6)
		return -1;
	end = ICMP6 + load16(s->in + ETH_BYTES + 4);
	if (s->in[ETH_BYTES + 6] != IPPROTO_ICMPV6 || end > s->len || end < ICMP6 + fixed)
		return -1;
	s->len = end;
	if (s->in[ETH_BYTES + 7] != 255 || s->in[ICMP6] != kind || s->in[ICMP6 + 1] != 0)
		return -1;
	src = load_in6(s->in + IP6_SRC);
	if (in6_multicast(&src) || in6_mapped(&src))
		return -1;
	if (*(__u16 *)(s->in + ICMP6 + 2) == fold(pseudo_nd(s->in, end - ICMP6)))
		return -1;
	return read_nd_options(s, ICMP6 + fixed, in6_unspecified(&src));
}

/* frame_nd puts the message on its way, to the solicitor or to all nodes. */
__noinline int frame_nd(struct scratch *s, const struct in6 *src, __u64 mac, __u32 to_all)
{
	__u32 length;
	__u8 *o;

	if (!s || !src || pos_of(s) > OUT_BYTES - 8)
		return -1;
	length = pos_of(s) - ICMP6;
	o = s->out;
	if (to_all) {
		store_mac(o, ALL_NODES_MAC);
		__builtin_memset(o + IP6_DST, 0, 16); /* clang 14 forgets stores before a copy of a constant */
		store16(o + IP6_DST, 0xff02);
		o[IP6_DST + 15] = 1;
	} else {
		store_mac(o, load_mac(s->in + 6));
		copy16(o + IP6_DST, s->in + IP6_SRC);
	}
	store_mac(o + 6, mac);
	store16(o + 12, ETHERTYPE_IP6);
	store16(o + ETH_BYTES, 0x6000);
	store16(o + ETH_BYTES + 2, 0);
	store16(o + ETH_BYTES + 4, length);
	store16(o + ETH_BYTES + 6, IPPROTO_ICMPV6 << 8 | 255);
	__builtin_memcpy(o + IP6_SRC, src, 16);
	store16(o + ICMP6 + 2, 0);
	*(__u16 *)(o + ICMP6 + 2) = ~fold(pseudo_nd(o, length) + sum_of(s, REPLY_AT(ICMP6), REPLY_AT(pos_of(s))));
	return 0;
}

/* has_ip6 says whether an address is one of the NIC's, or in a prefix of it. */
__noinline int has_ip6(const struct nic_rules *r, const struct in6 *a)
{
	if (!r || !a)
		return 1;
	if (r->flags & RULE_SET6) {
		struct set6_key k = {.prefixlen = 160, .set = r->set, .addr = *a};

		return bpf_map_lookup_elem(&sets6, &k) != 0;
	}
	for (int i = 0; i < MAX_IP6; i++) {
		if (i >= r->nip6)
			break;
		if ((a->hi & r->ip6[i].mask.hi) == r->ip6[i].addr.hi &&
		    (a->lo & r->ip6[i].mask.lo) == r->ip6[i].addr.lo)
			return 1;
	}
	return 0;
}

/* is_other6 says whether an address is a host's beyond the NIC's link. */
static __always_inline int is_other6(const struct nic_rules *r, const struct in6 *a)
{
	return !in6_unspecified(a) && !in6_loopback(a) && !in6_multicast(a) && !in6_local(a) && !has_ip6(r, a);
}

/* mac_of6 returns at which MAC a target is said to be, 0 for silence, and above
 * it the flags. */
#define AT(mac, flags) ((__u64)(flags) << 48 | (mac))
__noinline __u64 mac_of6(const struct nic_rules *r, const struct nd_answers *a, const struct in6 *src,
			 const struct in6 *target)
{
	if (!r || !a || !src || !target)
		return 0;
	for (__u32 i = 0; i < MAX_KNOWN6; i++) {
		if (i >= a->nknown)
			break;
		if (in6_equal(&a->known[i].addr, target))
			return a->known[i].mac ? AT(a->known[i].mac, a->known[i].flags) : 0;
	}
	if (in6_unspecified(src)) /* duplicate address detection */
		return a->flags & ND_ANSWERS_CONFLICTS && in6_local(target) ? AT(BERTH_MAC, FLAG_OVERRIDE) : 0;
	return !in6_equal(src, target) && is_other6(r, target) ? a->others : 0;
}

/* answer_neighbour writes the advertisement, -1 if the solicitation is for the
 * daemon. */
__noinline int answer_neighbour(struct scratch *s, const struct nic_rules *r, const struct nd_answers *a)
{
	struct in6 src, dst, target;
	__u64 mac, flags;
	__u8 *o;

	if (!s || !r || !a || read_nd(s, NEIGHBOR_SOLICIT, NS_BYTES) < 0)
		return -1;
	src = load_in6(s->in + IP6_SRC);
	dst = load_in6(s->in + IP6_DST);
	target = load_in6(s->in + ND_TARGET);
	if (in6_multicast(&target) || in6_mapped(&target) || (in6_unspecified(&src) && !in6_solicited_node(&dst)))
		return -1;
	mac = mac_of6(r, a, &src, &target);
	if (!mac)
		return -1;
	flags = mac >> 48;
	if (!in6_unspecified(&src))
		flags |= FLAG_SOLICITED;
	o = s->out;
	store16(o + ICMP6, NEIGHBOR_ADVERT << 8);
	store16(o + ND_FLAGS, flags << 8);
	store16(o + ND_FLAGS + 2, 0);
	__builtin_memcpy(o + ND_TARGET, &target, 16);
	store16(o + ND_OPTIONS, 2 << 8 | 1); /* target link-layer address */
	store_mac(o + ND_OPTIONS + 2, mac);
	set_pos(s, ND_OPTIONS + 8);
	s->done.kind = EXCHANGE_NS;
	s->done.bits = 128;
	s->done.addr = target;
	return frame_nd(s, &target, mac, in6_unspecified(&src));
}

/* answer_router writes the router advertisement, -1 if it is the daemon's. */
__noinline int answer_router(struct scratch *s, const struct nd_answers *a)
{
	__u32 len, first;
	struct in6 src;

	if (!s || !a || !a->ra_len || read_nd(s, ROUTER_SOLICIT, RS_BYTES) < 0)
		return -1;
	len = a->ra_len;
	first = len > DATA_BYTES ? DATA_BYTES : len;
	set_pos(s, ICMP6);
	if (copy(s, &a->ra[0], 0, first) < 0 || copy(s, &a->ra[1], 0, len - first) < 0)
		return -1;
	src = load_in6(s->in + IP6_SRC);
	s->done.kind = EXCHANGE_RS;
	return frame_nd(s, &a->router, a->router_mac, a->flags & ND_ANSWERS_MULTICAST || in6_unspecified(&src));
}

/* answer_solicitation is what both programs do. */
static __always_inline int answer_solicitation(struct __sk_buff *skb, __u8 why)
{
	__u32 key = skb->ifindex;
	struct nic_rules *r = bpf_map_lookup_elem(&nics, &key);
	struct nic_state *s = bpf_map_lookup_elem(&states, &key);
	struct nd_answers *a = bpf_map_lookup_elem(&answersnd, &key);
	struct scratch *w = my_scratch();
	__u64 stamp;
	int failed;

	if (!r || !s)
		return VERDICT_DROP;
	if (!a || !w || skb->vlan_present || read_frame(skb, w) < 0)
		return take(skb, r, s, why);
	stamp = stamp_of(a);
	if (why == REASON_ROUTER_SOLICITATION)
		failed = answer_router(w, a);
	else
		failed = answer_neighbour(w, r, a);
	return failed || !is_in_force(&answersnd, key, stamp) ? take(skb, r, s, why) : send_back(skb, r, s, w, why);
}

SEC("tc")
int answer_rs(struct __sk_buff *skb)
{
	return answer_solicitation(skb, REASON_ROUTER_SOLICITATION);
}

SEC("tc")
int answer_ns(struct __sk_buff *skb)
{
	return answer_solicitation(skb, REASON_NEIGHBOUR_SOLICITATION);
}

#endif
