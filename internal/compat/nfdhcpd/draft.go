package nfdhcpd

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// The keys of a binding file.
const (
	keyIP          = "IP"
	keyMAC         = "MAC"
	keyHostname    = "HOSTNAME"
	keyIndev       = "INDEV"
	keySubnet      = "SUBNET"
	keyGateway     = "GATEWAY"
	keySubnet6     = "SUBNET6"
	keyGateway6    = "GATEWAY6"
	keyEUI64       = "EUI64"
	keyMACSpoof    = "MACSPOOF"
	keyMTU         = "MTU"
	keyPrivate     = "PRIVATE"
	keyInstance    = "INSTANCE"
	keyTags        = "TAGS"
	keyLink        = "LINK"
	keyServers     = "NAMESERVERS" // of davedoesdev's nfdhcpd, like the two below
	keyServers6    = "NAMESERVERS6"
	keyGateway6MAC = "GATEWAY6_MAC"
)

// known are the keys that are read; all others are ignored, as in nfdhcpd.
func known() []string {
	return []string{
		keyIP, keyMAC, keyHostname, keyIndev, keySubnet, keyGateway, keySubnet6, keyGateway6, keyEUI64,
		keyMACSpoof, keyMTU, keyPrivate, keyInstance, keyTags, keyLink, keyServers, keyServers6, keyGateway6MAC,
	}
}

// draft is one binding file on its way to a binding.
type draft struct {
	config     Config
	hosts      Hosts
	file, name string
	keys       map[string]entry
	doc        document

	problems, warnings []manifest.Problem
}

func (d *draft) get(key string) string { return d.keys[key].value }

// set reports whether a key has any value: nfdhcpd took "0" and "no" as yes.
func (d *draft) set(key string) bool { return d.get(key) != "" }

// indev is the host interface that faced the guest, the tap itself if none is
// named.
func (d *draft) indev() string {
	if i := d.get(keyIndev); i != "" {
		return i
	}
	return d.name
}

// routed reports whether there is no bridge: then INDEV is the tap itself.
func (d *draft) routed() bool { return d.indev() == d.name }

func (d *draft) names() []string {
	if nic.ValidName(d.name) {
		return []string{d.name}
	}
	return nil
}

// problem notes a mistake at a key. One at no key, or at a key that is
// missing, is the whole file's.
func (d *draft) problem(key, value, text string) {
	d.problems = append(d.problems, d.at(key, value, text))
}

func (d *draft) warn(key, text string) {
	d.warnings = append(d.warnings, d.at(key, d.get(key), text))
}

func (d *draft) at(key, value, text string) manifest.Problem {
	p := manifest.Problem{File: d.file, NIC: d.name, Field: key, Value: value, Text: text}
	if e, ok := d.keys[key]; ok {
		p.Line, p.Column = e.line, 1
	}
	return p
}

// mac reads a MAC, zero if there is none or it is a mistake.
func (d *draft) mac(key string) nic.MAC {
	if !d.set(key) {
		return nic.MAC{}
	}
	m, err := nic.ParseMAC(d.get(key))
	if err != nil {
		d.problem(key, d.get(key), "not a MAC address such as 52:54:00:aa:00:01")
	}
	return m
}

// family is 4 or 6.
type family int

func (f family) is(a netip.Addr) bool { return a.Is4() == (f == 4) && !a.Is4In6() && a.Zone() == "" }

func (f family) example() string {
	if f == 4 {
		return "192.0.2.0/24"
	}
	return "2001:db8:1::/64"
}

// addr reads an address, zero if there is none or it is a mistake.
func (d *draft) addr(key string, f family) netip.Addr {
	if !d.set(key) {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(d.get(key))
	if err != nil || !f.is(a) {
		d.problem(key, d.get(key), fmt.Sprintf("not an IPv%d address", f))
		return netip.Addr{}
	}
	return a
}

// prefix reads a subnet, zero if there is none or it is a mistake.
func (d *draft) prefix(key string, f family) netip.Prefix {
	if !d.set(key) {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(d.get(key))
	switch {
	case err != nil || !f.is(p.Addr()):
		d.problem(key, d.get(key), fmt.Sprintf("not an IPv%d subnet such as %s", f, f.example()))
	case p != p.Masked():
		d.problem(key, d.get(key), "host bits are set; the subnet is "+p.Masked().String())
	default:
		return p
	}
	return netip.Prefix{}
}

// addrs reads a list with commas or blanks between.
func (d *draft) addrs(key string, f family) []netip.Addr {
	var list []netip.Addr
	for _, s := range strings.FieldsFunc(d.get(key), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		a, err := netip.ParseAddr(s)
		if err != nil || !f.is(a) {
			d.problem(key, s, fmt.Sprintf("not an IPv%d address", f))
			continue
		}
		list = append(list, a)
	}
	return list
}
