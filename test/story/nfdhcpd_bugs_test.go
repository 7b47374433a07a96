package story_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// What nfdhcpd got wrong, each in a test of its own.

// TestNFDHCPDFileBeforeTheTap: a file may be there before its tap, and holds
// for the next tap of that name. nfdhcpd read the ifindex as the file was
// closed, and knew that one only.
func TestNFDHCPDFileBeforeTheTap(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	vm := s.vms[0]
	s.ns.Delete("vm1")
	s.start()
	s.put("vm1", vm.bridgedFile())
	s.waitState("vm1", api.Waiting, soon)
	indexes := map[int]bool{}
	for range 2 {
		testenv.Veth(t, s.ns, "vm1", vm.NS, "eth0", vm.mac)
		s.ns.SetMaster("vm1", "br0")
		s.attach("vm1")
		isTold(t, discovers(t, vm), vm.addr, offered4(vm))
		indexes[s.ns.Index("vm1")] = true
		s.ns.Delete("vm1")
		s.waitState("vm1", api.Waiting, soon)
	}
	if len(indexes) != 2 {
		t.Errorf("ifindexes %v: want two", indexes)
	}
}

// offered4 is what an OFFER tells: the same as an ACK.
func offered4(g *guest) map[uint8]string {
	want := g.whatNfdhcpdTold()
	want[53] = "02"
	return want
}

// TestNFDHCPDRename: a file renamed into place is read, and the hidden one
// before it is nobody's. nfdhcpd took the temporary file for a tap's and never
// saw the rename.
func TestNFDHCPDRename(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	vm := s.vms[0]
	s.start()
	s.put("vm2", s.vms[1].bridgedFile())
	for _, hidden := range []string{".vm1.Xa81", "vm1.tmp", "vm1~"} {
		s.put(hidden, vm.bridgedFile())
		s.attach("vm2")
		s.put("vm3", s.vms[2].bridgedFile()) // comes after it
		s.attach("vm3")
		if diff := cmp.Diff(map[string]api.State{"vm2": api.InForce, "vm3": api.InForce}, s.states()); diff != "" {
			t.Errorf("with %s (-want +got):\n%s", hidden, diff)
		}
		rename(t, filepath.Join(s.datapath, hidden), filepath.Join(s.datapath, "vm1"))
		s.attach("vm1")
		isTold(t, discovers(t, vm), vm.addr, offered4(vm))
		for _, name := range []string{"vm1", "vm3"} {
			s.take(name)
			s.waitState(name, api.Closed, soon)
			s.must("release", name, "--yes")
		}
	}
	if got := s.mistakes(); len(got) > 0 {
		t.Errorf("mistakes %q", got)
	}
}

// TestNFDHCPDUpperCaseAndEmptyMTU: the example of nfdhcpd's own README, which
// its own reader refused for the MTU, and whose MAC made every request spoofed.
func TestNFDHCPDUpperCaseAndEmptyMTU(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	vm := s.vms[0]
	s.start()
	text := without(vm.bridgedFile(), "MTU", "MTU=")
	s.put("vm1", without(text, "MAC", "MAC=52:54:00:AA:00:01")+"MACSPOOF=\nPRIVATE=\n")
	s.attach("vm1")
	want := offered4(vm)
	delete(want, 26)
	isTold(t, discovers(t, vm), vm.addr, want)
	got, _ := solicits(t, vm, vm.eui().String())
	ra := advertisement("3840", 300)
	if diff := cmp.Diff(slices.Delete(ra, 4, 5), got); diff != "" {
		t.Errorf("advertisement (-want +got):\n%s", diff)
	}
	s.attempts(attempt{"another's MAC", vm, vm.spoofs()[0], "mac-spoof"}) // MACSPOOF is empty
}

// TestNFDHCPDOneBadNIC: one NIC whose interface is gone, and one whose file is
// broken, cost the third none of its advertisements. One that could not be
// read ended nfdhcpd's whole round.
func TestNFDHCPDOneBadNIC(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 4)
	s.start()
	s.bindFiles()
	w, ear, other := s.watch(), testenv.Capture(t, s.vms[2].NS, "eth0"), testenv.Capture(t, s.vms[1].NS, "eth0")
	s.ns.Delete("vm1")
	s.put("vm2", "MAC=nonsense\n")
	s.waitState("vm1", api.Waiting, soon)
	s.waitState("vm2", api.Stale, soon)
	told := func() int { // the last good of the broken file goes on, too
		return min(count(ear.Frames(), isND(routerAdvertisement)), count(other.Frames(), isND(routerAdvertisement)))
	}
	before := told()
	testenv.Wait(t, soon, "one more advertisement to both", func() bool { return told() > before })
	if diff := cmp.Diff(advertisement("3840", 4), lastRA(ear)); diff != "" {
		t.Errorf("advertisement (-want +got):\n%s", diff)
	}
	for _, port := range []string{"free1", uplink, "br0"} {
		w.at[port].None("an advertisement", isND(routerAdvertisement))
	}
}

// TestNFDHCPDSolicitations: whoever solicits is answered: from nobody's, from
// any link-local and from one that is not made of the MAC. nfdhcpd took all
// but the last for spoofed.
func TestNFDHCPDSolicitations(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.start()
	s.bindFiles()
	vm := s.vms[0]
	w := s.watch()
	for _, src := range []string{"::", "fe80::1", "fe80::1c2d:9a1b:77e:ab", vm.eui().String()} {
		got, router := solicits(t, vm, src)
		if router != ip(routerOfBridge) {
			t.Errorf("from %s: router %s, want %s", src, router, routerOfBridge)
		}
		if diff := cmp.Diff(advertisement("3840", 300), got); diff != "" {
			t.Errorf("from %s (-want +got):\n%s", src, diff)
		}
	}
	fence(t, vm, w.at[uplink])
	w.nowhere("vm1", "a solicitation", both(from(vm.mac), isControl6))
	w.at[uplink].None("an advertisement", isND(routerAdvertisement))
}

// TestNFDHCPDPrivate: PRIVATE leaves out the router of DHCP and of the
// advertisement, in which nfdhcpd did not look at it.
func TestNFDHCPDPrivate(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	vm := s.vms[0]
	s.start()
	s.put("vm1", vm.bridgedFile()+"PRIVATE=0\n")
	s.attach("vm1")
	want := offered4(vm)
	delete(want, 3)
	isTold(t, discovers(t, vm), vm.addr, want)
	got, _ := solicits(t, vm, vm.eui().String())
	if diff := cmp.Diff(advertisement("0000", 300), got); diff != "" {
		t.Errorf("advertisement (-want +got):\n%s", diff)
	}
	vm.six(map[string]string{"accept_ra": "1"})
	vm.getsExactly(t, vm.slaac().String()+"/64")
	if got := vm.defaults(t, "-6"); len(got) > 0 {
		t.Errorf("default routers %v", got)
	}
}

// probes of duplicate address detection, each a verdict of its own.
const probes = 100_000

// TestNFDHCPDProbes: a hundred thousand probes of duplicate address detection
// leave nothing behind but counters. Each took a place in nfdhcpd's queue for
// good, and with the queue full nobody was answered any more.
func TestNFDHCPDProbes(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.start()
	s.bindFiles()
	vm := s.vms[0]
	w := s.watch()
	delete(w.at, "vm1") // sees all of them
	before := s.show("vm1")
	flood(t, vm, vm.ns(ip("::"), ip("2001:db8:1::")), probes)
	fence6(t, vm, w.at[uplink])
	after := s.show("vm1")
	if got := grown(before.Counters.Dropped, after.Counters.Dropped, slices.Collect(maps.Keys(after.Counters.Dropped))); got["nd-target"] != probes || len(got) != 1 {
		t.Errorf("dropped %v, want %d of nd-target", got, probes)
	}
	before.Counters, after.Counters = nil, nil
	if diff := cmp.Diff(fmt.Sprintf("%+v", *before.Installed), fmt.Sprintf("%+v", *after.Installed)); diff != "" {
		t.Errorf("what is in the kernel (-before +after):\n%s", diff)
	}
	w.nowhere("vm1", "a probe", aboutPrefix(vm))
	s.attempts(
		attempt{"detection of its own", vm, vm.ns(ip("::"), vm.slaac()), passes},
		attempt{"detection of another's", vm, vm.ns(ip("::"), s.vms[1].slaac()), "nd-target"},
		attempt{"detection of its link-local", vm, vm.ns(ip("::"), vm.eui()), passes},
	)
	for _, g := range s.vms {
		isTold(t, s.renewsOn(g), g.addr, g.whatNfdhcpdTold())
		if got, _ := solicits(t, g, "::"); !slices.Equal(got, advertisement("3840", 300)) {
			t.Errorf("%s is advertised %q", g.port, got)
		}
	}
	ear := testenv.Capture(t, vm.NS, "eth0")
	testenv.Inject(t, vm.NS, "eth0", vm.ns(vm.eui(), ip(routerOfBridge)))
	ear.Wait(soon, "who the router is", aboutTarget(neighbourAdvert, ip(routerOfBridge)))
}

// flood sends a probe many times, about another address each time.
func flood(t testing.TB, g *guest, probe []byte, many int) {
	t.Helper()
	var fd int
	var err error
	g.Do(func() { fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: g.Index("eth0")}
	const target, sum = 14 + 40 + 8, 14 + 40 + 2
	for n := range many {
		// The checksum of RFC 1071 moves by the difference of what it covers.
		old := binary.BigEndian.Uint32(probe[target+12:])
		binary.BigEndian.PutUint32(probe[target+12:], uint32(0x10000+n))
		c := uint32(^binary.BigEndian.Uint16(probe[sum:]))
		for _, half := range []uint32{uint32(0x10000+n) >> 16, uint32(0x10000+n) & 0xffff, ^(old >> 16) & 0xffff, ^old & 0xffff} {
			c += half
		}
		for c > 0xffff {
			c = c>>16 + c&0xffff
		}
		binary.BigEndian.PutUint16(probe[sum:], ^uint16(c))
		if err := unix.Sendto(fd, probe, 0, to); err != nil {
			t.Fatalf("probe %d: %v", n, err)
		}
	}
}

// aboutPrefix matches detection by a guest of an address that is not its own.
func aboutPrefix(g *guest) testenv.Filter {
	return both(both(from(g.mac), isND(neighbourSolicitation)), func(f testenv.Frame) bool {
		m, _ := icmpIn(f)
		return m.Src.IsUnspecified()
	})
}

// TestNFDHCPDWithoutDaemon: without berthd, the DHCP of VMs that are not its
// business goes on, and the others stay filtered and are answered by the kernel.
// nfdhcpd's rules dropped both.
func TestNFDHCPDWithoutDaemon(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.start()
	s.bindFiles()
	vm := s.vms[0]
	start(t, s.lan.NS, needTool(t, "dnsmasq"), "--keep-in-foreground", "--pid-file=", "--conf-file=/dev/null", "--port=0", "--interface=eth0",
		"--bind-interfaces", "--dhcp-authoritative", "--no-ping", "--log-facility=-", "--user=root",
		"--dhcp-range=203.0.113.200,203.0.113.220,255.255.255.0,1h", "--dhcp-leasefile="+s.lan.dir+"/leases")
	s.stop()
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	udhcpc{}.start(t, s.free)
	testenv.Wait(t, soon, "a lease of the unmanaged VM", func() bool { return s.leases()[s.free.mac.String()] != "" })
	spoofs := vm.spoofs()
	m, renewal := vm.renewal(t)
	testenv.Inject(t, vm.NS, "eth0", append(spoofs, renewal, vm.broadcast(vm.request(t, dhcpv4.MessageTypeDiscover)))...)
	fence(t, vm, w.at[uplink])
	w.noSpoof()
	w.contained()
	ear.None("DHCP of the site's", both(from(s.lan.mac), dhcpOf(vm.mac)))
	ear.Wait(soon, "the kernel's answer to the renewal", replyTo(m.TransactionID))
	s.start()
	isTold(t, s.renewsOn(vm), vm.addr, vm.whatNfdhcpdTold())
}

// TestNFDHCPDClientTable: SIGUSR1 writes the table of clients to the log.
func TestNFDHCPDClientTable(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.config = "log: {level: info}\n" + s.config[len("log: {level: error}\n"):]
	s.writeConfig()
	s.start()
	s.bindFiles()
	s.put("vm3", without(without(s.vms[2].bridgedFile(), "IP", ""), "HOSTNAME", ""))
	testenv.Wait(t, soon, "the new file", func() bool { return len(s.show("vm3").Addresses) == 1 })
	s.p.signal(unix.SIGUSR1)
	want := []string{
		"KEY  HOSTNAME         MAC                TAP  IP            EUI64",
		"vm1  vm1.example.org  52:54:00:aa:00:01  vm1  203.0.113.11  2001:db8:1:0:5054:ff:feaa:1",
		"vm2  vm2.example.org  52:54:00:aa:00:02  vm2  203.0.113.12  2001:db8:1:0:5054:ff:feaa:2",
		"vm3  -                52:54:00:aa:00:03  vm3  -             2001:db8:1:0:5054:ff:feaa:3",
	}
	becomes(t, "the table in the log", want, s.table)
}

// table is what the log has of clients.
func (s *formerSite) table() []string {
	lines := []string{}
	line := regexp.MustCompile(`(?m) level=INFO msg=client table="(.*)"$`)
	for _, m := range line.FindAllStringSubmatch(s.p.out.String(), -1) {
		lines = append(lines, m[1])
	}
	return lines
}
