package story_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/testenv"
)

// TestModesAndChecks: what a file says of the guard's mode and of each check
// is what passes, what is dropped, and what berth counts. DHCP stays contained
// in all of them.
func TestModesAndChecks(t *testing.T) {
	t.Parallel()
	s := newSite(t, "log: {level: warn}\n")
	s.start()
	vm := s.vms[0]
	all := []string{"mac-spoof", "ip4-spoof", "arp-spoof-ip", "arp-spoof-mac", "dhcp-server"} // of vm.spoofs, in order
	for _, c := range []struct {
		name, guard string
		passes      []bool // by spoof
		audited     []string
		dropped     []string
	}{
		{"enforce", "", []bool{false, false, false, false, false}, nil, all},
		{"audit", "{mode: audit}", []bool{true, true, true, true, false}, all[:4], all[4:]},
		{"off", "{mode: off}", []bool{true, true, true, true, false}, nil, all[4:]},
		{"no mac", "{checks: {mac: false}}", []bool{true, false, false, false, false}, nil, all[1:]},
		{"no ip", "{checks: {ip: false}}", []bool{false, true, false, false, false}, nil, []string{"mac-spoof", "arp-spoof-ip", "arp-spoof-mac", "dhcp-server"}},
		{"no arp", "{checks: {arp: false}}", []bool{false, false, true, true, false}, nil, []string{"mac-spoof", "ip4-spoof", "dhcp-server"}},
	} {
		more := ""
		if c.guard != "" {
			more = "guard: " + c.guard + "\n"
		}
		s.must("set", "-f", s.file(vm.bindingWith(vm.addr.String(), more)), "--wait", "5s")
		before := s.show("vm1").Counters
		w := s.watch()
		spoofs := vm.spoofs()
		testenv.Inject(t, vm.NS, "eth0", spoofs...)
		fence(t, vm, w.at[uplink])
		for i, f := range spoofs {
			got := count(w.at[uplink].Frames(), func(x testenv.Frame) bool { return x.Outgoing && string(x.Data) == string(f) })
			want := map[bool]int{true: 1}[c.passes[i]]
			if got != want {
				t.Errorf("%s: %d frames of %s left, want %d", c.name, got, all[i], want)
			}
		}
		after := s.show("vm1").Counters
		for _, x := range []struct {
			what          string
			before, after map[string]uint64
			want          []string
		}{{"audited", before.Audited, after.Audited, c.audited}, {"dropped", before.Dropped, after.Dropped, c.dropped}} {
			want := map[string]uint64{}
			for _, r := range x.want {
				want[r] = 1
			}
			if diff := cmp.Diff(want, grown(x.before, x.after, all)); diff != "" {
				t.Errorf("%s: what was %s (-want +got):\n%s", c.name, x.what, diff)
			}
		}
		testenv.Inject(t, vm.NS, "eth0", vm.broadcast(vm.request(t, dhcpv4.MessageTypeDiscover)))
		fence(t, vm, w.at[uplink])
		w.contained()
	}
}

// grown is by how much the named counters grew.
func grown(before, after map[string]uint64, names []string) map[string]uint64 {
	d := map[string]uint64{}
	for _, name := range names {
		if n := after[name] - before[name]; n > 0 {
			d[name] = n
		}
	}
	return d
}

// file writes a document for `berth set -f`.
func (n *node) file(text string) string {
	n.t.Helper()
	path := filepath.Join(n.dir, "set.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
	return path
}
