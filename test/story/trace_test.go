package story_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	captures "github.com/berth-net/berth/internal/pcap"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
)

// trace asks about one frame, or about a capture's.
func (n *node) trace(args ...string) []api.Traced {
	n.t.Helper()
	var all []api.Traced
	n.decode(n.must(append([]string{"trace", "-o", "json"}, args...)...), &all)
	return all
}

// TestTrace: what berth says would become of a frame is what becomes of it,
// byte for byte, and that it was asked about is nowhere to be seen.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := newSite(t, "log: {level: warn}\n")
	s.start()
	vm := s.vms[0]
	s.write("vm1.yaml", strings.Replace(vm.dual("2001:db8:1::11", ""), "ra: {interval: 4s}", "ra: {mode: off}", 1))
	s.write("vm2.yaml", s.vms[1].bindingWith("192.0.2.12", "guard: {mode: audit}\n"))
	s.attach("vm1", "vm2")
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	before := s.show("vm1")

	discover := s.trace("vm1", "dhcp", "discover")[0]
	if discover.Taken != reason.DHCP4 || discover.Answer != "OFFER" || discover.Reply == nil {
		t.Fatalf("a DISCOVER: %+v", discover)
	}
	solicit := s.trace("vm1", "dhcp6", "solicit")[0]
	if solicit.Taken != reason.DHCP6 || solicit.Answer != "ADVERTISE" || solicit.Reply == nil {
		t.Fatalf("a SOLICIT: %+v", solicit)
	}
	s.foretold(vm)
	if got := s.trace("vm2", "ip", "192.0.2.99", "to", "192.0.2.255")[0]; got.Fate != api.Passes || got.Audited != reason.IP4Spoof || got.Permitted != "IPv4 sources: 192.0.2.12" {
		t.Errorf("a spoof that is audited: %+v", got)
	}
	s.capturesToo(vm, discover.Frame.Bytes)

	after := s.show("vm1")
	before.Counters.ToGuest, after.Counters.ToGuest = 0, 0 // the site may have spoken
	if diff := cmp.Diff(before.Counters, after.Counters); diff != "" {
		t.Errorf("the counters before and after (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before.Answers, after.Answers); diff != "" {
		t.Errorf("the answers before and after (-before +after):\n%s", diff)
	}
	s.permitted(vm, vm.eui().String())
	for _, e := range s.events() {
		if e.Reason == reason.IPv6Closed {
			continue // the site's, about vm2
		}
		if e.Kind == "answered" || e.Kind == "dropped" || e.Kind == "audited" {
			t.Errorf("an event of what did not happen: %+v", e)
		}
	}

	t.Log("the same frames, sent")
	testenv.Inject(t, vm.NS, "eth0", discover.Frame.Bytes, solicit.Frame.Bytes)
	for _, traced := range []api.Traced{discover, solicit} {
		ear.Wait(30*time.Second, traced.Answer, equal(traced.Reply.Bytes))
	}
	fence(t, vm, w.at[uplink])
	for _, traced := range []api.Traced{discover, solicit} {
		if n := count(ear.Frames(), equal(traced.Reply.Bytes)); n != 1 {
			t.Errorf("the guest got %d frames like the %s, want that of the message sent", n, traced.Answer)
		}
	}
	w.nowhere("", "a frame that was only asked about", carrying("berth trace"))
	ear.None("a frame that was only asked about", carrying("berth trace"))
	w.contained()
}

func equal(frame []byte) testenv.Filter {
	return func(f testenv.Frame) bool { return bytes.Equal(f.Data, frame) }
}

// foretold asks about what is dropped, and what passes.
func (s *site) foretold(vm *guest) {
	s.t.Helper()
	for _, c := range []struct {
		args      []string
		fate      api.Fate
		reason    reason.Reason
		permitted string
	}{
		{[]string{"ip", "192.0.2.99", "to", "192.0.2.255"}, api.Dropped, reason.IP4Spoof, "IPv4 sources: " + vm.addr.String()},
		{[]string{"from", strangerMAC().String(), "rs"}, api.Dropped, reason.MACSpoof, "MACs: " + vm.mac.String()},
		{[]string{"arp", "announce", "192.0.2.99"}, api.Dropped, reason.ARPSpoofIP, "IPv4 sources: " + vm.addr.String()},
		{[]string{"ra"}, api.Dropped, reason.RARogue, ""},
		{[]string{"--to-guest", "dhcp", "offer"}, api.Dropped, reason.DHCPForeign, ""},
		{[]string{"ip", vm.addr.String(), "to", "192.0.2.255"}, api.Passes, reason.None, ""},
		{[]string{"ip", "fe80::77", "to", "ff02::1"}, api.Passes, reason.None, ""}, // which sent would claim the address
		{[]string{"--to-guest", "arp", vm.addr.String()}, api.Passes, reason.None, ""},
	} {
		got := s.trace(append([]string{"vm1"}, c.args...)...)[0]
		if got.Fate != c.fate || got.Reason != c.reason || got.Permitted != c.permitted || got.Reply != nil {
			s.t.Errorf("%v: %+v, want %s for %s, permitted %q", c.args, got, c.fate, c.reason, c.permitted)
		}
	}
}

// capturesToo asks about a capture: of an honest frame, of one that is too
// short for its type, and of the longest that may be asked about and one more.
func (s *site) capturesToo(vm *guest, honest []byte) {
	s.t.Helper()
	hello := vm.hello(vm.addr, string(bytes.Repeat([]byte("x"), 4000)))
	frames := [][]byte{honest, honest[:33], honest[:13], hello, vm.hello(vm.addr, string(bytes.Repeat([]byte("x"), 3584-42)))}
	var packets []captures.Packet
	for _, f := range frames {
		packets = append(packets, captures.Packet{Data: f})
	}
	file := filepath.Join(s.dir, "frames.pcap")
	if err := os.WriteFile(file, captures.Append(nil, packets...), 0o600); err != nil {
		s.t.Fatal(err)
	}
	got := s.trace("vm1", "--from-guest", "--pcap", file)
	why := []string{
		"", "the frame has 33 bytes, one of its type has at least 34", "the frame has 13 bytes, one of its type has at least 14",
		"the frame has 4042 bytes, no kernel can be asked about more than 3584", "",
	}
	for i, one := range got {
		if one.Why != why[i] || (one.Fate == api.NotTraced) != (why[i] != "") {
			s.t.Errorf("packet %d: %s, %q, want %q", i+1, one.Fate, one.Why, why[i])
		}
	}
	if len(got) != len(frames) || got[0].Answer != "OFFER" || got[4].Fate != api.Passes {
		s.t.Errorf("%d packets traced: %+v", len(got), got)
	}
}
