package story_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// tenant is one of two that have the same MACs and addresses, each on a bridge
// and in a network of its own.
type tenant struct {
	name    string
	ns      *testenv.NS // of all its guests, vm0 and on
	gateway netip.Addr
	dns     netip.Addr
}

// answered is what an answer says to a guest.
type answered struct {
	kind                     dhcpv4.MessageType
	address, router, dns, id string
	hostname, domain         string
}

// tells is what the tenant's guest number i is to be told.
func (x tenant) tells(kind dhcpv4.MessageType, i int) answered {
	return answered{
		kind: kind, address: twinAddr(i).String(), router: x.gateway.String(), dns: x.dns.String(),
		id: x.gateway.String(), hostname: fmt.Sprintf("%s%d", x.name, i), domain: x.name + ".example",
	}
}

func answeredBy(m *dhcpv4.DHCPv4) answered {
	t := answered{
		kind: m.MessageType(), address: m.YourIPAddr.String(), id: m.ServerIdentifier().String(),
		hostname: m.HostName(), domain: m.DomainName(),
	}
	for _, a := range m.Router() {
		t.router += a.String()
	}
	for _, a := range m.DNS() {
		t.dns += a.String()
	}
	return t
}

const tenantNICs = 50

// newTenants makes two tenants of fifty guests each.
func newTenants(t *testing.T, n *node) []tenant {
	t.Helper()
	all := []tenant{
		{"a", testenv.NewNS(t), ip("10.0.0.1"), ip("10.0.0.53")},
		{"b", testenv.NewNS(t), ip("10.0.0.254"), ip("10.0.0.54")},
	}
	networks := strings.Builder{}
	for _, x := range all {
		x.ns.Sysctl("net.ipv6.conf.default.disable_ipv6", "1")
		fmt.Fprintf(&networks, "---\nnetwork: tenant-%s\ngateway: %s\ndns: [%s]\ndomain: %[1]s.example\nguard: {rate: {per-second: 5000, burst: 5000}}\n",
			x.name, x.gateway, x.dns)
		links, up, nics := strings.Builder{}, strings.Builder{}, strings.Builder{}
		fmt.Fprintf(&links, "link add br-%s up type bridge\n", x.name)
		for i := range tenantNICs {
			port, mac := fmt.Sprintf("%s%d", x.name, i), twinMAC(i)
			fmt.Fprintf(&links, "link add %s up master br-%s type veth peer name vm%d address %s netns %s\n", port, x.name, i, mac, x.ns.Name)
			fmt.Fprintf(&up, "link set vm%d up\n", i)
			fmt.Fprintf(&nics, "---\nnic: %s\nnetwork: tenant-%s\nmac: %s\nhostname: %[1]s\naddresses: [%[4]s/24]\n", port, x.name, mac, twinAddr(i))
		}
		n.batch(links.String())
		n.batchIn(x.ns, up.String())
		n.write(x.name+".yaml", nics.String())
	}
	n.networks(networks.String())
	return all
}

// twinAddr is the address that guest number i of every tenant has.
func twinAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i)}) }

// twinMAC is the MAC that guest number i of every tenant has.
func twinMAC(i int) nic.MAC { return nic.MAC{0x52, 0x54, 0, 0xdd, 0, byte(i)} }

// TestTwinTenants: two tenants have the same addresses and the same MACs, pair
// by pair. All hundred ask and renew as fast as they are answered, at the same
// time. Each is told its own tenant's gateway, DNS and name every time, and
// nothing of it is seen on either bridge.
func TestTwinTenants(t *testing.T) {
	t.Parallel()
	n := newNode(t, "log: {level: warn}\n")
	tenants := newTenants(t, n)
	n.start()
	bridges := []*testenv.Sniffer{}
	for _, x := range tenants {
		for i := range tenantNICs {
			n.waitState(fmt.Sprintf("%s%d", x.name, i), "in-force", 30*time.Second)
		}
		bridges = append(bridges, testenv.Capture(t, n.ns, "br-"+x.name), testenv.Capture(t, x.ns, "vm0"))
	}
	var running sync.WaitGroup
	answers, begin := make([][tenantNICs]int, len(tenants)), make(chan time.Time)
	for k, x := range tenants {
		for i := range tenantNICs {
			c := newRenewer(t, x, i)
			running.Go(func() { answers[k][i] = c.run((<-begin).Add(5 * time.Second)) })
		}
	}
	for range len(tenants) * tenantNICs {
		begin <- time.Now()
	}
	running.Wait()
	for k, x := range tenants {
		sum := 0
		for i, n := range answers[k] {
			if sum += n; n < 4 {
				t.Errorf("guest %d of tenant %s had %d answers", i, x.name, n)
			}
		}
		t.Logf("tenant %s: %d answers, all its own", x.name, sum)
	}
	anyDHCP := func(f testenv.Frame) bool { return dhcpIn(f) != nil }
	bridges[0].None("DHCP", anyDHCP)
	bridges[2].None("DHCP", anyDHCP)
	for _, at := range []*testenv.Sniffer{bridges[1], bridges[3]} {
		at.None("another guest's DHCP", func(f testenv.Frame) bool {
			m := dhcpIn(f)
			return m != nil && m.ClientHWAddr.String() != twinMAC(0).String()
		})
	}
}

// renewer is one guest that asks for its address, then renews it, over and over.
type renewer struct {
	t     *testing.T
	x     tenant
	i     int
	guest guest
	fd    int
	index int
}

func newRenewer(t *testing.T, x tenant, i int) *renewer {
	t.Helper()
	name := fmt.Sprintf("vm%d", i)
	c := &renewer{t: t, x: x, i: i, guest: guest{NS: x.ns, mac: twinMAC(i), addr: twinAddr(i)}, index: x.ns.Index(name)}
	var err error
	x.ns.Do(func() { c.fd, err = openTwin(c.index) })
	if err != nil {
		t.Fatalf("open %s of tenant %s: %v", name, x.name, err)
	}
	t.Cleanup(func() { unix.Close(c.fd) })
	return c
}

// openTwin is a socket for the IPv4 frames of one interface.
func openTwin(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 500_000}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	ip4 := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP))
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ip4, Ifindex: index})
}

// run asks until the time is over and returns how many answers came. What was
// not answered in half a second is asked again.
func (c *renewer) run(end time.Time) int {
	answers := 0
	for n := 0; time.Now().Before(end); n++ {
		m, f := c.next(n)
		if err := unix.Sendto(c.fd, f, 0, &unix.SockaddrLinklayer{Ifindex: c.index}); err != nil {
			c.t.Errorf("send: %v", err)
			return answers
		}
		want := map[dhcpv4.MessageType]dhcpv4.MessageType{
			dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeRequest: dhcpv4.MessageTypeAck,
		}[m.MessageType()]
		answer := c.answer(m.TransactionID)
		if answer == nil {
			continue
		}
		answers++
		runtime.Gosched() // the answer is there at once: nobody else had a turn
		if got, want := answeredBy(answer), c.x.tells(want, c.i); got != want {
			c.t.Errorf("guest %d of tenant %s is told %+v, want %+v", c.i, c.x.name, got, want)
			return answers
		}
	}
	return answers
}

// next is a DISCOVER now and then, and otherwise a renewal.
func (c *renewer) next(n int) (*dhcpv4.DHCPv4, []byte) {
	if n%10 == 0 {
		m := c.guest.request(c.t, dhcpv4.MessageTypeDiscover)
		return m, c.guest.broadcast(m)
	}
	m := c.guest.request(c.t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(c.guest.addr.AsSlice()))
	return m, c.guest.unicast(m, c.x.gateway.String())
}

// answer waits for the answer to a message; nil if there is none in time.
// Whatever else comes must at least be to this guest.
func (c *renewer) answer(xid dhcpv4.TransactionID) *dhcpv4.DHCPv4 {
	buf := make([]byte, 2048)
	for {
		n, who, err := unix.Recvfrom(c.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil
		}
		ll, ok := who.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		m := dhcpIn(testenv.Frame{Data: buf[:n]})
		if m == nil || m.OpCode != dhcpv4.OpcodeBootReply {
			continue
		}
		if m.ClientHWAddr.String() != c.guest.mac.String() {
			c.t.Errorf("%s of tenant %s hears the answer to %s", c.guest.mac, c.x.name, m.ClientHWAddr)
		}
		if m.TransactionID == xid {
			return m
		}
	}
}
