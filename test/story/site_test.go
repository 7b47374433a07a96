package story_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// guest is a VM: a namespace whose eth0 is the far end of a port.
type guest struct {
	*testenv.NS
	port string // the host's end
	mac  nic.MAC
	addr netip.Addr // what its binding says; zero for an unmanaged one
	dir  string     // its files
}

// site is a host with a bridge, three managed VMs, one unmanaged VM and the
// uplink to a LAN whose router serves DHCP: to berth, a rogue.
type site struct {
	*node
	vms  []*guest // vm1 to vm3
	free *guest   // not berth's business
	lan  *guest   // the router and DHCP server behind the uplink
}

const uplink = "lan0"

// newSite builds the site; neither berthd nor the LAN's server runs.
func newSite(t testing.TB, config string) *site {
	t.Helper()
	s := &site{node: newNode(t, config)}
	ports := []string{}
	for i := range 3 {
		g := newGuest(t, s.node, fmt.Sprintf("vm%d", i+1), nic.MAC{0x52, 0x54, 0, 0xaa, 0, byte(i + 1)})
		g.addr = netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})
		s.vms, ports = append(s.vms, g), append(ports, g.port)
	}
	s.free = newGuest(t, s.node, "free1", nic.MAC{0x52, 0x54, 0, 0xbb, 0, 1})
	s.lan = newGuest(t, s.node, uplink, nic.MAC{0x52, 0x54, 0, 0xff, 0, 1})
	testenv.Bridge(t, s.ns, "br0", append(ports, s.free.port, s.lan.port)...)
	s.lan.Exec("ip", "address", "add", "192.0.2.1/24", "dev", "eth0")
	return s
}

// newGuest makes a VM at a new port of a host. The kernels on both ends say
// nothing by themselves: IPv6 is off on the guest's.
func newGuest(t testing.TB, n *node, port string, mac nic.MAC) *guest {
	t.Helper()
	g := &guest{NS: testenv.NewNS(t), port: port, mac: mac, dir: filepath.Join(n.dir, port)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	g.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	testenv.Veth(t, n.ns, port, g.NS, "eth0", mac)
	return g
}

// binding is the guest's identity with nothing special about it.
func (g *guest) binding() string { return g.bindingWith(g.addr.String(), "") }

// bindingWith is another address, and more keys.
func (g *guest) bindingWith(addr, more string) string {
	return fmt.Sprintf("nic: %s\nmac: %s\naddresses: [%s/24]\ngateway: 192.0.2.1\n%s", g.port, g.mac, addr, more)
}

// bindAll declares the three VMs, and waits for them if berthd runs.
func (s *site) bindAll() {
	s.t.Helper()
	for _, g := range s.vms {
		s.write(g.port+".yaml", g.binding())
	}
	if s.p != nil {
		s.attach(s.managed()...)
	}
}

func (s *site) managed() []string {
	names := []string{}
	for _, g := range s.vms {
		names = append(names, g.port)
	}
	return names
}

// serveLAN starts the LAN's DHCP server, which would answer anybody.
func (s *site) serveLAN() *process {
	s.t.Helper()
	return start(s.t, s.lan.NS, needTool(s.t, "dnsmasq"), "--keep-in-foreground", "--pid-file=", "--conf-file=/dev/null",
		"--port=0", "--interface=eth0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping", "--log-facility=-",
		"--dhcp-range=192.0.2.200,192.0.2.220,255.255.255.0,1h", "--dhcp-leasefile="+s.lan.dir+"/leases", "--user=root")
}

// watch captures at the bridge and at every port.
func (s *site) watch() *watch {
	s.t.Helper()
	w := &watch{s: s, at: map[string]*testenv.Sniffer{}}
	for _, port := range append(s.managed(), s.free.port, uplink, "br0") {
		w.at[port] = testenv.Capture(s.t, s.ns, port)
	}
	return w
}

// watch is a capture on every port of the site's host.
type watch struct {
	s  *site
	at map[string]*testenv.Sniffer
}

// contained asserts that no DHCP of a managed NIC was seen but on its own port.
func (w *watch) contained() {
	w.s.t.Helper()
	for _, g := range w.s.vms {
		for port, sniffer := range w.at {
			if port != g.port {
				sniffer.None(fmt.Sprintf("DHCP of %s", g.port), dhcpOf(g.mac))
			}
		}
	}
}

// nowhere asserts that no port but one's own saw a matching frame.
func (w *watch) nowhere(own, what string, match testenv.Filter) {
	w.s.t.Helper()
	for port, sniffer := range w.at {
		if port != own {
			sniffer.None(what, match)
		}
	}
}

// noSpoof asserts that no frame of guest.spoofs left the host by any port, or
// was taken in by the host itself.
func (w *watch) noSpoof() {
	w.s.t.Helper()
	for port, sniffer := range w.at {
		n := count(sniffer.Frames(), func(f testenv.Frame) bool { return (f.Outgoing || port == "br0") && isSpoof()(f) })
		if n > 0 {
			w.s.t.Errorf("%d spoofed frames at %s, want none", n, port)
		}
	}
}

// leases is what the LAN's server gave out, by MAC.
func (s *site) leases() map[string]string {
	s.t.Helper()
	b, err := os.ReadFile(s.lan.dir + "/leases")
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	m := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 3 {
			m[f[1]] = f[2]
		}
	}
	return m
}
