package ipam

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
)

func (d *draft) putNetwork(now *fleet.Network) {
	m := newModel(now, d.s.duid)
	for _, p := range m.problems {
		d.refuse(Invalid.by("format"), strings.TrimSuffix("defaults."+p.Field, "."), p.Value, "%s", p.Text)
	}
	old := get[*fleet.Network](d.s, fleet.KindNetwork, now.Name)
	d.apart(now)
	if old != nil && len(d.refused) == 0 && !bytes.Equal(shape(now), shape(old)) {
		d.stillServes(now, m)
	}
	d.write(now)
}

// shape is what of a network its NICs' documents are made with.
func shape(n *fleet.Network) []byte {
	return mustJSON([]any{n.Prefixes, n.Defaults, n.Transparent})
}

// apart refuses prefixes that another network has, unless one of the two is
// isolated.
func (d *draft) apart(now *fleet.Network) {
	d.needUnder(fleet.ResourcesKey(fleet.KindNetwork))
	if now.Isolated {
		return
	}
	for _, name := range sortedKeys(d.s.resources[fleet.KindNetwork]) {
		other := get[*fleet.Network](d.s, fleet.KindNetwork, name)
		if name == now.Name || other.Isolated {
			continue
		}
		for i, p := range now.Prefixes {
			if j := slices.IndexFunc(other.Prefixes, p.Overlaps); j >= 0 {
				d.refuse(Conflict.by("prefix-overlaps"), at("prefixes", i), p.String(), "overlaps %s of network %s; isolated networks may", other.Prefixes[j], name)
			}
		}
	}
}

// stillServes holds a changed network to what is in it: pools, addresses, and
// the documents of its NICs.
func (d *draft) stillServes(now *fleet.Network, m *model) {
	d.needAllOf(now.Name)
	for _, p := range d.s.pools[now.Name] {
		for _, r := range p.Ranges {
			if !inOne(now, r) {
				d.refuse(Conflict.by("in-use"), "prefixes", "", "pool %s has %s, which would be in no prefix", p.Name, r)
			}
		}
	}
	sp := d.s.look(now.Name)
	var lost users
	for n, h := range sp.addresses {
		if h.owner != "" && !prefixOf(now, n.addr()).IsValid() {
			lost = append(lost, user{n, h.owner})
		}
	}
	if len(lost) > 0 {
		d.refuse(Conflict.by("in-use"), "prefixes", "", "would lie in no prefix: %s", lost)
	}
	d.gatewaysShared(m)
	for p, who := range sp.prefixes {
		if !slices.ContainsFunc(now.Prefixes, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Overlaps(p) }) {
			d.refuse(Conflict.by("in-use"), "prefixes", p.String(), "is %s's, and would lie in no prefix", spoken(who.owner))
		}
	}
	if len(d.refused) == 0 {
		d.checkAll(now, m)
	}
}

// gatewaysShared refuses a gateway that a fail-over has, which may have no
// member yet whose document would tell.
func (d *draft) gatewaysShared(m *model) {
	for _, key := range []string{"gateway", "gateway6"} {
		a, ok := m.gateway(key)
		if !ok {
			continue
		}
		if owner := d.s.look(m.network.Name).addresses[number(a)].owner; strings.HasPrefix(owner, ownerFailover) {
			d.refuse(Conflict.by("in-use"), "defaults."+key, a.String(), "is %s's", spoken(owner))
		}
	}
}

// needAllOf holds the change to all that is known of a network's NICs.
func (d *draft) needAllOf(network string) {
	d.needUnder(fleet.AddressesKey(network))
	d.needUnder(fleet.MACsKey(network))
	d.needUnder(fleet.PrefixesKey(network))
	d.needUnder(fleet.ResourcesKey(fleet.KindPool))
	d.needUnder(fleet.ResourcesKey(fleet.KindFailover))
}

func inOne(n *fleet.Network, r fleet.Range) bool {
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Contains(r.First) && p.Contains(r.Last) })
}

func (d *draft) deleteNetwork(old *fleet.Network) {
	d.needAllOf(old.Name)
	for _, p := range d.s.pools[old.Name] {
		d.refuse(Conflict.by("in-use"), "", "", "pool %s is of this network", p.Name)
	}
	seen := map[string]bool{}
	for _, who := range d.s.look(old.Name).macs {
		seen[who.owner] = true
	}
	for _, h := range d.s.look(old.Name).addresses {
		seen[h.owner] = true
	}
	delete(seen, "")
	if names := sortedKeys(seen); len(names) > 0 {
		d.refuse(Conflict.by("in-use"), "", "", "is used by %s", some(names, spoken))
	}
	d.remove(old)
	for _, all := range []string{fleet.AddressesKey(old.Name), fleet.MACsKey(old.Name), fleet.PrefixesKey(old.Name)} {
		d.deletes[all] = true
	}
	d.deletes[fleet.PrefixEpochKey(old.Name)] = true
}

// some lists the first few of what may be many.
func some(names []string, say func(string) string) string {
	const few = 3
	var out []string
	for i, n := range names {
		if i == few {
			out = append(out, fmt.Sprintf("and %d more", len(names)-few))
			break
		}
		out = append(out, say(n))
	}
	return strings.Join(out, ", ")
}

// user is who has an address.
type user struct {
	address u128
	owner   string
}

// users are those who have addresses.
type users []user

// String lists the first few in the order of addresses.
func (u users) String() string {
	slices.SortFunc(u, func(a, b user) int { return a.address.addr().Compare(b.address.addr()) })
	var out []string
	for _, one := range u {
		out = append(out, one.address.addr().String()+" of "+spoken(one.owner))
	}
	return some(out, func(s string) string { return s })
}

func (d *draft) putPool(now *fleet.Pool) {
	d.needResource(fleet.KindNetwork, now.Network)
	d.needUnder(fleet.ResourcesKey(fleet.KindPool))
	net := get[*fleet.Network](d.s, fleet.KindNetwork, now.Network)
	if net == nil {
		d.refuse(NotFound.by("no-such"), "network", now.Network, "there is no such network")
		return
	}
	for i, r := range now.Ranges {
		if !inOne(net, r) {
			d.refuse(Invalid.by("outside-network"), at("ranges", i), r.String(), "not wholly in one of the prefixes of network %s", net.Name)
		}
		for _, other := range d.s.pools[now.Network] {
			if j := slices.IndexFunc(other.Ranges, r.Overlaps); j >= 0 && other.Name != now.Name {
				d.refuse(Conflict.by("pool-overlaps"), at("ranges", i), r.String(), "overlaps %s of pool %s", other.Ranges[j], other.Name)
			}
		}
	}
	if old := get[*fleet.Pool](d.s, fleet.KindPool, now.Name); old != nil {
		d.noneLeft("ranges", old, func(a netip.Addr) bool { return now.Network == old.Network && now.Contains(a) })
	}
	d.write(now)
}

// noneLeft refuses to take addresses out of a pool that are in use.
func (d *draft) noneLeft(field string, old *fleet.Pool, stays func(netip.Addr) bool) {
	if d.opt.Force {
		return
	}
	under := fleet.AddressesKey(old.Network)
	for _, r := range old.Ranges {
		if !stays(r.First) || !stays(r.Last) {
			d.needs[fleet.Need{Key: under + fleet.Hex(r.First), End: under + fleet.Hex(r.Last) + "~", Revision: d.s.revision}] = true
		}
	}
	var left users
	for n, h := range d.s.look(old.Network).addresses {
		if a := n.addr(); h.owner != "" && old.Contains(a) && !stays(a) {
			left = append(left, user{n, h.owner})
		}
	}
	if len(left) > 0 {
		d.refuse(Conflict.by("in-use"), field, "", "in use: %s", left)
	}
}

func (d *draft) deletePool(old *fleet.Pool) {
	d.noneLeft("", old, func(netip.Addr) bool { return false })
	d.remove(old)
}

func (d *draft) putNode(now *fleet.Node) {
	old := get[*fleet.Node](d.s, fleet.KindNode, now.Name)
	if old != nil && !slices.Equal(old.Networks, now.Networks) {
		d.needUnder(fleet.InterfacesKey(now.Name))
		for _, name := range d.s.NICs(now.Name) {
			if n := d.s.NIC(name); n != nil && !now.Serves(n.Network) {
				d.refuse(Conflict.by("in-use"), "networks", "", "NIC %s on this node is in network %s", name, n.Network)
			}
		}
	}
	d.write(now)
}

func (d *draft) deleteNode(old *fleet.Node) {
	d.needUnder(fleet.InterfacesKey(old.Name))
	if names := d.s.NICs(old.Name); len(names) > 0 {
		d.refuse(Conflict.by("in-use"), "", "", "has NICs: %s", some(names, func(s string) string { return s }))
	}
	for at := range d.s.awaiting[d.s.symbols[old.Name]] {
		d.withdrawn(at)
	}
	d.remove(old)
}

func (d *draft) deleteProject(old *fleet.Project) {
	usage := fleet.UsageKey(old.Name) // whoever changes what it has writes this too
	if p := d.s.projects[old.Name]; p != nil {
		d.need(usage, p.rev)
	} else {
		d.need(usage, 0)
	}
	d.deletes[usage] = true
	var has []string
	for _, kind := range []fleet.Kind{fleet.KindNIC, fleet.KindFailover, fleet.KindRequest} {
		for name, res := range d.s.resources[kind] {
			if projectOf(res) == old.Name {
				has = append(has, string(kind)+" "+name)
			}
		}
	}
	if slices.Sort(has); len(has) > 0 {
		d.refuse(Conflict.by("in-use"), "", "", "has %s", some(has, func(s string) string { return s }))
	}
	d.remove(old)
}

// projectOf is whose a resource is, "" for one of the site.
func projectOf(r fleet.Resource) string {
	switch v := r.(type) {
	case *fleet.NIC:
		return v.Project
	case *fleet.Failover:
		return v.Project
	case *fleet.Request:
		return v.Project
	}
	return ""
}

func (d *draft) putPolicy(now *fleet.Policy) {
	if d.write(now) {
		d.policyChanged()
	}
}

// policyChanged has all fail that were decided on by the policies of before.
func (d *draft) policyChanged() {
	d.need(fleet.PolicyEpochKey, d.s.plain[fleet.PolicyEpochKey])
	d.put(fleet.PolicyEpochKey, d.opt.Now)
}
