/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ARP answered here and now: function by function what internal/arp says in Go,
 * for requests that get an answer. The others are handed up. */
#ifndef BERTH_ARP_H
#define BERTH_ARP_H

#define ARP_OP (ETH_BYTES + 6)
#define ARP_SENDER_MAC (ETH_BYTES + 8)
#define ARP_SENDER_IP (ETH_BYTES + 14)
#define ARP_TARGET_MAC (ETH_BYTES + 18)
#define ARP_TARGET_IP (ETH_BYTES + 24)
#define ARP_END (ETH_BYTES + 28)
#define MIN_FRAME 60 /* IEEE 802.3, without the FCS */

/* is_other4 says whether an address can be a host's that is not the NIC's. */
static __always_inline int is_other4(const struct nic_rules *r, const struct arp_answers *a, __be32 addr)
{
	if (!is_host4(addr) || bpf_ntohl(addr) >> 24 == 127 || owns_ip4(r, addr))
		return 0;
	for (__u32 i = 0; i < MAX_NOT4; i++) {
		if (i >= a->nnot)
			break;
		if (a->not[i] == addr)
			return 0;
	}
	return 1;
}

/* mac_of4 returns at which MAC the sender of a request is told that the target
 * is; 0 is silence. */
__noinline __u64 mac_of4(const struct nic_rules *r, const struct arp_answers *a, __be32 sender, __be32 target)
{
	__u64 mac;

	if (!r || !a)
		return 0;
	mac = a->others;
	for (__u32 i = 0; i < MAX_KNOWN4; i++) {
		if (i >= a->nknown)
			break;
		if (a->known[i].addr != target)
			continue;
		mac = a->known[i].mac;
		if (!a->known[i].former || (sender && !owns_ip4(r, sender)))
			return mac;
		break;
	}
	if (!a->all || !sender || sender == target || !is_other4(r, a, target))
		return 0;
	return mac;
}

/* answer_request writes the reply, -1 if the request is for the daemon. */
__noinline int answer_request(struct scratch *s, const struct nic_rules *r, const struct arp_answers *a)
{
	__u64 sender, mac;
	__be32 from, target;
	__u8 *o;

	if (!s || !r || !a || s->len < ARP_END || load16(s->in + 12) != ETHERTYPE_ARP)
		return -1;
	if (!is_ethernet_arp(s->in + ETH_BYTES) || load16(s->in + ARP_OP) != 1)
		return -1;
	sender = load_mac(s->in + ARP_SENDER_MAC);
	from = word(s->in + ARP_SENDER_IP);
	target = word(s->in + ARP_TARGET_IP);
	if (!sender || sender >> 40 & 1) /* no station's */
		return -1;
	mac = mac_of4(r, a, from, target);
	if (!mac)
		return -1;
	o = s->out;
	clear(o, MIN_FRAME);
	store_mac(o, sender);
	store_mac(o + 6, mac);
	__builtin_memcpy(o + 12, s->in + 12, ARP_OP - 12);
	store16(o + ARP_OP, 2);
	store_mac(o + ARP_SENDER_MAC, mac);
	*(__be32 *)(o + ARP_SENDER_IP) = target;
	store_mac(o + ARP_TARGET_MAC, sender);
	*(__be32 *)(o + ARP_TARGET_IP) = from;
	set_pos(s, MIN_FRAME);
	s->done.kind = EXCHANGE_ARP;
	s->done.bits = 32;
	s->done.addr.lo = BE64(0xffff00000000ULL | bpf_ntohl(target));
	return 0;
}

SEC("tc")
int answer_arp(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex;
	struct nic_rules *r = bpf_map_lookup_elem(&nics, &key);
	struct nic_state *s = bpf_map_lookup_elem(&states, &key);
	struct arp_answers *a = bpf_map_lookup_elem(&answersarp, &key);
	struct scratch *w = my_scratch();
	__u64 stamp;

	if (!r || !s)
		return VERDICT_DROP;
	if (!a || !w || skb->vlan_present || read_frame(skb, w) < 0)
		return take(skb, r, s, REASON_ARP_REQUEST);
	stamp = stamp_of(a);
	if (answer_request(w, r, a) < 0 || !is_in_force(&answersarp, key, stamp))
		return take(skb, r, s, REASON_ARP_REQUEST);
	return send_back(skb, r, s, w, REASON_ARP_REQUEST);
}

#endif
