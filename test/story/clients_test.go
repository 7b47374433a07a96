package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/testenv"
)

// lease is what a client says it was given: names are the client's own.
type lease map[string]string

// client is a DHCP client that runs in a guest.
type client interface {
	// start runs the client; it goes on until the test ends.
	start(t testing.TB, g *guest) *process
	// lease is what the client reports now, nil if it has none.
	lease(g *guest) lease
	// address is the key of the address in a lease.
	address() string
}

// waitLease waits until the client reports an address.
func waitLease(t testing.TB, c client, g *guest, want string, limit time.Duration) lease {
	t.Helper()
	var l lease
	testenv.Wait(t, limit, fmt.Sprintf("%T in %s to have %s", c, g.port, want), func() bool {
		l = c.lease(g)
		return l[c.address()] == want
	})
	return l
}

// script writes a hook that configures the address and then renames the
// environment it was called with into place.
func (g *guest) script(t testing.TB, configure string) string {
	t.Helper()
	path := filepath.Join(g.dir, "hook")
	text := fmt.Sprintf("#!/bin/sh\n%s\nenv > %s/env.new && mv %s/env.new %s/env\n", configure, g.dir, g.dir, g.dir)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// hookEnv is what the hook was called with last.
func (g *guest) hookEnv() lease { return readEnv(filepath.Join(g.dir, "env")) }

// readEnv reads lines of KEY=VALUE.
func readEnv(path string) lease {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	l := lease{}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			l[k] = v
		}
	}
	return l
}

// dhclient is ISC's.
type dhclient struct{}

const dhclientConf = `
option classless-routes code 121 = array of unsigned integer 8;
option wpad code 252 = text;
option static-hex code 43 = string;
request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, domain-search, host-name,
  interface-mtu, ntp-servers, classless-routes, dhcp-lease-time, dhcp-renewal-time, dhcp-rebinding-time,
  dhcp-server-identifier, wpad, vendor-encapsulated-options, tftp-server-name, bootfile-name;
initial-delay 0;
initial-interval 1;
timeout 20;
retry 1;
`

func (dhclient) start(t testing.TB, g *guest) *process {
	t.Helper()
	conf := filepath.Join(g.dir, "dhclient.conf")
	if err := os.WriteFile(conf, []byte(dhclientConf), 0o644); err != nil {
		t.Fatal(err)
	}
	hook := g.script(t, `case $reason in
BOUND|RENEW|REBIND|REBOOT)
  [ "$old_ip_address" = "$new_ip_address" ] || ip address flush dev $interface
  ip address replace $new_ip_address/$new_subnet_mask dev $interface
  ip route replace default via $new_routers ;;
PREINIT) ip link set $interface up; exit 0 ;;
*) ip address flush dev $interface; exit 0 ;;
esac`)
	return start(t, g.NS, needTool(t, "dhclient"), "-4", "-d", "-sf", hook, "-cf", conf,
		"-lf", g.dir+"/dhclient.leases", "-pf", g.dir+"/dhclient.pid", "eth0")
}

func (dhclient) lease(g *guest) lease { return g.hookEnv() }
func (dhclient) address() string      { return "new_ip_address" }

// udhcpc is busybox's.
type udhcpc struct{}

func (udhcpc) start(t testing.TB, g *guest) *process {
	t.Helper()
	hook := g.script(t, `case $1 in
bound|renew)
  ip address flush dev $interface
  ip address replace $ip/$mask dev $interface
  ip route replace default via ${router%% *} ;;
*) ip address flush dev $interface; exit 0 ;;
esac`)
	argv := []string{needTool(t, "udhcpc"), "-i", "eth0", "-f", "-s", hook, "-t", "10", "-T", "1", "-A", "1"}
	for _, o := range []string{"search", "mtu", "ntpsrv", "staticroutes", "tftp", "bootfile", "0x2b", "wpad"} {
		argv = append(argv, "-O", o)
	}
	return start(t, g.NS, argv...)
}

func (udhcpc) lease(g *guest) lease { return g.hookEnv() }
func (udhcpc) address() string      { return "ip" }

// dhcpcd is Roy Marples's, with its address conflict detection.
type dhcpcd struct{}

const dhcpcdConf = `
define 252 string wpad
option subnet_mask, broadcast_address, routers, domain_name, domain_name_servers, domain_search, host_name
option interface_mtu, ntp_servers, classless_static_routes, dhcp_lease_time, dhcp_renewal_time, dhcp_rebinding_time
option tftp_server_name, bootfile_name, wpad, vendor_encapsulated_options
require dhcp_server_identifier
nohook resolv.conf, hostname, timesyncd.conf
`

func (dhcpcd) start(t testing.TB, g *guest) *process {
	t.Helper()
	conf := filepath.Join(g.dir, "dhcpcd.conf")
	if err := os.WriteFile(conf, []byte(dhcpcdConf), 0o644); err != nil {
		t.Fatal(err)
	}
	hook := g.script(t, `case $reason in BOUND|RENEW|REBIND|REBOOT) ;; *) exit 0 ;; esac`)
	// Its pid and lease files have fixed places: each guest has its own.
	dhcpcd := fmt.Sprintf("%s -4 -B -d -f %s -c %s eth0", needTool(t, "dhcpcd"), conf, hook)
	return start(t, g.NS, needTool(t, "unshare"), "-m", "sh", "-ec",
		"mkdir -p /run/keep /var/lib/dhcpcd\nmount -t tmpfs none /var/lib/dhcpcd\n"+
			"mkdir -p /run/dhcpcd && mount -t tmpfs none /run/dhcpcd\nexec "+dhcpcd)
}

func (dhcpcd) lease(g *guest) lease { return g.hookEnv() }
func (dhcpcd) address() string      { return "new_ip_address" }

// networkd is systemd's.
type networkd struct{}

const networkdConf = `[Match]
Name=eth0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
[DHCPv4]
ClientIdentifier=mac
UseMTU=yes
UseDomains=yes
UseHostname=no
RequestOptions=43 66 67 252
`

func (networkd) start(t testing.TB, g *guest) *process {
	t.Helper()
	return startNetworkd(t, g, networkdConf)
}

func startNetworkd(t testing.TB, g *guest, text string) *process {
	t.Helper()
	conf := filepath.Join(g.dir, "eth0.network")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// Its /run is its own. With /sys writable it would wait for udev.
	p := start(t, g.NS, needTool(t, "unshare"), "-m", "sh", "-ec", `
conf=$(cat `+conf+`)
mount -t tmpfs none /run
mkdir -p /run/systemd/network /run/systemd/netif/leases /run/systemd/netif/links
echo "$conf" > /run/systemd/network/10-eth0.network
mount -o remount,bind,ro /sys
chown -R systemd-network:systemd-network /run/systemd/netif
exec /lib/systemd/systemd-networkd`)
	if err := os.WriteFile(filepath.Join(g.dir, "pid"), []byte(fmt.Sprint(p.pid())), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func (networkd) lease(g *guest) lease { return networkdFile(g, "leases") }

// networkdFile reads networkd's own file about eth0, in the /run that it sees.
func networkdFile(g *guest, kind string) lease {
	pid, err := os.ReadFile(filepath.Join(g.dir, "pid"))
	if err != nil {
		return nil
	}
	return readEnv(fmt.Sprintf("/proc/%s/root/run/systemd/netif/%s/%d", pid, kind, g.Index("eth0")))
}

func (networkd) address() string { return "ADDRESS" }
