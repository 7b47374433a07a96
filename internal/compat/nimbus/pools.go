package nimbus

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Pools reads a file of the workspace service's network-pools directory: its
// name is the network's, the first line its DNS server, and each further line
// `hostname ip gateway broadcast mask [MAC]`, with `none` for what there is
// not. It becomes a network and a pool that gives the same addresses in the
// same order, each with its hostname, and its MAC if it has one. A broken line
// costs itself; a file without the line for DNS gives nothing, as in Nimbus.
func Pools(file string, data []byte) ([]fleet.Resource, []manifest.Problem) {
	p := poolFile{reader: reader{file: file, none: "none"}, seen: map[string]string{}}
	name := path.Base(file)
	if !fleet.ValidName(name) {
		p.fail("", name, "the file's name is the network's, which has letters, digits, '-', '.' and '_'")
		return nil, p.bad
	}
	for l := range strings.Lines(string(data)) {
		p.line++
		if words := strings.Fields(l); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			p.words(words)
		}
	}
	p.line = 0
	if p.begun && len(p.entries) == 0 {
		p.fail("", "", "no entry is left")
	}
	if !p.begun || len(p.entries) == 0 {
		return nil, p.bad
	}
	return p.resources(name), p.bad
}

// poolEntry is one line of the file.
type poolEntry struct {
	line               int
	hostname           string
	address            netip.Addr
	gateway, broadcast netip.Addr // zero: none
	bits               int        // 0: none
	mac                *nic.MAC
}

func (e *poolEntry) subnet() netip.Prefix { return netip.PrefixFrom(e.address, e.bits).Masked() }

// poolFile reads the file line by line.
type poolFile struct {
	reader
	begun   bool // the line for DNS was read
	dns     netip.Addr
	entries []poolEntry
	seen    map[string]string
}

func (p *poolFile) words(words []string) {
	if !p.begun {
		p.begun = true
		if len(words) != 1 {
			p.fail("dns", words[0], "the first line is one DNS server, or none")
			p.begun = false
			return
		}
		p.dns = p.optionalAddr("dns", words[0])
		return
	}
	if len(words) < 5 || len(words) > 6 {
		p.fail("", "", "%d words; an entry is `hostname ip gateway broadcast mask [MAC]`", len(words))
		return
	}
	before := len(p.bad)
	e := poolEntry{
		line: p.line, hostname: words[0], address: p.addr("ip", words[1]),
		gateway: p.optionalAddr("gateway", words[2]), broadcast: p.optionalAddr("broadcast", words[3]), bits: p.mask("mask", words[4]),
	}
	if q := fleet.HostnameProblem(words[0]); q != "" {
		p.fail("hostname", words[0], "%s", q)
	}
	if len(words) == 6 && words[5] != p.none {
		m := p.mac("mac", words[5])
		e.mac = &m
	}
	if len(p.bad) == before && p.first("ip", words[1], p.seen) {
		p.entries = append(p.entries, e)
	}
}

// resources makes the network and its pool. Addresses whose line has no mask
// lie in the subnet of another line.
func (p *poolFile) resources(name string) []fleet.Resource {
	net := &fleet.Network{Head: fleet.Head{Kind: fleet.KindNetwork, Name: name}, Projects: []string{"*"}, Defaults: map[string]any{}}
	pool := &fleet.Pool{Head: fleet.Head{Kind: fleet.KindPool, Name: name}, Network: name, Default: true}
	if p.dns.IsValid() {
		net.Defaults["dns"] = []any{p.dns.String()}
	}
	for i := range p.entries {
		if e := &p.entries[i]; e.bits > 0 && !slices.ContainsFunc(net.Prefixes, e.subnet().Overlaps) {
			net.Prefixes = append(net.Prefixes, e.subnet())
		}
	}
	told := map[string]netip.Addr{}
	for i := range p.entries {
		if e := &p.entries[i]; p.fits(e, net, told) {
			add(pool, e)
		}
	}
	for key, a := range told {
		if a.IsValid() {
			net.Defaults[key] = a.String()
		}
	}
	return p.valid(net, pool)
}

// fits holds an entry to what one network can say: one subnet around each
// address, and the same gateway and broadcast address for all.
func (p *poolFile) fits(e *poolEntry, net *fleet.Network, told map[string]netip.Addr) bool {
	p.line = e.line
	i := slices.IndexFunc(net.Prefixes, func(s netip.Prefix) bool { return s.Contains(e.address) })
	switch {
	case i < 0:
		p.fail("mask", "", "missing, and no other line says which subnet %s is in", e.address)
		return false
	case e.bits > 0 && net.Prefixes[i].Bits() != e.bits:
		p.fail("mask", e.subnet().String(), "overlaps %s of a line above", net.Prefixes[i])
		return false
	}
	if q := nic.HostProblem(e.address, net.Prefixes[i]); q != "" {
		p.fail("ip", e.address.String(), "%s", q)
		return false
	}
	broadcast := e.broadcast
	if broadcast == fleet.RangeOf(net.Prefixes[i]).Last {
		broadcast = netip.Addr{} // follows from the subnet
	}
	for _, v := range []struct {
		key   string
		value netip.Addr
	}{{"gateway", e.gateway}, {"broadcast", broadcast}} {
		if first, ok := told[v.key]; ok && first != v.value {
			p.fail(v.key, orNone(v.value), "the lines above have %s; all of a network have the same: put it into a file of its own", orNone(first))
			return false
		}
	}
	told["gateway"], told["broadcast"] = e.gateway, broadcast
	return true
}

// add puts an address behind those of the pool.
func add(pool *fleet.Pool, e *poolEntry) {
	pool.Fixed = append(pool.Fixed, fleet.Fixed{Address: e.address, Hostname: e.hostname, MAC: e.mac})
	if n := len(pool.Ranges); n > 0 && pool.Ranges[n-1].Last.Next() == e.address {
		pool.Ranges[n-1].Last = e.address
		return
	}
	pool.Ranges = append(pool.Ranges, fleet.Range{First: e.address, Last: e.address})
}

// valid tells what the controller would refuse, each at its line.
func (p *poolFile) valid(net *fleet.Network, pool *fleet.Pool) []fleet.Resource {
	out := []fleet.Resource{net, pool}
	bad := false
	for _, r := range out {
		fleet.Complete(r)
		for _, e := range nic.FieldErrors(r.Validate()) {
			p.line, bad = 0, true
			for i, f := range pool.Fixed {
				if strings.HasPrefix(e.Field, "fixed["+strconv.Itoa(i)+"]") {
					p.line = p.lineOf(f.Address)
				}
			}
			p.fail(e.Field, e.Value, "%s", e.Problem)
		}
	}
	if bad {
		return nil
	}
	return out
}

func (p *poolFile) lineOf(a netip.Addr) int {
	i := slices.IndexFunc(p.entries, func(e poolEntry) bool { return e.address == a })
	return p.entries[i].line
}
