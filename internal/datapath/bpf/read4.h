/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading a client's DHCPv4 message, as internal/dhcp4 does, as long as it has
 * one meaning and no relay. */
#ifndef BERTH_READ4_H
#define BERTH_READ4_H

#define UDP4 (ETH_BYTES + 20)
#define BOOTP (UDP4 + 8)
#define OFF_XID (BOOTP + 4)
#define OFF_FLAGS (BOOTP + 10)
#define OFF_CIADDR (BOOTP + 12)
#define OFF_YIADDR (BOOTP + 16)
#define OFF_SIADDR (BOOTP + 20)
#define OFF_GIADDR (BOOTP + 24)
#define OFF_CHADDR (BOOTP + 28)
#define OFF_NAMES (BOOTP + 44)
#define OFF_MAGIC (BOOTP + 236)
#define OFF_OPTIONS (BOOTP + 240)
#define SHORTEST 300 /* message, RFC 1542 2.1 */
#define MAGIC 0x63825363
#define NAMES_BYTES 192 /* sname and file */

#define MAX_OPTIONS4 64
#define MAX_ASKED 64

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

enum {
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_REQUESTED_IP = 50,
	OPT_LEASE = 51,
	OPT_OVERLOAD = 52,
	OPT_TYPE = 53,
	OPT_SERVER_ID = 54,
	OPT_REQUEST_LIST = 55,
	OPT_MESSAGE = 56,
	OPT_MAX_SIZE = 57,
	OPT_T1 = 58,
	OPT_T2 = 59,
	OPT_VENDOR_CLASS = 60,
	OPT_CLIENT_ID = 61,
	OPT_USER_CLASS = 77,
	OPT_RAPID_COMMIT = 80,
	OPT_FQDN = 81,
	OPT_ARCH = 93,
	OPT_V6ONLY = 108,
	OPT_ROUTES = 121,
};

static __always_inline __be32 word(const __u8 *b)
{
	return *(const __be32 *)b;
}

/* sum_header4 adds up an IP header without options. */
static __always_inline __u16 sum_header4(const __u8 *h)
{
	return fold((__u64)word(h) + word(h + 4) + word(h + 8) + word(h + 12) + word(h + 16));
}

static __always_inline __u64 pseudo4(__be32 src, __be32 dst, __u16 len)
{
	return (__u64)src + dst + bpf_htons(IPPROTO_UDP) + bpf_htons(len);
}

/* read_datagram4 finds the message, as wire.ParseUDP4 does, in a plain frame. */
__noinline int read_datagram4(struct scratch *s)
{
	__u32 total, length;

	if (!s || load16(s->in + 12) != ETHERTYPE_IP4 || s->in[14] != 0x45 || s->in[23] != IPPROTO_UDP)
		return -1;
	total = load16(s->in + 16);
	length = load16(s->in + UDP4 + 4);
	if (load16(s->in + 20) & 0x3fff || total + ETH_BYTES > s->len || length + 20 != total)
		return -1;
	if (total + ETH_BYTES < OFF_OPTIONS)
		return -1;
	if (sum_header4(s->in + ETH_BYTES) != 0xffff)
		return -1;
	s->len = total + ETH_BYTES;
	return note_checksum(s, UDP4, pseudo4(word(s->in + 26), word(s->in + 30), length));
}

/* read_options4 notes where each option is. An option that comes twice, one
 * with the wrong length and a field without end are for the daemon. */
__noinline int read_options4(struct scratch *s)
{
	__u32 pos, n;
	__u8 code;

	if (!s)
		return -1;
	set_pos(s, OFF_OPTIONS);
	for (int i = 0; i < MAX_OPTIONS4; i++) {
		pos = pos_of(s);
		if (pos >= s->len)
			return -1;
		code = s->in[in_at(pos)];
		if (code == 255)
			return where(s, OPT_TYPE) && !where(s, OPT_OVERLOAD) ? 0 : -1;
		if (code == 0) {
			set_pos(s, pos + 1);
			continue;
		}
		n = 2 + s->in[in_at(pos) + 1];
		if (pos + n > s->len || where(s, code))
			return -1;
		note(s, code, pos);
		set_pos(s, pos + n);
	}
	return -1;
}

/* find returns where the value of an option is, 0 if there is none. */
static __always_inline __u64 find(const struct scratch *s, __u8 code)
{
	return has_code(s->has, code) ? in_at(s->at[code]) + 2 : 0;
}

/* length_of returns how long the value is that find has found. */
static __always_inline __u8 length_of(const struct scratch *s, __u64 v)
{
	return s->in[in_at(v - 1)];
}

static __always_inline int is_long(const struct scratch *s, __u8 code, __u8 len)
{
	__u64 v = find(s, code);

	return !v || length_of(s, v) == len;
}

/* is_plain4 says that no option has another length than it must have, and that none
 * asks for what was not compiled. */
__noinline int is_plain4(const struct scratch *s, const struct answer4 *a)
{
	__u64 v;

	if (!s || !a)
		return 0;
	if (!is_long(s, OPT_TYPE, 1) || !is_long(s, OPT_REQUESTED_IP, 4) || !is_long(s, OPT_LEASE, 4) ||
	    !is_long(s, OPT_SERVER_ID, 4) || !is_long(s, OPT_MAX_SIZE, 2) || !is_long(s, OPT_RAPID_COMMIT, 0))
		return 0;
	v = find(s, OPT_FQDN);
	if (v && length_of(s, v) < 3)
		return 0;
	v = find(s, OPT_ARCH);
	if (v && (a->flags & ANSWER4_ARCH || length_of(s, v) < 2 || length_of(s, v) & 1))
		return 0;
	v = find(s, OPT_VENDOR_CLASS);
	if (v && a->flags & ANSWER4_HTTP && s->in[v] == 'H')
		return 0;
	return !(where(s, OPT_USER_CLASS) && a->flags & ANSWER4_IPXE);
}

/* is_mine says that the message is from the NIC itself, and not by a relay. */
static __always_inline int is_mine(const struct scratch *s, const struct answer4 *a)
{
	if (s->in[BOOTP] != 1 || s->in[BOOTP + 1] != 1 || s->in[BOOTP + 2] != 6 ||
	    load32(s->in + OFF_MAGIC) != MAGIC || word(s->in + OFF_GIADDR) != 0)
		return 0;
	if (load_mac(s->in + OFF_CHADDR) != a->mac)
		return 0;
	return !(a->flags & ANSWER4_CHECK_MAC) || load_mac(s->in + 6) == a->mac;
}

#endif
