package lock

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// change is what one transaction does to one table.
type change struct {
	Table  table // as wanted; for Delete as found
	Delete bool  // the whole table goes, also before Create
	Create bool  // the whole table is made
	Chains []chain
	Add    []string // elements of the set
	Drop   []string
}

// diff returns the next transaction on the way from have to want, nothing
// when they are equal. Rules are flushed and filled in place, so a frame sees
// either all old or all new ones. Elements that go wait until the rules stand:
// a frame that began under the old rules may look into the new set, and a
// name that moves from the set to a pattern must not slip between.
func diff(have, want []table) []change {
	var grow, shrink []change
	ruled := false
	for _, w := range want {
		h, ok := find(have, w.Family)
		if !ok || h.Flaw != "" || h.Room < len(w.Names) {
			grow = append(grow, change{Table: w, Delete: ok, Create: true, Add: w.Names})
			ruled = true
			continue
		}
		c := change{Table: w, Chains: differing(h, w), Add: minus(w.Names, h.Names)}
		ruled = ruled || len(c.Chains) > 0
		if len(c.Chains) > 0 || len(c.Add) > 0 {
			grow = append(grow, c)
		}
		if gone := minus(h.Names, w.Names); len(gone) > 0 {
			shrink = append(shrink, change{Table: w, Drop: gone})
		}
	}
	if ruled {
		return grow
	}
	return append(grow, shrink...)
}

func find(ts []table, family nftables.TableFamily) (table, bool) {
	for _, t := range ts {
		if t.Family == family {
			return t, true
		}
	}
	return table{}, false
}

// differing returns the chains of w whose rules in h are others.
func differing(h, w table) []chain {
	var out []chain
	for i, c := range w.Chains {
		if !slices.Equal(signatures(w.Family, c.Rules), signatures(w.Family, h.Chains[i].Rules)) {
			out = append(out, c)
		}
	}
	return out
}

func signatures(family nftables.TableFamily, rules []rule) []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = r.signature(family)
	}
	return out
}

// minus returns the elements of a that are not in b; both are sorted.
func minus(a, b []string) []string {
	var out []string
	for _, s := range a {
		if _, ok := slices.BinarySearch(b, s); !ok {
			out = append(out, s)
		}
	}
	return out
}

// desired is the way back: what would Apply have been told for the kernel to
// hold this? The answer is checked by making the rules for it again.
func desired(have []table) (Desired, error) {
	if len(have) == 0 {
		return Desired{}, nil
	}
	d := Desired{Names: have[0].Names}
	if have[0].Flaw == "" {
		d.Mark, d.Patterns = markOf(have[0]), patternsOf(have[0])
	}
	for _, w := range tables(d) {
		h, ok := find(have, w.Family)
		switch {
		case !ok:
			return Desired{}, fmt.Errorf("%w: table %s is missing", ErrDamaged, title(w.Family))
		case h.Flaw != "":
			return Desired{}, fmt.Errorf("%w: table %s: %s", ErrDamaged, title(w.Family), h.Flaw)
		case !slices.Equal(h.Names, w.Names):
			return Desired{}, fmt.Errorf("%w: table %s holds other names than table %s",
				ErrDamaged, title(w.Family), title(have[0].Family))
		}
		if bad := differing(h, w); len(bad) > 0 {
			return Desired{}, fmt.Errorf("%w: table %s: chain %s has other rules", ErrDamaged, title(w.Family), bad[0].Name)
		}
	}
	return d.Normal()
}

func markOf(t table) uint32 {
	for _, r := range t.Chains[0].Rules {
		for _, e := range r.exprs {
			if b, ok := e.(*expr.Bitwise); ok && len(b.Mask) == 4 {
				return binaryutil.NativeEndian.Uint32(b.Mask)
			}
		}
	}
	return 0
}

func patternsOf(t table) []string {
	var out []string
	for _, r := range t.Chains[1].Rules {
		if len(r.exprs) < 2 {
			continue
		}
		m, _ := r.exprs[0].(*expr.Meta)
		c, ok := r.exprs[1].(*expr.Cmp)
		if ok && m != nil && m.Key == expr.MetaKeyIIFNAME {
			out = append(out, strings.TrimRight(string(c.Data), "\x00")+"*")
		}
	}
	return out
}

func title(family nftables.TableFamily) string { return familyName(family) + " " + TableName }

func familyName(family nftables.TableFamily) string {
	switch family {
	case nftables.TableFamilyBridge:
		return "bridge"
	case nftables.TableFamilyINet:
		return "inet"
	case nftables.TableFamilyARP:
		return "arp"
	default:
		return fmt.Sprintf("family-%d", family)
	}
}
