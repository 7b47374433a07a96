package story_test

import (
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/testenv"
)

// TestKindsOfNIC runs clients that ask for everything, of both families, on
// each kind of NIC: they get what is bound and nothing else.
func TestKindsOfNIC(t *testing.T) {
	const gate6 = "gateway6: fe80::1\ndns: [2001:db8::53]\n"
	kinds := []kindOfNIC{
		{
			name: "DHCPv6 only", keys: "addresses: [2001:db8:1::11/64]\n" + gate6,
			addresses: []string{"2001:db8:1::11/128"}, dns: "2001:db8::53", via6: []string{siteRouter}, via4: []string{},
		},
		{
			name: "SLAAC only", keys: "slaac: [2001:db8:a::/64]\ndhcp6: {mode: stateless}\n" + gate6,
			addresses: []string{"2001:db8:a:0:5054:ff:feaa:1/64"}, dns: "2001:db8::53", via6: []string{siteRouter}, via4: []string{},
		},
		{
			name: "dual stack",
			keys: "addresses: [192.0.2.11/24, 2001:db8:1::11/64]\ngateway: 192.0.2.1\n" +
				"gateway6: fe80::1\ndns: [192.0.2.53, 2001:db8::53]\n",
			addresses: []string{"192.0.2.11/24", "2001:db8:1::11/128"}, dns: "192.0.2.53 2001:db8::53",
			via6: []string{siteRouter}, via4: []string{"192.0.2.1"},
		},
		{
			name: "IPv4 only", keys: "addresses: [192.0.2.11/24]\ngateway: 192.0.2.1\ndns: [192.0.2.53]\n",
			addresses: []string{"192.0.2.11/24"}, dns: "192.0.2.53", via6: []string{}, via4: []string{"192.0.2.1"},
		},
	}
	for name, c := range map[string]client{"dhcpcd": dhcpcd6{slaac: "hwaddr"}, "networkd": networkd6{}} {
		for _, k := range kinds {
			t.Run(k.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				k.serves(t, c)
			})
		}
	}
}

// kindOfNIC is a binding and what comes of it.
type kindOfNIC struct {
	name, keys string
	addresses  []string
	dns        string
	via4, via6 []string
}

func (k *kindOfNIC) serves(t *testing.T, c client) {
	t.Helper()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	s.bindKeys(vm, k.keys)
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	vm.six(nil)
	c.start(t, vm)
	vm.getsExactly(t, k.addresses...)
	becomes(t, "servers", k.dns, func() string { return resolvers(c.lease(vm)) })
	becomes(t, "default routes of IPv6", k.via6, func() []string { return vm.defaults(t, "-6") })
	becomes(t, "default routes of IPv4", k.via4, func() []string { return vm.defaults(t, "-4") })
	k.refusesTheRest(s, vm)
	vm.getsExactly(t, k.addresses...) // still
	if len(k.via6) == 0 {
		ear.None("IPv6 towards an IPv4-only guest", func(f testenv.Frame) bool { return !f.Outgoing && ipv6(f) })
		w.noneOut("IPv6 of an IPv4-only guest", func(f testenv.Frame) bool { return ipv6(f) && from(vm.mac)(f) })
	} else {
		own, _, _ := strings.Cut(k.addresses[len(k.addresses)-1], "/")
		vm.reaches(t, siteHost, own)
	}
	w.contained6()
	w.contained()
}

// refusesTheRest waits until the client has asked for what the NIC does not
// have, and was heard.
func (k *kindOfNIC) refusesTheRest(s *site, vm *guest) {
	s.t.Helper()
	if len(k.via4) == 0 {
		becomes(s.t, "an ignored DISCOVER", true, func() bool { return s.show("vm1").Counters.Ignored["dhcp-no-ipv4"] > 0 })
	}
	if len(k.via6) == 0 {
		becomes(s.t, "a dropped frame of IPv6", true, func() bool { return s.dropped(vm, "ipv6-closed") > 0 })
	}
}

// resolvers are the servers in a lease of either client.
func resolvers(l lease) string {
	return eachOnce(l["DNS"] + " " + l["new_domain_name_servers"] + " " + l["new_dhcp6_name_servers"] + " " + l["nd1_rdnss1_servers"])
}

// TestDuplicateAddressDetection: the guest's kernel sees that somebody else
// has its address; and it cannot so much as ask whether another's is free.
func TestDuplicateAddressDetection(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	s.bindKeys(vm, "addresses: [2001:db8:1::11/64]\ngateway6: fe80::1\n")
	s.bindKeys(s.vms[1], "addresses: [2001:db8:1::12/64]\n")
	w := s.watch()
	s.lan.Exec("ip", "address", "add", "2001:db8:1::11/64", "dev", "eth0", "nodad")
	vm.six(nil)
	vm.Exec("ip", "address", "add", "2001:db8:1::11/64", "dev", "eth0")
	becomes(t, "conflicts that the kernel saw", []string{"2001:db8:1::11"}, func() []string {
		found := []string{}
		for _, h := range vm.held6(t) {
			if h.DADFailed {
				found = append(found, h.Addr.String())
			}
		}
		return found
	})
	if n := s.dropped(vm, "nd-target"); n != 0 {
		t.Errorf("%d probes of the guest's own addresses were dropped", n)
	}
	for i, other := range []string{"2001:db8:1::12", siteRouter, siteHost} {
		vm.Exec("ip", "address", "add", other+"/64", "dev", "eth0")
		becomes(t, "dropped probes", i+1, func() int { return s.dropped(vm, "nd-target") })
		w.noneOut("a probe for "+other, both(from(vm.mac), both(aboutTarget(neighbourSolicitation, ip(other)), fromNobody)))
	}
}

func fromNobody(f testenv.Frame) bool {
	m, ok := icmpIn(f)
	return ok && m.Src.IsUnspecified()
}
