package statichcpd

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// Every code of the lists, alone beside the address, gives the bytes that it
// stood for.
func TestOptions4(t *testing.T) {
	cases := []struct {
		code   int
		values []any
		want   string
		also   []row // what the value needs beside it
	}{
		{1, []any{"255.255.255.0"}, "ffffff00", nil},
		{2, []any{int64(-3600)}, "fffff1f0", nil},
		{2, []any{int64(3600)}, "00000e10", nil},
		{15, []any{"example.org"}, hexText("example.org"), nil},
		{15, []any{"my_domain"}, hexText("my_domain"), nil},
		{12, []any{"web1"}, hexText("web1"), nil},
		{12, []any{"web1.example.org"}, hexText("web1.example.org"), nil},
		{12, []any{"my_host"}, hexText("my_host"), nil},
		{47, []any{"scope"}, hexText("scope"), nil},
		{26, []any{int64(1450)}, "05aa", nil},
		{26, []any{"1450"}, "05aa", nil},
		{28, []any{"192.0.2.255"}, "c00002ff", []row{{1, "255.255.255.0"}}},
		{28, []any{"192.0.2.127"}, "c000027f", nil},
		{3, []any{"192.0.2.1"}, "c0000201", []row{{1, "255.255.255.0"}}},
		{3, []any{"192.0.2.1"}, "c0000201", nil},
		{3, []any{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, "c0000201c0000202c0000203", []row{{1, "255.255.255.0"}}},
		{4, []any{"192.0.2.4", "192.0.2.5"}, "c0000204c0000205", nil},
		{5, []any{"192.0.2.6"}, "c0000206", nil},
		{7, []any{"192.0.2.7"}, "c0000207", nil},
		{6, []any{"192.0.2.53", "198.51.100.53"}, "c0000235c6336435", nil},
		{6, []any{"127.0.0.1"}, "7f000001", nil},
		{33, []any{"198.51.100.7/32,192.0.2.1", "10.0.0.0/8,192.0.2.2"}, "c6336407c0000201" + "0a000000c0000202", nil},
		{69, []any{"192.0.2.25"}, "c0000219", nil},
		{70, []any{"192.0.2.110"}, "c000026e", nil},
		{121, []any{"198.51.100.0/24,192.0.2.1", "0.0.0.0/0,192.0.2.254"}, "18c63364c0000201" + "00c00002fe", []row{{1, "255.255.255.0"}}},
		{121, []any{"198.51.100.0/24,192.0.2.1"}, "18c63364c0000201", []row{{1, "255.255.255.0"}, {3, "192.0.2.254"}}},
		{121, []any{"198.51.100.0/24,203.0.113.1", "203.0.113.1/32,0.0.0.0"}, "18c63364cb007101" + "20cb00710100000000", nil},
		{119, []any{"example.org", "a.test."}, "076578616d706c65036f726700" + "0161047465737400", nil},
		{119, []any{"my_domain.test"}, "096d795f646f6d61696e047465737400", nil},
		{71, []any{"192.0.2.71"}, "c0000247", nil},
		{44, []any{"192.0.2.44", "192.0.2.45"}, "c000022cc000022d", nil},
	}
	covered := map[int]bool{codeAddress: true, codeServerID: true} // TestAddressAndServer
	for _, c := range cases {
		covered[c.code] = true
		list := append([]row{{256, "192.0.2.10"}}, c.also...)
		for _, v := range c.values {
			list = append(list, row{c.code, v})
		}
		b := one(t, shipped(t), rows(list...))
		for _, kind := range []byte{1, 8} { // DISCOVER and INFORM
			m := message4(kind)
			copy(m[12:16], []byte{192, 0, 2, 10}[:4*btoi(kind == 8)])
			if _, got, _ := ask4(t, b, []byte{192, 0, 2, 254}, m); got[c.code] != c.want {
				t.Errorf("%d %v: %s, want %s", c.code, c.values, got[c.code], c.want)
			}
		}
	}
	for _, a := range attributes().V4 {
		if !covered[a.Code] {
			t.Errorf("no test of code %d", a.Code)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The address, its mask and the server identifier, with what a client of
// statichcpd was given beside them, and nothing else.
func TestAddressAndServer(t *testing.T) {
	b := one(t, shipped(t), rows(row{256, "192.0.2.10"}, row{1, "255.255.255.0"}, row{258, "169.254.7.7"}, row{3, "192.0.2.1"}, row{26, int64(1450)}))
	yiaddr, got, order := ask4(t, b, nil, message4(1))
	want := map[int]string{
		53: "02", 51: "00000258", 54: "a9fe0707",
		1: "ffffff00", 3: "c0000201", 28: "c00002ff", 26: "05aa",
	}
	if d := cmp.Diff(want, got); d != "" || yiaddr != "192.0.2.10" {
		t.Errorf("offer of %s (-want +got):\n%s", yiaddr, d)
	}
	asked := slices.DeleteFunc(order, func(code int) bool { return code == 53 || code == 51 || code == 54 })
	if !slices.Equal(asked, []int{28, 26, 1, 3}) {
		t.Errorf("order %v, want that of option 55, the mask before the router (RFC 2132 section 3.3)", asked)
	}
	if b.Neighbours != nic.NeighboursServer {
		t.Errorf("a made-up identifier resolves for nobody: %d", b.Neighbours)
	}
}

// A renewing client keeps its address, its server and the lease; one that asks
// for more gets up to max_lease_time.
func TestRenewal(t *testing.T) {
	b := one(t, shipped(t), rows(row{256, "192.0.2.10"}, row{1, "255.255.255.0"}, row{258, "192.0.2.254"}))
	for _, c := range []struct {
		more []byte
		want string
	}{
		{nil, "00000258"},
		{[]byte{51, 4, 0, 0, 0x0e, 0x10}, "00000e10"},
		{[]byte{51, 4, 0, 1, 0x51, 0x80}, "00001c20"},
	} {
		m := message4(3, c.more...)
		copy(m[12:], []byte{192, 0, 2, 10})
		yiaddr, got, _ := ask4(t, b, nil, m)
		if yiaddr != "192.0.2.10" || got[53] != "05" || got[54] != "c00002fe" || got[51] != c.want {
			t.Errorf("%s: kind %s of %s for %s", yiaddr, got[53], got[54], got[51])
		}
		if got[58] != "" || got[59] != "" {
			t.Errorf("T1 %s and T2 %s, which statichcpd never sent", got[58], got[59])
		}
	}
}

// Without code 258 the server is the interface's own address.
func TestServerIsTheInterface(t *testing.T) {
	b := one(t, shipped(t), rows(row{256, "192.0.2.10"}))
	if _, got, _ := ask4(t, b, []byte{198, 51, 100, 1}, message4(1)); got[54] != "c6336401" {
		t.Errorf("server identifier %s", got[54])
	}
	if b.Neighbours != nic.NeighboursOff {
		t.Error("ARP for an address of the host's is answered in its place")
	}
	// A server that is also the router is there, and must go on to be.
	b = one(t, shipped(t), rows(row{256, "192.0.2.10"}, row{3, "192.0.2.1"}, row{258, "192.0.2.1"}))
	if b.Neighbours != nic.NeighboursOff {
		t.Error("ARP for the router is answered in its place")
	}
}

// A client without option 55 gets the usual set, where statichcpd gave it
// nothing but 53, 51 and 54.
func TestNoRequestList(t *testing.T) {
	b := one(t, shipped(t), rows(row{256, "192.0.2.10"}, row{1, "255.255.255.0"}, row{3, "192.0.2.1"}, row{6, "192.0.2.53"}, row{258, "192.0.2.254"}))
	m := append(message4(1)[:240], 53, 1, 1, 255)
	_, got, _ := ask4(t, b, nil, m)
	if got[1] != "ffffff00" || got[3] != "c0000201" || got[6] != "c0000235" {
		t.Errorf("mask %s, router %s, DNS %s", got[1], got[3], got[6])
	}
}

const (
	addr1   = "20010db8000000000000000000000077"
	addr2   = "20010db8000000000000000000000078"
	prefix1 = "20010db8010000000000000000000000"
	times   = "000003e8 000007d0" // T1 1000, T2 2000
	lives   = "00000bb8 00000fa0" // preferred 3000, valid 4000
)

// Every code of the lists of DHCPv6.
func TestOptions6(t *testing.T) {
	na := row{3, "2001:db8::77"}
	ask := clientID + opt(3, "00000001"+"0000000000000000") + opt(4, "00000002") + opt(25, "00000003"+"0000000000000000") +
		opt(39, "00 0477656231 00") + opt(6, "0017 0018 001f 000c 0027 00c8")
	given := func(iaid, times, address, lives string) string {
		return strings.ReplaceAll(iaid+times+"00050018"+address+lives, " ", "")
	}
	cases := []struct {
		code int
		rows []row
		at   int // the option the answer is looked at for
		want string
	}{
		{23, []row{na, {23, "2001:db8::53"}, {23, "2001:db8::54"}}, 23, "20010db8000000000000000000000053" + "20010db8000000000000000000000054"},
		{23, []row{na, {23, "fe80::53"}}, 23, "fe800000000000000000000000000053"},
		{24, []row{na, {24, "example.org"}, {24, "a.test"}}, 24, "076578616d706c65036f726700" + "0161047465737400"},
		{31, []row{na, {31, "2001:db8::123"}}, 31, "20010db8000000000000000000000123"},
		{39, []row{na, {39, "web1.example.org"}}, 39, "04" + "0477656231" + "076578616d706c65036f726700"},
		{3, []row{na}, 3, given("00000001", times, addr1, lives)},
		{4, []row{{4, "2001:db8::78"}}, 4, given("00000002", "", addr2, lives)},
		{25, []row{{25, "2001:db8:100::/56"}}, 25, strings.ReplaceAll("00000003"+times+"001a0019"+lives+"38"+prefix1, " ", "")},
		{12, []row{na, {12, "2001:db8::547"}}, 12, "fe80000000000000006265fffe727468"},
		{259, []row{na, {259, 60}}, 3, given("00000001", "0000003c 000007d0", addr1, lives)},
		{260, []row{na, {260, 1500}}, 3, given("00000001", "000003e8 000005dc", addr1, lives)},
		{261, []row{na, {261, 3600}}, 3, given("00000001", times, addr1, "00000e10 00000fa0")},
		{262, []row{na, {262, 86400}}, 3, given("00000001", times, addr1, "00000bb8 00015180")},
		{262, []row{na, {261, -1}, {262, -1}}, 3, given("00000001", times, addr1, "ffffffff ffffffff")},
	}
	covered := map[int]bool{}
	for _, c := range cases {
		covered[c.code] = true
		for i := range c.rows {
			if n, ok := c.rows[i].value.(int); ok {
				c.rows[i].value = int64(n)
			}
		}
		b := one(t, shipped(t), rows6(c.rows...))
		got := ask6(t, b, solicit, ask)[c.at]
		if d := cmp.Diff([]string{c.want}, got); d != "" {
			t.Errorf("%d %v (-want +got):\n%s", c.code, c.rows, d)
		}
	}
	for _, a := range attributes().V6 {
		if !covered[a.Code] {
			t.Errorf("no test of code %d", a.Code)
		}
	}
}

// With disable_ia_id false each identity association has its own, and one
// that no row names gets NoAddrsAvail.
func TestByIAID(t *testing.T) {
	cfg := shipped(t)
	cfg.DisableIAID = false
	b := one(t, cfg, rows6(row{3, "0x1, 2001:db8::77"}, row{3, "a,2001:db8::78"}, row{25, "0x3,2001:db8:100::/56"}))
	got := ask6(t, b, solicit, clientID+opt(3, "0000000a"+"0000000000000000")+opt(3, "00000001"+"0000000000000000")+opt(3, "00000009"+"0000000000000000"))
	want := []string{
		strings.ReplaceAll("0000000a"+times+"00050018"+addr2+lives, " ", ""),
		strings.ReplaceAll("00000001"+times+"00050018"+addr1+lives, " ", ""),
		"00000009" + "0000000000000000" + "000d00020002",
	}
	if d := cmp.Diff(want, got[3]); d != "" {
		t.Errorf("identity associations (-want +got):\n%s", d)
	}
}

// The times that 2.5 of statichcpd repaired per packet are repaired once, and
// told.
func TestLifetimesAreRepaired(t *testing.T) {
	for _, c := range []struct {
		t1, t2, preferred, valid int64
		want                     nic.DHCP6
		notes                    string
	}{
		{60, 120, 60, 120, nic.DHCP6{T1: 30, T2: 48, Preferred: 60, Valid: 120}, "T1 60 and T2 120 do not stand in order below the preferred lifetime 60, taken as 30 and 48"},
		{1000, 2000, 5000, 4000, nic.DHCP6{T1: 1000, T2: 2000, Preferred: 4000, Valid: 4000}, "preferred lifetime 5000 is longer than the valid lifetime, taken as 4000"},
		{2000, 1000, 3000, 4000, nic.DHCP6{T1: 1500, T2: 2400, Preferred: 3000, Valid: 4000}, "T1 2000 and T2 1000 do not stand in order below the preferred lifetime 3000, taken as 1500 and 2400"},
		{1, 2, 30, 40, nic.DHCP6{T1: 1, T2: 2, Preferred: 60, Valid: 60}, "valid lifetime 40 is raised to 60"},
		{1000, 2000, 3000, 4000, nic.DHCP6{T1: 1000, T2: 2000, Preferred: 3000, Valid: 4000}, ""},
	} {
		r := Build(rows6(row{3, "2001:db8::77"}, row{259, c.t1}, row{260, c.t2}, row{261, c.preferred}, row{262, c.valid}), shipped(t), attributes())
		if len(r.Bindings) != 1 {
			t.Fatal(printAll(r.Problems))
		}
		d := r.Bindings[0].DHCP6
		if got := (nic.DHCP6{T1: d.T1, T2: d.T2, Preferred: d.Preferred, Valid: d.Valid}); !cmp.Equal(got, c.want) {
			t.Errorf("%v: %v", c, got)
		}
		if notes := printAll(r.Notes); !strings.Contains(notes, c.notes) || c.notes == "" && notes != "" {
			t.Errorf("%v: notes %q", c, notes)
		}
	}
}
