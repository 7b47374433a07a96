package story_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// TestStatichcpdRows: what a controller inserts is what real clients get, byte
// by byte; a commit is what the next renewal gets; what is deleted is gone.
func TestStatichcpdRows(t *testing.T) {
	t.Parallel()
	c := newControlled(t, "create: true")
	vm, other := c.vms[0], c.vms[1]
	c.start()
	c.sql(rows4("vm1", "", vm.mac, everyCode4()...), rows6("vm1", "", vm.mac, everyCode6()...), other.ordinary())
	c.attach("vm1", "vm2")
	w, ear := c.watch(), testenv.Capture(t, vm.NS, "eth0")

	t.Run("IPv4", func(t *testing.T) {
		vm.dhclientOn(t, "eth0", 2)
		vm.told(t, "eth0", "BOUND 192.0.2.11 192.0.2.2 192.0.2.53 198.51.100.53", 20*time.Second)
		for _, kind := range []dhcpv4.MessageType{dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck} {
			m := dhcpIn(ear.Wait(time.Second, kind.String(), reply(vm.mac, kind)))
			want := wireOfEveryCode4()
			want[53] = fmt.Sprintf("%02x", byte(kind))
			if diff := cmp.Diff(want, optionBytes(m)); diff != "" {
				t.Errorf("options of the %s (-want +got):\n%s", kind, diff)
			}
		}
		vm.extends(t, "eth0", "192.0.2.11", "192.0.2.2", 1, 20*time.Second)
		c.commitIsTold(t)
	})
	t.Run("IPv6", func(t *testing.T) {
		vm.six(map[string]string{"accept_ra": "0"})
		dhclient6{}.start(t, vm)
		becomes(t, "the address of IPv6", true, func() bool { return slices.Contains(vm.usable(t), "2001:db8:1::11/128") })
		l := dhclient6{}.lease(vm)
		got := lease{}
		for _, k := range []string{"new_ip6_prefix", "new_dhcp6_name_servers", "new_dhcp6_domain_search", "new_dhcp6_sntp_servers", "new_preferred_life", "new_max_life"} {
			got[k] = l[k]
		}
		want := lease{
			"new_ip6_prefix": "2001:db8:100::/56", "new_dhcp6_name_servers": "2001:db8::53 2001:db8::54",
			"new_dhcp6_domain_search": "a.example.org. example.org.", "new_dhcp6_sntp_servers": "2001:db8::123",
			"new_preferred_life": "300", "new_max_life": "400",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what dhclient -6 was told (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wireOfEveryCode6(), options6In(t, ear)); diff != "" {
			t.Errorf("options of the REPLY (-want +got):\n%s", diff)
		}
	})
	c.strangersAreIgnored(t)
	w.nowhere("vm1", "DHCP of vm1", dhcpOf(vm.mac))
	w.nowhere("vm2", "DHCP of vm2", dhcpOf(other.mac))
	c.deletesCascade(t)
}

// everyCode4 has every attribute that the lists have.
func everyCode4() []string {
	return []string{
		"256 '192.0.2.11'", "258 '192.0.2.2'", "1 '255.255.255.0'", "2 -3600", "3 '192.0.2.1'",
		"4 '192.0.2.4'", "5 '192.0.2.5'", "6 '192.0.2.53'", "6 '198.51.100.53'", "7 '192.0.2.7'", "12 'web1'",
		"15 'example.org'", "26 1450", "28 '192.0.2.255'", "33 '203.0.113.0/24,192.0.2.1'", "44 '192.0.2.44'",
		"47 'scope'", "69 '192.0.2.69'", "70 '192.0.2.70'", "71 '192.0.2.71'", "119 'a.example.org'",
		"119 'example.org'", "121 '198.51.100.0/22,192.0.2.254'", "121 '0.0.0.0/0,192.0.2.1'",
	}
}

func wireOfEveryCode4() map[uint8]string {
	text := func(s string) string { return hex.EncodeToString([]byte(s)) }
	return map[uint8]string{
		51: "00000258", 54: "c0000202", 1: "ffffff00", 2: "fffff1f0", 3: "c0000201",
		4: "c0000204", 5: "c0000205", 6: "c0000235c6336435", 7: "c0000207", 12: text("web1"),
		15: text("example.org"), 26: "05aa", 28: "c00002ff", 33: "cb007100c0000201", 44: "c000022c",
		47: text("scope"), 69: "c0000245", 70: "c0000246", 71: "c0000247",
		119: text("\x01a\x07example\x03org\x00\x07example\x03org\x00"),
		121: "16c63364c00002fe" + "00c0000201",
	}
}

// commitIsTold: a new value is in the next renewal.
func (c *controlled) commitIsTold(t *testing.T) {
	t.Helper()
	c.sql("delete from client_configuration where ifname = 'vm1' and attr_code = 6;",
		rows4("vm1", "", c.vms[0].mac, "6 '203.0.113.53'"))
	begin := time.Now()
	testenv.Wait(t, 2*time.Second, "berth show to print the new value", func() bool {
		return strings.Contains(c.must("show", "vm1", "-o", "json"), "203.0.113.53")
	})
	t.Logf("from the commit to berth show: %v", time.Since(begin).Round(time.Millisecond))
	c.vms[0].told(t, "eth0", "RENEW 192.0.2.11 192.0.2.2 203.0.113.53", 20*time.Second)
}

func everyCode6() []string {
	return []string{
		"3 '2001:db8:1::11'", "25 '2001:db8:100::/56'", "23 '2001:db8::53'", "23 '2001:db8::54'",
		"24 'a.example.org'", "24 'example.org'", "31 '2001:db8::123'", "39 'web1.example.org'", "259 100", "260 200", "261 300", "262 400",
	}
}

func wireOfEveryCode6() map[string]string {
	return map[string]string{
		"IA_NA T1, T2": "100 200", "IA_NA": "2001:db8:1::11 300 400",
		"IA_PD T1, T2": "100 200", "IA_PD": "2001:db8:100::/56 300 400",
		"23": "20010db8000000000000000000000053" + "20010db8000000000000000000000054",
		"24": hex.EncodeToString([]byte("\x01a\x07example\x03org\x00\x07example\x03org\x00")),
		"31": "20010db8000000000000000000000123",
		// RFC 4704 section 4.1: flags, then the name; statichcpd sent its bare text.
		"39": "04" + hex.EncodeToString([]byte("\x04web1\x07example\x03org\x00")),
	}
}

// options6In reads the newest REPLY that has an address.
func options6In(t *testing.T, ear *testenv.Sniffer) map[string]string {
	t.Helper()
	for _, f := range slices.Backward(ear.Frames()) {
		u, err := wire.ParseUDP6(f.Data)
		if err != nil || u.DstPort != 546 {
			continue
		}
		m, err := dhcpv6.MessageFromBytes(u.Payload)
		if err == nil && m.MessageType == dhcpv6.MessageTypeReply && m.Options.OneIANA() != nil {
			return options6(m)
		}
	}
	t.Fatal("no REPLY was seen")
	return nil
}

func options6(m *dhcpv6.Message) map[string]string {
	got := map[string]string{}
	for _, o := range m.Options.Options {
		switch o := o.(type) {
		case *dhcpv6.OptIANA:
			got["IA_NA T1, T2"] = fmt.Sprintf("%.0f %.0f", o.T1.Seconds(), o.T2.Seconds())
			for _, a := range o.Options.Addresses() {
				got["IA_NA"] += fmt.Sprintf("%s %.0f %.0f", a.IPv6Addr, a.PreferredLifetime.Seconds(), a.ValidLifetime.Seconds())
			}
		case *dhcpv6.OptIAPD:
			got["IA_PD T1, T2"] = fmt.Sprintf("%.0f %.0f", o.T1.Seconds(), o.T2.Seconds())
			for _, p := range o.Options.Prefixes() {
				got["IA_PD"] += fmt.Sprintf("%s %.0f %.0f", p.Prefix, p.PreferredLifetime.Seconds(), p.ValidLifetime.Seconds())
			}
		default:
			if code := o.Code(); code != dhcpv6.OptionClientID && code != dhcpv6.OptionServerID {
				got[fmt.Sprint(uint16(code))] = hex.EncodeToString(o.ToBytes())
			}
		}
	}
	return got
}

// strangersAreIgnored: a MAC without rows gets nothing, on a NIC with rows of
// another and on one without any.
func (c *controlled) strangersAreIgnored(t *testing.T) {
	t.Helper()
	vm, known, unknown := c.vms[0], c.vms[1], c.vms[2]
	ears := []*testenv.Sniffer{testenv.Capture(t, vm.NS, "eth0"), testenv.Capture(t, unknown.NS, "eth0")}
	posing := &guest{NS: vm.NS, mac: strangerMAC()}
	testenv.Inject(t, vm.NS, "eth0", posing.broadcast(posing.request(t, dhcpv4.MessageTypeDiscover)))
	testenv.Inject(t, unknown.NS, "eth0", unknown.broadcast(unknown.request(t, dhcpv4.MessageTypeDiscover)))
	want := "ACK 192.0.2.12 from 192.0.2.2 dns [192.0.2.53]"
	if got := known.renewed(t, testenv.Capture(t, known.NS, "eth0")); got != want {
		t.Errorf("vm2 renews: %s, want %s", got, want)
	}
	for _, ear := range ears {
		for _, g := range []*guest{posing, unknown} {
			ear.None("an answer to a stranger", reply(g.mac, dhcpv4.MessageTypeOffer))
		}
	}
}

// deletesCascade: a client that is deleted takes its configuration with it,
// its last row the client; berth has none of them any more.
func (c *controlled) deletesCascade(t *testing.T) {
	t.Helper()
	vm3 := c.vms[2]
	c.sql(rows4("vm3", "tenant", vm3.mac, "256 '192.0.2.13'", "1 '255.255.255.0'", "258 '192.0.2.2'"))
	c.attach("vm3")
	for _, del := range []struct{ what, sql, nic, left string }{
		{"a client of no group", "delete from clients where ifname = 'vm1' and mac = '" + c.vms[0].mac.String() + "';", "vm1", "0|0|0|0"},
		{"a group", "delete from client_groups where ifname = 'vm3';", "vm3", "0|0|0|0"},
		{"the rows of a client", "delete from client_configuration where ifname = 'vm2';", "vm2", "0|0|0|0"},
	} {
		c.sql(del.sql)
		left := c.run(fmt.Sprintf(`select (select count(*) from client_groups where ifname = '%[1]s'),
(select count(*) from clients where ifname = '%[1]s'), (select count(*) from client_configuration where ifname = '%[1]s'),
(select count(*) from client_v6configuration where ifname = '%[1]s');`, del.nic))
		if left != del.left {
			t.Errorf("%s deleted: %s groups, clients and rows are left, want %s", del.what, left, del.left)
		}
		c.waitState(del.nic, api.Closed, 5*time.Second) // its interface is still there
	}
}

// TestStatichcpdMigration: a guest holds a lease that statichcpd gave it. It
// renews with the server it knows, which is berth now, and nothing changes.
func TestStatichcpdMigration(t *testing.T) {
	t.Parallel()
	c := newControlled(t, "create: true")
	vm := c.vms[0]
	old := testenv.Capture(t, c.ns, "vm1")
	vm.dhclientOn(t, "eth0", 5)
	// What statichcpd sent: the requested options in the order of the request,
	// then 53, 51 and 54, in a frame of its own making.
	for _, step := range []struct{ asks, told dhcpv4.MessageType }{
		{dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeOffer}, {dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeAck},
	} {
		asked := dhcpIn(old.Wait(10*time.Second, step.asks.String(), func(f testenv.Frame) bool {
			m := dhcpIn(f)
			return m != nil && m.MessageType() == step.asks
		}))
		answer := *asked
		answer.OpCode, answer.YourIPAddr = dhcpv4.OpcodeBootReply, []byte{192, 0, 2, 11}
		answer.Options = dhcpv4.Options{
			1: {255, 255, 255, 0}, 3: {192, 0, 2, 1}, 6: {192, 0, 2, 53},
			53: {byte(step.told)}, 51: {0, 0, 2, 88}, 54: {192, 0, 2, 2},
		}
		testenv.Inject(t, c.ns, "vm1", frame(udp{
			EthSrc: c.ns.MAC("vm1"), EthDst: vm.mac, Src: ip("192.0.2.2"), Dst: ip("192.0.2.11"),
			SrcPort: 67, DstPort: 68, Payload: answer.ToBytes(),
		}))
	}
	vm.told(t, "eth0", "BOUND 192.0.2.11 192.0.2.2 192.0.2.53", 10*time.Second)
	old.Stop()

	c.start()
	c.sql(vm.ordinary())
	c.attach("vm1")
	ear, port := testenv.Capture(t, vm.NS, "eth0"), testenv.Capture(t, c.ns, "vm1")
	vm.extends(t, "eth0", "192.0.2.11", "192.0.2.2", 1, 30*time.Second)
	vm.told(t, "eth0", "RENEW 192.0.2.11 192.0.2.2 192.0.2.53", time.Second)
	port.Wait(time.Second, "a unicast renewal", unicastRenewal(vm.mac, "192.0.2.2"))
	for _, kind := range []dhcpv4.MessageType{dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeNak} {
		ear.None(kind.String()+" to a guest that only renews", reply(vm.mac, kind))
	}
}
