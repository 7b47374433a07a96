package story_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

func oldServers6() []oldServer {
	return []oldServer{{
		name:    "isc-dhcpd",
		files:   map[string]string{"dhcpd6.conf": iscConf6, "dhcpd6.leases": ""},
		command: []string{"dhcpd", "-6", "-f", "-d", "-cf", "{dir}/dhcpd6.conf", "-lf", "{dir}/dhcpd6.leases", "-pf", "{dir}/dhcpd6.pid", "eth0"},
		args:    []string{"isc-dhcpd", "{dir}/dhcpd6.conf"},
		allowed: allowed{"option 39": "the client's name is answered (RFC 4704 section 6), dhcpd without DNS updates does not"},
	}, {
		name:    "kea",
		files:   map[string]string{"kea.conf": keaConf6},
		command: []string{"env", "KEA_PIDFILE_DIR={dir}", "KEA_LOCKFILE_DIR=none", "kea-dhcp6", "-c", "{dir}/kea.conf"},
		args:    []string{"kea", "{dir}/kea.conf"},
		allowed: allowed{"option 39": "the name is the binding's, Kea's is what the client calls itself"},
	}, {
		name:    "dnsmasq",
		files:   map[string]string{"dnsmasq.conf": dnsmasqConf6},
		command: []string{"dnsmasq", "--keep-in-foreground", "--pid-file=", "--conf-file={dir}/dnsmasq.conf", "--dhcp-leasefile={dir}/leases"},
		patient: true,
		args:    []string{"dnsmasq", "{dir}/dnsmasq.conf", "--server", "2001:db8:1::1/64"},
		allowed: ofDnsmasq6(),
	}, {
		name:    "libvirt",
		files:   map[string]string{"network.xml": libvirtNetwork6, "default.conf": libvirtConf6, "default.hostsfile": "id:{duid1},[2001:db8:1::11],web,20m\n", "default.addnhosts": ""},
		command: []string{"dnsmasq", "--keep-in-foreground", "--pid-file=", "--conf-file={dir}/default.conf", "--leasefile-ro"},
		patient: true,
		args:    []string{"libvirt", "{dir}/network.xml"},
		allowed: ofDnsmasq6(),
	}}
}

const iscConf6 = `authoritative;
default-lease-time 600;
preferred-lifetime 400;
option dhcp-renewal-time 5;
option dhcp-rebinding-time 300;
option dhcp6.name-servers 2001:db8::53, 2001:db8::54;
subnet6 2001:db8:1::/64 {
  option dhcp6.domain-search "example.org", "lab.example.org";
}
group {
  option dhcp6.sntp-servers 2001:db8::123;
  host web {
    hardware ethernet {vm1};
    fixed-address6 2001:db8:1::11;
    fixed-prefix6 2001:db8:100::/56;
    option dhcp6.bootfile-url "http://boot.example.org/x";
  }
}
`

const keaConf6 = `{ "Dhcp6": {
  "interfaces-config": { "interfaces": ["eth0"] },
  "lease-database": { "type": "memfile", "persist": true, "name": "{dir}/leases6.csv", "lfc-interval": 0 },
  "loggers": [ { "name": "kea-dhcp6", "severity": "WARN", "output_options": [ { "output": "stdout" } ] } ],
  "server-id": { "type": "LL", "persist": false },
  "valid-lifetime": 600, "preferred-lifetime": 400, "renew-timer": 5, "rebind-timer": 300,
  "option-data": [ { "name": "dns-servers", "data": "2001:db8::53, 2001:db8::54" } ],
  "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/64", "interface": "eth0",
    "option-data": [ { "name": "domain-search", "data": "example.org, lab.example.org" } ],
    "reservations": [
      { "hw-address": "{vm1}", "ip-addresses": ["2001:db8:1::11"], "prefixes": ["2001:db8:100::/56"],
        "option-data": [ { "name": "sntp-servers", "data": "2001:db8::123" },
                         { "name": "bootfile-url", "data": "http://boot.example.org/x" } ] } ] } ]
} }
`

const dnsmasqConf6 = `user=root
interface=eth0
bind-interfaces
log-facility=-
domain=example.org
dhcp-range=2001:db8:1::,static,64,20m
dhcp-host={vm1},[::11],web
`

const libvirtNetwork6 = `<network>
  <name>default</name>
  <forward mode='route'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:ff:00:01'/>
  <domain name='vms.example.org'/>
  <ip family='ipv6' address='2001:db8:1::1' prefix='64'>
    <dhcp><host id='{duid1}' name='web' ip='2001:db8:1::11'><lease expiry='20'/></host></dhcp>
  </ip>
</network>
`

const libvirtConf6 = `strict-order
user=root
domain=vms.example.org
expand-hosts
pid-file={dir}/default.pid
except-interface=lo
bind-dynamic
interface=eth0
dhcp-range=2001:db8:1::1,static,64
dhcp-hostsfile={dir}/default.hostsfile
addn-hosts={dir}/default.addnhosts
enable-ra
log-facility=-
`

// renewal6 is the REQUEST that a guest sent made into a RENEW: its client does
// so only after minutes.
func renewal6(t *testing.T, ear *testenv.Sniffer) []byte {
	t.Helper()
	u, err := wire.ParseUDP6(ear.Wait(soon, "the REQUEST", dhcp6Of(dhcpv6.MessageTypeRequest)).Data)
	if err != nil {
		t.Fatal(err)
	}
	u.Payload = slices.Clone(u.Payload)
	u.Payload[0] = byte(dhcpv6.MessageTypeRenew)
	u.Payload[3]++ // another transaction
	return wire.AppendUDP6(nil, u)
}

// ofDnsmasq6 are the differences to dnsmasq.
func ofDnsmasq6() allowed {
	return allowed{
		"option 13": "no status is Success (RFC 8415 21.13)",
		"option 24": "a binding's domain is told in DHCPv6 too",
		"option 25": "an IA_PD that gets nothing is told so (RFC 8415 18.3.2), dnsmasq leaves it out",
		"option 39": "dnsmasq puts the name into its own DNS, berth into none (RFC 4704 4.1)",
	}
}

// TestImportOfRealServers6 is the same of DHCPv6, with berthd made to have the
// old server's DUID: a guest renews with that one and no other.
func TestImportOfRealServers6(t *testing.T) {
	for _, old := range oldServers6() {
		t.Run(old.name, func(t *testing.T) {
			t.Parallel()
			s := newSite6(t)
			vm := s.vms[0]
			server := old.start(s)
			ear := testenv.Capture(t, vm.NS, "eth0")
			vm.six(map[string]string{"accept_ra": "0"})
			vm.leaseFile6(t)
			dhclient6{}.start(t, vm)
			waitLease(t, dhclient6{}, vm, "2001:db8:1::11", soon)
			old.imported(s)
			server.kill()
			before, seen := replies6(ear)
			s.config = fmt.Sprintf("duid: %x\n", before.Options.ServerID().ToBytes())
			s.writeConfig()
			s.start()
			s.attach(vm.port)
			if old.patient {
				testenv.Inject(t, vm.NS, "eth0", renewal6(t, ear))
			}
			testenv.Wait(t, soon, "a REPLY of berth's", func() bool {
				_, n := replies6(ear)
				return n > seen
			})
			after, _ := replies6(ear)
			found := old.differ(t, fields6(before), fields6(after))
			if diff := cmp.Diff(old.allowed, found); diff != "" {
				t.Errorf("differences (-allowed +found):\n%s", diff)
			}
			if n := count(ear.Frames(), dhcp6Of(dhcpv6.MessageTypeRebind)); n > 0 {
				t.Errorf("the guest sent %d REBINDs, want none: the server it knows still answers", n)
			}
			s.settled(vm.port)
		})
	}
}

// leaseFile6 makes dhclient's DUID that of {duid1}, a DUID-LL.
func (g *guest) leaseFile6(t testing.TB) {
	t.Helper()
	text := `default-duid "\000\003\000\001`
	for _, b := range g.mac {
		text += fmt.Sprintf(`\%03o`, b)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "dhclient6.leases"), []byte(text+"\";\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replies6 are the last REPLY a guest had, and how many.
func replies6(ear *testenv.Sniffer) (last *dhcpv6.Message, n int) {
	for _, f := range ear.Frames() {
		if dhcp6Of(dhcpv6.MessageTypeReply)(f) {
			last, n = message6In(f), n+1
		}
	}
	return last, n
}

// fields6 is all that a REPLY tells, an IA's parts by name.
func fields6(m *dhcpv6.Message) map[string]string {
	out := map[string]string{}
	for _, o := range m.Options.Options {
		key := fmt.Sprintf("option %d", o.Code())
		switch ia := o.(type) {
		case *dhcpv6.OptIANA:
			out[key] = fmt.Sprintf("%x %v %v", ia.IaId, ia.T1, ia.T2)
		case *dhcpv6.OptIAPD:
			out[key] = fmt.Sprintf("%x %v %v", ia.IaId, ia.T1, ia.T2)
		default:
			out[key] = hex.EncodeToString(o.ToBytes())
		}
	}
	list := given(m)
	slices.Sort(list)
	out["given"] = strings.Join(list, ", ")
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}
