// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The guard in the kernel: a faster copy of internal/guard, held to it frame
 * by frame. Two programs, one at each tc hook of a managed NIC:
 *
 *   from_guest  checks what the guest sends, takes its DHCP out of the stream
 *               before any bridge sees it, marks what passes;
 *   to_guest    keeps foreign DHCP servers away from the guest.
 *
 * Every byte is read with bpf_skb_load_bytes, never through skb->data: the
 * guest chooses how much of a frame is linear (virtio_net_hdr.hdr_len).
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "berth.h"
#include "reasons.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct nic_rules);
} nics SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct nic_state);
} states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4194304);
	__type(key, struct set_key);
	__type(value, __u8);
} sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} punts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} samples SEC(".maps");

/* Keeps the records' types in the object, for the Go side. */
const struct punt *unused_punt __attribute__((unused));
const struct sample *unused_sample __attribute__((unused));

struct frame {
	struct __sk_buff *skb;
	__u32 len;
	__u64 dmac, smac;
	__u16 ethertype; /* innermost; 0: LLC that is not SNAP */
	__u32 off;       /* of its payload */
	__u8 tagged, llc, too_deep, truncated;
};

struct ip4 {
	__u8 truncated, bad, proto, more, ports, hidden, kind;
	__u32 ihl;
	__s32 payload;
	__u32 frag_off;
	__be32 src, dst;
	__u16 sport, dport;
};

struct verdict {
	__u8 action;  /* PASS, DROP, TAKE */
	__u8 reason;  /* of DROP and TAKE */
	__u8 audited; /* what would have been dropped */
};

enum { PASS, DROP, TAKE };

/* Keeps the compiler from knowing a value, or it folds two bounds into one
 * that the verifier cannot read. */
#define HIDE(v) asm volatile("" : "+r"(v))

/* load_head copies the frame's beginning, at most `most` bytes, and returns how many. */
static __always_inline int load_head(struct __sk_buff *skb, void *to, __u32 most)
{
	__u64 len = skb->len; /* 64 bits: the verifier forgets bounds when it widens */

	if (len > most)
		len = most;
	HIDE(len);
	if (len < 14)
		return -1;
	HIDE(len);
	if (len > most)
		return -1;
	return bpf_skb_load_bytes(skb, 0, to, len) < 0 ? -1 : (int)len;
}

static __always_inline __u64 mac64(const __u8 *m)
{
	return (__u64)m[0] << 40 | (__u64)m[1] << 32 | (__u64)m[2] << 24 | (__u64)m[3] << 16 |
	       (__u64)m[4] << 8 | m[5];
}

static __always_inline int is_tpid(__u16 t)
{
	return t == 0x8100 || t == 0x88a8 || t == 0x9100 || t == 0x9200 || t == 0x9300;
}

/* Looks behind LLC/SNAP with OUI 00:00:00 or 00:00:f8, because receivers
 * unwrap both (CVE-2021-27854). */
static __always_inline void parse_snap(struct frame *f)
{
	__u8 s[8];

	f->ethertype = 0;
	if (bpf_skb_load_bytes(f->skb, f->off, s, sizeof(s)) < 0)
		return;
	if (s[0] == 0xaa && s[1] == 0xaa && s[2] == 3 && s[3] == 0 && s[4] == 0 &&
	    (s[5] == 0 || s[5] == 0xf8)) {
		f->ethertype = (__u16)s[6] << 8 | s[7];
		f->off += 8;
		f->too_deep = is_tpid(f->ethertype);
	}
}

static __always_inline void parse_l2(struct frame *f)
{
	__u8 eth[14], tag[4];

	f->off = 14;
	if (bpf_skb_load_bytes(f->skb, 0, eth, sizeof(eth)) < 0) {
		f->truncated = 1;
		return;
	}
	f->dmac = mac64(eth);
	f->smac = mac64(eth + 6);
	f->ethertype = (__u16)eth[12] << 8 | eth[13];
	for (int n = 0; n < MAX_TAGS; n++) {
		if (!is_tpid(f->ethertype))
			break;
		f->tagged = 1;
		if (bpf_skb_load_bytes(f->skb, f->off, tag, sizeof(tag)) < 0) {
			f->truncated = 1;
			return;
		}
		f->ethertype = (__u16)tag[2] << 8 | tag[3];
		f->off += 4;
	}
	if (is_tpid(f->ethertype)) {
		f->too_deep = 1;
		return;
	}
	if (f->ethertype < 0x0600) {
		f->llc = 1;
		parse_snap(f);
	}
}

static __always_inline int is_udp(const struct ip4 *p)
{
	return p->proto == IPPROTO_UDP || p->proto == IPPROTO_UDPLITE;
}

static __always_inline void parse_l4(const struct frame *f, struct ip4 *p)
{
	__u32 off = f->off + p->ihl;
	__u8 h[8];

	if (!is_udp(p)) {
		if (p->payload > 0)
			bpf_skb_load_bytes(f->skb, off, &p->kind, 1);
		return;
	}
	if (p->payload < 8 || bpf_skb_load_bytes(f->skb, off, h, sizeof(h)) < 0) {
		p->hidden = 1;
		return;
	}
	p->ports = 1;
	p->sport = (__u16)h[0] << 8 | h[1];
	p->dport = (__u16)h[2] << 8 | h[3];
}

static __always_inline void parse_ip4(const struct frame *f, struct ip4 *p)
{
	__u8 h[20];
	__u16 total, frag;

	if (bpf_skb_load_bytes(f->skb, f->off, h, sizeof(h)) < 0) {
		p->truncated = 1;
		return;
	}
	total = (__u16)h[2] << 8 | h[3];
	frag = (__u16)h[6] << 8 | h[7];
	p->ihl = (h[0] & 15) * 4;
	p->payload = (__s32)total - (__s32)p->ihl;
	p->frag_off = (frag & 0x1fff) * 8;
	p->more = !!(frag & 0x2000);
	p->proto = h[9];
	__builtin_memcpy(&p->src, h + 12, 4);
	__builtin_memcpy(&p->dst, h + 16, 4);
	if (h[0] >> 4 != 4 || p->ihl < 20 || p->payload < 0 || f->off + total > f->len ||
	    p->frag_off + (__u32)p->payload > 65535) {
		p->bad = 1;
		return;
	}
	if (p->frag_off == 0)
		parse_l4(f, p);
}

static __always_inline __u8 bootp_op(const struct frame *f, const struct ip4 *p)
{
	__u8 op = 0;

	if (p->payload >= 8 + 1)
		bpf_skb_load_bytes(f->skb, f->off + p->ihl + 8, &op, 1);
	return op;
}

static __always_inline __be32 bootp_ciaddr(const struct frame *f, const struct ip4 *p)
{
	__be32 ciaddr = 0;

	if (p->payload >= 8 + 16)
		bpf_skb_load_bytes(f->skb, f->off + p->ihl + 8 + 12, &ciaddr, 4);
	return ciaddr;
}

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

static __always_inline __u8 contain(const struct frame *f, const struct ip4 *p)
{
	__u8 why;

	if (f->ethertype != ETHERTYPE_IP4)
		return 0;
	why = undecidable(p);
	if (why || !p->ports)
		return why;
	if (p->dport == PORT_CLIENT)
		return REASON_DHCP_SERVER;
	if (p->dport != PORT_SERVER)
		return 0;
	if (p->more || f->tagged || f->llc || p->proto == IPPROTO_UDPLITE)
		return REASON_DHCP_DISGUISED;
	if (bootp_op(f, p) == 2)
		return REASON_DHCP_SERVER; /* BOOTREPLY, to a relay */
	return REASON_DHCP4;
}

static __always_inline __u8 foreign(const struct ip4 *p)
{
	__u8 why = undecidable(p);

	if (why)
		return why;
	if (p->ports && p->dport == PORT_CLIENT)
		return REASON_DHCP_FOREIGN;
	return 0;
}

static __noinline int owns_mac(const struct nic_rules *r, __u64 mac)
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

static __noinline int owns_ip4(const struct nic_rules *r, __be32 addr)
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

static __always_inline __u8 check_l2(const struct nic_rules *r, const struct frame *f)
{
	if (r->flags & RULE_CHECK_L2) {
		if (f->tagged)
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
	if (f->ethertype == ETHERTYPE_IP6 && r->flags & RULE_CHECK_IP)
		return REASON_IPV6_CLOSED;
	return 0;
}

static __always_inline __u8 check_arp(const struct nic_rules *r, const struct frame *f)
{
	__u8 a[28];
	__be32 spa, tpa;

	if (bpf_skb_load_bytes(f->skb, f->off, a, sizeof(a)) < 0)
		return REASON_TRUNCATED;
	if (a[0] != 0 || a[1] != 1 || a[2] != 8 || a[3] != 0 || a[4] != 6 || a[5] != 4)
		return REASON_ARP_MALFORMED;
	if (a[6] != 0 || (a[7] != 1 && a[7] != 2))
		return REASON_ARP_OPCODE;
	if (!owns_mac(r, mac64(a + 8)))
		return REASON_ARP_SPOOF_MAC;
	__builtin_memcpy(&spa, a + 14, 4);
	__builtin_memcpy(&tpa, a + 24, 4);
	if (spa == 0) /* a probe, RFC 5227 2.1.1 */
		return a[7] == 1 && owns_ip4(r, tpa) ? 0 : REASON_ARP_PROBE;
	return owns_ip4(r, spa) ? 0 : REASON_ARP_SPOOF_IP;
}

/* client_source permits the foreign sources of a DHCP client: none yet, and
 * the address it renews after its binding changed, to be told NAK. */
static __always_inline int client_source(const struct frame *f, const struct ip4 *p)
{
	if (p->proto != IPPROTO_UDP || !p->ports || p->dport != PORT_SERVER)
		return 0;
	if (p->src == 0)
		return 1;
	return p->sport == PORT_CLIENT && bootp_op(f, p) == 1 && bootp_ciaddr(f, p) == p->src;
}

/* Only padding and Router Alert are an honest host's (RFC 2113, RFC 7126). */
static __noinline int bad_options(struct __sk_buff *skb, __u32 off, __u32 end)
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

static __always_inline __u8 check_control(const struct frame *f, const struct ip4 *p)
{
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
	case IPPROTO_UDP:
		if (group && (p->dport == 520 || p->dport == 646 || p->dport == 1985 ||
			      p->dport == 2029 || p->dport == 3222))
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
	if (!owns_ip4(r, p->src) && !client_source(f, p))
		return REASON_IP4_SPOOF;
	if (p->ihl > 20 && bad_options(f->skb, f->off + 20, f->off + p->ihl))
		return REASON_IP4_OPTIONS;
	why = check_fragment(p);
	if (why || r->flags & RULE_ROUTER)
		return why;
	return check_control(f, p);
}

static __always_inline __u8 check_from_guest(const struct nic_rules *r, const struct frame *f,
					     const struct ip4 *p)
{
	__u8 why;

	if (r->flags & RULE_CHECK_MAC && !owns_mac(r, f->smac))
		return REASON_MAC_SPOOF;
	why = check_l2(r, f);
	if (why)
		return why;
	if (f->ethertype == ETHERTYPE_ARP && r->flags & RULE_CHECK_ARP)
		return check_arp(r, f);
	if (f->ethertype == ETHERTYPE_RARP && r->flags & RULE_CHECK_ARP)
		return REASON_RARP;
	if (f->ethertype == ETHERTYPE_IP4 && r->flags & RULE_CHECK_IP)
		return check_ip4(r, f, p);
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

static __always_inline struct verdict judge_from_guest(const struct nic_rules *r, struct frame *f)
{
	struct verdict v = {.action = DROP};
	struct ip4 p = {};

	if (r->flags & RULE_CLOSED) {
		v.reason = REASON_NO_BINDING;
		return v;
	}
	parse_l2(f);
	v.reason = unreadable(f);
	if (v.reason)
		return v;
	if (f->ethertype == ETHERTYPE_IP4)
		parse_ip4(f, &p);
	v.reason = contain(f, &p);
	if (v.reason && v.reason != REASON_DHCP4)
		return v;
	v.action = v.reason ? TAKE : PASS;
	return enforce(r, v, check_from_guest(r, f, &p));
}

static __always_inline struct verdict judge_to_guest(const struct nic_rules *r, struct frame *f)
{
	struct verdict v = {.action = DROP};
	struct ip4 p = {};

	if (r->flags & RULE_CLOSED) {
		v.reason = REASON_NO_BINDING;
		return v;
	}
	parse_l2(f);
	v.reason = unreadable(f);
	if (v.reason)
		return v;
	if (f->ethertype == ETHERTYPE_IP4) {
		parse_ip4(f, &p);
		v.reason = foreign(&p);
		if (v.reason)
			return v;
	}
	v.action = PASS;
	return enforce(r, v, check_l2(r, f));
}

static __always_inline void add(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/* show hands a frame to the daemon, at most one a second for each reason and
 * NIC: what a guest sends must not fill a log. */
static __noinline int show(struct __sk_buff *skb, struct nic_state *s, __u32 why)
{
	__u64 now = bpf_ktime_get_ns(), *last;
	struct sample *e;
	int kept;

	if (!s)
		return 0;
	last = &s->sampled_ns[why & (REASONS - 1)];
	if (*last != 0 && now - *last < SAMPLE_EVERY_NS)
		return 0;
	*last = now;
	e = bpf_ringbuf_reserve(&samples, sizeof(*e), 0);
	if (!e)
		return 0;
	e->ifindex = skb->ifindex;
	e->len = skb->len;
	e->why = why;
	__builtin_memset(e->data, 0, sizeof(e->data));
	kept = load_head(skb, e->data, SAMPLE_BYTES);
	e->kept = kept < 0 ? 0 : kept;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* spend takes one token of the NIC's bucket; tokens are counted in the
 * nanoseconds they cost. */
static __always_inline int spend(const struct nic_rules *r, struct nic_state *s)
{
	__u64 now = bpf_ktime_get_ns(), cost = r->cost_ns, full = cost * r->burst, have;
	int ok;

	bpf_spin_lock(&s->lock);
	have = s->tokens_ns + (now - s->filled_ns);
	if (s->filled_ns == 0 || have > full)
		have = full;
	s->filled_ns = now;
	ok = have >= cost;
	s->tokens_ns = ok ? have - cost : have;
	bpf_spin_unlock(&s->lock);
	return ok;
}

/* hand_up gives a client message up whole; the frame itself ends here. */
static __always_inline __u8 hand_up(struct __sk_buff *skb, const struct nic_rules *r, struct nic_state *s)
{
	struct punt *e;

	if (!spend(r, s))
		return REASON_DHCP_RATE;
	e = bpf_ringbuf_reserve(&punts, sizeof(*e), 0);
	if (!e)
		return REASON_DHCP_RING_FULL;
	e->ifindex = skb->ifindex;
	e->len = skb->len;
	/* A longer message is handed up cut, and found malformed there. */
	if (load_head(skb, e->data, PUNT_BYTES) < 0) {
		bpf_ringbuf_discard(e, 0);
		return REASON_TRUNCATED;
	}
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline int drop(struct __sk_buff *skb, struct nic_state *s, __u8 why)
{
	add(&s->dropped[why & (REASONS - 1)]);
	show(skb, s, why);
	return VERDICT_DROP;
}

static __always_inline void audit(struct __sk_buff *skb, struct nic_state *s, __u8 why)
{
	if (!why)
		return;
	add(&s->audited[why & (REASONS - 1)]);
	show(skb, s, why | SAMPLE_AUDIT);
}

SEC("tc")
int from_guest(struct __sk_buff *skb)
{
	struct frame f = {.skb = skb, .len = skb->len, .tagged = !!skb->vlan_present};
	__u32 key = skb->ifindex;
	struct nic_rules *r = bpf_map_lookup_elem(&nics, &key);
	struct nic_state *s = bpf_map_lookup_elem(&states, &key);
	struct verdict v;
	__u8 why;

	if (!r || !s)
		return VERDICT_DROP;
	v = judge_from_guest(r, &f);
	if (v.action == DROP)
		return drop(skb, s, v.reason);
	audit(skb, s, v.audited);
	if (v.action == TAKE) {
		why = hand_up(skb, r, s);
		if (why)
			return drop(skb, s, why);
		add(&s->taken);
		return VERDICT_DROP;
	}
	add(&s->from_guest);
	skb->mark |= GUARD_MARK;
	return VERDICT_NEXT;
}

SEC("tc")
int to_guest(struct __sk_buff *skb)
{
	struct frame f = {.skb = skb, .len = skb->len, .tagged = !!skb->vlan_present};
	__u32 key = skb->ifindex;
	struct nic_rules *r = bpf_map_lookup_elem(&nics, &key);
	struct nic_state *s = bpf_map_lookup_elem(&states, &key);
	struct verdict v;

	if (!r || !s)
		return VERDICT_DROP;
	v = judge_to_guest(r, &f);
	if (v.action == DROP)
		return drop(skb, s, v.reason);
	audit(skb, s, v.audited);
	add(&s->to_guest);
	return VERDICT_NEXT;
}
