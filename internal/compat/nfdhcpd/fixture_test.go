package nfdhcpd

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

const (
	confFile = "/etc/nfdhcpd/nfdhcpd.conf"
	tapFile  = "/var/lib/nfdhcpd/tap0"
)

// conf is a configuration as packages installed it.
const conf = `## what nfdhcpd needs of the machine
[general]
pidfile = /var/run/nfdhcpd/nfdhcpd.pid
datapath = /var/lib/nfdhcpd # one file a NIC
logdir = /var/log/nfdhcpd
user = nobody

[dhcp]
enable_dhcp = yes
lease_lifetime = 604800
lease_renewal = 3600
server_ip = 192.0.2.1
server_on_link = false
dhcp_queue = 42
nameservers = 198.51.100.1, 198.51.100.2

[ipv6]
enable_ipv6 = yes
mode = auto
ra_period = 300
rs_queue = 43
ns_queue = 44
dhcpv6_queue = 45
nameservers = 2001:db8::53,
`

// bridged and routed are binding files as snf-network wrote them.
const (
	bridged = `INDEV=br0
IP=203.0.113.10
MAC=AA:00:00:11:22:33
HOSTNAME=web1.example.org
TAGS=synnefo:network:0:protected
GATEWAY=203.0.113.1
SUBNET=203.0.113.0/24
GATEWAY6=2001:db8:1::1
SUBNET6=2001:db8:1::/64
EUI64=2001:db8:1:0:a800:ff:fe11:2233
`
	routed = `INDEV=tap0
IP=203.0.113.10
MAC=aa:00:00:11:22:33
HOSTNAME=web1.example.org
GATEWAY=203.0.113.1
SUBNET=203.0.113.0/24
SUBNET6=2001:db8:1::/64
`
)

// host has br0 and the tap with the MAC snf-network gave to all.
func host() Hosts {
	return Hosts{MACs: map[string]nic.MAC{
		"br0":  {0x02, 0, 0, 0, 0, 0x09},
		"tap0": {0xcc, 0x47, 0x52, 0x4e, 0x45, 0x54},
	}}
}

// with replaces the line of a key, or adds one: at the end of a binding file,
// at the beginning of its section in a conf, where a key is section.key.
func with(text, key, line string) string {
	section, name, isConf := strings.Cut(key, ".")
	if !isConf {
		section, name = "", key
	}
	in, header, lines := "", -1, strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "[") {
			in = strings.Trim(l, "[]")
		}
		if l == "["+section+"]" {
			header = i
		}
		if k, _, _ := strings.Cut(l, "="); in == section && strings.TrimSpace(k) == name {
			lines[i] = line
			return strings.Join(lines, "\n") + "\n"
		}
	}
	if !isConf {
		header = len(lines) - 1
	}
	return strings.Join(slices.Insert(lines, header+1, line), "\n") + "\n"
}

// configured reads a conf that has no mistake.
func configured(t testing.TB, text string) Format {
	t.Helper()
	c, problems, _ := ParseConfig(confFile, []byte(text))
	if len(problems) > 0 {
		t.Fatalf("conf: %v", problems)
	}
	return Format{c}
}

// one reads a file that has no mistake.
func one(t testing.TB, f Format, text string) nic.Binding {
	t.Helper()
	r := f.Parse(tapFile, []byte(text), host())
	if len(r.Problems) > 0 || len(r.Bindings) != 1 || len(r.Names) > 0 {
		t.Fatalf("%d bindings, problems %v, names %v; want one binding", len(r.Bindings), r.Problems, r.Names)
	}
	if err := nic.Validate(&r.Bindings[0]); err != nil {
		t.Fatal(err)
	}
	return r.Bindings[0]
}

func messages(list []manifest.Problem) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Error())
	}
	return out
}

// told compares problems with their messages, each without the file's name.
func told(t *testing.T, file string, want []string, got []manifest.Problem) {
	t.Helper()
	var all []string
	for _, m := range messages(got) {
		all = append(all, strings.TrimSpace(strings.TrimPrefix(m, file+":")))
	}
	if d := cmp.Diff(want, all, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, ip(s))
	}
	return out
}

func equal(t *testing.T, want, got any) {
	t.Helper()
	opts := cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// trimmed takes the file's name away.
func trimmed(list []manifest.Problem) []manifest.Problem {
	out := slices.Clone(list)
	for i := range out {
		out[i].File = ""
	}
	return out
}
