package ipam

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func durationOf(d fleet.Duration) time.Duration { return time.Duration(d) }

func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// prefixOf is an address with the length of the network's prefix around it.
func prefixOf(n *fleet.Network, a netip.Addr) netip.Prefix {
	for _, p := range n.Prefixes {
		if p.Contains(a) {
			return netip.PrefixFrom(a, p.Bits())
		}
	}
	return netip.Prefix{}
}

// pool is a fleet.Pool whose entries are found by their address.
type pool struct {
	*fleet.Pool
	fixed map[netip.Addr]*fleet.Fixed
}

func newPool(p *fleet.Pool) *pool {
	out := &pool{p, make(map[netip.Addr]*fleet.Fixed, len(p.Fixed))}
	for i := range p.Fixed {
		out.fixed[p.Fixed[i].Address] = &p.Fixed[i]
	}
	return out
}

// fixed is what comes with an address, nil if nothing.
func (s *State) fixed(network string, a netip.Addr) *fleet.Fixed {
	for _, p := range s.pools[network] {
		if f := p.fixed[a]; f != nil {
			return f
		}
	}
	return nil
}

// may reports whether a project may draw from a pool.
func may(project string, p *fleet.Pool) bool {
	return len(p.Project) == 0 || slices.Contains(p.Project, project) || slices.Contains(p.Project, "*")
}

// planAddresses tells what a NIC asks for from what it has already. Addresses
// that it has and still asks for come first in no other order than asked.
func (d *draft) planAddresses(w *wish) {
	d.needUnder(fleet.ResourcesKey(fleet.KindPool))
	if !w.moved() && slices.Equal(w.old.Addresses, w.now.Addresses) && w.old.Granted != nil {
		for _, p := range w.old.Granted.Addresses {
			w.got = append(w.got, p.Addr())
		}
		w.kept = len(w.got)
		w.asked = make([]string, w.kept)
		d.planHostname(w)
		return
	}
	w.asked = w.now.Addresses
	if len(w.asked) == 0 {
		w.asked = d.defaultPools(w)
	}
	w.got = make([]netip.Addr, len(w.asked))
	d.reuse(w)
}

// reuse finds among a NIC's addresses those that it still asks for.
func (d *draft) reuse(w *wish) {
	if w.moved() || w.old.Granted == nil {
		return
	}
	var have []netip.Addr
	for _, p := range w.old.Granted.Addresses {
		have = append(have, p.Addr())
	}
	w.kept = d.match(w.now.Network, w.asked, have, w.got)
}

// match fills got with those of have that are still asked for, exact ones
// first, and returns how many.
func (d *draft) match(network string, asked []string, have, got []netip.Addr) (kept int) {
	take := func(i int, fits func(netip.Addr) bool) {
		if j := slices.IndexFunc(have, fits); j >= 0 {
			got[i] = have[j]
			have = slices.Delete(have, j, j+1)
			kept++
		}
	}
	for i, s := range asked {
		if a, err := netip.ParseAddr(s); err == nil {
			take(i, func(h netip.Addr) bool { return h == a })
		}
	}
	for i, s := range asked {
		if p := get[*fleet.Pool](d.s, fleet.KindPool, s); p != nil && p.Network == network {
			take(i, p.Contains)
		}
	}
	return kept
}

// planHostname keeps what a NIC is called as long as nothing else is asked.
func (d *draft) planHostname(w *wish) {
	if w.now.Hostname == w.old.Hostname {
		w.hostname = w.old.Granted.Hostname
	}
}

// defaultPools are drawn from by a NIC that asks for nothing.
func (d *draft) defaultPools(w *wish) []string {
	var out []string
	for _, p := range d.s.pools[w.now.Network] {
		if p.Default && may(w.now.Project, p.Pool) {
			out = append(out, p.Name)
		}
	}
	if len(out) == 0 && !w.network.Transparent && len(prefixesOf(w.now)) == 0 {
		d.refuse(Invalid.by("no-default-pool"), "addresses", "", "network %s has no default pool for project %s: name a pool or an address", w.now.Network, w.now.Project)
	}
	return out
}

// takeAddress claims the i-th thing that was asked for. The zero Addr is a
// refusal, told.
func (d *draft) takeAddress(w *wish, i int) netip.Addr {
	field, s := "addresses", w.asked[i]
	if len(w.now.Addresses) > 0 {
		field = at("addresses", i)
	}
	who := claimant{w.owner(), w.now.Project, w.now.Node, w.network, field}
	if a, err := netip.ParseAddr(s); err == nil {
		return d.takeExact(who, a, w.got)
	}
	return d.draw(who, s)
}

// claimant is who wants an address, and where it was asked for.
type claimant struct {
	owner, project string
	node           string // "": none, or several
	network        *fleet.Network
	field          string
}

// takeExact claims one address: in a prefix of the network, and nobody's.
func (d *draft) takeExact(who claimant, a netip.Addr, beside []netip.Addr) netip.Addr {
	net := who.network
	p := prefixOf(net, a)
	refuse := func(class Class, rule, format string, args ...any) netip.Addr {
		d.refuse(class.by(rule), who.field, a.String(), format, args...)
		return netip.Addr{}
	}
	if !p.IsValid() {
		return refuse(Invalid, "outside-network", "in none of the prefixes of network %s", net.Name)
	}
	if q := nic.HostProblem(a, p); q != "" {
		return refuse(Invalid, "no-host-address", "%s", q)
	}
	if d.s.models[net.Name].router(a) {
		return refuse(Conflict, "gateway", "a gateway of network %s", net.Name)
	}
	for _, pool := range d.s.pools[net.Name] {
		if pool.Contains(a) && !may(who.project, pool.Pool) {
			return refuse(Denied, "pool-closed", "in pool %s, which is not open to project %s", pool.Name, who.project)
		}
		if pool.Excludes(a) {
			return refuse(Conflict, "excluded", "excluded from pool %s", pool.Name)
		}
	}
	if holder := d.inPrefix(net.Name, a); holder != "" && holder != who.owner {
		return refuse(Conflict, "prefix-taken", "in a prefix that is %s's", d.told(holder))
	}
	switch c := d.claim(spot{net.Name, a}); {
	case slices.Contains(beside, a):
		return refuse(Conflict, "address-taken", "is the NIC's already")
	case c != nil && c.Owner != "" && c.Owner != who.owner:
		return refuse(Conflict, "address-taken", "is %s's", d.told(c.Owner))
	case c != nil && c.Owner == "" && c.Awaits != "" && c.Awaits != who.node:
		return refuse(Conflict, "address-awaited", "was on node %s, which has not said yet that it has withdrawn it", c.Awaits)
	case c != nil && c.Held(d.opt.Now) && c.Project != who.project:
		return refuse(Conflict, "address-held", "held since its release, until %s", c.Until.UTC().Format(time.RFC3339))
	}
	return d.reserve(who, a)
}

// reserve keeps others of the same decision from an address.
func (d *draft) reserve(who claimant, a netip.Addr) netip.Addr {
	c := fleet.Claim{Network: who.network.Name, Address: a.String()}
	if old := d.claim(spot{who.network.Name, a}); old != nil {
		c.MAC = old.MAC // kept with it
	}
	c.Owner, c.Project, c.Since, c.By = who.owner, who.project, d.opt.Now, d.opt.Actor
	d.addresses[spot{who.network.Name, a}] = &c
	return a
}

// inPrefix is who has a whole prefix that an address lies in, "" if nobody.
func (d *draft) inPrefix(network string, a netip.Addr) string {
	if a.Is4() {
		return ""
	}
	epoch := fleet.PrefixEpochKey(network)
	d.need(epoch, d.s.plain[epoch])
	for at, owner := range d.blocks {
		if at.network == network && owner != "" && at.prefix.Contains(a) {
			return owner
		}
	}
	p, who, ok := d.s.look(network).around(netip.PrefixFrom(a, a.BitLen()))
	if owner, changed := d.blocks[block{network, p}]; ok && changed {
		return owner
	}
	return who.owner
}

// draw claims the first free address of a pool, in the order of its ranges.
func (d *draft) draw(who claimant, name string) netip.Addr {
	pool := get[*fleet.Pool](d.s, fleet.KindPool, name)
	d.needResource(fleet.KindPool, name)
	switch {
	case pool == nil:
		d.refuse(NotFound.by("no-such"), who.field, name, "there is no such pool, and it is no address")
		return netip.Addr{}
	case pool.Network != who.network.Name:
		d.refuse(Invalid.by("another-network"), who.field, name, "a pool of network %s, not of %s", pool.Network, who.network.Name)
		return netip.Addr{}
	case !may(who.project, pool):
		d.refuse(Denied.by("pool-closed"), who.field, name, "not open to project %s: its projects are %s", who.project, listed(pool.Project))
		return netip.Addr{}
	}
	for i, r := range pool.Ranges {
		if a, ok := d.firstFree(who, pool, at(name, i), r); ok {
			return d.reserve(who, a)
		}
	}
	if a, ok := d.leftBehind(who, pool); ok {
		return d.reserve(who, a)
	}
	d.refuse(Exhausted.by("pool-exhausted"), who.field, name, "no free address is left in the pool")
	return netip.Addr{}
}

// leftBehind is the lowest of a pool's addresses that others leave by the same
// decision, and that nobody is to be kept from.
func (d *draft) leftBehind(who claimant, pool *fleet.Pool) (first netip.Addr, ok bool) {
	for at, c := range d.addresses {
		free := c == nil || !c.Held(d.opt.Now)
		if !free || at.network != who.network.Name || !pool.Contains(at.address) || ok && first.Less(at.address) {
			continue
		}
		if d.suits(who, pool, at.address) {
			first, ok = at.address, true
		}
	}
	return first, ok
}

// firstFree finds the first address of a range that nobody has and that a NIC
// can have. Within one decision nothing before the last found becomes free.
func (d *draft) firstFree(who claimant, pool *fleet.Pool, hint string, r fleet.Range) (netip.Addr, bool) {
	from, last := number(r.First), number(r.Last)
	if h, ok := d.hints[hint]; ok {
		from = h
	}
	sp, now := d.s.look(who.network.Name), d.opt.Now.UnixNano()
	for {
		n, ok := sp.occupied.next(from, last, now)
		if !ok {
			d.hints[hint] = last
			return netip.Addr{}, false
		}
		next, free := d.past(who, pool, n.addr())
		if free {
			d.hints[hint] = n
			return n.addr(), true
		}
		if from, ok = number(next).plus(1); !ok {
			return netip.Addr{}, false
		}
	}
}

// past reports whether an address that nobody had can be given; if not, next
// is the last of those that cannot for the same reason.
func (d *draft) past(who claimant, pool *fleet.Pool, a netip.Addr) (next netip.Addr, free bool) {
	for _, x := range pool.Exclude {
		if x.Contains(a) {
			return x.Last, false
		}
	}
	sp := d.s.look(who.network.Name)
	if p, _, ok := sp.around(netip.PrefixFrom(a, a.BitLen())); ok && d.inPrefix(who.network.Name, a) != "" {
		return fleet.RangeOf(p).Last, false
	}
	_, here := d.addresses[spot{who.network.Name, a}]
	return a, !here && d.suits(who, pool, a)
}

// suits reports whether a NIC can have an address from a pool, if nobody has it.
func (d *draft) suits(who claimant, pool *fleet.Pool, a netip.Addr) bool {
	p := prefixOf(who.network, a)
	return p.IsValid() && !pool.Excludes(a) && nic.HostProblem(a, p) == "" &&
		!d.s.models[who.network.Name].mentions(a) && d.inPrefix(who.network.Name, a) == ""
}

// claimAddresses completes the records of a NIC's addresses with what was
// decided for it. With another MAC, or on another node, its time with an
// address begins anew.
func (d *draft) claimAddresses(w *wish) {
	mac := w.now.Granted.MAC
	for _, a := range w.got {
		at := spot{w.now.Network, a}
		c := *d.claim(at)
		if slices.Contains(w.fresh, a) || c.MAC == nil || *c.MAC != mac {
			c.Since, c.By, c.Node = d.opt.Now, d.opt.Actor, w.now.Node
		}
		c = d.housed(c, w.now.Node)
		c.MAC, c.Hostname = &mac, w.now.Granted.Hostname
		d.addresses[at] = &c
	}
}

// housed is a claim whose owner is on a node: on another than before, its time
// with the address begins anew, by the grace of whoever gave it.
func (d *draft) housed(c fleet.Claim, node string) fleet.Claim {
	if c.Node != node {
		c.Node, c.Since = node, d.opt.Now
	}
	return c
}
