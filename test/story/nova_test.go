package story_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// networks writes the networks file.
func (n *node) networks(text string) {
	n.t.Helper()
	if err := os.WriteFile(n.dir+"/networks.yaml", []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// isEchoReply matches answers to a ping from an address.
func isEchoReply(from netip.Addr) testenv.Filter {
	return func(f testenv.Frame) bool {
		d := f.Data
		if from.Is4() {
			return len(d) > 34 && d[12] == 8 && d[13] == 0 && d[23] == 1 && d[34] == 0 && bytes.Equal(d[26:30], from.AsSlice())
		}
		return len(d) > 54 && ipv6(f) && d[20] == 58 && d[54] == 129 && bytes.Equal(d[22:38], from.AsSlice())
	}
}

// speaker pings an address from the LAN and returns the port of the VM that
// answers; "": nobody does.
func (s *site) speaker(addr netip.Addr) string {
	s.t.Helper()
	at := map[string]*testenv.Sniffer{}
	for _, port := range s.managed() {
		at[port] = testenv.Capture(s.t, s.ns, port, testenv.InboundOnly)
	}
	_, err := s.lan.Try("ping", "-n", "-c1", "-W0.3", addr.String())
	for _, port := range s.managed() {
		if n := count(at[port].Stop(), isEchoReply(addr)); n > 0 && err == nil {
			return port
		}
	}
	return ""
}

// holder is who berth shows to hold an address that a NIC shares.
func (s *site) holder(port string, addr netip.Addr) string {
	s.t.Helper()
	for _, x := range s.show(port).Shared {
		if x.Address == addr {
			return x.Holder
		}
	}
	return "not shared"
}

// moves is what berth told of a shared address, in order. Those that moved at
// the same time are told in one event.
func (s *site) moves(addr netip.Addr) []string {
	s.t.Helper()
	all := []string{}
	for _, e := range s.events() {
		list, rest, _ := strings.Cut(strings.TrimPrefix(e.Text, "holds "), " of group ")
		if e.Kind == "holder" && slices.Contains(strings.Fields(list), addr.String()) {
			all = append(all, fmt.Sprintf("%s holds %s of group %s", e.NIC, addr, rest))
		}
	}
	return all
}

// held asserts that a VM has the shared addresses: it answers for them, and
// berth shows it at both who share.
func (s *site) held(by *guest) {
	s.t.Helper()
	for _, vip := range vips() {
		becomes(s.t, "who answers for "+vip.String(), by.port, func() string { return s.speaker(vip) })
	}
	for _, vip := range vips() {
		for _, port := range []string{"vm1", "vm2"} {
			becomes(s.t, fmt.Sprintf("who holds %s, as %s has it", vip, port), by.port, func() string { return s.holder(port, vip) })
		}
	}
}

// keptIn asserts that nothing a VM sent that matches left by any port or was
// taken in by the host: whatever did, as often, came in by another port.
func (w *watch) keptIn(g *guest, what string, match testenv.Filter) {
	w.s.t.Helper()
	in := map[string]map[string]int{} // by port, how often each frame came in
	for port, sniffer := range w.at {
		in[port] = map[string]int{}
		for _, f := range sniffer.Frames() {
			if !f.Outgoing && match(f) {
				in[port][string(f.Data)]++
			}
		}
	}
	if len(in[g.port]) == 0 {
		w.s.t.Errorf("%s never sent %s", g.port, what)
	}
	for f := range in[g.port] {
		for port := range w.at {
			if got, want := w.delivered(port, f), w.elsewhere(in, g.port, port, f); port != g.port && got > want {
				w.s.t.Errorf("%s of %s: %d times at %s, and %d from others:\n%x", what, g.port, got, port, want, f)
			}
		}
	}
}

// delivered is how often a port let a frame out, or the bridge itself took it.
func (w *watch) delivered(port, f string) int {
	return count(w.at[port].Frames(), func(x testenv.Frame) bool {
		return x.Outgoing == (port != "br0") && string(x.Data) == f
	})
}

// elsewhere is how often a frame came in by other ports than these two.
func (*watch) elsewhere(in map[string]map[string]int, a, b, f string) int {
	n := 0
	for port, frames := range in {
		if port != a && port != b && port != "br0" {
			n += frames[f]
		}
	}
	return n
}

// refused asserts for which reasons a VM's frames were dropped since before,
// whatever their number, and for no others.
func (s *site) refused(g *guest, before map[string]uint64, want ...string) {
	s.t.Helper()
	got := []string{}
	for why, n := range s.show(g.port).Counters.Dropped {
		if n > before[why] {
			got = append(got, why)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		s.t.Errorf("why frames of %s were dropped (-want +got):\n%s", g.port, diff)
	}
}

// drops is how many frames of a VM were dropped so far, by reason.
func (n *node) drops(g *guest) map[string]uint64 {
	n.t.Helper()
	if c := n.show(g.port).Counters; c != nil {
		return c.Dropped
	}
	return nil
}

// as is the same VM posing with another MAC.
func (g *guest) as(mac nic.MAC) *guest {
	other := *g
	other.mac = mac
	return &other
}

// sixFixed switches IPv6 on in a guest's kernel with its EUI-64 link-local at
// once, and a fixed address if one is given.
func (g *guest) sixFixed(addrs ...string) {
	g.six(map[string]string{"accept_dad": "0", "accept_ra": "0", "addr_gen_mode": "0"})
	for _, a := range addrs {
		g.Exec("ip", "address", "add", a, "dev", "eth0", "nodad")
	}
}

// addGuests makes further VMs on a bridge of their own, in the host's order.
func addGuests(t testing.TB, n *node, bridge string, ports ...string) []*guest {
	t.Helper()
	all := []*guest{}
	for i, port := range ports {
		all = append(all, newGuest(t, n, port, nic.MAC{0x52, 0x54, 0, 0xcc, 0, byte(i + 1)}))
	}
	testenv.Bridge(t, n.ns, bridge, ports...)
	return all
}
