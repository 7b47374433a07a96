package story_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/testenv"
)

// TestNFDHCPDBridged: on a bridge, each client configures itself from nothing
// of IPv4, its kernel of IPv6, and the default router of IPv6 is the bridge's
// own, as nfdhcpd had it.
func TestNFDHCPDBridged(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.ns.Exec("ip", "-6", "address", "add", "2001:db8:1::1/64", "dev", "br0", "nodad")
	s.start()
	s.bindFiles()
	w := s.watch()
	clients := []client{dhclient{}, dhcpcd{}, udhcpc{}}
	ears := []*testenv.Sniffer{}
	for i, g := range s.vms {
		ears = append(ears, testenv.Capture(t, g.NS, "eth0"))
		clients[i].start(t, g)
	}
	for i, g := range s.vms {
		waitLease(t, clients[i], g, g.addr.String(), soon)
		g.six(map[string]string{"accept_ra": "1"}) // only now: a client's hook takes away all addresses first
	}
	for i, g := range s.vms {
		isTold(t, dhcpIn(ears[i].Wait(soon, "the ACK", reply(g.mac, dhcpv4.MessageTypeAck))), g.addr, g.whatNfdhcpdTold())
		g.getsExactly(t, g.addr.String()+"/24", g.slaac().String()+"/64")
		if diff := cmp.Diff([]string{routerOfBridge}, g.defaults(t, "-6")); diff != "" {
			t.Errorf("default routers of %s (-want +got):\n%s", g.port, diff)
		}
		if diff := cmp.Diff(advertisement("3840", 300), lastRA(ears[i])); diff != "" {
			t.Errorf("%s is advertised (-want +got):\n%s", g.port, diff)
		}
		if got := strings.TrimSpace(g.Exec("sysctl", "-n", "net.ipv6.conf.eth0.mtu")); got != "1442" {
			t.Errorf("the IPv6 MTU of %s is %s, want 1442", g.port, got)
		}
	}
	one, two := s.vms[0], s.vms[1]
	for _, to := range []string{"203.0.113.1", two.addr.String(), "2001:db8:1::1", two.slaac().String(), routerOfBridge + "%eth0"} {
		one.reaches(t, to)
	}
	fence(t, one, w.at[uplink])
	w.contained()
	w.contained6OnPorts()
	s.settled(s.managed()...)
}

// contained6OnPorts is contained6 where the bridge's own kernel speaks, too.
func (w *watch) contained6OnPorts() {
	w.s.t.Helper()
	for _, g := range w.s.vms {
		w.nowhere(g.port, "what "+g.port+" asks of berth", both(from(g.mac), isControl6))
	}
	for _, port := range []string{w.s.free.port, uplink} {
		w.at[port].None("an advertisement of a managed NIC's at "+port, isND(routerAdvertisement))
	}
}

// TestNFDHCPDStatelessDHCPv6: a guest that asks for DNS by DHCPv6 has it from
// the same DUID each time, wherever its link-local comes from.
func TestNFDHCPDStatelessDHCPv6(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.start()
	s.bindFiles()
	vm := s.vms[0]
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	duids := []string{}
	for n := range 2 {
		message := vm.message6(information6, n)
		copy(message[len(message)-2:], []byte{0, 24}) // of names, too: both are sent
		testenv.Inject(t, vm.NS, "eth0", vm.toServers(message))
		m := message6In(ear.Wait(soon, "a Reply", replyTo6([3]byte{0, 0, byte(n)})))
		got := map[string]string{}
		for _, o := range m.Options.Options {
			got[fmt.Sprint(uint16(o.Code()))] = hex.EncodeToString(o.ToBytes())
		}
		duids = append(duids, got["2"])
		want := map[string]string{
			"1": "00030001525400aa0001", "2": duids[0], "24": "076578616d706c65" + "036f7267" + "00",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Reply %d (-want +got):\n%s", n, diff)
		}
	}
	if duids[0] == "" {
		t.Error("no server identifier")
	}
	fence(t, vm, w.at[uplink])
	w.contained6()
}

// routedFile is a binding file as snf-network wrote it for a NIC whose only
// neighbour is the host: INDEV is the tap.
func (g *guest) routedFile() string {
	return without(without(g.bridgedFile(), "INDEV", "INDEV="+g.port), "GATEWAY6", "")
}

// formerRouted is a host that routes to its VMs, as snf-network had it.
type formerRouted struct {
	*formerly
	*routedHost
}

func (h *formerRouted) start() { h.formerly.start() }

// TestNFDHCPDRouted: with INDEV the tap, the host has a route and a neighbour
// for each address, the guest takes the host for all others of its subnet, and
// two guests and another host reach each other.
func TestNFDHCPDRouted(t *testing.T) {
	t.Parallel()
	rh := newRoutedHost(t, 2)
	h := &formerRouted{inherit(rh.node, 300), rh}
	one, two := h.vms[0].at("203.0.113.11"), h.vms[1].at("203.0.113.12")
	h.ns.Exec("ip", "link", "set", "vm1", "address", "cc:47:52:4e:45:54") // TAP_CONSTANT_MAC; vm2 has another
	h.start()
	up := testenv.Capture(t, h.ns, "up0")
	ears := []*testenv.Sniffer{}
	clients := []client{dhclient{}, udhcpc{}}
	for i, g := range h.vms {
		h.put(g.port, g.routedFile())
		h.attach(g.port)
		ears = append(ears, testenv.Capture(t, g.NS, "eth0"))
		clients[i].start(t, g)
	}
	for i, g := range h.vms {
		waitLease(t, clients[i], g, g.addr.String(), soon)
		g.six(map[string]string{"accept_ra": "1"}) // only now: a client's hook takes away all addresses first
	}
	for i, g := range h.vms {
		isTold(t, dhcpIn(ears[i].Wait(soon, "the ACK", reply(g.mac, dhcpv4.MessageTypeAck))), g.addr, g.whatNfdhcpdTold())
		g.getsExactly(t, g.addr.String()+"/24", g.slaac().String()+"/64")
		tap := h.ns.MAC(g.port)
		if diff := cmp.Diff([]string{tap.EUI64().String()}, g.defaults(t, "-6")); diff != "" {
			t.Errorf("default routers of %s (-want +got):\n%s", g.port, diff)
		}
		want := advertisement("3840", 300)
		want[1] = fmt.Sprintf("0101%x", tap[:])
		if diff := cmp.Diff(want, lastRA(ears[i])); diff != "" {
			t.Errorf("%s is advertised (-want +got):\n%s", g.port, diff)
		}
	}
	want := []string{}
	for _, g := range h.vms {
		want = append(want,
			fmt.Sprintf("%s dev %s scope link", g.addr, g.port),
			fmt.Sprintf("%s dev %s lladdr %s PERMANENT proto 98", g.addr, g.port, g.mac),
			fmt.Sprintf("%s dev %s metric 1024 pref medium", g.slaac(), g.port),
			fmt.Sprintf("%s dev %s lladdr %s PERMANENT proto 98", g.slaac(), g.port, g.mac))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, h.routes()); diff != "" {
		t.Errorf("routes and neighbours of the host (-want +got):\n%s", diff)
	}
	for _, to := range []string{two.addr.String(), two.slaac().String(), otherHost4, otherHost6} {
		one.reaches(t, to)
	}
	h.other.reaches(t, one.addr.String())
	h.other.reaches(t, two.slaac().String())
	up.None("neighbour discovery or DHCP of a guest", func(f testenv.Frame) bool {
		return from(one.mac)(f) || from(two.mac)(f) || dhcpIn(f) != nil || isDHCP6(f) || isND(routerAdvertisement)(f)
	})
	h.settled("vm1", "vm2")
}
