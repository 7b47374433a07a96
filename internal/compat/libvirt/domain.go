package libvirt

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/nic"
)

// domain gives the hosts of its MACs their interface, and makes a host of an
// interface whose filter has its address.
func (r *reader) domain(d *node) {
	for _, i := range interfaces(d) {
		name := "domain " + d.child("name").value()
		mac, err := compat.MAC(i.child("mac").attr("address"))
		if err != nil {
			r.Note(i.Place, "%s: an interface is not carried: %v", name, err)
			continue
		}
		r.device(i, name, mac)
		r.filtered(i, name, mac)
		if dev := i.child("target").attr("dev"); dev != "" {
			r.bind(mac, dev)
		}
	}
}

func (r *reader) bind(mac nic.MAC, dev string) {
	for n := range r.Hosts {
		if r.Hosts[n].MAC == mac && r.Hosts[n].NIC == "" {
			r.Hosts[n].NIC = dev
		}
	}
}

// device tells what of an interface is not carried.
func (r *reader) device(i *node, name string, mac nic.MAC) {
	for _, c := range i.in {
		switch {
		case c.name == "link" && c.attr("state") == "down":
			r.Note(c.Place, "%s: %v: that the link is down is not carried", name, mac)
		case c.name == "vlan", c.name == "bandwidth", c.name == "virtualport", c.name == "portForward", c.name == "port" && c.attr("isolated") == "yes":
			r.Note(c.Place, "%s: %v: <%s> is not carried: it is the bridge's", name, mac, c.name)
		case c.name == "ip", c.name == "route":
			r.Note(c.Place, "%s: %v: <%s> is not carried: it is for containers", name, mac, c.name)
		}
	}
}

// filtered reads the filter: the addresses it names are the NIC's.
func (r *reader) filtered(i *node, name string, mac nic.MAC) {
	f := i.child("filterref")
	if f == nil {
		return
	}
	if !covered(f.attr("filter")) {
		r.Note(f.Place, "%s: %v: filter %s is not carried: only what berth checks anyway is", name, mac, f.attr("filter"))
	}
	for _, p := range f.all("parameter") {
		value := p.attr("value")
		switch p.attr("name") {
		case "IP", "IPV6":
			r.address(i, name, mac, value)
		case "CTRL_IP_LEARNING":
			if value != "none" {
				r.Note(p.Place, "%s: %v: addresses are not learned; the NIC has those that are declared", name, mac)
			}
		case "MAC":
		default:
			r.Note(p.Place, "%s: %v: parameter %s is not carried", name, mac, p.attr("name"))
		}
	}
}

// covered are libvirt's filters that ask for no more than berth's checks.
func covered(filter string) bool {
	return slices.Contains([]string{
		"clean-traffic", "clean-traffic-gateway", "no-spoofing", "no-mac-spoofing", "no-ip-spoofing", "no-ipv6-spoofing",
		"no-arp-spoofing", "no-arp-mac-spoofing", "no-arp-ip-spoofing", "no-mac-broadcast", "no-other-l2-traffic",
		"no-other-rarp-traffic", "allow-arp", "allow-ipv4", "allow-dhcp", "allow-dhcp-server", "allow-incoming-ipv4",
	}, filter)
}

// address makes a host of an address that no network has given to the MAC.
func (r *reader) address(i *node, name string, mac nic.MAC, text string) {
	a, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil {
		r.Note(i.Place, "%s: %v: %q is not an address", name, mac, text)
		return
	}
	if r.has(mac, a) {
		return
	}
	net := r.of(i.child("source"))
	if net != nil {
		for _, s := range net.subnet {
			if s.own.Contains(a) {
				h := compat.Host{Place: i.Place, Name: name}
				h.MAC = mac
				net.fill(&h, &s, a)
				r.Hosts = append(r.Hosts, h)
				return
			}
		}
	}
	r.Note(i.Place, "%s: %v: address %v is not carried: no network that was read has its subnet", name, mac, a)
}

func (r *reader) has(mac nic.MAC, a netip.Addr) bool {
	return slices.ContainsFunc(r.Hosts, func(h compat.Host) bool {
		return h.MAC == mac && slices.ContainsFunc(h.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}
