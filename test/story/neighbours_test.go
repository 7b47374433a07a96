package story_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// isARP matches ARP of an operation about a target or, if it is a reply, by a
// sender.
func isARP(op uint16, addr string) testenv.Filter {
	return func(f testenv.Frame) bool {
		a, err := wire.ParseARP(f.Data)
		return err == nil && a.Op == op && (op == 1 && a.TargetIP == ip(addr) || op == 2 && a.SenderIP == ip(addr))
	}
}

// behind is a binding whose gateways are the site's router, by its MAC.
func (s *site) behind(g *guest, gateway6, neighbours string) string {
	return g.bindingWith(g.addr.String(), fmt.Sprintf(
		"slaac: [\"2001:db8:%d::/64\"]\ngateway6: %s\ngateway-mac: %s\nneighbours: %s\n", g.mac[5], gateway6, s.lan.mac, neighbours))
}

// kernel6 switches on the IPv6 of a guest's kernel, which makes itself an
// address.
func (g *guest) kernel6(t testing.TB) {
	t.Helper()
	g.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")
	testenv.Wait(t, 30*time.Second, "an address of the prefix", func() bool {
		out := g.Exec("ip", "-6", "addr", "show", "dev", "eth0", "scope", "global")
		return strings.Contains(out, "2001:db8:") && !strings.Contains(out, "tentative")
	})
}

// TestGatewayIsAnsweredFor: where the gateway's MAC is declared, a VM's kernel
// learns it from berth, reaches the gateway with it, and its question is seen
// by nobody; where berth does not answer, the gateway itself does.
func TestGatewayIsAnsweredFor(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	vm, plain := s.vms[0], s.vms[1]
	s.write("vm1.yaml", s.behind(vm, "fe80::1", "gateway"))
	s.write("vm2.yaml", s.behind(plain, "fe80::1", "off"))
	s.attach("vm1", "vm2")
	s.lan.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")
	s.lan.Exec("ip", "addr", "add", "fe80::1/64", "dev", "eth0", "nodad")
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	for _, g := range []*guest{vm, plain} {
		g.kernel6(t)
		g.Exec("ip", "addr", "add", g.addr.String()+"/24", "dev", "eth0")
		g.Exec("ip", "neigh", "flush", "dev", "eth0") // what the advertisement told of fe80::1
		g.reaches(t, "192.0.2.1")
		g.reaches(t, "fe80::1%eth0")
	}
	ask := aboutTarget(neighbourSolicitation, ip("fe80::1"))
	for _, f := range []testenv.Filter{isARP(1, "192.0.2.1"), ask} {
		w.at["vm1"].Wait(30*time.Second, "the VM's question at its own port", both(from(vm.mac), f))
		w.at[uplink].Wait(30*time.Second, "the other VM's question at the site", both(from(plain.mac), f))
		w.nowhere("vm1", "the VM's question", both(from(vm.mac), f))
	}
	for _, f := range []testenv.Filter{isARP(2, "192.0.2.1"), aboutTarget(neighbourAdvert, ip("fe80::1"))} {
		ear.Wait(30*time.Second, "the answer", both(from(s.lan.mac), f))
		w.nowhere("", "an answer to the VM", func(x testenv.Frame) bool {
			return f(x) && nic.MAC(x.Data[:6]) == vm.mac && !onItsWay(x)
		})
	}
	n := s.show("vm1")
	if n.Answers.Count["ARP"] == 0 || n.Answers.Count["NA"] == 0 {
		t.Errorf("answers %v, want some of ARP and NA", n.Answers.Count)
	}
	if got := s.show("vm2").Answers.Count; got["ARP"]+got["NA"] != 0 {
		t.Errorf("answers to the VM that has none: %v", got)
	}
}

// TestTakingTheGatewaysAddress: a VM that gives itself its gateway's address is
// told that it is in use, by its own kernel's duplicate address detection, and
// nobody else hears of it. Its own address is nobody's.
func TestTakingTheGatewaysAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	vm, other := s.vms[0], s.vms[1]
	s.write("vm1.yaml", s.behind(vm, "fe80::1", "gateway"))
	s.write("vm2.yaml", s.behind(other, "2001:db8:2::1", "gateway"))
	s.attach("vm1", "vm2")
	w := s.watch()
	vm.kernel6(t)
	other.kernel6(t)
	for _, c := range []struct {
		g      *guest
		addr   string
		failed bool
	}{
		{vm, "fe80::1", true},
		{vm, "fe80::7", false},
		{vm, "2001:db8:1::7", false},
		{other, "2001:db8:2::1", true},
	} {
		if line := c.g.detect(t, c.addr); strings.Contains(line, "dadfailed") != c.failed {
			t.Errorf("detection of %s by %s: %q, want it to fail: %t", c.addr, c.g.port, line, c.failed)
		}
	}
	// RFC 5227: arping -D ends with 1 if somebody answers the probe.
	for addr, want := range map[string]string{"192.0.2.1": "1\n", "192.0.2.11": "0\n"} {
		if got := vm.Sh("arping -q -D -c2 -w2 -I eth0 " + addr + " || { echo $?; exit 0; }; echo 0"); got != want {
			t.Errorf("arping -D of %s exits %q, want %q", addr, got, want)
		}
	}
	for g, gateway := range map[*guest]string{vm: "fe80::1", other: "2001:db8:2::1"} {
		w.nowhere(g.port, "a question of "+g.port+" about the gateway", both(from(g.mac), func(f testenv.Frame) bool {
			return isARP(1, "192.0.2.1")(f) || aboutTarget(neighbourSolicitation, ip(gateway))(f)
		}))
	}
	w.at[uplink].Wait(30*time.Second, "the detection of an address of its own", both(from(vm.mac), aboutTarget(neighbourSolicitation, ip("2001:db8:1::7"))))
}

// detect gives a guest an address and returns what its kernel says of it once
// duplicate address detection has ended.
func (g *guest) detect(t testing.TB, addr string) string {
	t.Helper()
	g.Exec("ip", "addr", "add", addr+"/64", "dev", "eth0")
	line := ""
	testenv.Wait(t, 30*time.Second, "the end of the detection of "+addr, func() bool {
		line = g.Sh("ip -6 -o addr show dev eth0 | grep ' " + addr + "/64 '")
		return !strings.Contains(line, "tentative") || strings.Contains(line, "dadfailed")
	})
	return line
}

// TestServerNobodyHas: with a server identifier that no host has, a client's
// renewal at T1 is by unicast all the same, since berth answers ARP for it; and
// nobody else sees question or renewal.
func TestServerNobodyHas(t *testing.T) {
	for name, c := range map[string]client{"dhclient": dhclient{}, "udhcpc": udhcpc{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			vm := s.vms[0]
			s.start()
			s.write("vm1.yaml", vm.bindingWith("192.0.2.11",
				"neighbours: server\ndhcp4: {server-id: 192.0.2.254, lease: 60s, t1: 2s, t2: 50s}\n"))
			s.attach("vm1")
			w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
			p := c.start(t, vm)
			waitLease(t, c, vm, "192.0.2.11", 30*time.Second)
			if name == "udhcpc" { // it looks at no T1
				p.signal(syscall.SIGUSR1)
			}
			toServer := func(f testenv.Frame) bool {
				u, err := wire.ParseUDP4(f.Data)
				return err == nil && u.Src == ip("192.0.2.11") && u.Dst == ip("192.0.2.254") && u.EthDst == nic.BerthMAC() && u.DstPort == 67
			}
			renewal := dhcpIn(w.at["vm1"].Wait(30*time.Second, "a renewal to berth's own MAC", toServer))
			ack := dhcpIn(ear.Wait(30*time.Second, "its ACK", both(replyTo(renewal.TransactionID), func(f testenv.Frame) bool {
				m := dhcpIn(f)
				return m.MessageType() == dhcpv4.MessageTypeAck && !m.ClientIPAddr.IsUnspecified()
			})))
			got := []string{ack.YourIPAddr.String(), ack.ServerIdentifier().String()}
			if diff := cmp.Diff([]string{"192.0.2.11", "192.0.2.254"}, got); diff != "" {
				t.Errorf("the ACK's address and server (-want +got):\n%s", diff)
			}
			ear.Wait(30*time.Second, "the server's MAC", both(from(nic.BerthMAC()), isARP(2, "192.0.2.254")))
			fence(t, vm, w.at[uplink])
			w.nowhere("vm1", "ARP for the server", isARP(1, "192.0.2.254"))
			w.nowhere("vm1", "ARP of the server", isARP(2, "192.0.2.254"))
			w.contained()
		})
	}
}
