package story_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// TestAddressChanged6: the address in the file is another. The client's next
// RENEW brings the old one with no lifetime left and the new one beside it.
func TestAddressChanged6(t *testing.T) {
	const keys = "gateway6: fe80::1\ndhcp6: {preferred: 3000s, valid: 5000s, t1: 4s, t2: 60s}\naddresses: "
	for name, c := range map[string]client{
		"dhclient": dhclient6{}, "dhcpcd": dhcpcd6{slaac: "hwaddr"}, "networkd": networkd6{}, "dhcp6c": dhcp6c{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite6(t)
			vm := s.vms[0]
			s.start()
			s.bindKeys(vm, keys+"[2001:db8:1::11/64]")
			w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
			vm.six(nil)
			c.start(t, vm)
			vm.getsExactly(t, "2001:db8:1::11/128")
			s.write("vm1.yaml", vm.keys(keys+"[2001:db8:1::31/64]"))
			vm.getsExactly(t, "2001:db8:1::31/128")
			told := message6In(ear.Wait(time.Second, "the REPLY with both", func(f testenv.Frame) bool {
				return dhcp6Of(dhcpv6.MessageTypeReply)(f) && len(given(message6In(f))) == 2
			}))
			if diff := cmp.Diff([]string{"2001:db8:1::31 3000 5000", "2001:db8:1::11 0 0"}, given(told)); diff != "" {
				t.Errorf("the REPLY gives (-want +got):\n%s", diff)
			}
			asked := message6In(ear.Wait(time.Second, "the RENEW", func(f testenv.Frame) bool {
				m := message6In(f)
				return f.Outgoing && m != nil && m.TransactionID == told.TransactionID
			}))
			if asked.MessageType != dhcpv6.MessageTypeRenew {
				t.Errorf("it is the answer to %s, want RENEW", asked.MessageType)
			}
			vm.reaches(t, siteHost, "2001:db8:1::31")
			w.contained6()
		})
	}
}

// live is a VM whose kernel has all of what it is told.
func live(t *testing.T, keys string) (*site, *guest) {
	t.Helper()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	s.bindKeys(vm, keys)
	vm.six(nil)
	return s, vm
}

const (
	auto6   = "2001:db8:a:0:5054:ff:feaa:1/64"
	slaac6  = "slaac: [2001:db8:a::/64]\n"
	stays6  = "addresses: [2001:db8:1::11/64]\ndns: [2001:db8::53]\ngateway-mac: 52:54:00:ff:00:01\n"
	router6 = "gateway6: fe80::1\n"
)

// TestPrefixWithdrawn: a SLAAC prefix is no longer the NIC's. The kernel stops
// using the address it made of it, at once.
func TestPrefixWithdrawn(t *testing.T) {
	t.Parallel()
	s, vm := live(t, stays6+router6+slaac6)
	vm.getsExactly(t, auto6)
	s.write("vm1.yaml", vm.keys(stays6+router6))
	becomes(t, "the address made of the prefix", held{Addr: ip("2001:db8:a:0:5054:ff:feaa:1"), Bits: 64, Ended: true},
		func() held {
			for _, h := range vm.held6(t) {
				if !h.Addr.IsLinkLocalUnicast() {
					h.Valid = 0 // two hours at most, RFC 4862 5.5.3
					return h
				}
			}
			return held{}
		})
	if diff := cmp.Diff([]string{siteRouter}, vm.defaults(t, "-6")); diff != "" {
		t.Errorf("default routes (-want +got):\n%s", diff)
	}
	s.write("vm1.yaml", vm.keys(stays6+router6+slaac6))
	vm.getsExactly(t, auto6)
}

// TestRouterWithdrawn: the gateway goes, comes back as another, and stays
// without being announced.
func TestRouterWithdrawn(t *testing.T) {
	t.Parallel()
	s, vm := live(t, stays6+router6+slaac6)
	for _, step := range []struct {
		keys string
		want []string
	}{
		{router6, []string{siteRouter}},
		{"", []string{}},
		{"gateway6: fe80::2\n", []string{"fe80::2"}},
		{router6, []string{siteRouter}},
		{router6 + "no-default-route: true\n", []string{}},
	} {
		s.write("vm1.yaml", vm.keys(stays6+slaac6+step.keys))
		becomes(t, "default routes with "+step.keys, step.want, func() []string { return vm.defaults(t, "-6") })
		vm.getsExactly(t, auto6)
	}
}

// TestNoDefaultRoute6: a NIC that is not to use its gateway is told prefix and
// servers by a router with lifetime 0.
func TestNoDefaultRoute6(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	ear := testenv.Capture(t, vm.NS, "eth0")
	s.bindKeys(vm, stays6+router6+"no-default-route: true\nra: {preferred: 3000s, valid: 5000s}\n")
	becomes(t, "router advertisement", []string{
		"8600" + "----" + "40" + "c0" + "0000" + "00000000" + "00000000",
		"0101" + "525400ff0001",
		"03044080" + "00001388" + "00000bb8" + "00000000" + "20010db8000100000000000000000000",
		"19030000" + "00000708" + "20010db8000000000000000000000053",
	}, func() []string { return lastRA(ear) })
}

// TestBindingRemoved6: the file is removed. The guest hears of its router that
// all of it is over, and its kernel stops using it.
func TestBindingRemoved6(t *testing.T) {
	t.Parallel()
	s, vm := live(t, stays6+router6+slaac6)
	ear := testenv.Capture(t, vm.NS, "eth0")
	vm.getsExactly(t, auto6)
	becomes(t, "default routes", []string{siteRouter}, func() []string { return vm.defaults(t, "-6") })
	s.remove("vm1.yaml")
	s.waitState("vm1", api.Closed, 10*time.Second)
	last := []string{
		"8600" + "----" + "00" + "00" + "0000" + "00000000" + "00000000",
		"0101" + "525400ff0001",
		"030440c0" + "00000000" + "00000000" + "00000000" + "20010db8000a00000000000000000000",
		"03044080" + "00000000" + "00000000" + "00000000" + "20010db8000100000000000000000000",
		"19030000" + "00000000" + "20010db8000000000000000000000053",
	}
	ear.Wait(soon, "the last router advertisement", func(f testenv.Frame) bool {
		m, ok := icmpIn(f)
		return ok && cmp.Equal(last, raParts(m.Message))
	})
	vm.getsExactly(t)
	becomes(t, "default routes", []string{}, func() []string { return vm.defaults(t, "-6") })
}

// TestLinkLocalPolicy: a guest whose link-local is not the one that the policy
// has speaks to nobody, and with the one it has to anybody.
func TestLinkLocalPolicy(t *testing.T) {
	for _, c := range []struct{ policy, may, mayNot string }{
		{"eui-64", "fe80::5054:ff:feaa:1", "fe80::7"},
		{"[fe80::7, fe80::8]", "fe80::8", "fe80::5054:ff:feaa:1"},
	} {
		t.Run(c.policy, func(t *testing.T) {
			t.Parallel()
			s := newSite6(t)
			vm := s.vms[0]
			s.start()
			s.bindKeys(vm, stays6+router6+"link-local: "+c.policy+"\n")
			w := s.watch()
			vm.six(map[string]string{"addr_gen_mode": "1", "accept_ra": "0"})
			for _, a := range []string{c.may, c.mayNot} {
				vm.Exec("ip", "address", "add", a+"/64", "dev", "eth0", "nodad")
			}
			vm.reaches(t, siteRouter+"%eth0", c.may+"%eth0")
			before := s.dropped(vm, "ip6-spoof")
			echo := func(f testenv.Frame) bool {
				p, err := wire.ParseIP6(f.Data)
				return err == nil && p.Src == ip(c.mayNot) && from(vm.mac)(f)
			}
			if out, err := vm.Try("ping", "-c", "1", "-w", "1", "-I", c.mayNot+"%eth0", siteRouter+"%eth0"); err == nil {
				t.Errorf("a ping from %s is answered:\n%s", c.mayNot, out)
			}
			if n := s.dropped(vm, "ip6-spoof"); n <= before {
				t.Errorf("%d frames dropped as ip6-spoof, and %d before the ping", n, before)
			}
			w.noneOut("a frame from "+c.mayNot, echo)
		})
	}
}

// TestAdvertisedWhenTheLinkComesUp: a guest that asks nothing is told when its
// interface comes up, each time; not at the next regular time, which is up to
// half an hour away.
func TestAdvertisedWhenTheLinkComesUp(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	s.bindKeys(vm, stays6+router6+"ra: {interval: 1800s}\n")
	for range 5 {
		vm.Exec("ip", "link", "set", "eth0", "down")
		testenv.Wait(t, soon, "the link to be down", func() bool { return s.show("vm1").Link.OperState != "up" })
		ear := testenv.Capture(t, vm.NS, "eth0")
		vm.Exec("ip", "link", "set", "eth0", "up")
		f := ear.Wait(8*time.Second, "a router advertisement", isND(routerAdvertisement))
		m, _ := icmpIn(f)
		got := []string{m.EthSrc.String(), m.EthDst.String(), m.Src.String(), m.Dst.String()}
		if diff := cmp.Diff([]string{"52:54:00:ff:00:01", "33:33:00:00:00:01", siteRouter, "ff02::1"}, got); diff != "" {
			t.Errorf("who advertises to whom (-want +got):\n%s", diff)
		}
		ear.None("a solicitation of the guest", both(from(vm.mac), isND(routerSolicitation)))
	}
}

// TestSiteAdvertises: one NIC gets the site's own router advertisements instead
// of berth's, and the one beside it none of the site's.
func TestSiteAdvertises(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm, other := s.vms[0], s.vms[1]
	s.start()
	s.bindKeys(vm, stays6+slaac6+"ra: {mode: site}\n")
	s.bindKeys(other, "addresses: [2001:db8:1::12/64]\ngateway6: fe80::1\nslaac: [2001:db8:b::/64]\n")
	atOther := testenv.Capture(t, other.NS, "eth0")
	w := s.watch()
	vm.six(nil)
	other.six(nil)
	other.getsExactly(t, "2001:db8:b:0:5054:ff:feaa:2/64")
	w.at[uplink].Wait(soon, "the solicitation of the site's NIC", both(isND(routerSolicitation), from(vm.mac)))
	testenv.Inject(t, s.lan.NS, "eth0", ra6(s.lan.mac, siteRouter, "2001:db8:a::"))
	vm.getsExactly(t, auto6)
	becomes(t, "default routes", []string{siteRouter}, func() []string { return vm.defaults(t, "-6") })
	becomes(t, "dropped by the guard of the other", 1, func() int { return s.dropped(other, "ra-foreign") })
	other.getsExactly(t, "2001:db8:b:0:5054:ff:feaa:2/64")
	atOther.None("the site's advertisement", func(f testenv.Frame) bool {
		return isND(routerAdvertisement)(f) && strings.Contains(hex.EncodeToString(f.Data), "20010db8000a0000")
	})
	vm.reaches(t, siteHost, strings.TrimSuffix(auto6, "/64"))
}
