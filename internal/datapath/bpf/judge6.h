/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The verdict on IPv6, function by function what internal/guard/verdict6.go
 * says in Go. */
#ifndef BERTH_JUDGE6_H
#define BERTH_JUDGE6_H

/* claims are the link-locals a frame speaks for. */
struct claims {
	__u32 n;
	__u32 pad;
	struct in6 list[2];
};

static __always_inline __u8 undecidable6(const struct ip6 *p)
{
	if (p->truncated)
		return REASON_TRUNCATED;
	if (p->bad)
		return REASON_IP6_MALFORMED;
	if (p->chain || (p->hidden && p->fragmented))
		return REASON_IP6_CHAIN;
	return p->hidden ? REASON_IP6_MALFORMED : 0;
}

/* owns_ip6: the first address of a subnet is its routers' (RFC 4291 2.6.1),
 * the gateway's stays the gateway's. */
__noinline int owns_ip6(const struct nic_rules *r, const struct in6 *a)
{
	if (!r || !a || in6_equal(a, &r->gateway6))
		return 0;
	if (r->flags & RULE_SET6) {
		struct set6_key k = {.prefixlen = 160, .set = r->set, .addr = *a};
		__u8 *bits = bpf_map_lookup_elem(&sets6, &k);

		return bits && (a->lo != 0 || *bits > 64);
	}
	for (int i = 0; i < MAX_IP6; i++) {
		if (i >= r->nip6)
			break;
		if ((a->hi & r->ip6[i].mask.hi) == r->ip6[i].addr.hi &&
		    (a->lo & r->ip6[i].mask.lo) == r->ip6[i].addr.lo)
			return a->lo != 0 || r->ip6[i].mask.lo != 0;
	}
	return 0;
}

static __always_inline int answers_for6(const struct nic_rules *r, const struct in6 *a)
{
	for (int i = 0; i < MAX_ANSWERS; i++) {
		if (i >= r->nanswer6)
			break;
		if (in6_equal(a, &r->answer6[i]))
			return 1;
	}
	return 0;
}

static __always_inline int answers_nd(const struct nic_rules *r, const struct frame *f, const struct ip6 *p)
{
	struct in6 target;

	if (p->up + 24 > p->end || bpf_skb_load_bytes(f->skb, p->up + 8, &target, 16) < 0)
		return 0;
	if (answers_for6(r, &target))
		return 1;
	return r->flags & RULE_ANSWER_ALL && !in6_unspecified(&p->src) && !in6_multicast(&target) &&
	       !in6_unspecified(&target) && !in6_local(&target) && !owns_ip6(r, &target);
}

static __always_inline __u8 contain546(const struct nic_rules *r, int plain)
{
	if (!(r->flags & RULE_SERVE))
		return REASON_DHCP_SERVER;
	return plain ? 0 : REASON_DHCP_DISGUISED;
}

/* is_server_message says Advertise, Reply, Reconfigure or Relay-reply. */
static __always_inline int is_server_message(__u8 m)
{
	return m == 2 || m == 7 || m == 10 || m == 13;
}

static __always_inline __u8 contain547(const struct nic_rules *r, __u8 message, int plain)
{
	if (!(r->flags & RULE_SERVE) && is_server_message(message))
		return REASON_DHCP_SERVER;
	if (!plain)
		return REASON_DHCP_DISGUISED;
	return r->flags & RULE_SITE_DHCP ? 0 : REASON_DHCP6;
}

static __always_inline __u8 contain6(const struct nic_rules *r, const struct frame *f, const struct ip6 *p)
{
	int plain = !p->fragmented && !f->tagged && !f->llc;
	__u8 why = undecidable6(p);

	if (why)
		return why;
	if (p->ports && p->dport == PORT_CLIENT6)
		return contain546(r, plain && p->proto == IPPROTO_UDP);
	if (p->ports && p->dport == PORT_SERVER6)
		return contain547(r, message6(f, p), plain && p->proto == IPPROTO_UDP);
	if (!is_icmp6(p))
		return 0;
	if (p->kind == ROUTER_ADVERT && !(r->flags & RULE_ADVERTISE))
		return REASON_RA_ROGUE;
	if (p->kind == ROUTER_SOLICIT && !(r->flags & RULE_SITE_RA))
		return plain ? REASON_ROUTER_SOLICITATION : REASON_ND_FRAGMENT;
	if (p->kind == NEIGHBOR_SOLICIT && plain && answers_nd(r, f, p))
		return REASON_NEIGHBOUR_SOLICITATION;
	return 0;
}

/* advertises says whether this is a neighbour advertisement of an address. */
static __always_inline int advertises(const struct frame *f, const struct ip6 *p, const struct in6 *a)
{
	struct in6 target;

	if (!is_icmp6(p) || p->kind != NEIGHBOR_ADVERT || p->up + 24 > p->end ||
	    bpf_skb_load_bytes(f->skb, p->up + 8, &target, 16) < 0)
		return 0;
	return in6_equal(&target, a);
}

static __always_inline __u8 foreign6(const struct nic_rules *r, const struct frame *f, const struct ip6 *p)
{
	const struct in6 berth = BERTH_LINK_LOCAL;
	int plain = !p->fragmented && !f->tagged && !f->llc;
	__u8 why = undecidable6(p);

	if (why)
		return why;
	if (p->ports && p->dport == PORT_CLIENT6 &&
	    !(r->flags & RULE_SITE_DHCP && plain && p->proto == IPPROTO_UDP))
		return REASON_DHCP_FOREIGN;
	if (in6_equal(&p->src, &berth) || advertises(f, p, &berth))
		return REASON_AS_BERTH;
	if (!is_icmp6(p) || p->kind != ROUTER_ADVERT)
		return 0;
	if (r->flags & RULE_SITE_RA && plain && !p->extended && p->hop == 255)
		return 0;
	return REASON_RA_FOREIGN;
}

#define PERMITTED 1
#define CLAIM 2

static __always_inline int is_router(const struct nic_rules *r, const struct in6 *a)
{
	for (int i = 0; i < MAX_ROUTERS; i++) {
		if (i >= r->nrouters)
			break;
		if (in6_equal(a, &r->routers[i]))
			return 1;
	}
	return in6_equal(a, &r->gateway6);
}

__noinline int permits_ip6(const struct nic_rules *r, const struct in6 *a)
{
	const struct in6 berth = BERTH_LINK_LOCAL;

	if (!r || !a)
		return 0;
	if (!in6_local(a))
		return owns_ip6(r, a);
	if (!(r->flags & RULE_IP6) || in6_equal(a, &berth) || is_router(r, a))
		return 0;
	if (r->flags & RULE_LL_FIXED) {
		for (int i = 0; i < MAX_LOCALS; i++) {
			if (i >= r->nlocals)
				break;
			if (in6_equal(a, &r->locals[i]))
				return PERMITTED;
		}
		return 0;
	}
	if (in6_equal(a, &r->eui64))
		return PERMITTED;
	return r->flags & RULE_LL_FIRST_COME ? PERMITTED | CLAIM : 0;
}

static __always_inline void add_claim(struct claims *c, const struct in6 *a)
{
	if (c->n == 0)
		c->list[0] = *a;
	else
		c->list[1] = *a;
	c->n++;
}

/* unspecified_source permits what a host without an address sends: duplicate
 * address detection, router solicitation, group membership (RFC 3590). */
static __always_inline int unspecified_source(const struct ip6 *p)
{
	if (!is_icmp6(p) || p->fragmented || !in6_multicast(&p->dst))
		return 0;
	return p->kind == ROUTER_SOLICIT || p->kind == NEIGHBOR_SOLICIT || p->kind == MLD_REPORT ||
	       p->kind == MLD_DONE || p->kind == MLD_REPORT2;
}

static __always_inline __u8 speaks_for(const struct nic_rules *r, const struct in6 *a, struct claims *c)
{
	int ok = permits_ip6(r, a);

	if (!ok)
		return REASON_ND_TARGET;
	if (ok & CLAIM)
		add_claim(c, a);
	return 0;
}

static __always_inline __u8 check_source6(const struct nic_rules *r, const struct ip6 *p, struct claims *c)
{
	if (in6_unspecified(&p->src))
		return unspecified_source(p) ? 0 : REASON_IP6_SPOOF;
	if (p->taken) /* see check_arp */
		return 0;
	return speaks_for(r, &p->src, c) ? REASON_IP6_SPOOF : 0;
}

static __always_inline __u8 check_fragment6(const struct ip6 *p)
{
	if (p->more && p->end - p->up < MIN_FRAGMENT6)
		return REASON_FRAGMENT_TINY;
	if (p->frag_off > 0 && p->frag_off < MIN_FRAGMENT6)
		return REASON_FRAGMENT_TINY;
	return 0;
}

static __always_inline __u8 check_type6(__u8 kind)
{
	switch (kind) {
	case 1: /* errors */
	case 2:
	case 3:
	case 4:
	case 128: /* echo, extended echo */
	case 129:
	case 160:
	case 161:
	case MLD_REPORT:
	case MLD_DONE:
	case MLD_REPORT2:
	case ROUTER_SOLICIT:
	case ROUTER_ADVERT:
	case NEIGHBOR_SOLICIT:
	case NEIGHBOR_ADVERT:
		return 0;
	case MLD_QUERY:
		return REASON_MLD_QUERY;
	case ND_REDIRECT:
		return REASON_ICMP_REDIRECT;
	default:
		return REASON_ICMP6_TYPE;
	}
}

static __always_inline __u8 check_control6(const struct nic_rules *r, const struct frame *f,
					   const struct ip6 *p)
{
	int group = (f->dmac >> 40 & 1) || in6_multicast(&p->dst);

	if (is_icmp6(p))
		return check_type6(p->kind);
	if (p->proto == 88 || p->proto == 89 || p->proto == IPPROTO_PIM) /* EIGRP, OSPF */
		return group ? REASON_ROUTING_CONTROL : 0;
	if (p->proto == PROTO_VRRP)
		return group && !speaks_vrrp(f->skb, r, p->up, p->end, 1) ? REASON_ROUTING_CONTROL : 0;
	if (p->ports && p->proto == IPPROTO_UDP && group &&
	    (is_routing_port(p->dport) || p->dport == 521 || p->dport == 6696)) /* RIPng, Babel */
		return REASON_ROUTING_CONTROL;
	return 0;
}

static __always_inline __u8 check_ip6(const struct nic_rules *r, const struct frame *f,
				      const struct ip6 *p, struct claims *c)
{
	int mld = is_icmp6(p) && ((p->kind >= MLD_QUERY && p->kind <= MLD_DONE) || p->kind == MLD_REPORT2);
	__u8 why;

	why = check_source6(r, p, c);
	if (why)
		return why;
	if (p->odd || (p->alert && !mld))
		return REASON_IP6_OPTIONS;
	why = check_fragment6(p);
	if (why || r->flags & RULE_ROUTER || p->frag_off)
		return why;
	return check_control6(r, f, p);
}

/* nd_options looks at all options, not only at the first of a kind: which one
 * of two a receiver takes is its own affair. */
__noinline int nd_options(struct __sk_buff *skb, const struct nic_rules *r, __u32 at, __u32 end,
			  __u32 unspecified)
{
	__u32 seen = 0;

	if (!r)
		return REASON_ND_MALFORMED;
	for (int n = 0; n < MAX_ND_OPTIONS; n++) {
		__u8 o[8];

		if (at >= end)
			return 0;
		if (at + 8 > end || bpf_skb_load_bytes(skb, at, o, sizeof(o)) < 0 || o[1] == 0 ||
		    at + o[1] * 8 > end)
			return REASON_ND_MALFORMED;
		if (o[0] == 1 || o[0] == 2) { /* source, target link-layer address */
			if (o[1] != 1 || seen & 1 << o[0] || unspecified)
				return REASON_ND_MALFORMED;
			seen |= 1 << o[0];
			if (!owns_mac(r, mac64(o + 2)))
				return REASON_ND_SPOOF_MAC;
		}
		at += o[1] * 8;
	}
	return at < end ? REASON_ND_MALFORMED : 0;
}

static __always_inline __u8 check_ns(const struct nic_rules *r, const struct in6 *target,
				     const struct ip6 *p, struct claims *c)
{
	if (in6_multicast(target))
		return REASON_ND_MALFORMED;
	if (!in6_unspecified(&p->src) || answers_for6(r, target))
		return 0;
	return speaks_for(r, target, c);
}

static __always_inline __u8 check_na(const struct nic_rules *r, const struct in6 *target, __u8 flags,
				     const struct ip6 *p, struct claims *c)
{
	__u8 why;

	if (flags & 0x40 && in6_multicast(&p->dst)) /* solicited, yet to a group */
		return REASON_ND_MALFORMED;
	why = speaks_for(r, target, c);
	if (why)
		return why;
	return flags & 0x80 && !(r->flags & (RULE_ROUTER | RULE_ADVERTISE)) ? REASON_ND_ROUTER : 0;
}

static __always_inline __u8 check_nd(const struct nic_rules *r, const struct frame *f,
				     const struct ip6 *p, struct claims *c)
{
	__u32 fixed = 24;
	struct in6 target;
	__u8 flags, why;

	if (!is_icmp6(p) || p->kind < ROUTER_SOLICIT || p->kind > ND_REDIRECT)
		return 0;
	if (p->fragmented)
		return REASON_ND_FRAGMENT;
	if (p->kind == ROUTER_SOLICIT)
		fixed = 8;
	else if (p->kind == ROUTER_ADVERT)
		fixed = 16;
	else if (p->kind == ND_REDIRECT)
		fixed = 40;
	if (p->hop != 255 || p->code != 0 || p->up + fixed > p->end)
		return REASON_ND_MALFORMED;
	if (!(r->flags & RULE_CHECK_IP)) { /* or it was asked before */
		why = check_source6(r, p, c);
		if (why)
			return why;
	}
	if (p->kind == ND_REDIRECT) /* its options are about the one it redirects to */
		return r->flags & RULE_ROUTER ? 0 : REASON_ICMP_REDIRECT;
	why = nd_options(f->skb, r, p->up + fixed, p->end, in6_unspecified(&p->src));
	if (why || fixed != 24)
		return why;
	if (bpf_skb_load_bytes(f->skb, p->up + 8, &target, 16) < 0 ||
	    bpf_skb_load_bytes(f->skb, p->up + 4, &flags, 1) < 0)
		return REASON_TRUNCATED;
	return p->kind == NEIGHBOR_SOLICIT ? check_ns(r, &target, p, c) : check_na(r, &target, flags, p, c);
}

static __always_inline __u8 check_6(const struct nic_rules *r, const struct frame *f,
				    const struct ip6 *p, struct claims *c)
{
	__u8 why = 0;

	if (r->flags & RULE_CHECK_IP)
		why = check_ip6(r, f, p, c);
	if (!why && r->flags & RULE_CHECK_ND)
		why = check_nd(r, f, p, c);
	return why;
}

#endif
