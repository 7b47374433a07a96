/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* DHCPv4 answered here and now: function by function what internal/dhcp4 says
 * in Go, for the messages that clients send. What is none of them is handed up. */
#ifndef BERTH_DHCP4_H
#define BERTH_DHCP4_H

#include "read4.h"

static __always_inline void about(struct scratch *s, __u8 kind, __be32 addr)
{
	s->done.kind = kind;
	s->done.xid = load32(s->in + OFF_XID);
	if (!addr)
		return;
	s->done.bits = 32;
	s->done.addr.lo = BE64(0xffff00000000ULL | bpf_ntohl(addr));
}

static __always_inline int put(struct scratch *s, __u8 code, __u8 len, __be32 value)
{
	__u32 pos = pos_of(s);
	__u8 *o = s->out + out_at(pos);

	if (pos > OUT_BYTES - 8)
		return -1;
	o[0] = code;
	o[1] = len;
	*(__be32 *)(o + 2) = value;
	set_pos(s, pos + 2 + len);
	return 0;
}

/* header writes the fixed fields (RFC 2131 table 3) and stands behind them. */
static __always_inline void header(struct scratch *s, __be32 ciaddr, __be32 yiaddr, __be32 siaddr)
{
	__u8 *m = s->out + BOOTP, *q = s->in + BOOTP;

	__builtin_memset(m, 0, OFF_OPTIONS - BOOTP + 64); /* with the room of the shortest message */
	m[0] = 2;
	__builtin_memcpy(m + 1, q + 1, 2);
	__builtin_memcpy(m + 4, q + 4, 4);
	__builtin_memcpy(m + 10, q + 10, 2);
	__builtin_memcpy(m + 12, &ciaddr, 4);
	__builtin_memcpy(m + 16, &yiaddr, 4);
	__builtin_memcpy(m + 20, &siaddr, 4);
	__builtin_memcpy(m + 24, q + 24, 20);
	__builtin_memcpy(m + 236, q + 236, 4);
	set_pos(s, OFF_OPTIONS);
}

/* frame4 puts the message on its way: the end option, and what goes before. */
__noinline int frame4(struct scratch *s, __be32 src, __be32 dst)
{
	__u32 pos, length;
	__u64 pseudo;
	__u16 sum;
	__u8 *o;

	if (!s || pos_of(s) > OUT_BYTES - 16)
		return -1;
	pos = pos_of(s);
	o = s->out + out_at(pos);
	o[0] = 255;
	__builtin_memset(o + 1, 0, 8);
	pos++;
	if (pos < BOOTP + 300)
		pos = BOOTP + 300;
	set_pos(s, pos);
	length = pos - UDP4;
	o = s->out;
	if (dst == 0xffffffff)
		__builtin_memset(o, 0xff, 6);
	else
		__builtin_memcpy(o, s->in + OFF_CHADDR, 6);
	store_mac(o + 6, BERTH_MAC);
	store16(o + 12, ETHERTYPE_IP4);
	store16(o + 14, 0x4500);
	store16(o + 16, length + 20);
	store16(o + 18, 0);
	store16(o + 20, 0x4000);
	store16(o + 22, 64 << 8 | IPPROTO_UDP);
	store16(o + 24, 0);
	__builtin_memcpy(o + 26, &src, 4);
	__builtin_memcpy(o + 30, &dst, 4);
	*(__u16 *)(o + 24) = ~fold(bpf_csum_diff(0, 0, (__be32 *)(o + ETH_BYTES), 20, 0));
	store16(o + UDP4, PORT_SERVER);
	store16(o + UDP4 + 2, PORT_CLIENT);
	store16(o + UDP4 + 4, length);
	store16(o + UDP4 + 6, 0);
	pseudo = pseudo4(src, dst, length);
	if (s->partial) { /* as the request: whoever is behind completes it */
		*(__u16 *)(o + UDP4 + 6) = fold(pseudo);
		return 0;
	}
	sum = ~fold(pseudo + sum_reply(s, UDP4));
	*(__u16 *)(o + UDP4 + 6) = sum ? sum : 0xffff;
	return 0;
}

static __always_inline __u32 scale(__u32 t, __u32 lease, __u32 normal)
{
	if (lease >= normal || normal == 0xffffffff || normal == 0)
		return t;
	return (__u64)t * lease / normal;
}

/* times decides how long the client has its address, as dhcp4/lease.go. */
static __always_inline void times(struct scratch *s, const struct answer4 *a)
{
	__u32 asked, lease = a->lease, t1, t2;
	__u64 v = find(s, OPT_LEASE);

	asked = v ? load32(s->in + v) : 0;
	if (asked)
		lease = asked < a->most ? asked : a->most;
	t1 = scale(a->t1, lease, a->lease);
	t2 = scale(a->t2, lease, a->lease);
	if (t2 >= lease)
		t2 = 0;
	if (t1 >= lease || (t2 != 0 && t1 >= t2))
		t1 = 0;
	s->lease = lease;
	s->t1 = t1;
	s->t2 = t2;
}

/* read_asked notes what the client asks for, and returns in how many codes. */
__noinline int read_asked(struct scratch *s)
{
	__u64 v;
	__u32 n;

	if (!s)
		return -1;
	v = find(s, OPT_REQUEST_LIST);
	if (!v)
		return 0;
	n = length_of(s, v);
	if (n > MAX_ASKED)
		return -1;
	for (__u32 i = 0; i < MAX_ASKED; i++) {
		if (i >= n)
			break;
		add_code(s->asked, s->in[in_at(v + i)]);
	}
	return n;
}

/* will_have says whether an option that is one of the basics will be in the reply. */
static __always_inline int will_have(const struct scratch *s, const struct answer4 *a, __u8 code)
{
	return a->slot[code] && (!(a->flags & ANSWER4_ONLY_REQUESTED) || has_code(s->asked, code));
}

static __always_inline int put_piece(struct scratch *s, const struct answer4 *a, __u8 code)
{
	__u32 slot = a->slot[code];

	if (slot == 0 || slot >= MAX_PIECES4)
		return 0;
	add_code(s->seen, code);
	return copy(s, &a->data, a->pieces[slot].off, a->pieces[slot].len);
}

/* put_option writes an option of the configuration, once. The mask goes in
 * front of the router (RFC 2132 3.3). */
__noinline int put_option(struct scratch *s, const struct answer4 *a, __u32 which)
{
	__u8 code = which;

	if (!s || !a)
		return -1;
	if (has_code(s->seen, code))
		return 0;
	switch (code) {
	case OPT_T1:
	case OPT_T2:
		which = code == OPT_T1 ? s->t1 : s->t2;
		add_code(s->seen, code);
		return which ? put(s, code, 4, bpf_htonl(which)) : 0;
	case OPT_V6ONLY:
		if (s->lease == 0 && a->flags & ANSWER4_V6ONLY)
			return 0;
		break;
	case OPT_ROUTER:
		if (a->flags & ANSWER4_NO_ROUTER_WITH_ROUTES && will_have(s, a, OPT_ROUTES))
			return 0;
		if (a->slot[OPT_ROUTER] && !has_code(s->seen, OPT_MASK) && will_have(s, a, OPT_MASK) &&
		    put_piece(s, a, OPT_MASK) < 0)
			return -1;
	}
	return put_piece(s, a, code);
}

/* put_configuration writes what the client asked for, in its order, and then
 * the basics. */
__noinline int put_configuration(struct scratch *s, const struct answer4 *a)
{
	__u64 v;
	int n;

	if (!s || !a)
		return -1;
	n = read_asked(s);
	if (n < 0)
		return -1;
	v = find(s, OPT_REQUEST_LIST);
	for (int i = 0; i < MAX_ASKED; i++) {
		if (i >= n)
			break;
		if (put_option(s, a, s->in[in_at(v + i)]) < 0)
			return -1;
	}
	if (a->flags & ANSWER4_ONLY_REQUESTED)
		return 0;
	for (int i = 0; i < MAX_BASICS4; i++) {
		if (i >= a->nbasics)
			break;
		if (put_option(s, a, a->basics[i]) < 0)
			return -1;
	}
	return 0;
}

static __always_inline int put_echo(struct scratch *s, __u8 code)
{
	__u64 v = find(s, code);

	return v ? echo(s, v - 2, 2 + length_of(s, v)) : 0;
}

static __always_inline int put_fqdn(struct scratch *s, const struct answer4 *a)
{
	__u64 v = find(s, OPT_FQDN);

	if (!v)
		return 0;
	if (s->in[v] & 4) /* E */
		return copy(s, &a->data, a->fqdn[1].off, a->fqdn[1].len);
	return copy(s, &a->data, a->fqdn[0].off, a->fqdn[0].len);
}

/* fits says that nothing has to be left out and nothing to be put elsewhere. */
static __always_inline int fits(const struct scratch *s, const struct answer4 *a)
{
	__u64 v = find(s, OPT_MAX_SIZE);
	__u32 takes = v ? load16(s->in + v) : 0;

	if (takes > a->link)
		takes = a->link;
	if (takes < 576)
		takes = 576;
	return pos_of(s) + 1 - UDP4 + 20 <= takes;
}

/* give writes a reply that carries configuration: to whom, and of what type. */
__noinline int give(struct scratch *s, const struct answer4 *a, __u32 type, __be32 to)
{
	__be32 ciaddr;
	int rapid;

	if (!s || !a)
		return -1;
	rapid = s->in[in_at(find(s, OPT_TYPE))] == DISCOVER && type == ACK;
	ciaddr = type == OFFER || rapid ? 0 : word(s->in + OFF_CIADDR);
	header(s, ciaddr, s->lease ? a->own : 0, a->next_server);
	if (a->names.len) {
		set_pos(s, OFF_NAMES);
		if (copy(s, &a->data, a->names.off, NAMES_BYTES) < 0)
			return -1;
		set_pos(s, OFF_OPTIONS);
	}
	put(s, OPT_TYPE, 1, bpf_htonl(type << 24));
	put(s, OPT_SERVER_ID, 4, a->server);
	if (s->lease)
		put(s, OPT_LEASE, 4, bpf_htonl(s->lease));
	if (rapid)
		put(s, OPT_RAPID_COMMIT, 0, 0);
	if (put_configuration(s, a) < 0 || put_echo(s, OPT_CLIENT_ID) < 0 || put_fqdn(s, a) < 0 || !fits(s, a))
		return -1;
	return frame4(s, a->server, to);
}

/* grant offers or acknowledges the NIC's address. */
static __always_inline int grant(struct scratch *s, const struct answer4 *a, __u8 kind, __u8 type)
{
	__be32 to = a->own;

	if (word(s->in + OFF_CIADDR) != a->own && s->in[OFF_FLAGS] & 0x80)
		to = 0xffffffff;
	times(s, a);
	about(s, kind, a->own);
	return give(s, a, type, to);
}

static const char refusal[] = "address does not belong to this interface";

/* refuse writes a NAK for the address that the client took to be its own. */
__noinline int refuse(struct scratch *s, const struct answer4 *a, __be32 wrong)
{
	__u32 pos;
	__u8 *o;

	if (!s || !a)
		return -1;
	about(s, EXCHANGE_REQUEST_NAK, wrong);
	header(s, 0, 0, 0);
	put(s, OPT_TYPE, 1, bpf_htonl(NAK << 24));
	put(s, OPT_SERVER_ID, 4, a->server);
	put(s, OPT_MESSAGE, 0, 0);
	pos = pos_of(s);
	if (pos > OUT_BYTES - 64)
		return -1;
	o = s->out + out_at(pos - 1);
	o[0] = sizeof(refusal) - 1;
	__builtin_memcpy(o + 1, refusal, sizeof(refusal) - 1);
	set_pos(s, pos + sizeof(refusal) - 1);
	if (put_echo(s, OPT_CLIENT_ID) < 0 || !fits(s, a))
		return -1;
	return frame4(s, a->server, 0xffffffff);
}

/* request tells the four states of RFC 2131 4.3.2 apart, as dhcp4.request. The
 * offer of another server is for the daemon to count. */
static __always_inline int request(struct scratch *s, const struct answer4 *a)
{
	__u64 wanted = find(s, OPT_REQUESTED_IP), server = find(s, OPT_SERVER_ID);
	__be32 ciaddr = word(s->in + OFF_CIADDR), ip = wanted ? word(s->in + wanted) : 0;

	if (ciaddr) {
		if (ciaddr != a->own)
			return refuse(s, a, ciaddr);
		if (wanted && ip != a->own)
			return refuse(s, a, ip);
		return grant(s, a, EXCHANGE_REQUEST_ACK, ACK);
	}
	if (server && word(s->in + server) != a->server)
		return -1;
	if (!wanted || ip != a->own)
		return refuse(s, a, ip);
	return grant(s, a, EXCHANGE_REQUEST_ACK, ACK);
}

/* inform answers for the address delivered; of others the daemon knows more. */
static __always_inline int inform(struct scratch *s, const struct answer4 *a)
{
	__be32 client = word(s->in + OFF_CIADDR);

	if (!client)
		client = word(s->in + 26);
	if (client != a->own)
		return -1;
	s->lease = s->t1 = s->t2 = 0;
	about(s, EXCHANGE_INFORM_ACK, client);
	return give(s, a, ACK, client);
}

static __always_inline int forsaken(struct scratch *s, __u8 kind)
{
	__u64 v = find(s, OPT_REQUESTED_IP);
	__be32 addr = v ? word(s->in + v) : 0;

	about(s, kind, addr ? addr : word(s->in + OFF_CIADDR));
	return 1;
}

/* answer_message4 writes the reply: 0; 1 if there is none; -1 to hand it up. */
__noinline int answer_message4(struct scratch *s, const struct answer4 *a)
{
	__u64 type;

	if (!s || !a || !is_mine(s, a) || read_options4(s) < 0 || !is_plain4(s, a))
		return -1;
	type = find(s, OPT_TYPE);
	if (!type)
		return -1;
	switch (s->in[type]) {
	case DISCOVER:
		if (s->at[OPT_RAPID_COMMIT] && a->flags & ANSWER4_RAPID_COMMIT)
			return grant(s, a, EXCHANGE_DISCOVER_ACK, ACK);
		return grant(s, a, EXCHANGE_DISCOVER_OFFER, OFFER);
	case REQUEST:
		return request(s, a);
	case INFORM:
		return inform(s, a);
	case DECLINE:
		return forsaken(s, EXCHANGE_DECLINE);
	case RELEASE:
		return forsaken(s, EXCHANGE_RELEASE);
	}
	return -1;
}

SEC("tc")
int answer_dhcp4(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex;
	struct nic_rules *r = bpf_map_lookup_elem(&nics, &key);
	struct nic_state *s = bpf_map_lookup_elem(&states, &key);
	struct answer4 *a = bpf_map_lookup_elem(&answers4, &key);
	struct scratch *w = my_scratch();
	__u64 stamp;
	int what;

	if (!r || !s)
		return VERDICT_DROP;
	if (!a || !w || skb->vlan_present || read_frame(skb, w) < 0 || read_datagram4(w) < 0)
		return take(skb, r, s, REASON_DHCP4);
	stamp = stamp_of(a);
	what = answer_message4(w, a);
	if (what < 0 || !is_in_force(&answers4, key, stamp))
		return take(skb, r, s, REASON_DHCP4);
	if (what > 0)
		return consumed(skb, s, w, REASON_DHCP4);
	return send_back(skb, r, s, w, REASON_DHCP4);
}

#endif
