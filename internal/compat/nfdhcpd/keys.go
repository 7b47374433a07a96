package nfdhcpd

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// confKey is one key of nfdhcpd.conf: what nfdhcpd's own specification says of
// it, and where its value goes.
type confKey struct {
	name     string
	required bool
	note     string // told when the key is written
	set      func(*confReader, setting) error
}

const (
	unused = "not used by berth"
	queue  = "no longer needed: berth has no queues"
	decide = "no longer needed but for mode auto: berth has no queues"
)

// confKeys is the whole specification of nfdhcpd 0.16.
func confKeys() []confKey {
	return []confKey{
		{"general.pidfile", true, unused, text(nil)},
		{"general.datapath", true, "", datapath},
		{"general.logdir", true, unused, text(nil)},
		{"general.user", true, unused, text(nil)},

		{"dhcp.enable_dhcp", false, "", boolean(func(r *confReader) *bool { return &r.conf.EnableDHCP })},
		{"dhcp.lease_lifetime", true, "", times(0, func(r *confReader) *nic.Seconds { return &r.conf.LeaseLifetime })},
		{"dhcp.lease_renewal", true, "", times(0, func(r *confReader) *nic.Seconds { return &r.conf.LeaseRenewal })},
		{"dhcp.server_ip", true, "", serverIP},
		{"dhcp.server_on_link", false, "", boolean(func(r *confReader) *bool { return &r.conf.ServerOnLink })},
		{"dhcp.dhcp_queue", true, queue, number(func(*confReader) *uint64 { return new(uint64) })},
		{"dhcp.nameservers", true, "", servers(4, func(r *confReader) *[]netip.Addr { return &r.conf.Nameservers })},
		{"dhcp.domain", false, "", text(func(r *confReader) *string { return &r.conf.Domain })},

		{"ipv6.enable_ipv6", false, "", boolean(func(r *confReader) *bool { return &r.conf.EnableIPv6 })},
		{"ipv6.mode", false, "", mode},
		{"ipv6.ra_period", false, "", times(1, func(r *confReader) *nic.Seconds { return &r.conf.RAPeriod })},
		{"ipv6.rs_queue", false, decide, number(func(r *confReader) *uint64 { return &r.rs })},
		{"ipv6.ns_queue", false, decide, number(func(r *confReader) *uint64 { return &r.ns })},
		{"ipv6.dhcpv6_queue", false, decide, number(func(r *confReader) *uint64 { return &r.v6 })},
		{"ipv6.dhcp_queue", false, "deprecated: the name is dhcpv6_queue; " + decide, number(func(r *confReader) *uint64 { return &r.alias6 })},
		{"ipv6.nameservers", true, "", servers(6, func(r *confReader) *[]netip.Addr { return &r.conf.Nameservers6 })},
		{"ipv6.domains", false, "", domains},
		{"ipv6.enable_dhcpv6", false, "without effect since nfdhcpd 0.16: mode decides", func(*confReader, setting) error { return nil }},
	}
}

// OfProcess reports whether a key of nfdhcpd.conf was about nfdhcpd's process
// alone, so that nothing is lost without it.
func OfProcess(key string) bool {
	return slices.ContainsFunc(confKeys(), func(k confKey) bool {
		return k.name == key && (k.note == unused || k.note == queue || k.note == decide)
	})
}

// one is the value of a key that takes one.
func (s setting) one() (string, error) {
	if s.list {
		return "", errors.New("one value is wanted, not a list; put it in quotes if it has a comma")
	}
	return s.text(), nil
}

// text reads any one value; a nil to only checks it.
func text(to func(*confReader) *string) func(*confReader, setting) error {
	return func(r *confReader, s setting) error {
		v, err := s.one()
		if err == nil && to != nil {
			*to(r) = v
		}
		return err
	}
}

func datapath(r *confReader, s setting) error {
	v, err := s.one()
	if err == nil && v == "" {
		return errors.New("empty: there is no directory to read")
	}
	r.conf.Datapath = v
	return err
}

func boolean(to func(*confReader) *bool) func(*confReader, setting) error {
	return func(r *confReader, s setting) error {
		v, err := s.one()
		if err != nil {
			return err
		}
		switch strings.ToLower(v) {
		case "true", "on", "1", "yes":
			*to(r) = true
		case "false", "off", "0", "no":
			*to(r) = false
		default:
			return errors.New("must be true, on, 1, yes, false, off, 0 or no")
		}
		return nil
	}
}

func integer(s setting, least, most uint64) (uint64, error) {
	v, err := s.one()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("must be %d to %d", least, most)
	}
	return n, nil
}

// number reads the number of a queue.
func number(to func(*confReader) *uint64) func(*confReader, setting) error {
	return func(r *confReader, s setting) error {
		n, err := integer(s, 0, math.MaxUint16)
		*to(r) = n
		return err
	}
}

func times(least uint64, to func(*confReader) *nic.Seconds) func(*confReader, setting) error {
	return func(r *confReader, s setting) error {
		n, err := integer(s, least, math.MaxUint32)
		*to(r) = nic.Seconds(n)
		return err
	}
}

func serverIP(r *confReader, s setting) error {
	v, err := s.one()
	if err != nil {
		return err
	}
	r.conf.ServerIP, err = address(v, 4)
	return err
}

func address(s string, f family) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !f.is(a) {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv%d address", s, f)
	}
	return a, nil
}

// servers reads a list; one that is there twice is told once.
func servers(f family, to func(*confReader) *[]netip.Addr) func(*confReader, setting) error {
	return func(r *confReader, s setting) error {
		list := to(r)
		for _, v := range s.values {
			a, err := address(v, f)
			if err != nil {
				return err
			}
			if !slices.Contains(*list, a) {
				*list = append(*list, a)
			}
		}
		return nil
	}
}

func mode(r *confReader, s setting) error {
	v, err := s.one()
	if err != nil {
		return err
	}
	switch v {
	case "auto", "slaac", "dhcpv6", "slaac+dhcpv6":
		r.mode = v
		return nil
	}
	return errors.New("must be auto, slaac, dhcpv6 or slaac+dhcpv6")
}

func domains(r *confReader, s setting) error {
	for _, v := range s.values {
		if v != "" {
			r.conf.Domains = append(r.conf.Domains, v)
		}
	}
	return nil
}
