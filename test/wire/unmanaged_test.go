package wire

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
)

// A VM that berth doesn't manage may send whatever it likes, attacks and DHCP,
// and nothing of its port changes.
func TestUnmanagedPortIsUntouched(t *testing.T) {
	s := newSite(t, veth)
	s.openKernel()
	s.fromGuest()
	before := s.portState("vmB")
	index := s.attach(guard.Compile(corpus.Binding()), false)
	s.everythingPasses("clsact beside it")
	s.harden(index)
	s.everythingPasses("tcx beside it")
	if diff := cmp.Diff(before, s.portState("vmB")); diff != "" {
		t.Errorf("the unmanaged port changed (-before +after):\n%s", diff)
	}
	s.forget(index)
	s.everythingPasses("nothing beside it")
	if got := s.punts.take(t, 0); len(got) != 0 {
		t.Errorf("%d messages of an unmanaged port were handed up", len(got))
	}
}

func (s *site) everythingPasses(variant string) {
	s.Helper()
	for _, v := range corpus.All() {
		var want arrivals
		for _, f := range v.Frames {
			if !reachesHook(f) || !forwarded(f) {
				continue
			}
			want.LAN = append(want.LAN, f)
			if isGroup(f) {
				want.Stack = append(want.Stack, f)
			}
		}
		end := s.sentinel(corpus.B, corpus.B4)
		s.vm.send(s.TB, append(v.Frames[:len(v.Frames):len(v.Frames)], end)...)
		got := arrivals{LAN: s.heardLAN.until(s.TB, end), Stack: s.heardStack.until(s.TB, end)}
		// Frames for the managed guest's own MAC go to it alone.
		want.LAN = without(want.LAN, corpus.M)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			s.Errorf("%s: %s %s (-want +got):\n%s", variant, v.ID, v.Case, diff)
		}
	}
}

func without(frames [][]byte, dst [6]byte) [][]byte {
	var out [][]byte
	for _, f := range frames {
		if [6]byte(f[:6]) != dst {
			out = append(out, f)
		}
	}
	return out
}

// portState is everything berth could have changed of a port: queueing,
// filters, tcx programs, rules and settings.
func (s *site) portState(port string) string {
	s.Helper()
	return s.host.Sh(fmt.Sprintf(`
		tc qdisc show dev %[1]s; tc filter show dev %[1]s ingress 2>&1 || true; tc filter show dev %[1]s egress 2>&1 || true
		ip -d link show %[1]s | sed -E 's/_timer +[0-9.]+//g' # they run
		 ip address show dev %[1]s; bridge -d link show dev %[1]s; nft list ruleset
		for f in /proc/sys/net/ipv[46]/conf/%[1]s/* /proc/sys/net/ipv[46]/neigh/%[1]s/*; do echo $f; cat $f 2>&1 || true; done`, port)) +
		fmt.Sprintf("tcx: %v", s.tcxPrograms(port))
}

func (s *site) tcxPrograms(port string) map[ebpf.AttachType]int {
	s.Helper()
	index, n := s.host.Index(port), map[ebpf.AttachType]int{}
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		var err error
		s.host.Do(func() {
			var q *link.QueryResult
			if q, err = link.QueryPrograms(link.QueryOptions{Target: index, Attach: at}); err == nil {
				n[at] = len(q.Programs)
			}
		})
		if err != nil {
			s.Fatalf("query %s of %s: %v", at, port, err)
		}
	}
	return n
}
