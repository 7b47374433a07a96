package story_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// The addresses of the virtual router, one of each family, and its MACs.
func vips() []netip.Addr   { return []netip.Addr{ip("192.0.2.101"), ip("2001:db8:1::101")} }
func virtualMAC4() nic.MAC { return nic.MAC{0, 0, 0x5e, 0, 1, 51} }
func virtualMAC6() nic.MAC { return nic.MAC{0, 0, 0x5e, 0, 2, 51} }

// keepalived runs it in a VM, as docs/binding.md has it, for both families.
func keepalived(t testing.TB, g *guest, priority int, more string) *process {
	t.Helper()
	conf, text := filepath.Join(g.dir, "keepalived.conf"), ""
	for _, vip := range []string{"192.0.2.101/24", "2001:db8:1::101/64"} {
		text += fmt.Sprintf(`vrrp_instance proxy_%d {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority %d
    %s
    virtual_ipaddress { %s }
}
`, len(vip), priority, more, vip)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return start(t, g.NS, needTool(t, "keepalived"), "-n", "-l", "-P", "-f", conf,
		"-p", g.dir+"/keepalived.pid", "-r", g.dir+"/vrrp.pid")
}

// newPair is a site whose vm1 and vm2 share addresses of both families; all
// three VMs have addresses of their own, and so has the LAN.
func newPair(t testing.TB, share string) *site {
	t.Helper()
	s := newSite(t, "")
	s.start()
	for i, g := range s.vms {
		six := fmt.Sprintf("2001:db8:1::%d/64", 11+i)
		text := g.keys(fmt.Sprintf("addresses: [%s/24, %q]\n", g.addr, six))
		if i < 2 {
			text += "shared: [" + share + "]\n"
		}
		s.write(g.port+".yaml", text)
		g.Sysctl("net.ipv6.conf.default.disable_ipv6", "0") // of an interface that keepalived makes
		g.Exec("ip", "address", "add", g.addr.String()+"/24", "dev", "eth0")
		g.sixFixed(six)
	}
	s.lan.sixFixed(siteHost + "/64")
	s.attach(s.managed()...)
	return s
}

// claims are frames of a VM that has no share in the addresses, and why each
// is dropped.
func claims(g *guest) map[string][][]byte {
	four, six := vips()[0], vips()[1]
	return map[string][][]byte{
		"ip4-spoof":    {g.hello(four, spoofMark)},
		"ip6-spoof":    {g.hello6(six, spoofMark)},
		"arp-spoof-ip": {arp(arpFields{src: g.mac, sha: g.mac, spa: four, tpa: four})},
		"nd-target":    {g.na(g.eui(), six)},
		"mac-spoof":    {g.as(virtualMAC4()).hello(g.addr, spoofMark), g.as(virtualMAC6()).hello6(g.eui(), spoofMark)},
	}
}

// claiming matches what a VM says of the addresses, and VRRP.
func claiming(g *guest) testenv.Filter {
	groups := [][]byte{{1, 0, 0x5e, 0, 0, 18}, {0x33, 0x33, 0, 0, 0, 18}}
	return func(f testenv.Frame) bool {
		if !from(g.mac)(f) && !from(virtualMAC4())(f) && !from(virtualMAC6())(f) {
			return false
		}
		vrrp := bytes.Equal(f.Data[:6], groups[0]) || bytes.Equal(f.Data[:6], groups[1])
		return vrrp || carrying(spoofMark)(f) || bytes.Contains(f.Data, vips()[0].AsSlice()) || bytes.Contains(f.Data, vips()[1].AsSlice())
	}
}

// TestVRRP: keepalived in two VMs of a group moves its addresses within its
// own timers when the master's NIC goes down, and berth shows and tells who
// holds them. A third VM, managed and on the same bridge, runs it with the same
// number and a higher priority, and claims the addresses in every other way:
// nobody hears it, and it is counted why.
func TestVRRP(t *testing.T) {
	testenv.NeedLinkKind(t, "macvlan")
	for _, c := range []struct {
		name, more string
		stranger   []string // why keepalived's frames are dropped, beside claims
	}{
		{"by its own MAC", "", []string{"routing-control"}},
		{"by its virtual MAC", "use_vmac", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newPair(t, `{group: proxy, addresses: [192.0.2.101, "2001:db8:1::101"], vrid: 51}`)
			one, two, rogue := s.vms[0], s.vms[1], s.vms[2]
			w := s.watch()
			master := keepalived(t, one, 150, c.more)
			s.held(one)
			keepalived(t, two, 100, c.more)

			before := s.drops(rogue)
			s.usurp(rogue, c.more)
			s.held(one)

			s.ns.Exec("ip", "link", "set", one.port, "down")
			down := time.Now()
			s.held(two)
			s.tookOver(two, time.Since(down))
			if n := strings.Count(master.out.String(), "Entering BACKUP STATE"); n != 2 {
				t.Errorf("%s gave way %d times, want twice, at its start for each family:\n%s", one.port, n, master.out)
			}
			for _, vip := range vips() {
				becomes(t, "events", []string{
					fmt.Sprintf("vm1 holds %s of group proxy now", vip),
					fmt.Sprintf("vm2 holds %s of group proxy now, taken over from NIC vm1", vip),
				}, func() []string { return s.moves(vip) })
			}
			fence(t, rogue, w.at[uplink])
			s.refused(rogue, before, append(c.stranger, "ip4-spoof", "ip6-spoof", "arp-spoof-ip", "nd-target", "mac-spoof")...)
			s.refused(one, nil)
			s.refused(two, nil)
			w.keptIn(rogue, "a claim", claiming(rogue))
		})
	}
}

// masterDown is how long keepalived's backup waits for an advertisement: three
// intervals of a second and the skew of priority 100 (RFC 5798 section 6.1).
const masterDown = 3*time.Second + (256-100)*time.Second/256

// tookOver holds a fail-over to the timers of VRRP itself; what a busy machine
// adds is not berth's.
func (s *site) tookOver(g *guest, after time.Duration) {
	s.t.Helper()
	s.t.Logf("%s answers after %v, of which VRRP's own timers take %v", g.port, after.Round(time.Millisecond), masterDown.Round(time.Millisecond))
	if after > testenv.Limit(s.t, 3*masterDown) {
		s.t.Errorf("%s answers after %v, where VRRP waits %v", g.port, after, masterDown)
	}
}

// usurp runs keepalived with the highest priority in a VM that has no share,
// until it believes it is the master, and has it claim the addresses itself.
func (s *site) usurp(g *guest, more string) {
	s.t.Helper()
	p := keepalived(s.t, g, 254, more)
	testenv.Wait(s.t, soon, "the usurper to believe it is master", func() bool {
		return strings.Count(p.out.String(), "Entering MASTER STATE") == 2
	})
	for _, frames := range claims(g) {
		testenv.Inject(s.t, g.NS, "eth0", frames...)
	}
}

// announce takes addresses into a VM's kernel and says so to everybody,
// unasked, as a fail-over script does.
func (g *guest) announce(t testing.TB, addrs ...netip.Addr) {
	t.Helper()
	for _, a := range addrs {
		if a.Is4() {
			g.Exec("ip", "address", "replace", a.String()+"/24", "dev", "eth0")
			g.Exec(needTool(t, "arping"), "-q", "-U", "-c", "1", "-I", "eth0", a.String())
			continue
		}
		g.Exec("ip", "address", "replace", a.String()+"/64", "dev", "eth0", "nodad")
		testenv.Inject(t, g.NS, "eth0", g.na(g.eui(), a))
	}
}

// TestTakeOver: two VMs take a shared address of each family from each other
// by gratuitous ARP and unsolicited neighbour advertisements, without VRRP and
// without a word to berth. A third cannot.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s := newPair(t, `{group: web, addresses: [192.0.2.101, "2001:db8:1::101"]}`)
	one, two, stranger := s.vms[0], s.vms[1], s.vms[2]
	w, before := s.watch(), s.drops(stranger)
	for _, vip := range vips() {
		if got := s.holder("vm1", vip); got != "" {
			t.Errorf("%s is held by %q before anybody announced it", vip, got)
		}
	}
	one.announce(t, vips()...)
	s.held(one)
	two.announce(t, vips()...) // and the first knows nothing of it
	s.held(two)
	stranger.announce(t, vips()...)
	s.held(two)
	one.announce(t, vips()...)
	s.held(one)
	for _, vip := range vips() {
		becomes(t, "events", []string{
			fmt.Sprintf("vm1 holds %s of group web now", vip),
			fmt.Sprintf("vm2 holds %s of group web now, taken over from NIC vm1", vip),
			fmt.Sprintf("vm1 holds %s of group web now, taken over from NIC vm2", vip),
		}, func() []string { return s.moves(vip) })
	}
	fence(t, stranger, w.at[uplink])
	s.refused(stranger, before, "arp-spoof-ip", "nd-target")
	w.keptIn(stranger, "an announcement", claiming(stranger))
}
