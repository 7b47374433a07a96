package ipam

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

func (d *draft) putFailover(now *fleet.Failover) {
	d.need(fleet.PolicyEpochKey, d.s.plain[fleet.PolicyEpochKey])
	old := get[*fleet.Failover](d.s, fleet.KindFailover, now.Name)
	d.needResource(fleet.KindFailover, now.Name)
	d.needUnder(fleet.ResourcesKey(fleet.KindPool))
	now.Granted = nil
	if old != nil && (old.Project != now.Project || old.Network != now.Network) {
		d.refuse(Conflict.by("another-network"), "network", now.Network, "a fail-over stays in its project and network: delete it and make another")
		return
	}
	net := d.open(now.Project, now.Network)
	if net == nil || !d.members(now) {
		return
	}
	if !d.grantShared(now, old, net) || old != nil && same(now, old) {
		return
	}
	d.claimVRID(now, old)
	if len(d.refused) > 0 || !d.write(now) {
		return
	}
	d.account(now.Project)
	for i, name := range now.Members {
		d.checkDocument(at("members", i), d.s.NIC(name), d.sharesOf(name, now))
	}
}

// members holds the members to be NICs of the same project and network.
func (d *draft) members(f *fleet.Failover) bool {
	before := len(d.refused)
	for i, name := range f.Members {
		d.needResource(fleet.KindNIC, name)
		switch n := d.s.NIC(name); {
		case n == nil || n.Project != f.Project:
			d.refuse(NotFound.by("no-such"), at("members", i), name, "project %s has no such NIC", f.Project)
		case n.Network != f.Network:
			d.refuse(Invalid.by("another-network"), at("members", i), name, "the NIC is in network %s", n.Network)
		}
	}
	return len(d.refused) == before
}

// sharesOf are the fail-overs of a NIC with one of them as it will be.
func (d *draft) sharesOf(name string, now *fleet.Failover) []*fleet.Failover {
	out := slices.DeleteFunc(slices.Clone(d.s.failovers(name)), func(f *fleet.Failover) bool { return f.Name == now.Name })
	return append(out, now)
}

// grantShared claims the addresses and gives back those not asked for now.
func (d *draft) grantShared(now, old *fleet.Failover, net *fleet.Network) bool {
	got := make([]netip.Addr, len(now.Addresses))
	if old != nil {
		d.match(now.Network, now.Addresses, slices.Clone(old.Granted), got)
		d.giveBackShared(old, got)
	}
	for i, s := range now.Addresses {
		if got[i].IsValid() {
			continue
		}
		who := claimant{ownerFailover + now.Name, now.Project, "", net, at("addresses", i)}
		if a, err := netip.ParseAddr(s); err == nil {
			got[i] = d.takeExact(who, a, got)
		} else {
			got[i] = d.draw(who, s)
		}
		if !got[i].IsValid() {
			return false
		}
		countAddress(d.account(now.Project), got[i], 1)
	}
	now.Granted = got
	return true
}

// giveBackShared releases addresses that are not kept.
func (d *draft) giveBackShared(old *fleet.Failover, kept []netip.Addr) {
	for _, a := range old.Granted {
		if slices.Contains(kept, a) {
			continue
		}
		d.releaseShared(old, a)
		countAddress(d.account(old.Project), a, -1)
	}
}

// releaseShared is release for an address that no MAC is kept with but its own.
func (d *draft) releaseShared(f *fleet.Failover, a netip.Addr) {
	c := fleet.Claim{Network: f.Network, Address: a.String(), Project: f.Project}
	if was, ok := d.s.Claim(f.Network, a); ok {
		c.MAC = was.MAC
	}
	if net := get[*fleet.Network](d.s, fleet.KindNetwork, f.Network); net != nil && net.Hold > 0 {
		c.Until = d.opt.Now.Add(durationOf(net.Hold))
	}
	d.addresses[spot{f.Network, a}] = &c
	if c.Until.IsZero() && c.MAC == nil {
		d.addresses[spot{f.Network, a}] = nil
	}
}

// claimVRID claims the MACs of the virtual router (RFC 9568 section 7.3).
func (d *draft) claimVRID(now, old *fleet.Failover) {
	if old != nil {
		for _, m := range virtual(old) {
			d.macs[station{old.Network, m}] = nil
		}
	}
	if now == nil {
		return
	}
	owner := ownerFailover + now.Name
	for _, m := range virtual(now) {
		if holder := d.holder(station{now.Network, m}); holder != "" && holder != owner {
			d.refuse(Conflict.by("vrid-taken"), "vrid", "", "its MAC %s is %s's in network %s", m, d.told(holder), now.Network)
			continue
		}
		d.macs[station{now.Network, m}] = &owner
	}
}

func virtual(f *fleet.Failover) []nic.MAC {
	s := nic.Shared{Addresses: f.Granted, VRID: f.VRID}
	return s.VirtualMACs()
}

func (d *draft) deleteFailover(old *fleet.Failover) {
	d.need(fleet.PolicyEpochKey, d.s.plain[fleet.PolicyEpochKey])
	d.giveBackShared(old, nil)
	d.claimVRID(nil, old)
	d.account(old.Project)
	d.remove(old)
}

func (d *draft) putRequest(now *fleet.Request) {
	old := get[*fleet.Request](d.s, fleet.KindRequest, now.Name)
	d.needResource(fleet.KindRequest, now.Name)
	if old != nil && old.Project != now.Project {
		d.refuse(Conflict.by("another-project"), "project", now.Project, "the request is project %s's; it does not change hands", old.Project)
		return
	}
	d.needResource(fleet.KindProject, now.Project)
	if d.s.Get(fleet.KindProject, now.Project) == nil {
		d.refuse(NotFound.by("no-such"), "project", now.Project, "there is no such project")
		return
	}
	list, wanted := d.wishes(now, old)
	for _, n := range d.cameWith(old) {
		if !wanted[n.Name] {
			list = append(list, &wish{old: n})
		}
	}
	d.change(list)
	if len(d.refused) > 0 {
		return
	}
	if d.write(now) {
		d.account(now.Project)
	}
}

// wishes are the NICs of a request that are asked for in another way than
// before, and the names of all.
func (d *draft) wishes(now, old *fleet.Request) (list []*wish, all map[string]bool) {
	before, all := map[string]*fleet.NIC{}, map[string]bool{}
	if old != nil {
		for i := range old.VMs {
			for j := range old.VMs[i].NICs {
				n := &old.VMs[i].NICs[j]
				before[n.Name] = n
			}
		}
	}
	for i := range now.VMs {
		for j := range now.VMs[i].NICs {
			asked, path := &now.VMs[i].NICs[j], at(at("vms", i)+".nics", j)+"."
			all[asked.Name] = true
			have := d.s.NIC(asked.Name)
			if have != nil && have.Request != now.Name {
				d.needResource(fleet.KindNIC, asked.Name)
				d.refuse(Conflict.by("name-taken"), path+"name", asked.Name, "there is a NIC of this name that did not come with this request")
				continue
			}
			if had := before[asked.Name]; have != nil && had != nil && same(asked, had) {
				continue
			}
			one := *asked
			one.Head = fleet.Head{Kind: fleet.KindNIC, Name: asked.Name}
			one.Request = now.Name
			list = append(list, &wish{path: path, old: have, now: &one})
		}
	}
	return list, all
}

// cameWith are the NICs that came with a request.
func (d *draft) cameWith(r *fleet.Request) []*fleet.NIC {
	var out []*fleet.NIC
	if r == nil {
		return nil
	}
	for i := range r.VMs {
		for j := range r.VMs[i].NICs {
			if n := d.s.NIC(r.VMs[i].NICs[j].Name); n != nil && n.Request == r.Name {
				out = append(out, n)
			}
		}
	}
	return out
}

func (d *draft) deleteRequest(old *fleet.Request) {
	var list []*wish
	for _, n := range d.cameWith(old) {
		list = append(list, &wish{old: n})
	}
	d.change(list)
	d.account(old.Project)
	d.remove(old)
}
