package story_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// formerConf is nfdhcpd.conf as packages installed it, for two paths: where the
// files are, and the rest of section ipv6.
const formerConf = `## nfdhcpd's own configuration
[general]
pidfile = /var/run/nfdhcpd/nfdhcpd.pid
datapath = %s # one file a NIC
logdir = /var/log/nfdhcpd
user = nobody

[dhcp]
enable_dhcp = yes
lease_lifetime = 604800 # a week
lease_renewal = 3600
server_ip = 192.0.2.1 # nobody's
dhcp_queue = 42
nameservers = 198.51.100.1, 198.51.100.2

[ipv6]
enable_ipv6 = yes
mode = auto
ra_period = %d
rs_queue = 43
ns_queue = 44
dhcpv6_queue = 45
nameservers = 2001:db8::53,
`

// formerServer is its server_ip.
const formerServer = "192.0.2.1"

// bridgeMAC is INDEV's, and routerOfBridge the link-local that nfdhcpd made of
// it.
const (
	bridgeMAC      = "02:00:00:00:00:b0"
	routerOfBridge = "fe80::ff:fe00:b0"
)

// formerly is what a node has of nfdhcpd: its files tell of the NICs.
type formerly struct {
	n        *node
	datapath string
}

// inherit gives a node an nfdhcpd.conf. Its directory is there, and empty.
func inherit(n *node, raPeriod int) *formerly {
	n.t.Helper()
	f := &formerly{n: n, datapath: n.dir + "/lib/nfdhcpd"}
	conf := n.dir + "/nfdhcpd.conf"
	if err := os.MkdirAll(f.datapath, 0o755); err != nil {
		n.t.Fatal(err)
	}
	writeFile(n.t, conf, fmt.Sprintf(formerConf, f.datapath, raPeriod))
	n.config += fmt.Sprintf("nfdhcpd: {conf: %s}\n", conf)
	n.writeConfig()
	return f
}

// start runs berthd until it has read nfdhcpd's files, too.
func (f *formerly) start() {
	f.n.t.Helper()
	f.n.launch()
	client := api.NewClient(f.n.socket())
	testenv.Wait(f.n.t, 30*time.Second, "berthd to be ready", func() bool {
		select {
		case <-f.n.p.done:
			f.n.t.Fatalf("berthd ended:\n%s", f.n.p.out)
		default:
		}
		st, err := client.Status(f.n.t.Context())
		return err == nil && !slices.ContainsFunc(st.Sources, func(s api.Source) bool { return s.Generation == 0 && s.Name != "socket" })
	})
}

// put writes a file in place, as snf-network did.
func (f *formerly) put(name, text string) {
	f.n.t.Helper()
	writeFile(f.n.t, filepath.Join(f.datapath, name), text)
}

func (f *formerly) take(name string) {
	f.n.t.Helper()
	if err := os.Remove(filepath.Join(f.datapath, name)); err != nil {
		f.n.t.Fatal(err)
	}
}

// mistakes is what berth status tells of nfdhcpd's files.
func (f *formerly) mistakes() []string {
	f.n.t.Helper()
	var st api.Status
	f.n.decode(f.n.must("status", "-o", "json"), &st)
	for _, s := range st.Sources {
		if s.Name == "nfdhcpd" {
			return s.Rejected
		}
	}
	f.n.t.Fatal("berth status knows of no source nfdhcpd")
	return nil
}

// formerSite is a site on whose bridge nfdhcpd served. The host's kernel is
// the IPv6 router, by the bridge's link-local; the site's router has IPv4.
type formerSite struct {
	*formerly
	*site
}

func newFormerSite(t testing.TB, raPeriod int) *formerSite {
	t.Helper()
	s := newSite(t, "log: {level: error}\n")
	s.ns.Exec("ip", "link", "set", "br0", "address", bridgeMAC)
	s.ns.Exec("ip", "-6", "address", "replace", routerOfBridge+"/64", "dev", "br0", "nodad")
	s.ns.Sysctl("net.ipv6.conf.all.forwarding", "1")
	s.lan.Exec("ip", "address", "flush", "dev", "eth0")
	s.lan.Exec("ip", "address", "add", "203.0.113.1/24", "dev", "eth0")
	for i, g := range s.vms {
		g.at(fmt.Sprintf("203.0.113.%d", 11+i))
	}
	s.free.at("203.0.113.44")
	return &formerSite{formerly: inherit(s.node, raPeriod), site: s}
}

// bridgedFile is a binding file as snf-network wrote it.
func (g *guest) bridgedFile() string {
	return fmt.Sprintf(`INDEV=br0
IP=%s
MAC=%s
HOSTNAME=%s.example.org
TAGS=synnefo:network:0:protected
GATEWAY=203.0.113.1
SUBNET=203.0.113.0/24
GATEWAY6=2001:db8:1::1
SUBNET6=2001:db8:1::/64
EUI64=%s
MTU=1442
`, g.addr, g.mac, g.port, g.slaac())
}

// slaac is the guest's address of its MAC.
func (g *guest) slaac() netip.Addr { return g.mac.InPrefix(netip.MustParsePrefix("2001:db8:1::/64")) }

// without is a file whose line of a key is another, none if it is empty.
func without(text, key, line string) string {
	lines := slices.DeleteFunc(strings.Split(strings.TrimSuffix(text, "\n"), "\n"), func(l string) bool {
		return strings.HasPrefix(l, key+"=")
	})
	if line != "" {
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + "\n"
}

// bindFiles writes a file for each VM and waits until all are in force.
func (s *formerSite) bindFiles() {
	s.t.Helper()
	for _, g := range s.vms {
		s.put(g.port, g.bridgedFile())
	}
	s.attach(s.managed()...)
}

// whatNfdhcpdTold is the options of its ACK to a guest with bridgedFile, by
// code (RFC 2132).
func (g *guest) whatNfdhcpdTold() map[uint8]string {
	return map[uint8]string{
		1: "ffffff00", 3: "cb007101", 6: "c6336401c6336402",
		12: fmt.Sprintf("%x", g.port+".example.org"), 15: fmt.Sprintf("%x", "example.org"),
		26: "05a2", 28: "cb0071ff", 51: "00093a80", 53: "05", 54: "c0000201", 58: "00000e10",
	}
}

// optionsOf are those of a message by code, but for the echoed client
// identifier (RFC 6842).
func optionsOf(m *dhcpv4.DHCPv4) map[uint8]string {
	got := map[uint8]string{}
	for code, data := range m.Options {
		if code != 61 && code != 255 {
			got[code] = fmt.Sprintf("%x", data)
		}
	}
	return got
}

// isTold holds an answer to its address and to every option.
func isTold(t testing.TB, m *dhcpv4.DHCPv4, addr netip.Addr, want map[uint8]string) {
	t.Helper()
	if got := m.YourIPAddr.String(); got != addr.String() {
		t.Errorf("yiaddr %s, want %s", got, addr)
	}
	if diff := cmp.Diff(want, optionsOf(m)); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

// renewal is a unicast REQUEST to the former server by way of the gateway.
func (g *guest) renewal(t testing.TB) (*dhcpv4.DHCPv4, []byte) {
	t.Helper()
	m := g.request(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(g.addr.AsSlice()))
	return m, g.unicast(m, formerServer)
}

// renewsOn renews once and returns the ACK.
func (s *formerSite) renewsOn(g *guest) *dhcpv4.DHCPv4 {
	s.t.Helper()
	ear := testenv.Capture(s.t, g.NS, "eth0")
	defer ear.Stop()
	m, f := g.renewal(s.t)
	testenv.Inject(s.t, g.NS, "eth0", f)
	return dhcpIn(ear.Wait(soon, "an ACK to "+g.port, replyTo(m.TransactionID)))
}

// discovers asks for an address and returns the OFFER.
func discovers(t testing.TB, g *guest) *dhcpv4.DHCPv4 {
	t.Helper()
	ear := testenv.Capture(t, g.NS, "eth0")
	defer ear.Stop()
	m := g.request(t, dhcpv4.MessageTypeDiscover)
	testenv.Inject(t, g.NS, "eth0", g.broadcast(m))
	return dhcpIn(ear.Wait(soon, "an OFFER to "+g.port, replyTo(m.TransactionID)))
}

// advertisement is what nfdhcpd told a guest on the bridge of IPv6, part by
// part, with the router lifetime in hex.
func advertisement(lifetime string, raPeriod uint32) []string {
	return []string{
		"8600" + "----" + "00" + "40" + lifetime + "00000000" + "00000000", // O: stateless DHCPv6 beside it
		"0101" + strings.ReplaceAll(bridgeMAC, ":", ""),
		"030440c0" + "ffffffff" + "ffffffff" + "00000000" + "20010db8000100000000000000000000",
		"19030000" + fmt.Sprintf("%08x", 3*raPeriod) + "20010db8000000000000000000000053",
		"05010000" + "000005a2",
		"1f030000" + fmt.Sprintf("%08x", 3*raPeriod) + "076578616d706c65" + "036f7267" + "00" + "000000",
	}
}

// solicits asks for routers from an address and returns what it is told, and
// by whom.
func solicits(t testing.TB, g *guest, src string) (parts []string, router netip.Addr) {
	t.Helper()
	ear := testenv.Capture(t, g.NS, "eth0")
	defer ear.Stop()
	testenv.Inject(t, g.NS, "eth0", g.rs(ip(src)))
	m, _ := icmpIn(ear.Wait(soon, "an advertisement to "+src, isND(routerAdvertisement)))
	return raParts(m.Message), m.Src
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
