package story_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// checkedNIC is a VM and those of its checks that are off.
type checkedNIC struct {
	*guest
	off []string
}

// broken is one frame for each check, that fails it and no other.
func (g *guest) broken() map[string][]byte {
	lldp := slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, g.mac[:], []byte{0x88, 0xcc}, make([]byte, 46))
	return map[string][]byte{
		"mac": g.as(nic.MAC{0x52, 0x54, 0, 0xee, 0, g.mac[5]}).hello(g.addr, spoofMark),
		"ip":  g.hello(strangerIP(), spoofMark),
		"arp": arp(arpFields{src: g.mac, sha: g.mac, spa: strangerIP(), tpa: g.addr}),
		"nd":  g.na(g.eui(), ip("2001:db8:1::99")),
		"l2":  lldp,
	}
}

// whyBroken is why the frame of each check is dropped.
func whyBroken() map[string]string {
	return map[string]string{"mac": "mac-spoof", "ip": "ip4-spoof", "arp": "arp-spoof-ip", "nd": "nd-target", "l2": "ethertype"}
}

// newSwitches makes three NICs for each check: one whose network has it off, one
// there that has it on again, and one that has it off where the network has all.
func newSwitches(s *site) []checkedNIC {
	s.t.Helper()
	var all []checkedNIC
	networks, nics := strings.Builder{}, strings.Builder{}
	for i, check := range []string{"mac", "ip", "arp", "nd", "l2"} {
		fmt.Fprintf(&networks, "---\nnetwork: no-%s\nguard: {checks: {%[1]s: false}}\n", check)
		for j, c := range []struct {
			keys string
			off  []string
		}{
			{"network: no-" + check + "\n", []string{check}},
			{fmt.Sprintf("network: no-%s\nguard: {checks: {%[1]s: true}}\n", check), nil},
			{fmt.Sprintf("guard: {checks: {%s: false}}\n", check), []string{check}},
		} {
			g := newGuest(s.t, s.node, fmt.Sprintf("%s%d", check, j), nic.MAC{0x52, 0x54, 0, 0xcc, 0, byte(10*i + j)})
			g.at(fmt.Sprintf("192.0.2.%d", 100+10*i+j))
			s.ns.SetMaster(g.port, "br0")
			fmt.Fprintf(&nics, "---\n%saddresses: [%s/24, \"2001:db8:1::%d/64\"]\n%s", g.keys(""), g.addr, 100+10*i+j, c.keys)
			all = append(all, checkedNIC{g, c.off})
		}
	}
	s.networks(networks.String())
	s.write("all.yaml", nics.String())
	return all
}

// TestSwitches: each check can be switched off by itself, in a network and on a
// NIC, and a NIC has on again what its network has off. What a NIC may do then is
// what fails that check alone.
func TestSwitches(t *testing.T) {
	t.Parallel()
	s := newSite(t, "log: {level: warn}\n")
	nics := newSwitches(s)
	s.start()
	for _, x := range nics {
		s.waitState(x.port, "in-force", 30*time.Second)
	}
	lan := testenv.Capture(t, s.lan.NS, "eth0")
	want, got := map[string][]string{}, map[string][]string{}
	for _, x := range nics {
		for check, f := range x.broken() {
			testenv.Inject(t, x.NS, "eth0", f)
			if slices.Contains(x.off, check) {
				want[x.port] = append(want[x.port], check+" passes")
			} else {
				want[x.port] = append(want[x.port], whyBroken()[check])
			}
		}
		fence(t, x.guest, lan)
	}
	for _, x := range nics {
		for check, f := range x.broken() {
			if n := count(lan.Frames(), func(c testenv.Frame) bool { return bytes.Equal(c.Data, f) }); n > 0 {
				got[x.port] = append(got[x.port], check+" passes")
			}
		}
		for why := range s.drops(x.guest) {
			got[x.port] = append(got[x.port], why)
		}
		slices.Sort(want[x.port])
		slices.Sort(got[x.port])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what becomes of the frames of each NIC (-want +got):\n%s", diff)
	}
}

// TestManyOfOneNIC: a NIC with three MACs and several addresses of both families
// may use each address with each MAC, and nothing beyond. The kernel of a VM
// that has a virtual interface for one of the MACs is reached there.
func TestManyOfOneNIC(t *testing.T) {
	t.Parallel()
	testenv.NeedLinkKind(t, "macvlan")
	s := newSite(t, "")
	s.start()
	vm := s.vms[0]
	macs := []nic.MAC{vm.mac, {0x52, 0x54, 0, 0xab, 0, 1}, {0x02, 0, 0, 0, 0, 0x77}}
	s.bindKeys(vm, fmt.Sprintf(`addresses: [192.0.2.11/24, 192.0.2.21/24, 198.51.100.11/24, "2001:db8:1::11/64", "2001:db8:2::11/64"]
guard:
  allow-macs: [%q, %q]
  allow-addresses: [203.0.113.0/29, "2001:db8:5::/64"]
`, macs[1], macs[2]))
	addrs := []string{
		"192.0.2.11", "192.0.2.21", "198.51.100.11", "203.0.113.0", "203.0.113.7",
		"2001:db8:1::11", "2001:db8:2::11", "2001:db8:5::1", "2001:db8:5::ffff",
	}
	lan := testenv.Capture(t, s.lan.NS, "eth0")
	var frames [][]byte
	for _, mac := range macs {
		for _, a := range addrs {
			frames = append(frames, vm.as(mac).says(a)...)
		}
	}
	testenv.Inject(t, vm.NS, "eth0", frames...)
	fence(t, vm, lan)
	for _, f := range frames {
		if n := count(lan.Frames(), func(c testenv.Frame) bool { return bytes.Equal(c.Data, f) }); n != 1 {
			t.Errorf("a frame came %d times:\n%x", n, f)
		}
	}
	s.refused(vm, nil)
	for _, a := range []string{"192.0.2.12", "203.0.113.8", "2001:db8:1::12", "2001:db8:6::1"} {
		frames = append(vm.says(a), vm.as(macs[1]).says(a)...)
		s.passesNone(vm, frames)
	}
	s.passesNone(vm, [][]byte{vm.as(strangerMAC()).hello(vm.addr, spoofMark)})
	s.refused(vm, nil, "ip4-spoof", "arp-spoof-ip", "ip6-spoof", "nd-target", "mac-spoof")
	s.reachesSecond(vm, macs[1])
}

// says are an ordinary frame from an address and an announcement of it.
func (g *guest) says(addr string) [][]byte {
	a := ip(addr)
	if a.Is4() {
		return [][]byte{g.hello(a, "from "+addr), arp(arpFields{src: g.mac, sha: g.mac, spa: a, tpa: a})}
	}
	// From the link-local that is the NIC's with any of its MACs.
	own := nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1}
	return [][]byte{g.hello6(a, "from "+addr), g.na(own.EUI64(), a)}
}

func (s *site) passesNone(g *guest, frames [][]byte) {
	s.t.Helper()
	for _, f := range frames {
		if got := s.verdict(g, f); got == passes || got == taken {
			s.t.Errorf("%q, want it dropped:\n%x", got, f)
		}
	}
}

// reachesSecond pings the second address of a VM, whose kernel has it at a
// virtual interface with another MAC.
func (s *site) reachesSecond(g *guest, mac nic.MAC) {
	s.t.Helper()
	// Else eth0 answers, and asks, for both.
	g.Sh("sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2; ip address add 192.0.2.11/24 dev eth0; ip link add second link eth0 address " + mac.String() +
		" up type macvlan; ip address add 192.0.2.21/32 dev second")
	for addr, want := range map[string]nic.MAC{"192.0.2.11": g.mac, "192.0.2.21": mac} {
		becomes(s.t, "who answers for "+addr, g.port, func() string { return s.speaker(ip(addr)) })
		if out := s.lan.Exec("ip", "neigh", "show", addr); !strings.Contains(out, want.String()) {
			s.t.Errorf("%s is at %s, want %s", addr, out, want)
		}
	}
}
