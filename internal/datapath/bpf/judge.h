/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The verdict on a frame, function by function what internal/guard says in Go:
 * whose DHCP is this, and may this NIC send this. IPv6 is judged in judge6.h.
 * What loops is a global function, not a static one: the verifier looks at it
 * once, and not again for every way that leads to it. */
#ifndef BERTH_JUDGE_H
#define BERTH_JUDGE_H

struct verdict {
	__u8 action;  /* PASS, DROP, TAKE */
	__u8 reason;  /* of DROP and TAKE */
	__u8 audited; /* what would have been dropped */
};

enum { PASS, DROP, TAKE };

static __always_inline __u8 unreadable(const struct frame *f)
{
	if (f->truncated)
		return REASON_TRUNCATED;
	if (f->too_deep)
		return f->llc ? REASON_LLC : REASON_VLAN_TAG;
	return 0;
}

/* undecidable says why nobody can tell whether an IPv4 packet is DHCP. Clients
 * that read raw frames look at the protocol and the ports, and at little else. */
static __always_inline __u8 undecidable(const struct ip4 *p)
{
	if (p->truncated)
		return REASON_TRUNCATED;
	if (!is_udp(p))
		return 0;
	if (p->hidden && p->more)
		return REASON_DHCP_DISGUISED; /* the ports may come in an overlapping fragment */
	if (p->bad || p->hidden)
		return REASON_IP4_MALFORMED;
	return 0;
}

__noinline int owns_mac(const struct nic_rules *r, __u64 mac)
{
	if (!r)
		return 0;
	for (int i = 0; i < MAX_MACS; i++) {
		if (i >= r->nmacs)
			break;
		if (r->macs[i] == mac)
			return 1;
	}
	return 0;
}

__noinline int owns_ip4(const struct nic_rules *r, __be32 addr)
{
	if (!r)
		return 0;
	if (r->flags & RULE_SET) {
		struct set_key k = {.prefixlen = 64, .set = r->set, .addr = addr};

		return bpf_map_lookup_elem(&sets, &k) != 0;
	}
	for (int i = 0; i < MAX_IP4; i++) {
		if (i >= r->nip4)
			break;
		if ((addr & r->ip4[i].mask) == r->ip4[i].addr)
			return 1;
	}
	return 0;
}

static __always_inline int is_routing_port(__u16 p)
{
	return p == 520 || p == 646 || p == 1985 || p == 2029 || p == 3222;
}

#include "shares.h"
#include "judge6.h"
#include "locals.h"

/* disguised says that DHCP does not look like it to whoever is not the receiver. */
static __always_inline int disguised(const struct frame *f, const struct ip4 *p)
{
	return p->more || f->tagged || f->llc || p->proto == IPPROTO_UDPLITE;
}

static __always_inline __u8 contain4(const struct nic_rules *r, const struct frame *f, const struct ip4 *p)
{
	__u8 why = undecidable(p);

	if (why || !p->ports || (p->dport != PORT_CLIENT && p->dport != PORT_SERVER))
		return why;
	if (p->dport == PORT_CLIENT && !(r->flags & RULE_SERVE))
		return REASON_DHCP_SERVER;
	if (disguised(f, p))
		return REASON_DHCP_DISGUISED;
	if (p->dport == PORT_CLIENT)
		return 0;
	if (!(r->flags & RULE_SERVE) && bootp_op(f, p) == 2)
		return REASON_DHCP_SERVER; /* BOOTREPLY, to a relay */
	return r->flags & RULE_SITE_DHCP ? 0 : REASON_DHCP4;
}

static __always_inline int answers_for4(const struct nic_rules *r, __be32 a)
{
	for (int i = 0; i < MAX_ANSWERS; i++) {
		if (i >= r->nanswer4)
			break;
		if (r->answer4[i] == a)
			return 1;
	}
	return 0;
}

/* misses_server says whether a guest that has not heard of its new address yet
 * looks for the server it had. To one that has, that address is whose it is. */
static __always_inline int misses_server(const struct nic_rules *r, __be32 spa, __be32 tpa)
{
	for (int i = 0; i < MAX_FORMER; i++) {
		if (i >= r->nformer4)
			break;
		if (r->former4[i] == tpa)
			return spa != 0 && !owns_ip4(r, spa);
	}
	return 0;
}

/* is_host4 says what is not 0/8, a group or reserved. */
static __always_inline int is_host4(__be32 a)
{
	__u32 first = bpf_ntohl(a) >> 24;

	return first != 0 && first < 224;
}

static __always_inline int answers_arp(const struct nic_rules *r, const struct frame *f)
{
	__be32 spa, tpa;
	__u8 a[28];

	if (bpf_skb_load_bytes(f->skb, f->off, a, sizeof(a)) < 0 || !is_ethernet_arp(a) || a[6] != 0 || a[7] != 1)
		return 0;
	__builtin_memcpy(&spa, a + 14, 4);
	__builtin_memcpy(&tpa, a + 24, 4);
	if (answers_for4(r, tpa) || misses_server(r, spa, tpa))
		return 1;
	return r->flags & RULE_ANSWER_ALL && spa != 0 && tpa != spa && is_host4(tpa) && !owns_ip4(r, tpa);
}

/* contain says what a frame of the guest is: something to be taken, something
 * that must not exist, or neither. */
static __always_inline __u8 contain(const struct nic_rules *r, const struct frame *f,
				    const struct ip4 *p, const struct ip6 *p6)
{
	switch (f->ethertype) {
	case ETHERTYPE_IP4:
		return contain4(r, f, p);
	case ETHERTYPE_IP6:
		return contain6(r, f, p6);
	case ETHERTYPE_ARP:
		if (!f->tagged && !f->llc && answers_arp(r, f))
			return REASON_ARP_REQUEST;
	}
	return 0;
}

static __always_inline __u8 foreign(const struct nic_rules *r, const struct frame *f,
				    const struct ip4 *p, const struct ip6 *p6)
{
	__u8 why;

	if (f->smac == BERTH_MAC)
		return REASON_AS_BERTH;
	if (f->ethertype == ETHERTYPE_IP6)
		return foreign6(r, f, p6);
	if (f->ethertype != ETHERTYPE_IP4)
		return 0;
	why = undecidable(p);
	if (why)
		return why;
	if (!p->ports || p->dport != PORT_CLIENT)
		return 0;
	return r->flags & RULE_SITE_DHCP && !disguised(f, p) ? 0 : REASON_DHCP_FOREIGN;
}

static __always_inline int permits(const struct nic_rules *r, __u16 ethertype)
{
	if (ethertype == ETHERTYPE_IP4 || ethertype == ETHERTYPE_ARP || ethertype == ETHERTYPE_IP6)
		return 1;
	for (int i = 0; i < MAX_TYPES; i++) {
		if (i >= r->ntypes)
			break;
		if (r->types[i] == ethertype)
			return 1;
	}
	return 0;
}

static __always_inline int may_tag(const struct nic_rules *r, __u16 vid)
{
	for (int i = 0; i < MAX_VLANS; i++) {
		if (i >= r->nvlans)
			break;
		if (r->vlans[i] == vid)
			return 1;
	}
	return 0;
}

static __always_inline __u8 check_l2(const struct nic_rules *r, const struct frame *f)
{
	if (r->flags & RULE_CHECK_L2) {
		if (f->tagged && !may_tag(r, f->vid))
			return REASON_VLAN_TAG;
		if (f->llc)
			return REASON_LLC;
		if (f->dmac >> 4 == 0x0180c200000ULL)
			return REASON_LINK_CONTROL;
		if (f->ethertype == ETHERTYPE_RARP)
			return REASON_RARP;
		if (!permits(r, f->ethertype))
			return REASON_ETHERTYPE;
	}
	if (f->ethertype == ETHERTYPE_IP6 && r->flags & RULE_CHECK_IP && !(r->flags & RULE_IP6))
		return REASON_IPV6_CLOSED;
	return 0;
}

/* check_arp: a request that is taken may come from any address, because no
 * neighbour hears it, and a guest whose address was changed still looks for the
 * server it renews with. */
static __always_inline __u8 check_arp(const struct nic_rules *r, const struct frame *f, int taken)
{
	__u8 a[28];
	__be32 spa, tpa;

	if (bpf_skb_load_bytes(f->skb, f->off, a, sizeof(a)) < 0)
		return REASON_TRUNCATED;
	if (!is_ethernet_arp(a))
		return REASON_ARP_MALFORMED;
	if (a[6] != 0 || (a[7] != 1 && a[7] != 2))
		return REASON_ARP_OPCODE;
	if (!owns_mac(r, mac64(a + 8)))
		return REASON_ARP_SPOOF_MAC;
	if (taken)
		return 0;
	__builtin_memcpy(&spa, a + 14, 4);
	__builtin_memcpy(&tpa, a + 24, 4);
	if (spa == 0) /* a probe, RFC 5227 2.1.1 */
		return a[7] == 1 && owns_ip4(r, tpa) ? 0 : REASON_ARP_PROBE;
	return owns_ip4(r, spa) ? 0 : REASON_ARP_SPOOF_IP;
}

/* client_source permits the foreign sources of a DHCP client: none yet, and
 * the address it renews after its binding changed, to be told NAK. Where others
 * serve, the second would leave the NIC. */
static __always_inline int client_source(const struct nic_rules *r, const struct frame *f,
					 const struct ip4 *p)
{
	if (p->proto != IPPROTO_UDP || !p->ports || p->dport != PORT_SERVER)
		return 0;
	if (p->src == 0 || r->flags & RULE_SITE_DHCP)
		return p->src == 0;
	return p->sport == PORT_CLIENT && bootp_op(f, p) == 1 && bootp_ciaddr(f, p) == p->src;
}

/* joins_unnumbered permits the IGMPv3 report of an interface that has no
 * address yet (RFC 3376 section 4.2.13). */
static __always_inline int joins_unnumbered(const struct nic_rules *r, const struct ip4 *p)
{
	return (r->nip4 > 0 || r->flags & RULE_SET) && p->src == 0 && p->proto == IPPROTO_IGMP &&
	       p->kind == 0x22 && !p->more && p->frag_off == 0 && p->dst == bpf_htonl(0xe0000016);
}

/* Only padding and Router Alert are an honest host's (RFC 2113, RFC 7126). */
__noinline int bad_options(struct __sk_buff *skb, __u32 off, __u32 end)
{
	__u8 o[2] = {};

	for (int n = 0; n < 40; n++) {
		if (off >= end)
			return 0;
		if (bpf_skb_load_bytes(skb, off, o, 1) < 0)
			return 1;
		if (o[0] == 0)
			return 0;
		if (o[0] == 1) {
			off++;
			continue;
		}
		if (o[0] != 148 || off + 4 > end)
			return 1;
		if (bpf_skb_load_bytes(skb, off, o, 2) < 0 || o[1] != 4)
			return 1;
		off += 4;
	}
	return 0;
}

static __always_inline __u8 check_fragment(const struct ip4 *p)
{
	if (!p->more && p->frag_off == 0)
		return 0;
	if (p->more && p->payload < MIN_FRAGMENT)
		return REASON_FRAGMENT_TINY;
	if (p->proto == IPPROTO_TCP && p->frag_off == 8)
		return REASON_FRAGMENT_TINY; /* rewrites the TCP flags, RFC 3128 */
	if (p->dst == bpf_htonl(0xffffffff))
		return REASON_FRAGMENT_BROADCAST;
	return 0;
}

/* check_control: of a fragmented message the first fragment is judged, without
 * it there is none. */
static __always_inline __u8 check_control(const struct nic_rules *r, const struct frame *f,
					  const struct ip4 *p)
{
	__u32 up = f->off + p->ihl;
	int group = (f->dmac >> 40 & 1) || bpf_ntohl(p->dst) >= 0xe0000000;

	if (p->frag_off != 0)
		return 0;
	switch (p->proto) {
	case IPPROTO_ICMP:
		return p->kind == 5 ? REASON_ICMP_REDIRECT : 0;
	case IPPROTO_IGMP:
		return p->kind == 0x12 || p->kind == 0x16 || p->kind == 0x17 || p->kind == 0x22 ?
			       0 : REASON_IGMP_QUERY;
	case 88: /* EIGRP */
	case 89: /* OSPF */
	case IPPROTO_PIM:
		return group ? REASON_ROUTING_CONTROL : 0;
	case PROTO_VRRP:
		return group && !speaks_vrrp(f->skb, r, up, up + p->payload, 0) ? REASON_ROUTING_CONTROL : 0;
	case IPPROTO_UDP:
		if (group && is_routing_port(p->dport))
			return REASON_ROUTING_CONTROL;
	}
	return 0;
}

static __always_inline __u8 check_ip4(const struct nic_rules *r, const struct frame *f,
				      const struct ip4 *p)
{
	__u8 why;

	if (p->bad)
		return REASON_IP4_MALFORMED;
	if (!owns_ip4(r, p->src) && !client_source(r, f, p) && !joins_unnumbered(r, p))
		return REASON_IP4_SPOOF;
	if (p->ihl > 20 && bad_options(f->skb, f->off + 20, f->off + p->ihl))
		return REASON_IP4_OPTIONS;
	why = check_fragment(p);
	if (why || r->flags & RULE_ROUTER)
		return why;
	return check_control(r, f, p);
}

static __always_inline __u8 check_from_guest(const struct nic_rules *r, const struct frame *f,
					     const struct ip4 *p, const struct ip6 *p6, struct claims *c,
					     __u8 taken)
{
	__u8 why;

	if (r->flags & RULE_CHECK_MAC && !owns_mac(r, f->smac))
		return REASON_MAC_SPOOF;
	why = check_l2(r, f);
	if (why)
		return why;
	if (f->ethertype == ETHERTYPE_ARP && r->flags & RULE_CHECK_ARP)
		return check_arp(r, f, taken == REASON_ARP_REQUEST);
	if (f->ethertype == ETHERTYPE_RARP && r->flags & RULE_CHECK_ARP)
		return REASON_RARP;
	if (f->ethertype == ETHERTYPE_IP4 && r->flags & RULE_CHECK_IP)
		return check_ip4(r, f, p);
	if (f->ethertype == ETHERTYPE_IP6)
		return check_6(r, f, p6, c);
	return 0;
}

static __always_inline struct verdict enforce(const struct nic_rules *r, struct verdict v, __u8 broken)
{
	if (broken && r->flags & RULE_AUDIT) {
		v.audited = broken;
	} else if (broken) {
		v.action = DROP;
		v.reason = broken;
	}
	return v;
}

static __always_inline int is_taken(__u8 why)
{
	return why >= REASON_DHCP4 && why <= REASON_ARP_REQUEST;
}

static __always_inline void parse_ip(const struct frame *f, struct ip4 *p, struct ip6 *p6)
{
	if (f->ethertype == ETHERTYPE_IP4)
		parse_ip4(f->skb, f->off, f->len, p);
	else if (f->ethertype == ETHERTYPE_IP6)
		parse_ip6(f->skb, f->off, f->len, p6);
}

static __always_inline struct verdict verdict_from_guest(const struct nic_rules *r, struct frame *f)
{
	struct verdict v = {.action = DROP};
	struct claims c = {};
	struct ip4 p = {};
	struct ip6 p6 = {};
	__u8 broken;

	if (r->flags & RULE_CLOSED) {
		v.reason = REASON_NO_BINDING;
		return v;
	}
	parse_l2(f);
	v.reason = unreadable(f);
	if (v.reason)
		return v;
	parse_ip(f, &p, &p6);
	v.reason = contain(r, f, &p, &p6);
	if (!v.reason && f->dmac == BERTH_MAC)
		v.reason = REASON_TO_BERTH;
	if (v.reason && !is_taken(v.reason))
		return v;
	v.action = v.reason ? TAKE : PASS;
	p6.taken = v.reason == REASON_NEIGHBOUR_SOLICITATION;
	broken = check_from_guest(r, f, &p, &p6, &c, v.reason);
	if (!broken && v.action == PASS) { /* what is taken is seen by no neighbour */
		broken = settle(r, f->skb, &c);
		if (broken == REASON_LINK_LOCAL_TAKEN && !(r->flags & RULE_AUDIT) && is_probe(f, &p6)) {
			v.action = TAKE; /* to be answered with the conflict */
			v.reason = REASON_NEIGHBOUR_SOLICITATION;
			return v;
		}
	}
	v = enforce(r, v, broken);
	if (v.action == PASS && f->skb->ingress_ifindex != ASKED_ABOUT)
		see(r, f, &p6);
	return v;
}

static __always_inline __u8 check_to_guest(const struct nic_rules *r, const struct frame *f)
{
	if (r->flags & RULE_CHECK_MAC && !is_peer(r, f->smac))
		return REASON_PEER_FOREIGN;
	return check_l2(r, f);
}

static __always_inline struct verdict verdict_to_guest(const struct nic_rules *r, struct frame *f)
{
	struct verdict v = {.action = DROP};
	struct ip4 p = {};
	struct ip6 p6 = {};

	if (r->flags & RULE_CLOSED) {
		v.reason = REASON_NO_BINDING;
		return v;
	}
	parse_l2(f);
	v.reason = unreadable(f);
	if (v.reason)
		return v;
	parse_ip(f, &p, &p6);
	v.reason = foreign(r, f, &p, &p6);
	if (v.reason)
		return v;
	v.action = PASS;
	return enforce(r, v, check_to_guest(r, f));
}

/* judge_from_guest is a global function so that the shortcut, which does without
 * it, does without its stack, too. */
__noinline int judge_from_guest(struct __sk_buff *skb, const struct nic_rules *r, struct verdict *v)
{
	struct frame f = frame_of(skb);

	if (r && v)
		*v = verdict_from_guest(r, &f);
	return 0;
}

__noinline int judge_to_guest(struct __sk_buff *skb, const struct nic_rules *r, struct verdict *v)
{
	struct frame f = frame_of(skb);

	if (r && v)
		*v = verdict_to_guest(r, &f);
	return 0;
}

#endif
