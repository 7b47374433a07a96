package ipam

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

// State is all that the controller knows, as the store has it at one revision.
// What it returns is never changed afterwards, and must not be by others. It
// may be read and decided on by many at a time, but not while it is being fed.
type State struct {
	resources map[fleet.Kind]map[string]fleet.Resource
	spaces    map[string]*space           // by network
	nodes     map[string]map[string]named // by node: whose an interface is
	projects  map[string]*project
	models    map[string]*model            // by network: what its NICs' documents begin with
	pools     map[string][]*pool           // by network, each list by name
	groups    map[string][]*fleet.Failover // by member, each list by name
	plain     map[string]int64             // keys of which only the revision matters
	awaiting  map[symbol]map[spot]bool     // addresses nobody has, by the node that had them
	duid      string
	revision  int64

	request string   // of the NIC that came last: those of one come in a row
	names   []string // by symbol
	symbols map[string]symbol
}

// symbol stands for a name that many have.
type symbol uint32

// named is who has something, and since which revision.
type named struct {
	owner string
	rev   int64
}

// project is what is known of one besides its resource.
type project struct {
	usage fleet.Usage
	rev   int64 // of usage
	vms   map[string][]*fleet.NIC
}

// NewState returns what is known of an empty store.
func NewState() *State {
	s := &State{
		resources: map[fleet.Kind]map[string]fleet.Resource{},
		spaces:    map[string]*space{},
		nodes:     map[string]map[string]named{},
		projects:  map[string]*project{},
		models:    map[string]*model{},
		pools:     map[string][]*pool{},
		groups:    map[string][]*fleet.Failover{},
		plain:     map[string]int64{},
		awaiting:  map[symbol]map[spot]bool{},
		names:     []string{""},
		symbols:   map[string]symbol{"": 0},
	}
	for _, k := range fleet.Kinds() {
		s.resources[k] = map[string]fleet.Resource{}
	}
	return s
}

// Revision is the latest of all that was fed.
func (s *State) Revision() int64 { return s.revision }

// Get returns a resource, nil if there is none.
func (s *State) Get(kind fleet.Kind, name string) fleet.Resource { return s.resources[kind][name] }

// All yields the resources of a kind in no particular order.
func (s *State) All(kind fleet.Kind) iter.Seq[fleet.Resource] { return maps.Values(s.resources[kind]) }

// Len is how many resources of a kind there are.
func (s *State) Len(kind fleet.Kind) int { return len(s.resources[kind]) }

// NIC returns one, nil if there is none.
func (s *State) NIC(name string) *fleet.NIC { return get[*fleet.NIC](s, fleet.KindNIC, name) }

func get[R fleet.Resource](s *State, kind fleet.Kind, name string) R {
	r, _ := s.resources[kind][name].(R)
	return r
}

// revisionOf is when a resource changed last, 0 if there is none.
func (s *State) revisionOf(kind fleet.Kind, name string) int64 {
	if r := s.resources[kind][name]; r != nil {
		return r.Header().Meta.Revision
	}
	return 0
}

// Set takes in a key that was written by the transaction rev.
func (s *State) Set(key string, value []byte, rev int64) error {
	s.revision = max(s.revision, rev)
	if err := s.set(key, value, rev); err != nil {
		return fmt.Errorf("key %s: %w", key, err)
	}
	return nil
}

// Unset takes in that a key was removed by the transaction rev.
func (s *State) Unset(key string, rev int64) error {
	s.revision = max(s.revision, rev)
	if err := s.set(key, nil, 0); err != nil {
		return fmt.Errorf("key %s: %w", key, err)
	}
	return nil
}

// set takes in a key, or with a rev of 0 that it is gone. Keys that no
// decision looks at are passed over.
func (s *State) set(key string, value []byte, rev int64) error {
	class, rest, _ := strings.Cut(key, "/")
	first, second, _ := strings.Cut(rest, "/")
	switch class {
	case "r":
		return s.setResource(fleet.Kind(first), second, value, rev)
	case "a":
		return s.setAddress(first, second, value, rev)
	case "m":
		return s.setMAC(first, second, value, rev)
	case "i":
		return s.setInterface(first, second, value, rev)
	case "x":
		return s.setPrefix(first, second, value, rev)
	case "u":
		return s.setUsage(rest, value, rev)
	case "y", "p":
		s.plain[key] = rev
		if rev == 0 {
			delete(s.plain, key)
		}
	case "c":
		if key == fleet.DUIDKey {
			s.duid = string(value)
			for name, m := range s.models {
				s.models[name] = newModel(m.network, s.duid)
			}
		}
	}
	return nil
}

func (s *State) setResource(kind fleet.Kind, name string, value []byte, rev int64) error {
	if s.resources[kind] == nil {
		return nil // of a later version
	}
	if old := s.resources[kind][name]; old != nil {
		s.forget(old)
	}
	if rev == 0 {
		delete(s.resources[kind], name)
		return nil
	}
	res, err := fleet.Load(kind, value)
	if err != nil {
		return err
	}
	h := res.Header()
	if h.Meta == nil {
		h.Meta = &fleet.Meta{}
	}
	h.Meta.Revision = rev
	h.Kind = fleet.Kind(s.names[s.symbol(string(kind))]) // kind is a part of the key, all of which would stay
	s.remember(res)
	s.resources[kind][h.Name] = res
	return nil
}

// share has a NIC use strings that others have too: a million of them is what
// the memory goes to.
func (s *State) share(n *fleet.NIC) {
	for _, text := range []*string{&n.Project, &n.Network, &n.Node, &n.Meta.By} {
		*text = s.names[s.symbol(*text)]
	}
	if n.Granted != nil {
		for _, p := range n.Granted.Addresses {
			if h, ok := s.space(n.Network).addresses[number(p.Addr())]; ok && h.owner == ownerNIC+n.Name {
				n.Name = h.owner[len(ownerNIC):]
			}
		}
	}
	alike(&n.Interface, n.Name)
	alike(&n.VM, n.Name)
	alike(&n.Request, s.request)
	s.request = n.Request
}

// shareRequest has a request use the strings of its NICs, which come before it.
func (s *State) shareRequest(r *fleet.Request) {
	for i := range r.VMs {
		vm := &r.VMs[i]
		for j := range vm.NICs {
			one := &vm.NICs[j]
			n := s.NIC(one.Name)
			if n == nil {
				continue
			}
			alike(&vm.Name, n.VM)
			alike(&one.Name, n.Name)
			alike(&one.Network, n.Network)
			alike(&one.Node, n.Node)
			alike(&one.Interface, n.Interface)
		}
	}
}

// alike has one string stand for two that are equal.
func alike(text *string, as string) {
	if *text == as {
		*text = as
	}
}

func (s *State) symbol(name string) symbol {
	i, ok := s.symbols[name]
	if !ok {
		i = symbol(len(s.names))
		name = strings.Clone(name)
		s.names = append(s.names, name)
		s.symbols[name] = i
	}
	return i
}

// remember finds a resource again by what it belongs to.
func (s *State) remember(res fleet.Resource) {
	switch v := res.(type) {
	case *fleet.NIC:
		s.share(v)
		if v.VM != "" {
			p := s.project(v.Project)
			p.vms[v.VM] = append(p.vms[v.VM], v)
		}
	case *fleet.Request:
		s.shareRequest(v)
	case *fleet.Network:
		s.models[v.Name] = newModel(v, s.duid)
	case *fleet.Pool:
		s.pools[v.Network] = append(slices.Clone(s.pools[v.Network]), newPool(v))
		slices.SortFunc(s.pools[v.Network], func(a, b *pool) int { return strings.Compare(a.Name, b.Name) })
	case *fleet.Failover:
		for _, m := range v.Members {
			s.groups[m] = append(slices.Clone(s.groups[m]), v)
			slices.SortFunc(s.groups[m], func(a, b *fleet.Failover) int { return strings.Compare(a.Name, b.Name) })
		}
	}
}

// forget is the inverse of remember.
func (s *State) forget(res fleet.Resource) {
	switch v := res.(type) {
	case *fleet.NIC:
		if v.VM != "" {
			without(s.project(v.Project).vms, v.VM, func(o *fleet.NIC) bool { return o == v })
		}
	case *fleet.Network:
		delete(s.models, v.Name)
	case *fleet.Pool:
		without(s.pools, v.Network, func(o *pool) bool { return o.Pool == v })
	case *fleet.Failover:
		for _, m := range v.Members {
			without(s.groups, m, func(o *fleet.Failover) bool { return o == v })
		}
	}
}

// without takes one out of a list. Lists that were given away stay as they
// are.
func without[T any](m map[string][]T, key string, one func(T) bool) {
	rest := slices.DeleteFunc(slices.Clone(m[key]), one)
	if m[key] = rest; len(rest) == 0 {
		delete(m, key)
	}
}

func (s *State) project(name string) *project {
	p := s.projects[name]
	if p == nil {
		p = &project{vms: map[string][]*fleet.NIC{}}
		s.projects[name] = p
	}
	return p
}

// Usage is what counts against a project's quota.
func (s *State) Usage(name string) fleet.Usage {
	if p := s.projects[name]; p != nil {
		return p.usage
	}
	return fleet.Usage{}
}

func (s *State) setUsage(name string, value []byte, rev int64) error {
	p := s.project(name)
	p.usage, p.rev = fleet.Usage{}, rev
	if rev == 0 {
		return nil
	}
	return json.Unmarshal(value, &p.usage)
}

func (s *State) setInterface(node, name string, value []byte, rev int64) error {
	if rev == 0 {
		delete(s.nodes[node], name)
		return nil
	}
	var c fleet.Claim
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	if s.nodes[node] == nil {
		s.nodes[node] = map[string]named{}
	}
	s.nodes[node][name] = named{c.Owner, rev}
	return nil
}

func (s *State) setAddress(network, hex string, value []byte, rev int64) error {
	a, ok := fleet.ParseHex(hex)
	if !ok {
		return fmt.Errorf("%q is not an address", hex)
	}
	if rev == 0 {
		s.awaited(spot{network, a}, 0)
		s.space(network).clear(a)
		return nil
	}
	var c fleet.Claim
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	h := holding{owner: c.Owner, rev: rev, since: nano(c.Since), until: nano(c.Until), project: s.symbol(c.Project), node: s.symbol(c.Node), by: s.symbol(c.By), awaits: s.symbol(c.Awaits)}
	if c.MAC != nil {
		h.mac = *c.MAC
	}
	s.awaited(spot{network, a}, h.awaits)
	s.space(network).put(a, h)
	return nil
}

func nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func (s *State) setMAC(network, text string, value []byte, rev int64) error {
	m, err := nic.ParseMAC(text)
	if err != nil {
		return err
	}
	sp := s.space(network)
	if rev == 0 {
		delete(sp.macs, m)
		return nil
	}
	var c fleet.Claim
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	sp.macs[m] = named{c.Owner, rev}
	return nil
}

func (s *State) setPrefix(network, text string, value []byte, rev int64) error {
	hex, length, _ := strings.Cut(text, "-")
	a, ok := fleet.ParseHex(hex)
	bits, err := strconv.Atoi(length)
	if !ok || err != nil {
		return fmt.Errorf("%q is not a prefix", text)
	}
	p, sp := netip.PrefixFrom(a, bits), s.space(network)
	if rev == 0 {
		sp.releasePrefix(p)
		return nil
	}
	var c fleet.Claim
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	sp.claimPrefix(p, named{c.Owner, rev})
	return nil
}

// space returns what is known of a network's addresses.
func (s *State) space(network string) *space {
	sp := s.spaces[network]
	if sp == nil {
		sp = newSpace()
		s.spaces[network] = sp
	}
	return sp
}

// look is space without making one: decisions change nothing.
func (s *State) look(network string) *space {
	if sp := s.spaces[network]; sp != nil {
		return sp
	}
	return newSpace()
}

// Claim returns the record of an address, false if nobody ever had it.
func (s *State) Claim(network string, a netip.Addr) (fleet.Claim, bool) {
	h, ok := s.look(network).addresses[number(a)]
	if !ok {
		return fleet.Claim{}, false
	}
	c := fleet.Claim{
		Network: network, Address: a.String(), Owner: h.owner, Project: s.names[h.project],
		Until: moment(h.until), Since: moment(h.since), Node: s.names[h.node], By: s.names[h.by], Awaits: s.names[h.awaits],
	}
	if !h.mac.IsZero() {
		c.MAC = &h.mac
	}
	return c, true
}

// DUID is the site's DHCPv6 server identifier in hex, "" if there is none.
func (s *State) DUID() string { return s.duid }

// NICs returns the names of the NICs that a node has a document of, sorted:
// those whose node it is, and both sides of a migration.
func (s *State) NICs(node string) []string {
	var out []string
	for _, o := range s.nodes[node] {
		out = append(out, strings.TrimPrefix(o.owner, ownerNIC))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
