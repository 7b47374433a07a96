// Package libvirt reads libvirt's network XML (formatnetwork) and domain XML
// (formatdomain): networks name hosts with their addresses, domains name the
// host interface of each MAC, and the addresses that a filter lets it use.
//
// Not here: talking to libvirt; what virsh prints, or the files below
// /etc/libvirt and /run/libvirt, are read.
package libvirt

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
)

// Parse reads networks and domains, in any order.
func Parse(in compat.Input) compat.Result {
	r := &reader{}
	var domains []*node
	for _, f := range in.Files {
		top, err := load(f)
		if err != nil {
			r.Note(top.Place, "%v; the file is not read", err)
			continue
		}
		networks, found := top.find("network"), top.find("domain")
		for _, n := range networks {
			r.network(n)
		}
		domains = append(domains, found...)
		if len(networks)+len(found) == 0 {
			r.Note(top.Place, "has neither a network nor a domain")
		}
	}
	for _, d := range domains {
		r.domain(d)
	}
	r.Sort()
	return r.Result
}

// Names reads only which interface each MAC is behind.
func Names(files []compat.File, names compat.Names) []compat.Note {
	r := &reader{}
	for _, f := range files {
		top, err := load(f)
		if err != nil {
			r.Note(top.Place, "%v; the file is not read", err)
			continue
		}
		for _, d := range top.find("domain") {
			for _, i := range interfaces(d) {
				mac, err := compat.MAC(i.child("mac").attr("address"))
				if dev := i.child("target").attr("dev"); err == nil && dev != "" {
					names.Add(mac, dev)
				}
			}
		}
	}
	return r.Notes
}

// find returns the elements of a name that are not inside another such, such
// as the domain within a domstatus.
func (n *node) find(name string) (out []*node) {
	for _, c := range n.in {
		switch c.name {
		case name:
			out = append(out, c)
		case "domstatus", "networkstatus":
			out = append(out, c.find(name)...)
		}
	}
	return out
}

func interfaces(domain *node) []*node { return domain.child("devices").all("interface") }

type reader struct {
	compat.Result
	networks []network
}

// network is what its hosts have in common.
type network struct {
	*node
	name   string
	bridge string
	subnet []subnet
}

// subnet is an <ip> element: the host's own address and its length.
type subnet struct {
	*node
	own  netip.Prefix
	dhcp *node
}

func (r *reader) network(n *node) {
	net := network{node: n, name: n.child("name").value(), bridge: n.child("bridge").attr("name")}
	for _, ip := range n.all("ip") {
		own, ok := ownAddress(ip)
		if !ok {
			r.Note(ip.Place, "network %s: an address without its netmask or prefix is not carried", net.name)
			continue
		}
		net.subnet = append(net.subnet, subnet{ip, own, ip.child("dhcp")})
	}
	r.leftOut(&net)
	for _, s := range net.subnet {
		for _, h := range s.dhcp.all("host") {
			r.host(&net, &s, h)
		}
	}
	r.networks = append(r.networks, net)
}

func (n *node) value() string {
	if n == nil {
		return ""
	}
	return n.text
}

func ownAddress(ip *node) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(ip.attr("address"))
	bits, err2 := strconv.Atoi(ip.attr("prefix"))
	ok := err2 == nil
	if !ok {
		bits, ok = compat.MaskBits(ip.attr("netmask"))
	}
	p := netip.PrefixFrom(a, bits)
	return p, err == nil && ok && p.IsValid()
}

// leftOut tells what of a network is not carried.
func (r *reader) leftOut(net *network) {
	for _, c := range net.in {
		switch c.name {
		case "dns":
			for _, d := range c.in {
				r.Note(d.Place, "network %s: <%s> of <dns> is not carried: berth serves no DNS", net.name, d.name)
			}
		case "options":
			r.Note(c.Place, "network %s: options for dnsmasq are not carried; dnsmasq's own configuration can be imported", net.name)
		case "route", "bandwidth", "vlan", "virtualport", "portgroup":
			r.Note(c.Place, "network %s: <%s> is not carried: it is about the host's bridge", net.name, c.name)
		}
	}
	for _, s := range net.subnet {
		for _, pool := range s.dhcp.all("range") {
			r.Note(pool.Place, "network %s: <range> is not carried: addresses are not given from a pool", net.name)
		}
		for _, t := range s.all("tftp") {
			r.Note(t.Place, "network %s: <tftp> is not carried: berth serves no files", net.name)
		}
	}
}

// host makes a <host> of <dhcp> into a host. Those of IPv6 have a DUID.
func (r *reader) host(net *network, s *subnet, n *node) {
	h := compat.Host{Place: n.Place, Name: "host " + n.attr("ip")}
	mac, err := compat.MAC(n.attr("mac"))
	if err != nil {
		duid := strings.ReplaceAll(n.attr("id"), ":", "")
		var ok bool
		if mac, ok = compat.DUIDMAC(duid); !ok {
			r.Note(n.Place, "%s is not carried: it has no Ethernet address, in itself or in its DUID", h.Name)
			return
		}
		h.DHCP6.DUID = duid
	}
	a, err := netip.ParseAddr(n.attr("ip"))
	if err != nil || !s.own.Contains(a) {
		r.Note(n.Place, "%s is not carried: its address is not in %v", h.Name, s.own.Masked())
		return
	}
	h.MAC, h.Hostname = mac, n.attr("name")
	net.fill(&h, s, a)
	r.lease(&h, n, s)
	r.Hosts = append(r.Hosts, h)
}

// fill gives a host what dnsmasq, as libvirt starts it, tells the guests of a
// network: its own address as router, unless the network is isolated, and as
// DNS server, unless it has none.
func (net *network) fill(h *compat.Host, s *subnet, a netip.Addr) {
	own := s.own.Addr()
	h.Addresses = append(h.Addresses, netip.PrefixFrom(a, s.own.Bits()))
	h.Domain = net.child("domain").attr("name")
	if n, err := strconv.ParseUint(net.child("mtu").attr("size"), 10, 16); err == nil {
		h.MTU = uint16(n)
	}
	if net.child("dns").attr("enable") != "no" {
		h.DNS = append(h.DNS, own)
	}
	isolated := net.child("forward") == nil
	if a.Is6() {
		net.router6(h, own, isolated)
		return
	}
	h.DHCP4.ServerID, h.DHCP4.Lease, h.DHCP4.MaxLease = own, dnsmasqLease, dnsmasqLease
	if !isolated {
		h.Gateway = own
	}
	if b := s.dhcp.child("bootp"); b != nil {
		h.DHCP4.Boot.File = b.attr("file")
		h.DHCP4.Boot.NextServer, _ = netip.ParseAddr(b.attr("server"))
	}
}

// router6 is the bridge, whose MAC the network's XML has.
func (net *network) router6(h *compat.Host, own netip.Addr, isolated bool) {
	mac, err := compat.MAC(net.child("mac").attr("address"))
	h.DHCP6.SetLease(dnsmasqLease6)
	if err == nil && !isolated {
		h.Gateway6, h.GatewayMAC = own, mac
	}
}

// dnsmasq's lease times, for what libvirt leaves out.
const (
	dnsmasqLease  = compat.Time(3600)
	dnsmasqLease6 = compat.Time(86400)
)

// lease reads <lease expiry='1' unit='hours'/> of a host, or of a range around
// it.
func (r *reader) lease(h *compat.Host, n *node, s *subnet) {
	l := n.child("lease")
	for _, pool := range s.dhcp.all("range") {
		if l == nil && within(pool, h.Addresses[0].Addr()) {
			l = pool.child("lease")
		}
	}
	if l == nil {
		return
	}
	units := map[string]uint64{"seconds": 1, "minutes": 60, "": 60, "hours": 3600}
	unit, known := units[l.attr("unit")]
	expiry, err := strconv.ParseUint(l.attr("expiry"), 10, 32)
	if err != nil || !known || expiry*unit >= 1<<32-1 {
		r.Note(l.Place, "%s: the lease is not a number of seconds, minutes or hours", h.Name)
		return
	}
	t := compat.Time(expiry * unit)
	if t == 0 {
		t = compat.Time(1<<32 - 1)
	}
	if h.Addresses[0].Addr().Is4() {
		h.DHCP4.Lease, h.DHCP4.MaxLease = t, t
	} else {
		h.DHCP6.SetLease(t)
	}
}

func within(pool *node, a netip.Addr) bool {
	start, err := netip.ParseAddr(pool.attr("start"))
	end, err2 := netip.ParseAddr(pool.attr("end"))
	return err == nil && err2 == nil && start.Compare(a) <= 0 && a.Compare(end) <= 0
}

// of finds the network of a domain's interface.
func (r *reader) of(source *node) *network {
	i := slices.IndexFunc(r.networks, func(n network) bool {
		return n.name != "" && n.name == source.attr("network") || n.bridge != "" && n.bridge == source.attr("bridge")
	})
	if i < 0 {
		return nil
	}
	return &r.networks[i]
}
