package lock

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The names inside our tables.
const (
	setNames   = "names"
	chainCheck = "check" // where a frame of a managed name must show the mark
	counterOut = "dropped"
)

// first is before everything: before the bridge learns an address, before
// fragments are put together and lose their own marks (-400), before
// connection tracking and anybody's rules.
const first nftables.ChainPriority = math.MinInt32

// table is one of our tables, as it should be or as the kernel shows it.
type table struct {
	Family  nftables.TableFamily
	Names   []string // elements of the set, sorted
	Room    int      // how many there can be
	Chains  []chain
	Dropped uint64
	Flaw    string // what makes it something else than a table of ours
}

type chain struct {
	Name  string
	Hook  *nftables.ChainHook // nil: only jumped to
	Why   string
	Rules []rule
}

// rule is one rule twice: as the kernel takes it and as people read it.
type rule struct {
	exprs []expr.Any
	text  string
	why   string
}

// room is the size of a new set of names. A set that has one is a hash of fixed
// buckets: one without grows by itself, while it grows is listed wrong, and
// costs each frame more.
func room(names int) int {
	const least = 1 << 14
	if names < least/2 {
		return least
	}
	return 1 << bits.Len(uint(2*names))
}

// tables returns the whole lock for a normal d. Patterns are rules, since a
// set with prefixes would be an interval set, whose changes cost more than a
// hash's; there are few of them.
func tables(d Desired) []table {
	check := chain{
		Name: chainCheck,
		Why:  "The guard's program marks what it examined; the mark ends here.",
		Rules: []rule{
			dropUnmarked(d.Mark),
			clearMark(d.Mark),
		},
	}
	// NF_BR_PRE_ROUTING and NF_BR_LOCAL_IN have the numbers of their inet kin.
	pre, input := nftables.ChainHook(unix.NF_INET_PRE_ROUTING), nftables.ChainHook(unix.NF_INET_LOCAL_IN)
	arpInput := nftables.ChainHook(0) // NF_ARP_IN
	return []table{
		{Family: nftables.TableFamilyBridge, Names: d.Names, Room: room(len(d.Names)), Chains: []chain{
			check,
			{
				Name: "prerouting", Hook: &pre, Rules: append([]rule{examined(d.Mark)}, entries(d, rule{})...),
				Why: "Every port of a bridge, before the bridge learns the source address.",
			},
			{
				Name: "input", Hook: &input, Rules: entries(d, linkLocal()),
				Why: "Frames to 01:80:c2:00:00:0x go to the host past the hook above and are learned from.\n" +
					"The host's own copy of such a frame that was forwarded ends here as well.",
			},
		}},
		{Family: nftables.TableFamilyINet, Names: d.Names, Room: room(len(d.Names)), Chains: []chain{
			check,
			{
				Name: "prerouting", Hook: &pre, Rules: entries(d, rule{}),
				Why: "Interfaces in no bridge, before fragments are put together.",
			},
		}},
		{Family: nftables.TableFamilyARP, Names: d.Names, Room: room(len(d.Names)), Chains: []chain{
			check,
			{
				Name: "input", Hook: &arpInput, Rules: entries(d, rule{}),
				Why: "ARP on interfaces in no bridge, before the host answers or learns.",
			},
		}},
	}
}

// entries sends the frames of every managed name, narrowed by only, to check.
func entries(d Desired, only rule) []rule {
	rules := []rule{only.then(inNames())}
	for _, p := range d.Patterns {
		rules = append(rules, only.then(inPattern(p)))
	}
	return rules
}

func (r rule) then(next rule) rule {
	return rule{
		exprs: append(append([]expr.Any(nil), r.exprs...), next.exprs...),
		text:  strings.TrimSpace(r.text + " " + next.text),
		why:   next.why,
	}
}

// examined passes what has the mark and no other, as nearly all that guests send
// has, without a look for the name: that costs as much as all the rest. On a
// port that is nobody's NIC such a frame loses its mark, too, which only a
// program there or a sender of the host's own can have given it. What the host's
// programs mark for its IP comes by the other families' hooks, where names count.
func examined(mark uint32) rule {
	return rule{
		exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyMARK, Register: unix.NFT_REG_1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: binaryutil.NativeEndian.PutUint32(mark)},
			&expr.Immediate{Register: unix.NFT_REG_1, Data: binaryutil.NativeEndian.PutUint32(0)},
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: unix.NFT_REG_1},
			&expr.Verdict{Kind: expr.VerdictAccept},
		},
		text: fmt.Sprintf("meta mark 0x%08x meta mark set 0x00000000 accept", mark),
		why:  "What nearly all frames of guests have, and nobody else's. The look for the name is dear.",
	}
}

func inNames() rule {
	return rule{
		exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: unix.NFT_REG_1},
			&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: setNames},
			jump(),
		},
		text: "iifname @" + setNames + " jump " + chainCheck,
	}
}

func inPattern(p string) rule {
	return rule{
		exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: unix.NFT_REG_1},
			// Compared over the prefix's length only: that is the star.
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte(strings.TrimSuffix(p, "*"))},
			jump(),
		},
		text: fmt.Sprintf("iifname %q jump %s", p, chainCheck),
	}
}

// linkLocal matches the group that IEEE 802.1D keeps for the bridge itself.
func linkLocal() rule {
	return rule{
		exprs: []expr.Any{
			&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseLLHeader, Offset: 0, Len: 6},
			&expr.Bitwise{
				SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 6,
				Mask: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}, Xor: make([]byte, 6),
			},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{0x01, 0x80, 0xc2, 0, 0, 0}},
		},
		text: "ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00",
	}
}

func dropUnmarked(mark uint32) rule {
	return rule{
		exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyMARK, Register: unix.NFT_REG_1},
			maskReg1(mark),
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: binaryutil.NativeEndian.PutUint32(0)},
			&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counterOut},
			&expr.Verdict{Kind: expr.VerdictDrop},
		},
		text: fmt.Sprintf("meta mark & 0x%08x == 0 counter name %q drop", mark, counterOut),
		why:  "No guard has seen this frame: its program is missing, or not there yet.",
	}
}

// clearMark ends with accept, which ends this hook for us alone: without it a
// name that also matches a pattern would be asked again for the mark it lost.
func clearMark(mark uint32) rule {
	return rule{
		exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyMARK, Register: unix.NFT_REG_1},
			maskReg1(^mark),
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: unix.NFT_REG_1},
			&expr.Verdict{Kind: expr.VerdictAccept},
		},
		text: fmt.Sprintf("meta mark set meta mark & 0x%08x accept", ^mark),
		why:  "Nobody behind us sees the bit. `accept` means only that we have no objection.",
	}
}

func maskReg1(mask uint32) *expr.Bitwise {
	return &expr.Bitwise{
		SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4,
		Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: make([]byte, 4),
	}
}

func jump() *expr.Verdict { return &expr.Verdict{Kind: expr.VerdictJump, Chain: chainCheck} }

// signature is what two equal rules have in common, whether built here or
// read from the kernel. It is the wire form, less the identifiers that only
// mean something inside one transaction.
func (r rule) signature(family nftables.TableFamily) string {
	var b strings.Builder
	for _, e := range r.exprs {
		if l, ok := e.(*expr.Lookup); ok {
			same := *l
			same.SetID = 0
			e = &same
		}
		wire, err := expr.Marshal(byte(family), e)
		if err != nil {
			wire = []byte(err.Error()) // equal to nothing of ours
		}
		fmt.Fprintf(&b, "%T%x;", e, wire)
	}
	return b.String()
}
