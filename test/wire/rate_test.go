package wire

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// A guest that floods DISCOVERs is heard at its rate, the rest is counted, and
// its neighbour on the same host loses nothing.
func TestDHCPRate(t *testing.T) {
	s := newSite(t, tap)
	s.openKernel()
	b := corpus.Binding()
	b.Guard.Rate = nic.Rate{PerSecond: 100, Burst: 20}
	index := s.attach(guard.Compile(b), true)
	other := s.protect("vmB", guard.Compile(neighbour()))
	discover, theirs := vector(t, "G01").Frames[0], neighbourDiscover(t)

	var sent, heard uint64
	before := time.Now()
	s.guest.send(t, discover)
	sent, first := sent+1, time.Now()
	for time.Since(first) < 300*time.Millisecond {
		for range 50 {
			s.guest.send(t, discover)
			sent++
		}
		s.vm.send(t, theirs)
		heard++
	}
	inner := time.Since(first)
	s.fromGuest()
	outer := time.Since(before)

	c := s.counters(index)
	taken := c.Taken[reason.DHCP4]
	least, most := 20+uint64(inner/(10*time.Millisecond))-1, 20+uint64(outer/(10*time.Millisecond))
	if taken < least || taken > most {
		t.Errorf("%d messages were taken in %v, want %d to %d", taken, inner, least, most)
	}
	want := datapath.Counters{FromGuest: 1, Taken: c.Taken, Dropped: map[reason.Reason]uint64{reason.DHCPRate: sent - taken}}
	if diff := cmp.Diff(want, c, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("flooding guest (-want +got):\n%s", diff)
	}
	if c := s.counters(other); c.Taken[reason.DHCP4] != heard || len(c.Dropped) != 0 {
		t.Errorf("its neighbour sent %d messages: %+v", heard, c)
	}
	s.checkPunts(map[int]uint64{index: taken, other: heard}, map[int][]byte{index: discover, other: theirs})
	t.Logf("%d of %d messages taken in %v, %d of %d of the neighbour", taken, sent, inner, heard, heard)
}

// checkPunts holds what was handed up to the numbers and bytes expected.
func (s *site) checkPunts(want map[int]uint64, frames map[int][]byte) {
	s.Helper()
	total := 0
	for _, n := range want {
		total += int(n)
	}
	got := map[int]uint64{}
	for _, p := range s.punts.take(s.TB, total) {
		got[p.Index]++
		if !bytes.Equal(p.Frame, frames[p.Index]) {
			s.Errorf("ifindex %d: handed up %x", p.Index, p.Frame)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("messages handed up (-want +got):\n%s", diff)
	}
}

// neighbour is the binding of the VM at vmB.
func neighbour() *nic.Binding {
	b := corpus.Binding()
	b.NIC, b.MAC = "vmB", corpus.B
	return b
}

func neighbourDiscover(t *testing.T) []byte {
	t.Helper()
	f := bytes.Clone(vector(t, "G01").Frames[0])
	copy(f[6:], corpus.B[:])
	copy(f[14+20+8+28:], corpus.B[:]) // chaddr
	return f
}

// While nobody reads the ring, it fills, the rest is dropped and counted, and
// nothing reaches the site; when somebody does again, all is well again.
func TestRingFull(t *testing.T) {
	s := newSite(t, tap)
	s.loadKernel()
	index := s.attach(guard.Compile(corpus.Binding()), true)
	discover := vector(t, "G01").Frames[0]
	// A record is a header of 8 bytes and struct punt of 8 and 1600; a ring
	// holds one byte less than its 4 MiB.
	const sent, fits = 3000, (4<<20 - 1) / (8 + 8 + 1600)
	for range sent {
		s.guest.send(t, discover)
	}
	if diff := cmp.Diff(arrivals{}, s.fromGuest(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("DHCP reached the site (-want +got):\n%s", diff)
	}
	want := datapath.Counters{FromGuest: 1, Taken: map[reason.Reason]uint64{reason.DHCP4: fits}, Dropped: map[reason.Reason]uint64{reason.DHCPRingFull: sent - fits}}
	if diff := cmp.Diff(want, s.counters(index), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.drain()
	s.checkPunts(map[int]uint64{index: fits}, map[int][]byte{index: discover})
	s.guest.send(t, discover)
	s.checkPunts(map[int]uint64{index: 1}, map[int][]byte{index: discover})
}
