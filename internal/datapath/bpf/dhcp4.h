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

/* put_at writes an option of at most four bytes, and returns its length. */
static __always_inline __u32 put_at(__u8 *o, __u8 code, __u8 len, __be32 value)
{
	store16(o, code << 8 | len);
	*(__be32 *)(o + 2) = value;
	return 2 + len;
}

static __always_inline int put(struct scratch *s, __u8 code, __u8 len, __be32 value)
{
	__u32 pos = pos_of(s);

	if (pos > OUT_BYTES - 8)
		return -1;
	set_pos(s, pos + put_at(s->out + out_at(pos), code, len, value));
	return 0;
}

/* begin writes the options that every reply begins with, and stands behind them. */
static __always_inline void begin(struct scratch *s, const struct answer4 *a, __u32 type, int rapid)
{
	__u8 *o = s->out;
	__u32 pos = OFF_OPTIONS;

	pos += put_at(o + pos, OPT_TYPE, 1, bpf_htonl(type << 24));
	pos += put_at(o + pos, OPT_SERVER_ID, 4, a->server);
	if (s->lease)
		pos += put_at(o + pos, OPT_LEASE, 4, bpf_htonl(s->lease));
	if (rapid)
		pos += put_at(o + pos, OPT_RAPID_COMMIT, 0, 0);
	set_pos(s, pos);
}

/* header writes the fixed fields (RFC 2131 table 3) but for the options. */
static __always_inline void header(struct scratch *s, __be32 ciaddr, __be32 yiaddr, __be32 siaddr)
{
	__u8 *m = s->out + BOOTP, *q = s->in + BOOTP;

	store32(m, 0x02010600); /* to the only kind of client, see is_mine */
	store32(m + 4, load32(q + 4));
	store16(m + 8, 0);
	store16(m + 10, load16(q + 10));
	*(__be32 *)(m + 12) = ciaddr;
	*(__be32 *)(m + 16) = yiaddr;
	*(__be32 *)(m + 20) = siaddr;
	for (int i = 24; i < 44; i += 4)
		*(__u32 *)(m + i) = word(q + i);
	clear(m + 44, NAMES_BYTES);
	store32(m + 236, MAGIC);
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
	pos++;
	if (pos < BOOTP + SHORTEST) {
		clear(o + 1, SHORTEST - (OFF_OPTIONS - BOOTP) + 4);
		pos = BOOTP + SHORTEST;
	}
	set_pos(s, pos);
	length = pos - UDP4;
	o = s->out;
	store_mac(o, dst == 0xffffffff ? BROADCAST_MAC : load_mac(s->in + OFF_CHADDR));
	store_mac(o + 6, BERTH_MAC);
	store16(o + 12, ETHERTYPE_IP4);
	store32(o + 14, 0x45000000 | (length + 20));
	store32(o + 18, 0x4000);
	store32(o + 22, (64 << 8 | IPPROTO_UDP) << 16);
	*(__be32 *)(o + 26) = src;
	*(__be32 *)(o + 30) = dst;
	*(__u16 *)(o + 24) = ~sum_header4(o + ETH_BYTES);
	store32(o + UDP4, PORT_SERVER << 16 | PORT_CLIENT);
	store32(o + UDP4 + 4, length << 16);
	pseudo = pseudo4(src, dst, length);
	if (s->partial) { /* as the request: whoever is behind completes it */
		*(__u16 *)(o + UDP4 + 6) = fold(pseudo);
		return 0;
	}
	sum = ~fold(pseudo + sum_of(s, REPLY_AT(UDP4), REPLY_AT(pos)));
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

/* read_asked notes what the client asks for: v is where, in n codes. */
__noinline int read_asked(struct scratch *s, __u64 v, __u32 n)
{
	if (!s)
		return -1;
	for (__u32 i = 0; i < MAX_ASKED; i++) {
		if (i >= n)
			break;
		add_code(s->asked, s->in[in_at(v + i)]);
	}
	return 0;
}

/* will_have says whether an option that is one of the basics will be in the reply. */
static __always_inline int will_have(const struct scratch *s, const struct answer4 *a, __u8 code)
{
	return a->slot[code] && (!(a->flags & ANSWER4_ONLY_REQUESTED) || has_code(s->asked, code));
}

/* put_piece writes a piece of the compiled options; most are of one word. */
static __always_inline int put_piece(struct scratch *s, const struct answer4 *a, __u8 code)
{
	__u32 slot = a->slot[code], pos = pos_of(s);
	__u64 off, len;

	if (slot == 0 || slot >= MAX_PIECES4)
		return 0;
	add_code(s->seen, code);
	off = a->pieces[slot].off;
	len = a->pieces[slot].len;
	if (len > 8)
		return copy(s, &a->data, off, len);
	if (pos > OUT_BYTES - 8 || off > DATA_BYTES - 8)
		return -1;
	*(__u64 *)(s->out + out_at(pos)) = *(const __u64 *)(a->data.b + off);
	set_pos(s, pos + len);
	return 0;
}

/* put_special writes an option that is not always what was compiled. The mask
 * goes in front of the router (RFC 2132 3.3). */
__noinline int put_special(struct scratch *s, const struct answer4 *a, __u32 which)
{
	__u8 code = which;

	if (!s || !a)
		return -1;
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

static __always_inline int is_special(__u8 code)
{
	return code == OPT_ROUTER || code == OPT_T1 || code == OPT_T2 || code == OPT_V6ONLY;
}

/* put_option writes an option of the configuration, once. */
static __always_inline int put_option(struct scratch *s, const struct answer4 *a, __u8 code)
{
	if (has_code(s->seen, code))
		return 0;
	return is_special(code) ? put_special(s, a, code) : put_piece(s, a, code);
}

/* put_configuration writes what the client asked for, in its order, and then
 * the basics. */
__noinline int put_configuration(struct scratch *s, const struct answer4 *a)
{
	__u64 v;
	__u32 n;

	if (!s || !a)
		return -1;
	v = find(s, OPT_REQUEST_LIST);
	n = v ? length_of(s, v) : 0;
	if (n > MAX_ASKED)
		return -1;
	if (a->flags & ANSWER4_ONLY_REQUESTED)
		read_asked(s, v, n);
	for (__u32 i = 0; i < MAX_ASKED; i++) {
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
	}
	begin(s, a, type, rapid);
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
	s->lease = 0;
	begin(s, a, NAK, 0);
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
		if (where(s, OPT_RAPID_COMMIT) && a->flags & ANSWER4_RAPID_COMMIT)
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

	if (!r || !s || !w || (__u32)stamp_of(r) != skb->cb[CB_RULED])
		return again(skb, AGAIN_FROM);
	if (!a || skb->vlan_present || read_frame(skb, w) < 0 || read_datagram4(w) < 0)
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
