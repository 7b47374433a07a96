/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the kernel program and the daemon share. Every size here is part of
 * the pinned maps' layout: a change needs a new LAYOUT in layout.go. */
#ifndef BERTH_H
#define BERTH_H

#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_RARP 0x8035
#define ETHERTYPE_IP6 0x86dd
#define PORT_SERVER 67
#define PORT_CLIENT 68
#define PORT_SERVER6 547
#define PORT_CLIENT6 546
#define PROTO_VRRP 112

#define MAX_TAGS 4
#define MAX_MACS 16
#define MAX_IP4 8
#define MAX_IP6 8
#define MAX_LOCALS 4  /* link-locals of a NIC's own choice */
#define MAX_ROUTERS 4 /* of the site, besides the gateway */
#define MAX_ANSWERS 2 /* of each family: what berth answers for */
#define MAX_FORMER 4  /* server identifiers that were in force before */
#define MAX_PEERS 9 /* the gateway and eight more */
#define MAX_VRIDS 8
#define MAX_TYPES 8
#define MAX_VLANS 8
#define MAX_HEADERS 8     /* extension headers looked behind */
#define MAX_TLVS 16       /* options looked at in one of them */
#define MAX_ND_OPTIONS 16 /* of one message */
#define MIN_FRAGMENT6 512
#define LOCAL_IDLE_NS (600 * 1000000000ULL) /* after which a link-local may be replaced */
#define BERTH_MAC 0x026265727468ULL
#define BROADCAST_MAC 0xffffffffffffULL
#define MIN_FRAGMENT 48 /* payload the smallest IPv4 link carries, RFC 791 */
#define REASONS 64      /* a power of two; the guard's reasons are below it */
#define PUNT_BYTES 1600
#define SAMPLE_BYTES 128
#define SAMPLE_AUDIT 0x80
#define SAMPLE_EVERY_NS 1000000000ULL

/* The same numbers serve tcx (TCX_NEXT, TCX_DROP) and clsact (TC_ACT_UNSPEC,
 * TC_ACT_SHOT); Debian 12's headers have no tcx names yet. */
#define VERDICT_NEXT -1
#define VERDICT_DROP 2

/* Set on every frame that the guard let pass from a guest; the second lock
 * drops what lacks it and clears it (internal/lock). */
#define GUARD_MARK 0x08000000

enum rule_flags {
	RULE_CLOSED = 1 << 0,
	RULE_AUDIT = 1 << 1,
	RULE_ROUTER = 1 << 2,
	RULE_CHECK_MAC = 1 << 3,
	RULE_CHECK_ARP = 1 << 4,
	RULE_CHECK_IP = 1 << 5,
	RULE_CHECK_L2 = 1 << 6,
	RULE_SET = 1 << 7, /* the permitted sources are in the trie, not in ip4[] */
	RULE_CHECK_ND = 1 << 8,
	RULE_IP6 = 1 << 9,
	RULE_ADVERTISE = 1 << 10,
	RULE_SITE_RA = 1 << 11,
	RULE_ANSWER_ALL = 1 << 12,
	RULE_SET6 = 1 << 13, /* as RULE_SET, of ip6[] */
	RULE_LL_FIRST_COME = 1 << 14,
	RULE_LL_FIXED = 1 << 15,
	RULE_SITE_DHCP = 1 << 16,
	RULE_SERVE = 1 << 17,
	RULE_SHARES = 1 << 18, /* some of its addresses are in the map of shares */
};

/* An IPv6 address as it is on the wire. */
struct in6 {
	__u64 hi, lo;
};

struct ip6_net {
	struct in6 addr, mask;
};

struct ip4_net {
	__be32 addr;
	__be32 mask;
};

/* MACs that are the same under the mask. */
struct mac_range {
	__u64 mac, mask;
};

/* One NIC's rules: replaced whole in one map update, so that two packets see
 * either the old rules or the new ones. */
struct nic_rules {
	__u64 stamp; /* which no other rules have */
	__u64 digest; /* of the Go rules these were made from */
	__u64 cost_ns; /* of one DHCP message handed up */
	__u64 macs[MAX_MACS];
	__u32 flags;
	__be32 set;
	__u32 burst;
	__u8 nmacs, nip4, npeers, nip6;
	__u8 nlocals, nanswer4, nanswer6, nrouters;
	__u32 segment; /* where link-locals are told apart */
	struct ip4_net ip4[MAX_IP4];
	struct ip6_net ip6[MAX_IP6];
	struct in6 gateway6, eui64;
	struct in6 routers[MAX_ROUTERS]; /* whose link-locals no guest may take */
	struct in6 locals[MAX_LOCALS];
	struct in6 answer6[MAX_ANSWERS];
	__be32 answer4[MAX_ANSWERS];
	__be32 former4[MAX_FORMER];
	__u16 types[MAX_TYPES];
	__u16 vlans[MAX_VLANS];
	__u8 vrids4[MAX_VRIDS], vrids6[MAX_VRIDS];
	__u8 nvlans, nvrids4, nvrids6, ntypes, nformer4, pad[3];
	struct mac_range peers[MAX_PEERS];
	__u8 name[16];
};

/* A link-local address on one segment, and who holds it. */
struct local_key {
	__u32 segment;
	__u32 pad;
	struct in6 addr;
};

struct local {
	__u32 holder; /* ifindex; 0: no NIC's, such as a gateway's */
	__u32 users;  /* how many NICs' rules keep it; 0: it is the holder's claim */
	__u64 used_ns;
};

/* An address that a NIC shares, and when it last said that it has it. */
struct share_key {
	__u32 ifindex;
	__u32 pad;
	struct in6 addr; /* an IPv4 address is mapped (RFC 4291 2.5.5.2) */
};

struct share {
	__u64 seen_ns; /* 0: never */
};

#define TAKEN 8
#define AGAIN_FROM TAKEN /* of answerers: the program itself */
#define AGAIN_TO (TAKEN + 1)
#define EXCHANGES 32 /* kinds of exchange, EXCHANGE_* */
#define TOLD_A_SECOND 32 /* exchanges of one NIC that the daemon hears of */

/* Set on a reply on its way back to the guest. Nothing else leaves by the NIC
 * it came in by with this mark: what the guard passes has GUARD_MARK. */
#define REPLY_MARK 0x62657274

/* The ingress_ifindex of a frame that is only asked about (BPF_PROG_TEST_RUN):
 * no frame on a wire has it, there it is the device's own. Of such a frame
 * nothing is counted, shown, handed up, claimed or noted. */
#define ASKED_ABOUT 0xffffffff

/* Where in skb->cb the asker finds what would have become of it. */
enum { ASKED_ACTION, ASKED_REASON, ASKED_AUDITED, ASKED_KIND };

/* Where the frame carries the stamp of the rules that it is taken by, as much as
 * there is room for. A map could not: while programs are replaced, those of two
 * builds answer together, each with a map of its own. */
#define CB_RULED 4

/* One NIC's counters and bucket. They outlive a change of its rules. */
struct nic_state {
	struct bpf_spin_lock lock;
	__u32 told; /* exchanges that the daemon was told of in this second */
	__u64 told_ns; /* when it began */
	__u64 exchanges[EXCHANGES]; /* that the program itself has dealt with */
	__u64 tokens_ns, filled_ns;
	__u64 from_guest, to_guest;
	__u64 taken[TAKEN]; /* from REASON_DHCP4 on */
	struct local_key claimed[MAX_LOCALS]; /* all zero: free */
	__u64 dropped[REASONS];
	__u64 audited[REASONS];
	__u64 sampled_ns[REASONS]; /* when a frame was last shown to the daemon */
};

/* Key of the trie of permitted sources. The set is a number used by one
 * version of one NIC's rules, so that a change is one update of nic_rules. */
struct set_key {
	__u32 prefixlen;
	__be32 set;
	__be32 addr;
};

struct set6_key {
	__u32 prefixlen;
	__be32 set;
	struct in6 addr;
} __attribute__((packed));

struct punt {
	__u32 ifindex;
	__u16 len; /* of the frame, at most 65535; data may hold less */
	__u16 why; /* reason it was taken for */
	__u8 data[PUNT_BYTES];
};

/* What the program can have dealt with by itself: the message, and what came
 * of it. The daemon names them (exchanges.go). */
enum exchange_kind {
	EXCHANGE_DISCOVER_OFFER,
	EXCHANGE_DISCOVER_ACK,
	EXCHANGE_REQUEST_ACK,
	EXCHANGE_REQUEST_NAK,
	EXCHANGE_INFORM_ACK,
	EXCHANGE_DECLINE,
	EXCHANGE_RELEASE,
	EXCHANGE_ARP,
	EXCHANGE_NS,
	EXCHANGE_RS,
	EXCHANGE_SOLICIT_ADVERTISE,
	EXCHANGE_SOLICIT_REPLY,
	EXCHANGE_REQUEST_REPLY,
	EXCHANGE_RENEW_REPLY,
	EXCHANGE_REBIND_REPLY,
	EXCHANGE_CONFIRM_REPLY,
	EXCHANGE_INFORMATION_REPLY,
	EXCHANGE_RELEASE_REPLY,
	EXCHANGE_DECLINE_REPLY,
	EXCHANGE_CONFIRM_NOT_ON_LINK,
};

/* One exchange, for the daemon's history. */
struct exchange {
	__u32 ifindex;
	__u8 kind; /* EXCHANGE_* */
	__u8 bits; /* of the address it is about; 0: there is none */
	__u16 pad;
	__u32 xid;
	__u32 pad2;
	__u64 at_ns; /* CLOCK_MONOTONIC */
	struct in6 addr; /* an IPv4 address is mapped (RFC 4291 2.5.5.2) */
};

/* An IPv6 prefix; bits 0: there is none. */
struct prefix6 {
	struct in6 addr;
	__u32 bits;
	__u32 pad;
};

/* What an identity association of DHCPv6 lists, addresses as /128. */
#define MAX_LISTED6 4
struct ia6 {
	struct prefix6 listed[MAX_LISTED6];
	__u32 n;
	__u32 mine; /* which of them are the NIC's, by bit */
};

/* Where a frame is read and its reply is written: one for each CPU, because
 * nothing interrupts a program at a tc hook but what ends before it goes on.
 * Offsets are kept here and not in registers: what is read from memory is
 * unknown to the verifier, and one way through a loop is as good as another. */
#define IN_BYTES 1024 /* a longer message is handed up */
#define OUT_BYTES 2048
#define SLACK 512
struct scratch {
	__u8 in[IN_BYTES + 8];
	__u8 pad[2]; /* so that the header behind 14 bytes is aligned */
	__u8 out[OUT_BYTES + SLACK];
	__u8 pad2[6];
	__u64 has[4];   /* codes of the options in the frame */
	__u64 seen[4];  /* codes that are in the reply already */
	__u64 asked[4]; /* codes that the client asks for */
	__u32 len;      /* of the frame read, without what comes behind the message */
	__u32 pos;      /* of the next byte read or written */
	__u32 lease, t1, t2;
	__u8 partial; /* the guest leaves checksums to others */
	__u8 pad3[3];
	__u16 at[256]; /* where an option of this code is in the frame, if it has one */
	struct ia6 ia[2]; /* of addresses, of prefixes */
	struct exchange done;
};

/* Bytes of options, each piece at a multiple of eight. */
#define DATA_BYTES 1024
struct data {
	__u8 b[DATA_BYTES];
};

struct piece {
	__u16 off, len;
};

enum answer4_flags {
	ANSWER4_CHECK_MAC = 1 << 0,
	ANSWER4_RAPID_COMMIT = 1 << 1,
	ANSWER4_ONLY_REQUESTED = 1 << 2,
	ANSWER4_NO_ROUTER_WITH_ROUTES = 1 << 3,
	ANSWER4_IPXE = 1 << 4, /* iPXE is told something else */
	ANSWER4_ARCH = 1 << 5, /* so are some architectures */
	ANSWER4_HTTP = 1 << 6, /* a UEFI HTTP client is told more */
	ANSWER4_V6ONLY = 1 << 7, /* option 108 goes with a lease only */
};

#define MAX_PIECES4 40
#define MAX_BASICS4 12

/* What one NIC is answered in DHCPv4, made by dhcp4.Compile. The stamp, which all
 * such values begin with, no two have in common. */
struct answer4 {
	__u64 stamp;
	__u64 mac; /* chaddr */
	__be32 own, server, next_server;
	__u32 flags;
	__u32 lease, most, t1, t2; /* seconds; most is the longest lease for the asking */
	__u16 link; /* what a datagram of the link can hold */
	__u8 nbasics, pad;
	__u8 basics[MAX_BASICS4];
	struct piece names; /* sname and file, or nothing */
	struct piece fqdn[2]; /* option 81, by its E bit */
	struct piece pieces[MAX_PIECES4]; /* the first is not used */
	__u8 slot[256]; /* which piece is the option of a code; 0: none */
	struct data data;
};

enum answer6_flags {
	ANSWER6_STATEFUL = 1 << 0,  /* all but INFORMATION-REQUEST is answered */
	ANSWER6_STATELESS = 1 << 1, /* INFORMATION-REQUEST is */
	ANSWER6_RAPID_COMMIT = 1 << 2,
	ANSWER6_UNICAST = 1 << 3,
	ANSWER6_NAMED = 1 << 4,       /* identity associations are told apart by IAID */
	ANSWER6_ARCH = 1 << 5,        /* some architectures are told something else */
	ANSWER6_HIGH = 1 << 6,        /* there are options above 255 */
	ANSWER6_CLIENT_TIME = 1 << 7, /* the time in the only client's DUID does not count */
};

/* What stands in a reply before the identity associations, by kind. */
enum head6 {
	HEAD6_ADVERTISE,
	HEAD6_RAPID,
	HEAD6_REPLY,
	HEAD6_INFORM, /* option 2 alone */
	HEAD6_SUCCESS,
	HEAD6_NOT_ON_LINK,
};
#define HEADS6 8 /* a power of two */

#define MAX_PIECES6 32
#define MAX_HELD6 24

/* What one NIC is answered in DHCPv6, made by dhcp6.Compile. Of a pair the
 * first is about addresses, the second about prefixes. */
struct answer6 {
	__u64 stamp;
	struct in6 addr; /* the source of every reply */
	__u32 flags;
	__u16 limit; /* how long a message may be */
	__u8 nheld, pad;
	struct prefix6 given[2]; /* the first that is given */
	struct prefix6 held[MAX_HELD6]; /* all that is the NIC's */
	struct piece heads[HEADS6];
	struct piece ia[2]; /* what follows the IAID */
	struct piece client; /* option 1 of the only client; no length: any */
	struct piece fqdn[2]; /* option 39, by its S bit */
	struct piece pieces[MAX_PIECES6]; /* the first is not used */
	__u8 slot[256]; /* which piece is the options of a code; 0: none */
	__u8 pad2[4];
	struct data data;
};

#define MAX_KNOWN4 8
#define MAX_NOT4 12
struct known4 {
	__u64 mac;
	__be32 addr;
	__u32 former; /* a server that was: only for whoever has not heard of it */
};

/* For whom one NIC is answered in ARP, made by arp.Compile. */
struct arp_answers {
	__u64 stamp;
	__u64 others; /* MAC of every other host; 0: silence, but for former servers */
	struct known4 known[MAX_KNOWN4];
	__be32 not[MAX_NOT4]; /* is no host, but a broadcast address */
	__u32 nknown, nnot;
	__u32 all; /* others are answered for */
	__u32 pad;
};

enum nd_answers_flags {
	ND_ANSWERS_CONFLICTS = 1 << 0, /* a probe for another NIC's link-local is told so */
	ND_ANSWERS_MULTICAST = 1 << 1, /* the RA goes to all nodes */
};

#define MAX_KNOWN6 8
struct known6 {
	struct in6 addr;
	__u64 mac;   /* 0: silence */
	__u64 flags; /* R and O of the advertisement */
};

/* What one NIC is told in neighbour discovery, made by nd.Compile. */
struct nd_answers {
	__u64 stamp;
	__u64 others; /* MAC of every other global address; 0: silence */
	struct known6 known[MAX_KNOWN6];
	__u32 flags, nknown;
	__u64 router_mac;
	struct in6 router;
	__u64 ra_len; /* 0: an RA is the daemon's to send */
	struct data ra[2]; /* the message from its type on, without its checksum */
};

struct sample {
	__u32 ifindex;
	__u32 len;
	__u16 why; /* reason, with SAMPLE_AUDIT */
	__u16 kept;
	__u8 data[SAMPLE_BYTES];
};

#endif
