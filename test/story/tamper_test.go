package story_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
)

// TestTampering: whatever of berth's somebody else on the host takes away is
// back within two seconds, and told; no spoofed frame gets out meanwhile,
// since the other lock holds. With and without bridged frames being shown to
// iptables, which containers switch on.
func TestTampering(t *testing.T) {
	for _, call := range []string{"0", "1"} {
		t.Run("bridge-nf-call="+call, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			s.ns.Sysctl("net.bridge.bridge-nf-call-iptables", call)
			s.ns.Sysctl("net.bridge.bridge-nf-call-arptables", call)
			s.start()
			s.bindAll()
			s.settled(s.managed()...)
			tamper(t, s)
		})
	}
}

func tamper(t *testing.T, s *site) {
	w := s.watch()
	spoofers := []*injector{}
	for _, g := range s.vms {
		spoofs := g.spoofs()
		spoofers = append(spoofers, inject(t, g.NS, 2*time.Millisecond, func(n int) []byte { return spoofs[n%len(spoofs)] }))
	}
	vm1 := s.ns.Index("vm1")
	for _, c := range []struct {
		name string
		do   func()
		says string // in an event
	}{
		{
			"nft flush ruleset", func() { s.ns.Exec("nft", "flush", "ruleset") },
			"somebody removed 3 names from the second lock (vm1, vm2, vm3); armed again",
		},
		{
			"nft delete table", func() { s.ns.Exec("nft", "delete", "table", "bridge", "berth_lock") },
			"the lock is damaged: table bridge berth_lock is missing; armed again",
		},
		{
			"nft delete element", func() { s.ns.Exec("nft", "delete", "element", "bridge", "berth_lock", "names", "{ vm2 }") },
			"the lock is damaged",
		},
		{"bpftool link detach", func() { s.detach("in_", vm1) }, fmt.Sprintf("guard vm1#%d enforce", vm1)},
		{"rm of a pin", func() { s.unpin("in_", vm1) }, fmt.Sprintf("guard vm1#%d enforce", vm1)},
		{"rm of all pins of a NIC", func() { s.unpin("in_", vm1); s.unpin("out_", vm1) }, "(its hooks were stripped)"},
		{"tc", func() { s.ns.Sh("tc qdisc del dev vm1 clsact") }, ""},
		{"sysctl", func() { s.ns.Sysctl("net.ipv6.conf.vm1.disable_ipv6", "0") }, ""},
	} {
		seq := s.lastEvent()
		c.do()
		testenv.Wait(t, 2*time.Second, c.name+" to be told", func() bool { return s.told(seq, c.says) })
		testenv.Wait(t, 2*time.Second, c.name+" to be mended", func() bool { return s.berth("plan").code == 0 })
		s.heard(s.vms[0])
		s.heard(s.vms[1])
	}
	if got := s.ns.Exec("cat", "/proc/sys/net/ipv6/conf/vm1/disable_ipv6"); got != "1\n" {
		t.Errorf("the host's IPv6 on vm1: disable_ipv6 is %q, want 1", got)
	}
	for _, i := range spoofers {
		i.halt()
	}
	for _, g := range s.vms {
		fence(t, g, w.at[uplink])
	}
	w.noSpoof()
	s.settled(s.managed()...)
}

// pin finds a pin of berthd's, whatever the layout it is in.
func (n *node) pin(kind string, index int) string {
	n.t.Helper()
	found, err := filepath.Glob(fmt.Sprintf("%s/*/%s%d", n.pins(), kind, index))
	if err != nil || len(found) != 1 {
		n.t.Fatalf("pins %s%d: %v (%v), want one", kind, index, found, err)
	}
	return found[0]
}

// detach is `bpftool link detach`.
func (n *node) detach(kind string, index int) {
	n.t.Helper()
	l, err := link.LoadPinnedLink(n.pin(kind, index), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	defer l.Close()
	if err := l.Detach(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) unpin(kind string, index int) {
	n.t.Helper()
	if err := os.Remove(n.pin(kind, index)); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) lastEvent() uint64 {
	n.t.Helper()
	all := n.events()
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Seq
}

// told reports whether an event after seq contains a text.
func (n *node) told(seq uint64, text string) bool {
	n.t.Helper()
	for _, e := range n.events() {
		if e.Seq > seq && e.Kind != "dropped" && strings.Contains(e.Text, text) {
			return true
		}
	}
	return text == ""
}

// TestClosedPattern: a name of the pattern is closed while it has no binding;
// other names are nobody's business.
func TestClosedPattern(t *testing.T) {
	t.Parallel()
	s := newSite(t, "closed: [\"vm*\"]\n")
	before := s.footprint("free1")
	s.start()
	n := s.waitState("vm1", api.Closed, 5*time.Second)
	if got, want := n.Why, "it has no binding: nothing passes: it matches a managed pattern"; got != want {
		t.Errorf("why %q, want %q", got, want)
	}
	vm := s.vms[0]
	s.unheard(vm, reason.NoBinding)
	r := s.berth("release", "vm1", "--yes")
	if want := "vm1 matches a managed pattern"; r.code != 5 || !strings.Contains(r.stderr, want) {
		t.Errorf("release exits %d with %q, want 5 with %q", r.code, r.stderr, want)
	}
	s.heard(s.free.at("192.0.2.44"))
	s.write("vm1.yaml", vm.binding())
	s.attach("vm1")
	s.heard(vm)
	if diff := cmp.Diff(before, s.footprint("free1")); diff != "" {
		t.Errorf("what is set on the unmanaged port (-before +after):\n%s", diff)
	}
	if rules := s.ns.Exec("nft", "list", "ruleset"); strings.Contains(rules, "free") || !strings.Contains(rules, `iifname "vm*"`) {
		t.Errorf("the rules name the unmanaged port, or not the pattern:\n%s", rules)
	}
	s.remove("vm1.yaml")
	s.waitState("vm1", api.Closed, 5*time.Second)
}

// footprint is everything the kernel has set on an interface.
func (s *site) footprint(name string) string {
	s.t.Helper()
	return s.ns.Sh(fmt.Sprintf(`tc qdisc show dev %[1]s; tc filter show dev %[1]s ingress; tc filter show dev %[1]s egress
ip -o link show dev %[1]s
cd /proc/sys/net; grep -r . ipv6/conf/%[1]s ipv4/conf/%[1]s 2>/dev/null | grep -v stable_secret | sort`, name))
}
