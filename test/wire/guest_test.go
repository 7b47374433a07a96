package wire

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/testenv"
)

// guestEnd is the guest's side of tapA.
type guestEnd struct {
	*end                   // of a veth
	tap    *testenv.TapDev // or a tap
	queues []*os.File      // or a tap with several queues
	ear    listener        // where the guest can hear
}

func (s *site) plugGuest(k kind) {
	s.Helper()
	switch k {
	case veth:
		ns := quietNS(s.TB)
		testenv.Veth(s.TB, s.host, "tapA", ns, "eth0", corpus.M)
		s.guest.end = newEnd(s.TB, ns, "eth0")
		s.guest.ear = &ear{s: s.guest.sniffer}
	case tap:
		s.guest.tap = testenv.Tap(s.TB, s.host, "tapA")
		s.guest.ear = &tapEar{s.guest.tap}
	case multiqueue:
		for range 4 {
			s.guest.queues = append(s.guest.queues, s.openQueue("tapA"))
		}
		s.host.SetUp("tapA")
	}
}

// send lets the guest send.
func (g *guestEnd) send(t testing.TB, frames ...[]byte) {
	t.Helper()
	for _, f := range frames {
		switch {
		case g.tap != nil:
			g.tap.Send(f)
		case g.queues != nil:
			g.sendOn(t, 0, f)
		default:
			g.end.send(t, f)
		}
	}
}

// sendOn lets the guest send by one queue.
func (g *guestEnd) sendOn(t testing.TB, queue int, frame []byte) {
	t.Helper()
	if _, err := g.queues[queue].Write(frame); err != nil {
		t.Fatalf("write to queue %d: %v", queue, err)
	}
}

// openQueue opens one more queue of a tap.
func (s *site) openQueue(name string) *os.File {
	s.Helper()
	fd := -1
	var err error
	s.host.Do(func() { fd, err = openQueue(name) })
	if err != nil {
		s.Fatalf("open a queue of %s: %v", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	s.Cleanup(func() { f.Close() })
	return f
}

func openQueue(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return fd, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE)
	return fd, unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
}
