package statichcpd

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAttributes(t *testing.T) {
	got, problems := ParseAttributes("a.csv", []byte("opcode,max_count,datatype\r\nDHCP_OPT_NNTPSERVER,100,IPV4  \n 44 , 2 ,ipv4\n\n# more\n\"150\",1,STRING\n220,3,9\n"), false)
	want := []Attribute{{71, 100, IPV4}, {44, 2, IPV4}, {150, 1, STRING}, {220, 3, DOMAIN}}
	if d := cmp.Diff(want, got); d != "" || len(problems) > 0 {
		t.Errorf("%s (-want +got):\n%s", printAll(problems), d)
	}
	got, problems = ParseAttributes("b.csv", []byte("DHCP6_OPT_DNS_SERVERS,100,IPV6\nDHCP6_NON_DEFAULT_T1,1,INT32\n65535,1,PD"), true)
	want = []Attribute{{23, 100, IPV6}, {259, 1, INT32}, {65535, 1, PD}}
	if d := cmp.Diff(want, got); d != "" || len(problems) > 0 {
		t.Errorf("%s (-want +got):\n%s", printAll(problems), d)
	}
}

func TestAttributeProblems(t *testing.T) {
	const types4, types6 = "IPV4, INT16, INT32, STRING, STATICRT, DOMAIN", "IPV4, IPV6, INT16, INT32, STRING, IA, PD, DOMAIN"
	for _, c := range []struct {
		line string
		v6   bool
		want string
	}{
		{"44,1", false, "2 columns; want opcode,max_count,datatype"},
		{"44,1,IPV4,x", false, "4 columns; want opcode,max_count,datatype"},
		{"0,1,IPV4", false, `opcode "0": neither a number from 1 to 258 nor the name of an option`},
		{"DHCP_OPT_NONE,1,IPV4", false, `opcode "DHCP_OPT_NONE": neither a number from 1 to 258 nor the name of an option`},
		{"DHCP_OPT_NBNS,1,IPV4", true, `opcode "DHCP_OPT_NBNS": neither a number from 1 to 65535 nor the name of an option`},
		{"44,0,IPV4", false, `max_count "0": must be a number from 1`},
		{"44,many,IPV4", false, `max_count "many": must be a number from 1`},
		{"44,1,IPV6", false, `datatype "IPV6": must be one of ` + types4},
		{"44,1,IPV5", false, `datatype "IPV5": must be one of ` + types4},
		{"44,1,10", false, `datatype "10": must be one of ` + types4},
		{"44,1,STATICRT", true, `datatype "STATICRT": must be one of ` + types6},
	} {
		got, problems := ParseAttributes("a.csv", []byte("opcode,max_count,datatype\n"+c.line+"\n45,1,IPV4\n"), c.v6)
		if len(got) != 1 || len(problems) != 1 || problems[0].Error() != "a.csv:2:1: "+c.want {
			t.Errorf("%q: %v, %s\nwant %s", c.line, got, printAll(problems), c.want)
		}
	}
}

// An attribute of an extra list is sent under its code; of one code the last
// list counts.
func TestExtraAttributes(t *testing.T) {
	v4, p4 := ParseAttributes("a.csv", []byte("150,2,IPV4\n151,1,INT16\n152,9,DOMAIN\n153,1,STATICRT\n12,1,STRING\n3,4,IPV4\n55,1,STRING\n"), false)
	v6, p6 := ParseAttributes("b.csv", []byte("200,2,INT16\n201,1,IPV4\n"), true)
	if len(p4)+len(p6) > 0 {
		t.Fatal(printAll(append(p4, p6...)))
	}
	attrs := attributes().With(v4, v6)
	list := append(rows(row{256, "192.0.2.10"}, row{150, "192.0.2.1"}, row{150, "192.0.2.2"}, row{151, int64(258)}, row{152, "a.b"}, row{153, "10.0.0.0/8,192.0.2.1"},
		row{3, "192.0.2.1"}, row{3, "192.0.2.2"}, row{3, "192.0.2.3"}, row{3, "192.0.2.4"}),
		rows6(row{3, "2001:db8::77"}, row{200, int64(1)}, row{200, int64(2)}, row{201, "192.0.2.9"})...)
	r := Build(list, shipped(t), attrs)
	if len(r.Bindings) != 1 {
		t.Fatal(printAll(r.Problems))
	}
	b := &r.Bindings[0]
	_, got, _ := ask4(t, b, []byte{192, 0, 2, 254}, message4(1))
	for code, want := range map[int]string{150: "c0000201c0000202", 151: "0102", 152: "0161016200", 153: "080ac0000201", 3: "c0000201c0000202c0000203c0000204"} {
		if got[code] != want {
			t.Errorf("option %d: %s, want %s", code, got[code], want)
		}
	}
	got6 := ask6(t, b, solicit, clientID+opt(6, "00c8 00c9"))
	if d := cmp.Diff([][]string{{"00010002"}, {"c0000209"}}, [][]string{got6[200], got6[201]}); d != "" {
		t.Errorf("DHCPv6 (-want +got):\n%s", d)
	}
	r = Build(rows(row{256, "192.0.2.10"}, row{55, "x"}), shipped(t), attrs)
	if got, want := printAll(r.Problems), database+`:2:1: client_configuration.attr_code 55 "x": dhcp4.options[0].code "55": set by the server itself, never by a binding`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
