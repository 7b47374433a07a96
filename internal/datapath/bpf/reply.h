/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What all answers have in common: reading the frame, writing the reply, sending
 * it back by the NIC, and saying so. */
#ifndef BERTH_REPLY_H
#define BERTH_REPLY_H

#define ETH_BYTES 14

static __always_inline struct scratch *my_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* in_at and out_at bound an offset where the verifier sees it; that it is right
 * is for the caller to know. */
static __always_inline __u64 in_at(__u64 off)
{
	HIDE(off);
	return off & (IN_BYTES - 1);
}

static __always_inline __u64 out_at(__u64 off)
{
	HIDE(off);
	return off & (OUT_BYTES - 1);
}

/* pos_of reads the position anew, so that nothing is known of it. */
static __always_inline __u32 pos_of(const struct scratch *s)
{
	return *(const volatile __u32 *)&s->pos;
}

static __always_inline void set_pos(struct scratch *s, __u32 pos)
{
	*(volatile __u32 *)&s->pos = pos;
}

static __always_inline int has_code(const __u64 *set, __u8 code)
{
	return set[code >> 6 & 3] >> (code & 63) & 1;
}

static __always_inline void add_code(__u64 *set, __u8 code)
{
	set[code >> 6 & 3] |= 1ULL << (code & 63);
}

/* note notes where in the frame the option of a code is. */
static __always_inline void note(struct scratch *s, __u8 code, __u32 at)
{
	add_code(s->has, code);
	s->at[code] = at;
}

/* where returns what was noted, 0 if there is no such option. */
static __always_inline __u32 where(const struct scratch *s, __u8 code)
{
	return has_code(s->has, code) ? s->at[code] : 0;
}

/* read_frame copies a frame that is short enough, and forgets the last one. */
static __always_inline int read_frame(struct __sk_buff *skb, struct scratch *s)
{
	__u64 len = skb->len;

	HIDE(len);
	if (len < 60 - 18 || len > IN_BYTES)
		return -1;
	s->len = len;
	s->partial = 0;
	__builtin_memset(s->has, 0, sizeof(s->has));
	__builtin_memset(s->seen, 0, sizeof(s->seen));
	__builtin_memset(s->asked, 0, sizeof(s->asked));
	__builtin_memset(&s->done, 0, sizeof(s->done));
	return bpf_skb_load_bytes(skb, 0, s->in, len);
}

/* The compiler knows nothing of how bytes are aligned, and would take each by
 * itself; the kernels that take this program do not mind (as in copy). */
static __always_inline void clear(__u8 *b, __u32 len)
{
	for (__u32 i = 0; i < len; i += 8)
		*(__u64 *)(b + i) = 0;
}

static __always_inline __u16 load16(const __u8 *b)
{
	return bpf_ntohs(*(const __be16 *)b);
}

static __always_inline __u32 load32(const __u8 *b)
{
	return bpf_ntohl(*(const __be32 *)b);
}

static __always_inline __u64 load_mac(const __u8 *b)
{
	return (__u64)load32(b) << 16 | load16(b + 4);
}

static __always_inline void copy16(__u8 *to, const void *from)
{
	*(__u64 *)to = *(const __u64 *)from;
	*(__u64 *)(to + 8) = *((const __u64 *)from + 1);
}

static __always_inline void store16(__u8 *b, __u16 v)
{
	*(__be16 *)b = bpf_htons(v);
}

static __always_inline void store32(__u8 *b, __u32 v)
{
	*(__be32 *)b = bpf_htonl(v);
}

static __always_inline void store_mac(__u8 *b, __u64 mac)
{
	store16(b, mac >> 32);
	store32(b + 2, mac);
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* words rounds a length of at most 512 up to whole words. */
static __always_inline __u64 words(__u64 n)
{
	n = (n + 3) & ~3ULL;
	HIDE(n);
	return n > 512 ? 512 : n;
}

/* Where a byte of the frame or of the reply is in the scratch. */
#define REQUEST_AT(off) (__builtin_offsetof(struct scratch, in) + (off))
#define REPLY_AT(off) (__builtin_offsetof(struct scratch, out) + (off))

/* sum_of adds up what is between two places of the scratch (RFC 1071). */
__noinline __u32 sum_of(struct scratch *s, __u32 from, __u32 end)
{
	__s64 sum = 0;
	__u64 at, n;

	if (!s || end > REPLY_AT(OUT_BYTES))
		return 0;
	at = end;
	HIDE(at);
	if (at > REPLY_AT(OUT_BYTES))
		return 0;
	__builtin_memset((__u8 *)s + at, 0, 4); /* it is added up by words */
	for (int i = 0; i < OUT_BYTES / 512; i++) {
		at = from + i * 512;
		if (at >= end)
			break;
		n = end - at;
		if (n > 512)
			n = 512;
		n = words(n);
		HIDE(at);
		if (at > REPLY_AT(OUT_BYTES))
			return 0;
		sum = bpf_csum_diff(0, 0, (__be32 *)((__u8 *)s + at), n, sum);
		if (sum < 0)
			return 0;
	}
	return fold(sum);
}

/* note_checksum notes whether the guest leaves its checksum to others, and
 * returns -1 if it cannot be known: the pseudo-header's sum may happen to be the
 * right checksum, too. */
static __always_inline int note_checksum(struct scratch *s, __u32 udp, __u64 pseudo)
{
	s->partial = *(__u16 *)(s->in + udp + 6) == fold(pseudo);
	return s->partial && fold(pseudo + sum_of(s, REQUEST_AT(udp), REQUEST_AT(s->len))) == 0xffff ? -1 : 0;
}

/* copy appends bytes of the compiled answer to the reply, eight at a time:
 * whatever comes too much is written over by what follows. */
__noinline int copy(struct scratch *s, const struct data *d, __u32 off, __u32 len)
{
	__u32 pos;

	if (!s || !d)
		return -1;
	pos = pos_of(s);
	for (__u32 i = 0; i < DATA_BYTES; i += 8) {
		__u64 from = off + i, to = pos + i;

		if (i >= len)
			break;
		if (to > OUT_BYTES - 8)
			return -1;
		HIDE(from);
		if (from > DATA_BYTES - 8)
			return -1;
		*(__u64 *)(s->out + out_at(to)) = *(const __u64 *)(d->b + from);
	}
	set_pos(s, pos + len);
	return 0;
}

/* echo appends bytes of the frame to the reply. */
#define ECHO_BYTES 264
__noinline int echo(struct scratch *s, __u32 off, __u32 len)
{
	__u32 pos;

	if (!s)
		return -1;
	pos = pos_of(s);
	if (len > ECHO_BYTES || off + len > IN_BYTES || pos + len > OUT_BYTES - 8)
		return -1;
	for (__u32 i = 0; i < ECHO_BYTES; i += 8) {
		if (i >= len)
			break;
		*(__u64 *)(s->out + out_at(pos + i)) = *(const __u64 *)(s->in + in_at(off + i));
	}
	set_pos(s, pos + len);
	return 0;
}

/* tell counts an exchange, and puts it before the daemon if there were few: a
 * guest can have as many as it likes. */
static __always_inline void tell(struct __sk_buff *skb, struct nic_state *s, struct scratch *w, __u8 why)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	add(&s->taken[(why - REASON_DHCP4) & (TAKEN - 1)]);
	add(&s->exchanges[w->done.kind & (EXCHANGES - 1)]);
	if (now - s->told_ns > 1000000000ULL) {
		s->told_ns = now;
		s->told = 0;
	}
	if (s->told >= TOLD_A_SECOND)
		return;
	s->told++;
	w->done.ifindex = skb->ifindex;
	w->done.at_ns = bpf_ktime_get_ns();
	bpf_ringbuf_output(&told, &w->done, sizeof(w->done), BPF_RB_NO_WAKEUP);
}

/* consumed ends a message that gets no reply. */
static __always_inline int consumed(struct __sk_buff *skb, struct nic_state *s, struct scratch *w, __u8 why)
{
	if (is_asked(skb)) {
		skb->cb[ASKED_ACTION] = TAKE;
		skb->cb[ASKED_REASON] = why;
		skb->cb[ASKED_KIND] = 1 + w->done.kind;
	} else {
		tell(skb, s, w, why);
	}
	return VERDICT_DROP;
}

/* send_back makes the frame the reply, and sends it out by the NIC that it came
 * in by. A frame that cannot be made as long is handed up as it was. */
static __always_inline int send_back(struct __sk_buff *skb, const struct nic_rules *r, struct nic_state *s,
				     struct scratch *w, __u8 why)
{
	__u64 len = pos_of(w);

	HIDE(len);
	if (len < 60 || len > OUT_BYTES)
		return take(skb, r, s, why);
	if (bpf_skb_change_tail(skb, len, 0) < 0)
		return take(skb, r, s, why);
	if (bpf_skb_store_bytes(skb, 0, w->out, len, BPF_F_INVALIDATE_HASH) < 0)
		return VERDICT_DROP;
	consumed(skb, s, w, why);
	skb->mark = REPLY_MARK;
	return bpf_redirect(skb->ifindex, 0);
}

#endif
