package story_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// dnsmasq serves DHCP of both versions and advertises itself as a router in a
// guest, as anybody would who runs a network.
func dnsmasq(t testing.TB, g *guest, more ...string) *process {
	t.Helper()
	argv := []string{
		needTool(t, "dnsmasq"), "--keep-in-foreground", "--pid-file=", "--conf-file=/dev/null", "--port=0", "--user=root",
		"--dhcp-authoritative", "--no-ping", "--log-facility=-", "--log-dhcp", "--dhcp-leasefile=" + g.dir + "/leases",
	}
	return start(t, g.NS, append(argv, more...)...)
}

// transparent is the recipe of docs/binding.md for a tenant's own network.
const transparent = `network: tenant-42
served-by: tenant
guard:
  checks: {arp: false, nd: false, ip: false}
`

// TestTenantServesItself: in a network of a tenant's own, one VM is its DHCP,
// DHCPv6 and router advertisement server, and another gets all it has from it.
// berth knows no address of theirs, says nothing, and still holds each to its
// MAC; the site's bridge and its VMs see none of it.
func TestTenantServesItself(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.networks(transparent)
	vms := addGuests(t, s.node, "br-t", "t1", "t2", "t3")
	server, client, third := vms[0], vms[1], vms[2]
	server.addr, client.addr = ip("10.0.0.1"), ip("10.0.0.100")
	for _, g := range vms {
		s.write(g.port+".yaml", g.keys("network: tenant-42\n"))
	}
	s.bindAll()
	s.start()
	s.attach("t1", "t2", "t3", "vm1", "vm2", "vm3")
	w, ear := s.watch(), testenv.Capture(t, client.NS, "eth0")
	at3 := testenv.Capture(t, third.NS, "eth0")

	server.Exec("ip", "address", "add", "10.0.0.1/24", "dev", "eth0")
	server.sixFixed("2001:db8:42::1/64")
	dnsmasq(t, server, "--enable-ra", "--dhcp-range=10.0.0.100,10.0.0.100,1h", "--dhcp-range=2001:db8:42::100,2001:db8:42::100,64,1h",
		"--dhcp-option=option:dns-server,10.0.0.53", "--dhcp-option=option6:dns-server,[2001:db8:42::53]")
	client.six(nil)
	networkd6{}.start(t, client)
	client.getsExactly(t, "10.0.0.100/24", "2001:db8:42::100/128")
	becomes(t, "DNS", "10.0.0.53 2001:db8:42::53", func() string { return networkd6{}.lease(client)["DNS"] })
	if diff := cmp.Diff([]string{"10.0.0.1"}, client.defaults(t, "-4")); diff != "" {
		t.Errorf("IPv4 routers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{server.eui().String()}, client.defaults(t, "-6")); diff != "" {
		t.Errorf("IPv6 routers (-want +got):\n%s", diff)
	}
	client.Exec("ping", "-n", "-c1", "-W5", "10.0.0.1")
	client.Exec("ping", "-n", "-c1", "-W5", "2001:db8:42::1")

	ear.None("berth's word", saidBy(ip("fe80::1")))
	for _, g := range vms {
		if diff := cmp.Diff(map[string]uint64{}, s.show(g.port).Counters.Taken); diff != "" {
			t.Errorf("taken of %s (-want +got):\n%s", g.port, diff)
		}
		s.refused(g, nil)
		w.nowhere("", "a frame of "+g.port+" at the site", from(g.mac))
	}
	s.posesAsNobody(client, third, at3)
	s.takesOver(client, third, testenv.Capture(t, server.NS, "eth0"))
}

// posesAsNobody has a VM send in the name of a stranger and of another VM by
// their MACs: the only thing it cannot choose.
func (s *site) posesAsNobody(g, other *guest, at *testenv.Sniffer) {
	s.t.Helper()
	before := s.drops(g)
	testenv.Inject(s.t, g.NS, "eth0", g.as(strangerMAC()).hello(g.addr, spoofMark), g.as(other.mac).hello(g.addr, spoofMark))
	fence(s.t, g, at)
	at.None("a spoofed MAC", isSpoof())
	s.refused(g, before, "mac-spoof")
}

// takesOver has two VMs of a network without checks of addresses take any
// address from each other, with nothing declared.
func (s *site) takesOver(one, two *guest, at *testenv.Sniffer) {
	s.t.Helper()
	for _, g := range []*guest{one, two} {
		claim := arp(arpFields{src: g.mac, sha: g.mac, spa: ip("10.0.0.77"), tpa: ip("10.0.0.77")})
		testenv.Inject(s.t, g.NS, "eth0", claim)
		at.Wait(30*time.Second, "the announcement of "+g.port, func(f testenv.Frame) bool { return bytes.Equal(f.Data, claim) })
	}
}

// TestTenantServesKnownAddresses: where the site knows the addresses of a
// tenant's network, all checks stay on, and the tenant's server still serves:
// a client that was given the wrong address cannot use it.
func TestTenantServesKnownAddresses(t *testing.T) {
	t.Parallel()
	n := newNode(t, "")
	n.networks("network: tenant-42\nserved-by: tenant\n")
	vms := addGuests(t, n, "br-t", "t1", "t2", "t3")
	for i, g := range vms {
		n.write(g.port+".yaml", g.keys(fmt.Sprintf("network: tenant-42\naddresses: [10.0.0.%d/24]\n", i+1)))
	}
	n.start()
	n.attach("t1", "t2", "t3")
	server, client, wrong := vms[0], vms[1], vms[2]
	server.Exec("ip", "address", "add", "10.0.0.1/24", "dev", "eth0")
	dnsmasq(t, server, "--dhcp-range=10.0.0.100,10.0.0.120,1h", "--dhcp-host="+client.mac.String()+",10.0.0.2")
	for g, addr := range map[*guest]string{client: "10.0.0.2", wrong: ""} {
		networkd{}.start(t, g)
		testenv.Wait(t, soon, "an address of "+g.port, func() bool {
			l := networkd{}.lease(g)
			return l["SERVER_ADDRESS"] == "10.0.0.1" && (addr == "" || l["ADDRESS"] == addr)
		})
		testenv.Wait(t, soon, "the kernel's address of "+g.port, func() bool { return len(g.usable(t)) == 1 })
	}
	client.Exec("ping", "-n", "-c1", "-W5", "10.0.0.1")
	if out, err := wrong.Try("ping", "-n", "-c1", "-W1", "10.0.0.1"); err == nil {
		t.Errorf("t3 speaks from %v, which is not its own:\n%s", wrong.usable(t), out)
	}
	if n.drops(wrong)["arp-spoof-ip"]+n.drops(wrong)["ip4-spoof"] == 0 {
		t.Errorf("t3's frames were dropped for %v", n.drops(wrong))
	}
}

// TestSiteServes: the site's own server gives a NIC its addresses of both
// families, and berth nothing. The VM can be no server itself, and a VM beside
// it, which berth serves, hears nothing of the site's.
func TestSiteServes(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.networks("network: lan\nserved-by: site\ngateway: 192.0.2.1\ngateway6: fe80::1\n")
	s.start()
	vm, beside := s.vms[0], s.vms[1]
	s.bindKeys(vm, "network: lan\naddresses: [192.0.2.11/24, \"2001:db8:1::11/64\"]\n")
	s.bindKeys(beside, "addresses: [192.0.2.12/24, \"2001:db8:1::12/64\"]\n")
	ear, ear2, lan := testenv.Capture(t, vm.NS, "eth0"), testenv.Capture(t, beside.NS, "eth0"), testenv.Capture(t, s.lan.NS, "eth0")
	s.lan.six(map[string]string{"accept_dad": "0", "addr_gen_mode": "1"})
	s.lan.Sh("ip address add " + siteRouter + "/64 dev eth0 nodad; ip address add " + siteHost + "/64 dev eth0 nodad")
	dnsmasq(t, s.lan, "--enable-ra", "--dhcp-range=192.0.2.11,192.0.2.11,1h", "--dhcp-range=2001:db8:1::11,2001:db8:1::11,64,1h",
		"--dhcp-option=option:dns-server,192.0.2.77", "--dhcp-option=option6:dns-server,[2001:db8::77]")
	vm.six(nil)
	networkd6{}.start(t, vm)
	vm.getsExactly(t, "192.0.2.11/24", "2001:db8:1::11/128")
	becomes(t, "DNS", "192.0.2.77 2001:db8::77", func() string { return networkd6{}.lease(vm)["DNS"] })
	becomes(t, "IPv6 routers", []string{siteRouter}, func() []string { return vm.defaults(t, "-6") })
	ear.None("berth's word", from(nic.BerthMAC()))
	if taken := s.show("vm1").Counters.Taken; len(taken) > 0 {
		t.Errorf("taken of vm1: %v", taken)
	}

	before := s.drops(vm)
	offer := vm.spoofs()[4]
	testenv.Inject(t, vm.NS, "eth0", offer, vm.advertise6(beside, 1), vm.ra(vm.eui()))
	fence(t, vm, lan)
	s.refused(vm, before, "dhcp-server", "ra-rogue")
	lan.None("the VM as a server", func(f testenv.Frame) bool {
		return from(vm.mac)(f) && (bytes.Equal(f.Data, offer) || isND(routerAdvertisement)(f))
	})

	testenv.Inject(t, beside.NS, "eth0", beside.rs(beside.eui()), beside.toServers(beside.message6(solicit6, 1)))
	fence(t, s.lan.at("192.0.2.1"), ear2)
	ear2.None("the site's word at the VM beside", both(from(s.lan.mac), func(f testenv.Frame) bool {
		return isND(routerAdvertisement)(f) || isDHCP6(f) || dhcpIn(f) != nil
	}))
	lan.None("what the VM beside asks", both(from(beside.mac), isControl6))
}

// TestRouterBetween: a VM with a NIC on the site's network and one in its
// tenant's translates what the tenant's VM sends to its own outside address,
// and nothing else of the tenant's gets out. The tenant's DHCP server is beyond
// a tunnel, on its premises, and the VM relays to it.
func TestRouterBetween(t *testing.T) {
	t.Parallel()
	testenv.NeedLinkKind(t, "vxlan")
	s := newSite(t, "")
	s.networks(transparent)
	router, vms := s.vms[0], addGuests(t, s.node, "br-t", "t1", "t2")
	inside, behind := vms[0], vms[1]
	s.write("vm1.yaml", router.bindingWith("192.0.2.11", "group: gate\n"))
	s.write("t1.yaml", inside.keys("network: tenant-42\ngroup: gate\n"))
	s.write("t2.yaml", behind.keys("network: tenant-42\n"))
	for _, bridge := range []string{"br0", "br-t"} { // what the host says is no drop of the VM's
		s.ns.Sysctl("net.ipv6.conf."+bridge+".disable_ipv6", "1")
	}
	s.start()
	s.attach("vm1", "t1", "t2")
	s.connect(router, inside)
	w := s.watch()
	udhcpc{}.start(t, behind)
	waitLease(t, udhcpc{}, behind, "10.0.0.100", soon)
	t.Log("its lease is from the premises; now translated")
	becomes(t, "its address", []string{"10.0.0.100/24"}, func() []string { return behind.usable(t) })
	behind.Exec("ping", "-n", "-c1", "-W5", "192.0.2.1")
	w.at[uplink].Wait(30*time.Second, "the request, translated", both(from(router.mac), echoOf("192.0.2.11")))
	w.nowhere("", "the tenant's address on the site's side", echoOf("10.0.0.100"))
	s.refused(router, nil)

	t.Log("not translated any more")
	router.Exec("nft", "delete", "table", "ip", "nat")
	w = s.watch()
	if out, err := behind.Try("ping", "-n", "-c1", "-W1", "192.0.2.1"); err == nil {
		t.Errorf("it is answered untranslated:\n%s", out)
	}
	w.at["vm1"].Wait(30*time.Second, "the request, untranslated", echoOf("10.0.0.100"))
	fence(t, router, w.at[uplink])
	w.nowhere("vm1", "the tenant's address on the site's side", echoOf("10.0.0.100"))
	s.refused(router, nil, "ip4-spoof")
}

// echoOf matches pings from an address.
func echoOf(addr string) testenv.Filter {
	return func(f testenv.Frame) bool {
		return len(f.Data) > 34 && f.Data[12] == 8 && f.Data[13] == 0 && f.Data[23] == 1 && f.Data[34] == 8 && bytes.Equal(f.Data[26:30], ip(addr).AsSlice())
	}
}

// connect makes a router of a VM: the far end of another port is its inside,
// and a tunnel leads to the tenant's premises, which the LAN stands for, where
// its DHCP server is.
func (s *site) connect(router, inside *guest) {
	s.t.Helper()
	inside.Exec("ip", "link", "set", "eth0", "netns", router.Name, "name", "eth1")
	router.Sh(`ip address add 192.0.2.11/24 dev eth0
ip address add 10.0.0.1/24 dev eth1; ip link set eth1 up
ip link add tun1 type vxlan id 1 dstport 4789 local 192.0.2.11 remote 192.0.2.1; ip link set tun1 up; ip address add 10.9.0.2/30 dev tun1
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
nft 'add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; add rule ip nat out oifname eth0 ip saddr 10.0.0.0/24 masquerade'`)
	s.lan.Sh(`ip link add tun1 type vxlan id 1 dstport 4789 local 192.0.2.1 remote 192.0.2.11; ip link set tun1 up; ip address add 10.9.0.1/30 dev tun1
ip route add 10.0.0.0/24 via 10.9.0.2 dev tun1; sysctl -qw net.ipv4.conf.all.rp_filter=0`)
	dnsmasq(s.t, s.lan, "--interface=tun1", "--dhcp-range=10.0.0.100,10.0.0.100,255.255.255.0,1h", "--dhcp-option=option:router,10.0.0.1")
	relay := dnsmasq(s.t, router, "--dhcp-relay=10.0.0.1,10.9.0.1")
	testenv.Wait(s.t, soon, "the relay", func() bool { return strings.Contains(relay.out.String(), "relay") })
}
