package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tcpPort   = 5201
	tcpBuffer = 256 << 10
	// tcpWarmUp is left out of the count: the window opens meanwhile.
	tcpWarmUp = 100 * time.Millisecond
)

// stream is what came of a TCP stream.
type stream struct {
	rate float64       // bits a second that arrived, after the warm-up
	all  int           // bytes that arrived, from the first on
	cpu  time.Duration // of both ends' threads
}

// tcp lets the last NIC's guest send one TCP stream to the host behind the
// bridge. Sender and receiver have a CPU each.
func (s *site) tcp(d time.Duration) (st stream, err error) {
	listener := -1
	err = s.lan.do(func() error {
		var err error
		listener, err = listen()
		return err
	})
	if err != nil {
		return st, fmt.Errorf("listen: %w", err)
	}
	defer func() { _ = unix.Close(listener) }()
	sent := make(chan error, 1)
	var sender time.Duration
	go func() {
		sent <- s.guest.do(func() error { return timed(&sender, func() error { return pour(lanAddress()) }) })
	}()
	err = s.lan.do(func() error { return timed(&st.cpu, func() error { return st.drain(listener, d) }) })
	err = errors.Join(err, <-sent)
	st.cpu += sender
	return st, err
}

// timed adds up the CPU time of the calling thread, which includes what the
// kernel does on it for the network.
func timed(spent *time.Duration, f func() error) error {
	before, err := threadTime()
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	after, err := threadTime()
	*spent = after - before
	return err
}

// patience makes accept, connect and write fail instead of waiting for ever for
// an end that can't be reached.
func patience() unix.Timeval { return unix.NsecToTimeval(int64(5 * time.Second)) }

func listen() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	limit := patience()
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.Bind(fd, &unix.SockaddrInet4{Port: tcpPort}),
		unix.Listen(fd, 1),
	)
}

// drain takes one connection's bytes until d after the warm-up.
func (st *stream) drain(listener int, d time.Duration) error {
	if err := pin(1); err != nil {
		return err
	}
	fd, err := again(func() (int, error) {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		return fd, err
	})
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	early, _, err := readFor(fd, tcpWarmUp)
	if err != nil {
		return err
	}
	n, took, err := readFor(fd, d)
	st.all, st.rate = early+n, float64(8*n)/took.Seconds()
	return err
}

func readFor(fd int, d time.Duration) (n int, took time.Duration, err error) {
	buf := make([]byte, tcpBuffer)
	begin := time.Now()
	for took < d {
		got, err := again(func() (int, error) { return unix.Read(fd, buf) })
		if err == nil && got == 0 {
			err = errors.New("the guest closed the connection")
		}
		if err != nil {
			return n, took, fmt.Errorf("receive: %w", err)
		}
		n += got
		took = time.Since(begin)
	}
	return n, took, nil
}

// pour sends to an address until the other end closes.
func pour(to netip.Addr) error {
	if err := pin(0); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	limit := patience()
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.As4(), Port: tcpPort})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	buf := make([]byte, tcpBuffer)
	for err == nil {
		_, err = again(func() (int, error) { return unix.Write(fd, buf) })
	}
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return fmt.Errorf("send: %w", err)
}

// again repeats a system call that a signal of the Go runtime interrupted.
func again(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
