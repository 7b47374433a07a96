package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The site: a LAN with a router, and a server that speaks DHCP and DHCPv6 and
// advertises itself as an IPv6 router.
const (
	site      = "site" // its switch, and the router
	siteDHCP  = "dhcpd"
	router    = "192.0.2.1"
	router6   = "2001:db8:1::1" // the router's, as is
	gateway6  = "fe80::1"
	server    = "192.0.2.2"
	server6   = "2001:db8:1::2" // the server's, as is
	serverLL  = "fe80::2"
	serverMAC = "52:54:00:00:00:02"
	lanBridge = "br0"  // the hypervisor's bridge
	lanPort   = "lan0" // the hypervisor's port to the LAN
)

// hostNames is every name the demo would leave behind if it were not contained.
func hostNames() []string {
	names := []string{lanBridge, lanPort, site, siteDHCP}
	names = append(names, tenantBridges()...)
	names = append(names, estateNames()...)
	for _, v := range slices.Concat(cast(), newcomers().all(), tenantRouters()) {
		names = append(names, v.name, v.tap())
	}
	return names
}

// buildStage makes the wires.
func (r *room) buildStage(vms []*vm) error {
	namespaces := []string{site, siteDHCP}
	for _, v := range vms {
		namespaces = append(namespaces, v.name)
	}
	for _, ns := range namespaces {
		if err := r.addNamespace(ns); err != nil {
			return err
		}
	}
	if err := r.buildSite(); err != nil {
		return err
	}
	// The hypervisor itself has no IPv6, so that the captures tell this story.
	if err := r.execAll(hypervisor, "sysctl -qw net.ipv6.conf.default.disable_ipv6=1", "ip link add "+lanBridge+" type bridge stp_state 0 forward_delay 0",
		"ip link set "+lanBridge+" up", "ip link set "+lanPort+" master "+lanBridge, "ip link set "+lanPort+" up"); err != nil {
		return err
	}
	for _, v := range vms {
		if err := r.plug(v); err != nil {
			return err
		}
	}
	return r.waitPorts(hypervisor, site)
}

// waitPorts waits until the bridges forward: a port is enabled up to a second
// after it is up (linkwatch in the kernel takes its time).
func (r *room) waitPorts(namespaces ...string) error {
	for _, ns := range namespaces {
		err := r.until(5*time.Second, "the bridges to forward", func() bool {
			out, err := r.exec(ns, "bridge", "link", "show")
			return err == nil && strings.Count(out, "\n") == strings.Count(out, " state forwarding ")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addNamespace makes one that is quiet until it is woken: a port with a carrier,
// and a kernel that says nothing.
func (r *room) addNamespace(ns string) error {
	if _, err := r.exec(hypervisor, "ip", "netns", "add", ns); err != nil {
		return err
	}
	if err := r.plainBridge(ns); err != nil {
		return err
	}
	return r.execAll(ns, "sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.default.accept_ra=0", "ip link set lo up")
}

func (r *room) buildSite() error {
	err := r.execAll(hypervisor,
		"ip link add "+lanPort+" type veth peer name port1 netns "+site,
		"ip -n "+site+" link add lan type bridge stp_state 0 forward_delay 0",
		"ip -n "+site+" link add port2 type veth peer name eth0 netns "+siteDHCP+" address "+serverMAC,
		"ip -n "+site+" link set port1 master lan",
		"ip -n "+site+" link set port2 master lan",
		"ip -n "+site+" address add "+router+"/24 dev lan",
		"ip -n "+siteDHCP+" address add "+server+"/24 dev eth0",
		"ip -n "+siteDHCP+" link set eth0 up",
	)
	for _, port := range []string{"port1", "port2", "lan"} {
		if err == nil {
			err = r.execAll(site, "ip link set "+port+" up")
		}
	}
	if err == nil {
		err = r.number6(site, "lan", gateway6+"/64", router6+"/64", "2001:db8:a::1/64", "2001:db8:b::1/64")
	}
	if err == nil {
		err = r.number6(siteDHCP, "eth0", serverLL+"/64", server6+"/64")
	}
	return err
}

// number6 gives a link of the site its IPv6 addresses, and none besides. Both
// are routers: a default router whose neighbour advertisements do not say so is
// given up (RFC 4861 7.2.5).
func (r *room) number6(ns, link string, addresses ...string) error {
	conf := "net.ipv6.conf." + link
	lines := []string{"sysctl -qw " + conf + ".addr_gen_mode=1 " + conf + ".forwarding=1 " + conf + ".disable_ipv6=0"}
	for _, a := range addresses {
		lines = append(lines, "ip -6 address add "+a+" dev "+link+" nodad")
	}
	return r.execAll(ns, lines...)
}

// plug makes the VM's NIC and puts its host side into the bridge.
func (r *room) plug(v *vm) error {
	return r.execAll(hypervisor,
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s address %s", v.tap(), v.name, v.mac),
		"ip link set "+v.tap()+" master "+v.port(),
		"ip link set "+v.tap()+" up",
		"ip -n "+v.name+" link set eth0 up",
	)
}

// wake starts a VM's IPv6: it makes its link-local, looks whether it is alone
// with it, and solicits routers.
func (r *room) wake(v *vm) error {
	const conf = "net.ipv6.conf.eth0."
	line := "sysctl -qw " + conf + "accept_ra=1 "
	if v.private {
		line += conf + "use_tempaddr=2 " + conf + "addr_gen_mode=3 " // RFC 8981, RFC 7217
	}
	return r.execAll(v.name, line+conf+"disable_ipv6=0")
}

// startSite starts the site's DHCP server: authoritative, so that it would
// meddle with any client it hears.
func (r *room) startSite() error {
	if err := r.write("site.conf", siteConf); err != nil {
		return err
	}
	_, err := r.start("dnsmasq", siteDHCP, "dnsmasq", "--keep-in-foreground", "--conf-file="+r.path("site.conf"),
		"--user=root", "--port=0", "--no-ping", "--log-facility=-",
		"--dhcp-leasefile="+r.path("dnsmasq.leases"), "--pid-file="+r.path("dnsmasq.pid"))
	return err
}
