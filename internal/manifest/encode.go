package manifest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/berth-net/berth/internal/nic"
)

// Encode writes a binding as one JSON document in the file format's keys with
// every default filled in, so that it means the same whatever its network
// says. Resolved reads it back; Origin is not part of it.
func Encode(b *nic.Binding) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(rawOf(b)); err != nil {
		return nil, fmt.Errorf("encode binding of NIC %s: %w", b.NIC, err)
	}
	return buf.Bytes(), nil
}

// rawOf is the inverse of builder.build.
func rawOf(b *nic.Binding) raw {
	r := raw{
		NIC:            ptr(b.NIC),
		MAC:            ptr(b.MAC.String()),
		Suspended:      ptr(b.Suspended),
		Hostname:       ptr(b.Hostname),
		Domain:         ptr(b.Domain),
		Search:         texts(b.Search, func(s string) string { return s }),
		Addresses:      texts(b.Addresses, netip.Prefix.String),
		Gateway:        orNone(b.Gateway),
		Gateway6:       orNone(b.Gateway6),
		GatewayMAC:     ptr(none),
		Broadcast:      orNone(b.Broadcast),
		NoDefaultRoute: ptr(b.NoDefaultRoute),
		Routes:         rawRoutes(b.Routes),
		DNS:            texts(b.DNS, netip.Addr.String),
		NTP:            texts(b.NTP, netip.Addr.String),
		MTU:            ptr(int64(b.MTU)),
		CaptivePortal:  ptr(b.CaptivePortal),
		IPv6:           ptr(ipv6Modes()[b.IPv6]),
		LinkLocal:      linkLocalOf(b.LinkLocal),
		SLAAC:          texts(b.SLAAC, netip.Prefix.String),
		Delegated:      texts(b.Delegated, netip.Prefix.String),
		Routed:         ptr(b.Routed),
		Routing:        &rawRouting{Table: ptr(int64(b.Routing.Table)), Uplink: ptr(b.Routing.Uplink)},
		Neighbours:     ptr(neighbourLevels()[b.Neighbours]),
		Group:          ptr(b.Group),
		Shared:         rawSharedOf(b.Shared),
		ServedBy:       ptr(servers()[b.ServedBy]),
		Tags:           b.Tags,
		DHCP4:          rawDHCP4Of(&b.DHCP4),
		DHCP6:          rawDHCP6Of(&b.DHCP6),
		RA:             rawRAOf(&b.RA),
		Guard:          rawGuardOf(&b.Guard),
	}
	if b.Network != "" {
		r.Network = ptr(b.Network)
	}
	if !b.GatewayMAC.IsZero() {
		r.GatewayMAC = ptr(b.GatewayMAC.String())
	}
	return r
}

func rawDHCP4Of(d *nic.DHCP4) *rawDHCP4 {
	r := &rawDHCP4{
		Off:                ptr(d.Off),
		ServerID:           ptr(serverIDText(d.ServerID)),
		Lease:              ptr(formatSeconds(d.Lease)),
		MaxLease:           ptr(formatSeconds(d.MaxLease)),
		T1:                 ptr(formatSeconds(d.T1)),
		T2:                 ptr(formatSeconds(d.T2)),
		OnlyRequested:      ptr(d.OnlyRequested),
		NoRouterWithRoutes: ptr(d.NoRouterWithRoutes),
		RapidCommit:        ptr(d.RapidCommit),
		Relay:              ptr(d.Relay),
		AnyClient:          ptr(d.AnyClient),
		V6OnlyWait:         ptr(formatSeconds(d.V6OnlyWait)),
		Options:            rawOptions(d.Options),
		Boot:               rawBootOf(d.Boot),
		BootArch:           map[string]rawBoot{},
		BootIPXE:           rawBootOf(d.BootIPXE),
	}
	if d.Address.IsValid() {
		r.Address = ptr(d.Address.String())
	}
	for arch, boot := range d.BootArch {
		r.BootArch[strconv.Itoa(int(arch))] = *rawBootOf(boot)
	}
	return r
}

func rawGuardOf(g *nic.Guard) *rawGuard {
	return &rawGuard{
		Mode:            ptr(guardModes()[g.Mode]),
		Checks:          &rawChecks{MAC: ptr(g.Checks.MAC), ARP: ptr(g.Checks.ARP), ND: ptr(g.Checks.ND), IP: ptr(g.Checks.IP), L2: ptr(g.Checks.L2)},
		AllowAddresses:  texts(g.AllowAddresses, netip.Prefix.String),
		AllowMACs:       texts(g.AllowMACs, nic.MAC.String),
		AllowVLANs:      texts(g.AllowVLANs, func(v uint16) string { return strconv.Itoa(int(v)) }),
		AllowEthertypes: texts(g.AllowEthertypes, func(t uint16) string { return fmt.Sprintf("0x%04x", t) }),
		Router:          ptr(g.Router),
		Advertise:       ptr(g.Advertise),
		Peers:           texts(g.Peers, nic.MACRange.String),
		Routers:         texts(g.Routers, netip.Addr.String),
		Rate:            &rawRate{PerSecond: ptr(int64(g.Rate.PerSecond)), Burst: ptr(int64(g.Rate.Burst))},
	}
}

func rawRoutes(list []nic.Route) []rawRoute {
	out := make([]rawRoute, 0, len(list))
	for _, r := range list {
		route := rawRoute{To: ptr(r.To.String())}
		if r.Via.IsValid() {
			route.Via = ptr(r.Via.String())
		}
		out = append(out, route)
	}
	return out
}

func rawSharedOf(list []nic.Shared) []rawShared {
	out := make([]rawShared, 0, len(list))
	for _, s := range list {
		one := rawShared{Group: ptr(s.Group), Addresses: texts(s.Addresses, netip.Addr.String)}
		if s.VRID != 0 {
			one.VRID = ptr(int64(s.VRID))
		}
		out = append(out, one)
	}
	return out
}

func rawOptions(list []nic.Option) []rawOption {
	out := make([]rawOption, 0, len(list))
	for _, o := range list {
		out = append(out, hexOption(int64(o.Code), o.Data))
	}
	return out
}

func hexOption(code int64, data []byte) rawOption {
	return rawOption{Code: ptr(code), Type: ptr("hex"), Value: ptr(hex.EncodeToString(data))}
}

func rawBootOf(b nic.Boot) *rawBoot {
	return &rawBoot{NextServer: orNone(b.NextServer), ServerName: ptr(b.ServerName), File: ptr(b.File)}
}

func orNone(a netip.Addr) *string {
	if !a.IsValid() {
		return ptr(none)
	}
	return ptr(a.String())
}

func serverIDText(id nic.ServerID) string {
	switch id.Kind {
	case nic.ServerIDGateway:
		return "gateway"
	case nic.ServerIDFirstHost:
		return "first-host"
	case nic.ServerIDInterface:
		return "interface"
	default:
		return id.Addr.String()
	}
}

// texts prints a list; an empty one is written, because leaving it out would
// inherit.
func texts[T any](list []T, text func(T) string) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, text(v))
	}
	return out
}
