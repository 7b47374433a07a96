package story_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// routedHost is a host that routes to its VMs: no bridge, and behind its
// uplink another host, which knows it as its router.
type routedHost struct {
	*node
	vms   []*guest
	other *guest
}

// otherHost is the other host's addresses.
const (
	otherHost4 = "198.51.100.2"
	otherHost6 = "2001:db8:ff::2"
)

// newRoutedHost builds it with VMs whose kernels speak IPv6 as kernels do.
func newRoutedHost(t testing.TB, vms int) *routedHost {
	t.Helper()
	h := &routedHost{node: newNode(t, "")}
	for _, k := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter"} {
		h.ns.Sysctl(k, "1")
	}
	for i := range vms {
		g := newGuest(t, h.node, fmt.Sprintf("vm%d", i+1), nic.MAC{0x52, 0x54, 0, 0xaa, 0, byte(i + 1)})
		h.vms = append(h.vms, g.at(fmt.Sprintf("192.0.2.%d", 11+i)))
	}
	h.other = newGuest(t, h.node, "up0", nic.MAC{0x52, 0x54, 0, 0xff, 0, 1})
	h.other.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")
	h.ns.Sh("ip addr add 198.51.100.1/24 dev up0; ip addr add 2001:db8:ff::1/64 dev up0 nodad")
	h.other.Sh(`ip addr add 198.51.100.2/24 dev eth0; ip addr add 2001:db8:ff::2/64 dev eth0 nodad
		ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8:ff::1`)
	return h
}

// routedBinding is a NIC by itself: single addresses, a gateway that only the
// host stands for, a prefix to make addresses in and one to delegate.
func (g *guest) routedBinding() string {
	i := g.mac[5]
	return fmt.Sprintf(`nic: %s
mac: %s
routed: true
addresses: [%s/32, "2001:db8:1::%x/128"]
gateway: 192.0.2.1
routes: [{to: 192.0.2.1/32}]
gateway6: fe80::1
slaac: ["2001:db8:a%x::/64"]
delegated: ["2001:db8:%x00::/56"]
ra: {interval: 4s}
`, g.port, g.mac, g.addr, 0x10+int(i), i, i)
}

// boot has a VM configure itself: IPv4 by udhcpc, IPv6 by its kernel from
// router advertisements and by dhclient.
func (g *guest) boot(t testing.TB) {
	t.Helper()
	hook := func(name, text string) string {
		path := filepath.Join(g.dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hook4 := hook("hook4", `[ $1 = bound ] || exit 0
ip address replace $ip/$mask dev $interface
set -- $staticroutes
while [ $# -ge 2 ]; do
  if [ $2 = 0.0.0.0 ]; then ip route replace $1 dev $interface; else ip route replace $1 via $2; fi
  shift 2
done
`)
	hook6 := hook("hook6", `[ $reason = BOUND6 ] || exit 0
[ -z "$new_ip6_address" ] || ip -6 address replace $new_ip6_address/$new_ip6_prefixlen dev $interface
[ -z "$new_ip6_prefix" ] || ip -6 address replace ${new_ip6_prefix%%/*}7/128 dev lo
`)
	conf := filepath.Join(g.dir, "dhclient6.conf")
	if err := os.WriteFile(conf, []byte("initial-delay 0;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	g.Sysctl("net.ipv6.conf.eth0.accept_ra", "1")
	for _, dev := range []string{"lo", "eth0"} {
		g.Sysctl("net.ipv6.conf."+dev+".disable_ipv6", "0")
	}
	start(t, g.NS, needTool(t, "udhcpc"), "-i", "eth0", "-f", "-s", hook4, "-t", "20", "-T", "1", "-O", "staticroutes")
	testenv.Wait(t, 30*time.Second, "a link-local address", func() bool {
		out := g.Exec("ip", "-6", "addr", "show", "dev", "eth0", "scope", "link")
		return strings.Contains(out, "fe80::") && !strings.Contains(out, "tentative")
	})
	start(t, g.NS, needTool(t, "dhclient"), "-6", "-d", "-N", "-P", "-sf", hook6, "-cf", conf,
		"-lf", g.dir+"/dhclient6.leases", "-pf", g.dir+"/dhclient6.pid", "eth0")
}

// has waits until a guest has addresses.
func (g *guest) has(t testing.TB, addrs ...string) {
	t.Helper()
	testenv.Wait(t, 60*time.Second, fmt.Sprintf("%s to have %v", g.port, addrs), func() bool {
		out := g.Exec("ip", "-o", "addr", "show")
		return !strings.Contains(out, "tentative") &&
			!slices.ContainsFunc(addrs, func(a string) bool { return !strings.Contains(out, " "+a+" ") })
	})
}

// reaches pings until there is an answer: what just came up may lose a packet.
func (g *guest) reaches(t testing.TB, to string, from ...string) {
	t.Helper()
	args := []string{"ping", "-n", "-c1", "-i0.2", "-w20", to}
	if len(from) > 0 {
		args = append(args, "-I", from[0])
	}
	if out, err := g.Try(args...); err != nil {
		t.Errorf("%s does not reach %s %v: %v\n%s", g.port, to, from, err, out)
	}
}

// routes is what the host has of berth's, a line each.
func (h *routedHost) routes() []string {
	h.t.Helper()
	out := h.ns.Sh(`ip -o route show proto 98; ip -6 -o route show proto 98
		ip -4 neigh show nud permanent; ip -6 neigh show nud permanent`)
	lines := []string{}
	for line := range strings.Lines(out) {
		if f := strings.Join(strings.Fields(line), " "); strings.Contains(f, "dev vm") {
			lines = append(lines, f)
		}
	}
	slices.Sort(lines)
	return lines
}

// ofVM is what the host has for a NIC with routedBinding.
func ofVM(g *guest) []string {
	i, port := int(g.mac[5]), g.port
	lines := []string{
		fmt.Sprintf("%s dev %s scope link", g.addr, port),
		fmt.Sprintf("%s dev %s lladdr %s PERMANENT proto 98", g.addr, port, g.mac),
		fmt.Sprintf("2001:db8:1::%x dev %s metric 1024 pref medium", 0x10+i, port),
		fmt.Sprintf("2001:db8:1::%x dev %s lladdr %s PERMANENT proto 98", 0x10+i, port, g.mac),
		fmt.Sprintf("2001:db8:a%x::/64 via %s dev %s metric 1024 onlink pref medium", i, g.eui(), port),
		fmt.Sprintf("2001:db8:%x00::/56 via %s dev %s metric 1024 onlink pref medium", i, g.eui(), port),
		fmt.Sprintf("%s dev %s lladdr %s PERMANENT proto 98", g.eui(), port, g.mac),
	}
	return lines
}

// routesAre waits until the host has what the given NICs need and no more.
func (h *routedHost) routesAre(what string, vms ...*guest) {
	h.t.Helper()
	want := []string{}
	for _, g := range vms {
		want = append(want, ofVM(g)...)
	}
	slices.Sort(want)
	deadline := time.Now().Add(testenv.Limit(h.t, 30*time.Second))
	for !slices.Equal(h.routes(), want) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if diff := cmp.Diff(want, h.routes()); diff != "" {
		h.t.Fatalf("%s: routes and neighbours of the host (-want +got):\n%s", what, diff)
	}
}

// TestRoutedNIC: two VMs without a bridge get single addresses, take the host
// for every neighbour there is, and reach each other and another host from all
// that is theirs.
func TestRoutedNIC(t *testing.T) {
	t.Parallel()
	h := newRoutedHost(t, 2)
	one, two := h.vms[0], h.vms[1]
	h.start()
	for _, g := range h.vms {
		h.write(g.port+".yaml", g.routedBinding())
	}
	h.attach("vm1", "vm2")
	h.routesAre("both in force", one, two)
	link := testenv.Capture(t, h.ns, "up0")
	one.boot(t)
	two.boot(t)
	slaac := one.mac.InPrefix(netip.MustParsePrefix("2001:db8:a1::/64")).String()
	one.has(t, "192.0.2.11/32", "2001:db8:1::11/128", "2001:db8:100::7/128", slaac+"/64")
	two.has(t, "192.0.2.12/32", "2001:db8:1::12/128", "2001:db8:200::7/128")

	for _, from := range []string{"192.0.2.11", "2001:db8:1::11", slaac, "2001:db8:100::7"} {
		if strings.Contains(from, ":") {
			one.reaches(t, otherHost6, from)
			one.reaches(t, "2001:db8:1::12", from)
			one.reaches(t, "2001:db8:200::7", from)
		} else {
			one.reaches(t, otherHost4, from)
			one.reaches(t, "192.0.2.12", from)
		}
		h.other.reaches(t, from)
	}
	// Taken to be on its own link, the other VM is reached all the same.
	one.Sh("ip route add 192.0.2.12/32 dev eth0; ip -6 route add 2001:db8:1::12/128 dev eth0")
	one.reaches(t, "192.0.2.12")
	one.reaches(t, "2001:db8:1::12")
	for _, addr := range []string{"192.0.2.1", "fe80::1", "192.0.2.12", "2001:db8:1::12"} {
		out := one.Exec("ip", "neigh", "show", addr, "dev", "eth0")
		if want := "lladdr " + h.ns.MAC("vm1").String(); !strings.Contains(out, want) {
			t.Errorf("the guest takes %s to be at %q, want %s", addr, out, want)
		}
	}
	link.None("neighbour discovery or DHCP of a guest", func(f testenv.Frame) bool {
		return from(one.mac)(f) || from(two.mac)(f) || isControl6(f) && bytes.Contains(f.Data, one.mac[:])
	})
	h.everyNeighbour(one)
	h.settled("vm1", "vm2")
}

// everyNeighbour asks for addresses of all kinds, as a guest does that takes
// them to be on its link: all are at the host but the guest's own.
func (h *routedHost) everyNeighbour(g *guest) {
	h.t.Helper()
	ear, host := testenv.Capture(h.t, g.NS, "eth0"), h.ns.MAC(g.port)
	is := func(target string) testenv.Filter {
		if strings.Contains(target, ":") {
			return aboutTarget(neighbourAdvert, ip(target))
		}
		return func(f testenv.Frame) bool {
			a, err := wire.ParseARP(f.Data)
			return err == nil && a.Op == 2 && a.SenderIP == ip(target) && a.SenderMAC == host
		}
	}
	ask := func(target string) {
		if strings.Contains(target, ":") {
			testenv.Inject(h.t, g.NS, "eth0", g.ns(g.eui(), ip(target)))
			return
		}
		testenv.Inject(h.t, g.NS, "eth0", arp(arpFields{src: g.mac, sha: g.mac, spa: g.addr, tpa: ip(target)}))
	}
	own := []string{"192.0.2.11", "2001:db8:1::11", "2001:db8:a1::99", "2001:db8:100::99"}
	for _, target := range own {
		ask(target)
	}
	for _, target := range []string{"192.0.2.12", "192.0.2.77", "203.0.113.9", "2001:db8:1::12", "2001:db8:1::77", "2001:db8:200::7", "2001:db8:ff::2"} {
		ask(target)
		f := ear.Wait(30*time.Second, "the answer for "+target, both(is(target), from(host)))
		if m, ok := icmpIn(f); ok && !bytes.Equal(m.Message[24:32], append([]byte{2, 1}, host[:]...)) {
			h.t.Errorf("%s is advertised at % x, want %s", target, m.Message[24:], host)
		}
	}
	for _, target := range own {
		ear.None("an answer for the guest's own "+target, both(is(target), from(host)))
	}
}

// TestRoutesFollowTheNIC: routes and neighbours are there with the NIC, whoever
// runs, and go with its binding, its link and its release; what another one has
// put in their place is told and left alone.
func TestRoutesFollowTheNIC(t *testing.T) {
	t.Parallel()
	h := newRoutedHost(t, 2)
	one, two := h.vms[0], h.vms[1]
	h.start()
	for _, g := range h.vms {
		h.write(g.port+".yaml", g.routedBinding())
	}
	h.attach("vm1", "vm2")
	h.routesAre("both in force", one, two)

	t.Log("restarted, after SIGTERM and after kill -9: nothing is touched")
	monitor := start(t, h.ns, needTool(t, "stdbuf"), "-oL", "ip", "monitor", "route", "neigh")
	h.monitored(monitor, "192.0.2.201")
	for _, end := range []func(){h.stop, h.kill} {
		end()
		h.routesAre("without berthd", one, two)
		h.start()
		h.settled("vm1", "vm2")
	}
	for line := range strings.Lines(h.monitored(monitor, "192.0.2.202")) {
		if strings.Contains(line, "dev vm") {
			t.Errorf("a restart changed: %s", line)
		}
	}

	t.Log("the link goes down and up: they are made again")
	h.ns.Exec("ip", "link", "set", "vm1", "down")
	h.ns.Exec("ip", "link", "set", "vm1", "up")
	h.routesAre("up again", one, two)

	t.Log("the binding is removed, then the NIC handed back")
	h.remove("vm1.yaml")
	h.waitState("vm1", api.Closed, 30*time.Second)
	h.routesAre("vm1 closed", two)
	h.write("vm1.yaml", one.routedBinding())
	h.attach("vm1")
	h.routesAre("vm1 back", one, two)
	h.remove("vm1.yaml")
	h.waitState("vm1", api.Closed, 30*time.Second)
	h.must("release", "vm1", "--yes")
	h.routesAre("vm1 released", two)
	h.write("vm1.yaml", one.routedBinding())
	h.attach("vm1")
	h.routesAre("vm1 back", one, two)

	t.Log("the device is deleted, and made again")
	h.ns.Delete("vm1")
	h.waitState("vm1", api.Waiting, 30*time.Second)
	h.routesAre("vm1 deleted", two)
	testenv.Veth(t, h.ns, "vm1", one.NS, "eth0", one.mac)
	h.attach("vm1")
	h.routesAre("vm1 made again", one, two)
	h.foreignRoute()
}

// monitored waits until the kernel's own account has a change of the test's,
// and returns all of it.
func (h *routedHost) monitored(p *process, addr string) string {
	h.t.Helper()
	testenv.Wait(h.t, 30*time.Second, "the monitor to tell of "+addr, func() bool {
		h.ns.Exec("ip", "neigh", "replace", addr, "lladdr", "02:00:00:00:00:01", "dev", "up0", "nud", "permanent")
		h.ns.Exec("ip", "neigh", "del", addr, "dev", "up0")
		return strings.Contains(p.out.String(), addr)
	})
	return p.out.String()
}

// foreignRoute: a destination that is somebody else's stays so, and the NIC
// says whose; when it is free, the NIC has it by itself.
func (h *routedHost) foreignRoute() {
	h.t.Helper()
	one, two := h.vms[0], h.vms[1]
	h.remove("vm1.yaml")
	h.waitState("vm1", api.Closed, 30*time.Second)
	h.routesAre("vm1 closed", two)
	for _, r := range []struct{ family, to, says string }{
		{"-4", "192.0.2.11", "192.0.2.11/32"}, {"-6", "2001:db8:a1::/64", "2001:db8:a1::/64"},
	} {
		h.ns.Exec("ip", r.family, "route", "add", r.to, "dev", "up0", "proto", "static")
		h.write("vm1.yaml", one.routedBinding())
		n := h.waitState("vm1", api.Failed, 30*time.Second)
		want := fmt.Sprintf("route %s: there is another route to it: %s dev #%d proto 4", r.says, r.says, h.ns.Index("up0"))
		if !strings.Contains(n.Why, want) {
			h.t.Errorf("why %q, want it to say %q", n.Why, want)
		}
		if out := h.must("show", "vm1"); !strings.Contains(out, "there is another route to it") {
			h.t.Errorf("berth show does not say so:\n%s", out)
		}
		if out := h.ns.Exec("ip", r.family, "-o", "route", "show", r.to); !strings.HasPrefix(out, r.to+" dev up0 proto static") || strings.Count(out, "\n") != 1 {
			h.t.Errorf("the foreign route is now %q", out)
		}
		if got := h.show("vm2").State; got != api.InForce {
			h.t.Errorf("vm2 is %s", got)
		}
		h.ns.Exec("ip", r.family, "route", "del", r.to, "dev", "up0")
		h.attach("vm1")
		h.routesAre("the foreign route is gone", one, two)
		h.remove("vm1.yaml")
		h.waitState("vm1", api.Closed, 30*time.Second)
		h.routesAre("vm1 closed", two)
	}
}
