package ipam

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
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
		d.refuse(Conflict.by("in-use"), "", "", "came with request %s: delete that, or take the NIC out of it", old.Request)
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
		d.refuse(Conflict.by("another-project"), "project", w.now.Project, "the NIC is project %s's; it does not change hands", w.old.Project)
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
		d.refuse(Conflict.by("in-use"), field, "", "NIC %s is a member of fail-over %s: take it out first", n.Name, f.Name)
	}
}

// failovers are the groups that a NIC is a member of, by name.
func (s *State) failovers(nic string) []*fleet.Failover { return s.groups[nic] }

// open returns the network, if it is there and open to the project.
func (d *draft) open(project, network string) *fleet.Network {
	d.needResource(fleet.KindProject, project)
	d.needResource(fleet.KindNetwork, network)
	if d.s.Get(fleet.KindProject, project) == nil {
		d.refuse(NotFound.by("no-such"), "project", project, "there is no such project")
		return nil
	}
	net := get[*fleet.Network](d.s, fleet.KindNetwork, network)
	switch {
	case net == nil:
		d.refuse(NotFound.by("no-such"), "network", network, "there is no such network")
		return nil
	case !slices.Contains(net.Projects, "*") && !slices.Contains(net.Projects, project):
		d.refuse(Denied.by("network-closed"), "network", network, "not open to project %s: its projects are %s", project, listed(net.Projects))
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
			d.refuse(Conflict.by("migrating"), "node", now.Node, "is being migrated from %s to %s: complete or abort that", old.Migration.From, old.Migration.To)
		}
		if now.Network != old.Network {
			d.refuse(Conflict.by("migrating"), "network", now.Network, "is being migrated")
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
	d.refuse(Conflict.by("in-force-elsewhere"), "node", now.Node, "the NIC is in force on node %s: migrate it", old.Node)
}

// serves holds a node to the network, and to being open to what is new.
func (d *draft) serves(field, name, network string, stays bool) {
	d.needResource(fleet.KindNode, name)
	node := get[*fleet.Node](d.s, fleet.KindNode, name)
	switch {
	case node == nil:
		d.refuse(NotFound.by("no-such"), field, name, "there is no such node")
	case !stays && node.State != fleet.NodeEnabled && node.State != "":
		d.refuse(Conflict.by("node-closed"), field, name, "the node is %s: it gets no new NICs", node.State)
	case !node.Serves(network):
		d.refuse(Conflict.by("network-not-served"), field, name, "the node does not serve network %s: its networks are %s", network, listed(node.Networks))
	}
}

// unchanged reports whether a NIC has all that is wanted.
func (w *wish) unchanged() bool {
	if w.old == nil || w.now == nil || w.moved() || w.old.Granted == nil || len(w.asked) > w.kept {
		return false
	}
	for _, p := range w.old.Granted.Addresses {
		if prefixOf(w.network, p.Addr()) != p {
			return false // the network's prefix has another length since
		}
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
	if d.opt.Enrolled != nil && d.opt.Enrolled(n.Node) {
		c.Awaits = n.Node
	}
	d.addresses[spot{n.Network, a}] = &c
	if !c.Held(d.opt.Now) && c.MAC == nil {
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
		d.refuse(Conflict.by("interface-taken"), field, at.name, "is %s's on node %s", d.told(holder), at.node)
		return
	}
	d.ports[at] = owner
}

// told is an owner for whoever asks: not by name if it is none of theirs.
func (d *draft) told(owner string) string {
	if d.opt.Sees != nil && !d.opt.Sees(d.projectOf(owner)) {
		return "another project"
	}
	return spoken(owner)
}

// projectOf is whose an owner is; "" if that is not known.
func (d *draft) projectOf(owner string) string {
	if name, ok := strings.CutPrefix(owner, ownerNIC); ok {
		if n := d.nics[name]; n != nil {
			return n.Project
		}
		if n := d.s.NIC(name); n != nil {
			return n.Project
		}
	}
	name, _ := strings.CutPrefix(owner, ownerFailover)
	if f := get[*fleet.Failover](d.s, fleet.KindFailover, name); f != nil {
		return f.Project
	}
	return ""
}

// spoken is an owner for people: "NIC web-1".
func spoken(owner string) string {
	if name, ok := strings.CutPrefix(owner, ownerNIC); ok {
		return "NIC " + name
	}
	return "fail-over " + strings.TrimPrefix(owner, ownerFailover)
}

// keep writes down what was decided.
func (d *draft) keep(w *wish) {
	if w.now == nil {
		d.remove(w.old)
		return
	}
	d.write(w.now)
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
