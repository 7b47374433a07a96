package story_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

const (
	passes = "passes"
	taken  = "" // neither on the wire nor counted as dropped: berth answers it
)

// verdict sends one frame of a guest and says what became of it at the far end
// of the bridge: "passes", or the reasons for which berth counts it as dropped.
func (s *site) verdict(g *guest, f []byte) string {
	s.t.Helper()
	lan := testenv.Capture(s.t, s.lan.NS, "eth0")
	defer lan.Stop()
	before := s.show(g.port).Counters.Dropped
	testenv.Inject(s.t, g.NS, "eth0", f)
	fence(s.t, g, lan)
	if count(lan.Frames(), func(x testenv.Frame) bool { return bytes.Equal(x.Data, f) }) > 0 {
		return passes
	}
	why := ""
	for name, n := range s.show(g.port).Counters.Dropped {
		if n > before[name] {
			why += name
		}
	}
	return why
}

// attempt is a frame of a guest and what is to become of it.
type attempt struct {
	what  string
	g     *guest
	frame []byte
	want  string
}

func (s *site) attempts(all ...attempt) {
	s.t.Helper()
	for _, a := range all {
		if got := s.verdict(a.g, a.frame); got != a.want {
			s.t.Errorf("%s: %s %q, want %q", a.g.port, a.what, got, a.want)
		}
	}
}

// permitted is what berth shows of the link-locals that a NIC may have.
func (s *site) permitted(g *guest, want ...string) {
	s.t.Helper()
	got := []string{}
	for _, a := range s.show(g.port).Installed.LinkLocal {
		got = append(got, a.String())
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("link-locals of %s (-want +got):\n%s", g.port, diff)
	}
}

// TestLinkLocalsOfASegment: who has a link-local first keeps it, as long as
// the NIC is there and whatever becomes of berthd; nobody gets another's
// EUI-64 or a gateway's, and nobody more than four.
func TestLinkLocalsOfASegment(t *testing.T) {
	t.Parallel()
	s := newSite(t, "log: {level: warn}\n")
	s.start()
	vm1, vm2, vm3 := s.vms[0], s.vms[1], s.vms[2]
	s.write("vm1.yaml", vm1.bindingWith("192.0.2.11", "slaac: [\"2001:db8:1::/64\"]\ngateway6: fe80::1\n"))
	s.write("vm2.yaml", vm2.bindingWith("192.0.2.12", "slaac: [\"2001:db8:2::/64\"]\ngateway6: fe80::1\n"))
	s.write("vm3.yaml", vm3.bindingWith("192.0.2.13", "slaac: [\"2001:db8:3::/64\"]\n"))
	s.attach(s.managed()...)
	ll := func(n int) netip.Addr { return ip(fmt.Sprintf("fe80::%x", n)) }

	s.attempts(
		attempt{"the first to have it", vm1, vm1.hello6(ll(7), "mine"), passes},
		attempt{"another's", vm2, vm2.hello6(ll(7), "not mine"), "link-local-taken"},
		attempt{"detection of another's", vm2, vm2.ns(ip("::"), ll(7)), taken},
		attempt{"an advertisement of another's", vm2, vm2.na(vm2.eui(), ll(7)), "link-local-taken"},
		attempt{"another's EUI-64", vm2, vm2.hello6(vm1.eui(), "not mine"), "link-local-taken"},
		attempt{"its own EUI-64", vm1, vm1.hello6(vm1.eui(), "mine"), passes},
		attempt{"its gateway's", vm2, vm2.hello6(ll(1), "not mine"), "ip6-spoof"},
		attempt{"detection of its gateway's", vm2, vm2.ns(ip("::"), ll(1)), "nd-target"},
		attempt{"a gateway's that is not its own", vm3, vm3.hello6(ll(1), "not mine"), "link-local-taken"},
		attempt{"berth's", vm3, vm3.hello6(nic.BerthLinkLocal(), "not mine"), "ip6-spoof"},
		attempt{"the second", vm1, vm1.ns(ip("::"), ll(8)), passes},
		attempt{"the third", vm1, vm1.hello6(ll(9), "mine"), passes},
		attempt{"the fourth", vm1, vm1.hello6(ll(10), "mine"), passes},
		attempt{"the fifth", vm1, vm1.hello6(ll(11), "not mine"), "link-local-limit"},
		attempt{"what was refused to another", vm2, vm2.hello6(ll(11), "mine"), passes},
	)
	// The kernel of the one finds out that the other has it, and leaves it.
	vm2.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")
	if line := vm2.detect(t, ll(7).String()); !strings.Contains(line, "dadfailed") {
		t.Errorf("vm2's kernel took vm1's link-local: %s", line)
	}
	vm2.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "1")
	s.permitted(vm1, vm1.eui().String(), "fe80::7", "fe80::8", "fe80::9", "fe80::a")
	s.permitted(vm2, vm2.eui().String(), "fe80::b")

	standing := []attempt{
		{"what it had before", vm1, vm1.hello6(ll(8), "mine"), passes},
		{"another's", vm2, vm2.hello6(ll(8), "not mine"), "link-local-taken"},
		{"the fifth", vm1, vm1.hello6(ll(12), "not mine"), "link-local-limit"},
		{"another's EUI-64", vm1, vm1.hello6(vm2.eui(), "not mine"), "link-local-taken"},
		{"a gateway's", vm3, vm3.hello6(ll(1), "not mine"), "link-local-taken"},
	}
	t.Log("restarted, after SIGTERM and after kill -9")
	for _, end := range []func(){s.stop, s.kill} {
		end()
		s.start()
		s.attempts(standing...)
		s.permitted(vm1, vm1.eui().String(), "fe80::7", "fe80::8", "fe80::9", "fe80::a")
	}

	t.Log("the NIC is deleted: its link-locals are free")
	s.ns.Delete("vm1")
	s.waitState("vm1", api.Waiting, 30*time.Second)
	testenv.Wait(t, 30*time.Second, "fe80::7 to be free", func() bool { return s.verdict(vm2, vm2.hello6(ll(7), "mine now")) == passes })
	testenv.Veth(t, s.ns, "vm1", vm1.NS, "eth0", vm1.mac)
	s.ns.SetMaster("vm1", "br0")
	s.attach("vm1")
	s.attempts(
		attempt{"what is another's now", vm1, vm1.hello6(ll(7), "not mine"), "link-local-taken"},
		attempt{"one more", vm1, vm1.hello6(ll(12), "mine"), passes},
		attempt{"its own EUI-64", vm1, vm1.hello6(vm1.eui(), "mine"), passes},
	)
	s.permitted(vm1, vm1.eui().String(), "fe80::c")
	s.permitted(vm2, vm2.eui().String(), "fe80::7", "fe80::b")
}

// TestSameMACOnTwoBridges: two NICs of one MAC, each on a bridge and in a
// network of its own, are two: each has its own addresses, and both may have
// the same link-local.
func TestSameMACOnTwoBridges(t *testing.T) {
	t.Parallel()
	n := newNode(t, "")
	networks := "network: red\n---\nnetwork: blue\n"
	if err := os.WriteFile(n.dir+"/networks.yaml", []byte(networks), 0o644); err != nil {
		t.Fatal(err)
	}
	mac := nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7}
	twins, neighbours := []*guest{}, []*testenv.Sniffer{}
	for i, network := range []string{"red", "blue"} {
		g := newGuest(t, n, network+"1", mac).at(fmt.Sprintf("192.0.2.%d", 11+i))
		far := newGuest(t, n, network+"9", nic.MAC{0x52, 0x54, 0, 0xbb, 0, byte(i)})
		testenv.Bridge(t, n.ns, "br-"+network, g.port, far.port)
		n.write(network+".yaml", g.binding()+fmt.Sprintf("network: %s\nslaac: [\"2001:db8:%d::/64\"]\n", network, i+1))
		twins, neighbours = append(twins, g), append(neighbours, testenv.Capture(t, far.NS, "eth0"))
	}
	n.start()
	n.attach("red1", "blue1")
	for i, g := range twins {
		ear, other := testenv.Capture(t, g.NS, "eth0"), testenv.Capture(t, twins[1-i].NS, "eth0")
		discover := g.request(t, dhcpv4.MessageTypeDiscover)
		testenv.Inject(t, g.NS, "eth0", g.broadcast(discover), g.rs(g.eui()))
		offer := dhcpIn(ear.Wait(30*time.Second, "an OFFER", replyTo(discover.TransactionID)))
		if got := offer.YourIPAddr.String(); got != g.addr.String() {
			t.Errorf("%s is offered %s, want %s", g.port, got, g.addr)
		}
		prefix := fmt.Sprintf("2001:db8:%d::", i+1)
		ear.Wait(30*time.Second, "an advertisement of "+prefix, announcing(prefix))
		other.None("an OFFER at the other one", replyTo(discover.TransactionID))
		ear.None("the other one's prefix", announcing(fmt.Sprintf("2001:db8:%d::", 2-i)))
	}
	for i, g := range twins {
		text := "fe80::7 of " + g.port
		testenv.Inject(t, g.NS, "eth0", g.hello6(ip("fe80::7"), text), g.hello(twins[1-i].addr, "posing as the other"), g.hello(g.addr, "that is all"))
		neighbours[i].Wait(30*time.Second, text, carrying(text))
		neighbours[i].Wait(30*time.Second, "the last frame", carrying("that is all"))
		neighbours[1-i].None(text, carrying(text))
	}
	for _, at := range neighbours {
		at.None("a frame of one in the other's name", carrying("posing as the other"))
	}
}

// announcing matches router advertisements of a /64.
func announcing(prefix string) testenv.Filter {
	want := append([]byte{3, 4, 64}, make([]byte, 29)...)
	copy(want[16:], ip(prefix).AsSlice())
	return both(isND(routerAdvertisement), func(f testenv.Frame) bool {
		m, _ := icmpIn(f)
		for o := m.Message[16:]; len(o) >= 32 && o[1] > 0; o = o[int(o[1])*8:] {
			if bytes.Equal(o[:3], want[:3]) && bytes.Equal(o[16:32], want[16:32]) {
				return true
			}
		}
		return false
	})
}

// TestCrossedNICs: a VM with two NICs on one bridge may not speak for the one
// on the other, in no layer; what its kernel sends crossed is dropped, and each
// is answered by berth on its own.
func TestCrossedNICs(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	one, two := s.vms[0], s.vms[1]
	s.write("vm1.yaml", one.dual("2001:db8:1::11", ""))
	s.write("vm2.yaml", two.dual("2001:db8:1::12", ""))
	s.attach("vm1", "vm2")
	g := &guest{NS: two.NS, port: "vm2", mac: two.mac, addr: one.addr}       // its own MAC, the other's addresses
	swapped := &guest{NS: two.NS, port: "vm2", mac: one.mac, addr: two.addr} // the other's MAC
	for _, c := range []struct {
		what  string
		frame []byte
		want  string
	}{
		{"MAC and addresses", one.hello(one.addr, "one"), "mac-spoof"},
		{"MAC and IPv6 address", one.hello6(ip("2001:db8:1::11"), "one"), "mac-spoof"},
		{"MAC alone", swapped.hello(two.addr, "one"), "mac-spoof"},
		{"IPv4 address", g.hello(one.addr, "one"), "ip4-spoof"},
		{"IPv6 address", g.hello6(ip("2001:db8:1::11"), "one"), "ip6-spoof"},
		{"link-local", g.hello6(one.eui(), "one"), "link-local-taken"},
		{"detection of its address", g.ns(ip("::"), ip("2001:db8:1::11")), "nd-target"},
		{"an advertisement of its address", g.na(two.eui(), ip("2001:db8:1::11")), "nd-target"},
		{"its own, for the other's MAC", g.icmp6(two.eui(), allNodes(), one.linkLayer(
			append([]byte{neighbourAdvert, 0, 0, 0, 0x20, 0, 0, 0}, ip("2001:db8:1::12").AsSlice()...), 2, two.eui())), "nd-spoof-mac"},
		{"ARP for its address", arp(arpFields{src: two.mac, sha: two.mac, spa: one.addr, tpa: strangerIP()}), "arp-spoof-ip"},
		{"ARP for its MAC", arp(arpFields{src: two.mac, sha: one.mac, spa: two.addr, tpa: strangerIP()}), "arp-spoof-mac"},
	} {
		if got := s.verdict(two, c.frame); got != c.want {
			t.Errorf("the other NIC's %s: %q, want %q", c.what, got, c.want)
		}
	}
	for i, g := range []*guest{one, two} {
		ear := testenv.Capture(t, g.NS, "eth0")
		testenv.Inject(t, g.NS, "eth0", g.toServers(g.message6(solicit6, i+1)))
		ear.Wait(30*time.Second, "its own address", gives(dhcpv6.MessageTypeAdvertise, fmt.Sprintf("2001:db8:1::%d", 11+i)))
	}
	s.fluxes()
}

// fluxes has the kernel of a VM with two NICs in one subnet send from the one
// what bears the address of the other, as it does unless it is told about
// sources: none of it gets out, and what is not crossed does.
func (s *site) fluxes() {
	s.t.Helper()
	one, two := s.vms[0], s.vms[1]
	two.Exec("ip", "link", "set", "eth0", "netns", one.Name, "name", "eth1")
	one.Sh(`ip addr add 192.0.2.11/24 dev eth0; ip addr add 192.0.2.12/24 dev eth1 noprefixroute; ip link set eth1 up
		ip neigh replace 192.0.2.9 lladdr ` + s.lan.mac.String() + ` dev eth0 nud permanent`)
	w := s.watch()
	before := s.show("vm1").Counters.Dropped["ip4-spoof"]
	one.Sh("ping -n -c1 -W1 -I 192.0.2.12 192.0.2.9 || :")
	one.Sh("ping -n -c1 -W1 -I 192.0.2.11 192.0.2.9 || :")
	echoes := func(src string) int {
		a := ip(src).As4()
		return count(w.at[uplink].Frames(), func(f testenv.Frame) bool {
			return f.Outgoing && f.Data[12] == 8 && f.Data[13] == 0 && f.Data[23] == 1 && bytes.Equal(f.Data[26:30], a[:])
		})
	}
	testenv.Wait(s.t, 30*time.Second, "an echo request from eth0's own address", func() bool { return echoes("192.0.2.11") == 1 })
	if n := echoes("192.0.2.12"); n != 0 {
		s.t.Errorf("%d echo requests of the other NIC's address got out", n)
	}
	if got := s.show("vm1").Counters.Dropped["ip4-spoof"] - before; got != 1 {
		s.t.Errorf("%d were dropped as ip4-spoof, want 1", got)
	}
}
