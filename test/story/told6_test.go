package story_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/testenv"
)

// all6 is a binding that says all a guest can be told of IPv6.
const all6 = `hostname: web1.example.org
addresses: [2001:db8:1::11/64]
gateway6: fe80::1
gateway-mac: 52:54:00:ff:00:01
slaac: [2001:db8:a::/64]
delegated: [2001:db8:100::/56]
dns: [2001:db8::53, 2001:db8::54]
search: [example.org, lab.example.net]
ntp: [2001:db8::123]
mtu: 1400
captive-portal: "https://portal.example.org/"
dhcp6:
  preferred: 3000s
  valid: 5000s
  t1: 1000s
  t2: 2000s
  boot-url: http://boot.example.org/x
  boot-args: [a, bc]
ra:
  interval: 300s
  preference: high
  hop-limit: 33
  routes: [{to: 2001:db8:ff::/48, preference: low, lifetime: 700s}]
  pref64: 64:ff9b::/96
`

// all6RA is the same as a router advertisement is to say it (RFC 4861 4.2 and
// 4.6, 4191, 8106, 8781, 8910), part by part.
func all6RA() []string {
	names := "076578616d706c65036f726700" + "036c6162076578616d706c65036e657400"
	return []string{
		"8600" + "----" + "21" + "c8" + "0384" + "00000000" + "00000000", // M, O, high
		"0101" + "525400ff0001",
		"030440c0" + "00001388" + "00000bb8" + "00000000" + "20010db8000a00000000000000000000",
		"03044080" + "00001388" + "00000bb8" + "00000000" + "20010db8000100000000000000000000",
		"19050000" + "00000384" + "20010db8000000000000000000000053" + "20010db8000000000000000000000054",
		"05010000" + "00000578",
		"18023018" + "000002bc" + "20010db800ff0000",
		"2602" + "0388" + "0064ff9b0000000000000000", // 904 s, in units of 8; /96
		"1f050000" + "00000384" + names + "0000",
		"2504" + hex.EncodeToString([]byte("https://portal.example.org/")) + "000000",
	}
}

// all6Options is the same by DHCPv6 option code.
func all6Options() map[dhcpv6.OptionCode]string {
	return map[dhcpv6.OptionCode]string{
		23:  "20010db8000000000000000000000053" + "20010db8000000000000000000000054",
		24:  "076578616d706c65036f726700" + "036c6162076578616d706c65036e657400",
		31:  "20010db8000000000000000000000123",
		56:  "0001" + "0010" + "20010db8000000000000000000000123",
		59:  hex.EncodeToString([]byte("http://boot.example.org/x")),
		60:  "0001" + hex.EncodeToString([]byte("a")) + "0002" + hex.EncodeToString([]byte("bc")),
		103: hex.EncodeToString([]byte("https://portal.example.org/")),
	}
}

// TestEveryClientIsToldAllOfIPv6 looks at both ends: the bytes of the REPLY
// and of the router advertisement on the guest's port, and what each client
// and the guest's kernel made of them.
func TestEveryClientIsToldAllOfIPv6(t *testing.T) {
	const host, auto = "2001:db8:1::11/128", "2001:db8:a:0:5054:ff:feaa:1/64"
	for _, c := range []struct {
		name   string
		client client
		want   lease
	}{
		{"dhclient", dhclient6{}, lease{
			"new_ip6_address": "2001:db8:1::11", "new_ip6_prefixlen": "128", "new_ip6_prefix": "2001:db8:100::/56",
			"new_preferred_life": "3000", "new_max_life": "5000", "new_renew": "1000", "new_rebind": "2000",
			"new_dhcp6_name_servers": "2001:db8::53 2001:db8::54", "new_dhcp6_domain_search": "example.org. lab.example.net.",
			"new_dhcp6_sntp_servers": "2001:db8::123", "new_dhcp6_bootfile_url": "http://boot.example.org/x",
			"new_dhcp6_bootfile_param": "0:1:61:0:2:62:63", "new_dhcp6_captive_portal": "https://portal.example.org/",
			"new_fqdn_fqdn": "web1.example.org",
		}},
		{"dhcpcd", dhcpcd6{slaac: "hwaddr"}, lease{
			"new_dhcp6_ia_na1_ia_addr1": "2001:db8:1::11", "new_dhcp6_ia_na1_ia_addr1_pltime": "3000",
			"new_dhcp6_ia_na1_ia_addr1_vltime": "5000", "new_dhcp6_ia_na1_t1": "1000", "new_dhcp6_ia_na1_t2": "2000",
			"new_dhcp6_ia_pd1_prefix1": "2001:db8:100::", "new_dhcp6_ia_pd1_prefix1_length": "56",
			"new_dhcp6_ia_pd1_prefix1_pltime": "3000", "new_dhcp6_ia_pd1_prefix1_vltime": "5000",
			"new_dhcp6_name_servers": "2001:db8::53 2001:db8::54", "new_dhcp6_domain_search": "example.org lab.example.net",
			"new_dhcp6_sntp_servers": "2001:db8::123", "new_dhcp6_bootfile_url": "http://boot.example.org/x",
			"new_dhcp6_bootfile_param": "00016100026263",
			"nd1_from":                 "fe80::1", "nd1_source_address": "525400ff0001", "nd1_flags": "MOh", "nd1_hoplimit": "33",
			"nd1_lifetime": "900", "nd1_mtu": "1400", "nd1_addr1": auto,
			"nd1_prefix_information1_prefix": "2001:db8:a::", "nd1_prefix_information1_length": "64",
			"nd1_prefix_information1_flags": "LA", "nd1_prefix_information1_pltime": "3000", "nd1_prefix_information1_vltime": "5000",
			"nd1_prefix_information2_prefix": "2001:db8:1::", "nd1_prefix_information2_length": "64",
			"nd1_prefix_information2_flags": "L", "nd1_prefix_information2_pltime": "3000", "nd1_prefix_information2_vltime": "5000",
			"nd1_rdnss1_servers": "2001:db8::53 2001:db8::54", "nd1_rdnss1_lifetime": "900",
			"nd1_dnssl1_search": "example.org lab.example.net", "nd1_dnssl1_lifetime": "900",
		}},
		{"networkd", networkd6{}, lease{
			"DNS": "2001:db8::53 2001:db8::54", "DOMAINS": "example.org lab.example.net", "NTP": "2001:db8::123",
		}},
		{"dhcp6c", dhcp6c{}, lease{
			"new_domain_name_servers": "2001:db8::53 2001:db8::54 ", "new_domain_name": "example.org. lab.example.net. ",
			"new_ntp_servers": "2001:db8::123 ",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite6(t)
			vm := s.vms[0]
			s.start()
			s.bindKeys(vm, all6)
			w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
			vm.six(nil)
			c.client.start(t, vm)
			vm.getsExactly(t, host, auto)
			becomes(t, "default routes", []string{siteRouter}, func() []string { return vm.defaults(t, "-6") })
			told := func() lease {
				got, picked := c.client.lease(vm), lease{}
				for k := range c.want {
					picked[k] = got[k]
				}
				return picked
			}
			becomes(t, "what the client reports", c.want, told)
			if diff := cmp.Diff(all6RA(), lastRA(ear)); diff != "" {
				t.Errorf("router advertisement (-want +got):\n%s", diff)
			}
			checkReply(t, ear)
			vm.reaches(t, siteHost, "2001:db8:1::11")
			w.contained6()
		})
	}
}

// checkReply holds the REPLY to a REQUEST to the whole binding: what was asked
// for and nothing else.
func checkReply(t *testing.T, ear *testenv.Sniffer) {
	t.Helper()
	request := message6In(ear.Wait(time.Second, "the REQUEST", dhcp6Of(dhcpv6.MessageTypeRequest)))
	answer := message6In(ear.Wait(time.Second, "its REPLY", replyTo6(request.TransactionID)))
	want, got := map[dhcpv6.OptionCode]string{}, map[dhcpv6.OptionCode]string{}
	for _, code := range request.Options.RequestedOptions() {
		if v, ok := all6Options()[code]; ok {
			want[code] = v
		}
	}
	for _, o := range answer.Options.Options {
		switch o.Code() {
		case dhcpv6.OptionClientID, dhcpv6.OptionServerID, dhcpv6.OptionIANA, dhcpv6.OptionIAPD, dhcpv6.OptionFQDN:
		default:
			got[o.Code()] = hex.EncodeToString(o.ToBytes())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("options of the REPLY (-want +got):\n%s", diff)
	}
	ias := []string{"2001:db8:1::11 3000 5000", "2001:db8:100::/56 3000 5000"}
	if diff := cmp.Diff(ias, given(answer)); diff != "" {
		t.Errorf("addresses and prefixes of the REPLY (-want +got):\n%s", diff)
	}
}

// TestAdvertisementAsOthersReadIt has tcpdump read a router advertisement: it
// finds every option where it looks for it, and the checksum right.
func TestAdvertisementAsOthersReadIt(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	ear := testenv.Capture(t, vm.NS, "eth0")
	s.bindKeys(vm, all6)
	f := ear.Wait(soon, "a router advertisement", isND(routerAdvertisement))
	file := filepath.Join(vm.dir, "ra.pcap")
	if err := os.WriteFile(file, pcap(f.Data), 0o644); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(vm.Exec(needTool(t, "tcpdump"), "-n", "-t", "-e", "-vv", "-r", file)) {
		if line = strings.Join(strings.Fields(line), " "); !strings.HasPrefix(line, "0x") { // the bytes once more
			got = append(got, line)
		}
	}
	want := []string{
		"52:54:00:ff:00:01 > 33:33:00:00:00:01, ethertype IPv6 (0x86dd), length 294: (hlim 255, next-header ICMPv6 (58) " +
			"payload length: 240) fe80::1 > ff02::1: [icmp6 sum ok] ICMP6, router advertisement, length 240",
		"hop limit 33, Flags [managed, other stateful], pref high, router lifetime 900s, reachable time 0ms, retrans timer 0ms",
		"source link-address option (1), length 8 (1): 52:54:00:ff:00:01",
		"prefix info option (3), length 32 (4): 2001:db8:a::/64, Flags [onlink, auto], valid time 5000s, pref. time 3000s",
		"prefix info option (3), length 32 (4): 2001:db8:1::/64, Flags [onlink], valid time 5000s, pref. time 3000s",
		"rdnss option (25), length 40 (5): lifetime 900s, addr: 2001:db8::53 addr: 2001:db8::54",
		"mtu option (5), length 8 (1): 1400",
		"route info option (24), length 16 (2): 2001:db8:ff::/48, pref=low, lifetime=700s",
		"unknown option (38), length 16 (2):", // PREF64
		"dnssl option (31), length 40 (5): lifetime 900s, domain(s): example.org. lab.example.net.",
		"unknown option (37), length 32 (4):", // captive portal
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tcpdump reads (-want +got):\n%s", diff)
	}
}

// pcap is one Ethernet frame as a file of libpcap's.
func pcap(frame []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0xa1b2c3d4)
	for _, v := range []uint32{2<<16 | 4, 0, 0, 1 << 16, 1, 0, 0, uint32(len(frame)), uint32(len(frame))} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return append(b, frame...)
}

// TestRouterDiscovery has rdisc6 solicit, which shows all it understands.
func TestRouterDiscovery(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	s.bindKeys(vm, all6)
	vm.six(nil)
	vm.getsExactly(t, "2001:db8:a:0:5054:ff:feaa:1/64")
	var got []string
	for line := range strings.Lines(vm.Exec(needTool(t, "rdisc6"), "-1", "-n", "-w", "20000", "eth0")) {
		if words := strings.Fields(line); len(words) > 0 {
			got = append(got, strings.Join(words, " "))
		}
	}
	want := []string{
		"Soliciting ff02::2 (ff02::2) on eth0...",
		"Hop limit : 33 ( 0x21)",
		"Stateful address conf. : Yes",
		"Stateful other conf. : Yes",
		"Mobile home agent : No",
		"Router preference : high",
		"Neighbor discovery proxy : No",
		"Router lifetime : 900 (0x00000384) seconds",
		"Reachable time : unspecified (0x00000000)",
		"Retransmit time : unspecified (0x00000000)",
		"Source link-layer address: 52:54:00:FF:00:01",
		"Prefix : 2001:db8:a::/64",
		"On-link : Yes",
		"Autonomous address conf.: Yes",
		"Valid time : 5000 (0x00001388) seconds",
		"Pref. time : 3000 (0x00000bb8) seconds",
		"Prefix : 2001:db8:1::/64",
		"On-link : Yes",
		"Autonomous address conf.: No",
		"Valid time : 5000 (0x00001388) seconds",
		"Pref. time : 3000 (0x00000bb8) seconds",
		"Recursive DNS server : 2001:db8::53",
		"Recursive DNS server : 2001:db8::54",
		"DNS servers lifetime : 900 (0x00000384) seconds",
		"MTU : 1400 bytes (valid)",
		"Route : 2001:db8:ff::/48",
		"Route preference : low",
		"Route lifetime : 700 (0x000002bc) seconds",
		"DNS search list : example.org lab.example.net",
		"DNS search list lifetime: 900 (0x00000384) seconds",
		"from fe80::1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rdisc6 reads (-want +got):\n%s", diff)
	}
}

// TestDelegatedPrefix: a guest that is a router uses what it was delegated for
// the network behind it, and speaks to the site from there.
func TestDelegatedPrefix(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	s.bindKeys(vm, all6)
	s.lan.Exec("ip", "route", "add", "2001:db8:100::/56", "via", vm.eui().String(), "dev", "eth0")
	vm.six(nil)
	dhcp6c{}.start(t, vm)
	const behind = "2001:db8:100:5:5054:ff:feaa:101"
	becomes(t, "addresses behind the guest", []string{behind + "/64"}, func() []string {
		list := []string{}
		for _, h := range vm.heldOn(t, "-6", "behind0") {
			if !h.Addr.IsLinkLocalUnicast() && !h.Tentative {
				list = append(list, netip.PrefixFrom(h.Addr, h.Bits).String())
			}
		}
		return list
	})
	vm.reaches(t, siteHost, behind)
}

// TestOwnLinkLocal: a client that makes its link-local itself, by a secret of
// its own (RFC 7217), has it permitted by using it.
func TestOwnLinkLocal(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	s.bindKeys(vm, all6)
	vm.six(map[string]string{"addr_gen_mode": "1"})
	dhcpcd6{slaac: "private"}.start(t, vm)
	chosen := func() []netip.Addr {
		var list []netip.Addr
		for _, h := range vm.held6(t) {
			if h.Addr.IsLinkLocalUnicast() && !h.Tentative && h.Addr != vm.eui() {
				list = append(list, h.Addr)
			}
		}
		return list
	}
	testenv.Wait(t, soon, "a link-local of dhcpcd's own", func() bool { return len(chosen()) == 1 })
	own := chosen()[0]
	testenv.Wait(t, soon, "both addresses", func() bool { return len(vm.usable(t)) == 2 })
	for _, a := range vm.usable(t) {
		p := netip.MustParsePrefix(a)
		if p.Addr() != ip("2001:db8:1::11") && p.Masked().String() != "2001:db8:a::/64" {
			t.Errorf("the guest has %s", a)
		}
		vm.reaches(t, siteHost, p.Addr().String())
	}
	vm.reaches(t, siteRouter+"%eth0", own.String()+"%eth0")
	if diff := cmp.Diff(inOrder(vm.eui(), own), inOrder(s.show("vm1").Installed.LinkLocal...), sameAddr()); diff != "" {
		t.Errorf("permitted link-locals (-want +got):\n%s", diff)
	}
}

func inOrder(list ...netip.Addr) []netip.Addr {
	return slices.SortedFunc(slices.Values(list), netip.Addr.Compare)
}

// TestKernelAutoconfigures: the guest's own kernel, with privacy extensions and
// a stable private identifier instead of its MAC's, makes addresses of what it
// was told, and each of them passes the guard.
func TestKernelAutoconfigures(t *testing.T) {
	t.Parallel()
	s := newSite6(t)
	vm := s.vms[0]
	s.start()
	s.bindKeys(vm, strings.Replace(all6, "dhcp6:\n", "dhcp6:\n  mode: stateless\n", 1))
	w := s.watch()
	vm.six(map[string]string{"use_tempaddr": "2", "addr_gen_mode": "3", "accept_ra_rt_info_max_plen": "128"})
	type made struct {
		Prefix            string
		Temporary, Stable bool
	}
	var list []held
	becomes(t, "addresses that the kernel made", []made{
		{"2001:db8:a::/64", false, true}, {"2001:db8:a::/64", true, false}, {"fe80::/64", false, true},
	}, func() []made {
		all := []made{}
		list = slices.DeleteFunc(vm.held6(t), func(h held) bool { return h.Tentative })
		for _, h := range list {
			all = append(all, made{netip.PrefixFrom(h.Addr, h.Bits).Masked().String(), h.Temporary, h.Stable})
		}
		slices.SortFunc(all, func(a, b made) int { return cmpText(a, b) })
		return all
	})
	for _, h := range list {
		if h.Addr.IsLinkLocalUnicast() {
			vm.reaches(t, siteRouter+"%eth0", h.Addr.String()+"%eth0")
			continue
		}
		vm.reaches(t, siteHost, h.Addr.String())
		within(t, "valid lifetime", int(h.Valid), 5000)
		within(t, "preferred lifetime", int(h.Preferred), 3000)
	}
	vm.checkKernel(t)
	if diff := cmp.Diff(map[string]uint64{}, s.show("vm1").Counters.Dropped); diff != "" {
		t.Errorf("dropped of an honest guest (-want +got):\n%s", diff)
	}
	w.contained6()
}

func cmpText(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }

// within holds what counts down to where it began.
func within(t testing.TB, what string, got, began int) {
	t.Helper()
	if got > began || got < began-int(testenv.Limit(t, 2*soon).Seconds()) {
		t.Errorf("%s %d, want %d less the time since", what, got, began)
	}
}

// checkKernel holds routes, MTU and hop limit of the guest's kernel to all6.
func (g *guest) checkKernel(t testing.TB) {
	t.Helper()
	var routes []route
	g.ipJSON(t, &routes, "-6", "route", "show", "proto", "ra")
	got, began := []route{}, map[string]int{"default": 900, "2001:db8:ff::/48": 700}
	for _, r := range routes {
		within(t, "lifetime of the route to "+r.To, r.Expires, began[r.To])
		r.Expires = 0
		got = append(got, r)
	}
	slices.SortFunc(got, func(a, b route) int { return strings.Compare(a.To, b.To) })
	want := []route{
		{To: "2001:db8:ff::/48", Via: siteRouter, Pref: "low"},
		{To: "default", Via: siteRouter, Pref: "high", Metrics: []map[string]int{{"mtu": 1400, "hoplimit": 33}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	settings := strings.Fields(g.Sh("cd /proc/sys/net/ipv6/conf/eth0; cat mtu hop_limit"))
	if diff := cmp.Diff([]string{"1400", "33"}, settings); diff != "" {
		t.Errorf("MTU and hop limit (-want +got):\n%s", diff)
	}
}
