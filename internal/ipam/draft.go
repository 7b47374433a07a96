package ipam

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

// spot is one address of one network.
type spot struct {
	network string
	address netip.Addr
}

// station is one MAC of one network.
type station struct {
	network string
	mac     nic.MAC
}

// port is one interface of one node.
type port struct{ node, name string }

// block is one prefix of one network.
type block struct {
	network string
	prefix  netip.Prefix
}

// draft is a decision being made: what was asked, what it does to the State's
// claims as far as it has come, and what it relied on.
type draft struct {
	s       *State
	opt     Options
	action  string
	about   fleet.Head
	prefix  string // of fields, within a request
	refused []error

	needs   map[fleet.Need]bool // single keys with their revision, and ranges
	puts    map[string][]byte
	deletes map[string]bool
	edits   []fleet.Edit

	nics      map[string]*fleet.NIC // changed ones; nil: gone
	addresses map[spot]*fleet.Claim // nil: no record any more
	macs      map[station]*string   // whose; nil: nobody's any more
	ports     map[port]string       // whose; "": nobody's any more
	blocks    map[block]string
	usage     map[string]*fleet.Usage // of projects, as it will be
	machines  map[string]bool         // project/vm whose NICs change
	hints     map[string]u128         // by pool and range: nothing before is free
}

func newDraft(s *State, opt Options, action string, about fleet.Head) *draft {
	return &draft{
		s: s, opt: opt, action: action, about: about,
		needs: map[fleet.Need]bool{}, puts: map[string][]byte{}, deletes: map[string]bool{},
		nics: map[string]*fleet.NIC{}, addresses: map[spot]*fleet.Claim{}, macs: map[station]*string{},
		ports: map[port]string{}, blocks: map[block]string{}, usage: map[string]*fleet.Usage{},
		machines: map[string]bool{}, hints: map[string]u128{},
	}
}

// refuse notes why it cannot be done.
func (d *draft) refuse(why cause, field, value, format string, args ...any) {
	d.refused = append(d.refused, &Refusal{
		Class: why.class, Kind: d.about.Kind, Name: d.about.Name,
		Field: d.prefix + field, Value: value, Rule: why.rule, Text: fmt.Sprintf(format, args...),
	})
}

// need holds the change to a key's revision.
func (d *draft) need(key string, rev int64) { d.needs[fleet.Need{Key: key, Revision: rev}] = true }

// needUnder holds the change to what is known of all keys that begin with
// one: none of them is newer than the State.
func (d *draft) needUnder(prefix string) {
	d.needs[fleet.Need{Key: prefix, End: fleet.After(prefix), Revision: d.s.revision}] = true
}

func (d *draft) needResource(kind fleet.Kind, name string) {
	d.need(fleet.ResourceKey(kind, name), d.s.revisionOf(kind, name))
}

// write puts a resource, unless it is as it was.
func (d *draft) write(res fleet.Resource) bool {
	h := res.Header()
	old := d.s.Get(h.Kind, h.Name)
	if old != nil && same(res, old) {
		return false
	}
	d.needResource(h.Kind, h.Name)
	meta := fleet.Meta{Created: d.opt.Now, Changed: d.opt.Now, By: d.opt.Actor}
	edit := fleet.Edit{Kind: h.Kind, Name: h.Name}
	if old != nil {
		meta.Created = old.Header().Meta.Created
		edit.Before = encode(old)
	}
	h.Meta = &meta
	edit.After = encode(res)
	d.puts[fleet.ResourceKey(h.Kind, h.Name)] = edit.After
	d.edits = append(d.edits, edit)
	return true
}

// remove deletes a resource.
func (d *draft) remove(res fleet.Resource) {
	h := res.Header()
	d.needResource(h.Kind, h.Name)
	d.deletes[fleet.ResourceKey(h.Kind, h.Name)] = true
	d.edits = append(d.edits, fleet.Edit{Kind: h.Kind, Name: h.Name, Before: encode(res)})
}

// encode writes what can always be written: resources hold nothing but text,
// numbers, lists and keys.
func encode(res fleet.Resource) []byte {
	data, err := fleet.Encode(res)
	if err != nil {
		panic(err)
	}
	return data
}

// same reports whether two resources say the same, whoever wrote them.
func same(a, b fleet.Resource) bool { return bytes.Equal(bare(a), bare(b)) }

// bare is a resource without what the controller knows of it.
func bare(res fleet.Resource) []byte {
	c, err := clone(res)
	if err != nil {
		panic(err) // as encode
	}
	c.Header().Meta = nil
	return encode(c)
}

// claim returns the record of an address as this decision leaves it.
func (d *draft) claim(at spot) *fleet.Claim {
	if c, ok := d.addresses[at]; ok {
		return c
	}
	if c, ok := d.s.Claim(at.network, at.address); ok {
		return &c
	}
	return nil
}

// holder returns whose a MAC is as this decision leaves it, "" for nobody's.
func (d *draft) holder(at station) string {
	if owner, ok := d.macs[at]; ok {
		if owner == nil {
			return ""
		}
		return *owner
	}
	return d.s.look(at.network).macs[at.mac].owner
}

// occupant returns whose an interface is as this decision leaves it.
func (d *draft) occupant(at port) string {
	if owner, ok := d.ports[at]; ok {
		return owner
	}
	return d.s.nodes[at.node][at.name].owner
}

// account returns a project's usage, to be changed.
func (d *draft) account(project string) *fleet.Usage {
	u := d.usage[project]
	if u == nil {
		now := d.s.Usage(project)
		u = &now
		d.usage[project] = u
	}
	return u
}

// finish is the Change, if nothing stands in the way and there is one.
func (d *draft) finish() (*Change, error) {
	d.settle()
	if len(d.refused) > 0 {
		return nil, errors.Join(d.refused...)
	}
	if len(d.edits) == 0 {
		return nil, nil
	}
	d.writeAddresses()
	d.writeMACs()
	d.writePorts()
	d.writeBlocks()
	d.writeUsage()
	return d.drafted(), nil
}

// drafted is all of it.
func (d *draft) drafted() *Change {
	c := &Change{Revision: fleet.Revision{Time: d.opt.Now, Actor: d.opt.Actor, Action: d.action, Changes: d.edits}}
	for _, key := range slices.Sorted(maps.Keys(d.puts)) {
		c.Puts = append(c.Puts, fleet.Put{Key: key, Value: d.puts[key]})
	}
	c.Deletes = slices.Sorted(maps.Keys(d.deletes))
	c.Needs = slices.SortedFunc(maps.Keys(d.needs), func(a, b fleet.Need) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.End, b.End))
	})
	return c
}

func (d *draft) writeAddresses() {
	for at, c := range d.addresses {
		key := fleet.AddressKey(at.network, at.address)
		had, known := d.s.look(at.network).addresses[number(at.address)]
		d.need(key, had.rev)
		d.tenure(at, c)
		switch {
		case c != nil:
			d.put(key, c)
		case known:
			d.deletes[key] = true
		}
	}
}

// tenure notes in the log of an address that somebody's time with it ends, and
// that another's begins.
func (d *draft) tenure(at spot, now *fleet.Claim) {
	was, ok := d.s.Claim(at.network, at.address)
	if ok && was.Owner != "" {
		if now != nil && now.Owner == was.Owner && now.Since.Equal(was.Since) {
			return
		}
		to := d.opt.Now
		d.put(fleet.TenureKey(at.network, at.address, was.Since), tenureOf(at, &was, &to))
	}
	if now != nil && now.Owner != "" {
		d.put(fleet.TenureKey(at.network, at.address, now.Since), tenureOf(at, now, nil))
	}
}

func tenureOf(at spot, c *fleet.Claim, to *time.Time) fleet.Tenure {
	return fleet.Tenure{
		Network: at.network, Address: at.address, Owner: c.Owner, Project: c.Project, MAC: c.MAC,
		Node: c.Node, From: c.Since, To: to, Actor: c.By,
	}
}

func (d *draft) put(key string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // as encode
	}
	d.puts[key] = data
}

func (d *draft) writeMACs() {
	for at, owner := range d.macs {
		key := fleet.MACKey(at.network, at.mac)
		had, known := d.s.look(at.network).macs[at.mac]
		d.need(key, had.rev)
		switch {
		case owner != nil:
			d.put(key, fleet.Claim{Network: at.network, Address: at.mac.String(), Owner: *owner})
		case known:
			d.deletes[key] = true
		}
	}
}

func (d *draft) writePorts() {
	for at, owner := range d.ports {
		key := fleet.InterfaceKey(at.node, at.name)
		had, known := d.s.nodes[at.node][at.name]
		d.need(key, had.rev)
		switch {
		case owner != "":
			d.put(key, fleet.Claim{Address: at.name, Owner: owner})
		case known:
			d.deletes[key] = true
		}
	}
}

// writeBlocks also tells all who choose addresses that prefixes have changed.
func (d *draft) writeBlocks() {
	for at, owner := range d.blocks {
		key := fleet.PrefixKey(at.network, at.prefix)
		had, known := d.s.look(at.network).prefixes[at.prefix]
		d.need(key, had.rev)
		switch {
		case owner != "":
			d.put(key, fleet.Claim{Network: at.network, Address: at.prefix.String(), Owner: owner})
		case known:
			d.deletes[key] = true
		}
		epoch := fleet.PrefixEpochKey(at.network)
		d.need(epoch, d.s.plain[epoch])
		d.put(epoch, d.opt.Now)
	}
}

func (d *draft) writeUsage() {
	for project, u := range d.usage {
		rev := int64(0)
		if p := d.s.projects[project]; p != nil {
			rev = p.rev
		}
		d.need(fleet.UsageKey(project), rev)
		d.put(fleet.UsageKey(project), u)
	}
}
