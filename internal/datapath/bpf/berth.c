// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The guard in the kernel: a faster copy of internal/guard, held to it frame
 * by frame. Two programs, one at each tc hook of a managed NIC:
 *
 *   from_guest  checks what the guest sends, takes its DHCP out of the stream
 *               before any bridge sees it, marks what passes;
 *   to_guest    keeps foreign DHCP servers away from the guest.
 *
 * Every byte is read with bpf_skb_load_bytes, never through skb->data (but for
 * the shortcut): the guest chooses how much of a frame is linear
 * (virtio_net_hdr.hdr_len).
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "berth.h"
#include "reasons.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct nic_rules);
} nics SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct nic_state);
} states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4194304);
	__type(key, struct set_key);
	__type(value, __u8);
} sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4194304);
	__type(key, struct set6_key);
	__type(value, __u8); /* bits of the prefix */
} sets6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct local_key);
	__type(value, struct local);
} locals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct share_key);
	__type(value, struct share);
} shares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} punts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct answer4);
} answers4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct answer6);
} answers6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct arp_answers);
} answersarp SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct nd_answers);
} answersnd SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* The programs that answer, by what a frame was taken for; where there is none
 * the frame is handed up. Behind them the guard's own, to judge a frame again. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, AGAIN_TO + 1);
	__type(key, __u32);
	__type(value, __u32);
} answerers SEC(".maps");

/* Keeps the records' types in the object, for the Go side. */
const struct punt *unused_punt __attribute__((unused));
const struct sample *unused_sample __attribute__((unused));
const struct exchange *unused_exchange __attribute__((unused));

/* is_asked says that somebody only asks what would become of the frame. */
static __always_inline int is_asked(const struct __sk_buff *skb)
{
	return skb->ingress_ifindex == ASKED_ABOUT;
}

/* The kernel uses the memory of a value that is replaced or removed anew at once,
 * perhaps for another NIC's, while a program on another CPU still reads it. What
 * was read is the NIC's if in the end the table has what it had at the beginning. */
static __always_inline __u64 stamp_of(const void *value)
{
	return *(const volatile __u64 *)value;
}

static __always_inline int is_in_force(void *table, __u32 index, __u64 stamp)
{
	const void *value = bpf_map_lookup_elem(table, &index);

	return value && stamp_of(value) == stamp;
}

#include "parse.h"
#include "parse6.h"
#include "judge.h"
#include "shortcut.h"

/* Keeps the compiler from knowing a value, or it folds two bounds into one
 * that the verifier cannot read. */
#define HIDE(v) asm volatile("" : "+r"(v))

/* load_head copies the frame's beginning, at most `most` bytes, and returns how many. */
static __always_inline int load_head(struct __sk_buff *skb, void *to, __u32 most)
{
	__u64 len = skb->len; /* 64 bits: the verifier forgets bounds when it widens */

	if (len > most)
		len = most;
	HIDE(len);
	if (len < 14)
		return -1;
	HIDE(len);
	if (len > most)
		return -1;
	return bpf_skb_load_bytes(skb, 0, to, len) < 0 ? -1 : (int)len;
}

static __always_inline void add(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/* show hands a frame to the daemon, at most one a second for each reason and
 * NIC: what a guest sends must not fill a log. */
static __noinline int show(struct __sk_buff *skb, struct nic_state *s, __u32 why)
{
	__u64 now = bpf_ktime_get_ns(), *last;
	struct sample *e;
	int kept;

	if (!s)
		return 0;
	last = &s->sampled_ns[why & (REASONS - 1)];
	if (*last != 0 && now - *last < SAMPLE_EVERY_NS)
		return 0;
	*last = now;
	e = bpf_ringbuf_reserve(&samples, sizeof(*e), 0);
	if (!e)
		return 0;
	e->ifindex = skb->ifindex;
	e->len = skb->len;
	e->why = why;
	__builtin_memset(e->data, 0, sizeof(e->data));
	kept = load_head(skb, e->data, SAMPLE_BYTES);
	e->kept = kept < 0 ? 0 : kept;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/* spend takes one token of the NIC's bucket; tokens are counted in the
 * nanoseconds they cost. */
static __always_inline int spend(const struct nic_rules *r, struct nic_state *s)
{
	__u64 now = bpf_ktime_get_ns(), cost = r->cost_ns, full = cost * r->burst, have;
	int ok;

	bpf_spin_lock(&s->lock);
	have = s->tokens_ns + (now - s->filled_ns);
	if (s->filled_ns == 0 || have > full)
		have = full;
	s->filled_ns = now;
	ok = have >= cost;
	s->tokens_ns = ok ? have - cost : have;
	bpf_spin_unlock(&s->lock);
	return ok;
}

/* hand_up gives a client message up whole; the frame itself ends here. */
static __always_inline __u8 hand_up(struct __sk_buff *skb, const struct nic_rules *r, struct nic_state *s,
				      __u8 why)
{
	struct punt *e;

	if (!spend(r, s))
		return REASON_DHCP_RATE;
	e = bpf_ringbuf_reserve(&punts, sizeof(*e), 0);
	if (!e)
		return REASON_DHCP_RING_FULL;
	e->ifindex = skb->ifindex;
	e->len = skb->len > 0xffff ? 0xffff : skb->len;
	e->why = why;
	/* A longer message is handed up cut, and found malformed there. */
	if (load_head(skb, e->data, PUNT_BYTES) < 0) {
		bpf_ringbuf_discard(e, 0);
		return REASON_TRUNCATED;
	}
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline int drop(struct __sk_buff *skb, struct nic_state *s, __u8 why)
{
	if (is_asked(skb)) {
		skb->cb[ASKED_ACTION] = DROP;
		skb->cb[ASKED_REASON] = why;
		return VERDICT_DROP;
	}
	add(&s->dropped[why & (REASONS - 1)]);
	show(skb, s, why);
	return VERDICT_DROP;
}

static __always_inline void audit(struct __sk_buff *skb, struct nic_state *s, __u8 why)
{
	if (!why)
		return;
	if (is_asked(skb)) {
		skb->cb[ASKED_AUDITED] = why;
		return;
	}
	add(&s->audited[why & (REASONS - 1)]);
	show(skb, s, why | SAMPLE_AUDIT);
}

/* take hands a frame to the daemon. It is a function of its own because the
 * programs' stack is full. */
static __noinline int take(struct __sk_buff *skb, const struct nic_rules *r, struct nic_state *s, __u8 why)
{
	__u8 failed;

	if (is_asked(skb)) {
		skb->cb[ASKED_ACTION] = TAKE;
		skb->cb[ASKED_REASON] = why;
		return VERDICT_DROP;
	}
	failed = hand_up(skb, r, s, why);
	if (failed)
		return drop(skb, s, failed);
	add(&s->taken[(why - REASON_DHCP4) & (TAKEN - 1)]);
	return VERDICT_DROP;
}

/* is_ruled says whether the rules that a frame was judged by are still the NIC's.
 * It is a function of its own because the programs' stack is full. */
static __noinline int is_ruled(struct __sk_buff *skb, __u64 stamp)
{
	return is_in_force(&nics, skb->ifindex, stamp);
}

/* stop drops a frame of which nothing can be said: there are no rules. */
static __always_inline int stop(struct __sk_buff *skb)
{
	if (is_asked(skb))
		skb->cb[ASKED_ACTION] = DROP;
	return VERDICT_DROP;
}

/* again judges a frame by the rules that have come in force meanwhile. */
static __always_inline int again(struct __sk_buff *skb, __u32 which)
{
	bpf_tail_call(skb, &answerers, which);
	return stop(skb);
}

#include "reply.h"
#include "dhcp4.h"
#include "dhcp6.h"
#include "arp.h"
#include "nd.h"

/* ask4 goes on with what answers DHCPv4, if there is something. That, too, looks
 * whether the rules are still the NIC's. */
static __always_inline void ask4(struct __sk_buff *skb, __u64 stamp)
{
	skb->cb[CB_RULED] = stamp;
	bpf_tail_call(skb, &answerers, 0);
}

/* passed lets a frame of the guest go on. */
static __always_inline int passed(struct __sk_buff *skb, struct nic_state *s)
{
	if (!s)
		return stop(skb);
	if (is_asked(skb))
		return VERDICT_NEXT;
	add(&s->from_guest);
	skb->mark |= GUARD_MARK;
	return VERDICT_NEXT;
}

SEC("tc")
int from_guest(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex;
	struct nic_rules *r = bpf_map_lookup_elem(&nics, &key);
	struct verdict v = {};
	struct nic_state *s;
	__u64 stamp;

	if (!r)
		return stop(skb);
	stamp = stamp_of(r);
	if (surely_from_guest(skb, r)) {
		s = bpf_map_lookup_elem(&states, &key);
		return is_in_force(&nics, key, stamp) ? passed(skb, s) : again(skb, AGAIN_FROM);
	}
	if (surely_asks4(skb, r))
		ask4(skb, stamp);
	judge_from_guest(skb, r, &v);
	if (!is_ruled(skb, stamp))
		return again(skb, AGAIN_FROM);
	s = bpf_map_lookup_elem(&states, &key);
	if (!s)
		return stop(skb);
	if (v.action == DROP)
		return drop(skb, s, v.reason);
	audit(skb, s, v.audited);
	if (v.action == TAKE) {
		if (v.reason == REASON_DHCP4)
			ask4(skb, stamp);
		else
			bpf_tail_call(skb, &answerers, v.reason - REASON_DHCP4);
		return take(skb, r, s, v.reason);
	}
	return passed(skb, s);
}

SEC("tc")
int to_guest(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex;
	struct verdict v = {};
	struct nic_rules *r;
	struct nic_state *s;
	__u64 stamp;

	/* The mark stays: while filters give way to links both are there. */
	if (skb->mark == REPLY_MARK && skb->ingress_ifindex == skb->ifindex)
		return VERDICT_NEXT;
	r = bpf_map_lookup_elem(&nics, &key);
	s = bpf_map_lookup_elem(&states, &key);
	if (!r || !s)
		return stop(skb);
	stamp = stamp_of(r);
	if (!surely_to_guest(skb, r)) {
		judge_to_guest(skb, r, &v);
		if (!is_ruled(skb, stamp))
			return again(skb, AGAIN_TO);
		if (v.action == DROP)
			return drop(skb, s, v.reason);
		audit(skb, s, v.audited);
	} else if (!is_ruled(skb, stamp)) {
		return again(skb, AGAIN_TO);
	}
	if (is_asked(skb))
		return VERDICT_NEXT;
	add(&s->to_guest);
	return VERDICT_NEXT;
}
