package hostroute

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/testenv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// listen records the kernel's own account of changes on tap7 and elsewhere; the returned function
// ends it with a change of its own.
func listen(t testing.TB, ns *testenv.NS) func() []string {
	t.Helper()
	var s *nl.NetlinkSocket
	var err error
	ns.Do(func() {
		s, err = nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return func() []string {
		t.Helper()
		const last = "198.18.0.1"
		ns.Exec("ip", "neigh", "add", last, "lladdr", "02:00:00:00:00:01", "dev", "tap7", "nud", "permanent")
		var out []string
		for {
			msgs, _, err := s.Receive()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range msgs {
				e := event(t, m.Header.Type, m.Data)
				if strings.HasSuffix(e, " "+last) {
					return out
				}
				out = append(out, e)
			}
		}
	}
}

func event(t testing.TB, kind uint16, data []byte) string {
	t.Helper()
	does := "new"
	if kind == unix.RTM_DELROUTE || kind == unix.RTM_DELNEIGH {
		does = "del"
	}
	if kind == unix.RTM_NEWROUTE || kind == unix.RTM_DELROUTE {
		e, err := parseRoute(data)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s route %v", does, e.To)
	}
	n, err := parseNeighbour(data)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s neighbour %v", does, n.Addr)
}

// unasked are the frames that a host sends of its own accord: ARP, and all of
// IPv6 that goes to a group (solicitations, MLD, router solicitations).
func unasked(f testenv.Frame) bool {
	if !f.Outgoing || len(f.Data) < 14 {
		return false
	}
	kind := binary.BigEndian.Uint16(f.Data[12:])
	return kind == unix.ETH_P_ARP || kind == unix.ETH_P_IPV6 && f.Data[0] == 0x33
}

// lastReport is the MLD report (type 143 behind a hop-by-hop header) from the
// link-local address, which comes after the ones from :: and a second of
// duplicate address detection.
func lastReport(f testenv.Frame) bool {
	return unasked(f) && len(f.Data) > 62 && f.Data[20] == 0 && f.Data[62] == 143 && f.Data[22] == 0xfe
}

// sites are the three parties: guest - host - other.
type sites struct {
	guest, host, other *testenv.NS
	table              *Table
	index              int
}

// lay makes a forwarding host between a routed guest and another host. The
// guest's own resolution is not this package's, so it knows its gateways.
func lay(t *testing.T) sites {
	t.Helper()
	s := sites{guest: testenv.NewNS(t), host: testenv.NewNS(t), other: testenv.NewNS(t)}
	for _, k := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter"} {
		s.host.Sysctl(k, "1")
	}
	s.host.Exec("ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", s.other.Name)
	s.host.Exec("ip", "link", "add", "tap7", "type", "veth", "peer", "name", "eth0", "netns", s.guest.Name)
	s.guest.Exec("ip", "link", "set", "eth0", "address", guestMAC.String())
	s.host.Sh("ip addr add 198.51.100.1/24 dev up0; ip addr add 2001:db8:ff::1/64 dev up0 nodad; ip link set up0 up")
	s.other.Sh(`ip addr add 198.51.100.2/24 dev eth0; ip addr add 2001:db8:ff::2/64 dev eth0 nodad; ip link set eth0 up
		ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8:ff::1`)
	mac := s.host.MAC("tap7").String()
	s.guest.Sh(`ip link set eth0 up; ip addr add 192.0.2.10/24 dev eth0; ip addr add 203.0.113.5/32 dev lo
		for a in 2001:db8:1::10/64 2001:db8:a::5/64 2001:db8:100:7::1/64 2001:db8:200::1/128; do ip addr add $a dev eth0 nodad; done
		ip neigh add 192.0.2.1 lladdr ` + mac + ` dev eth0 nud permanent; ip neigh add fe80::1 lladdr ` + mac + ` dev eth0 nud permanent
		ip route add default via 192.0.2.1; ip -6 route add default via fe80::1 dev eth0`)
	s.table, s.index = openIn(t, s.host), s.host.Index("tap7")
	return s
}

// ping asks again until there is an answer: a carrier that has just come takes
// a moment until frames pass.
func ping(t *testing.T, from *testenv.NS, args ...string) {
	t.Helper()
	if out, err := from.Try(append([]string{"ping", "-n", "-c1", "-i0.2", "-w10"}, args...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestKernelTraffic sends packets to and from everything the guest has, and
// the host says nothing of its own to the guest. A second interface, not
// prepared, is the clock: when it has reported its groups the prepared one has
// had its time.
func TestKernelTraffic(t *testing.T) {
	s := lay(t)
	peer := testenv.NewNS(t)
	s.host.Exec("ip", "link", "add", "loud7", "type", "veth", "peer", "name", "eth0", "netns", peer.Name)
	peer.SetUp("eth0")
	prepareIn(t, s.host, "tap7")
	seen, loud := testenv.Capture(t, s.host, "tap7"), testenv.Capture(t, s.host, "loud7")
	s.host.SetUp("tap7")
	s.host.SetUp("loud7")
	apply(t, s.table, wanted(s.index, routed()))

	for _, to := range []string{
		"192.0.2.10", "203.0.113.5", "2001:db8:1::10", "2001:db8:a::5", "2001:db8:100:7::1", "2001:db8:200::1",
	} {
		ping(t, s.other, to)
		ping(t, s.host, to)
		if strings.Contains(to, ":") {
			ping(t, s.guest, "-I", to, "2001:db8:ff::2")
		} else {
			ping(t, s.guest, "-I", to, "198.51.100.2")
		}
	}
	loud.Wait(10*time.Second, "an MLD report from the link-local address", lastReport)
	seen.None("a frame of the host's own", unasked)
	if groups := s.host.Exec("ip", "maddr", "show", "dev", "tap7"); strings.Contains(groups, "ff02::2") {
		t.Errorf("the host is in the routers' group there:\n%s", groups)
	}

	// That such frames are seen: without neighbours the kernel asks by ARP, with
	// an address of the host; for want of one here it cannot even solicit.
	if err := s.table.Remove(s.index); err != nil {
		t.Fatal(err)
	}
	s.host.Sh("ip route add 192.0.2.10/32 dev tap7; ip -6 route add 2001:db8:1::10/128 dev tap7")
	ping(t, s.host, "192.0.2.10")
	seen.Wait(5*time.Second, "an ARP request", unasked)
	if _, err := s.host.Try("ping", "-n", "-c1", "-W1", "2001:db8:1::10"); err == nil {
		t.Error("IPv6 needs no neighbours")
	}
}

// TestKernelGuestCannotMove: what the guest claims of its addresses changes
// nothing in a permanent entry.
func TestKernelGuestCannotMove(t *testing.T) {
	s := lay(t)
	prepareIn(t, s.host, "tap7")
	s.host.SetUp("tap7")
	w := wanted(s.index, routed())
	apply(t, s.table, w)
	s.host.Sysctl("net.ipv4.conf.tap7.arp_accept", "1")
	seen := testenv.Capture(t, s.host, "tap7", testenv.InboundOnly)
	s.guest.Exec("ip", "link", "set", "eth0", "address", "52:54:00:aa:00:99")
	s.guest.Exec("arping", "-q", "-c1", "-U", "-I", "eth0", "192.0.2.10")
	seen.Wait(5*time.Second, "the guest's announcement", func(f testenv.Frame) bool { return f.Data[12] == 0x08 && f.Data[13] == 0x06 })
	holds(t, s.table, w)
}

// TestKernelPrepareLate: on an interface that is up with a link-local address,
// it takes that away, and the rest of IPv6 stays usable.
func TestKernelPrepareLate(t *testing.T) {
	ns := testenv.NewNS(t)
	ns.Sysctl("net.ipv6.conf.all.forwarding", "1")
	testenv.Tap(t, ns, "tap7")
	isPrepared := func() (yes bool) {
		ns.Do(func() { yes = IsPrepared("tap7") })
		return yes
	}
	addrs := func() string { return ns.Exec("ip", "-6", "addr", "show", "dev", "tap7") }
	testenv.Wait(t, 10*time.Second, "a link-local address", func() bool { return strings.Contains(addrs(), "fe80::") })
	if isPrepared() {
		t.Error("as the kernel makes it, it is prepared already")
	}
	prepareIn(t, ns, "tap7")
	if out := addrs(); out != "" || !isPrepared() {
		t.Errorf("prepared %v, addresses:\n%s", isPrepared(), out)
	}
	table, w := openIn(t, ns), wanted(ns.Index("tap7"), routed())
	apply(t, table, w)
	prepareIn(t, ns, "tap7")
	holds(t, table, w)

	for _, s := range prepared() {
		ns.Sysctl("net.ipv6.conf.tap7."+s.Name, map[string]string{"1": "0", "0": "1"}[s.Value])
		if isPrepared() {
			t.Errorf("IsPrepared does not see %s", s.Name)
		}
		prepareIn(t, ns, "tap7")
		if !isPrepared() {
			t.Errorf("Prepare does not set %s again", s.Name)
		}
	}
	ns.Sysctl("net.ipv6.conf.all.forwarding", "0")
	ns.Sysctl("net.ipv6.conf.all.forwarding", "1")
	if isPrepared() {
		t.Error("a host that becomes a router again is not seen")
	}
	apply(t, table, w)
	prepareIn(t, ns, "tap7")
	holds(t, table, w) // that alone costs no route
}

func TestPrepareNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "all", "default", "../all", "a/b", "a\x00", "abcdefghijklmnop", "notthere"} {
		if Prepare(name) == nil || IsPrepared(name) {
			t.Errorf("%q was accepted", name)
		}
	}
}
