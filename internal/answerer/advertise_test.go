package answerer_test

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// station is a working sender: it hears router advertisements, and when.
type station struct {
	mu   sync.Mutex
	news *sync.Cond
	all  []heard
}

type heard struct {
	index    int
	at       time.Time
	src      netip.Addr
	lifetime uint16   // of the router
	prefixes []string // "prefix preferred/valid"
}

func newStation() *station {
	s := &station{}
	s.news = sync.NewCond(&s.mu)
	return s
}

func (s *station) Send(index int, frame []byte) error {
	m, err := wire.ParseICMP6(frame)
	if err != nil {
		return err
	}
	if m.Message[0] != 134 || m.HopLimit != 255 || m.Dst != netip.MustParseAddr("ff02::1") {
		return fmt.Errorf("not an unsolicited advertisement: %x", frame)
	}
	h := heard{index: index, at: time.Now(), src: m.Src, lifetime: uint16(m.Message[6])<<8 | uint16(m.Message[7])}
	for opts := m.Message[16:]; len(opts) >= 8; opts = opts[int(opts[1])*8:] {
		if opts[0] == 3 {
			p := netip.PrefixFrom(netip.AddrFrom16([16]byte(opts[16:32])), int(opts[2]))
			h.prefixes = append(h.prefixes, fmt.Sprintf("%s %x/%x", p, opts[8:12], opts[4:8]))
		}
	}
	s.mu.Lock()
	s.all = append(s.all, h)
	s.mu.Unlock()
	s.news.Broadcast()
	return nil
}

// wait blocks until the station has heard enough, and fails after a long time.
func (s *station) wait(t *testing.T, what string, enough func([]heard) bool) []heard {
	t.Helper()
	late := time.AfterFunc(time.Minute, s.news.Broadcast)
	defer late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for begin := time.Now(); !enough(s.all); s.news.Wait() {
		if time.Since(begin) > 50*time.Second {
			t.Fatalf("%s: heard %d advertisements", what, len(s.all))
		}
	}
	return slices.Clone(s.all)
}

func advertising(t *testing.T, s *station) *answerer.Answerer {
	t.Helper()
	a := answerer.New(s, duid(), func(answerer.Exchange) {})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Advertise(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a
}

// identity is a NIC with one address, advertised to every four seconds.
func identity(digest uint64, address string) answerer.Setting {
	b := corpus.Binding()
	b.Addresses = []netip.Prefix{netip.MustParsePrefix(address)}
	b.RA = nic.RA{Interval: 4, Lifetime: 1800, Preferred: 600, Valid: 1200, HopLimit: 64}
	return answerer.Setting{Binding: b, Digest: digest}
}

// A thousand NICs that come up at once are all told, again and again, and
// never more than 200 in any 100 ms.
func TestAdvertisementsAreSpread(t *testing.T) {
	const nics, rounds = 1000, 3
	s := newStation()
	a := advertising(t, s)
	up := map[int]bool{}
	for i := range nics {
		a.Answer(i+1, fmt.Sprint("tap", i), identity(1, "2001:db8:1::10/64"))
		up[i+1] = true
	}
	a.Running(up)
	count := map[int]int{}
	next := 0
	all := s.wait(t, "three rounds", func(all []heard) bool {
		for ; next < len(all); next++ {
			count[all[next].index]++
		}
		for i := range nics {
			if count[i+1] < rounds {
				return false
			}
		}
		return true
	})
	if most := densest(all, 100*time.Millisecond); most > 200 {
		t.Errorf("%d advertisements within 100 ms", most)
	}
	gaps, most, sum := map[time.Duration]int{}, 0, 0
	last := map[int]time.Time{}
	for _, h := range all {
		if before, ok := last[h.index]; ok {
			gap := h.at.Sub(before)
			gaps[gap.Round(50*time.Millisecond)]++
			most, sum = max(most, gaps[gap.Round(50*time.Millisecond)]), sum+1
			if gap < 2900*time.Millisecond {
				t.Fatalf("NIC %d was told again after %s", h.index, gap)
			}
		}
		last[h.index] = h.at
	}
	if most > sum/4 {
		t.Errorf("no jitter: %d of %d intervals are the same: %v", most, sum, gaps)
	}
}

// densest is the largest number of events within a span.
func densest(all []heard, span time.Duration) int {
	slices.SortFunc(all, func(a, b heard) int { return a.at.Compare(b.at) })
	most, from := 0, 0
	for i := range all {
		for all[i].at.Sub(all[from].at) > span {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// What a changed binding no longer announces is taken back at once, and stays
// taken back; what is removed says so with its last breath.
func TestWithdrawal(t *testing.T) {
	s := newStation()
	a := advertising(t, s)
	a.Answer(7, "tap7", identity(1, "2001:db8:1::10/64"))
	a.Running(map[int]bool{7: true})
	s.wait(t, "the first", func(all []heard) bool { return len(all) == 1 })
	a.Hold(7)
	a.Answer(7, "tap7", identity(2, "2001:db8:2::10/64"))
	s.wait(t, "after the change", func(all []heard) bool { return len(all) == 3 })
	a.Silence(7)
	all := s.wait(t, "the last", func(all []heard) bool { return len(all) == 4 })
	want := [][]string{
		{"2001:db8:1::/64 00000258/000004b0"},
		{"2001:db8:2::/64 00000258/000004b0", "2001:db8:1::/64 00000000/00000000"},
		{"2001:db8:2::/64 00000258/000004b0", "2001:db8:1::/64 00000000/00000000"},
		{"2001:db8:2::/64 00000000/00000000", "2001:db8:1::/64 00000000/00000000"},
	}
	for i, h := range all {
		if diff := cmp.Diff(want[i], h.prefixes); diff != "" {
			t.Errorf("advertisement %d (-want +got):\n%s", i, diff)
		}
		if lifetime := []uint16{1800, 1800, 1800, 0}[i]; h.lifetime != lifetime || h.src != corpus.GLL {
			t.Errorf("advertisement %d: router lifetime %d from %s, want %d from %s", i, h.lifetime, h.src, lifetime, corpus.GLL)
		}
	}
}

// A device that is gone leaves no last words: its ifindex may be another's.
func TestDroppedIsNotTakenBack(t *testing.T) {
	s := newStation()
	a := advertising(t, s)
	a.Answer(7, "tap7", identity(1, "2001:db8:1::10/64"))
	a.Running(map[int]bool{7: true})
	s.wait(t, "the first", func(all []heard) bool { return len(all) == 1 })
	a.Drop(7)
	a.Answer(7, "heir", identity(2, "2001:db8:2::10/64"))
	a.Running(map[int]bool{7: true})
	all := s.wait(t, "the heir's", func(all []heard) bool { return len(all) >= 2 })
	if diff := cmp.Diff([]string{"2001:db8:2::/64 00000258/000004b0"}, all[1].prefixes); diff != "" {
		t.Errorf("the first that the heir hears (-want +got):\n%s", diff)
	}
}

// gate is a working sender that takes its time: a frame passes when told.
type gate struct{ at, pass chan struct{} }

func (g gate) Send(int, []byte) error {
	g.at <- struct{}{}
	<-g.pass
	return nil
}

// Hold waits for an advertisement on its way, until it is sent and reported.
func TestHoldWaitsForAnAdvertisement(t *testing.T) {
	g := gate{at: make(chan struct{}), pass: make(chan struct{})}
	var reported atomic.Bool
	a := answerer.New(g, duid(), func(answerer.Exchange) { reported.Store(true) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Advertise(ctx) }()
	a.Answer(7, "tap7", identity(1, "2001:db8:1::10/64"))
	a.Running(map[int]bool{7: true})
	<-g.at
	before := make(chan bool, 1)
	go func() {
		a.Hold(7)
		before <- reported.Load()
	}()
	for a.Answering()[7] != 0 { // until it is held
		runtime.Gosched()
	}
	select {
	case <-before:
		t.Error("Hold returned while an advertisement was on its way")
	default:
	}
	close(g.pass)
	if !<-before {
		t.Error("Hold returned before the advertisement was reported")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A routed NIC that comes up, and one whose gateway's MAC changes, is told where
// its neighbours are, before anything else.
func TestRoutedNICIsToldItsNeighbours(t *testing.T) {
	w := &frames{news: make(chan []byte, 64)}
	a := answerer.New(w, duid(), func(answerer.Exchange) {})
	done := make(chan error, 1)
	go func() { done <- a.Advertise(t.Context()) }()
	s := identity(1, "2001:db8:1::10/64")
	s.Binding.Routed, s.Binding.Neighbours = true, nic.NeighboursAll
	s.Binding.Addresses = append(s.Binding.Addresses, netip.PrefixFrom(corpus.M4, 24))
	s.ServerID, s.GatewayMAC = corpus.G4, corpus.G
	a.Answer(7, "tap7", s)
	a.Running(map[int]bool{7: true})
	heard := func(gateway nic.MAC) {
		t.Helper()
		for _, want := range []string{
			fmt.Sprint("ARP 1 192.0.2.1 is ", gateway), fmt.Sprint("ARP 2 192.0.2.1 is ", gateway),
			fmt.Sprint("NA fe80::1 is ", gateway, " flags a0"), "NA fe80::62:65ff:fe72:7468 is 02:62:65:72:74:68 flags 20",
			"RA fe80::1",
		} {
			if got := told(t, <-w.news); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
	}
	heard(corpus.G)
	moved := s
	moved.GatewayMAC, moved.Digest = corpus.S, 2
	a.Hold(7)
	a.Answer(7, "tap7", moved)
	heard(corpus.S)
}

// frames is a working sender that passes on what it is given.
type frames struct{ news chan []byte }

func (f *frames) Send(_ int, frame []byte) error {
	f.news <- slices.Clone(frame)
	return nil
}

// told says what an announcement is.
func told(t *testing.T, frame []byte) string {
	t.Helper()
	if a, err := wire.ParseARP(frame); err == nil {
		if a.SenderIP != a.TargetIP || a.EthDst != corpus.BC {
			t.Errorf("not gratuitous: %+v", a)
		}
		return fmt.Sprintf("ARP %d %s is %s", a.Op, a.SenderIP, a.SenderMAC)
	}
	m, err := wire.ParseICMP6(frame)
	if err != nil {
		t.Fatal(err)
	}
	if m.Message[0] == 134 {
		return "RA " + m.Src.String()
	}
	return fmt.Sprintf("NA %s is %s flags %x", netip.AddrFrom16([16]byte(m.Message[8:24])), nic.MAC(m.Message[26:32]), m.Message[4])
}

// A NIC whose guest is not there is not advertised to; it is as soon as it is.
func TestDownIsSilentAndUpIsTold(t *testing.T) {
	s := newStation()
	a := advertising(t, s)
	a.Answer(7, "tap7", identity(1, "2001:db8:1::10/64"))
	a.Answer(8, "tap8", identity(1, "2001:db8:1::11/64"))
	a.Running(map[int]bool{8: true})
	s.wait(t, "tap8", func(all []heard) bool { return len(all) == 2 })
	a.Running(map[int]bool{7: true})
	all := s.wait(t, "tap7", func(all []heard) bool { return slices.ContainsFunc(all, func(h heard) bool { return h.index == 7 }) })
	if all[0].index != 8 || all[1].index != 8 {
		t.Errorf("tap7 was told while it was down: %+v", all)
	}
	heardBefore := len(all)
	all = s.wait(t, "tap7 again", func(all []heard) bool { return len(all) == heardBefore+2 })
	for _, h := range all[heardBefore:] {
		if h.index != 7 {
			t.Errorf("tap%d was told while it was down", h.index)
		}
	}
}
