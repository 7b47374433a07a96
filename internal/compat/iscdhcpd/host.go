package iscdhcpd

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/nic"
)

// dhcpd's own defaults, for what a configuration leaves out (dhcpd.conf(5),
// and of the shortest lease its includes/dhcpd.h).
const (
	defaultLease = 43200
	maxLease     = 86400
	minLease     = 300
)

// Times are what dhcpd grants to who asks for no time, and at most. What is 0
// is not configured. A lease is held below the longest one first, then above
// the shortest, so that a configured 120 of at most 240 seconds gives 240.
func Times(lease, longest, shortest compat.Time) (compat.Time, compat.Time) {
	longest = cmp.Or(longest, maxLease)
	shortest = cmp.Or(shortest, min(minLease, longest))
	lease = max(min(cmp.Or(lease, defaultLease), longest), shortest)
	return lease, max(lease, longest)
}

// identity is what a host's block says of who it is.
type identity struct {
	mac       nic.MAC
	duid      string
	addresses []netip.Addr
	delegated []netip.Prefix
	silent    bool // booting is denied
}

// host makes a host declaration into a host.
func (r *reader) host(d declared) {
	own := &scope{Place: d.Place, parent: d.within}
	id, ok := r.identity(d, own)
	if !ok {
		return
	}
	for _, family := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		all := slices.DeleteFunc(slices.Clone(id.addresses), func(a netip.Addr) bool { return !family(a) })
		if len(all) > 0 {
			r.add(d.Place, d.word(1), id, all, own)
		}
	}
	switch {
	case len(id.delegated) > 0 && !slices.ContainsFunc(id.addresses, netip.Addr.Is6):
		r.Note(d.Place, "host %s: its prefixes are not carried: it has no fixed-address6, which says its subnet", d.word(1))
	case len(id.addresses) == 0:
		r.Note(d.Place, "host %s is not carried: it has no fixed address", d.word(1))
	}
}

func (r *reader) identity(d declared, own *scope) (identity, bool) {
	var id identity
	for _, st := range d.block {
		if err := r.identify(&id, st, own); err != nil {
			r.Note(st.Place, "host %s: %s: %v", d.word(1), st.text(), err)
		}
	}
	if id.mac.IsZero() {
		id.mac, _ = compat.DUIDMAC(id.duid)
	}
	if id.mac.IsZero() {
		r.Note(d.Place, "host %s is not carried: it has no Ethernet address, in itself or in its DUID", d.word(1))
		return id, false
	}
	return id, true
}

func (r *reader) identify(id *identity, st statement, own *scope) (err error) {
	switch st.keyword() {
	case "hardware":
		if !strings.EqualFold(st.word(1), "ethernet") {
			return errors.New("only Ethernet is carried")
		}
		if len(st.words) > 3 {
			return errors.New("want one address and a semicolon")
		}
		id.mac, err = compat.MAC(st.word(2))
	case "host-identifier":
		return identifier(id, &st)
	case "fixed-address", "fixed-address6":
		return fixed(id, &st)
	case "fixed-prefix6":
		p, bad := netip.ParsePrefix(st.word(1))
		if bad != nil {
			return errors.New("not an IPv6 prefix")
		}
		id.delegated = append(id.delegated, p)
	case "uid", "dynamic": // who is asked for by its MAC needs no other sign
	case "deny", "ignore":
		id.silent = id.silent || strings.EqualFold(st.word(1), "booting")
	default:
		if st.keyword() == "option" && st.word(1) == "dhcp-client-identifier" {
			return nil // likewise
		}
		r.statement(st, own, 0)
	}
	return err
}

func identifier(id *identity, st *statement) error {
	if st.word(1) != "option" || st.word(2) != "dhcp6.client-id" || len(st.words) < 4 {
		return errors.New("only the DUID tells a client: option dhcp6.client-id")
	}
	duid, ok := compat.HexBytes(st.word(3))
	if !ok {
		return errors.New("not the octets of a DUID")
	}
	id.duid = hex.EncodeToString(duid)
	return nil
}

func fixed(id *identity, st *statement) error {
	for _, w := range st.words[1:] {
		if w.is(",") {
			continue
		}
		a, err := netip.ParseAddr(w.text)
		if err != nil {
			return fmt.Errorf("%q is not an address; names are not looked up", w.text)
		}
		id.addresses = append(id.addresses, a)
	}
	return nil
}

// add makes the host of one family. dhcpd gives the address that is in the
// client's subnet; of several, the first has to do.
func (r *reader) add(p compat.Place, name string, id identity, all []netip.Addr, own *scope) {
	s, address := r.subnetOf(all)
	if s == nil {
		r.Note(p, "host %s is not carried: no subnet has %v", name, all[0])
		return
	}
	for _, a := range all {
		if a != address {
			r.Note(p, "host %s: %v is not carried: a NIC is in one subnet, that of %v", name, a, address)
		}
	}
	set := newSettings()
	r.take(set, s, nil)
	r.take(set, own, root(own))
	h := compat.Host{Place: p, Name: "host " + name}
	h.MAC = id.mac
	h.Addresses = []netip.Prefix{netip.PrefixFrom(address, s.subnet.Bits())}
	if address.Is4() {
		r.fill4(&h, set, s)
		h.DHCP4.Off = id.silent
		if on(set, "use-host-decl-names") && h.Hostname == "" {
			h.TellName(name)
		}
	} else {
		r.fill6(&h, set)
		h.Delegated, h.DHCP6.DUID = id.delegated, id.duid
	}
	r.Hosts = append(r.Hosts, h)
}

func root(s *scope) *scope {
	for s.parent != nil {
		s = s.parent
	}
	return s
}

func (r *reader) subnetOf(all []netip.Addr) (*scope, netip.Addr) {
	for _, a := range all {
		for _, s := range r.subnets {
			if s.subnet.Contains(a) {
				return s, a
			}
		}
	}
	return nil, netip.Addr{}
}

func on(set settings, name string) bool {
	st, ok := set.params[name]
	return ok && (st.word(1) == "on" || st.word(1) == "true")
}

func (r *reader) fill4(h *compat.Host, set settings, s *scope) {
	if o, ok := set.options4[51]; ok {
		r.Note(o.Place, "option dhcp-lease-time is not carried: dhcpd goes by default-lease-time")
		delete(set.options4, 51)
	}
	r.Notes = append(r.Notes, h.Apply4(set.options4)...)
	d := &h.DHCP4
	d.Lease, d.MaxLease = Times(r.seconds(set, "default-lease-time", 0), r.seconds(set, "max-lease-time", 0), r.seconds(set, "min-lease-time", 0))
	if a, ok := r.address(set, "server-identifier"); ok {
		d.ServerID = a
	}
	if a, ok := r.address(set, "next-server"); ok {
		d.Boot.NextServer = a
	}
	if st, ok := set.params["server-name"]; ok {
		d.Boot.ServerName = st.word(1)
	}
	if st, ok := set.params["filename"]; ok {
		d.Boot.File = st.word(1)
	}
	if !d.ServerID.IsValid() {
		d.ServerID = r.server(s)
	}
}

// server finds the identifier that a configuration leaves to the address of
// the interface.
func (r *reader) server(s *scope) netip.Addr {
	a := compat.ServerIn(r.in.Servers, s.subnet)
	if !a.IsValid() && !s.unknown {
		s.unknown = true
		r.Note(s.Place, "subnet %v: the server identifier is dhcpd's own address, which is not in the file; the gateway's is used unless it is given", s.subnet)
	}
	return a
}

func (r *reader) fill6(h *compat.Host, set settings) {
	r.Notes = append(r.Notes, h.Apply6(set.options6)...)
	valid := r.seconds(set, "default-lease-time", defaultLease)
	// dhcpd.conf(5): 5/8 of the valid lifetime.
	h.DHCP6.Valid, h.DHCP6.Preferred = valid, min(valid, r.seconds(set, "preferred-lifetime", valid/8*5))
	h.DHCP6.T1, h.DHCP6.T2 = renewal(set, 58), renewal(set, 59)
	h.RA.Mode = "site" // somebody else advertises on this link
}

// renewal is T1 or T2, which dhcpd takes from the options of DHCPv4 in DHCPv6
// too; 0 if neither is said.
func renewal(set settings, code uint16) compat.Time {
	if o, ok := set.options4[code]; ok && len(o.Data) == 4 {
		return compat.Time(binary.BigEndian.Uint32(o.Data))
	}
	return 0
}

func (r *reader) seconds(set settings, name string, otherwise compat.Time) compat.Time {
	st, ok := set.params[name]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(st.word(1), 10, 32)
	if err != nil || len(st.words) > 2 {
		r.Note(st.Place, "%s: not a number of seconds", st.text())
		return otherwise
	}
	return compat.Time(n)
}

func (r *reader) address(set settings, name string) (netip.Addr, bool) {
	st, ok := set.params[name]
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(st.word(1))
	ok = err == nil && len(st.words) == 2
	if !ok {
		r.Note(st.Place, "%s: not an address; names are not looked up", st.text())
	}
	return a, ok
}
