package nfdhcpd

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/nic"
)

const (
	// routerLifetime and forever are what nfdhcpd wrote into every router
	// advertisement.
	routerLifetime = "4h"
	forever        = "infinite"

	none   = "none"
	maxTag = 1024 // bytes of a tag
)

// translate writes the document.
func (d *draft) translate() {
	c := &d.config
	d.doc = document{
		NIC:            d.name,
		NoDefaultRoute: d.set(keyPrivate),
		Routed:         d.routed(),
		DNS:            d.servers(),
		DHCP6:          keys6{Mode: c.Mode.dhcp6()},
		RA: keysRA{
			Interval: seconds(c.RAPeriod), Lifetime: routerLifetime, Preferred: forever, Valid: forever,
			Autonomous: c.Mode != ModeDHCPv6,
		},
		Guard: keysGuard{keysChecks{MAC: !d.set(keyMACSpoof), ARP: !d.set(keyMACSpoof), ND: !d.set(keyMACSpoof)}},
	}
	d.identity()
	d.names4()
	d.tags()
	d.mtu()
	subnet := d.ipv4()
	d.dhcp4(subnet)
	d.ipv6()
}

func (d *draft) identity() {
	if d.get(keyMAC) == "" {
		d.problem(keyMAC, "", "missing: a NIC needs its guest's MAC address")
	}
	d.doc.MAC = d.mac(keyMAC).String()
	if !d.routed() && !nic.ValidName(d.indev()) {
		d.problem(keyIndev, d.indev(), "not the name of an interface")
	}
}

// names4 sends a full host name whole in option 12, as nfdhcpd did: guests
// have taken it as their name.
func (d *draft) names4() {
	host := d.get(d.hostnameKey())
	d.doc.Hostname, d.doc.Domain, d.doc.Search = host, d.config.Domain, d.config.Domains
	if strings.Contains(host, ".") {
		d.doc.DHCP4.Options = []keysOption{{Code: 12, Type: "string", Value: host}}
	}
}

// tags keeps what is only shown. It costs no NIC its address.
func (d *draft) tags() {
	for _, key := range []string{keyInstance, keyTags, keyLink} {
		v := d.get(key)
		if v == "" {
			continue
		}
		if len(v) > maxTag || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
			d.warn(key, fmt.Sprintf("not kept as a tag: over %d bytes, or not to be printed", maxTag))
			continue
		}
		if d.doc.Tags == nil {
			d.doc.Tags = map[string]string{}
		}
		d.doc.Tags[key] = v
	}
}

func (d *draft) mtu() {
	if !d.set(keyMTU) {
		return
	}
	n, err := strconv.ParseUint(d.get(keyMTU), 10, 16)
	if err != nil {
		d.problem(keyMTU, d.get(keyMTU), "not a number of bytes up to 65535")
		return
	}
	d.doc.MTU = json.Number(strconv.FormatUint(n, 10))
}

// ipv4 returns SUBNET, zero if the NIC has no IPv4 address.
func (d *draft) ipv4() netip.Prefix {
	before := len(d.problems)
	ip, subnet, gateway := d.addr(keyIP, 4), d.prefix(keySubnet, 4), d.addr(keyGateway, 4)
	switch {
	case len(d.problems) > before || !ip.IsValid():
		return netip.Prefix{}
	case !subnet.IsValid():
		d.problem(keyIP, ip.String(), "needs SUBNET: without it nfdhcpd never answered")
		return netip.Prefix{}
	case !subnet.Contains(ip):
		d.problem(keyIP, ip.String(), "not in SUBNET "+subnet.String())
		return netip.Prefix{}
	}
	d.doc.Addresses = append(d.doc.Addresses, netip.PrefixFrom(ip, subnet.Bits()).String())
	if gateway.IsValid() {
		d.doc.Gateway = gateway.String()
		if !subnet.Contains(gateway) { // a /32: the gateway is on link all the same
			d.doc.Routes = []keysRoute{{To: netip.PrefixFrom(gateway, 32).String()}}
		}
	}
	return subnet
}

func (d *draft) dhcp4(subnet netip.Prefix) {
	c, out := &d.config, &d.doc.DHCP4
	out.Off, out.Any = !c.EnableDHCP, d.set(keyMACSpoof)
	out.Lease, out.MaxLease = seconds(c.LeaseLifetime), seconds(c.LeaseLifetime)
	out.T1, out.T2 = seconds(c.LeaseRenewal), none
	if c.ServerOnLink {
		out.ServerID = "gateway"
		return
	}
	out.ServerID = c.ServerIP.String()
	// Nobody has a server identifier that is made up; one of the subnet may be
	// somebody's.
	if !d.routed() && !subnet.Contains(c.ServerIP) {
		d.doc.Neighbours = "server"
	}
}

func (d *draft) ipv6() {
	before := len(d.problems)
	subnet, gateway, eui := d.prefix(keySubnet6, 6), d.addr(keyGateway6, 6), d.eui64()
	mac := d.mac(keyGateway6MAC)
	switch {
	case !d.config.EnableIPv6:
		d.doc.IPv6 = "off"
		return
	case len(d.problems) > before || !subnet.IsValid():
		return
	case subnet.Addr().IsLinkLocalUnicast(): // as since nfdhcpd 0.4
		d.doc.IPv6 = "link-local"
		return
	case subnet.Bits() != 64:
		d.problem(keySubnet6, subnet.String(), "autoconfiguration needs a /64 (RFC 4862 section 5.5.3)")
		return
	}
	d.address6(subnet, eui)
	if gateway.IsValid() && !gateway.IsLinkLocalUnicast() && !subnet.Contains(gateway) {
		d.problem(keyGateway6, gateway.String(), "not in SUBNET6 "+subnet.String())
		return
	}
	d.router6(gateway, mac)
}

// eui64 reads EUI64, with or without a length.
func (d *draft) eui64() netip.Addr {
	s, _, _ := strings.Cut(d.get(keyEUI64), "/")
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !family(6).is(a) {
		d.problem(keyEUI64, d.get(keyEUI64), "not an IPv6 address")
		return netip.Addr{}
	}
	return a
}

// address6 is the one address the guest makes from its MAC.
func (d *draft) address6(subnet netip.Prefix, eui netip.Addr) {
	m, err := nic.ParseMAC(d.get(keyMAC))
	switch {
	case !eui.IsValid():
		d.doc.Addresses = append(d.doc.Addresses, subnet.String()+" eui-64")
		return
	case !subnet.Contains(eui):
		d.problem(keyEUI64, eui.String(), "not in SUBNET6 "+subnet.String())
		return
	case err == nil && eui != m.InPrefix(subnet):
		d.warn(keyEUI64, "the guest makes "+m.InPrefix(subnet).String()+" of its MAC, which this binding does not allow")
	}
	d.doc.Addresses = append(d.doc.Addresses, netip.PrefixFrom(eui, 64).String())
}

// router6 names the default router as nfdhcpd did: the link-local of INDEV,
// which the guest uses already. Others are what GATEWAY6 and GATEWAY6_MAC say.
func (d *draft) router6(gateway netip.Addr, mac nic.MAC) {
	host := d.hosts.MACs[d.indev()]
	if d.routed() {
		d.routedRouter6(gateway, mac, host)
		return
	}
	switch {
	case !mac.IsZero() && gateway.IsValid():
		d.doc.Gateway6, d.doc.GatewayMAC = gateway.String(), mac.String()
	case !mac.IsZero():
		d.doc.Gateway6, d.doc.GatewayMAC = mac.EUI64().String(), mac.String()
	case gateway.IsLinkLocalUnicast():
		d.doc.Gateway6 = gateway.String()
	case !host.IsZero():
		d.doc.Gateway6, d.doc.GatewayMAC = host.EUI64().String(), host.String()
	default:
		d.warn(keyIndev, "the MAC of "+strconv.Quote(d.indev())+" is not known: the guest is told of no IPv6 default router")
	}
}

// routedRouter6 is router6 for a NIC that has nobody but the host on its link:
// berth answers for whatever link-local is its router's. While the tap's own
// MAC is not known it is that of snf-network's taps, with which the guest's
// router stays the same.
func (d *draft) routedRouter6(gateway netip.Addr, mac, tap nic.MAC) {
	if !mac.IsZero() {
		d.warn(keyGateway6MAC, "no effect: the host is the router of a routed NIC")
	}
	if tap.IsZero() {
		tap = nic.MAC{0xcc, 0x47, 0x52, 0x4e, 0x45, 0x54} // TAP_CONSTANT_MAC
	}
	d.doc.Gateway6 = tap.EUI64().String()
	if gateway.IsLinkLocalUnicast() {
		d.doc.Gateway6 = gateway.String()
	}
}

// servers are those of both families, a binding's own before the common ones.
func (d *draft) servers() []string {
	var out []string
	for _, a := range slices.Concat(d.dns(keyServers, d.config.Nameservers, 4), d.dns(keyServers6, d.config.Nameservers6, 6)) {
		out = append(out, a.String())
	}
	return out
}

func (d *draft) dns(key string, common []netip.Addr, f family) []netip.Addr {
	if d.set(key) {
		return d.addrs(key, f)
	}
	return common
}

// seconds is a time in a document.
func seconds(s nic.Seconds) string {
	if s == 0 {
		return none
	}
	return compat.Time(s).String()
}
