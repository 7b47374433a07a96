package story_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/testenv"
)

// oldServer is a DHCP server that the site has had until now. In its texts
// {dir} is where its files are, and {vm1} to {vm3} are the MACs of the VMs.
type oldServer struct {
	name    string
	files   map[string]string
	command []string
	args    []string // of berth import
	told    []string // what the import tells: the place's line and the text's beginning
	clients []client // of vm1, vm2...
	patient bool     // its clients renew only after minutes
	allowed allowed
}

// allowed are differences between the old server's ACK and berth's, each with
// its reason. One that is not found is a mistake.
type allowed map[string]string

// Reasons for differences, to be read behind "berth's ACK differs in ...".
const (
	derived  = "a server may say what a client would assume by itself (RFC 2131 4.4.5, RFC 922)"
	echoed   = "RFC 6842 has servers return it"
	repeated = "in the header too, which the client prefers or ignores"
)

func oldServers() []oldServer {
	return []oldServer{{
		name:    "isc-dhcpd",
		files:   map[string]string{"dhcpd.conf": iscConf, "extra.conf": iscExtra, "dhcpd.leases": ""},
		command: []string{"dhcpd", "-4", "-f", "-d", "-cf", "{dir}/dhcpd.conf", "-lf", "{dir}/dhcpd.leases", "-pf", "{dir}/dhcpd.pid", "eth0"},
		args:    []string{"isc-dhcpd", "{dir}/dhcpd.conf", "--leases", "{dir}/dhcpd.leases", "--server", "192.0.2.1/24"},
		told:    []string{"dhcpd.conf:15: range "},
		clients: []client{dhclient{}, udhcpc{}, udhcpc{}},
		allowed: allowed{"option 28": derived, "option 61": echoed, "option 66": repeated, "option 67": repeated, "sname": repeated},
	}, {
		name:    "kea",
		files:   map[string]string{"kea.conf": keaConf},
		command: []string{"env", "KEA_PIDFILE_DIR={dir}", "KEA_LOCKFILE_DIR=none", "kea-dhcp4", "-c", "{dir}/kea.conf"},
		args:    []string{"kea", "{dir}/kea.conf", "--leases", "{dir}/leases4.csv", "--server", "192.0.2.1/24"},
		told:    []string{"kea.conf:12: pools "},
		clients: []client{dhclient{}, udhcpc{}, udhcpc{}},
		allowed: allowed{"option 28": derived, "option 66": repeated, "option 67": repeated},
	}, {
		name:    "nimbus",
		files:   map[string]string{"dhcpd.conf": nimbusConf, "dhcpd.leases": ""},
		command: []string{"dhcpd", "-4", "-f", "-d", "-cf", "{dir}/dhcpd.conf", "-lf", "{dir}/dhcpd.leases", "-pf", "{dir}/dhcpd.pid", "eth0"},
		args:    []string{"nimbus", "{dir}/dhcpd.conf", "--server", "192.0.2.1/24"},
		clients: []client{udhcpc{}, udhcpc{}},
		allowed: allowed{"option 28": derived, "option 58": derived, "option 59": derived, "option 61": echoed},
	}, {
		name:    "libvirt",
		files:   map[string]string{"network.xml": libvirtNetwork, "default.conf": libvirtConf, "default.hostsfile": libvirtHosts, "default.addnhosts": ""},
		command: []string{"dnsmasq", "--keep-in-foreground", "--pid-file=", "--conf-file={dir}/default.conf", "--leasefile-ro"},
		args:    []string{"libvirt", "{dir}/network.xml"},
		told:    []string{"network.xml:11: network default: <range> "},
		clients: []client{udhcpc{}, udhcpc{}},
		allowed: allowed{"option 61": echoed, "option 67": repeated},
	}}
}

// iscConf has what makes options of a host: a shared network, its subnet, a
// group, a file included and the host itself. The routes of db have no default
// one, so its guest has none either (RFC 3442).
const iscConf = `authoritative;
ddns-update-style none;
default-lease-time 600;
max-lease-time 7200;
option domain-name "example.org";
option classless code 121 = array of unsigned integer 8;
option wpad code 252 = text;
shared-network lan {
  option ntp-servers 192.0.2.123;
  subnet 192.0.2.0 netmask 255.255.255.0 {
    option routers 192.0.2.2;
    option domain-name-servers 192.0.2.53, 198.51.100.53;
    option dhcp-renewal-time 5;
    option dhcp-rebinding-time 500;
    range 192.0.2.13 192.0.2.13;
  }
}
group {
  include "{dir}/extra.conf";
  host web {
    hardware ethernet {vm1};
    fixed-address 192.0.2.11;
    option host-name "web.lab.example.org";
    server-name "boot.example.org";
  }
  use-host-decl-names on;
  host db {
    hardware ethernet {vm2};
    fixed-address 192.0.2.12;
    option classless 8, 10, 192, 0, 2, 3;
    option broadcast-address 192.0.2.255;
    option vendor-encapsulated-options 01:04:c0:00:02:05;
    option tftp-server-name "tftp.example.org";
  }
}
`

// iscExtra is included.
const iscExtra = `option interface-mtu 1400;
option domain-search "example.org", "lab.example.org", "example.net";
option classless 8, 10, 192, 0, 2, 3, 0, 192, 0, 2, 2;
option wpad "http://wpad.example.org/wpad.dat";
next-server 192.0.2.5;
filename "pxelinux.0";
`

const keaConf = `{ "Dhcp4": { // of the site
  "interfaces-config": { "interfaces": ["eth0"], "dhcp-socket-type": "raw" },
  "lease-database": { "type": "memfile", "persist": true, "name": "{dir}/leases4.csv", "lfc-interval": 0 },
  "loggers": [ { "name": "kea-dhcp4", "severity": "WARN", "output_options": [ { "output": "stdout" } ] } ],
  "valid-lifetime": 600, "renew-timer": 5, "rebind-timer": 500,
  "option-def": [ { "name": "wpad", "code": 252, "type": "string" } ],
  "option-data": [ { "name": "domain-name", "data": "example.org" },
                   { "name": "wpad", "data": "http://wpad.example.org/wpad.dat" } ],
  "shared-networks": [ { "name": "lan",
    "option-data": [ { "name": "ntp-servers", "data": "192.0.2.123" } ],
    "subnet4": [ { "id": 1, "subnet": "192.0.2.0/24",
      "pools": [ { "pool": "192.0.2.13 - 192.0.2.13" } ],
      "option-data": [ { "name": "routers", "data": "192.0.2.2" },
                       { "name": "domain-name-servers", "data": "192.0.2.53, 198.51.100.53" } ],
      "next-server": "192.0.2.5", "boot-file-name": "pxelinux.0",
      "reservations": [
        { "hw-address": "{vm1}", "ip-address": "192.0.2.11", "hostname": "web.lab.example.org", "server-hostname": "boot.example.org",
          "option-data": [ { "name": "interface-mtu", "data": "1400" },
                           { "name": "domain-search", "data": "example.org, lab.example.org, example.net" },
                           { "code": 121, "csv-format": false, "data": "080AC000020300C0000202" } ] },
        { "hw-address": "{vm2}", "ip-address": "192.0.2.12", "hostname": "db",
          "option-data": [ { "name": "broadcast-address", "data": "192.0.2.255" },
                           { "name": "vendor-encapsulated-options", "csv-format": false, "data": "0104C0000205" } ] } ]
    } ] } ]
} }
`

// nimbusConf is a site's part, and below it what dhcp-conf-alter wrote: the
// second entry has lost its mask.
const nimbusConf = `# Nimbus
ddns-update-style none;
default-lease-time 120;
max-lease-time 240;
subnet 192.0.2.0 netmask 255.255.255.0 {
}
### DHCP-CONFIG-AUTOMATIC-BEGINS ###
host wrksp-1 {
  # Added by dhcp-conf-alter @ Tue Mar 02 2010, 10:11:12
  hardware ethernet {vm1};
  fixed-address 192.0.2.11;
  option host-name "wrksp-1";
  option subnet-mask 255.255.255.0;
  option routers 192.0.2.2;
  option broadcast-address 192.0.2.255;
  option domain-name-servers 192.0.2.53;
}
host wrksp-2 {
  # Added by dhcp-conf-alter @ Tue Mar 02 2010, 10:12:13
  hardware ethernet {vm2};
  fixed-address 192.0.2.12;
  option host-name "wrksp-2";
}
`

const libvirtNetwork = `<network>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mtu size='1400'/>
  <mac address='52:54:00:00:00:01'/>
  <domain name='vms.example.org'/>
  <ip address='192.0.2.1' netmask='255.255.255.0'>
    <dhcp>
      <bootp file='pxelinux.0' server='192.0.2.5'/>
      <range start='192.0.2.10' end='192.0.2.99'><lease expiry='2' unit='hours'/></range>
      <host mac='{vm1}' name='web' ip='192.0.2.11'/>
      <host mac='{vm2}' name='db.other.example.org' ip='192.0.2.12'><lease expiry='3' unit='hours'/></host>
    </dhcp>
  </ip>
</network>
`

// libvirtConf is what libvirt makes of it for dnsmasq, but for the bridge's
// name and that DNS is not served, which nobody asks for here.
const libvirtConf = `strict-order
user=root
domain=vms.example.org
expand-hosts
pid-file={dir}/default.pid
except-interface=lo
bind-dynamic
interface=eth0
dhcp-range=192.0.2.10,192.0.2.99,255.255.255.0,2h
dhcp-no-override
dhcp-authoritative
dhcp-boot=pxelinux.0,,192.0.2.5
dhcp-lease-max=90
dhcp-hostsfile={dir}/default.hostsfile
addn-hosts={dir}/default.addnhosts
dhcp-option=option:mtu,1400
no-ping
log-facility=-
`

const libvirtHosts = `{vm1},192.0.2.11,web
{vm2},192.0.2.12,db.other.example.org,3h
`

// TestImportOfRealServers: guests have their leases of a real server. Its
// configuration is imported, with the interfaces from what the bridge learned,
// the server ends, and what renewals are told is what it told.
func TestImportOfRealServers(t *testing.T) {
	for _, old := range oldServers() {
		t.Run(old.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			server := old.start(s)
			var guests []*holder
			for i, c := range old.clients {
				guests = append(guests, hold(s.vms[i], c, t))
			}
			for _, g := range guests {
				waitLease(t, g.client, g.vm, g.vm.addr.String(), soon)
			}
			old.imported(s)
			server.kill()
			for _, g := range guests {
				g.before, g.seen = g.acks()
			}
			s.start()
			s.attach(s.managed()[:len(guests)]...)
			old.compare(t, guests)
			s.settled(s.managed()[:len(guests)]...)
		})
	}
}

// start writes the server's files and runs it in the router of the LAN.
func (o *oldServer) start(s *site) *process {
	s.t.Helper()
	fill := o.filler(s)
	for name, text := range o.files {
		if err := os.WriteFile(filepath.Join(s.lan.dir, name), []byte(fill.Replace(text)), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	var argv []string
	for _, a := range o.command {
		argv = append(argv, fill.Replace(a))
	}
	for _, tool := range []string{"dhcpd", "kea-dhcp4", "kea-dhcp6"} {
		if strings.Contains(" "+strings.Join(argv, " "), " "+tool+" ") {
			needTool(s.t, tool)
		}
	}
	argv[0] = needTool(s.t, argv[0])
	return start(s.t, s.lan.NS, argv...)
}

func (o *oldServer) filler(s *site) *strings.Replacer {
	pairs := []string{"{dir}", s.lan.dir}
	for _, g := range s.vms {
		pairs = append(pairs, "{"+g.port+"}", g.mac.String(), "{du"+strings.Replace(g.port, "vm", "id", 1)+"}", "00:03:00:01:"+g.mac.String())
	}
	return strings.NewReplacer(pairs...)
}

// imported runs the import into the directory of berthd, which does not run
// yet, and holds it to what it has to tell.
func (o *oldServer) imported(s *site) {
	s.t.Helper()
	args := []string{"import"}
	for _, a := range o.args {
		args = append(args, o.filler(s).Replace(a))
	}
	r := s.onHost(append(args, "--links", "--out", s.nics())...)
	want := 0
	if len(o.told) > 0 {
		want = 9
	}
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	ok := r.code == want && len(lines) == len(o.told)+1
	for i := range min(len(lines), len(o.told)) {
		ok = ok && strings.HasPrefix(lines[i], filepath.Join(s.lan.dir, o.told[i]))
	}
	if !ok {
		s.t.Fatalf("berth import exits %d, want %d and %q:\n%s%s", r.code, want, o.told, r.stdout, r.stderr)
	}
}

// onHost runs berth where the host's links are.
func (n *node) onHost(args ...string) result {
	n.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program(n.t, "berth"), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var err error
	n.ns.Do(func() { err = cmd.Run() })
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("berth %s: %v", strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// holder is a guest with a client and what it was told.
type holder struct {
	vm     *guest
	client client
	p      *process
	ear    *testenv.Sniffer
	before *dhcpv4.DHCPv4 // the old server's last ACK
	seen   int            // its ACKs
}

func hold(vm *guest, c client, t testing.TB) *holder {
	t.Helper()
	ear := testenv.Capture(t, vm.NS, "eth0")
	return &holder{vm: vm, client: c, p: c.start(t, vm), ear: ear}
}

// acks are the last ACK the guest had, and how many.
func (h *holder) acks() (last *dhcpv4.DHCPv4, n int) {
	for _, f := range h.ear.Frames() {
		if reply(h.vm.mac, dhcpv4.MessageTypeAck)(f) {
			last, n = dhcpIn(f), n+1
		}
	}
	return last, n
}

// renewed is the first ACK of berth's, to a client that renews by itself or
// because it is told to.
func (h *holder) renewed(t testing.TB) *dhcpv4.DHCPv4 {
	t.Helper()
	if _, ok := h.client.(udhcpc); ok {
		h.p.signal(syscall.SIGUSR1)
	}
	testenv.Wait(t, soon, "an ACK of berth's at "+h.vm.port, func() bool {
		_, n := h.acks()
		return n > h.seen
	})
	ack, _ := h.acks()
	return ack
}

// compare holds berth's ACKs to the old server's, option by option.
func (o *oldServer) compare(t *testing.T, guests []*holder) {
	t.Helper()
	found := allowed{}
	for _, g := range guests {
		maps.Copy(found, o.differ(t, fields4(g.before), fields4(g.renewed(t))))
	}
	if diff := cmp.Diff(o.allowed, found); diff != "" {
		t.Errorf("differences (-allowed +found):\n%s", diff)
	}
}

// differ finds the differences that are allowed, and tells all others.
func (o *oldServer) differ(t *testing.T, before, after map[string]string) (found allowed) {
	t.Helper()
	found = allowed{}
	for key, why := range o.allowed {
		if before[key] != after[key] {
			found[key] = why
			delete(before, key)
			delete(after, key)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what the guest with %s is told (-%s +berth):\n%s", before["yiaddr"], o.name, diff)
	}
	return found
}

// fields4 is all an ACK tells. Names are decoded: option 119 may be compressed
// or not (RFC 3397).
func fields4(m *dhcpv4.DHCPv4) map[string]string {
	out := map[string]string{
		"yiaddr": m.YourIPAddr.String(), "siaddr": m.ServerIPAddr.String(), "sname": m.ServerHostName, "file": m.BootFileName,
	}
	for code, data := range m.Options {
		if code != dhcpv4.OptionEnd.Code() {
			out[fmt.Sprintf("option %d", code)] = hex.EncodeToString(data)
		}
	}
	if list := m.DomainSearch(); list != nil {
		out["option 119"] = strings.Join(list.Labels, " ")
	}
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}
