package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	compat "github.com/berth-net/berth/internal/compat/statichcpd"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/source/statichcpd"
)

// sample is a file that an import's own tests have.
func sample(kind, name string) string {
	return filepath.Join("../../internal/compat", kind, "testdata", name)
}

// imported runs an import with the MACs of tap7 and tap8 known, and reads back
// what it printed.
func imported(t *testing.T, args ...string) (got map[string]nic.Binding, msgs string, code int) {
	t.Helper()
	args = append([]string{"import"}, args...)
	args = append(args, "--interfaces", write(t, "macs", "52:54:00:aa:00:07 tap7 # web\n\n52:54:00:aa:00:08 tap8\n"))
	out, msgs, code := newWorld(t).berth(t.Context(), args...)
	return bindingsOf(t, out), msgs, code
}

func bindingsOf(t *testing.T, text string) map[string]nic.Binding {
	t.Helper()
	r := manifest.Parse("output", []byte(text), manifest.Networks{})
	if len(r.Problems) > 0 {
		t.Fatalf("%v in:\n%s", r.Problems, text)
	}
	got := map[string]nic.Binding{}
	for _, b := range r.Bindings {
		got[b.NIC] = b
	}
	return got
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const nfdhcpdConf = `[general]
pidfile = /run/nfdhcpd.pid
datapath = /var/lib/nfdhcpd
logdir = /var/log/nfdhcpd
user = nobody
[dhcp]
enable_dhcp = yes
lease_lifetime = 3600
lease_renewal = 600
server_ip = 192.0.2.4
dhcp_queue = 42
nameservers = 192.0.2.53
[ipv6]
enable_ipv6 = no
nameservers = 2001:db8::53,
`

// TestImportKinds: each kind's documents are bindings with their address.
func TestImportKinds(t *testing.T) {
	nfdhcpdConf := write(t, "nfdhcpd.conf", nfdhcpdConf)
	broken := write(t, "tap8", "IP=192.0.2.11\nSUBNET=192.0.2.0/24\n")
	nfdhcpd := write(t, "tap7", "IP=192.0.2.10\nMAC=52:54:00:aa:00:07\nINDEV=tap7\nSUBNET=192.0.2.0/24\nGATEWAY=192.0.2.1\nHOSTNAME=web\n")
	nimbus := write(t, "dhcpd.conf", "subnet 192.0.2.0 netmask 255.255.255.0 {\n}\n# DHCP-CONFIG-AUTOMATIC-BEGINS\nhost web {\n  hardware ethernet 52:54:00:AA:00:07;\n  fixed-address 192.0.2.10;\n}\nhost other {\n  hardware ethernet 52:54:00:AA:00:99;\n  fixed-address 192.0.2.11;\n}\n")
	for _, c := range []struct {
		name    string
		args    []string
		address string
		code    int
		told    string
	}{
		{"isc-dhcpd", []string{"isc-dhcpd", sample("iscdhcpd", "dhcpd.conf"), sample("iscdhcpd", "dhcpd6.conf")}, "192.0.2.10/24", exitLeftOut, "dhcpd.conf:17: range"},
		{"kea", []string{"kea", sample("kea", "kea-dhcp4.conf")}, "192.0.2.10/24", exitLeftOut, "kea-dhcp4.conf:32: hooks-libraries"},
		{"dnsmasq", []string{"dnsmasq", sample("dnsmasq", "dnsmasq.conf"), "--server", "192.0.2.4/24"}, "192.0.2.10/24", exitLeftOut, "dnsmasq.conf:17: "},
		{"libvirt", []string{"libvirt", sample("libvirt", "network.xml")}, "192.168.122.10/24", exitLeftOut, "network.xml:11: "},
		{"nfdhcpd", []string{"nfdhcpd", nfdhcpdConf, nfdhcpd, broken}, "192.0.2.10/24", exitLeftOut, "tap8: MAC"},
		{"nfdhcpd, all of it", []string{"nfdhcpd", nfdhcpdConf, nfdhcpd}, "192.0.2.10/24", exitOK, "1 carried over, 0 left out"},
		{"nimbus", []string{"nimbus", nimbus, "--server", "192.0.2.4/24"}, "192.0.2.10/24", exitLeftOut, "dhcpd.conf:8: host other is not carried: no interface is known for MAC 52:54:00:aa:00:99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, msgs, code := imported(t, c.args...)
			if b := got["tap7"]; b.Delivered().String() != c.address {
				t.Errorf("%+v", b)
			}
			if code != c.code || !strings.Contains(msgs, c.told) {
				t.Errorf("exit %d, want %d, and %q in:\n%s", code, c.code, c.told, msgs)
			}
		})
	}
}

// TestImportStatichcpd: what the database has is carried over as berthd would
// read it, and a client with a mistake is left out and told.
func TestImportStatichcpd(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "dhcp.db")
	if err := statichcpd.Create(t.Context(), db, compat.DefaultAttributes()); err != nil {
		t.Fatal(err)
	}
	conf := write(t, "statichcpd.conf", "[statichcpd]\ndhcp_db_filename = "+db+"\nserved_interface_regex = ^tap\nuse_mac_as_client_duid = true\ndisable_ia_id = true\ndisable_routing_with_rawsock = true\n")
	_, msgs, code := imported(t, "statichcpd", conf)
	if code != exitOK || !strings.Contains(msgs, "0 carried over, 0 left out") {
		t.Errorf("an empty database: exit %d\n%s", code, msgs)
	}
	if out, err := exec.CommandContext(t.Context(), "sqlite3", "-bail", db, rowsOfStatichcpd).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, msgs, code := imported(t, "statichcpd", conf)
	if code != exitLeftOut || !strings.Contains(msgs, "1 carried over, 1 left out") ||
		!strings.Contains(msgs, `client_configuration.attr_code 256 "192.0.2.300": not an IPv4 address`) {
		t.Errorf("exit %d\n%s", code, msgs)
	}
	cfg, attrs, _, _ := statichcpd.Load(conf)
	u := statichcpd.New(db, cfg, attrs).Check()
	if len(u.Bindings) != 1 {
		t.Fatalf("%d bindings, %v", len(u.Bindings), u.Problems)
	}
	want, b := u.Bindings[0], got["tap7"]
	want.Network = "" // each interface is one by itself there; without --network there is one
	if want.Digest() != b.Digest() {
		t.Errorf("carried over:\n%+v\nwant what berthd reads:\n%+v", b, want)
	}
	_, msgs, code = imported(t, "statichcpd", filepath.Join(dir, "none"))
	if code != exitError || !strings.Contains(msgs, "cannot be read") {
		t.Errorf("no file: exit %d\n%s", code, msgs)
	}
}

// rowsOfStatichcpd are of one client with something of everything, and of one
// with a bad address.
const rowsOfStatichcpd = `with client(code, value) as (values
  (256, '192.0.2.10'), (1, '255.255.255.0'), (3, '192.0.2.1'), (6, '192.0.2.53'), (6, '198.51.100.53'), (12, 'web'),
  (15, 'example.org'), (26, 1450), (121, '198.51.100.0/24,192.0.2.254'), (47, 'scope'), (258, '192.0.2.2'))
insert into client_configuration (ifname, groupID, mac, attr_code, attr_val)
  select 'tap7', 'web', '52:54:00:aa:00:07', code, value from client;
with client(code, value) as (values (3, '2001:db8::10'), (25, '2001:db8:100::/56'), (23, '2001:db8::53'), (259, 60), (260, 90), (261, 120), (262, 240))
insert into client_v6configuration (ifname, groupID, duid, attr_code, attr_val)
  select 'tap7', 'web', '52:54:00:aa:00:07', code, value from client;
insert into client_configuration (ifname, groupID, mac, attr_code, attr_val) values ('tap8', null, '52:54:00:aa:00:08', 256, '192.0.2.300');`

// TestImportToFiles: a file for each NIC, none overwritten unless that is said.
func TestImportToFiles(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "tap7.yaml")
	if err := os.WriteFile(old, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"kea", sample("kea", "kea-dhcp4.conf"), "--out", dir}
	if _, msgs, code := imported(t, args...); code != exitError || !strings.Contains(msgs, "tap7.yaml exists already") {
		t.Errorf("overwriting: exit %d\n%s", code, msgs)
	}
	if files := readDir(t, dir); files["tap7.yaml"] != "mine" {
		t.Errorf("overwritten: %v", files)
	}
	if _, msgs, code := imported(t, append(args, "--replace", "--dry-run")...); code != exitLeftOut || !strings.Contains(msgs, "tap7: would be written") {
		t.Errorf("dry run: exit %d\n%s", code, msgs)
	}
	if files := readDir(t, dir); files["tap7.yaml"] != "mine" {
		t.Errorf("a dry run wrote: %v", files)
	}
	if out, msgs, code := imported(t, append(args, "--replace")...); code != exitLeftOut || len(out) != 0 {
		t.Errorf("replacing: exit %d\n%s", code, msgs)
	}
	files := readDir(t, dir)
	if len(files) != 1 || bindingsOf(t, files["tap7.yaml"])["tap7"].Hostname != "web" {
		t.Errorf("%v", files)
	}
}

// TestImportInANetwork: what the network gives is not repeated.
func TestImportInANetwork(t *testing.T) {
	nets := write(t, "networks.yaml", "network: red\ngateway: 192.0.2.1\n")
	out, msgs, _ := newWorld(t).berth(t.Context(), "import", "kea", sample("kea", "kea-dhcp4.conf"),
		"--interfaces", write(t, "macs", "52:54:00:aa:00:07 tap7\n"), "--network", "red", "--networks", nets)
	if !strings.Contains(out, "network: red\n") || strings.Contains(out, "\ngateway:") {
		t.Errorf("%s\n%s", out, msgs)
	}
	_, msgs, code := newWorld(t).berth(t.Context(), "import", "kea", "x", "--network", "blue", "--networks", nets)
	if code != exitUsage || !strings.Contains(msgs, "--network blue is not in") {
		t.Errorf("exit %d: %s", code, msgs)
	}
}

// TestImportDomains: libvirt's domains say which interface a MAC is behind;
// what else is in their directory is not read.
func TestImportDomains(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(sample("libvirt", "domain.xml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"web.xml": string(text), "web.pid": "77", ".web.xml.new": "<"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, msgs, _ := newWorld(t).berth(t.Context(), "import", "kea", sample("kea", "kea-dhcp4.conf"), "--domains", dir)
	if b, ok := bindingsOf(t, out)["vnet0"]; !ok || b.Hostname != "web" {
		t.Errorf("%s\n%s", out, msgs)
	}
}

func TestImportUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{}, exitUsage, "want a kind first: nfdhcpd, statichcpd,"},
		{[]string{"odhcpd", "x"}, exitUsage, "want a kind first"},
		{[]string{"kea"}, exitUsage, "want at least one file of kea"},
		{[]string{"kea", "x", "--replace"}, exitUsage, "--replace is for the files of --out"},
		{[]string{"kea", "x", "--server", "gw"}, exitUsage, "--server gw is not an address"},
		{[]string{"nfdhcpd", sample("kea", "kea-dhcp4.conf")}, exitError, "general.pidfile: missing"},
		{[]string{"kea", "/nonexistent/x", "--out", "/nonexistent/out"}, exitError, "--out /nonexistent/out: there is no such directory; make it first"},
		{[]string{"kea", "/nonexistent/x", "--out", sample("kea", "kea-dhcp4.conf")}, exitError, "kea-dhcp4.conf: not a directory"},
		{[]string{"kea", "/nonexistent/x"}, exitError, "no such file"},
		{[]string{"kea", sample("kea", "kea-dhcp4.conf"), "--interfaces", "/nonexistent/x"}, exitError, "no such file"},
	} {
		_, msgs, code := newWorld(t).berth(t.Context(), append([]string{"import"}, c.args...)...)
		if code != c.code || !strings.Contains(msgs, c.want) {
			t.Errorf("%v: exit %d, %s", c.args, code, msgs)
		}
	}
}

func TestImportInterfacesMistakes(t *testing.T) {
	macs := write(t, "macs", "52:54:00:aa:00:07\nx tap7\n52:54:00:aa:00:07 a/b\n")
	_, msgs, code := newWorld(t).berth(t.Context(), "import", "kea", sample("kea", "kea-dhcp6.conf"), "--interfaces", macs)
	var got []string
	for line := range strings.Lines(msgs) {
		if rest, ok := strings.CutPrefix(line, macs); ok {
			got = append(got, strings.TrimSpace(rest))
		}
	}
	const want = "want a MAC and the name of an interface"
	if diff := cmp.Diff([]string{":1: " + want, ":2: " + want, ":3: " + want}, got); diff != "" || code != exitLeftOut {
		t.Errorf("exit %d (-want +got):\n%s", code, diff)
	}
}
