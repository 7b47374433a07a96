package story_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// controlled is a site whose bindings a controller writes into statichcpd's
// database.
type controlled struct {
	*site
	db string
}

// shipped is a statichcpd.conf with the values that its package has.
const shipped = `[DEFAULT]
dhcp_db_filename = %[1]s
served_interface_regex = ^vm[0-9]+
dhcp_ratelimit = 500
default_lease_time = 600
max_lease_time = 7200
disable_routing_with_rawsock = True
use_mac_as_client_duid = True
disable_ia_id = True
default_renew_time = 1000
default_rebind_time = 2000
default_pref_lifetime = 3000
default_valid_lifetime = 4000
additional_attributes_file = %[2]s/attr_list.csv
[statichcpd]
`

// newControlled builds the site; nothing runs and there is no database yet.
func newControlled(t testing.TB, keys string) *controlled {
	t.Helper()
	return control(newSite(t, ""), keys)
}

func control(s *site, keys string) *controlled {
	s.t.Helper()
	c := &controlled{s, s.dir + "/dhcp.db"}
	for name, text := range map[string]string{
		"statichcpd.conf": fmt.Sprintf(shipped, c.db, s.dir),
		"attr_list.csv":   "opcode,max_count,datatype\n71,100,IPV4\n44,100,IPV4\n",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.config = fmt.Sprintf("log: {level: warn}\nstatichcpd: {conf: %s/statichcpd.conf, %s}\n", s.dir, keys)
	s.writeConfig()
	return c
}

// start runs berthd until it has read the database or knows why not.
func (c *controlled) start() {
	c.t.Helper()
	c.launch()
	testenv.Wait(c.t, 20*time.Second, "the database to be read", func() bool {
		select {
		case <-c.p.done:
			c.t.Fatalf("berthd ended:\n%s", c.p.out)
		default:
		}
		return c.source().Generation > 0
	})
}

// source is what berth says of the database.
func (c *controlled) source() api.Source {
	c.t.Helper()
	st, err := api.NewClient(c.socket()).Status(c.t.Context())
	if err != nil {
		return api.Source{}
	}
	i := slices.IndexFunc(st.Sources, func(s api.Source) bool { return s.Name == "statichcpd" })
	if i < 0 {
		return api.Source{}
	}
	return st.Sources[i]
}

// sql is one transaction of a controller: a process and a connection of its
// own, with SQLite's own implementation.
func (c *controlled) sql(statements ...string) string {
	c.t.Helper()
	return c.run("pragma foreign_keys = on;\nbegin immediate;\n" + strings.Join(statements, "\n") + "\ncommit;\n")
}

// run is a whole input of SQLite's shell.
func (c *controlled) run(input string) string {
	c.t.Helper()
	cmd := exec.Command(needTool(c.t, "sqlite3"), "-bail", "-cmd", ".timeout 10000", c.db)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("the controller: %v\n%s\n%.2000s", err, out, input)
	}
	return strings.TrimSpace(string(out))
}

// rows4 inserts configuration of IPv4; each is a code and a literal of SQL.
func rows4(ifname, group string, mac nic.MAC, values ...string) string {
	return rows("client_configuration", "mac", ifname, group, mac, values)
}

// rows6 is the same of IPv6.
func rows6(ifname, group string, mac nic.MAC, values ...string) string {
	return rows("client_v6configuration", "duid", ifname, group, mac, values)
}

func rows(table, column, ifname, group string, mac nic.MAC, values []string) string {
	id := "null"
	if group != "" {
		id = "'" + group + "'"
	}
	var b strings.Builder
	for _, v := range values {
		code, value, _ := strings.Cut(v, " ")
		fmt.Fprintf(&b, "insert into %s (ifname, groupID, %s, attr_code, attr_val) values ('%s', %s, '%s', %s, %s);\n",
			table, column, ifname, id, mac, code, value)
	}
	return b.String()
}

// ordinary inserts a VM of the site with its address and its server.
func (g *guest) ordinary() string {
	return rows4(g.port, "", g.mac, "256 '"+g.addr.String()+"'", "1 '255.255.255.0'", "3 '192.0.2.1'", "6 '192.0.2.53'", "258 '192.0.2.2'")
}

// statichcpdClient is the dhclient.conf of a guest that renews after some
// seconds, whatever the server says of that.
const statichcpdClient = `
option rfc3442-routes code 121 = array of unsigned integer 8;
option netbios-scope-text code 47 = text;
request subnet-mask, time-offset, routers, time-servers, ien116-name-servers, domain-name-servers, log-servers,
  host-name, domain-name, interface-mtu, broadcast-address, static-routes, netbios-name-servers, netbios-scope-text,
  smtp-server, pop-server, nntp-server, domain-search, rfc3442-routes;
supersede dhcp-renewal-time %d;
supersede dhcp-rebinding-time 400;
initial-delay 0;
initial-interval 1;
timeout 20;
retry 1;
`

// dhclientOn runs dhclient on one interface of the guest. Its hook does the
// address; routes are the test's.
func (g *guest) dhclientOn(t testing.TB, iface string, renewAfter int) *process {
	t.Helper()
	file := func(name string) string { return filepath.Join(g.dir, iface+"."+name) }
	hook := fmt.Sprintf(`#!/bin/sh
case $reason in
BOUND|RENEW|REBIND|REBOOT)
  [ "$old_ip_address" = "$new_ip_address" ] || ip -4 address flush dev $interface
  ip address replace $new_ip_address/$new_subnet_mask dev $interface ;;
PREINIT) ip link set $interface up ;;
*) ip -4 address flush dev $interface ;;
esac
echo $reason $new_ip_address $new_dhcp_server_identifier $new_domain_name_servers >> %s
[ $reason = PREINIT ] || echo $reason ${new_ip_address:-none} ${new_dhcp_server_identifier:-none} ${new_expiry:-0} >> %s
`, file("log"), file("given"))
	for name, text := range map[string]string{"hook": hook, "conf": fmt.Sprintf(statichcpdClient, renewAfter)} {
		if err := os.WriteFile(file(name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return start(t, g.NS, needTool(t, "dhclient"), "-4", "-d", "-sf", file("hook"), "-cf", file("conf"),
		"-lf", file("leases"), "-pf", file("pid"), iface)
}

// told waits until the hook of dhclientOn was called as a line says.
func (g *guest) told(t testing.TB, iface, line string, limit time.Duration) {
	t.Helper()
	log := filepath.Join(g.dir, iface+".log")
	var text []byte
	defer func() {
		if t.Failed() {
			t.Logf("the hook of %s in %s:\n%s", iface, g.port, text)
		}
	}()
	testenv.Wait(t, limit, fmt.Sprintf("%s of %s: %q", iface, g.port, line), func() bool {
		text, _ = os.ReadFile(log) // until there is one
		return bytes.Contains(text, []byte(line+"\n"))
	})
}

// term is one lease as dhclient tells its hook.
type term struct {
	reason, address, server string
	expires                 int64
}

// givenOn are the leases that a dhclient has had on an interface, oldest
// first. (Its file of leases has one in fifteen seconds only.)
func (g *guest) givenOn(t testing.TB, iface string) []term {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, iface+".given"))
	if err != nil {
		t.Fatal(err)
	}
	var all []term
	for line := range strings.Lines(string(text)) {
		var l term
		if _, err := fmt.Sscan(line, &l.reason, &l.address, &l.server, &l.expires); err != nil {
			t.Fatalf("a lease of %s: %v\n%s", iface, err, text)
		}
		all = append(all, l)
	}
	return all
}

// extends waits until an interface's lease was extended by so many renewals
// and asserts that there was nothing else, and whose lease it is.
func (g *guest) extends(t testing.TB, iface, addr, server string, times int, limit time.Duration) {
	t.Helper()
	before := g.givenOn(t, iface)
	testenv.Wait(t, limit, fmt.Sprintf("%d renewals of %s", times, iface), func() bool {
		return len(g.givenOn(t, iface)) >= len(before)+times
	})
	all := g.givenOn(t, iface)[len(before)-1:]
	for i, l := range all {
		if l.address != addr || l.server != server {
			t.Errorf("%s has %s from %s, want %s from %s", iface, l.address, l.server, addr, server)
		}
		if i > 0 && (l.reason != "RENEW" || l.expires <= all[i-1].expires) {
			t.Errorf("%s of %s: the lease ends at %d, want a RENEW that ends after %d", l.reason, iface, l.expires, all[i-1].expires)
		}
	}
}

// unicastRenewal matches a client's request from its kernel to a server.
func unicastRenewal(mac nic.MAC, server string) testenv.Filter {
	return func(f testenv.Frame) bool {
		u, err := wire.ParseUDP4(f.Data)
		if err != nil || u.Dst != ip(server) || u.DstPort != 67 {
			return false
		}
		m := dhcpIn(f)
		return m != nil && bytes.Equal(m.ClientHWAddr, mac[:])
	}
}

// renewed has a guest renew by hand and says what it is told: its address, its
// server and its resolvers.
func (g *guest) renewed(t testing.TB, ear *testenv.Sniffer) string {
	t.Helper()
	m := g.request(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(g.addr.AsSlice()),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionDomainNameServer))
	testenv.Inject(t, g.NS, "eth0", g.unicast(m, "192.0.2.2"))
	return said(dhcpIn(ear.Wait(5*time.Second, "the answer to a renewal of "+g.port, replyTo(m.TransactionID))))
}

func said(m *dhcpv4.DHCPv4) string {
	return fmt.Sprintf("%s %s from %s dns %v", m.MessageType(), m.YourIPAddr, m.ServerIdentifier(), m.DNS())
}

// optionBytes are the options of a message in hex.
func optionBytes(m *dhcpv4.DHCPv4) map[uint8]string {
	all := map[uint8]string{}
	for code, data := range m.Options {
		all[code] = hex.EncodeToString(data)
	}
	return all
}
