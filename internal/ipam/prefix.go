package ipam

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/fleet"
)

// prefixesOf are the whole prefixes that a NIC's binding asks for. What is no
// prefix is told when the document is made.
func prefixesOf(n *fleet.NIC) []netip.Prefix {
	var out []netip.Prefix
	for _, key := range []string{"slaac", "delegated"} {
		list, _ := n.Binding[key].([]any)
		for _, v := range list {
			if p, err := netip.ParsePrefix(fmt.Sprint(v)); err == nil && p.Addr().Is6() {
				out = append(out, p.Masked())
			}
		}
	}
	return out
}

// takePrefixes claims prefixes that are wholly the NIC's: they lie in the
// network's, and nobody else has anything in them.
func (d *draft) takePrefixes(w *wish) {
	sp := d.s.look(w.now.Network)
	for _, p := range prefixesOf(w.now) {
		at := block{w.now.Network, p}
		if d.blocks[at] = w.owner(); w.old != nil && slices.Contains(prefixesOf(w.old), p) && !w.moved() {
			continue
		}
		if !slices.ContainsFunc(w.network.Prefixes, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Overlaps(p) }) {
			d.refuse(Invalid.by("outside-network"), "binding", p.String(), "in none of the prefixes of network %s", w.now.Network)
			continue
		}
		d.needRange(fleet.AddressesKey(w.now.Network), p)
		d.needUnder(fleet.PrefixesKey(w.now.Network))
		if what, who, taken := sp.within(p, w.owner()); taken && !d.givenUp(w.now.Network, what) {
			d.refuse(Conflict.by("prefix-taken"), "binding", p.String(), "%s in it is %s's", what, d.told(who.owner))
		}
		d.notBoth(w, p)
	}
}

// needRange holds the change to what is known of a part of the addresses.
func (d *draft) needRange(under string, p netip.Prefix) {
	r := fleet.RangeOf(p)
	d.needs[fleet.Need{Key: under + fleet.Hex(r.First), End: under + fleet.Hex(r.Last) + "~", Revision: d.s.revision}] = true
}

// givenUp reports whether this decision takes something from whoever has it.
func (d *draft) givenUp(network, what string) bool {
	if p, err := netip.ParsePrefix(what); err == nil {
		owner, changed := d.blocks[block{network, p}]
		return changed && owner == ""
	}
	a, err := netip.ParseAddr(what)
	c, changed := d.addresses[spot{network, a}]
	return err == nil && changed && (c == nil || c.Owner == "")
}

// notBoth refuses what two NICs of one decision want.
func (d *draft) notBoth(w *wish, p netip.Prefix) {
	for at, owner := range d.blocks {
		if at.network == w.now.Network && owner != "" && owner != w.owner() && at.prefix.Overlaps(p) {
			d.refuse(Conflict.by("prefix-taken"), "binding", p.String(), "%s is %s's", at.prefix, d.told(owner))
		}
	}
	for at, c := range d.addresses {
		if at.network == w.now.Network && c != nil && c.Owner != "" && c.Owner != w.owner() && p.Contains(at.address) {
			d.refuse(Conflict.by("prefix-taken"), "binding", p.String(), "%s in it is %s's", at.address, d.told(c.Owner))
		}
	}
}
