package compat

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Apply4 puts options of DHCPv4 where a binding has them; what has no key goes
// on as bytes. It returns what cannot be.
func (h *Host) Apply4(options Options) []Note {
	var notes []Note
	for _, code := range sorted(options) {
		o := options[code]
		if err := h.apply4(o); err != nil {
			notes = append(notes, h.lost(o, "DHCPv4", err))
		}
	}
	if o, ok := options[12]; ok {
		h.TellName(strings.TrimSuffix(string(o.Data), "\x00"))
	}
	return notes
}

// Apply6 is Apply4 for DHCPv6.
func (h *Host) Apply6(options Options) []Note {
	var notes []Note
	for _, code := range sorted(options) {
		o := options[code]
		if err := h.apply6(o); err != nil {
			notes = append(notes, h.lost(o, "DHCPv6", err))
		}
	}
	return notes
}

func (h *Host) lost(o Option, family string, err error) Note {
	r := Result{}
	r.Note(o.Place, "%s option %d of %s: %v", family, o.Code, h.Name, err)
	return r.Notes[0]
}

func sorted(options Options) []uint16 {
	codes := make([]uint16, 0, len(options))
	for c := range options {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	return codes
}

func (h *Host) apply4(o Option) (err error) {
	switch o.Code {
	case 1:
		return h.mask(o.Data)
	case 3:
		return h.routers(o.Data)
	case 6:
		h.DNS, err = appendAddrs4(h.DNS, o.Data)
	case 12: // last: it depends on the domain
	case 15:
		h.Domain = strings.TrimRight(string(o.Data), ".\x00")
	case 26:
		return h.mtu(o.Data)
	case 28:
		h.Broadcast, err = oneAddr4(o.Data)
	case 42:
		h.NTP, err = appendAddrs4(h.NTP, o.Data)
	case 114:
		h.CaptivePortal = string(o.Data)
	case 119:
		h.Search, err = names(o.Data)
	case 121:
		return h.routes(o)
	case 249: // berth gives 121's bytes
	default:
		return h.served4(o)
	}
	return err
}

// served4 are the options that are keys of dhcp4.
func (h *Host) served4(o Option) (err error) {
	d := &h.DHCP4
	switch o.Code {
	case 51:
		d.Lease, err = seconds(o.Data)
		d.MaxLease = max(d.Lease, d.MaxLease)
	case 54:
		d.ServerID, err = oneAddr4(o.Data)
	case 58:
		d.T1, err = seconds(o.Data)
	case 59:
		d.T2, err = seconds(o.Data)
	case 66:
		d.Boot.ServerName = string(o.Data)
	case 67:
		d.Boot.File = string(o.Data)
	case 108:
		d.V6OnlyWait, err = seconds(o.Data)
	case 0, 50, 52, 53, 55, 57, 61, 80, 81, 82, 255:
		return errors.New("is the protocol's own and no configuration's")
	default:
		d.Options = append(d.Options, hexOption(o))
	}
	return err
}

func (h *Host) apply6(o Option) (err error) {
	d := &h.DHCP6
	switch o.Code {
	case 7:
		if len(o.Data) != 1 {
			return errors.New("is not one byte")
		}
		d.Preference = o.Data[0]
	case 23:
		h.DNS, err = appendAddrs6(h.DNS, o.Data)
	case 24:
		h.Search, err = h.moreSearch(o.Data)
	case 31, 56:
		return h.ntp6(o)
	case 32:
		d.Refresh, err = seconds(o.Data)
	case 59:
		d.BootURL = string(o.Data)
	case 82:
		d.SolMaxRT, err = seconds(o.Data)
	case 83:
		d.InfMaxRT, err = seconds(o.Data)
	case 103:
		h.CaptivePortal = string(o.Data)
	default:
		d.Options = append(d.Options, hexOption(o))
	}
	return err
}

// ntp6 takes the list of option 31; the suboptions of 56 (RFC 5908) stay bytes.
func (h *Host) ntp6(o Option) (err error) {
	if o.Code == 56 {
		h.DHCP6.Options = append(h.DHCP6.Options, hexOption(o))
		return nil
	}
	h.NTP, err = appendAddrs6(h.NTP, o.Data)
	return err
}

// TellName sets the host name that a server gives whole, in option 12. Of a full
// name berth gives the first label there and, unless the host has a domain, the
// rest as option 15: so that guests are told the same, the whole name is an
// option of its own.
func (h *Host) TellName(name string) {
	h.Hostname = name
	label, _, full := strings.Cut(strings.TrimSuffix(name, "."), ".")
	if !full {
		return
	}
	h.DHCP4.Options = append(h.DHCP4.Options, hexOption(Option{Code: 12, Data: []byte(name)}))
	if h.Domain == "" {
		h.Hostname = label
	}
}

// mask is the length of the address, if it is another than the subnet's.
func (h *Host) mask(data []byte) error {
	a, err := oneAddr4(data)
	if err != nil {
		return err
	}
	bits, ok := MaskBits(a.String())
	if !ok {
		return errors.New("is not a netmask")
	}
	for i, p := range h.Addresses {
		if p.Addr().Is4() {
			h.Addresses[i] = netip.PrefixFrom(p.Addr(), bits)
		}
	}
	return nil
}

// routers takes the first: a binding has one gateway.
func (h *Host) routers(data []byte) error {
	list, err := appendAddrs4(nil, data)
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0].IsUnspecified() {
		return nil
	}
	h.Gateway = list[0]
	if len(list) > 1 {
		return errors.New("a binding has one gateway: " + list[0].String() + " is carried, the others are not")
	}
	return nil
}

// routes leaves the default route to the gateway, which berth adds itself. If
// there was none beside a router, a guest that reads the routes had none (RFC
// 3442), and is not given one: the option goes on as its bytes.
func (h *Host) routes(o Option) error {
	list, err := decodeRoutes(o.Data)
	if err != nil {
		return err
	}
	if h.Gateway.IsValid() && !slices.ContainsFunc(list, func(r Route) bool { return r.To.Bits() == 0 }) {
		h.DHCP4.Options = append(h.DHCP4.Options, hexOption(o))
		return nil
	}
	for _, r := range list {
		switch {
		case r.To.Bits() > 0:
			h.Routes = append(h.Routes, r)
		case !r.Via.IsValid():
			return errors.New("a default route without a router is not carried")
		case h.Gateway.IsValid() && h.Gateway != r.Via:
			return errors.New("its default route is by " + r.Via.String() + ", but the router is " + h.Gateway.String() + ", which is carried")
		default:
			h.Gateway = r.Via
		}
	}
	return nil
}

func (h *Host) mtu(data []byte) error {
	if len(data) != 2 {
		return errors.New("is not a number of 2 bytes")
	}
	h.MTU = binary.BigEndian.Uint16(data)
	return nil
}

func (h *Host) moreSearch(data []byte) ([]string, error) {
	list, err := names(data)
	return union(h.Search, list), err
}

func seconds(data []byte) (Time, error) {
	if len(data) != 4 {
		return 0, errors.New("is not a number of 4 bytes")
	}
	return Time(binary.BigEndian.Uint32(data)), nil
}

func appendAddrs4(list []netip.Addr, data []byte) ([]netip.Addr, error) {
	if len(data)%4 != 0 {
		return list, errors.New("is not a list of IPv4 addresses: " + hex.EncodeToString(data))
	}
	for b := range slices.Chunk(data, 4) {
		list = append(list, netip.AddrFrom4([4]byte(b)))
	}
	return list, nil
}

func appendAddrs6(list []netip.Addr, data []byte) ([]netip.Addr, error) {
	if len(data)%16 != 0 {
		return list, errors.New("is not a list of IPv6 addresses: " + hex.EncodeToString(data))
	}
	for b := range slices.Chunk(data, 16) {
		list = append(list, netip.AddrFrom16([16]byte(b)))
	}
	return list, nil
}

func oneAddr4(data []byte) (netip.Addr, error) {
	if len(data) != 4 {
		return netip.Addr{}, errors.New("is not one IPv4 address")
	}
	return netip.AddrFrom4([4]byte(data)), nil
}

// names reads uncompressed domain names.
func names(data []byte) (out []string, err error) {
	var labels []string
	for len(data) > 0 {
		n := int(data[0])
		if n > 63 || len(data) < 1+n {
			return out, errors.New("is not a list of domain names")
		}
		if n == 0 {
			out, labels = append(out, strings.Join(labels, ".")), nil
		} else {
			labels = append(labels, string(data[1:1+n]))
		}
		data = data[1+n:]
	}
	if labels != nil {
		return out, errors.New("has a domain name without an end")
	}
	return out, nil
}

// Join puts what DHCPv6 says of a host to what DHCPv4 says, or the other way
// round. It fails if both say something of the same family.
func (h *Host) Join(other Host) bool {
	if h.has(netip.Addr.Is4) && other.has(netip.Addr.Is4) || h.has6() && other.has6() {
		return false
	}
	if !h.has6() {
		h.DHCP6, h.Delegated = other.DHCP6, other.Delegated
		h.Gateway6, h.GatewayMAC, h.RA = other.Gateway6, other.GatewayMAC, other.RA
	} else {
		dhcp4 := other.DHCP4
		h.DHCP4, h.Gateway, h.Broadcast, h.Routes = dhcp4, other.Gateway, other.Broadcast, other.Routes
	}
	h.Addresses = append(slices.Clone(h.Addresses), other.Addresses...)
	h.DNS = append(slices.Clone(h.DNS), other.DNS...)
	h.NTP = append(slices.Clone(h.NTP), other.NTP...)
	h.Search = union(h.Search, other.Search)
	h.NIC, h.Hostname, h.Domain = cmp.Or(h.NIC, other.NIC), cmp.Or(h.Hostname, other.Hostname), cmp.Or(h.Domain, other.Domain)
	h.MTU, h.CaptivePortal = cmp.Or(h.MTU, other.MTU), cmp.Or(h.CaptivePortal, other.CaptivePortal)
	return true
}

func (h *Host) has(family func(netip.Addr) bool) bool {
	return slices.ContainsFunc(h.Addresses, func(p netip.Prefix) bool { return family(p.Addr()) })
}

func (h *Host) has6() bool { return h.has(netip.Addr.Is6) || len(h.Delegated) > 0 }

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
