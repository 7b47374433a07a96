package ipam

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Document is what a node is told of one NIC.
type Document struct {
	Interface string // of the host
	Name      string // of the resource
	Node      string
	Revision  int64  // when what it says changed last
	Body      []byte // as manifest.Encode writes it
}

// model is what the documents of a network's NICs begin with.
type model struct {
	network  *fleet.Network
	nets     manifest.Networks
	problems []manifest.Problem
	base     *nic.Binding // of a NIC that asks for nothing; nil: there can be none
	named    map[netip.Addr]bool
	macs     map[nic.MAC]bool
}

// probe is a NIC that has nothing but a MAC.
const probe = "02:00:00:00:00:01"

func newModel(n *fleet.Network, duid string) *model {
	m := &model{network: n, named: map[netip.Addr]bool{}, macs: map[nic.MAC]bool{}}
	defaults := maps.Clone(n.Defaults)
	if defaults == nil {
		defaults = map[string]any{}
	}
	defaults["network"] = n.Name
	if n.Transparent {
		defaults["served-by"] = "tenant"
	}
	withDUID(defaults, duid)
	m.nets, m.problems = manifest.ParseNetworks("", mustJSON(defaults))
	r := manifest.Parse("", mustJSON(map[string]any{"nic": "probe", "network": n.Name, "mac": probe}), m.nets)
	if len(r.Bindings) == 1 {
		m.base = &r.Bindings[0]
	}
	m.note(n.Defaults)
	return m
}

// withDUID has all nodes answer as one DHCPv6 server, so that a guest that is
// migrated sees no other.
func withDUID(defaults map[string]any, duid string) {
	const section, key = "dhcp6", "server-duid"
	given, isKeys := defaults[section].(map[string]any)
	if _, own := given[key]; own || duid == "" || defaults[section] != nil && !isKeys {
		return
	}
	given = maps.Clone(given)
	if given == nil {
		given = map[string]any{}
	}
	given[key] = duid
	defaults[section] = given
}

// mustJSON writes keys of text, numbers and lists, which always can be.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// note collects the addresses and MACs that defaults name: they are
// somebody's, so no pool gives them away, and a NIC that has one is looked at
// by itself.
func (m *model) note(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			m.note(inner)
		}
	case []any:
		for _, inner := range v {
			m.note(inner)
		}
	case string:
		for _, word := range regexp.MustCompile(`[0-9A-Fa-f:.-]+`).FindAllString(v, -1) {
			m.noteWord(word)
		}
	}
}

func (m *model) noteWord(word string) {
	if a, err := netip.ParseAddr(word); err == nil {
		m.named[a] = true
		if b := a.As16(); a.IsLinkLocalUnicast() && a.Is6() && b[11] == 0xff && b[12] == 0xfe {
			m.macs[nic.MAC{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}] = true
		}
	}
	if mac, err := nic.ParseMAC(word); err == nil {
		m.macs[mac] = true
	}
}

// mentions reports whether the defaults name an address.
func (m *model) mentions(a netip.Addr) bool { return m != nil && m.named[a] }

// router reports whether an address is a gateway of the network.
func (m *model) router(a netip.Addr) bool {
	if m == nil {
		return false
	}
	four, ok4 := m.gateway("gateway")
	six, ok6 := m.gateway("gateway6")
	return ok4 && a == four || ok6 && a == six
}

// gateway is the one that the defaults give under a key, false if they give none.
func (m *model) gateway(key string) (netip.Addr, bool) {
	s, _ := m.network.Defaults[key].(string)
	a, err := netip.ParseAddr(s)
	return a, err == nil
}

// Documents are all that a node is told, by the NICs' names. There is no error
// for what Put took.
func (s *State) Documents(node string) ([]Document, error) {
	var out []Document
	for _, name := range s.NICs(node) {
		docs, err := s.Document(node, name)
		if err != nil {
			return nil, err
		}
		out = append(out, docs...)
	}
	return out, nil
}

// Document is what a node is told of a NIC, none if it is told nothing. While
// a NIC is being migrated both nodes are told of it, and it is suspended on
// the one that is not its node.
func (s *State) Document(node, name string) ([]Document, error) {
	n := s.NIC(name)
	if n == nil || n.Granted == nil || !slices.Contains(nodesOf(n), node) {
		return nil, nil
	}
	m := s.models[n.Network]
	if m == nil {
		return nil, fmt.Errorf("NIC %s is in network %s, which is not there", name, n.Network)
	}
	shares := s.failovers(name)
	body, err := m.body(n, shares, node != n.Node)
	if err != nil {
		return nil, fmt.Errorf("NIC %s: %w", name, err)
	}
	return []Document{{Interface: n.Interface, Name: n.Name, Node: node, Revision: s.DocumentRevision(n), Body: body}}, nil
}

// DocumentRevision is when what a NIC's document is made of changed last.
func (s *State) DocumentRevision(n *fleet.NIC) int64 {
	rev := max(n.Meta.Revision, s.revisionOf(fleet.KindNetwork, n.Network))
	for _, f := range s.failovers(n.Name) {
		rev = max(rev, f.Meta.Revision)
	}
	return rev
}

// body writes a document with all defaults in.
func (m *model) body(n *fleet.NIC, shares []*fleet.Failover, suspended bool) ([]byte, error) {
	b, problems := m.binding(n, shares)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	b.Suspended = suspended
	return manifest.Encode(&b)
}

// binding makes what a node would. A NIC that asks for nothing beyond its
// network's defaults takes them without reading them again.
func (m *model) binding(n *fleet.NIC, shares []*fleet.Failover) (nic.Binding, []manifest.Problem) {
	if len(n.Binding) > 0 || m.base == nil {
		return m.parsed(n, shares)
	}
	b := *m.base
	b.NIC, b.MAC, b.Hostname = n.Interface, n.Granted.MAC, n.Granted.Hostname
	b.Addresses = m.addresses(n)
	b.Group = groupOf(n)
	b.Tags = tagsOf(n)
	for _, f := range shares {
		b.Shared = append(b.Shared, nic.Shared{Group: f.Name, Addresses: f.Granted, VRID: f.VRID})
	}
	return b, nil
}

// wrong is what a node would refuse. A document that is made without being
// parsed is parsed only to word them.
func (m *model) wrong(n *fleet.NIC, shares []*fleet.Failover) []manifest.Problem {
	if len(n.Binding) == 0 && m.base != nil {
		if b, _ := m.binding(n, shares); nic.Validate(&b) == nil {
			return nil
		}
	}
	_, problems := m.parsed(n, shares)
	return problems
}

// addresses have the lengths that the network gives them now.
func (m *model) addresses(n *fleet.NIC) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range n.Granted.Addresses {
		out = append(out, prefixOf(m.network, p.Addr()))
	}
	return out
}

// parsed makes the binding as a node reads it, with all that is wrong in it.
func (m *model) parsed(n *fleet.NIC, shares []*fleet.Failover) (nic.Binding, []manifest.Problem) {
	doc := maps.Clone(n.Binding)
	if doc == nil {
		doc = map[string]any{}
	}
	doc["nic"], doc["network"], doc["mac"] = n.Interface, m.network.Name, n.Granted.MAC
	doc["tags"] = tagsOf(n)
	doc["addresses"] = append([]netip.Prefix{}, m.addresses(n)...)
	if n.Granted.Hostname != "" {
		doc["hostname"] = n.Granted.Hostname
	}
	if g := groupOf(n); g != "" {
		doc["group"] = g
	}
	var list []map[string]any
	for _, f := range shares {
		one := map[string]any{"group": f.Name, "addresses": f.Granted}
		if f.VRID != 0 {
			one["vrid"] = f.VRID
		}
		list = append(list, one)
	}
	if len(list) > 0 {
		doc["shared"] = list
	}
	r := manifest.Parse("", mustJSON(doc), m.nets)
	if len(r.Bindings) != 1 {
		return nic.Binding{}, r.Problems
	}
	return r.Bindings[0], r.Problems
}

func tagsOf(n *fleet.NIC) map[string]string {
	return map[string]string{"berth.nic": n.Name, "berth.project": n.Project}
}

// groupOf names the machine that a NIC is of, in a way that no other project's
// is named.
func groupOf(n *fleet.NIC) string {
	const most = 63
	if n.VM == "" {
		return ""
	}
	group := n.Project + "/" + n.VM
	if len(group) > most {
		sum := sha256.Sum256([]byte(group))
		group = hex.EncodeToString(sum[:16])
	}
	return group
}

// checkDocuments refuses a NIC whose document a node would.
func (d *draft) checkDocuments(n *fleet.NIC) {
	d.checkDocument("", n, d.s.failovers(n.Name))
}

// checkDocument refuses what a node would. about is the field that brings it
// about, "" for that of the document itself.
func (d *draft) checkDocument(about string, n *fleet.NIC, shares []*fleet.Failover) {
	for _, p := range d.s.models[n.Network].wrong(n, shares) {
		if about == "" {
			d.refuse(Invalid.by("binding"), fieldOf(n, p.Field), p.Value, "%s", given(p, n.Network))
		} else {
			d.refuse(Conflict.by("binding"), about, n.Name, "%s %q: %s", p.Field, p.Value, given(p, n.Network))
		}
	}
}

// inherited begins what manifest says of a value that a network gives; the
// place in a text of our own making means nothing to anybody.
const inherited = " (from "

// given words a problem with a value that may come from the network.
func given(p manifest.Problem, network string) string {
	text, _, from := strings.Cut(p.Text, inherited)
	if from {
		text += ", which network " + network + " gives"
	}
	return text
}

// fieldOf is where a NIC says what its document has in a field.
func fieldOf(n *fleet.NIC, field string) string {
	key, _, _ := strings.Cut(field, ".")
	key, _, _ = strings.Cut(key, "[")
	if _, ok := n.Binding[key]; ok {
		return "binding." + field
	}
	if key == "nic" {
		return "interface"
	}
	return field
}

// checkAll refuses a network in which the document of one of its NICs would be
// broken. NICs that differ only in addresses that the network does not name
// are alike: one of them is looked at.
func (d *draft) checkAll(now *fleet.Network, m *model) {
	seen := map[string]bool{}
	for mac, who := range d.s.look(now.Name).macs {
		name, ok := strings.CutPrefix(who.owner, ownerNIC)
		n := d.s.NIC(name)
		if !ok || n == nil || n.Granted == nil {
			continue
		}
		shares := d.s.failovers(name)
		if kind := kindOf(m, n, shares); kind != "" && !m.macs[mac] {
			if seen[kind] {
				continue
			}
			seen[kind] = true
		}
		for _, p := range m.wrong(n, shares) {
			text, _, _ := strings.Cut(p.Text, inherited)
			d.refuse(Conflict.by("in-use"), "defaults."+p.Field, p.Value, "NIC %s: %s", name, text)
		}
		if len(d.refused) > 20 {
			return
		}
	}
}

// kindOf tells NICs apart that a network's defaults may treat differently, ""
// for one that is like no other.
func kindOf(m *model, n *fleet.NIC, shares []*fleet.Failover) string {
	if len(shares) > 0 {
		return ""
	}
	in := make([]int, 0, len(n.Granted.Addresses))
	for _, p := range n.Granted.Addresses {
		a := p.Addr()
		if m.mentions(a) || nic.HostProblem(a, prefixOf(m.network, a)) != "" {
			return ""
		}
		in = append(in, slices.IndexFunc(m.network.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) }))
	}
	return fmt.Sprintf("%v %d %s", in, len(n.Granted.Hostname), mustJSON(n.Binding))
}
