package statichcpd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// Each field wrong alone gives exactly its own message, and costs its own NIC
// only.
func TestProblems(t *testing.T) {
	v4 := func(code int) string { return fmt.Sprintf("client_configuration.attr_code %d", code) }
	v6 := func(code int) string { return fmt.Sprintf("client_v6configuration.attr_code %d", code) }
	address := row{256, "192.0.2.10"}
	domain := func(label string) row { return row{24, strings.Repeat(label+".", 80)} }
	for _, c := range []struct {
		rows []Row
		line int
		want string
	}{
		{rows(row{256, "192.0.2"}), 1, v4(256) + ` "192.0.2": not an IPv4 address`},
		{rows(row{256, "2001:db8::1"}), 1, v4(256) + ` "2001:db8::1": not an IPv4 address`},
		{rows(row{256, ""}), 1, v4(256) + `: empty`},
		{rows(row{256, nil}), 1, v4(256) + `: NULL; must be text`},
		{rows(row{256, 1.5}), 1, v4(256) + ` "1.5": a REAL; must be text`},
		{rows(row{256, []byte{0xff}}), 1, v4(256) + ` "\xff": not UTF-8`},
		{rows(row{256, "224.0.0.1"}), 1, v4(256) + ` "224.0.0.1": a multicast address`},
		{rows(row{1, "255.255.255.0"}, row{256, "192.0.2.255"}), 2, v4(256) + ` "192.0.2.255": the broadcast address of 192.0.2.0/24`},
		{rows(address, row{1, "255.0.255.0"}), 2, v4(1) + ` "255.0.255.0": not a subnet mask: its ones are not in a row`},
		{rows(address, row{256, "192.0.2.11"}), 2, v4(256) + ` "192.0.2.11": a client has at most 1 of it; the one before is rowid 1`},
		{rows(row{3, "192.0.2.1"}, row{3, "192.0.2.2"}, row{3, "192.0.2.3"}, row{3, "192.0.2.4"}), 4, v4(3) + ` "192.0.2.4": a client has at most 3 of it; the one before is rowid 3`},
		{rows(address, row{26, "big"}), 2, v4(26) + ` "big": must be an integer`},
		{rows(address, row{26, 1450.5}), 2, v4(26) + ` "1450.5": must be an integer`},
		{rows(address, row{26, int64(65536)}), 2, v4(26) + ` "65536": must be an integer from -32768 to 65535`},
		{rows(address, row{26, int64(67)}), 2, v4(26) + ` "67": an MTU is at least 68 (RFC 2132 section 5.1)`},
		{rows(address, row{2, int64(1) << 32}), 2, v4(2) + ` "4294967296": must be an integer from -2147483648 to 4294967295`},
		{rows(address, row{258, "192.0.2.10"}), 2, v4(258) + ` "192.0.2.10": the NIC's own address cannot be its server's`},
		{rows(address, row{258, "0.0.0.0"}), 2, v4(258) + ` "0.0.0.0": in 0.0.0.0/8, which is no host's address (RFC 1122 section 3.2.1.3)`},
		{rows(address, row{121, "10.0.0.0/8"}), 2, v4(121) + ` "10.0.0.0/8": not a route such as 10.0.0.0/8,192.0.2.1`},
		{rows(address, row{121, "10.0.0.0/33,192.0.2.1"}), 2, v4(121) + ` "10.0.0.0/33,192.0.2.1": not a route such as 10.0.0.0/8,192.0.2.1`},
		{rows(address, row{121, "10.0.0.1/8,192.0.2.1"}), 2, v4(121) + ` "10.0.0.1/8,192.0.2.1": host bits are set; the destination is 10.0.0.0/8`},
		{rows(address, row{121, "10.0.0.0/8,gw"}), 2, v4(121) + ` "10.0.0.0/8,gw": what stands behind the comma is not an IPv4 address`},
		{rows(address, row{33, "10.0.0.0/24,192.0.2.1"}), 2, v4(33) + ` "10.0.0.0/24,192.0.2.1": option 33 has no prefix lengths (RFC 2132 section 5.8): 10.0.0.0 can only be a /8 or a /32; use 121`},
		{rows(address, row{33, "0.0.0.0/0,192.0.2.1"}), 2, v4(33) + ` "0.0.0.0/0,192.0.2.1": option 33 has no default route (RFC 2132 section 5.8); use 3 or 121`},
		{rows(address, row{119, "a..b"}), 2, v4(119) + ` "a..b": not a domain name with labels of 1 to 63 bytes (RFC 1035 section 2.3.4)`},
		{rows(address, row{42, "192.0.2.1"}), 2, v4(42) + ` "192.0.2.1": not an allowed attribute; add it to additional_attributes_file`},
		{rows(address, row{47, strings.Repeat("x", 1300)}), 2, v4(47) + ` "` + strings.Repeat("x", 80) + `"...: all options together take 1357 bytes; 1232 fit one Ethernet packet`},
		{rows(address, row{12, strings.Repeat("x", 1300)}, row{15, "example.org"}), 2, v4(12) + ` "` + strings.Repeat("x", 80) + `"...: all options together take 1381 bytes; 1232 fit one Ethernet packet`},
		{rows6(row{3, "2001:db8::1"}, domain("a"), domain("b"), domain("c"), domain("dd"), domain("e"), domain("f"), domain("g")), 5, v6(24) + ` "` + strings.Repeat("dd.", 26) + `dd"...: a reply with all addresses, prefixes and options takes up to 1455 bytes; 1232 fit the least IPv6 packet`},

		{rows6(row{3, "2001:db8::g"}), 1, v6(3) + ` "2001:db8::g": not an IPv6 address`},
		{rows6(row{3, "0x1,2001:db8::1"}), 1, v6(3) + ` "0x1,2001:db8::1": has an IAID, but disable_ia_id is true`},
		{rows6(row{3, "fe80::1"}), 1, v6(3) + ` "fe80::1": a link-local address, which means something on one link only (RFC 4291 section 2.5.6)`},
		{rows6(row{3, "2001:db8::1"}, row{4, "2001:db8::1"}), 1, v6(3) + ` "2001:db8::1": the same address as addresses[0]`},
		{rows6(row{25, "2001:db8::"}), 1, v6(25) + ` "2001:db8::": not an IPv6 prefix such as 2001:db8:100::/56`},
		{rows6(row{25, "2001:db8::1/56"}), 1, v6(25) + ` "2001:db8::1/56": host bits are set; the prefix is 2001:db8::/56`},
		{rows6(row{3, "2001:db8::1"}, row{23, "192.0.2.1"}), 2, v6(23) + ` "192.0.2.1": not an IPv6 address`},
		{rows6(row{3, "2001:db8::1"}, row{259, "soon"}), 2, v6(259) + ` "soon": must be an integer`},
		{rows6(row{3, "2001:db8::1"}, row{259, int64(60)}, row{259, int64(61)}), 3, v6(259) + ` "61": a client has at most 1 of it; the one before is rowid 2`},
		{rows6(row{3, "2001:db8::1"}, row{99, "x"}), 2, v6(99) + ` "x": not an allowed attribute; add it to additional_v6attributes_file`},
	} {
		good := Row{Interface: "tap8", Client: "52:54:00:aa:00:08", Code: 256, Value: "192.0.2.8", RowID: 99}
		r := Build(append(c.rows, good), shipped(t), attributes())
		if len(r.Bindings) != 1 || r.Bindings[0].NIC != "tap8" || len(r.Problems) != 1 {
			t.Errorf("%s: %d bindings, problems: %s", c.want, len(r.Bindings), printAll(r.Problems))
			continue
		}
		p := r.Problems[0]
		if p.File != database || p.Line != c.line || p.NIC != "tap7" {
			t.Errorf("%s: at %s:%d of %s", c.want, p.File, p.Line, p.NIC)
		}
		if got := strings.TrimPrefix(p.Error(), fmt.Sprintf("%s:%d:1: ", database, c.line)); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
		if d := cmp.Diff([]string{"tap7"}, r.Names); d != "" {
			t.Errorf("%s: names %s", c.want, d)
		}
	}
}

// Who a row is for: each way wrong.
func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(cfg *Config, r []Row)
		want  string
	}{
		{"two MACs", func(_ *Config, r []Row) { r[1].Client = "52:54:00:aa:00:02" }, `:2:1: client_configuration.mac "52:54:00:aa:00:02": the interface also has the client 52:54:00:aa:00:01 (client_configuration, rowid 1); a NIC has one`},
		{"two MACs in two tables", func(_ *Config, r []Row) { r[2].Client = "52:54:00:aa:00:02" }, `:3:1: client_v6configuration.duid "52:54:00:aa:00:02": the interface also has the client 52:54:00:aa:00:01 (client_configuration, rowid 1); a NIC has one`},
		{"no MAC", func(_ *Config, r []Row) { r[0].Client = "vm1" }, `:1:1: client_configuration.mac "vm1": not a MAC address; want six octets like 52:54:00:aa:00:01`},
		{"group MAC", func(_ *Config, r []Row) {
			for i := range r {
				r[i].Client = "01:00:5e:00:00:01"
			}
		}, `:1:1: client_configuration.mac "01:00:5e:00:00:01": a group address (IEEE 802 I/G bit) cannot be a source`},
		{"a MAC for a DUID", func(cfg *Config, _ []Row) { cfg.UseMACAsDUID = false }, `:3:1: client_v6configuration.duid "52:54:00:aa:00:01": not a DUID as statichcpd writes it, such as 11020000000001; is use_mac_as_client_duid meant to be true?`},
		{"two groups", func(_ *Config, r []Row) {
			r[0].Group, r[0].HasGroup, r[1].Group, r[1].HasGroup = "a", true, "b", true
		}, `:2:1: client_configuration.groupID "b": the interface is also in group "a" (rowid 1); it can be in one`},
		{"long group", func(_ *Config, r []Row) {
			for i := range r {
				r[i].Group, r[i].HasGroup = strings.Repeat("g", 64), true
			}
		}, `:1:1: client_configuration.groupID "` + strings.Repeat("g", 64) + `": 64 bytes; at most 63 are allowed`},
		{"long name", func(_ *Config, r []Row) {
			for i := range r {
				r[i].Interface = "tap7890123456789"
			}
		}, `:1:1: client_configuration.ifname "tap7890123456789": 16 bytes; Linux allows interface names of at most 15`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := shipped(t)
			list := append(rows(row{256, "192.0.2.10"}, row{1, "255.255.255.0"}), rows6(row{3, "2001:db8::77"})...)
			list[2].RowID = 3
			c.spoil(&cfg, list)
			r := Build(list, cfg, attributes())
			if len(r.Bindings) != 0 || len(r.Problems) == 0 || !strings.HasSuffix(r.Problems[0].Error(), c.want) {
				t.Errorf("%d bindings, %s\nwant %s", len(r.Bindings), printAll(r.Problems), c.want)
			}
		})
	}
}

// MACs in any case and form are one client.
func TestMACForms(t *testing.T) {
	list := append(rows(row{256, "192.0.2.10"}, row{1, "255.255.255.0"}), rows6(row{3, "2001:db8::77"})...)
	list[1].Client, list[2].Client = "52-54-00-AA-00-01", "5254.00aa.0001"
	b := one(t, shipped(t), list)
	if b.MAC != guestMAC() || len(b.Addresses) != 2 || b.DHCP6.DUID != nil {
		t.Errorf("MAC %s, addresses %v, DUID %x", b.MAC, b.Addresses, b.DHCP6.DUID)
	}
}

// DUIDs as the original's database has them.
func TestDUIDs(t *testing.T) {
	cfg := shipped(t)
	cfg.UseMACAsDUID = false
	other := nic.MAC{2, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		text  string
		duid  string
		alone nic.MAC // what the NIC's MAC is without a row of IPv4
	}{
		{"11020000000001", "00010001" + "00000000" + "020000000001", other},
		{"31020000000001", "00030001" + "020000000001", other},
		{"2137116909060", "", nic.MAC{}},
	} {
		list := rows6(row{3, "2001:db8::77"})
		list[0].Client = c.text
		b := one(t, cfg, append(rows(row{256, "192.0.2.10"}), list...))
		if got := fmt.Sprintf("%x", b.DHCP6.DUID); got != c.duid || b.MAC != guestMAC() {
			t.Errorf("%s: DUID %s of %s", c.text, got, b.MAC)
		}
		r := Build(list, cfg, attributes())
		switch {
		case c.alone.IsZero():
			want := `client_v6configuration.duid "2137116909060": the MAC of the guest cannot be told from it; add a row to client_configuration, or use_mac_as_client_duid`
			if len(r.Bindings) != 0 || !strings.HasSuffix(printAll(r.Problems), want) {
				t.Errorf("%s alone: %s", c.text, printAll(r.Problems))
			}
		case len(r.Bindings) != 1 || r.Bindings[0].MAC != c.alone:
			t.Errorf("%s alone: %s", c.text, printAll(r.Problems))
		}
	}
	if !one(t, cfg, rows(row{256, "192.0.2.10"})).DHCP6.Relay {
		t.Error("with DUIDs statichcpd answered relayed messages")
	}
}

// A group is the binding's; rows from before it are left out.
func TestGroups(t *testing.T) {
	list := rows(row{256, "192.0.2.9"}, row{256, "192.0.2.10"}, row{1, "255.255.255.0"})
	for i := range list[1:] {
		list[i+1].Group, list[i+1].HasGroup = " vm-1 ", true
	}
	r := Build(list, shipped(t), attributes())
	if len(r.Bindings) != 1 || r.Bindings[0].Group != "vm-1" || r.Bindings[0].Addresses[0].String() != "192.0.2.10/24" {
		t.Fatalf("%+v, %s", r.Bindings, printAll(r.Problems))
	}
	if got, want := printAll(r.Notes), `1 rows have no groupID beside others of group "vm-1" and are not served`; !strings.HasSuffix(got, want) {
		t.Errorf("notes %s", got)
	}
}

// A row without an interface is told with its place, and costs nobody.
func TestNoInterface(t *testing.T) {
	list := rows(row{256, "192.0.2.10"})
	for _, name := range []string{"", " "} {
		list = append(list, Row{Interface: name, Client: guest, Code: 256, Value: "192.0.2.11", RowID: 9})
	}
	r := Build(list, shipped(t), attributes())
	want := database + ":9:1: client_configuration.ifname: empty or NULL: 2 such rows are of no interface; nobody is answered by them"
	if got := printAll(r.Problems); got != want || len(r.Bindings) != 1 || len(r.Names) > 0 || len(r.Notes) > 0 {
		t.Errorf("%d bindings, names %v, notes %s\nproblems %s\nwant     %s", len(r.Bindings), r.Names, printAll(r.Notes), got, want)
	}
}

// Interfaces that do not match are not served; the expression is searched for
// anywhere, as it was.
func TestServedInterfaces(t *testing.T) {
	list := rows(row{256, "192.0.2.10"})
	for _, name := range []string{"eth0", "xtap1", "tap1x"} {
		list = append(list, Row{Interface: name, Client: guest, Code: 256, Value: "192.0.2.11", RowID: 9})
	}
	r := Build(list, shipped(t), attributes())
	var got []string
	for _, b := range r.Bindings {
		got = append(got, b.NIC)
	}
	if d := cmp.Diff([]string{"tap1x", "tap7"}, got); d != "" {
		t.Errorf("served (-want +got):\n%s", d)
	}
	if got, want := printAll(r.Notes), database+`: served_interface_regex "^tap": 2 interfaces do not match and are not served, such as eth0`; got != want {
		t.Errorf("note %s\nwant %s", got, want)
	}
}

// What a binding gets beside what its rows say, and that Defaults win over it.
func TestTemplate(t *testing.T) {
	cfg := shipped(t)
	b := one(t, cfg, rows(row{256, "192.0.2.10"}))
	if b.Guard.Rate != (nic.Rate{PerSecond: 500, Burst: 500}) || b.RA.Mode != nic.RASite || b.Guard.Checks != nic.AllChecks() ||
		b.DHCP4.ServerID.Kind != nic.ServerIDInterface || b.DHCP4.OnlyRequested || b.DHCP6.Relay || b.Network != "tap7" {
		t.Errorf("%+v", b)
	}
	if b.Origin != (nic.Origin{Source: "statichcpd", File: database, Line: 1}) {
		t.Errorf("origin %+v", b.Origin)
	}
	cfg.Defaults = "dhcp4: {server-id: first-host, only-requested: true}\nra: {mode: off}\nguard: {mode: audit}\ndns: [192.0.2.53]\n"
	b = one(t, cfg, rows(row{256, "192.0.2.10"}, row{258, "192.0.2.254"}))
	if b.RA.Mode != nic.RAOff || !b.DHCP4.OnlyRequested || b.Guard.Mode != nic.Audit || len(b.DNS) != 1 || b.DHCP4.Lease != 600 {
		t.Errorf("%+v", b)
	}
	if b.DHCP4.ServerID.Addr.String() != "192.0.2.254" {
		t.Errorf("the client's own server identifier is %+v", b.DHCP4.ServerID)
	}
}

// The same address on two interfaces is no conflict, unless that is asked for.
func TestNetworkOfItsOwn(t *testing.T) {
	cfg := shipped(t)
	b := one(t, cfg, rows(row{256, "192.0.2.10"}))
	if b.Network != "tap7" || b.DHCP4.Lease != 600 || b.RA.Mode != nic.RASite {
		t.Errorf("%+v", b)
	}
	cfg.Defaults = "network: default\n"
	if b := one(t, cfg, rows(row{256, "192.0.2.10"})); b.Network != "" {
		t.Errorf("network %q", b.Network)
	}
	cfg.Defaults = "network: other\n"
	if r := Build(nil, cfg, attributes()); !r.Unusable || !strings.Contains(printAll(r.Problems), `statichcpd.defaults:1:10: network "other"`) {
		t.Errorf("problems %s", printAll(r.Problems))
	}
}

// Clients of one configuration share nothing that one could write into.
func TestNothingShared(t *testing.T) {
	cfg := shipped(t)
	cfg.Defaults = "dns: [192.0.2.1, '2001:db8::1']\ndhcp4: {options: [{code: 44, type: ipv4, value: 192.0.2.44}, {code: 71, type: ipv4, value: 192.0.2.71}]}\n"
	list := rows(row{256, "192.0.2.10"}, row{44, "192.0.2.45"}, row{6, "192.0.2.2"})
	list = append(list, Row{Interface: "tap8", Client: "52:54:00:aa:00:08", Code: 256, Value: "192.0.2.8"})
	r := Build(list, cfg, attributes())
	if len(r.Bindings) != 2 {
		t.Fatal(printAll(r.Problems))
	}
	if got := fmt.Sprint(r.Bindings[1].DHCP4.Options, r.Bindings[1].DNS); got != "[{44 [192 0 2 44]} {71 [192 0 2 71]}] [192.0.2.1 2001:db8::1]" {
		t.Errorf("tap8 has %s", got)
	}
	if got := fmt.Sprint(r.Bindings[0].DHCP4.Options, r.Bindings[0].DNS); got != "[{71 [192 0 2 71]} {44 [192 0 2 45]}] [192.0.2.2 2001:db8::1]" {
		t.Errorf("tap7 has %s", got)
	}
}

// Clients that have nothing to be given are told of, and are no mistakes.
func TestNothingToGive(t *testing.T) {
	r := Build(append(rows(row{6, "192.0.2.53"}), rows6(row{23, "2001:db8::53"}, row{39, "a"}, row{39, "b"})...), shipped(t), attributes())
	want := []string{
		database + ": the client has no address (attr_code 256): it is not answered by DHCPv4",
		database + `:3:1: client_v6configuration.attr_code 39 "b": a client has one name; that of rowid 2 is sent`,
		database + ": the client has neither an IPv6 address nor a prefix (attr_code 3, 4 or 25): it is not answered by DHCPv6",
	}
	if d := cmp.Diff(strings.Join(want, "\n"), printAll(r.Notes)); d != "" || len(r.Bindings) != 1 {
		t.Errorf("notes (-want +got):\n%s", d)
	}
}

// The same row twice, which a database lets pass without a group, counts once.
func TestSameRowTwice(t *testing.T) {
	r := Build(rows(row{256, "192.0.2.10"}, row{256, "192.0.2.10"}, row{6, "192.0.2.53"}, row{6, "192.0.2.53"}), shipped(t), attributes())
	if len(r.Bindings) != 1 || len(r.Bindings[0].DNS) != 1 {
		t.Fatalf("%+v, %s", r.Bindings, printAll(r.Problems))
	}
	want := database + `:2:1: client_configuration.attr_code 256 "192.0.2.10": the same as rowid 1` + "\n" +
		database + `:4:1: client_configuration.attr_code 6 "192.0.2.53": the same as rowid 3`
	if d := cmp.Diff(want, printAll(r.Notes)); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
}
