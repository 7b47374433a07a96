package wire

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/lock"
)

// arm puts the second lock on names, which need not exist.
func (s *site) arm(l *lock.Lock, names ...string) {
	s.Helper()
	if err := l.Apply(lock.Desired{Mark: lock.DefaultMark, Names: names}); err != nil {
		s.Fatal(err)
	}
}

func (s *site) openLock() *lock.Lock {
	s.Helper()
	var l *lock.Lock
	var err error
	s.host.Do(func() { l, err = lock.Open() })
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := l.Close(); err != nil {
			s.Error(err)
		}
	})
	return l
}

// replug deletes tapA and makes it again, in the bridge.
func (s *site) replug() {
	s.Helper()
	s.guest.tap.Close()
	s.plugGuest(tap)
	s.host.SetMaster("tapA", "br0")
}

// says lets the guest send a spoofed and an own frame, and checks which arrive.
func (s *site) says(when string, spoofed, own bool) {
	s.Helper()
	frames := [][]byte{mustVector("B01"), mustVector("P14")}
	s.guest.send(s.TB, frames...)
	end := s.sentinel(corpus.B, corpus.B4) // the neighbour's: the guest may be closed
	s.vm.send(s.TB, end)
	var want [][]byte
	for i, passes := range []bool{spoofed, own} {
		if f, _ := s.bridged(frames[i]); passes {
			want = append(want, f)
		}
	}
	if diff := cmp.Diff(want, s.heardLAN.until(s.TB, end), cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("the site heard %s (-want +got):\n%s", when, diff)
	}
	s.heardStack.until(s.TB, end)
}

// Two locks: whatever takes one of them away, the other one is closed.
func TestTwoLocks(t *testing.T) {
	rules := guard.Compile(corpus.Binding())
	for _, nf := range []bool{false, true} {
		t.Run(fmt.Sprintf("bridge-nf %t", nf), func(t *testing.T) {
			s := newSite(t, tap)
			s.openKernel()
			s.bridgeNetfilter(nf)
			l := s.openLock()
			s.says("with no lock", true, true)
			s.arm(l, "tapA")
			s.says("with the lock and no guard", false, false)
			s.attach(rules, false)
			s.says("with both", false, true)
			s.host.Exec("tc", "qdisc", "del", "dev", "tapA", "clsact")
			s.says("after somebody took the filters away", false, false)
			s.attach(rules, true)
			s.says("after the repair", false, true)
			s.host.Exec("nft", "flush", "ruleset")
			s.says("after somebody flushed the rules", false, true)
			s.arm(l, "tapA")
			s.says("armed again", false, true)
			s.replug()
			s.says("on a new device of the name", false, false)
			s.attach(rules, true)
			s.says("with the new device guarded", false, true)
			if err := l.Remove(); err != nil {
				t.Fatal(err)
			}
			s.says("with the guard alone", false, true)
		})
	}
}

// The guard's mark is for the lock alone: nobody behind it sees it.
func TestMarkEndsAtTheLock(t *testing.T) {
	s := newSite(t, tap)
	s.openKernel()
	s.attach(guard.Compile(corpus.Binding()), true)
	s.fromGuest()
	l := s.openLock()
	s.arm(l, "tapA")
	s.fromGuest()
	var marks []uint32
	for _, f := range s.stack.Frames() {
		marks = append(marks, f.Mark)
	}
	if diff := cmp.Diff([]uint32{datapath.Mark, 0}, marks); diff != "" {
		t.Errorf("marks at br0, without the lock and with it (-want +got):\n%s", diff)
	}
	if n, err := l.Drops(); n != 0 || err != nil {
		t.Errorf("the lock dropped %d frames of a guarded NIC (%v)", n, err)
	}
}

// T09, F-I02: a guest that sends from the first instant, and whose device is
// deleted and made again over and over, never gets a spoofed frame out; its own
// ones pass as soon as the guard stands.
func TestNewDeviceIsClosedFromTheStart(t *testing.T) {
	const rounds = 200
	s := newSite(t, tap)
	s.openKernel()
	s.arm(s.openLock(), "tapA")
	rules := guard.Compile(corpus.Binding())
	index := s.host.Index("tapA")
	var armed time.Duration
	for range rounds {
		s.replug()
		s.says("before the guard", false, false)
		start := time.Now()
		old := index
		index = s.attach(rules, false)
		armed += time.Since(start)
		s.says("with the guard", false, true)
		s.forget(old)
	}
	t.Logf("%d devices, %v each until guarded", rounds, (armed / rounds).Round(time.Microsecond))
}

func (s *site) forget(index int) {
	s.Helper()
	var err error
	s.host.Do(func() { err = s.k.Forget(index) })
	if err != nil {
		s.Fatalf("forget ifindex %d: %v", index, err)
	}
}
