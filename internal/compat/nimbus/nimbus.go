// Package nimbus reads what the workspace service's node tools were given and
// have left behind: the arguments of dhcp-config and ebtables-config, the NIC
// string of workspace-control, networks.conf, and the entries that
// dhcp-conf-alter wrote into dhcpd.conf. Each becomes a binding's document.
//
// The service's own network pools become resources of the controller.
//
// Not here: asking berthd, files, exit codes (cmd/berth), and the pickled
// state of workspace-control, which only its own Python reads.
package nimbus

import (
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Serve is who answers the NIC's DHCP.
type Serve uint8

// The choices.
const (
	Berth Serve = iota // berth, with the identity
	Hush               // nobody yet: requests are consumed, so that none reaches the site
	Site               // the site's server, which gets the requests (localdhcp: false)
)

// Identity is one NIC as Nimbus knows it: IPv4, one address.
type Identity struct {
	NIC       string // host interface, "vif"
	MAC       nic.MAC
	Address   netip.Addr
	Bits      int        // length of the subnet; 0: not given
	Gateway   netip.Addr // zero: none, an isolated subnet
	Broadcast netip.Addr // zero: the subnet's
	Hostname  string     // "": none
	DNS       []netip.Addr
	ServerID  netip.Addr        // where the answers come from; zero: berth's default
	Lease     nic.Seconds       // zero: berth's default
	MaxLease  nic.Seconds       // zero: as Lease
	Tags      map[string]string // what else is known, for people
	Serve     Serve

	from origin
}

// origin is where an identity was read, so that a mistake which only the whole
// binding shows is told in the words its writer used.
type origin struct {
	file  string
	line  int
	words map[string]string // a binding's key: the word for it
}

// ServedFrom takes from the interface where the node's DHCP server stood what
// the caller left to it: the subnet's length, as dhcpd took it from the
// interface's subnet, and the server's own address, which guests that hold a
// lease know as its identifier. The prefixes have their host bits.
func (i Identity) ServedFrom(local []netip.Prefix) Identity {
	for _, p := range local {
		if !p.Addr().Is4() || !p.Contains(i.Address) || p.Addr() == i.Address {
			continue
		}
		i.ServerID = p.Addr()
		if i.Bits == 0 {
			i.Bits = p.Bits()
		}
		return i
	}
	return i
}

// Within takes the subnet's length from the narrowest of the prefixes that
// holds the address, if it was not given. It is never guessed from the
// address's class.
func (i Identity) Within(subnets []netip.Prefix) Identity {
	if i.Bits > 0 {
		return i
	}
	for _, p := range subnets {
		if p.Contains(i.Address) && p.Bits() > i.Bits {
			i.Bits = p.Bits()
		}
	}
	return i
}

// Document writes the identity as a document for berthd, and checks it. The
// error is Mistakes.
func (i Identity) Document() ([]byte, error) {
	doc, _, err := i.build()
	return doc, err
}

// Binding is the identity with a binding's defaults. The error is Mistakes.
func (i Identity) Binding() (nic.Binding, error) {
	_, b, err := i.build()
	return b, err
}

func (i Identity) build() ([]byte, nic.Binding, error) {
	if i.Bits == 0 && i.Serve == Berth {
		return nil, nic.Binding{}, Mistakes{i.from.problem("mask", "", "missing, and nothing says which subnet "+i.Address.String()+" is in")}
	}
	doc, err := json.Marshal(i.document())
	if err != nil {
		return nil, nic.Binding{}, err
	}
	r := manifest.Parse("", doc, manifest.Networks{})
	var bad Mistakes
	for _, p := range r.Problems {
		bad = append(bad, i.from.problem(p.Field, p.Value, p.Text))
	}
	if len(bad) > 0 {
		return nil, nic.Binding{}, bad
	}
	return doc, r.Bindings[0], nil
}

// document has the keys of a binding that Nimbus decides. They are written
// also where there is nothing, so that no network's defaults take their place.
type document struct {
	NIC       string            `json:"nic"`
	MAC       nic.MAC           `json:"mac"`
	Addresses []netip.Prefix    `json:"addresses"`
	Hostname  string            `json:"hostname,omitempty"`
	Gateway   string            `json:"gateway"`
	Broadcast string            `json:"broadcast"`
	DNS       []netip.Addr      `json:"dns"`
	ServedBy  string            `json:"served-by"`
	DHCP4     dhcp4             `json:"dhcp4"`
	Tags      map[string]string `json:"tags,omitempty"`
}

type dhcp4 struct {
	Off      bool        `json:"off"`
	ServerID string      `json:"server-id,omitempty"`
	Lease    compat.Time `json:"lease,omitzero"`
	MaxLease compat.Time `json:"max-lease,omitzero"`
	Options  []option    `json:"options,omitempty"`
}

type option struct {
	Code  int    `json:"code"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

func (i Identity) document() document {
	bits := i.Bits
	if bits == 0 {
		bits = i.Address.BitLen() // what may be sent from, and nothing is told
	}
	d := document{
		NIC: i.NIC, MAC: i.MAC, Addresses: []netip.Prefix{netip.PrefixFrom(i.Address, bits)},
		Hostname: i.Hostname, Gateway: orNone(i.Gateway), Broadcast: orNone(i.Broadcast),
		DNS: append([]netip.Addr{}, i.DNS...), ServedBy: "berth", Tags: i.Tags,
		DHCP4: dhcp4{Off: i.Serve == Hush, Lease: compat.Time(i.Lease), MaxLease: compat.Time(i.MaxLease)},
	}
	// dhcpd gave a full name whole, and no domain for it.
	if label, _, full := strings.Cut(i.Hostname, "."); full {
		d.Hostname = label
		d.DHCP4.Options = []option{{12, "string", i.Hostname}}
	}
	if i.ServerID.IsValid() {
		d.DHCP4.ServerID = i.ServerID.String()
	}
	if i.Serve == Site {
		d.ServedBy = "site"
	}
	return d
}

func orNone(a netip.Addr) string {
	if !a.IsValid() {
		return "none"
	}
	return a.String()
}

// problem words a mistake at one of a binding's keys as one at the word that
// gave it.
func (o origin) problem(key, value, text string) manifest.Problem {
	p := manifest.Problem{File: o.file, Line: o.line, Field: key, Value: value, Text: text}
	if o.line > 0 {
		p.Column = 1
	}
	list, _, _ := strings.Cut(key, "[")
	for _, k := range []string{key, list} {
		if word, ok := o.words[k]; ok {
			p.Field = word
			break
		}
	}
	return p
}

// Mistakes are what is wrong with an input, at least one.
type Mistakes []manifest.Problem

// Error lists them all.
func (m Mistakes) Error() string { return strings.Join(m.Lines(), "; ") }

// Lines has a line for each.
func (m Mistakes) Lines() []string {
	lines := make([]string, len(m))
	for i, p := range m {
		lines[i] = p.Error()
	}
	return lines
}

// orNil is nil for none: an empty Mistakes in an error would be one.
func (m Mistakes) orNil() error {
	if len(m) == 0 {
		return nil
	}
	return m
}
