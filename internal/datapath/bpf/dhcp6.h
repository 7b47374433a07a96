/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* DHCPv6 answered here and now: function by function what internal/dhcp6 says
 * in Go, for the messages that clients send. What is none of them is handed up. */
#ifndef BERTH_DHCP6_H
#define BERTH_DHCP6_H

#include "read6.h"

enum { STATUS_NO_ADDRS_AVAIL = 2, STATUS_NO_BINDING = 3, STATUS_NO_PREFIX_AVAIL = 6 };

static __always_inline int put_echo6(struct scratch *s, __u8 code)
{
	__u64 v = find6(s, code);

	return v ? echo(s, v - 4, 4 + length6(s, v)) : 0;
}

/* begin6 writes what stands before the identity associations. */
__noinline int begin6(struct scratch *s, const struct answer6 *a, __u32 type, __u32 head)
{
	const struct piece *p;
	__u64 h = head;

	if (!s || !a)
		return -1;
	HIDE(h);
	p = &a->heads[h & (HEADS6 - 1)];
	__builtin_memcpy(s->out + MESSAGE6, s->in + MESSAGE6, 4);
	s->out[MESSAGE6] = type;
	set_pos(s, OFF_OPTIONS6);
	if (put_echo6(s, OPT6_CLIENT_ID) < 0)
		return -1;
	return copy(s, &a->data, p->off, p->len);
}

/* put_status writes option 13 without a text. */
static __always_inline int put_status(struct scratch *s, __u16 status)
{
	__u32 pos = pos_of(s);
	__u8 *o = s->out + out_at(pos);

	if (pos > OUT_BYTES - 8)
		return -1;
	store16(o, OPT6_STATUS);
	store16(o + 2, 2);
	store16(o + 4, status);
	set_pos(s, pos + 6);
	return 0;
}

/* put_stale writes a lease with lifetimes 0: what the client must forget. */
__noinline int put_stale(struct scratch *s, const struct prefix6 *p, __u32 pd)
{
	__u32 pos, len = pd ? 29 : 28;
	__u8 *o;

	if (!s || !p)
		return -1;
	pos = pos_of(s);
	if (pos > OUT_BYTES - 32)
		return -1;
	o = s->out + out_at(pos);
	__builtin_memset(o, 0, 32);
	o[1] = pd ? OPT6_IA_PREFIX : OPT6_IA_ADDR;
	o[3] = len - 4;
	if (pd) {
		o[12] = p->bits;
		__builtin_memcpy(o + 13, &p->addr, 16);
	} else {
		__builtin_memcpy(o + 4, &p->addr, 16);
	}
	set_pos(s, pos + len);
	return 0;
}

/* forgets says whether the client is told what is not its own. */
static __always_inline int forgets(__u8 kind, int given)
{
	return kind == MSG6_RENEW || kind == MSG6_REBIND || (kind == MSG6_REQUEST && given);
}

/* end_ia sets the length of the identity association that began at start. */
static __always_inline int end_ia(struct scratch *s, __u32 start)
{
	store16(s->out + out_at(start) + 2, pos_of(s) - start - 4);
	return 0;
}

/* put_ia answers one identity association, as dhcp6.grants. Whether a REQUEST
 * that gets nothing is off the link is for the daemon to say. */
__noinline int put_ia(struct scratch *s, const struct answer6 *a, __u32 pd)
{
	const struct piece *leases;
	__u32 start, given;
	struct ia6 *ia;
	__u8 kind;

	if (!s || !a)
		return -1;
	start = pos_of(s);
	leases = &a->ia[kind_of(pd)];
	given = a->given[kind_of(pd)].bits;
	ia = &s->ia[kind_of(pd)];
	kind = s->in[MESSAGE6];
	if (!given && !pd && kind == MSG6_REQUEST && ia->n)
		return -1;
	if (echo(s, where(s, pd ? OPT6_IA_PD : OPT6_IA_NA), 8) < 0 || copy(s, &a->data, leases->off, leases->len) < 0)
		return -1;
	for (__u32 i = 0; i < MAX_LISTED6; i++) {
		if (i >= ia->n || !forgets(kind, given))
			break;
		if (!(ia->mine >> i & 1) && put_stale(s, &ia->listed[i], pd) < 0)
			return -1;
	}
	if (!given && put_status(s, pd ? STATUS_NO_PREFIX_AVAIL : STATUS_NO_ADDRS_AVAIL) < 0)
		return -1;
	return end_ia(s, start);
}

/* put_unknown answers one of which nothing is the NIC's (RFC 8415 18.3.7). */
__noinline int put_unknown(struct scratch *s, __u32 pd)
{
	__u32 start, pos;
	struct ia6 *ia;

	if (!s)
		return -1;
	ia = &s->ia[kind_of(pd)];
	if (!ia->n || ia->mine)
		return 0;
	start = pos_of(s);
	if (echo(s, where(s, pd ? OPT6_IA_PD : OPT6_IA_NA), 8) < 0)
		return -1;
	pos = pos_of(s);
	if (pos > OUT_BYTES - 8)
		return -1;
	clear(s->out + out_at(pos), 8); /* T1, T2 */
	set_pos(s, pos + 8);
	if (put_status(s, STATUS_NO_BINDING) < 0)
		return -1;
	return end_ia(s, start);
}

/* comes_first says which kind of identity association the client has first. */
static __always_inline __u32 comes_first(const struct scratch *s)
{
	__u16 na = where(s, OPT6_IA_NA), pd = where(s, OPT6_IA_PD);

	return pd && (!na || pd < na);
}

static __always_inline int has_ia(const struct scratch *s, __u32 pd)
{
	return !!where(s, pd ? OPT6_IA_PD : OPT6_IA_NA);
}

static __always_inline int put_fqdn6(struct scratch *s, const struct answer6 *a)
{
	__u64 v = find6(s, OPT6_FQDN);

	if (!v || s->in[MESSAGE6] == MSG6_INFORMATION_REQUEST)
		return 0;
	if (s->in[v] & 1) /* S */
		return copy(s, &a->data, a->fqdn[1].off, a->fqdn[1].len);
	return copy(s, &a->data, a->fqdn[0].off, a->fqdn[0].len);
}

/* put_option6 writes the options of a code, once. */
__noinline int put_option6(struct scratch *s, const struct answer6 *a, __u32 which)
{
	__u64 code = which;
	__u32 slot;

	if (!s || !a)
		return -1;
	if (which > 255)
		return a->flags & ANSWER6_HIGH ? -1 : 0;
	HIDE(code);
	code &= 255;
	if (has_code(s->seen, code))
		return 0;
	add_code(s->seen, code);
	if (code == OPT6_FQDN)
		return put_fqdn6(s, a);
	if (code == OPT6_REFRESH && s->in[MESSAGE6] != MSG6_INFORMATION_REQUEST)
		return 0;
	slot = a->slot[code];
	if (slot == 0 || slot >= MAX_PIECES6)
		return 0;
	return copy(s, &a->data, a->pieces[slot].off, a->pieces[slot].len);
}

/* put_configuration6 writes what the client asked for, in its order, and its
 * name: dhcp6.asked. */
__noinline int put_configuration6(struct scratch *s, const struct answer6 *a)
{
	__u64 v;
	__u32 n;

	if (!s || !a)
		return -1;
	v = find6(s, OPT6_ORO);
	if (!v)
		return put_option6(s, a, OPT6_DNS) < 0 || put_option6(s, a, OPT6_SEARCH) < 0 ||
		       put_option6(s, a, OPT6_FQDN) < 0 ? -1 : 0;
	n = length6(s, v) / 2;
	for (__u32 i = 0; i < MAX_ASKED; i++) {
		if (i >= n)
			break;
		if (put_option6(s, a, load16(s->in + in_at(v + 2 * i))) < 0)
			return -1;
	}
	return put_option6(s, a, OPT6_FQDN);
}

/* frame6 puts the message on its way. One that is too long is for the daemon,
 * who leaves something out. */
__noinline int frame6(struct scratch *s, const struct answer6 *a)
{
	__u32 pos, length;
	__u64 pseudo;
	__u16 sum;
	__u8 *o;

	if (!s || !a)
		return -1;
	pos = pos_of(s);
	if (pos > OUT_BYTES - 8 || pos - MESSAGE6 > a->limit)
		return -1;
	length = pos - UDP6;
	o = s->out;
	store_mac(o, load_mac(s->in + 6));
	store_mac(o + 6, BERTH_MAC);
	store16(o + 12, ETHERTYPE_IP6);
	store16(o + 14, 0x6000);
	store16(o + 16, 0);
	store16(o + 18, length);
	store16(o + 20, IPPROTO_UDP << 8 | 64);
	copy16(o + OFF_SRC6, &a->addr);
	copy16(o + OFF_DST6, s->in + OFF_SRC6);
	store16(o + UDP6, PORT_SERVER6);
	store16(o + UDP6 + 2, PORT_CLIENT6);
	store16(o + UDP6 + 4, length);
	store16(o + UDP6 + 6, 0);
	pseudo = pseudo6(o + OFF_SRC6, length);
	if (s->partial) { /* as the request: whoever is behind completes it */
		*(__u16 *)(o + UDP6 + 6) = fold(pseudo);
		return 0;
	}
	sum = ~fold(pseudo + sum_of(s, REPLY_AT(UDP6), REPLY_AT(pos_of(s))));
	*(__u16 *)(o + UDP6 + 6) = sum ? sum : 0xffff;
	return 0;
}

/* about6 says what was done; p is what it is about, if it is about something. */
static __always_inline void about6(struct scratch *s, __u8 kind, const struct prefix6 *p)
{
	s->done.kind = kind;
	s->done.xid = load32(s->in + MESSAGE6) & 0xffffff;
	if (!p)
		return;
	s->done.bits = p->bits;
	s->done.addr = p->addr;
}

/* grant6 gives what the binding has. A reply that gives nothing of what was
 * asked for has a reason, which the daemon knows. */
__noinline int grant6(struct scratch *s, const struct answer6 *a, __u32 kind, __u32 head)
{
	const struct prefix6 *p = 0;
	__u32 first, second;

	if (!s || !a)
		return -1;
	first = comes_first(s);
	second = !first;
	if (has_ia(s, first)) {
		p = &a->given[kind_of(first)];
		if (!p->bits && has_ia(s, second))
			p = &a->given[kind_of(second)];
		if (!p->bits)
			return -1;
	}
	about6(s, kind, p);
	if (begin6(s, a, head == HEAD6_ADVERTISE ? MSG6_ADVERTISE : MSG6_REPLY, head) < 0 ||
	    (has_ia(s, first) && put_ia(s, a, first) < 0) || (has_ia(s, second) && put_ia(s, a, second) < 0) ||
	    put_configuration6(s, a) < 0)
		return -1;
	return frame6(s, a);
}

/* pick returns what an identity association lists first of the NIC's, or of
 * what is not; none: 0. */
__noinline int pick(struct scratch *s, __u32 pd, __u32 mine)
{
	const struct ia6 *ia;

	if (!s)
		return 0;
	ia = &s->ia[kind_of(pd)];
	for (__u32 i = 0; i < MAX_LISTED6; i++) {
		if (i >= ia->n)
			break;
		if ((ia->mine >> i & 1) != mine)
			continue;
		s->done.bits = ia->listed[i].bits;
		s->done.addr = ia->listed[i].addr;
		return 1;
	}
	return 0;
}

/* confirm6 says whether the client's addresses are still its own; prefixes are
 * not confirmed (RFC 8415 18.2.3). */
__noinline int confirm6(struct scratch *s, const struct answer6 *a)
{
	__u32 head = HEAD6_SUCCESS;

	if (!s || !a || !s->ia[0].n)
		return -1;
	about6(s, EXCHANGE_CONFIRM_REPLY, 0);
	if (pick(s, 0, 0)) {
		s->done.kind = EXCHANGE_CONFIRM_NOT_ON_LINK;
		head = HEAD6_NOT_ON_LINK;
	} else {
		pick(s, 0, 1);
	}
	return begin6(s, a, MSG6_REPLY, head) < 0 ? -1 : frame6(s, a);
}

/* forsake6 acknowledges a RELEASE or DECLINE; the binding stays. */
__noinline int forsake6(struct scratch *s, const struct answer6 *a, __u32 kind)
{
	__u32 first;

	if (!s || !a)
		return -1;
	first = comes_first(s);
	about6(s, kind, 0);
	if (!pick(s, first, 1))
		pick(s, !first, 1);
	if (begin6(s, a, MSG6_REPLY, HEAD6_SUCCESS) < 0 || put_unknown(s, first) < 0 || put_unknown(s, !first) < 0)
		return -1;
	return frame6(s, a);
}

__noinline int inform6(struct scratch *s, const struct answer6 *a)
{
	if (!s || !a)
		return -1;
	about6(s, EXCHANGE_INFORMATION_REPLY, 0);
	if (begin6(s, a, MSG6_REPLY, HEAD6_INFORM) < 0 || put_configuration6(s, a) < 0)
		return -1;
	return frame6(s, a);
}

static __always_inline int solicit6(struct scratch *s, const struct answer6 *a)
{
	if (where(s, OPT6_RAPID_COMMIT) && a->flags & ANSWER6_RAPID_COMMIT)
		return grant6(s, a, EXCHANGE_SOLICIT_REPLY, HEAD6_RAPID);
	return grant6(s, a, EXCHANGE_SOLICIT_ADVERTISE, HEAD6_ADVERTISE);
}

/* answer_message6 writes the reply: 0; -1 to hand it up. */
__noinline int answer_message6(struct scratch *s, const struct answer6 *a)
{
	if (!s || !a || !is_sent_here(s, a) || read_options6(s) < 0 || !is_plain6(s, a) || !is_admitted(s, a) ||
	    !is_known(s, a) || read_ia(s, a, 0) < 0 || read_ia(s, a, 1) < 0)
		return -1;
	switch (s->in[MESSAGE6]) {
	case MSG6_SOLICIT:
		return solicit6(s, a);
	case MSG6_REQUEST:
		return grant6(s, a, EXCHANGE_REQUEST_REPLY, HEAD6_REPLY);
	case MSG6_RENEW:
		return grant6(s, a, EXCHANGE_RENEW_REPLY, HEAD6_REPLY);
	case MSG6_REBIND:
		return grant6(s, a, EXCHANGE_REBIND_REPLY, HEAD6_REPLY);
	case MSG6_CONFIRM:
		return confirm6(s, a);
	case MSG6_RELEASE:
		return forsake6(s, a, EXCHANGE_RELEASE_REPLY);
	case MSG6_DECLINE:
		return forsake6(s, a, EXCHANGE_DECLINE_REPLY);
	case MSG6_INFORMATION_REQUEST:
		return inform6(s, a);
	}
	return -1;
}

SEC("tc")
int answer_dhcp6(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex;
	struct nic_rules *r = bpf_map_lookup_elem(&nics, &key);
	struct nic_state *s = bpf_map_lookup_elem(&states, &key);
	struct answer6 *a = bpf_map_lookup_elem(&answers6, &key);
	struct scratch *w = my_scratch();
	__u64 stamp;

	if (!r || !s)
		return VERDICT_DROP;
	if (!a || !w || skb->vlan_present || read_frame(skb, w) < 0 || read_datagram6(w) < 0)
		return take(skb, r, s, REASON_DHCP6);
	stamp = stamp_of(a);
	if (answer_message6(w, a) < 0 || !is_in_force(&answers6, key, stamp))
		return take(skb, r, s, REASON_DHCP6);
	return send_back(skb, r, s, w, REASON_DHCP6);
}

#endif
