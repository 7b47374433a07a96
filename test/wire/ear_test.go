package wire

import (
	"bytes"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/testenv"
)

// end is an interface outside the host where frames are sent and heard.
type end struct {
	fd, index int
	sniffer   *testenv.Sniffer
}

func newEnd(t testing.TB, ns *testenv.NS, iface string) *end {
	t.Helper()
	e := &end{index: ns.Index(iface), sniffer: testenv.Capture(t, ns, iface, testenv.InboundOnly)}
	e.open(t, ns)
	return e
}

func (e *end) open(t testing.TB, ns *testenv.NS) {
	t.Helper()
	var err error
	ns.Do(func() { e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		t.Fatalf("open a packet socket in %s: %v", ns.Name, err)
	}
	t.Cleanup(func() { unix.Close(e.fd) })
}

func (e *end) send(t testing.TB, frames ...[]byte) {
	t.Helper()
	for _, f := range frames {
		if err := unix.Sendto(e.fd, f, 0, &unix.SockaddrLinklayer{Ifindex: e.index}); err != nil {
			t.Fatalf("send %d bytes: %v", len(f), err)
		}
	}
}

// arrivals are the frames heard at each place, in order.
type arrivals struct{ Guest, LAN, VM, Stack [][]byte }

// listener hears one place.
type listener interface {
	// until returns what arrived since the last call, up to the frame last.
	until(t testing.TB, last []byte) [][]byte
}

// ear is a listener at an interface.
type ear struct {
	s    *testenv.Sniffer
	seen int
}

func (e *ear) until(t testing.TB, last []byte) [][]byte {
	t.Helper()
	e.s.Wait(patience, "the end marker", func(f testenv.Frame) bool { return bytes.Equal(f.Data, last) })
	var got [][]byte
	for _, f := range e.s.Frames()[e.seen:] {
		e.seen++
		if bytes.Equal(f.Data, last) {
			return got
		}
		got = append(got, f.Data)
	}
	t.Fatal("the end marker came before the frames that were read already")
	return nil
}

// tapEar is a listener at the guest's end of a tap.
type tapEar struct{ tap *testenv.TapDev }

func (e *tapEar) until(t testing.TB, last []byte) [][]byte {
	t.Helper()
	var got [][]byte
	for {
		f := e.tap.Receive(patience)
		if f == nil {
			t.Fatalf("tap %s: waited %v in vain for the end marker; saw %x", e.tap.Name, patience, got)
		}
		if bytes.Equal(f, last) {
			return got
		}
		got = append(got, f)
	}
}

// puntLog keeps what the kernel program handed up.
type puntLog struct {
	mu    sync.Mutex
	punts []datapath.Punt
}

func (l *puntLog) add(p datapath.Punt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.Frame = bytes.Clone(p.Frame)
	l.punts = append(l.punts, p)
}

// take waits for n messages and returns all that came, leaving none behind.
func (l *puntLog) take(t testing.TB, n int) []datapath.Punt {
	t.Helper()
	testenv.Wait(t, patience, "messages handed up", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.punts) >= n
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.punts
	l.punts = nil
	return all
}
