package ipam

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

// wish is one NIC as it is wanted and as it was; one of the two may be nil.
type wish struct {
	path     string // of its fields, in a request
	old, now *fleet.NIC
	network  *fleet.Network
	asked    []string // pools and addresses
	got      []netip.Addr
	kept     int          // how many of got it has already
	fresh    []netip.Addr // of got: those that it gets now
	hostname string
}

func (w *wish) owner() string { return ownerNIC + w.now.Name }

// moved reports whether nothing of the old grant can stay.
func (w *wish) moved() bool { return w.old == nil || w.now == nil || w.old.Network != w.now.Network }

func (d *draft) putNIC(now *fleet.NIC) {
	old := d.s.NIC(now.Name)
	now.Request = ""
	if old != nil {
		now.Request = old.Request
	}
	d.change([]*wish{{old: old, now: now}})
}

func (d *draft) deleteNIC(old *fleet.NIC) {
	if r := get[*fleet.Request](d.s, fleet.KindRequest, old.Request); r != nil {
		d.refuse(Conflict, "", "", "in-use", "came with request %s: delete that, or take the NIC out of it", old.Request)
		return
	}
	d.change([]*wish{{old: old}})
}

// change takes NICs from what they were to what is wanted: first everything
// is given back that is not needed any more, then what is new is taken, so
// that one may get what another leaves.
func (d *draft) change(list []*wish) {
	before := len(d.refused)
	d.need(fleet.PolicyEpochKey, d.s.plain[fleet.PolicyEpochKey])
	for _, w := range list {
		d.at(w, func() { d.plan(w) })
	}
	if len(d.refused) > before {
		return
	}
	list = slices.DeleteFunc(list, (*wish).unchanged)
	for _, w := range list {
		d.giveBack(w)
	}
	for _, w := range list {
		if w.now != nil {
			d.at(w, func() { d.take(w) })
		}
	}
	if len(d.refused) > before {
		return
	}
	for _, w := range list {
		d.keep(w)
	}
	for _, w := range list {
		if w.now != nil {
			d.at(w, func() { d.checkDocuments(w.now) })
		}
	}
}

// at has refusals name the NIC's fields.
func (d *draft) at(w *wish, decide func()) {
	old := d.prefix
	d.prefix = w.path
	decide()
	d.prefix = old
}

// plan holds a wish to what there is, and finds what it has already.
func (d *draft) plan(w *wish) {
	if w.old != nil {
		d.needResource(fleet.KindNIC, w.old.Name)
		d.needUnder(fleet.ResourcesKey(fleet.KindFailover))
	}
	if w.now == nil {
		d.planEnd(w.old)
		return
	}
	d.needResource(fleet.KindNIC, w.now.Name)
	w.now.Granted, w.now.Migration = nil, nil
	if w.old != nil && w.old.Project != w.now.Project {
		d.refuse(Conflict, "project", w.now.Project, "another-project", "the NIC is project %s's; it does not change hands", w.old.Project)
		return
	}
	w.network = d.open(w.now.Project, w.now.Network)
	if w.network == nil {
		return
	}
	d.place(w)
	if w.old != nil && w.moved() {
		d.notInFailover(w.old, "network")
	}
	d.planAddresses(w)
}

// planEnd refuses to end what others count on.
func (d *draft) planEnd(old *fleet.NIC) { d.notInFailover(old, "") }

func (d *draft) notInFailover(n *fleet.NIC, field string) {
	for _, f := range d.s.failovers(n.Name) {
		d.refuse(Conflict, field, "", "in-use", "NIC %s is a member of fail-over %s: take it out first", n.Name, f.Name)
	}
}

// failovers are the groups that a NIC is a member of, by name.
func (s *State) failovers(nic string) []*fleet.Failover { return s.groups[nic] }

// open returns the network, if it is there and open to the project.
func (d *draft) open(project, network string) *fleet.Network {
	d.needResource(fleet.KindProject, project)
	d.needResource(fleet.KindNetwork, network)
	if d.s.Get(fleet.KindProject, project) == nil {
		d.refuse(NotFound, "project", project, "no-such", "there is no such project")
		return nil
	}
	net := get[*fleet.Network](d.s, fleet.KindNetwork, network)
	switch {
	case net == nil:
		d.refuse(NotFound, "network", network, "no-such", "there is no such network")
		return nil
	case !slices.Contains(net.Projects, "*") && !slices.Contains(net.Projects, project):
		d.refuse(Denied, "network", network, "network-closed", "not open to project %s: its projects are %s", project, listed(net.Projects))
		return nil
	}
	return net
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// place holds the NIC's node to what it can serve.
func (d *draft) place(w *wish) {
	now, old := w.now, w.old
	if old != nil && old.Migration != nil {
		now.Migration = old.Migration
		if now.Node != old.Node {
			d.refuse(Conflict, "node", now.Node, "migrating", "is being migrated from %s to %s: complete or abort that", old.Migration.From, old.Migration.To)
		}
		if now.Network != old.Network {
			d.refuse(Conflict, "network", now.Network, "migrating", "is being migrated")
		}
	}
	if now.Node == "" {
		return
	}
	stays := old != nil && old.Node == now.Node
	d.serves("node", now.Node, now.Network, stays)
	if old == nil || old.Node == "" || stays || d.opt.Force || d.opt.InForce != nil && !d.opt.InForce(old.Node, old.Name) {
		return
	}
	d.refuse(Conflict, "node", now.Node, "in-force-elsewhere", "the NIC is in force on node %s: migrate it", old.Node)
}

// serves holds a node to the network, and to being open to what is new.
func (d *draft) serves(field, name, network string, stays bool) {
	d.needResource(fleet.KindNode, name)
	node := get[*fleet.Node](d.s, fleet.KindNode, name)
	switch {
	case node == nil:
		d.refuse(NotFound, field, name, "no-such", "there is no such node")
	case !stays && node.State != fleet.NodeEnabled && node.State != "":
		d.refuse(Conflict, field, name, "node-closed", "the node is %s: it gets no new NICs", node.State)
	case !reaches(node, network):
		d.refuse(Conflict, field, name, "network-not-served", "the node does not serve network %s: its networks are %s", network, listed(node.Networks))
	}
}

func reaches(n *fleet.Node, network string) bool {
	return len(n.Networks) == 0 || slices.Contains(n.Networks, "*") || slices.Contains(n.Networks, network)
}

// unchanged reports whether a NIC has all that is wanted.
func (w *wish) unchanged() bool {
	if w.old == nil || w.now == nil || w.moved() || w.old.Granted == nil || len(w.asked) > w.kept {
		return false
	}
	now := *w.now
	now.Granted = w.old.Granted
	return same(&now, w.old)
}

// giveBack releases what a NIC has and will not have.
func (d *draft) giveBack(w *wish) {
	old := w.old
	if old == nil || old.Granted == nil {
		return
	}
	u := d.account(old.Project)
	for _, p := range old.Granted.Addresses {
		if w.moved() || !slices.Contains(w.got, p.Addr()) {
			d.release(old, p.Addr())
			countAddress(u, p.Addr(), -1)
		}
	}
	if w.now == nil {
		u.NICs--
	}
	at := station{old.Network, old.Granted.MAC}
	if w.moved() || w.now.MAC != nil && *w.now.MAC != at.mac || w.now.MAC == nil && old.MAC != nil {
		d.releaseMAC(at, old, w.moved())
	}
	for _, node := range nodesOf(old) {
		d.ports[port{node, old.Interface}] = ""
	}
	for _, p := range prefixesOf(old) {
		d.blocks[block{old.Network, p}] = ""
	}
	d.nics[old.Name] = nil
	d.machine(old)
}

// nodesOf are the nodes that have a document of a NIC.
func nodesOf(n *fleet.NIC) []string {
	switch {
	case n.Migration != nil:
		return []string{n.Migration.From, n.Migration.To}
	case n.Node != "":
		return []string{n.Node}
	}
	return nil
}

func countAddress(u *fleet.Usage, a netip.Addr, n int) {
	if a.Is4() {
		u.Addresses4 += n
	} else {
		u.Addresses6 += n
	}
}

// release gives an address back: it is held from other projects for a while,
// and keeps its generated MAC for good.
func (d *draft) release(n *fleet.NIC, a netip.Addr) {
	c := fleet.Claim{Network: n.Network, Address: a.String(), Project: n.Project}
	if net := get[*fleet.Network](d.s, fleet.KindNetwork, n.Network); net != nil && net.Hold > 0 {
		c.Until = d.opt.Now.Add(durationOf(net.Hold))
	}
	if n.MAC == nil {
		mac := n.Granted.MAC
		c.MAC = &mac
	}
	d.addresses[spot{n.Network, a}] = &c
	if c.Until.IsZero() && c.MAC == nil {
		d.addresses[spot{n.Network, a}] = nil
	}
}

// releaseMAC gives a MAC back: a generated one whose addresses are given back
// too is kept for them, so that nobody else's is generated the same.
func (d *draft) releaseMAC(at station, n *fleet.NIC, withAddresses bool) {
	if withAddresses && n.MAC == nil && len(n.Granted.Addresses) > 0 {
		nobody := ""
		d.macs[at] = &nobody
		return
	}
	d.macs[at] = nil
}

// machine notes that the NICs of a NIC's machine change.
func (d *draft) machine(n *fleet.NIC) {
	d.account(n.Project)
	if n.VM != "" {
		d.machines[n.Project+"/"+n.VM] = true
	}
}

// take claims all that a NIC wants and does not have.
func (d *draft) take(w *wish) {
	now := w.now
	u := d.account(now.Project)
	if w.old == nil {
		u.NICs++
	}
	d.takePorts(now)
	d.takePrefixes(w)
	for i, a := range w.got {
		if a.IsValid() {
			continue
		}
		w.got[i] = d.takeAddress(w, i)
		if w.got[i].IsValid() {
			countAddress(u, w.got[i], 1)
			w.fresh = append(w.fresh, w.got[i])
		}
	}
	if slices.ContainsFunc(w.got, func(a netip.Addr) bool { return !a.IsValid() }) {
		return // said already
	}
	mac, ok := d.chooseMAC(w)
	if !ok {
		return
	}
	now.Granted = &fleet.Granted{MAC: mac, Hostname: d.chooseHostname(w)}
	for _, a := range w.got {
		now.Granted.Addresses = append(now.Granted.Addresses, prefixOf(w.network, a))
	}
	owner := w.owner()
	d.macs[station{now.Network, mac}] = &owner
	d.nics[now.Name] = now
	d.machine(now)
	d.claimAddresses(w)
}

// takePorts claims the interface on each node that has the NIC.
func (d *draft) takePorts(n *fleet.NIC) {
	for _, node := range nodesOf(n) {
		d.takePort("interface", port{node, n.Interface}, ownerNIC+n.Name)
	}
}

func (d *draft) takePort(field string, at port, owner string) {
	if holder := d.occupant(at); holder != "" && holder != owner {
		d.refuse(Conflict, field, at.name, "interface-taken", "is %s's on node %s", spoken(holder), at.node)
		return
	}
	d.ports[at] = owner
}

// spoken is an owner for people: "NIC web-1".
func spoken(owner string) string {
	if name, ok := strings.CutPrefix(owner, ownerNIC); ok {
		return "NIC " + name
	}
	return "fail-over " + strings.TrimPrefix(owner, ownerFailover)
}

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
			d.refuse(Invalid, "binding", p.String(), "outside-network", "in none of the prefixes of network %s", w.now.Network)
			continue
		}
		d.needRange(fleet.AddressesKey(w.now.Network), p)
		d.needUnder(fleet.PrefixesKey(w.now.Network))
		if what, who, taken := sp.within(p, w.owner()); taken && !d.givenUp(w.now.Network, what) {
			d.refuse(Conflict, "binding", p.String(), "prefix-taken", "%s in it is %s's", what, spoken(who.owner))
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
			d.refuse(Conflict, "binding", p.String(), "prefix-taken", "%s is %s's", at.prefix, spoken(owner))
		}
	}
	for at, c := range d.addresses {
		if at.network == w.now.Network && c != nil && c.Owner != "" && c.Owner != w.owner() && p.Contains(at.address) {
			d.refuse(Conflict, "binding", p.String(), "prefix-taken", "%s in it is %s's", at.address, spoken(c.Owner))
		}
	}
}

// keep writes down what was decided.
func (d *draft) keep(w *wish) {
	if w.now == nil {
		d.remove(w.old)
		return
	}
	d.write(w.now)
}

// settle counts machines and holds each project to its quota.
func (d *draft) settle() {
	for _, key := range sortedKeys(d.machines) {
		project, vm, _ := strings.Cut(key, "/")
		was, is := 0, 0
		if p := d.s.projects[project]; p != nil {
			was = len(p.vms[vm])
		}
		is = len(d.machineNICs(project, vm))
		switch u := d.account(project); {
		case was == 0 && is > 0:
			u.VMs++
		case was > 0 && is == 0:
			u.VMs--
		}
	}
	for _, name := range sortedKeys(d.usage) {
		d.holdToQuota(name, d.usage[name])
	}
}

// machineNICs are the NICs of a machine as this decision leaves them.
func (d *draft) machineNICs(project, vm string) []*fleet.NIC {
	var out []*fleet.NIC
	if p := d.s.projects[project]; p != nil {
		for _, n := range p.vms[vm] {
			if _, changed := d.nics[n.Name]; !changed {
				out = append(out, n)
			}
		}
	}
	for _, n := range d.nics {
		if n != nil && n.Project == project && n.VM == vm {
			out = append(out, n)
		}
	}
	return out
}

func (d *draft) holdToQuota(name string, u *fleet.Usage) {
	p := get[*fleet.Project](d.s, fleet.KindProject, name)
	if p == nil {
		return
	}
	was := d.s.Usage(name)
	for _, q := range []struct {
		what    string
		limit   *int
		was, is int
	}{
		{"vms", p.Quota.VMs, was.VMs, u.VMs},
		{"nics", p.Quota.NICs, was.NICs, u.NICs},
		{"addresses4", p.Quota.Addresses4, was.Addresses4, u.Addresses4},
		{"addresses6", p.Quota.Addresses6, was.Addresses6, u.Addresses6},
	} {
		if q.limit != nil && q.is > *q.limit && q.is > q.was {
			d.refuse(Quota, "", fmt.Sprint(q.is), "quota."+q.what, "project %s may have %d %s; it has %d and would have %d", name, *q.limit, q.what, q.was, q.is)
		}
	}
}

// chooseMAC is the MAC that was asked for, or the NIC's so far, or what comes
// with its new addresses, or a new one.
func (d *draft) chooseMAC(w *wish) (nic.MAC, bool) {
	now, old := w.now, w.old
	switch {
	case now.MAC != nil:
		return *now.MAC, d.freeMAC(w, "mac", *now.MAC)
	case old != nil && !w.moved() && old.MAC == nil && old.Granted != nil:
		return old.Granted.MAC, d.freeMAC(w, "vm", old.Granted.MAC)
	}
	for _, a := range w.fresh {
		if f := d.s.fixed(now.Network, a); f != nil && f.MAC != nil {
			return *f.MAC, d.freeMAC(w, "addresses", *f.MAC)
		}
	}
	for _, a := range w.got {
		if c := d.claim(spot{now.Network, a}); c != nil && c.MAC != nil && d.unused(w, *c.MAC) {
			return *c.MAC, true
		}
	}
	return d.generate(w)
}

// chooseHostname is what was asked for, or what comes with an address.
func (d *draft) chooseHostname(w *wish) string {
	if w.now.Hostname != "" || w.hostname != "" {
		return cmp.Or(w.now.Hostname, w.hostname)
	}
	for _, a := range w.got {
		if f := d.s.fixed(w.now.Network, a); f != nil && f.Hostname != "" {
			return f.Hostname
		}
	}
	return ""
}

// unused reports whether a NIC can have a MAC: it is nobody else's in the
// network, and no other NIC of the same machine has it.
func (d *draft) unused(w *wish, m nic.MAC) bool {
	holder := d.holder(station{w.now.Network, m})
	return (holder == "" || holder == w.owner()) && d.twin(w.now, m) == ""
}

// twin is the NIC of the same machine that has a MAC, "" if none: what groups
// NICs on a node needs them apart.
func (d *draft) twin(n *fleet.NIC, m nic.MAC) string {
	if n.VM == "" {
		return ""
	}
	for _, o := range d.machineNICs(n.Project, n.VM) {
		if o.Name != n.Name && o.Granted != nil && o.Granted.MAC == m {
			return o.Name
		}
	}
	return ""
}

func (d *draft) freeMAC(w *wish, field string, m nic.MAC) bool {
	if holder := d.holder(station{w.now.Network, m}); holder != "" && holder != w.owner() {
		d.refuse(Conflict, field, m.String(), "mac-taken", "the MAC is %s's in network %s", spoken(holder), w.now.Network)
		return false
	}
	if twin := d.twin(w.now, m); twin != "" {
		d.refuse(Conflict, field, m.String(), "mac-taken", "the MAC is NIC %s's of the same machine", twin)
		return false
	}
	return true
}

// generate makes a MAC that nobody has and that is kept for no address: at
// random, and where there are few to choose from by trying them all.
func (d *draft) generate(w *wish) (nic.MAC, bool) {
	const tries = 64
	begin, err := fleet.ParseMACPrefix(w.network.MACPrefix)
	if err != nil {
		d.refuse(Invalid, "network", w.network.Name, "mac-prefix", "its mac-prefix: %v", err)
		return nic.MAC{}, false
	}
	bits := 8 * (len(nic.MAC{}) - len(begin))
	start := d.opt.Entropy()
	count := uint64(tries)
	if bits <= 16 {
		count = 1 << bits
	}
	for i := range count {
		n := start + i
		if bits > 16 && i > 0 {
			n = d.opt.Entropy()
		}
		var m nic.MAC
		for j := range m {
			m[j] = byte(n >> (8 * (len(m) - 1 - j)))
		}
		copy(m[:], begin)
		_, known := d.s.look(w.now.Network).macs[m]
		_, here := d.macs[station{w.now.Network, m}]
		if !known && !here && m != nic.BerthMAC() && d.twin(w.now, m) == "" {
			return m, true
		}
	}
	d.refuse(Exhausted, "mac", w.network.MACPrefix, "mac-exhausted", "no free MAC found that begins with the mac-prefix of network %s", w.network.Name)
	return nic.MAC{}, false
}
