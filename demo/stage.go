package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/nic"
)

// The site: a LAN with a router and a DHCP server of its own.
const (
	site     = "site" // its switch, and the router
	siteDHCP = "dhcpd"
	router   = "192.0.2.1"
	server   = "192.0.2.2"
	lanPort  = "lan0" // the hypervisor's port to the LAN
)

// vm is a virtual machine: a network namespace whose eth0 is a port of the
// hypervisor's bridge.
type vm struct {
	name   string
	client string
	mac    nic.MAC
	run    *process
}

func (v *vm) tap() string { return v.name + "-tap" }

// cast is the VMs in order; the last one is not berth's.
func cast() []*vm {
	mac := func(last byte) nic.MAC { return nic.MAC{0x52, 0x54, 0, 0, 0, last} }
	return []*vm{
		{name: "web1", client: "dhclient", mac: mac(0x11)},
		{name: "web2", client: "udhcpc", mac: mac(0x12)},
		{name: "web3", client: "dhcpcd", mac: mac(0x13)},
		{name: "legacy", client: "udhcpc", mac: mac(0x99)},
	}
}

// hostNames is every name the demo would leave behind if it were not contained.
func hostNames() []string {
	names := []string{"br0", lanPort, site, siteDHCP}
	for _, v := range cast() {
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
	// The children's traffic is IPv4 only, so that the counters tell this story.
	if err := r.execAll(hypervisor, "sysctl -qw net.ipv6.conf.default.disable_ipv6=1", "ip link add br0 type bridge stp_state 0 forward_delay 0",
		"ip link set br0 up", "ip link set "+lanPort+" master br0", "ip link set "+lanPort+" up"); err != nil {
		return err
	}
	for _, v := range vms {
		if err := r.plug(v); err != nil {
			return err
		}
	}
	return r.waitPorts()
}

// waitPorts waits until the bridges forward: a port is enabled up to a second
// after it is up (linkwatch in the kernel takes its time).
func (r *room) waitPorts() error {
	for _, ns := range []string{hypervisor, site} {
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

func (r *room) addNamespace(ns string) error {
	if _, err := r.exec(hypervisor, "ip", "netns", "add", ns); err != nil {
		return err
	}
	if err := r.plainBridge(ns); err != nil {
		return err
	}
	return r.execAll(ns, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1", "ip link set lo up")
}

func (r *room) buildSite() error {
	err := r.execAll(hypervisor,
		"ip link add "+lanPort+" type veth peer name port1 netns "+site,
		"ip -n "+site+" link add lan type bridge stp_state 0 forward_delay 0",
		"ip -n "+site+" link add port2 type veth peer name eth0 netns "+siteDHCP,
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
	return err
}

// plug makes the VM's NIC and puts its host side into the bridge.
func (r *room) plug(v *vm) error {
	return r.execAll(hypervisor,
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s address %s", v.tap(), v.name, v.mac),
		"ip link set "+v.tap()+" master br0",
		"ip link set "+v.tap()+" up",
		"ip -n "+v.name+" link set eth0 up",
	)
}

// startSite starts the site's DHCP server: authoritative, so that it would
// meddle with any client it hears.
func (r *room) startSite() error {
	_, err := r.start("dnsmasq", siteDHCP, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
		"--user=root", "--port=0", "--no-ping", "--dhcp-authoritative", "--log-facility=-",
		"--dhcp-range=192.0.2.200,192.0.2.220,255.255.255.0,1h",
		"--dhcp-option=option:router,"+router, "--dhcp-option=option:dns-server,"+server,
		"--dhcp-leasefile="+r.path("dnsmasq.leases"), "--pid-file="+r.path("dnsmasq.pid"))
	return err
}

// binding is a binding file as an operator writes it.
func binding(v *vm, address string) string {
	return fmt.Sprintf(`nic: %s
mac: %s
hostname: %s
addresses: [%s/24]
gateway: %s
dns: [192.0.2.53, 192.0.2.54]
mtu: 1450
dhcp4: {lease: 12h}
`, v.tap(), v.mac, v.name, address, router)
}
