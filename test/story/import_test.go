package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oldConf has one of every option that udhcpc tells its hook.
const oldConf = `port=0
user=root
interface=eth0
bind-interfaces
dhcp-authoritative
no-ping
log-facility=-
domain=example.org
dhcp-range=set:lan,192.0.2.0,static
dhcp-host=%s,set:net,%s,web,30m
dhcp-option=option:router,192.0.2.2
dhcp-option=tag:lan,option:dns-server,192.0.2.53,0.0.0.0
dhcp-option=option:ntp-server,192.0.2.123
dhcp-option=option:domain-search,example.org,lab.example.net
dhcp-option=tag:net,option:mtu,1400
dhcp-option=121,10.0.0.0/8,192.0.2.3,0.0.0.0/0,192.0.2.2
dhcp-option=252,"http://wpad.example.org/wpad.dat"
dhcp-option=43,01:04:c0:00:02:05
dhcp-boot=tag:net,pxelinux.0,boot,192.0.2.5
`

// told is what udhcpc's hook was told, but for T1 and T2, which dnsmasq makes
// less by chance each time anew, and for what berth says besides: boot file and
// server name in the header too, and the client identifier (RFC 6842).
func told(l lease) lease {
	out := lease{}
	for k, v := range l {
		if !strings.Contains(" _ opt58 opt59 boot_file sname opt61 ", " "+k+" ") {
			out[k] = v
		}
	}
	return out
}

// TestImportOfDnsmasq: a guest has its lease of a real dnsmasq. Its
// configuration is imported, with the interface from what the bridge learned,
// dnsmasq ends, and the guest that renews is told exactly the same.
func TestImportOfDnsmasq(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	vm := s.vms[0]
	conf := filepath.Join(s.lan.dir, "dnsmasq.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, oldConf, vm.mac, vm.addr), 0o644); err != nil {
		t.Fatal(err)
	}
	old := start(t, s.lan.NS, needTool(t, "dnsmasq"), "--keep-in-foreground", "--pid-file=", "--conf-file="+conf, "--dhcp-leasefile="+s.lan.dir+"/leases")
	p := udhcpc{}.start(t, vm)
	before := told(waitLease(t, udhcpc{}, vm, vm.addr.String(), soon))

	// Every line but those about dnsmasq itself is carried, so nothing is told.
	s.ns.Exec(program(t, "berth"), "import", "dnsmasq", conf, "--server", "192.0.2.1/24", "--links", "--out", s.nics())
	old.kill()
	if err := os.Remove(filepath.Join(vm.dir, "env")); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.attach(vm.port)
	p.signal(syscall.SIGUSR1)
	after := told(waitLease(t, udhcpc{}, vm, vm.addr.String(), soon))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what the guest is told (-dnsmasq +berth):\n%s", diff)
	}
	if before["serverid"] != "192.0.2.1" || before["mtu"] != "1400" || before["bootfile"] != "pxelinux.0" {
		t.Errorf("the guest was told %v", before)
	}
	s.settled(vm.port)
}
