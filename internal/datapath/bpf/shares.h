/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who else there is: the peers that may reach the NIC, and what it shares with
 * others, as internal/guard/shares.go says it in Go. */
#ifndef BERTH_SHARES_H
#define BERTH_SHARES_H

/* is_peer says whether an Ethernet source may reach the NIC; without a list
 * everybody may. */
__noinline int is_peer(const struct nic_rules *r, __u64 mac)
{
	if (!r)
		return 0;
	for (int i = 0; i < MAX_PEERS; i++) {
		if (i >= r->npeers)
			break;
		if ((mac & r->peers[i].mask) == r->peers[i].mac)
			return 1;
	}
	return r->npeers == 0;
}

static __always_inline int has_vrid(const __u8 *list, __u8 n, __u8 vrid)
{
	for (int i = 0; i < MAX_VRIDS; i++) {
		if (i >= n)
			break;
		if (list[i] == vrid)
			return 1;
	}
	return 0;
}

/* speaks_vrrp says whether the VRRP message between at and end is of one of the
 * NIC's virtual routers, by its second byte (RFC 9568 5.2.3). */
__noinline int speaks_vrrp(struct __sk_buff *skb, const struct nic_rules *r, __u32 at, __u32 end, int ip6)
{
	__u8 vrid;

	if (!r || at + 2 > end || bpf_skb_load_bytes(skb, at + 1, &vrid, 1) < 0)
		return 0;
	if (ip6)
		return has_vrid(r->vrids6, r->nvrids6, vrid);
	return has_vrid(r->vrids4, r->nvrids4, vrid);
}

/* see_share notes that the NIC says it has the address at an offset. */
__noinline int see_share(struct __sk_buff *skb, __u32 at, __u32 ip4)
{
	struct share_key k = {.ifindex = skb->ifindex};
	struct share *s;
	__be32 a = 0;

	if (ip4) {
		if (bpf_skb_load_bytes(skb, at, &a, sizeof(a)) < 0)
			return 0;
		k.addr.lo = BE64(0xffff00000000ULL | bpf_ntohl(a));
	} else if (bpf_skb_load_bytes(skb, at, &k.addr, sizeof(k.addr)) < 0) {
		return 0;
	}
	s = bpf_map_lookup_elem(&shares, &k);
	if (s)
		s->seen_ns = bpf_ktime_get_ns();
	return 0;
}

/* see notes which of its shared addresses a NIC announces: by an ARP sender, or
 * by the target of a neighbour advertisement. */
static __always_inline void see(const struct nic_rules *r, const struct frame *f, const struct ip6 *p)
{
	__u8 a[8];

	if (!(r->flags & RULE_SHARES) || f->tagged || f->llc)
		return;
	if (f->ethertype == ETHERTYPE_IP6) {
		if (is_icmp6(p) && p->kind == NEIGHBOR_ADVERT && !p->fragmented && p->up + 24 <= p->end)
			see_share(f->skb, p->up + 8, 0);
		return;
	}
	if (f->ethertype == ETHERTYPE_ARP && f->off + 28 <= f->len &&
	    bpf_skb_load_bytes(f->skb, f->off, a, sizeof(a)) == 0 && is_ethernet_arp(a) &&
	    a[6] == 0 && (a[7] == 1 || a[7] == 2))
		see_share(f->skb, f->off + 14, 1);
}

#endif
