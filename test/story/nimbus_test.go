package story_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/testenv"
)

// asHost makes the node's berthd that of this test's host: the commands for
// sudo know no other. Tests that use it do not run in parallel.
func (n *node) asHost() {
	n.t.Helper()
	if err := os.MkdirAll(filepath.Dir(api.DefaultSocket), 0o755); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Symlink(n.socket(), api.DefaultSocket); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { os.Remove(api.DefaultSocket) })
}

// nimbus runs one of workspace-control's commands on the host, the way it does:
// with an environment that is its own.
func (n *node) nimbus(line string, more ...string) result {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program(n.t, "berth"), append(append([]string{"nimbus"}, strings.Fields(line)...), more...)...)
	cmd.Env = []string{"BERTH_SOCKET=/nonexistent"}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var err error
	n.ns.Do(func() { err = cmd.Run() })
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Errorf("berth nimbus %s: %v", line, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// done holds a command to its exit code and to what it says.
func (n *node) done(r result, code int, says string) {
	n.t.Helper()
	if r.code != code || !strings.Contains(r.stderr, says) {
		n.t.Errorf("exit %d, want %d and %q:\n%s%s", r.code, code, says, r.stdout, r.stderr)
	}
}

// renewal asks once, by unicast as a guest that holds a lease, and returns the
// options of the answer.
func renewal(t *testing.T, g *guest, ear *testenv.Sniffer) map[uint8]string {
	t.Helper()
	m := g.request(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(net.IP(g.addr.AsSlice())))
	testenv.Inject(t, g.NS, "eth0", g.unicast(m, "192.0.2.2"))
	ack := dhcpIn(ear.Wait(2*time.Second, "the answer to the only request", replyTo(m.TransactionID)))
	if !ack.YourIPAddr.Equal(net.IP(g.addr.AsSlice())) {
		t.Errorf("%s is given %s, want %s", g.port, ack.YourIPAddr, g.addr)
	}
	got := map[uint8]string{}
	for code, data := range ack.Options {
		if code != 255 {
			got[code] = hex.EncodeToString(data)
		}
	}
	return got
}

// TestNimbusCommands goes through a VM's life as workspace-control does:
// bootstrap, security, teardown.
func TestNimbusCommands(t *testing.T) {
	s := newSite(t, "")
	s.asHost()
	s.serveLAN()
	s.ns.Sh("ip link add vif0.0 type veth peer name veth0.0 && ip address add 192.0.2.2/24 dev vif0.0 && ip link set vif0.0 up")
	s.start()
	vm, other := s.vms[0], s.vms[1]
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	add := fmt.Sprintf("dhcp-config add vm1 192.0.2.11 vif0.0 %s 192.0.2.255 255.255.255.0 192.0.2.1 one 192.0.2.53 192.0.2.54", strings.ToUpper(vm.mac.String()))
	want := map[uint8]string{
		53: "05", 54: "c0000202", 51: "00015180", 58: "0000a8c0", 59: "00012750",
		1: "ffffff00", 3: "c0000201", 6: "c0000235c0000236", 12: hex.EncodeToString([]byte("one")), 28: "c00002ff",
	}
	check := func(when string) {
		t.Helper()
		if diff := cmp.Diff(want, renewal(t, vm, ear)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}

	s.done(s.nimbus(add), 0, "vm1: set, now in-force")
	check("as soon as the command has ended")
	s.done(s.nimbus(fmt.Sprintf("ebtables-config add vm1 %s 192.0.2.11 vif0.0", vm.mac)), 0, "vm1: already set, now in-force")
	s.done(s.nimbus(fmt.Sprintf("ebtables-config add vm1 vif0.0 %s 192.0.2.11", vm.mac)), 0, "vm1: already set")
	s.done(s.nimbus(fmt.Sprintf("dhcp-config add vm2 192.0.2.12 vif0.0 %s none none none two none none", other.mac)), 0, "vm2: set, now in-force")
	check("after a later addition")
	s.done(s.nimbus(add), 0, "vm1: already set, now in-force")
	s.done(s.nimbus(strings.Replace(add, " one ", " eins ", 1)), 0, "vm1: set, now in-force")
	want[12] = hex.EncodeToString([]byte("eins"))
	check("another hostname")

	s.done(s.nimbus(fmt.Sprintf("dhcp-config add vm3 192.0.2.11 vif0.0 %s none 255.255.255.0 none three none none", s.vms[2].mac)), 2, "vm1")
	s.done(s.nimbus(fmt.Sprintf("dhcp-config add vm3 192.0.2.13 vif0.0 %s none 255.255.255.0 none three none none", vm.mac)), 2, "vm1")
	s.done(s.nimbus("dhcp-config rem vm3 192.0.2.11"), 2, "192.0.2.11 is held by vm1, not by vm3")
	s.done(s.nimbus(fmt.Sprintf("ebtables-config add vm1 %s 192.0.2.12", vm.mac)), 2, "vm1 is "+vm.mac.String()+" with 192.0.2.11/24")
	check("after what was refused")

	// What cannot be put in force is no success, and is taken back.
	s.done(s.nimbus("dhcp-config add br0 192.0.2.77 vif0.0 a2:aa:bb:00:00:77 none 255.255.255.0 none bridge none none"), 2, "br0 is not in force: ")
	if r := s.berth("show", "br0"); r.code != 3 {
		t.Errorf("br0 is still there: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	s.done(s.nimbus("dhcp-config rem vm1 192.0.2.11"), 0, "vm1: removed, now closed")
	s.done(s.nimbus("ebtables-config rem vm1"), 0, "vm1: nothing to remove")
	s.done(s.nimbus("dhcp-config rem vm1 192.0.2.11"), 0, "nothing to remove")
	fence(t, other, w.at[uplink])
	w.contained()
	if l := s.leases(); len(l) != 0 {
		t.Errorf("the site's server gave leases: %v", l)
	}
}

// TestNimbusGuardAlone: without dhcp-config a NIC's DHCP is kept back for a
// server of the node, or left to the site's.
func TestNimbusGuardAlone(t *testing.T) {
	s := newSite(t, "")
	s.asHost()
	s.serveLAN()
	s.start()
	kept, left := s.vms[0], s.vms[1]
	w := s.watch()
	s.done(s.nimbus(fmt.Sprintf("ebtables-config add vm1 %s 192.0.2.11 vif0.0", kept.mac)), 0, "vm1: set, now in-force")
	s.done(s.nimbus(fmt.Sprintf("ebtables-config add vm2 %s 192.0.2.12", left.mac)), 0, "vm2: set, now in-force")
	for _, g := range []*guest{kept, left} {
		testenv.Inject(t, g.NS, "eth0", g.broadcast(g.request(t, dhcpv4.MessageTypeDiscover)))
	}
	w.at[uplink].Wait(5*time.Second, "the request of vm2", both(from(left.mac), dhcpOf(left.mac)))
	w.at[left.port].Wait(10*time.Second, "the offer of the site's server", reply(left.mac, dhcpv4.MessageTypeOffer))
	w.nowhere(kept.port, "DHCP of vm1", dhcpOf(kept.mac))
	w.at[kept.port].None("an answer to vm1", reply(kept.mac, dhcpv4.MessageTypeOffer))

	ear := testenv.Capture(t, kept.NS, "eth0")
	s.done(s.nimbus(fmt.Sprintf("dhcp-config add vm1 192.0.2.11 vif0.0 %s none 255.255.255.0 192.0.2.1 one none none", kept.mac)), 0, "vm1: set, now in-force")
	if got := renewal(t, kept, ear)[1]; got != "ffffff00" {
		t.Errorf("the mask is %s, want ffffff00", got)
	}
}

// TestNimbusConcurrent: 50 additions at a time, with and without interfaces,
// all in force or armed; then 50 removals.
func TestNimbusConcurrent(t *testing.T) {
	const many = 50
	n := newNode(t, "")
	n.asHost()
	var links, rest strings.Builder
	for i := range many {
		where := &links
		if i%2 == 1 {
			where = &rest
		}
		fmt.Fprintf(where, "link add vm%d-0 type veth peer name p%d\n", i, i)
	}
	n.batch(links.String())
	n.start()
	each := func(verb string, line func(i int) string) {
		t.Helper()
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() { n.done(n.nimbus(line(i)), 0, fmt.Sprintf("vm%d-0: %s", i, verb)) })
		}
		all.Wait()
	}
	states := func() map[api.State]int {
		st, err := api.NewClient(n.socket()).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.NICs
	}
	each("set", func(i int) string {
		return fmt.Sprintf("dhcp-config add vm%d-0 192.0.2.%d vif0.0 a2:aa:bb:00:00:%02x none 255.255.255.0 none vm%d none none", i, i+10, i, i)
	})
	if diff := cmp.Diff(map[api.State]int{api.InForce: many / 2, api.Waiting: many / 2}, states()); diff != "" {
		t.Errorf("after the additions (-want +got):\n%s", diff)
	}
	n.batch(rest.String())
	testenv.Wait(t, 10*time.Second, "the NICs whose interface came later", func() bool { return states()[api.InForce] == many })
	each("removed", func(i int) string { return fmt.Sprintf("dhcp-config rem vm%d-0 192.0.2.%d", i, i+10) })
	if diff := cmp.Diff(map[api.State]int{api.Closed: many}, states()); diff != "" {
		t.Errorf("after the removals (-want +got):\n%s", diff)
	}
}

// TestNimbusNetworking: all NICs of a VM or none, and what a dry run prints is
// what is done.
func TestNimbusNetworking(t *testing.T) {
	n := newNode(t, "")
	n.asHost()
	n.batch("link add vm7-0 type veth peer name p0\nlink add vm7-1 type veth peer name p1\n")
	n.start()
	nics := func(second string) []string {
		return []string{"--name", "VM7", "--networking", "'eth0;public;A2:AA:BB:00:00:07;Bridged;Static;192.0.2.10;192.0.2.1;null;255.255.255.0;192.0.2.53;vm7;;" +
			"eth1;private;" + second + ";Bridged;Static;10.0.0.7;null;null;255.0.0.0;null;vm7p'"}
	}
	run := func(verb, second string, more ...string) result {
		return n.nimbus("networking "+verb, append(nics(second), append(more, "--socket", n.socket())...)...)
	}
	names := func() string {
		return n.must("list", "--no-headers", "-o", "name")
	}
	good := "A2:AA:BB:00:00:08"
	before := names()
	dry := run("add", good, "--dry-run")
	n.done(dry, 0, "vm7-0: would be set\nvm7-1: would be set")
	if got := strings.Fields(dry.stdout); len(got) == 0 || !strings.Contains(dry.stdout, "vm7-0") || !strings.Contains(dry.stdout, "vm7-1") {
		t.Errorf("the dry run prints %q", dry.stdout)
	}
	if now := names(); now != before {
		t.Errorf("the dry run left %q", now)
	}
	n.must("set", "-f", n.file("nic: other0\nmac: a2:aa:bb:00:00:99\naddresses: [198.51.100.1/24]\n"))
	n.done(run("add", "A2:AA:BB:00:00:99"), 2, "other0")
	if got := n.show("vm7-0"); got.State != api.Closed || got.MAC != nil {
		t.Errorf("vm7-0 is %s with %v although vm7-1 failed", got.State, got.MAC)
	}
	n.done(run("add", good), 0, "vm7-0: set, now in-force\nvm7-1: set, now in-force")
	n.done(run("add", good), 0, "vm7-0: already set, now in-force\nvm7-1: already set")
	n.done(run("add", "A2:AA:BB:00:00:99"), 2, "other0")
	if got := n.show("vm7-0"); got.State != api.InForce || got.MAC.String() != "a2:aa:bb:00:00:07" {
		t.Errorf("vm7-0 is %s with %v after a change that failed", got.State, got.MAC)
	}
	n.done(run("remove", good), 0, "\nvm7-1: removed, now closed")
	n.done(run("remove", good), 0, "nothing to remove")
}
