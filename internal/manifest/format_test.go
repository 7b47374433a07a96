package manifest

import (
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

const etc = "../../packaging/etc/berth/"

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// usedPaths lists the keys a raw document has, as paths does.
func usedPaths(v reflect.Value, prefix string) []string {
	var out []string
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsNil() {
			continue
		}
		path := prefix + keyOf(v.Type().Field(i))
		out = append(out, path)
		switch {
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				out = append(out, usedPaths(f.Index(j), path+"[].")...)
			}
		case f.Kind() == reflect.Pointer && f.Elem().Kind() == reflect.Struct && keyOf(v.Type().Field(i)) != "boot-ipxe":
			out = append(out, usedPaths(f.Elem(), path+".")...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// The shipped reference is the documentation of every key, so it has every
// key and is right.
func TestReferenceFile(t *testing.T) {
	data := readFile(t, etc+"nics.d/reference.yaml.example")
	nets, problems := ParseNetworks("networks", readFile(t, etc+"networks.yaml.example"))
	r := Parse("reference", data, nets)
	if got := texts1(append(problems, r.Problems...)); got != nil {
		t.Fatal(got)
	}
	docs, _ := split("reference", data, MaxFile)
	want := allPaths()
	slices.Sort(want)
	if d := cmp.Diff(want, usedPaths(reflect.ValueOf(read("reference", docs[0]).raw), "")); d != "" {
		t.Errorf("keys: -format +reference\n%s", d)
	}
}

// The networks example shows every key that can be inherited.
func TestNetworksFile(t *testing.T) {
	nets, problems := ParseNetworks("networks", readFile(t, etc+"networks.yaml.example"))
	if problems != nil {
		t.Fatal(texts1(problems))
	}
	if d := cmp.Diff([]string{"default", "tenants"}, nets.Names()); d != "" {
		t.Errorf("names: -want +got\n%s", d)
	}
	var got []string
	for _, n := range nets.known {
		got = append(got, usedPaths(reflect.ValueOf(n.raw), "")...)
	}
	slices.Sort(got)
	var want []string
	for _, p := range allPaths() {
		if !slices.Contains(nicOnly(), strings.Split(p, "[]")[0]) && !strings.HasSuffix(p, ".options[].values") {
			want = append(want, p)
		}
	}
	slices.Sort(want)
	if d := cmp.Diff(want, slices.Compact(got)); d != "" {
		t.Errorf("keys: -format +example\n%s", d)
	}
}

// docs/binding.md has one row for each key, says rightly which are inherited,
// and has no row for a key that is not there.
func TestDocument(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|[^|]*\\| *(yes|no|) *\\|")
	groups := []string{"dhcp4", "dhcp6", "ra", "guard"} // told as sections
	var got []string
	for _, m := range row.FindAllStringSubmatch(string(readFile(t, "../../docs/binding.md")), -1) {
		got = append(got, m[1])
		only := slices.Contains(append(nicOnly(), "network"), m[1])
		if element := strings.Contains(m[1], "[]"); (m[2] == "no") != only || (m[2] == "") != element {
			t.Errorf("%s: inherited %q is wrong", m[1], m[2])
		}
	}
	want := slices.DeleteFunc(allPaths(), func(p string) bool { return slices.Contains(groups, p) })
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("keys: -format +docs/binding.md\n%s", d)
	}
}

// What docs/binding.md shows can be used as it stands, all of it together.
func TestDocumentExamples(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	var networks, nics strings.Builder
	for _, m := range block.FindAllStringSubmatch(string(readFile(t, "../../docs/binding.md")), -1) {
		if strings.HasPrefix(m[1], "network:") {
			networks.WriteString("---\n" + m[1])
		} else if !strings.Contains(nics.String(), m[1][:strings.Index(m[1], "\n")+1]) { // tap7 is shown in two forms
			nics.WriteString("---\n" + m[1])
		}
	}
	nets, problems := ParseNetworks("networks", []byte(networks.String()))
	r := Parse("nics", []byte(nics.String()), nets)
	if got := texts1(append(problems, r.Problems...)); got != nil {
		t.Error(got)
	}
	if len(nets.Names()) < 2 || len(r.Bindings) < 7 {
		t.Errorf("%d networks and %d NICs are shown: the document is not found", len(nets.Names()), len(r.Bindings))
	}
}

func TestInheritance(t *testing.T) {
	file := `network: lan
gateway: 192.0.2.1
mtu: 1400
domain: lan.example
dns: [192.0.2.53, 192.0.2.54]
dhcp4: {lease: 1h, boot: {next-server: 192.0.2.5, file: a}, boot-arch: {7: {file: b}}}
served-by: tenant
routing: {table: 100, uplink: eth0}
guard: {peers: ["aa:00:10:00:00:00/20"], mode: audit, rate: {burst: 7}, checks: {arp: false}, allow-macs: ["00:00:5e:00:01:01"], routers: ["fe80::2"]}
---
network: default
mtu: 1300
`
	nets, problems := ParseNetworks("n", []byte(file))
	if problems != nil {
		t.Fatal(texts1(problems))
	}
	one := func(text string) nic.Binding {
		t.Helper()
		r := Parse("f", []byte(minimal+"addresses: [192.0.2.7/24]\n"+text), nets)
		if len(r.Bindings) != 1 {
			t.Fatal(texts1(r.Problems))
		}
		return r.Bindings[0]
	}
	b := one("network: lan\ndhcp4: {boot: {file: z}}\nguard: {checks: {mac: false}, allow-macs: []}\ndns: [9.9.9.9]\nmtu: 0\ndomain: \"\"\n")
	if b.Network != "lan" || b.Gateway.String() != "192.0.2.1" || b.MTU != 0 || b.Domain != "" {
		t.Errorf("single values: %+v", b)
	}
	if len(b.DNS) != 1 || b.DNS[0].String() != "9.9.9.9" || b.Guard.AllowMACs != nil {
		t.Errorf("lists replace: %v %v", b.DNS, b.Guard.AllowMACs)
	}
	if c := one("network: lan\nrouted: true\nserved-by: berth\nrouting: {uplink: \"\"}\nguard: {peers: []}\n"); c.Routing != (nic.Routing{Table: 100}) || c.Guard.Peers != nil || c.ServedBy != nic.ServedByBerth {
		t.Errorf("taken away: %+v %v %v", c.Routing, c.Guard.Peers, c.ServedBy)
	}
	if b.ServedBy != nic.ServedByTenant || b.Routing != (nic.Routing{Table: 100, Uplink: "eth0"}) || len(b.Guard.Peers) != 1 {
		t.Errorf("of the network: %v %+v %v", b.ServedBy, b.Routing, b.Guard.Peers)
	}
	if !slices.Equal(b.Guard.Routers, []netip.Addr{netip.MustParseAddr("fe80::2")}) {
		t.Errorf("routers: %v", b.Guard.Routers)
	}
	if b.DHCP4.Boot.File != "z" || b.DHCP4.Boot.NextServer.String() != "192.0.2.5" || b.DHCP4.BootArch[7].File != "b" {
		t.Errorf("boot: %+v %+v", b.DHCP4.Boot, b.DHCP4.BootArch)
	}
	if b.DHCP4.Lease != 3600 || b.DHCP4.MaxLease != 3600 || b.DHCP4.T1 != 1800 || b.DHCP4.T2 != 3150 {
		t.Errorf("times follow the inherited lease: %+v", b.DHCP4)
	}
	if b.Guard.Rate != (nic.Rate{PerSecond: 50, Burst: 7}) || b.Guard.Checks != (nic.Checks{ND: true, IP: true, L2: true}) || b.Guard.Mode != nic.Audit {
		t.Errorf("keys one by one: %+v %+v", b.Guard.Rate, b.Guard)
	}
	if b := one("network: lan\ngateway: none\n"); b.Gateway.IsValid() {
		t.Errorf("none does not take the gateway away: %v", b.Gateway)
	}
	if a, b := one(""), one("network: default\n"); a.MTU != 1300 || !cmp.Equal(a, b, compareNetip()) || a.Network != "" {
		t.Errorf("the default network: %+v and %+v", a, b)
	}
	if b := one("network: lan\ndhcp4: {lease: infinite}\n"); b.DHCP4.T1 != 0 || b.DHCP4.T2 != 0 || b.DHCP4.MaxLease != nic.Infinite {
		t.Errorf("nothing to renew: %+v", b.DHCP4)
	}
}

// A mistake of a network is told where it stands, and reaches its NICs only.
func TestBrokenNetworks(t *testing.T) {
	lan := "nic: a\nmac: 52:54:00:aa:00:01\nnetwork: lan\n---\n"
	own := "nic: b\nmac: 52:54:00:aa:00:02\n"
	for _, tt := range []struct {
		networks string
		problems []string
		nics     []string // problems of the NICs
	}{
		{
			"network: lan\nmtu: 5\n",
			[]string{`n:2:6: mtu "5": at least 68 (RFC 791), or 0 to announce none`},
			[]string{`f:3:10: network "lan": the network is broken: n:2:6: mtu "5": at least 68 (RFC 791), or 0 to announce none`},
		},
		{
			"network: lan\nnic: a\ndhcp4: {address: 10.0.0.1}\n",
			[]string{`n:2:6: nic "a": belongs to a NIC, not to a network`, `n:3:18: dhcp4.address "10.0.0.1": belongs to a NIC, not to a network`},
			[]string{`f:3:10: network "lan": the network is broken: n:2:6: nic "a": belongs to a NIC, not to a network`},
		},
		{"mtu: 1400\n", []string{`n:1:1: network: missing: a document of this file needs the name of its network`}, []string{
			`f:3:10: network "lan": the network may be in the part that cannot be read: n:1:1: network: missing: a document of this file needs the name of its network`,
			`f:5:1: network: the network may be in the part that cannot be read: n:1:1: network: missing: a document of this file needs the name of its network`,
		}},
		{"network: lan\n---\nmtu: [\n", []string{`n:3:6: sequence end token ']' not found`}, []string{
			`f:5:1: network: the network may be in the part that cannot be read: n:3:6: sequence end token ']' not found`,
		}},
		{
			"network: lan\n---\nnetwork: lan\n",
			[]string{`n:3:10: network "lan": declared twice, first at line 1`},
			[]string{`f:3:10: network "lan": the network is broken: n:3:10: network "lan": declared twice, first at line 1`},
		},
		{"\x00", []string{`n: a NUL at byte 0: not a text file`}, []string{
			`f:3:10: network "lan": the network may be in the part that cannot be read: n: a NUL at byte 0: not a text file`,
			`f:5:1: network: the network may be in the part that cannot be read: n: a NUL at byte 0: not a text file`,
		}},
		{"", nil, []string{`f:3:10: network "lan": no such network`}},
	} {
		nets, problems := ParseNetworks("n", []byte(tt.networks))
		if d := cmp.Diff(tt.problems, texts1(problems)); d != "" {
			t.Errorf("%q: -want +got\n%s", tt.networks, d)
		}
		r := Parse("f", []byte(lan+own), nets)
		if d := cmp.Diff(tt.nics, texts1(r.Problems)); d != "" {
			t.Errorf("%q: NICs: -want +got\n%s", tt.networks, d)
		}
	}
}

// A value that is only wrong together with the NIC is told at the NIC, with
// where it came from.
func TestInheritedMistake(t *testing.T) {
	nets, _ := ParseNetworks("n", []byte("network: lan\ngateway: 192.0.2.1\n"))
	r := Parse("f", []byte(minimal+"network: lan\naddresses: [10.0.0.7/24]\n"), nets)
	want := []string{`f:3:10: gateway "192.0.2.1": not on link: in none of the NIC's subnets; if it is, add a route to 192.0.2.1/32 without via (from n:2:10: network "lan")`}
	if d := cmp.Diff(want, texts1(r.Problems)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]nic.Seconds{
		"0": 0, "60": 60, "90m": 5400, "1d": 86400, "1w1d1h1m1s": 694861, "24h": 86400, "infinite": nic.Infinite,
		"4294967294": nic.Infinite - 1, "4294967294s": nic.Infinite - 1,
	} {
		got, err := parseSeconds(text)
		if err != nil || got != want {
			t.Errorf("parseSeconds(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "1", "-1s", "1.5h", "1h ", "1ms", "4294967295", "4294967295s", "999999999999999999999", "1h5", "7102w"} {
		if got, err := parseSeconds(text); err == nil && text != "1" {
			t.Errorf("parseSeconds(%q) = %d, want an error", text, got)
		}
	}
	for _, s := range []nic.Seconds{1, 59, 60, 3600, 86400, 86399, nic.Infinite - 1, nic.Infinite} {
		if got, err := parseSeconds(formatSeconds(s)); err != nil || got != s {
			t.Errorf("%d is written %q and read %d, %v", s, formatSeconds(s), got, err)
		}
	}
}

func TestOptionValues(t *testing.T) {
	for _, tt := range []struct {
		typ, value string
		want       []byte
	}{
		{"ipv4", "192.0.2.1", []byte{192, 0, 2, 1}},
		{"ipv4", "::1", nil},
		{"int8", "255", []byte{255}},
		{"int8", "-128", []byte{128}},
		{"int8", "256", nil},
		{"int8", "-129", nil},
		{"int16", "0x0102", []byte{1, 2}},
		{"int16", "65536", nil},
		{"int32", "-1", []byte{255, 255, 255, 255}},
		{"int32", "4294967295", []byte{255, 255, 255, 255}},
		{"int32", "4294967296", nil},
		{"int32", "1e3", nil},
		{"string", "a b", []byte("a b")},
		{"hex", "0a:0B c0", []byte{10, 11, 192}},
		{"hex", "0xabc", nil},
		{"domain", "ab.c", []byte{2, 'a', 'b', 1, 'c', 0}},
		{"domain", "a..b", nil},
		{"domain", strings.Repeat("a.", 127) + "a", nil},
		{"route", "10.0.0.0/8 via 192.0.2.1", []byte{8, 10, 192, 0, 2, 1}}, // RFC 3442's own examples
		{"route", "10.17.0.0/16 via 192.0.2.1", []byte{16, 10, 17, 192, 0, 2, 1}},
		{"route", "0.0.0.0/0 via 192.0.2.1", []byte{0, 192, 0, 2, 1}},
		{"route", "10.27.129.0/24", []byte{24, 10, 27, 129, 0, 0, 0, 0}},
		{"route", "10.0.0.1/8 via 192.0.2.1", nil},
		{"route", "10.0.0.0/8 via", nil},
		{"bool", "true", []byte{1}},
		{"bool", "false", []byte{0}},
		{"bool", "1", nil},
	} {
		got, err := encoders4().of(tt.typ)(tt.value)
		if d := cmp.Diff(tt.want, got); d != "" || (err == nil) != (tt.want != nil) {
			t.Errorf("%s %q: %v: -want +got\n%s", tt.typ, tt.value, err, d)
		}
	}
}
