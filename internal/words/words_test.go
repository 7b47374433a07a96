package words

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

var update = flag.Bool("update", false, "write the golden file")

const document = `
nic: tap7
mac: 52:54:00:aa:00:07
hostname: seven.example.org
addresses: [192.0.2.10/24, "2001:db8:1::10/64"]
slaac: ["2001:db8:a::/64"]
delegated: ["2001:db8:100::/56"]
gateway: 192.0.2.1
gateway6: fe80::1
gateway-mac: 52:54:00:ff:00:01
search: [example.org, example.net]
dns: [192.0.2.53, "2001:db8::53"]
ntp: [192.0.2.123]
mtu: 1450
captive-portal: https://portal.example.org/
routes: [{to: 198.51.100.0/24, via: 192.0.2.9}]
dhcp4: {lease: 36h, t1: 1h, t2: 90m1s, boot: {server-name: boot, file: pxe.0}}
ra: {pref64: "64:ff9b::/96", routes: [{to: "2001:db8:ff::/48"}]}
`

func binding(t testing.TB) *nic.Binding {
	t.Helper()
	r := manifest.Parse("", []byte(document), manifest.Networks{})
	if len(r.Bindings) != 1 || len(r.Problems) > 0 {
		t.Fatalf("%d bindings, %v", len(r.Bindings), r.Problems)
	}
	return &r.Bindings[0]
}

// serverDUID is berth's in these tests.
func serverDUID() []byte { return duid(nic.BerthMAC()) }

func seven(b *nic.Binding) NIC {
	return NIC{
		MAC: b.MAC, IP4: b.Addresses[0].Addr(), IP6: b.Addresses[1].Addr(), Prefixes: len(b.Delegated) > 0,
		ServerID: b.Gateway, ServerDUID: serverDUID(), Gateway: b.Gateway, Gateway6: b.Gateway6, GatewayMAC: b.GatewayMAC,
	}
}

// sentences are all forms, with addresses where they must have one.
func sentences() []string {
	var all []string
	for _, f := range Forms() {
		all = append(all, strings.NewReplacer(" [IPV4]", "", " [IPV6]", "", " [port NUMBER]", "",
			"IPV4", "192.0.2.1", "IPV6", "fe80::1", "ADDRESS to ADDRESS", "192.0.2.99 to 198.51.100.8").Replace(f[0]))
	}
	return append(all, "dhcp request 192.0.2.11", "dhcp6 renew 2001:db8:1::11", "from 52:54:00:aa:00:08 dhcp discover",
		"to 02:62:65:72:74:68 arp 192.0.2.1", "ip 2001:db8:a::7 to 2001:db8:1::1 port 53", "ip 192.0.2.10 -> 255.255.255.255",
		"ip 192.0.2.10 to 224.0.0.251", "ip 2001:db8:1::10 to ff02::fb")
}

// TestSentences holds to a golden text what each sentence is, what the guard
// says of it in either direction, and what it is answered.
func TestSentences(t *testing.T) {
	b := binding(t)
	rules := guard.Compile(b).On(b, guard.Site{ServerID: b.Gateway})
	var out strings.Builder
	for _, text := range sentences() {
		frame, err := Frame(seven(b), false, strings.Fields(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		v := guard.FromGuest(&rules, guard.Frame{Data: frame})
		fmt.Fprintf(&out, "$ %s\n%s  %s %s\n", text, print(frame), v.Action, v.Reason)
		if v.Action == guard.Take {
			out.WriteString(print(answer(b, v.Reason, frame)))
		}
		back, err := Frame(seven(b), true, strings.Fields(text))
		if err != nil {
			t.Fatalf("%s, to the guest: %v", text, err)
		}
		v = guard.ToGuest(&rules, guard.Frame{Data: back})
		fmt.Fprintf(&out, "  to the guest: %s\n  %s %s\n", Line(back), v.Action, v.Reason)
	}
	const golden = "testdata/sentences.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s, written with -update (-want +got):\n%s", golden, diff)
	}
}

// print is empty for silence.
func print(frame []byte) string {
	if frame == nil {
		return ""
	}
	told := Tell(frame)
	return "  " + strings.Join(append([]string{told.Text}, told.Details...), "\n    ") + "\n"
}

// answer is what berth says to a frame that was taken, nil for silence.
func answer(b *nic.Binding, why reason.Reason, frame []byte) []byte {
	a := answerer.New(nil, serverDUID(), nil)
	a.Answer(1, b.NIC, answerer.Setting{Binding: b, ServerID: b.Gateway, GatewayMAC: b.GatewayMAC})
	_, reply := a.Ask(1, answerer.Packet{Reason: why, Frame: frame})
	return reply
}

func TestFrameRefuses(t *testing.T) {
	n := seven(binding(t))
	for text, want := range map[string]string{
		"":                            "want a frame, such as: dhcp discover",
		"hello":                       `no frame begins with "hello": want dhcp, dhcp6, rs, ra, ns, na, dad, arp or ip`,
		"dhcp6 advertise x":           `dhcp6 advertise: "x" is not an address`,
		"arp":                         "want arp IPV4",
		"arp probe":                   "want arp probe IPV4",
		"arp fe80::1":                 "arp: fe80::1 is of the other family",
		"ns 192.0.2.1":                "ns: 192.0.2.1 is of the other family",
		"ns fe80::1%eth0":             `ns: "fe80::1%eth0" is not an address`,
		"rs now":                      `rs: "now" is too much: want rs`,
		"dhcp renew 192.0.2.1 twice":  `dhcp renew: "twice" is too much: want dhcp renew [IPV4]`,
		"from":                        "from: want a MAC address behind it",
		"from me rs":                  `from: "me" is not a MAC address: want six octets like 52:54:00:aa:00:01`,
		"to 52:54:00:aa:00:01":        "want a frame, such as: dhcp discover",
		"ip 192.0.2.1":                "want ip ADDRESS to ADDRESS [port NUMBER] (a shell takes > for itself)",
		"ip 192.0.2.1 at 192.0.2.2":   "want ip ADDRESS to ADDRESS [port NUMBER] (a shell takes > for itself)",
		"ip 192.0.2.1 to fe80::1":     "ip: 192.0.2.1 and fe80::1 are of two families",
		"ip me to 192.0.2.1":          `ip: "me" is not an address`,
		"ip ::1 to ::2 port 65536":    `ip: "port 65536" is not a port: want port NUMBER`,
		"ip ::1 to ::2 port 7x":       `ip: "port 7x" is not a port: want port NUMBER`,
		"ip ::1 to ::2 udp 53":        `ip: "udp 53" is not a port: want port NUMBER`,
		"ip ::ffff:192.0.2.1 to fe80": `ip: "::ffff:192.0.2.1" is not an address`,
	} {
		if _, err := Frame(n, false, strings.Fields(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	_, err := Frame(n, false, []string{"dhcp"})
	if err == nil || !strings.HasPrefix(err.Error(), `"dhcp" is no frame: want dhcp discover, or dhcp request [IPV4], or `) {
		t.Errorf("a kind alone: %v", err)
	}
	_, err = Frame(NIC{MAC: n.MAC}, false, []string{"dhcp", "request"})
	if err == nil || err.Error() != "dhcp request: the NIC has no such address: name one" {
		t.Errorf("without an address: %v", err)
	}
}

// A NIC of which nothing is known has frames all the same.
func TestFrameOfAnUnknownNIC(t *testing.T) {
	n := NIC{MAC: nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7}}
	for text, want := range map[string]string{
		"arp 192.0.2.1":            "52:54:00:aa:00:07 to ff:ff:ff:ff:ff:ff, ARP 0.0.0.0 is at 52:54:00:aa:00:07",
		"dhcp renew 192.0.2.7":     "52:54:00:aa:00:07 to ff:ff:ff:ff:ff:ff, IPv4 192.0.2.7 to 255.255.255.255 protocol 17 port 68 to 67",
		"ip 192.0.2.7 to 8.8.8.8":  "52:54:00:aa:00:07 to 02:00:00:00:00:01, IPv4 192.0.2.7 to 8.8.8.8 protocol 17 port 40000 to 9",
		"dhcp6 renew 2001:db8::10": "52:54:00:aa:00:07 to 33:33:00:01:00:02, IPv6 fe80::5054:ff:feaa:7 to ff02::1:2 protocol 17 port 546 to 547",
	} {
		frame, err := Frame(n, false, strings.Fields(text))
		if err != nil || Line(frame) != want {
			t.Errorf("%s: %s, %v; want %s", text, Line(frame), err, want)
		}
	}
	n.LinkLocal = netip.MustParseAddr("fe80::7")
	frame, err := Frame(n, false, []string{"rs"})
	if want := "52:54:00:aa:00:07 to 33:33:00:00:00:02, IPv6 fe80::7 to ff02::2 router solicitation"; err != nil || Line(frame) != want {
		t.Errorf("rs from a link-local of its choice: %s, %v; want %s", Line(frame), err, want)
	}
}

func TestServerDUID(t *testing.T) {
	b := binding(t)
	solicit, err := Frame(seven(b), false, []string{"dhcp6", "solicit"})
	if err != nil {
		t.Fatal(err)
	}
	if got := ServerDUID(solicit); got != nil {
		t.Errorf("of a SOLICIT: %x", got)
	}
	if got := ServerDUID(answer(b, reason.DHCP6, solicit)); string(got) != string(serverDUID()) {
		t.Errorf("of its answer: %x", got)
	}
	for text, want := range map[string]bool{"dhcp6 renew": true, "from 52:54:00:aa:00:08 dhcp6 release": true, "dhcp6 rebind": false, "dhcp renew": false, "x": false} {
		if NamesServer(strings.Fields(text)) != want {
			t.Errorf("%s names a server: %t, want %t", text, !want, want)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		form format
		hex  string
		want string
	}{
		{lifetimeOf, "00000000", "0s"},
		{lifetimeOf, "ffffffff", "for ever"},
		{lifetimeOf, "0001fa41", "36h1s"},
		{seconds, "00", "00"},
		{number, "ff", "255"},
		{number, "00ff00", "00ff00"},
		{addresses4, "c0000201c0000202", "192.0.2.1, 192.0.2.2"},
		{addresses4, "c00002", "c00002"},
		{routes4, "18c63364c0000209" + "00c0000201", "198.51.100.0/24 via 192.0.2.9, 0.0.0.0/0 via 192.0.2.1"},
		{routes4, "18c63364", "18c63364"},
		{routes4, "21", "21"},
		{compressed, "0161016200" + "0163c002", `"a.b", "c.b"`},
		{compressed, "c000", "c000"},
		{compressed, "0161c000", "0161c000"},
		{names, "0161016200" + "0163c002", "01610162000163c002"},
		{names, "0561", "0561"},
		{names, "016103", "016103"},
		{names, "011b00", `"\x1b"`},
		{quoted, "c3a90a", `"\u00e9\n"`},
		{ia, "00", "00"},
		{iaAddress, "00", "00"},
		{iaPrefix, "00", "00"},
		{status6, "0004", "NotOnLink"},
		{status6, "00636e6f", `code 99 "no"`},
		{fqdn6, "", ""},
		{fqdn4, "0000", "0000"},
		{fqdn4, "04ffff0161", `flags 0x04, name "a"`},
		{kind4, "09", "type 9"},
		{hundredths, "0102", "2.58s"},
	} {
		if got := c.form(unhex(t, c.hex)); got != c.want {
			t.Errorf("%s: %s, want %s", c.hex, got, c.want)
		}
	}
}

func lifetimeOf(b []byte) string { return lifetime(be32(b)) }

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b := make([]byte, len(s)/2)
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil && s != "" {
		t.Fatal(err)
	}
	return b
}

func FuzzTell(f *testing.F) {
	for _, v := range corpus.All() {
		f.Add(v.Frames[0])
	}
	b := binding(f)
	for _, text := range sentences() {
		frame, err := Frame(seven(b), false, strings.Fields(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
		f.Add(answer(b, reason.DHCP4, frame))
		f.Add(answer(b, reason.DHCP6, frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		told := Tell(frame)
		for _, line := range append(told.Details, told.Text) {
			if strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
				t.Fatalf("raw in %q", line)
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, text := range sentences() {
		f.Add(text, true)
	}
	n := seven(binding(f))
	f.Fuzz(func(t *testing.T, text string, toGuest bool) {
		if frame, err := Frame(n, toGuest, strings.Fields(text)); err == nil && len(frame) < 60 {
			t.Fatalf("%q is %d bytes", text, len(frame))
		}
	})
}
