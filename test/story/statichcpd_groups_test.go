package story_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// The cases that statichcpd's own documentation names as not served, or not
// well.

// twoNICs is a VM with a second NIC.
type twoNICs struct {
	*controlled
	vm     *guest
	second nic.MAC
	at     map[string]*testenv.Sniffer // the ports of the host
	ears   map[string]*testenv.Sniffer // the far ends, where berth's own frames are seen
}

// newTwoNICs gives the first VM an eth1, on a bridge of its own with a router
// or on the first one's.
func newTwoNICs(t testing.TB, ownBridge bool) *twoNICs {
	t.Helper()
	c := newControlled(t, "create: true")
	d := &twoNICs{controlled: c, vm: c.vms[0], second: nic.MAC{0x52, 0x54, 0, 0xaa, 1, 1}, at: map[string]*testenv.Sniffer{}, ears: map[string]*testenv.Sniffer{}}
	testenv.Veth(t, c.ns, "vm1001", d.vm.NS, "eth1", d.second)
	ports := append(c.managed(), "vm1001", c.free.port, uplink, "br0")
	if ownBridge {
		router := newGuest(t, c.node, "lan1", nic.MAC{0x52, 0x54, 0, 0xff, 0, 2})
		router.Exec("ip", "address", "add", "198.51.100.1/24", "dev", "eth0")
		testenv.Bridge(t, c.ns, "br1", "vm1001", "lan1")
		ports = append(ports, "lan1", "br1")
		d.ears["lan1"] = testenv.Capture(t, router.NS, "eth0")
	} else {
		c.ns.SetMaster("vm1001", "br0")
	}
	for _, port := range ports {
		d.at[port] = testenv.Capture(t, c.ns, port)
	}
	for _, g := range append(c.vms, c.free, c.lan) {
		d.ears[g.port] = testenv.Capture(t, g.NS, "eth0")
	}
	d.ears["vm1001"] = testenv.Capture(t, d.vm.NS, "eth1")
	c.start()
	return d
}

// strays runs dhclient on both NICs and asserts that what renews the first
// leaves by the second, is answered at the first, and is heard nowhere else.
func (d *twoNICs) strays(t *testing.T, first, second string) {
	t.Helper()
	d.attach("vm1", "vm1001")
	d.vm.dhclientOn(t, "eth1", 300)
	d.vm.told(t, "eth1", "BOUND "+second, 20*time.Second)
	d.vm.dhclientOn(t, "eth0", 2)
	d.vm.told(t, "eth0", "BOUND "+first, 20*time.Second)
}

// answeredAtFirst asserts what the captures have seen after a renewal.
func (d *twoNICs) answeredAtFirst(t *testing.T, addr, server string) {
	t.Helper()
	strayed := d.at["vm1001"].Wait(10*time.Second, "a renewal of eth0 by eth1", unicastRenewal(d.vm.mac, server))
	if from := nic.MAC(strayed.Data[6:12]); from != d.second {
		t.Errorf("the renewal came from %s, want it from eth1 (%s)", from, d.second)
	}
	d.vm.extends(t, "eth0", addr, server, 2, 20*time.Second)
	xid := dhcpIn(strayed).TransactionID
	ack := dhcpIn(d.ears["vm1"].Wait(5*time.Second, "its answer", both(replyTo(xid), reply(d.vm.mac, dhcpv4.MessageTypeAck))))
	if got, want := said(ack), fmt.Sprintf("ACK %s from %s dns []", addr, server); got != want {
		t.Errorf("eth0 is told %s, want %s", got, want)
	}
	d.at["vm1"].None("a renewal by eth0", unicastRenewal(d.vm.mac, server))
	for port, ear := range d.ears {
		if port != "vm1" {
			ear.None("an answer to eth0", isReplyTo(d.vm.mac))
		}
	}
	for port, at := range d.at {
		if port != "vm1" && port != "vm1001" {
			at.None("DHCP of the VM", dhcpOf(d.vm.mac))
			at.None("DHCP of the VM", dhcpOf(d.second))
		}
	}
}

// isReplyTo matches everything that servers say to a MAC.
func isReplyTo(mac nic.MAC) testenv.Filter {
	return func(f testenv.Frame) bool {
		m := dhcpIn(f)
		return m != nil && m.OpCode == dhcpv4.OpcodeBootReply && bytes.Equal(m.ClientHWAddr, mac[:])
	}
}

// TestStatichcpdOtherNetwork: each NIC has a /32 in a network of its own and
// the default route leads out of the second, so the first one's renewals do.
func TestStatichcpdOtherNetwork(t *testing.T) {
	t.Parallel()
	d := newTwoNICs(t, true)
	d.sql(
		rows4("vm1", "web", d.vm.mac, "256 '192.0.2.11'", "1 '255.255.255.255'", "258 '192.0.2.2'"),
		rows4("vm1001", "web", d.second, "256 '198.51.100.11'", "1 '255.255.255.255'", "258 '198.51.100.2'"),
	)
	d.vm.Sh("ip route add 198.51.100.1 dev eth1\nip route add default via 198.51.100.1 dev eth1")
	d.strays(t, "192.0.2.11 192.0.2.2", "198.51.100.11 198.51.100.2")
	d.answeredAtFirst(t, "192.0.2.11", "192.0.2.2")
}

// TestStatichcpdSameNetwork: both NICs are in one subnet, and the kernel finds
// the first one's server by the second.
func TestStatichcpdSameNetwork(t *testing.T) {
	t.Parallel()
	d := newTwoNICs(t, false)
	d.sql(
		rows4("vm1", "web", d.vm.mac, "256 '192.0.2.11'", "1 '255.255.255.0'", "258 '192.0.2.2'"),
		rows4("vm1001", "web", d.second, "256 '192.0.2.21'", "1 '255.255.255.0'", "258 '192.0.2.2'"),
	)
	// eth1 comes up first, so that its route to the subnet is the one that counts.
	d.strays(t, "192.0.2.11 192.0.2.2", "192.0.2.21 192.0.2.2")
	d.answeredAtFirst(t, "192.0.2.11", "192.0.2.2")
	t.Log("the kernel sends, and asks for the server's MAC, by eth1 in the name of eth0's address")
	d.vm.Sh("ip route replace 192.0.2.2 dev eth1 src 192.0.2.11\nip neighbour flush dev eth1")
	d.vm.extends(t, "eth0", "192.0.2.11", "192.0.2.2", 2, 20*time.Second)
	d.at["vm1001"].Wait(time.Second, "ARP by eth1 in the name of eth0's address", func(f testenv.Frame) bool {
		return arpFor("192.0.2.2")(f) && bytes.Equal(f.Data[28:32], ip("192.0.2.11").AsSlice())
	})
}

// TestStatichcpdMove: address and server of a live guest are changed at once.
// Its next renewal, to a server that is nowhere any more and whose MAC it has
// forgotten, is refused, and it has the new address at once.
func TestStatichcpdMove(t *testing.T) {
	t.Parallel()
	c := newControlled(t, "create: true")
	vm := c.vms[0]
	c.start()
	c.sql(vm.ordinary())
	c.attach("vm1")
	vm.dhclientOn(t, "eth0", 6)
	vm.told(t, "eth0", "BOUND 192.0.2.11 192.0.2.2 192.0.2.53", 20*time.Second)
	w, ear := c.watch(), testenv.Capture(t, vm.NS, "eth0")
	c.sql("update client_configuration set attr_val = '192.0.2.31' where ifname = 'vm1' and attr_code = 256;",
		"update client_configuration set attr_val = '192.0.2.3' where ifname = 'vm1' and attr_code = 258;")
	testenv.Wait(t, 5*time.Second, "the new rules", func() bool {
		return c.show("vm1").Installed.Sources[0].String() == "192.0.2.31/32"
	})
	vm.Exec("ip", "neighbour", "flush", "dev", "eth0")
	w.at["vm1"].Wait(20*time.Second, "a renewal to the old server", unicastRenewal(vm.mac, "192.0.2.2"))
	begin := time.Now()
	nak := dhcpIn(ear.Wait(10*time.Second, "the NAK", reply(vm.mac, dhcpv4.MessageTypeNak)))
	if got, want := said(nak), "NAK 0.0.0.0 from 192.0.2.3 dns []"; got != want {
		t.Errorf("the guest is told %s, want %s", got, want)
	}
	vm.told(t, "eth0", "BOUND 192.0.2.31 192.0.2.3 192.0.2.53", 10*time.Second)
	t.Logf("from the renewal to the new address: %v", time.Since(begin).Round(time.Millisecond))
	ear.Wait(time.Second, "the ARP reply of the old server", arpReplyFor("192.0.2.2"))
	w.nowhere("vm1", "DHCP of vm1", dhcpOf(vm.mac))
	w.nowhere("vm1", "the search for the old server", arpFor("192.0.2.2"))
}

// arpFor matches ARP requests for an address.
func arpFor(addr string) testenv.Filter {
	return func(f testenv.Frame) bool {
		return len(f.Data) >= 42 && bytes.Equal(f.Data[12:14], []byte{8, 6}) && f.Data[21] == 1 &&
			bytes.Equal(f.Data[38:42], ip(addr).AsSlice())
	}
}

// arpReplyFor matches ARP replies that say where an address is.
func arpReplyFor(addr string) testenv.Filter {
	return func(f testenv.Frame) bool {
		return len(f.Data) >= 42 && bytes.Equal(f.Data[12:14], []byte{8, 6}) && f.Data[21] == 2 &&
			bytes.Equal(f.Data[28:32], ip(addr).AsSlice())
	}
}

// TestStatichcpdAmbiguity: a MAC that is on two NICs of one group could not be
// told apart. Who had it keeps it; the other one is refused by name.
func TestStatichcpdAmbiguity(t *testing.T) {
	t.Parallel()
	c := newControlled(t, "create: true")
	vm := c.vms[0]
	c.start()
	c.sql(rows4("vm1", "web", vm.mac, "256 '192.0.2.11'", "1 '255.255.255.0'", "258 '192.0.2.2'"))
	c.attach("vm1")
	c.sql(rows4("vm3", "web", vm.mac, "256 '192.0.2.13'", "1 '255.255.255.0'", "258 '192.0.2.2'"))
	// The refusal names both.
	var v api.NIC
	testenv.Wait(t, 10*time.Second, "vm3 to be refused", func() bool {
		v, _ = api.NewClient(c.socket()).NIC(t.Context(), "vm3") // unknown until its rows are read
		return v.Why != ""
	})
	if v.State == api.InForce || !strings.Contains(v.Why, "vm1") || !strings.Contains(v.Why, vm.mac.String()) {
		t.Errorf("vm3 is %s because %q, want it refused for the MAC of vm1", v.State, v.Why)
	}
	ear, second := testenv.Capture(t, vm.NS, "eth0"), testenv.Capture(t, c.ns, "vm3")
	want := "ACK 192.0.2.11 from 192.0.2.2 dns []"
	if got := vm.renewed(t, ear); got != want {
		t.Errorf("vm1 is told %s, want %s", got, want)
	}
	second.None("an answer at the second NIC", func(f testenv.Frame) bool {
		u, err := wire.ParseUDP4(f.Data)
		return err == nil && u.SrcPort == 67
	})
}
