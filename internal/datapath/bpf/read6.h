/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading DHCPv6: where the options are, what the identity associations list,
 * and whether it is a message that is answered here. */
#ifndef BERTH_READ6_H
#define BERTH_READ6_H

#define UDP6 (ETH_BYTES + 40)
#define OFF_SRC6 (ETH_BYTES + 8)
#define OFF_DST6 (ETH_BYTES + 24)
#define MESSAGE6 (UDP6 + 8)
#define OFF_OPTIONS6 (MESSAGE6 + 4)

#define MAX_OPTIONS6 32
#define MAX_INNER6 8 /* options of one identity association */
#define MAX_DUID6 130
#define SAME_BYTES 136

enum {
	MSG6_SOLICIT = 1,
	MSG6_ADVERTISE,
	MSG6_REQUEST,
	MSG6_CONFIRM,
	MSG6_RENEW,
	MSG6_REBIND,
	MSG6_REPLY,
	MSG6_RELEASE,
	MSG6_DECLINE,
	MSG6_INFORMATION_REQUEST = 11,
};

enum {
	OPT6_CLIENT_ID = 1,
	OPT6_SERVER_ID = 2,
	OPT6_IA_NA = 3,
	OPT6_IA_TA = 4,
	OPT6_IA_ADDR = 5,
	OPT6_ORO = 6,
	OPT6_ELAPSED = 8,
	OPT6_AUTH = 11,
	OPT6_STATUS = 13,
	OPT6_RAPID_COMMIT = 14,
	OPT6_USER_CLASS = 15,
	OPT6_RECONF_ACCEPT = 20,
	OPT6_DNS = 23,
	OPT6_SEARCH = 24,
	OPT6_IA_PD = 25,
	OPT6_IA_PREFIX = 26,
	OPT6_REFRESH = 32,
	OPT6_FQDN = 39,
	OPT6_ARCH = 61,
};

/* The options that come at most once; identity associations of one kind may
 * come again, but then the daemon answers. */
#define CODE6(n) (1ULL << (n))
#define SINGLES6                                                                                    \
	(CODE6(OPT6_CLIENT_ID) | CODE6(OPT6_SERVER_ID) | CODE6(OPT6_IA_NA) | CODE6(OPT6_IA_TA) |    \
	 CODE6(OPT6_ORO) | CODE6(OPT6_ELAPSED) | CODE6(OPT6_AUTH) | CODE6(OPT6_RAPID_COMMIT) |      \
	 CODE6(OPT6_USER_CLASS) | CODE6(OPT6_RECONF_ACCEPT) | CODE6(OPT6_IA_PD) | CODE6(OPT6_FQDN) | \
	 CODE6(OPT6_ARCH))

/* kind_of bounds which kind of identity association is meant: 0 of addresses,
 * 1 of prefixes. */
static __always_inline __u64 kind_of(__u64 pd)
{
	HIDE(pd);
	return pd & 1;
}

static __always_inline __u64 pseudo6(const __u8 *addrs, __u16 len)
{
	return (__u64)bpf_csum_diff(0, 0, (__be32 *)addrs, 32, 0) + bpf_htons(IPPROTO_UDP) + bpf_htons(len);
}

/* read_datagram6 finds the message, as wire.ParseUDP6 does, in a plain frame. */
__noinline int read_datagram6(struct scratch *s)
{
	__u32 length;

	if (!s || load16(s->in + 12) != ETHERTYPE_IP6 || s->in[14] >> 4 != 6 || s->in[20] != IPPROTO_UDP)
		return -1;
	length = load16(s->in + 18);
	if (length + UDP6 > s->len || length + UDP6 < OFF_OPTIONS6 || load16(s->in + UDP6 + 4) != length)
		return -1;
	s->len = length + UDP6;
	return note_checksum(s, UDP6, pseudo6(s->in + OFF_SRC6, length));
}

/* read_options6 notes where each option is that is acted on. */
__noinline int read_options6(struct scratch *s)
{
	__u32 pos, n;
	__u16 code;

	if (!s)
		return -1;
	set_pos(s, OFF_OPTIONS6);
	for (int i = 0; i < MAX_OPTIONS6; i++) {
		pos = pos_of(s);
		if (pos == s->len)
			return 0;
		if (pos + 4 > s->len)
			return -1;
		code = load16(s->in + in_at(pos));
		n = 4 + load16(s->in + in_at(pos) + 2);
		if (pos + n > s->len)
			return -1;
		if (code < 64 && SINGLES6 >> code & 1) {
			if (where(s, code))
				return -1;
			note(s, code, pos);
		}
		set_pos(s, pos + n);
	}
	return -1;
}

/* find6 returns where the value of an option is, 0 if there is none. */
static __always_inline __u64 find6(const struct scratch *s, __u8 code)
{
	return has_code(s->has, code) ? in_at(s->at[code]) + 4 : 0;
}

/* length6 returns how long the value is that find6 has found. */
static __always_inline __u16 length6(const struct scratch *s, __u64 v)
{
	return load16(s->in + in_at(v - 2));
}

static __always_inline int is_long6(const struct scratch *s, __u8 code, __u16 least, __u16 most)
{
	__u64 v = find6(s, code);

	return !v || (length6(s, v) >= least && length6(s, v) <= most);
}

static __always_inline int is_even6(const struct scratch *s, __u8 code)
{
	__u64 v = find6(s, code);

	return !v || !(length6(s, v) & 1);
}

/* is_plain6 says that no option has a length that it must not have, and that
 * none asks for what was not compiled. */
__noinline int is_plain6(const struct scratch *s, const struct answer6 *a)
{
	if (!s || !a || where(s, OPT6_IA_TA))
		return 0;
	if (a->flags & ANSWER6_ARCH && where(s, OPT6_ARCH))
		return 0;
	if (a->flags & ANSWER6_NAMED && (where(s, OPT6_IA_NA) || where(s, OPT6_IA_PD)))
		return 0;
	return is_long6(s, OPT6_CLIENT_ID, 3, MAX_DUID6) && is_long6(s, OPT6_ORO, 0, 2 * MAX_ASKED) &&
	       is_long6(s, OPT6_ELAPSED, 2, 2) && is_long6(s, OPT6_RAPID_COMMIT, 0, 0) &&
	       is_long6(s, OPT6_RECONF_ACCEPT, 0, 0) && is_long6(s, OPT6_FQDN, 1, IN_BYTES) &&
	       is_long6(s, OPT6_ARCH, 2, IN_BYTES) && is_even6(s, OPT6_ORO) && is_even6(s, OPT6_ARCH);
}

/* in6_at reads an address of the frame. */
static __always_inline struct in6 in6_at(const struct scratch *s, __u64 at)
{
	struct in6 a;

	__builtin_memcpy(&a.hi, s->in + in_at(at), 8);
	__builtin_memcpy(&a.lo, s->in + in_at(at + 8), 8);
	return a;
}

/* names_server says whether this is a message that must name its server. */
static __always_inline int names_server(__u8 kind)
{
	return kind == MSG6_REQUEST || kind == MSG6_RENEW || kind == MSG6_RELEASE || kind == MSG6_DECLINE;
}

/* is_sent_here judges where the message came from and went to. An address that
 * begins with eight zeros may be a mapped one, and is for the daemon. */
static __always_inline int is_sent_here(const struct scratch *s, const struct answer6 *a)
{
	const struct in6 servers = {BE64(0xff02000000000000ULL), BE64(0x0000000000010002ULL)};
	struct in6 src = in6_at(s, OFF_SRC6), dst = in6_at(s, OFF_DST6);

	if (!src.hi || in6_multicast(&src))
		return 0;
	if (in6_equal(&dst, &servers))
		return 1;
	return a->flags & ANSWER6_UNICAST && names_server(s->in[MESSAGE6]) && dst.hi && !in6_multicast(&dst);
}

/* same compares bytes of the frame with compiled ones. */
__noinline int same(const struct scratch *s, const struct data *d, __u32 at, __u32 off, __u32 len)
{
	if (!s || !d || len > SAME_BYTES)
		return 0;
	for (__u32 i = 0; i < SAME_BYTES; i++) {
		__u64 from = off + i;

		if (i >= len)
			break;
		HIDE(from);
		if (from >= DATA_BYTES || s->in[in_at(at + i)] != d->b[from])
			return 0;
	}
	return 1;
}

/* is_known says that this is the client that the binding names, if it names one. */
static __always_inline int is_known(const struct scratch *s, const struct answer6 *a)
{
	__u32 at = where(s, OPT6_CLIENT_ID), off = a->client.off, len = a->client.len;

	if (!len)
		return 1;
	if (!at || !(a->flags & ANSWER6_CLIENT_TIME))
		return at && same(s, &a->data, at, off, len);
	return same(s, &a->data, at, off, 8) && same(s, &a->data, at + 12, off + 12, len - 12);
}

/* is_admitted holds to RFC 8415 16.2 to 16.12, as dhcp6.admitIdentifiers. */
static __always_inline int is_admitted(const struct scratch *s, const struct answer6 *a)
{
	const struct piece *own = &a->heads[HEAD6_INFORM];
	__u8 kind = s->in[MESSAGE6];

	if (where(s, OPT6_SERVER_ID) && !same(s, &a->data, where(s, OPT6_SERVER_ID), own->off, own->len))
		return 0;
	if (kind == MSG6_INFORMATION_REQUEST)
		return a->flags & ANSWER6_STATELESS && !where(s, OPT6_IA_NA) && !where(s, OPT6_IA_PD);
	return a->flags & ANSWER6_STATEFUL && where(s, OPT6_CLIENT_ID) &&
	       !!where(s, OPT6_SERVER_ID) == names_server(kind);
}

__noinline int holds(const struct answer6 *a, const struct prefix6 *p)
{
	if (!a || !p)
		return 0;
	for (int i = 0; i < MAX_HELD6; i++) {
		if (i >= a->nheld)
			break;
		if (a->held[i].bits == p->bits && in6_equal(&a->held[i].addr, &p->addr))
			return 1;
	}
	return 0;
}

/* list keeps what was listed. The unspecified address with a length is a hint,
 * a length of 0 says nothing (RFC 8415 21.22). */
static __always_inline int list(struct ia6 *ia, const struct answer6 *a, const struct prefix6 *p)
{
	__u32 n = ia->n;

	if (in6_unspecified(&p->addr) || !p->bits)
		return 0;
	if (n >= MAX_LISTED6 || p->bits > 128)
		return -1;
	ia->listed[n] = *p;
	if (holds(a, p))
		ia->mine |= 1 << n;
	ia->n = n + 1;
	return 0;
}

/* read_ia notes what an identity association lists (RFC 8415 21.4, 21.21). */
__noinline int read_ia(struct scratch *s, const struct answer6 *a, __u32 pd)
{
	__u32 pos, end, n, inner = pd ? OPT6_IA_PREFIX : OPT6_IA_ADDR;
	struct prefix6 p = {};
	struct ia6 *ia;
	__u64 v;

	if (!s || !a)
		return -1;
	ia = &s->ia[kind_of(pd)];
	ia->n = ia->mine = 0;
	v = find6(s, pd ? OPT6_IA_PD : OPT6_IA_NA);
	if (!v)
		return 0;
	end = v + length6(s, v);
	if (v + 12 > end)
		return -1;
	set_pos(s, v + 12);
	for (int i = 0; i < MAX_INNER6; i++) {
		pos = pos_of(s);
		if (pos == end)
			return 0;
		if (pos + 4 > end)
			return -1;
		n = load16(s->in + in_at(pos) + 2);
		set_pos(s, pos + 4 + n);
		if (pos + 4 + n > end)
			return -1;
		if (load16(s->in + in_at(pos)) != inner)
			continue;
		if (n != (pd ? 25 : 24)) /* with options of its own, or wrong */
			return -1;
		p.bits = pd ? s->in[in_at(pos + 12)] : 128;
		p.addr = in6_at(s, pd ? pos + 13 : pos + 4);
		if (p.bits > 128 || list(ia, a, &p) < 0)
			return -1;
	}
	return -1;
}

#endif
