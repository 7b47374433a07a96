/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading a frame: the link layer behind its tags, IPv4, the ports. Nothing
 * here judges; a field that could not be read is said to be so.
 *
 * Whatever loops or branches much is a global function: the verifier looks at
 * it once, and not once for every way that leads there. */
#ifndef BERTH_PARSE_H
#define BERTH_PARSE_H

struct frame {
	struct __sk_buff *skb;
	__u32 len;
	__u64 dmac, smac;
	__u16 ethertype; /* innermost; 0: LLC that is not SNAP */
	__u32 off;       /* of its payload */
	__u16 vid;       /* of the only tag, if that is 802.1Q; else 0 */
	__u8 tagged, llc, too_deep, truncated;
};

/* frame_of notes the tag that the kernel has moved out of the frame. */
static __always_inline struct frame frame_of(struct __sk_buff *skb)
{
	struct frame f = {.skb = skb, .len = skb->len, .tagged = !!skb->vlan_present};

	if (f.tagged && skb->vlan_proto == bpf_htons(0x8100))
		f.vid = skb->vlan_tci & 0xfff;
	return f;
}

struct ip4 {
	__u8 truncated, bad, proto, more, ports, hidden, kind;
	__u32 ihl;
	__s32 payload;
	__u32 frag_off;
	__be32 src, dst;
	__u16 sport, dport;
};

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
	__u8 eth[14], tag[4], only;

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
		only = !f->tagged && f->ethertype == 0x8100;
		f->tagged = 1;
		f->vid = 0;
		if (bpf_skb_load_bytes(f->skb, f->off, tag, sizeof(tag)) < 0) {
			f->truncated = 1;
			return;
		}
		if (only)
			f->vid = ((__u16)tag[0] << 8 | tag[1]) & 0xfff;
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

static __always_inline void parse_l4(struct __sk_buff *skb, __u32 off, struct ip4 *p)
{
	__u8 h[8];

	if (!is_udp(p)) {
		if (p->payload > 0)
			bpf_skb_load_bytes(skb, off, &p->kind, 1);
		return;
	}
	if (p->payload < 8 || bpf_skb_load_bytes(skb, off, h, sizeof(h)) < 0) {
		p->hidden = 1;
		return;
	}
	p->ports = 1;
	p->sport = (__u16)h[0] << 8 | h[1];
	p->dport = (__u16)h[2] << 8 | h[3];
}

/* parse_ip4 reads the packet at off of a frame of len bytes. */
__noinline int parse_ip4(struct __sk_buff *skb, __u32 off, __u32 len, struct ip4 *p)
{
	__u8 h[20];
	__u16 total, frag;

	if (!p)
		return 0;
	if (bpf_skb_load_bytes(skb, off, h, sizeof(h)) < 0) {
		p->truncated = 1;
		return 0;
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
	if (h[0] >> 4 != 4 || p->ihl < 20 || p->payload < 0 || off + total > len ||
	    p->frag_off + (__u32)p->payload > 65535) {
		p->bad = 1;
		return 0;
	}
	if (p->frag_off == 0)
		parse_l4(skb, off + p->ihl, p);
	return 0;
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

static __always_inline int is_ethernet_arp(const __u8 *a)
{
	return a[0] == 0 && a[1] == 1 && a[2] == 8 && a[3] == 0 && a[4] == 6 && a[5] == 4;
}

#endif
