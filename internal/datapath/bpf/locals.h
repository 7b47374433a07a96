/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who holds which link-local address, as internal/guard/locals.go says it in
 * Go. */
#ifndef BERTH_LOCALS_H
#define BERTH_LOCALS_H

/* a_claim finds an address that the NIC holds by a claim of its own. */
static __always_inline struct local *a_claim(const struct local_key *k, __u32 ifindex)
{
	struct local *l = bpf_map_lookup_elem(&locals, k);

	return l && l->holder == ifindex && l->users == 0 ? l : 0;
}

/* a_place finds where a NIC may note one more link-local: a free place, one
 * that is no claim of its own any more, or the one longest unused. */
static __always_inline int a_place(struct nic_state *s, __u32 ifindex, __u64 now)
{
	__u64 longest = LOCAL_IDLE_NS;
	int place = -1;

	for (int i = 0; i < MAX_LOCALS; i++) {
		struct local_key k = s->claimed[i];
		struct local *l = a_claim(&k, ifindex);

		if (!l)
			return i;
		if (now - l->used_ns > longest && (__s64)(now - l->used_ns) > 0) {
			longest = now - l->used_ns;
			place = i;
		}
	}
	return place;
}

static __always_inline int same_key(const struct local_key *a, const struct local_key *b)
{
	return a->segment == b->segment && in6_equal(&a->addr, &b->addr);
}

/* take_place puts the new address where the old one was, unless another frame
 * of the NIC has changed it meanwhile. */
static __always_inline int take_place(struct nic_state *s, int i, const struct local_key *old,
				      const struct local_key *k)
{
	int same;

	bpf_spin_lock(&s->lock);
	same = same_key(&s->claimed[i], old);
	if (same) {
		s->claimed[i].segment = k->segment;
		s->claimed[i].addr.hi = k->addr.hi;
		s->claimed[i].addr.lo = k->addr.lo;
	}
	bpf_spin_unlock(&s->lock);
	return same;
}

/* claim_local makes a link-local the NIC's: first come, first served, up to
 * MAX_LOCALS at a time. The address is held before it has its place: a place
 * whose address nobody holds is free to every other frame, and what has no
 * place would never be given back. */
__noinline int claim_local(__u32 ifindex, __u32 segment, const struct in6 *addr)
{
	struct local_key k = {.segment = segment}, old;
	struct local mine = {.holder = ifindex, .used_ns = bpf_ktime_get_ns()}, *l;
	struct nic_state *s;
	int place;

	if (!addr)
		return REASON_LINK_LOCAL_TAKEN;
	k.addr = *addr;
	l = bpf_map_lookup_elem(&locals, &k);
	if (l) {
		if (l->holder != ifindex)
			return REASON_LINK_LOCAL_TAKEN;
		l->used_ns = mine.used_ns;
		return 0;
	}
	s = bpf_map_lookup_elem(&states, &ifindex);
	if (!s)
		return REASON_LINK_LOCAL_LIMIT;
	place = a_place(s, ifindex, mine.used_ns);
	if (place < 0 || place >= MAX_LOCALS)
		return REASON_LINK_LOCAL_LIMIT;
	old = s->claimed[place];
	if (bpf_map_update_elem(&locals, &k, &mine, BPF_NOEXIST) < 0) { /* somebody was first */
		l = bpf_map_lookup_elem(&locals, &k);
		return l && l->holder == ifindex ? 0 : REASON_LINK_LOCAL_TAKEN;
	}
	if (!take_place(s, place, &old, &k)) {
		bpf_map_delete_elem(&locals, &k);
		return REASON_LINK_LOCAL_LIMIT;
	}
	if (!same_key(&old, &k) && a_claim(&old, ifindex))
		bpf_map_delete_elem(&locals, &old);
	return 0;
}

/* is_probe says whether this is duplicate address detection (RFC 4862 5.4.2). */
static __always_inline int is_probe(const struct frame *f, const struct ip6 *p)
{
	return f->ethertype == ETHERTYPE_IP6 && !f->tagged && !f->llc && !p->fragmented &&
	       is_icmp6(p) && p->kind == NEIGHBOR_SOLICIT && in6_unspecified(&p->src);
}

/* is_others says whether another NIC holds the address, for one who only asks. */
__noinline int is_others(__u32 ifindex, __u32 segment, const struct in6 *addr)
{
	struct local_key k = {.segment = segment};
	struct local *l;

	if (!addr)
		return 0;
	k.addr = *addr;
	l = bpf_map_lookup_elem(&locals, &k);
	return l && l->holder != ifindex ? REASON_LINK_LOCAL_TAKEN : 0;
}

static __always_inline __u8 settle(const struct nic_rules *r, struct __sk_buff *skb, const struct claims *c)
{
	__u32 ifindex = skb->ifindex;
	__u8 why = 0;

	if (skb->ingress_ifindex == ASKED_ABOUT) {
		if (c->n > 0)
			why = is_others(ifindex, r->segment, &c->list[0]);
		if (!why && c->n > 1)
			why = is_others(ifindex, r->segment, &c->list[1]);
		return why;
	}
	if (c->n > 0)
		why = claim_local(ifindex, r->segment, &c->list[0]);
	if (!why && c->n > 1)
		why = claim_local(ifindex, r->segment, &c->list[1]);
	return why;
}

#endif
