package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/yamltree"
)

// defaultNetwork is the name of the network of NICs that name none.
const defaultNetwork = "default"

// Networks are the defaults of each network, by name. The zero value knows
// none.
type Networks struct {
	known    map[string]*draft
	broken   map[string]Problem
	unnamed  *Problem // part of the file could not be read: any network may be in it
	resolved bool     // names are taken as they are
}

// ParseNetworks reads the networks file. A NIC whose network is broken is
// itself broken: half of its defaults would be a different network.
func ParseNetworks(file string, data []byte) (Networks, []Problem) {
	docs, whole := split(file, data, MaxFile)
	nets := Networks{known: map[string]*draft{}, broken: map[string]Problem{}}
	if len(whole) > 0 {
		nets.unnamed = &whole[0]
	}
	r := Result{Problems: whole}
	for _, doc := range docs {
		d := read(file, doc)
		nets.add(d)
		r.add("", d.problems)
	}
	return nets, r.Problems
}

// UnreadableNetworks stands for a networks file that exists and cannot be
// read: every NIC's defaults are unknown.
func UnreadableNetworks(p Problem) Networks { return Networks{unnamed: &p} }

// Names returns the networks that can be used, sorted.
func (n Networks) Names() []string { return slices.Sorted(maps.Keys(n.known)) }

func (n *Networks) add(d *draft) {
	if d.root != nil && d.root.Kind == yamltree.Mapping && d.raw.Network == nil {
		d.fail("network", d.root, "", "missing: a document of this file needs the name of its network")
	}
	if d.raw.Network == nil {
		n.unnamed = &d.problems[0]
		return
	}
	name := *d.raw.Network
	d.checkNetwork()
	if first, dup := n.known[name]; dup {
		d.fail("network", d.index["network"], name, "declared twice, first at line %d", first.line)
		delete(n.known, name)
	}
	if _, dup := n.broken[name]; dup {
		d.fail("network", d.index["network"], name, "declared twice")
	}
	if len(d.problems) > 0 {
		n.broken[name] = d.problems[0]
		return
	}
	n.known[name] = d
}

// checkNetwork tries the network on a NIC without addresses, so that a bad
// value is found where it stands and not at every NIC of the network.
func (d *draft) checkNetwork() {
	for _, key := range nicOnly() {
		if n, ok := d.index[key]; ok {
			d.fail(key, n, n.Text, "belongs to a NIC, not to a network")
		}
	}
	if n, ok := d.index["link-local"]; ok && n.Kind == yamltree.List {
		d.fail("link-local", n, "", "a list of addresses belongs to a NIC, not to a network")
	}
	if d.lost {
		return
	}
	probe := raw{NIC: ptr("probe"), MAC: ptr("52:54:00:00:00:01")}
	b := builder{draft: d}
	// What the network leaves open is tried as a routed NIC, which may have all
	// that others may not, but for servers beside berth.
	routed := d.raw.ServedBy == nil || *d.raw.ServedBy == servers()[nic.ServedByBerth]
	b.check(b.build(merged(merged(probe, d.raw), raw{Routed: ptr(routed)})))
}

// of returns the network a NIC belongs to: nil if there is nothing to
// inherit.
func (n Networks) of(name string) (*draft, error) {
	if n.resolved {
		return nil, nil
	}
	key := name
	if key == "" {
		key = defaultNetwork
	}
	if d, ok := n.known[key]; ok {
		return d, nil
	}
	if p, ok := n.broken[key]; ok {
		return nil, fmt.Errorf("the network is broken: %w", p)
	}
	if n.unnamed != nil {
		return nil, fmt.Errorf("the network may be in the part that cannot be read: %w", *n.unnamed)
	}
	if key == defaultNetwork {
		return nil, nil
	}
	return nil, errors.New("no such network")
}

// binding makes the NIC of a document, with what its network and the built-in
// defaults give it. What is wrong is in d.problems.
func (d *draft) binding(nets Networks) nic.Binding {
	if d.root == nil || d.root.Kind != yamltree.Mapping {
		return nic.Binding{}
	}
	name := ""
	if d.raw.Network != nil && *d.raw.Network != defaultNetwork {
		name = *d.raw.Network
	}
	net, err := nets.of(name)
	if err != nil {
		d.lost = true
		d.fail("network", d.index["network"], name, "%v", err)
	}
	b := builder{draft: d, net: net}
	all := d.raw
	if net != nil {
		all = merged(all, net.raw)
	}
	out := b.build(all)
	out.Network = name
	out.Origin = nic.Origin{File: d.file, Line: d.line}
	b.check(out)
	return out
}
