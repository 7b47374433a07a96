package manifest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"

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
	r = merged(r, defaults(r))
	mac := b.mac("mac", r.MAC)
	return nic.Binding{
		NIC:            text(r.NIC),
		MAC:            mac,
		Suspended:      *r.Suspended,
		Hostname:       text(r.Hostname),
		Domain:         text(r.Domain),
		Search:         list0(r.Search),
		Addresses:      each(b, "addresses", r.Addresses, ownAddress(mac)),
		Gateway:        b.addr("gateway", r.Gateway, parseAddr4),
		Gateway6:       b.addr("gateway6", r.Gateway6, parseAddr6),
		GatewayMAC:     b.gatewayMAC(r.GatewayMAC),
		Broadcast:      b.addr("broadcast", r.Broadcast, parseAddr4),
		NoDefaultRoute: *r.NoDefaultRoute,
		Routes:         b.routes(r.Routes),
		DNS:            each(b, "dns", r.DNS, parseAddr),
		NTP:            each(b, "ntp", r.NTP, parseAddr),
		MTU:            uint16(b.number("mtu", r.MTU, 0xffff)),
		CaptivePortal:  text(r.CaptivePortal),
		IPv6:           nic.IPv6Mode(b.choice("ipv6", r.IPv6, ipv6Modes())),
		LinkLocal:      b.linkLocal(r.LinkLocal),
		SLAAC:          each(b, "slaac", r.SLAAC, parsePrefix6),
		Delegated:      each(b, "delegated", r.Delegated, parsePrefix6),
		Routed:         *r.Routed,
		Routing:        b.routing(*r.Routing),
		Neighbours:     nic.Neighbours(b.choice("neighbours", r.Neighbours, neighbourLevels())),
		Group:          text(r.Group),
		Shared:         b.shared(r.Shared),
		ServedBy:       nic.ServedBy(b.choice("served-by", r.ServedBy, servers())),
		Tags:           tags(r.Tags),
		DHCP4:          b.dhcp4(r),
		DHCP6:          b.dhcp6(*r.DHCP6),
		RA:             b.ra(*r.RA),
		Guard:          b.guard(*r.Guard),
	}
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
		AnyClient:          *d.AnyClient,
		V6OnlyWait:         b.seconds("dhcp4.v6-only-wait", d.V6OnlyWait),
		Options:            b.options4(d.Options),
		Boot:               b.boot("dhcp4.boot", d.Boot),
		BootArch:           b.bootArch(d.BootArch),
		BootIPXE:           b.boot("dhcp4.boot-ipxe", d.BootIPXE),
	}
}

func (b *builder) guard(g rawGuard) nic.Guard {
	c := g.Checks
	return nic.Guard{
		Mode:            nic.Mode(b.choice("guard.mode", g.Mode, guardModes())),
		Checks:          nic.Checks{MAC: *c.MAC, ARP: *c.ARP, ND: *c.ND, IP: *c.IP, L2: *c.L2},
		AllowAddresses:  each(b, "guard.allow-addresses", g.AllowAddresses, parseAllow),
		AllowMACs:       each(b, "guard.allow-macs", g.AllowMACs, parseMAC),
		AllowEthertypes: each(b, "guard.allow-ethertypes", g.AllowEthertypes, parseEthertype),
		AllowVLANs:      each(b, "guard.allow-vlans", g.AllowVLANs, parseVLAN),
		Router:          *g.Router,
		Advertise:       *g.Advertise,
		Peers:           each(b, "guard.peers", g.Peers, parsePeer),
		Routers:         each(b, "guard.routers", g.Routers, parseAddr6),
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

func (b *builder) gatewayMAC(s *string) nic.MAC {
	if s == nil || *s == none {
		return nic.MAC{}
	}
	m := b.mac("gateway-mac", s)
	if m.IsZero() {
		b.bad("gateway-mac", *s, errors.New("nobody's address; if it is not known, write none"))
	}
	return m
}

func (b *builder) addr(path string, s *string, parse func(string) (netip.Addr, error)) netip.Addr {
	if s == nil || *s == none {
		return netip.Addr{}
	}
	a, err := parse(*s)
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
		out = append(out, nic.Route{To: to, Via: b.addr(path+".via", r.Via, parseAddr4)})
	}
	return out
}

// mainTable is RT_TABLE_MAIN of the kernel, which is what no table means too.
const mainTable = 254

func (b *builder) routing(r rawRouting) nic.Routing {
	table := b.number("routing.table", r.Table, math.MaxUint32)
	if table == mainTable {
		table = 0
	}
	return nic.Routing{Table: uint32(table), Uplink: text(r.Uplink)}
}

func (b *builder) shared(list []rawShared) []nic.Shared {
	var out []nic.Shared
	for i, s := range list {
		path := fmt.Sprintf("shared[%d]", i)
		out = append(out, nic.Shared{
			Group:     text(s.Group),
			Addresses: each(b, path+".addresses", s.Addresses, parseAddr),
			VRID:      b.vrid(path+".vrid", s.VRID),
		})
	}
	return out
}

// vrid reads a virtual router's number, RFC 9568 section 5.2.3. A nil n is
// none.
func (b *builder) vrid(path string, n *int64) uint8 {
	if n == nil {
		return 0
	}
	if *n < 1 || *n > 0xff {
		b.bad(path, strconv.FormatInt(*n, 10), errors.New("must be 1 to 255 (RFC 9568 section 5.2.3)"))
		return 0
	}
	return uint8(*n)
}

func (b *builder) boot(path string, r *rawBoot) nic.Boot {
	if r == nil {
		return nic.Boot{}
	}
	return nic.Boot{
		NextServer: b.addr(path+".next-server", r.NextServer, parseAddr4),
		ServerName: text(r.ServerName),
		File:       text(r.File),
	}
}

func (b *builder) bootArch(m map[string]rawBoot) map[uint16]nic.Boot {
	var out map[uint16]nic.Boot
	for _, key := range slices.Sorted(maps.Keys(m)) {
		path := "dhcp4.boot-arch[" + key + "]"
		arch, ok := b.arch(path, key)
		if !ok {
			continue
		}
		if _, dup := out[arch]; dup {
			b.bad(path, "", fmt.Errorf("architecture %d is given twice", arch))
		}
		if out == nil {
			out = map[uint16]nic.Boot{}
		}
		boot := m[key]
		out[arch] = b.boot(path, &boot)
	}
	return out
}

// arch reads a client architecture, RFC 4578 section 2.1.
func (b *builder) arch(path, key string) (uint16, bool) {
	n, err := parseInt(key)
	if err != nil || n < 0 || n > 0xffff {
		b.bad(path, "", errors.New("the client architecture must be 0 to 65535 (RFC 4578)"))
		return 0, false
	}
	return uint16(n), true
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
