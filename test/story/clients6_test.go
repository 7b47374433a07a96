package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hook6 writes a hook that configures what a client was given and then adds
// the environment it was called with to what it was called with before: a
// client tells of each kind of thing in a call of its own.
func (g *guest) hook6(t testing.TB, configure string) string {
	t.Helper()
	path := filepath.Join(g.dir, "hook6")
	text := fmt.Sprintf("#!/bin/sh\n%s\n{ cat %[2]s/env 2>/dev/null; env; } > %[2]s/env.new && mv %[2]s/env.new %[2]s/env\n",
		configure, g.dir)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// dhclient6 is ISC's for an address and a prefix.
type dhclient6 struct{}

const dhclient6Conf = `
option dhcp6.captive-portal code 103 = text;
request dhcp6.name-servers, dhcp6.domain-search, dhcp6.sntp-servers, dhcp6.bootfile-url, dhcp6.bootfile-param,
  dhcp6.captive-portal;
send fqdn.fqdn "guest";
send fqdn.server-update off;
initial-delay 0;
`

func (dhclient6) start(t testing.TB, g *guest) *process {
	t.Helper()
	conf := filepath.Join(g.dir, "dhclient6.conf")
	if err := os.WriteFile(conf, []byte(dhclient6Conf), 0o644); err != nil {
		t.Fatal(err)
	}
	hook := g.hook6(t, `case $reason in
PREINIT6)
  ip link set $interface up
  while ip -6 address show dev $interface tentative | grep -q inet6; do sleep 0.05; done
  exit 0 ;;
BOUND6|RENEW6|REBIND6)
  [ -z "$new_ip6_address" ] ||
    ip -6 address replace $new_ip6_address/$new_ip6_prefixlen dev $interface \
      valid_lft $new_max_life preferred_lft $new_preferred_life ;;
DEPREF6)
  ip -6 address change $cur_ip6_address/$cur_ip6_prefixlen dev $interface preferred_lft 0 ;;
EXPIRE6|RELEASE6|STOP6)
  [ -z "$old_ip6_address" ] || ip -6 address del $old_ip6_address/$old_ip6_prefixlen dev $interface ;;
*) exit 0 ;;
esac`)
	return start(t, g.NS, needTool(t, "dhclient"), "-6", "-N", "-P", "-d", "-sf", hook, "-cf", conf,
		"-lf", g.dir+"/dhclient6.leases", "-pf", g.dir+"/dhclient6.pid", "eth0")
}

func (dhclient6) lease(g *guest) lease { return g.hookEnv() }
func (dhclient6) address() string      { return "new_ip6_address" }

// dhcpcd6 is Roy Marples's for both families. It does without the kernel: it
// generates the link-local, solicits routers and keeps the addresses.
type dhcpcd6 struct {
	slaac string // "private" or "hwaddr": of its link-local, too
}

const dhcpcd6Conf = `
duid
slaac %s
noipv4ll
nohook resolv.conf, hostname, timesyncd.conf
option domain_name_servers
option dhcp6_name_servers, dhcp6_domain_search, dhcp6_sntp_servers, dhcp6_bootfile_url, dhcp6_bootfile_param
interface eth0
ipv6rs
ia_na 1
ia_pd 2 -
`

func (c dhcpcd6) start(t testing.TB, g *guest) *process {
	t.Helper()
	conf := filepath.Join(g.dir, "dhcpcd6.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, dhcpcd6Conf, c.slaac), 0o644); err != nil {
		t.Fatal(err)
	}
	hook := g.hook6(t, `case $reason in BOUND*|RENEW*|REBIND*|REBOOT*|INFORM*|ROUTERADVERT) ;; *) exit 0 ;; esac`)
	// Its files have fixed places: each guest has its own.
	return start(t, g.NS, needTool(t, "unshare"), "-m", "sh", "-ec", fmt.Sprintf(`
mkdir -p /run/dhcpcd /var/lib/dhcpcd
mount -t tmpfs none /var/lib/dhcpcd
mount -t tmpfs none /run/dhcpcd
exec %s -B -d -f %s -c %s eth0`, needTool(t, "dhcpcd"), conf, hook))
}

func (dhcpcd6) lease(g *guest) lease { return g.hookEnv() }
func (dhcpcd6) address() string      { return "new_dhcp6_ia_na1_ia_addr1" }

// networkd6 is systemd's for both families. It does router discovery itself,
// too.
type networkd6 struct{}

const networkd6Conf = `[Match]
Name=eth0
[Network]
DHCP=yes
IPv6AcceptRA=yes
LinkLocalAddressing=ipv6
IPv6PrivacyExtensions=no
[IPv6AcceptRA]
UseDomains=yes
[DHCPv4]
ClientIdentifier=mac
UseHostname=no
[DHCPv6]
UseDomains=yes
UseHostname=no
`

func (networkd6) start(t testing.TB, g *guest) *process {
	t.Helper()
	return startNetworkd(t, g, networkd6Conf)
}

// lease is what it says of the link; the addresses are the kernel's to tell. It
// has lists of DHCPv6's and of the router's, in any order.
func (networkd6) lease(g *guest) lease {
	l := networkdFile(g, "links")
	if l == nil {
		return nil
	}
	for _, k := range []string{"DNS", "DOMAINS", "NTP"} {
		l[k] = eachOnce(l[k])
	}
	return l
}

func eachOnce(list string) string {
	words := strings.Fields(list)
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " ")
}

func (networkd6) address() string { return "ADMIN_STATE" }

// dhcp6c is WIDE's, for an address and, as the router it was made for, a prefix
// for the network behind it. The guest's kernel does router discovery.
type dhcp6c struct{}

const dhcp6cConf = `interface eth0 {
  send ia-na 1, ia-pd 2;
  request domain-name-servers, domain-name, ntp-servers;
  script "%s";
};
id-assoc na 1 {};
id-assoc pd 2 {
  prefix-interface behind0 { sla-id 5; sla-len 8; };
};
`

func (dhcp6c) start(t testing.TB, g *guest) *process {
	t.Helper()
	g.Sh(`ip link add behind0 address 52:54:00:aa:01:01 type veth peer name behind1
sysctl -qw net.ipv6.conf.behind0.disable_ipv6=0
ip link set behind0 up
ip link set behind1 up`)
	conf := filepath.Join(g.dir, "dhcp6c.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, dhcp6cConf, g.hook6(t, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	// Its identifier has a fixed place: each guest has its own.
	return start(t, g.NS, needTool(t, "unshare"), "-m", "sh", "-ec", fmt.Sprintf(`
mkdir -p /var/lib/dhcpv6
mount -t tmpfs none /var/lib/dhcpv6
exec %s -f -D -c %s -p %s/dhcp6c.pid eth0`, needTool(t, "dhcp6c"), conf, g.dir))
}

func (dhcp6c) lease(g *guest) lease { return g.hookEnv() }
func (dhcp6c) address() string      { return "REASON" } // the addresses are the kernel's to tell
