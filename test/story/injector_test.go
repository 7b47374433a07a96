package story_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/testenv"
)

// injector sends frames out of a guest's interface at a steady pace, from a
// goroutine of its own.
type injector struct {
	t     testing.TB
	fd    int
	index int
	stop  chan struct{}
	ended sync.WaitGroup

	mu   sync.Mutex
	sent int
}

// inject sends what next returns, every so often, until halt or the test's
// end. next gets the number of the frame, from 0.
func inject(t testing.TB, ns *testenv.NS, every time.Duration, next func(n int) []byte) *injector {
	t.Helper()
	i := &injector{t: t, index: ns.Index("eth0"), stop: make(chan struct{})}
	var err error
	// A socket belongs to its namespace, whichever thread writes to it.
	ns.Do(func() { i.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		t.Fatalf("inject: %v", err)
	}
	i.ended.Go(func() { i.run(every, next) })
	t.Cleanup(func() { i.halt() })
	return i
}

func (i *injector) run(every time.Duration, next func(n int) []byte) {
	defer unix.Close(i.fd)
	tick := time.NewTicker(every)
	defer tick.Stop()
	to := &unix.SockaddrLinklayer{Ifindex: i.index}
	for n := 0; ; n++ {
		if err := unix.Sendto(i.fd, next(n), 0, to); err != nil {
			if !gone(err) {
				i.t.Errorf("inject: %v", err)
			}
			return
		}
		i.mu.Lock()
		i.sent = n + 1
		i.mu.Unlock()
		select {
		case <-tick.C:
		case <-i.stop:
			return
		}
	}
}

// gone says that the interface was deleted under the injector.
func gone(err error) bool {
	return errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETDOWN)
}

// atLeast stops it once it has sent so many frames: a busy machine may be late.
func (i *injector) atLeast(n int) {
	i.t.Helper()
	testenv.Wait(i.t, 5*time.Second, fmt.Sprintf("%d injected frames", n), func() bool { return i.count() >= n })
	i.halt()
}

// count is how many frames were sent so far.
func (i *injector) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sent
}

// halt ends it and returns how many frames were sent.
func (i *injector) halt() int {
	select {
	case <-i.stop:
	default:
		close(i.stop)
	}
	i.ended.Wait()
	return i.count()
}
