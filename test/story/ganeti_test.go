package story_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

const nfdhcpdConf = `[general]
pidfile = /p
datapath = /d
logdir = /l
user = nobody
[dhcp]
lease_lifetime = 604800
lease_renewal = 3600
server_ip = 198.51.100.1
dhcp_queue = 42
nameservers = 203.0.113.53,
[ipv6]
mode = slaac
nameservers = 2001:db8::53,
`

// ganetiNode is a node whose NICs Ganeti's scripts connect.
type ganetiNode struct {
	*node
	env map[string]string
}

func newGanetiNode(t *testing.T, g *guest, n *node) *ganetiNode {
	t.Helper()
	for name, text := range map[string]string{
		"nfdhcpd.conf": nfdhcpdConf, "snf-network": "NFDHCPD_STATE_DIR=" + n.nics() + "\n",
	} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &ganetiNode{n, map[string]string{
		"INTERFACE": g.port, "MODE": "bridged", "LINK": "br0", "MAC": strings.ToUpper(g.mac.String()), "IP": "192.0.2.11",
		"INSTANCE": "vm1.example.org", "NETWORK_SUBNET": "192.0.2.0/24", "NETWORK_GATEWAY": "192.0.2.1", "NETWORK_TAGS": "nfdhcpd",
	}}
}

// ganeti runs one of the two scripts' commands with changed variables.
func (n *ganetiNode) ganeti(what string, changes ...string) (said string, err error) {
	n.t.Helper()
	env := maps.Clone(n.env)
	for i := 0; i < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	argv := []string{"env"}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		argv = append(argv, k+"="+env[k])
	}
	argv = append(argv, program(n.t, "berth"), "--socket", n.socket(), "ganeti", what)
	if what == "ifup" {
		argv = append(argv, "--config", n.dir+"/snf-network", "--nfdhcpd", n.dir+"/nfdhcpd.conf", "--timeout", "3s")
	}
	_, err = n.ns.Try(argv...)
	if err != nil {
		return err.Error(), err
	}
	return "", nil
}

// linkState is what decides whether frames pass: up, and in which bridge.
func (n *ganetiNode) linkState(name string) string {
	n.t.Helper()
	var all []struct {
		Flags  []string `json:"flags"`
		Master string   `json:"master"`
		MTU    int      `json:"mtu"`
	}
	if err := json.Unmarshal([]byte(n.ns.Exec("ip", "-j", "link", "show", name)), &all); err != nil {
		n.t.Fatal(err)
	}
	up := "down"
	if slices.Contains(all[0].Flags, "UP") {
		up = "up"
	}
	return fmt.Sprintf("%s in %q mtu %d", up, all[0].Master, all[0].MTU)
}

// TestGaneti: a NIC is guarded before it is in its bridge and gets its lease
// there; every step that fails is named and leaves it down.
func TestGaneti(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	vm := s.vms[0]
	n := newGanetiNode(t, vm, s.node)
	s.ns.Sh("ip link set vm1 nomaster; for i in vm2 vm3 free1 lan0 br0 vm1; do ip link set $i mtu 1400; done; ip link set vm1 mtu 1500")
	s.start()
	s.write("vm1", "left by snf-network: no binding of any kind") // not *.yaml, so berthd does not read it

	if said, err := n.ganeti("ifup"); err != nil {
		t.Fatal(said)
	}
	if got := n.linkState("vm1"); got != `up in "br0" mtu 1400` {
		t.Errorf("connected, vm1 is %s", got)
	}
	if _, err := os.Stat(filepath.Join(s.nics(), "vm1")); !os.IsNotExist(err) {
		t.Errorf("nfdhcpd's file: %v", err)
	}
	s.settled("vm1")
	(udhcpc{}).start(t, vm)
	l := waitLease(t, udhcpc{}, vm, "192.0.2.11", 20*time.Second)
	if l["router"] != "192.0.2.1" || l["dns"] != "203.0.113.53" || l["lease"] != "604800" || l["serverid"] != "198.51.100.1" {
		t.Errorf("the lease is %v", l)
	}

	t.Log("each step fails in turn")
	extra := func(text string) {
		path := filepath.Join(s.dir, "extra")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		conf := "NFDHCPD_STATE_DIR=" + s.nics() + "\nIFUP_EXTRA_SCRIPT=" + path + "\n"
		if err := os.WriteFile(s.dir+"/snf-network", []byte(conf), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	extra(`[ "$INSTANCE" != bad ] || exit 7`)
	for _, c := range []struct {
		name, say string
		changes   []string
	}{
		{"environment", "read what it is to be", []string{"MODE", "openvswitch"}},
		{"subnet", "NETWORK_SUBNET", []string{"NETWORK_SUBNET", "192.0.2.11/24"}},
		{"conflict", "bring its identity and guard in force", []string{"IP", "192.0.2.12"}},
		{"bridge", "br9: no such interface", []string{"LINK", "br9"}},
		{"no bridge", "join bridge vm3", []string{"LINK", "vm3"}},
		{"extra script", "run " + s.dir + "/extra: exit status 7", []string{"INSTANCE", "bad"}},
	} {
		if c.name == "conflict" {
			s.write("vm2.yaml", s.vms[1].binding())
			s.attach("vm2")
		}
		said, err := n.ganeti("ifup", c.changes...)
		if err == nil || !strings.Contains(said, c.say) {
			t.Errorf("%s: %v, want %q", c.name, err, c.say)
		}
		if got := n.linkState("vm1"); !strings.HasPrefix(got, `down in ""`) {
			t.Errorf("%s: vm1 is %s", c.name, got)
		}
	}

	t.Log("and it is whole again, and withdrawn")
	if said, err := n.ganeti("ifup"); err != nil {
		t.Fatal(said)
	}
	s.settled("vm1", "vm2")
	for range 2 { // what is gone is no failure
		if said, err := n.ganeti("ifdown"); err != nil {
			t.Fatal(said)
		}
	}
	if got := n.linkState("vm1"); got != `down in "" mtu 1400` {
		t.Errorf("disconnected, vm1 is %s", got)
	}
	if said, err := n.ganeti("ifdown", "INTERFACE", "vm99"); err != nil {
		t.Error(said)
	}

	t.Log("without a tag it is connected and not managed")
	if said, err := n.ganeti("ifup", "NETWORK_TAGS", ""); err != nil {
		t.Fatal(said)
	}
	if got := n.linkState("vm1"); got != `up in "br0" mtu 1400` {
		t.Errorf("unmanaged, vm1 is %s", got)
	}
	s.settled("vm2")

	t.Log("without berthd it stays down, and is in no bridge for a moment even")
	s.stop()
	s.ns.Sh("ip link set vm1 down; ip link set vm1 nomaster")
	monitor := start(t, s.ns, needTool(t, "stdbuf"), "-oL", "ip", "monitor", "link")
	n.seen(monitor, 1377)
	if said, err := n.ganeti("ifup"); err == nil || !strings.Contains(said, "bring its identity and guard in force") {
		t.Errorf("without berthd: %v", err)
	}
	if out := n.seen(monitor, 1378); strings.Contains(out, "master br0") {
		t.Errorf("it was in the bridge:\n%s", out)
	}
	s.start()
	if said, err := n.ganeti("ifup"); err != nil {
		t.Fatal(said)
	}
	if out := n.seen(monitor, 1379); !strings.Contains(out, "master br0") {
		t.Errorf("the monitor does not see a bridge:\n%s", out)
	}
}

// seen returns what the monitor tells of vm1 up to a change of the test's own.
func (n *ganetiNode) seen(monitor *process, mtu int) string {
	n.t.Helper()
	own := fmt.Sprintf("mtu %d ", mtu)
	testenv.Wait(n.t, 10*time.Second, "the monitor to tell of "+own, func() bool {
		n.ns.Sh(fmt.Sprintf("ip link set vm1 mtu 1400; ip link set vm1 mtu %d", mtu))
		return strings.Contains(monitor.out.String(), own)
	})
	var lines []string
	for line := range strings.Lines(monitor.out.String()) {
		if strings.Contains(line, " vm1@") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// TestGanetiRouted: the site finds the guest by the uplink, and no longer once
// it has gone.
func TestGanetiRouted(t *testing.T) {
	t.Parallel()
	h := newRoutedHost(t, 1)
	one := h.vms[0]
	n := newGanetiNode(t, one, h.node)
	for k, v := range map[string]string{
		"MODE": "routed", "LINK": "100", "NETWORK_TAGS": "nfdhcpd ip-less-routed",
		"NETWORK_SUBNET6": "2001:db8:1::/64", "NETWORK_GATEWAY6": "2001:db8:1::1",
	} {
		n.env[k] = v
	}
	h.ns.Sh(`ip route add default via 198.51.100.2 dev up0 table 100; ip -6 route add default via 2001:db8:ff::2 dev up0 table 100
		ip rule add iif up0 lookup 100; ip -6 rule add iif up0 lookup 100`)
	h.other.Sh("ip route flush all; ip -6 route del default; ip addr add 192.0.2.1/24 dev eth0; ip addr add 2001:db8:1::1/64 dev eth0 nodad; ip addr add 198.51.100.2/24 dev eth0 || true")
	h.start()
	seen := testenv.Capture(t, h.other.NS, "eth0")
	if said, err := n.ganeti("ifup"); err != nil {
		t.Fatal(said)
	}
	own6 := ip("2001:db8:1:0:5054:ff:feaa:1")
	uplink := h.ns.MAC("up0")
	for _, op := range []uint16{1, 2} {
		seen.Wait(5*time.Second, "the announcement by ARP", func(f testenv.Frame) bool {
			a, err := wire.ParseARP(f.Data)
			return err == nil && !f.Outgoing && a.Op == op && a.SenderIP == ip("192.0.2.11") && a.TargetIP == a.SenderIP && a.SenderMAC == uplink
		})
	}
	seen.Wait(5*time.Second, "the announcement by NA", func(f testenv.Frame) bool {
		m, ok := icmpIn(f)
		return ok && !f.Outgoing && m.Message[0] == 136 && bytes.Equal(m.Message[8:24], own6.AsSlice()) && bytes.HasSuffix(m.Message, uplink[:])
	})
	told := func() bool { return strings.Contains(h.must("events"), "net.ipv6.conf.up0.proxy_ndp off") }
	testenv.Wait(t, 10*time.Second, "the warning of proxy_ndp", told)
	h.ns.Sysctl("net.ipv6.conf.up0.proxy_ndp", "1")

	(udhcpc{}).start(t, one)
	waitLease(t, udhcpc{}, one, "192.0.2.11", 20*time.Second)
	h.other.reaches(t, "192.0.2.11")
	if got := h.ns.MAC("vm1"); got != (nic.MAC{0xcc, 'G', 'R', 'N', 'E', 'T'}) {
		t.Errorf("the host's MAC is %v", got)
	}
	h.proxied("ifup", "192.0.2.11 dev up0 proxy proto 98", own6.String()+" dev up0 proxy proto 98")
	if rules := h.ns.Exec("ip", "rule", "show", "iif", "vm1"); !strings.Contains(rules, "9800:	from all iif vm1 lookup 100 proto 98") {
		t.Errorf("rules: %s", rules)
	}

	h.ns.Exec("ip", "link", "set", "vm1", "down")
	h.proxied("down")
	h.ns.Exec("ip", "link", "set", "vm1", "up")
	h.proxied("up", "192.0.2.11 dev up0 proxy proto 98", own6.String()+" dev up0 proxy proto 98")
	if said, err := n.ganeti("ifdown"); err != nil {
		t.Fatal(said)
	}
	h.proxied("ifdown")
	if rules := h.ns.Exec("ip", "rule", "show", "iif", "vm1"); rules != "" {
		t.Errorf("rules: %s", rules)
	}
	h.ns.Sh("ip route del default table 100; ip -6 route del default table 100")
	if said, err := n.ganeti("ifup"); err == nil || !strings.Contains(said, "no default route") {
		t.Errorf("without an uplink: %v", err)
	}
}

// proxied waits until these are the proxy entries.
func (h *routedHost) proxied(when string, want ...string) {
	h.t.Helper()
	var got []string
	testenv.Wait(h.t, 10*time.Second, "the proxy entries after "+when, func() bool {
		got = nil
		for line := range strings.Lines(h.ns.Exec("ip", "neigh", "show", "proxy")) {
			got = append(got, strings.TrimSpace(line))
		}
		slices.Sort(got)
		slices.Sort(want)
		return slices.Equal(got, want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("%s: proxy entries (-want +got):\n%s", when, diff)
	}
}
