package manifest

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// none takes away what a network gives.
const none = "none"

// builder turns raw text into a binding, noting every value that is not what
// its key wants.
type builder struct {
	draft *draft
	net   *draft // what is inherited from, nil if nothing
}

// build makes the binding; rules between values are nic.Validate's.
func (b *builder) build(r raw) nic.Binding {
	r = merged(r, defaults(b.leaseOf(r)))
	return nic.Binding{
		NIC:            text(r.NIC),
		MAC:            b.mac("mac", r.MAC),
		Suspended:      *r.Suspended,
		Hostname:       text(r.Hostname),
		Domain:         text(r.Domain),
		Search:         list0(r.Search),
		Addresses:      each(b, "addresses", r.Addresses, parsePrefix),
		Gateway:        b.addr("gateway", r.Gateway),
		Broadcast:      b.addr("broadcast", r.Broadcast),
		NoDefaultRoute: *r.NoDefaultRoute,
		Routes:         b.routes(r.Routes),
		DNS:            each(b, "dns", r.DNS, parseAddr),
		NTP:            each(b, "ntp", r.NTP, parseAddr),
		MTU:            uint16(b.number("mtu", r.MTU, 0xffff)),
		Tags:           tags(r.Tags),
		DHCP4:          b.dhcp4(r),
		Guard:          b.guard(*r.Guard),
	}
}

// leaseOf reads the lease first, because defaults follow it. A bad one is
// told when it is read as a key.
func (b *builder) leaseOf(r raw) nic.Seconds {
	if r.DHCP4 != nil && r.DHCP4.Lease != nil {
		if s, err := parseSeconds(*r.DHCP4.Lease); err == nil {
			return s
		}
	}
	return defaultLease
}

func (b *builder) dhcp4(r raw) nic.DHCP4 {
	d := r.DHCP4
	return nic.DHCP4{
		Off:                *d.Off,
		Address:            b.delivered(d.Address, r.Addresses),
		ServerID:           b.serverID(*d.ServerID),
		Lease:              b.seconds("dhcp4.lease", d.Lease),
		MaxLease:           b.seconds("dhcp4.max-lease", d.MaxLease),
		T1:                 b.seconds("dhcp4.t1", d.T1),
		T2:                 b.seconds("dhcp4.t2", d.T2),
		OnlyRequested:      *d.OnlyRequested,
		NoRouterWithRoutes: *d.NoRouterWithRoutes,
		RapidCommit:        *d.RapidCommit,
		Relay:              *d.Relay,
		V6OnlyWait:         b.seconds("dhcp4.v6-only-wait", d.V6OnlyWait),
		Options:            b.options(d.Options),
		Boot:               b.boot("dhcp4.boot", d.Boot),
		BootArch:           b.bootArch(d.BootArch),
		BootIPXE:           b.boot("dhcp4.boot-ipxe", d.BootIPXE),
	}
}

func (b *builder) guard(g rawGuard) nic.Guard {
	c := g.Checks
	return nic.Guard{
		Mode:            b.mode(*g.Mode),
		Checks:          nic.Checks{MAC: *c.MAC, ARP: *c.ARP, ND: *c.ND, IP: *c.IP, L2: *c.L2},
		AllowAddresses:  each(b, "guard.allow-addresses", g.AllowAddresses, parseAllow),
		AllowMACs:       each(b, "guard.allow-macs", g.AllowMACs, parseMAC),
		AllowEthertypes: each(b, "guard.allow-ethertypes", g.AllowEthertypes, parseEthertype),
		Router:          *g.Router,
		Rate: nic.Rate{
			PerSecond: uint32(b.number("guard.rate.per-second", g.Rate.PerSecond, 1_000_000)),
			Burst:     uint32(b.number("guard.rate.burst", g.Rate.Burst, 1_000_000)),
		},
	}
}

func (b *builder) mac(path string, s *string) nic.MAC {
	if s == nil {
		b.bad(path, "", errors.New("missing: a NIC needs its guest's MAC address"))
		return nic.MAC{}
	}
	m, err := parseMAC(*s)
	if err != nil {
		b.bad(path, *s, err)
	}
	return m
}

func (b *builder) addr(path string, s *string) netip.Addr {
	if s == nil || *s == none {
		return netip.Addr{}
	}
	a, err := parseAddr(*s)
	if err != nil {
		b.bad(path, *s, err)
	}
	return a
}

func (b *builder) seconds(path string, s *string) nic.Seconds {
	if s == nil || *s == none {
		return 0
	}
	n, err := parseSeconds(*s)
	if err != nil {
		b.bad(path, *s, err)
	}
	return n
}

func (b *builder) number(path string, n *int64, most int64) int64 {
	if n == nil {
		return 0
	}
	if *n < 0 || *n > most {
		b.bad(path, strconv.FormatInt(*n, 10), fmt.Errorf("must be 0 to %d", most))
		return 0
	}
	return *n
}

func (b *builder) mode(s string) nic.Mode {
	switch s {
	case "enforce":
		return nic.Enforce
	case "audit":
		return nic.Audit
	case "off":
		return nic.Off
	}
	b.bad("guard.mode", s, errors.New("must be enforce, audit or off"))
	return nic.Enforce
}

func (b *builder) serverID(s string) nic.ServerID {
	switch s {
	case "gateway":
		return nic.ServerID{Kind: nic.ServerIDGateway}
	case "first-host":
		return nic.ServerID{Kind: nic.ServerIDFirstHost}
	case "interface":
		return nic.ServerID{Kind: nic.ServerIDInterface}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		b.bad("dhcp4.server-id", s, errors.New("must be gateway, first-host, interface or an IPv4 address"))
	}
	return nic.ServerID{Kind: nic.ServerIDFixed, Addr: a}
}

// delivered finds the address among the NIC's own; its length may be left out.
func (b *builder) delivered(s *string, own []string) netip.Prefix {
	if s == nil {
		return netip.Prefix{}
	}
	for _, o := range own {
		if p, err := netip.ParsePrefix(o); err == nil && (*s == p.Addr().String() || *s == p.String()) {
			return p
		}
	}
	b.bad("dhcp4.address", *s, errors.New("not one of the NIC's addresses"))
	return netip.Prefix{}
}

func (b *builder) routes(list []rawRoute) []nic.Route {
	var out []nic.Route
	for i, r := range list {
		path := fmt.Sprintf("routes[%d]", i)
		if r.To == nil {
			b.bad(path+".to", "", errors.New("missing: a route needs a destination"))
			continue
		}
		to, err := netip.ParsePrefix(*r.To)
		if err != nil {
			b.bad(path+".to", *r.To, errors.New("not a prefix such as 10.0.0.0/8"))
		}
		out = append(out, nic.Route{To: to, Via: b.addr(path+".via", r.Via)})
	}
	return out
}

func (b *builder) options(list []rawOption) []nic.Option {
	var out []nic.Option
	for i, o := range list {
		path := fmt.Sprintf("dhcp4.options[%d]", i)
		if o.Code == nil {
			b.bad(path+".code", "", errors.New("missing: an option needs its number"))
			continue
		}
		code := b.number(path+".code", o.Code, 0xff)
		out = append(out, nic.Option{Code: uint8(code), Data: b.optionData(path, o)})
	}
	return out
}

func (b *builder) optionData(path string, o rawOption) []byte {
	if o.Type == nil {
		b.bad(path+".type", "", errors.New("missing: must be ipv4, int8, int16, int32, string, hex, domain, route or bool"))
		return nil
	}
	encode := optionEncoder(*o.Type)
	switch {
	case encode == nil:
		b.bad(path+".type", *o.Type, errors.New("must be ipv4, int8, int16, int32, string, hex, domain, route or bool"))
		return nil
	case (o.Value == nil) == (o.Values == nil):
		b.bad(path, "", errors.New("an option needs either value or values"))
		return nil
	case o.Values != nil && *o.Type == "string":
		b.bad(path+".values", "", errors.New("a string has one value"))
		return nil
	}
	values, at := o.Values, func(i int) string { return fmt.Sprintf("%s.values[%d]", path, i) }
	if o.Value != nil {
		values, at = []string{*o.Value}, func(int) string { return path + ".value" }
	}
	var data []byte
	for i, v := range values {
		bytes, err := encode(v)
		if err != nil {
			b.bad(at(i), v, err)
		}
		data = append(data, bytes...)
	}
	return data
}

func (b *builder) boot(path string, r *rawBoot) nic.Boot {
	if r == nil {
		return nic.Boot{}
	}
	return nic.Boot{
		NextServer: b.addr(path+".next-server", r.NextServer),
		ServerName: text(r.ServerName),
		File:       text(r.File),
	}
}

func (b *builder) bootArch(m map[string]rawBoot) map[uint16]nic.Boot {
	var out map[uint16]nic.Boot
	for _, key := range slices.Sorted(maps.Keys(m)) {
		path := "dhcp4.boot-arch[" + key + "]"
		arch, err := parseInt(key)
		if err != nil || arch < 0 || arch > 0xffff {
			b.bad(path, "", errors.New("the client architecture must be 0 to 65535 (RFC 4578)"))
			continue
		}
		if _, dup := out[uint16(arch)]; dup {
			b.bad(path, "", fmt.Errorf("architecture %d is given twice", arch))
		}
		if out == nil {
			out = map[uint16]nic.Boot{}
		}
		boot := m[key]
		out[uint16(arch)] = b.boot(path, &boot)
	}
	return out
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// list0 is the list, nil if it is empty: one binding has one form.
func list0(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}

func tags(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

// each parses a list; a value that cannot be read keeps its place.
func each[T any](b *builder, path string, list []string, parse func(string) (T, error)) []T {
	var out []T
	for i, s := range list {
		v, err := parse(s)
		if err != nil {
			b.bad(fmt.Sprintf("%s[%d]", path, i), s, err)
		}
		out = append(out, v)
	}
	return out
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, errors.New("not an IPv4 address")
	}
	return a, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err == nil {
		return p, nil
	}
	if _, plain := netip.ParseAddr(s); plain == nil {
		return p, fmt.Errorf("has no prefix length; write %s/24 or whatever its subnet is", s)
	}
	return p, errors.New("not an address with its subnet's length such as 192.0.2.10/24")
}

func parseAllow(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, errors.New("not an address or a prefix")
	}
	return p, nil
}

func parseEthertype(s string) (uint16, error) {
	h, ok := strings.CutPrefix(strings.ToLower(s), "0x")
	n, err := strconv.ParseUint(h, 16, 16)
	if !ok || err != nil {
		return 0, errors.New("not an ethertype such as 0x88cc")
	}
	return uint16(n), nil
}

func parseMAC(s string) (nic.MAC, error) {
	m, err := nic.ParseMAC(s)
	if err != nil {
		return m, errors.New("not a MAC address; want six octets like 52:54:00:aa:00:01")
	}
	return m, nil
}
