// Package kea reads the configuration of Kea's DHCPv4 and DHCPv6 servers (Kea
// Administrator Reference Manual) and makes its reservations, and the active
// leases of a memfile, into hosts.
//
// Not here: pools and client classes, whose outcome depends on who asks, and
// reservations in databases; each is told in a note.
package kea

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/berth-net/berth/internal/compat"
)

// Parse reads configurations and leases. A file that is not JSON is told with
// the place of the mistake, and nothing of it is carried.
func Parse(in compat.Input) compat.Result {
	r := &reader{in: in, untold: map[*node]bool{}}
	for _, f := range in.Files {
		r.file(f)
	}
	for _, f := range in.Leases {
		r.leases(f)
	}
	r.Sort()
	return r.Result
}

type reader struct {
	compat.Result
	in      compat.Input
	subnets []scope
	untold  map[*node]bool // subnets whose missing server identifier is told
}

// scope is what applies to a reservation: the levels around it, the innermost
// last.
type scope struct {
	six    bool
	subnet netip.Prefix
	levels []*node
}

func (s scope) with(n *node) scope {
	s.levels = append(slices.Clone(s.levels), n)
	return s
}

// find is the innermost value of a key.
func (s scope) find(key string) *node {
	for _, l := range slices.Backward(s.levels) {
		if v := l.get(key); v != nil {
			return v
		}
	}
	return nil
}

func (r *reader) file(f compat.File) {
	root := load(f, &r.Result)
	if root == nil {
		return
	}
	read := false
	for _, family := range []struct {
		key, subnets string
		six          bool
	}{{"Dhcp4", "subnet4", false}, {"Dhcp6", "subnet6", true}} {
		if top := root.get(family.key); top != nil {
			read = true
			if top.of == nil {
				r.Note(top.Place, "%s is not read: want an object", family.key)
				continue
			}
			r.family(top, family.subnets, family.six)
		}
	}
	if !read {
		r.Note(root.Place, "has neither Dhcp4 nor Dhcp6")
	}
}

func (r *reader) family(top *node, subnets string, six bool) {
	s := scope{six: six}.with(top)
	first := len(r.subnets)
	r.keys(top)
	r.inside(top, subnets, s)
	for _, shared := range top.items("shared-networks") {
		r.keys(shared)
		r.inside(shared, subnets, s.with(shared))
	}
	for _, n := range top.items("reservations") {
		r.global(n, r.subnets[first:])
	}
}

func (r *reader) inside(n *node, subnets string, s scope) {
	for _, sub := range n.items(subnets) {
		p, err := netip.ParsePrefix(sub.str("subnet"))
		if err != nil || p.Addr().Is6() != s.six {
			r.Note(sub.Place, "the subnet %q is no prefix of its family", sub.str("subnet"))
			continue
		}
		r.keys(sub)
		in := s.with(sub)
		in.subnet = p.Masked()
		r.subnets = append(r.subnets, in)
		for _, res := range sub.items("reservations") {
			r.reservation(res, in)
		}
	}
}

// global finds the subnet of a reservation that stands outside of all.
func (r *reader) global(n *node, subnets []scope) {
	a, err := netip.ParseAddr(first(n))
	for _, s := range subnets {
		if err == nil && s.subnet.Contains(a) {
			r.reservation(n, s)
			return
		}
	}
	r.Note(n.Place, "%s is not carried: no subnet has its address", called(n))
}

func first(n *node) string {
	if list := n.items("ip-addresses"); len(list) > 0 {
		return list[0].text
	}
	return n.str("ip-address")
}

// called is how messages name a reservation.
func called(n *node) string {
	for _, key := range []string{"hostname", "ip-address", "hw-address", "duid"} {
		if s := n.str(key); s != "" {
			return "reservation " + s
		}
	}
	return "reservation"
}

// keys tells what of a level is not carried.
func (r *reader) keys(n *node) {
	for _, key := range n.keys {
		v := n.of[key]
		if v.list == nil && isList(key) && (v.of != nil || v.text != "") {
			r.Note(v.Place, "%s is not read: want a list", key)
		}
		empty := len(v.list) == 0 && v.of == nil && (v.text == "" || v.text == "false")
		if why, known := lost(key); !empty && (!known || why != "") {
			if !known {
				why = "it is not understood"
			}
			r.Note(v.Place, "%s is not carried: %s", key, why)
		}
	}
}

// isList are the keys of lists whose objects are read.
func isList(key string) bool {
	switch key {
	case "subnet4", "subnet6", "shared-networks", "reservations", "option-data", "option-def", "ip-addresses", "prefixes":
		return true
	}
	return false
}

// lost says why a key is not carried; "" if it is, or if there is nothing of
// it that a binding could have.
func lost(key string) (why string, known bool) {
	switch key {
	case "pools", "pd-pools":
		return "addresses are not given from a pool; active leases can be, from the file of leases", true
	case "client-classes", "client-class", "require-client-classes", "evaluate-additional-classes":
		return "a binding has no classes", true
	case "hosts-database", "hosts-databases", "config-control":
		return "what a database holds is not read", true
	case "hooks-libraries":
		return "what a hook does is not known", true
	case "ddns-send-updates", "dhcp-ddns", "ddns-replace-client-name", "ddns-qualifying-suffix", "ddns-generated-prefix":
		return "berth does not update DNS", true
	case "min-valid-lifetime", "min-preferred-lifetime":
		return "a guest may ask for a shorter lease", true
	case "max-preferred-lifetime", "max-valid-lifetime", "4o6-interface", "4o6-subnet", "relay", "interface-id":
		return "", true
	}
	return "", slices.Contains(settled(), key)
}

// settled are the keys that are carried, or that are about Kea itself or about
// clients without a reservation.
func settled() []string {
	return []string{
		"subnet4", "subnet6", "shared-networks", "reservations", "option-data", "option-def", "subnet", "id", "name", "interface",
		"valid-lifetime", "preferred-lifetime", "renew-timer", "rebind-timer", "calculate-tee-times", "t1-percent", "t2-percent",
		"next-server", "server-hostname", "boot-file-name", "rapid-commit", "authoritative", "match-client-id", "comment", "user-context",
		"interfaces-config", "control-socket", "control-sockets", "lease-database", "expired-leases-processing", "loggers", "server-id",
		"host-reservation-identifiers", "reservation-mode", "reservations-global", "reservations-in-subnet", "reservations-out-of-pool",
		"reservations-lookup-first", "multi-threading", "sanity-checks", "echo-client-id", "decline-probation-period", "dhcp4o6-port",
		"dhcp-queue-control", "early-global-reservations-lookup", "ip-reservations-unique", "store-extended-info", "allocator", "pd-allocator",
		"cache-threshold", "cache-max-age", "parked-packet-limit", "statistic-default-sample-count", "statistic-default-sample-age",
		"hostname-char-set", "hostname-char-replacement", "mac-sources", "relay-supplied-options", "server-tag", "compatibility",
		"ddns-override-no-update", "ddns-override-client-update", "ddns-update-on-renew", "ddns-conflict-resolution-mode", "ddns-use-conflict-resolution",
		"hw-address", "duid", "ip-address", "ip-addresses", "prefixes", "hostname",
	}
}

func (r *reader) reservation(n *node, s scope) {
	h := compat.Host{Place: n.Place, Name: called(n)}
	if err := identity(&h, n); err != nil {
		r.Note(n.Place, "%s is not carried: %v", h.Name, err)
		return
	}
	for _, err := range addresses(&h, n, s) {
		r.Note(n.Place, "%s: %v", h.Name, err)
	}
	if len(h.Addresses) == 0 && len(h.Delegated) == 0 {
		r.Note(n.Place, "%s is not carried: it has no address", h.Name)
		return
	}
	r.keys(n)
	r.fill(&h, s.with(n))
	switch name := n.str("hostname"); {
	case name == "": // an option may have one
	case s.six:
		h.Hostname = name
	default:
		h.TellName(name)
	}
	r.Hosts = append(r.Hosts, h)
}

// identity finds the MAC by which the host will be known.
func identity(h *compat.Host, n *node) (err error) {
	h.DHCP6.DUID = n.str("duid")
	if s := n.str("hw-address"); s != "" {
		h.MAC, err = compat.MAC(s)
		return err
	}
	mac, ok := compat.DUIDMAC(h.DHCP6.DUID)
	if !ok {
		return errors.New("it has no Ethernet address, in itself or in its DUID")
	}
	h.MAC = mac
	return nil
}

func addresses(h *compat.Host, n *node, s scope) (failed []error) {
	texts := []string{}
	if a := n.str("ip-address"); a != "" {
		texts = append(texts, a)
	}
	for _, a := range n.items("ip-addresses") {
		texts = append(texts, a.text)
	}
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil || !s.subnet.Contains(a) {
			failed = append(failed, fmt.Errorf("%q is no address of the subnet %v", text, s.subnet))
			continue
		}
		h.Addresses = append(h.Addresses, netip.PrefixFrom(a, s.subnet.Bits()))
	}
	for _, p := range n.items("prefixes") {
		prefix, err := netip.ParsePrefix(p.text)
		if err != nil {
			failed = append(failed, fmt.Errorf("%q is no prefix", p.text))
			continue
		}
		h.Delegated = append(h.Delegated, prefix)
	}
	return failed
}

// fill gives a host what its levels say.
func (r *reader) fill(h *compat.Host, s scope) {
	options := r.options(s)
	if s.six {
		r.Notes = append(r.Notes, h.Apply6(options)...)
		r.times6(h, s)
		h.RA.Mode = "site" // somebody else advertises on this link
		return
	}
	h.DHCP6 = compat.DHCP6{}
	r.Notes = append(r.Notes, h.Apply4(options)...)
	r.times4(h, s)
	boot := &h.DHCP4.Boot
	if a, err := netip.ParseAddr(text(s.find("next-server"))); err == nil && !a.IsUnspecified() {
		boot.NextServer = a
	}
	if v := text(s.find("server-hostname")); v != "" {
		boot.ServerName = v
	}
	if v := text(s.find("boot-file-name")); v != "" {
		boot.File = v
	}
	if !h.DHCP4.ServerID.IsValid() {
		h.DHCP4.ServerID = r.server(s)
	}
}

func text(n *node) string {
	if n == nil {
		return ""
	}
	return n.text
}

// server finds the identifier that a configuration leaves to the address of
// the interface.
func (r *reader) server(s scope) netip.Addr {
	a := compat.ServerIn(r.in.Servers, s.subnet)
	subnet := s.find("subnet")
	if !a.IsValid() && subnet != nil && !r.untold[subnet] {
		r.untold[subnet] = true
		r.Note(subnet.Place, "subnet %v: the server identifier is Kea's own address, which is not in the file; the gateway's is used unless it is given", s.subnet)
	}
	return a
}

// Kea's own defaults, for what a configuration leaves out.
const (
	validLifetime     = 7200
	preferredLifetime = 3600
)

func (r *reader) times4(h *compat.Host, s scope) {
	d := &h.DHCP4
	if d.Lease == 0 {
		d.Lease = r.seconds(s, "valid-lifetime", validLifetime)
		d.MaxLease = max(d.Lease, r.seconds(s, "max-valid-lifetime", d.Lease))
	}
	d.T1, d.T2 = r.seconds(s, "renew-timer", d.T1), r.seconds(s, "rebind-timer", d.T2)
}

func (r *reader) times6(h *compat.Host, s scope) {
	d := &h.DHCP6
	d.Valid = r.seconds(s, "valid-lifetime", validLifetime)
	d.Preferred = min(d.Valid, r.seconds(s, "preferred-lifetime", preferredLifetime))
	d.T1, d.T2 = r.seconds(s, "renew-timer", 0), r.seconds(s, "rebind-timer", 0)
	d.RapidCommit = text(s.find("rapid-commit")) == "true"
}

func (r *reader) seconds(s scope, key string, otherwise compat.Time) compat.Time {
	n := s.find(key)
	if n == nil {
		return otherwise
	}
	v, err := strconv.ParseUint(n.text, 10, 32)
	if err != nil {
		r.Note(n.Place, "%s %q: not a number of seconds", key, n.text)
		return otherwise
	}
	return compat.Time(v)
}
