package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	frameSize = 1514
	batchSize = 64
	// patience is how long a receive blocks when nothing comes.
	patience = 50 * time.Millisecond
)

// conn is a packet socket on one interface that takes and gives many frames a
// system call. The calls are raw: the generator is one thread with nothing
// else to schedule, and a blocked one costs no hand-over inside of Go.
type conn struct {
	fd     int
	rx, tx *batch
}

// batch is the frames of one system call with the kernel's headers for them.
type batch struct {
	heads []mmsghdr
	iovs  []unix.Iovec
	bufs  [][]byte // of reception
	n     int
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

func newBatch() *batch {
	b := &batch{heads: make([]mmsghdr, batchSize), iovs: make([]unix.Iovec, batchSize), bufs: make([][]byte, batchSize)}
	for i := range b.heads {
		b.bufs[i] = make([]byte, frameSize)
		b.point(i, b.bufs[i])
	}
	return b
}

func (b *batch) point(i int, data []byte) {
	b.iovs[i].Base = &data[0]
	b.iovs[i].SetLen(len(data))
	b.heads[i].Iov = &b.iovs[i]
	b.heads[i].SetIovlen(1)
}

// frame returns what was received in place i.
func (b *batch) frame(i int) []byte { return b.bufs[i][:min(int(b.heads[i].n), frameSize)] }

// dial opens a packet socket on an interface of the thread's namespace.
func dial(name string) (*conn, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	// Protocol 0 receives nothing before bind.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	c := &conn{fd: fd, rx: newBatch(), tx: newBatch()}
	if err := c.configure(iface.Index); err != nil {
		unix.Close(fd) //nolint:errcheck // given up
		return nil, fmt.Errorf("packet socket on %s: %w", name, err)
	}
	return c, nil
}

func (c *conn) configure(index int) error {
	wait := unix.NsecToTimeval(patience.Nanoseconds())
	return errors.Join(
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
		unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index}),
	)
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// receive fills rx with what is there; with nothing there it waits for the
// first frame, up to patience. It returns the number of frames.
func (c *conn) receive() (int, error) {
	n, errno := c.recvmmsg(unix.MSG_DONTWAIT)
	if errno == unix.EAGAIN {
		n, errno = c.recvmmsg(unix.MSG_WAITFORONE)
	}
	if errno == unix.EAGAIN || errno == unix.EINTR || errno == unix.ENETDOWN {
		return 0, nil
	}
	if errno != 0 {
		return 0, fmt.Errorf("receive: %w", errno)
	}
	return n, nil
}

func (c *conn) recvmmsg(flags uintptr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(c.fd),
		uintptr(unsafe.Pointer(&c.rx.heads[0])), batchSize, flags, 0, 0)
	return int(n), errno
}

// queue puts a frame into the next flush; the frame must stay as it is until
// then.
func (c *conn) queue(frame []byte) error {
	if c.tx.n == batchSize {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.tx.point(c.tx.n, frame)
	c.tx.n++
	return nil
}

// flush sends what is queued. What the kernel has no room for is lost, as on
// any link.
func (c *conn) flush() error {
	for done := 0; done < c.tx.n; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(c.fd),
			uintptr(unsafe.Pointer(&c.tx.heads[done])), uintptr(c.tx.n-done), 0, 0, 0)
		if errno == unix.ENOBUFS {
			done++
			continue
		}
		if errno != 0 && errno != unix.EINTR && errno != unix.EAGAIN {
			return fmt.Errorf("send: %w", errno)
		}
		if errno == 0 {
			done += int(n)
		}
	}
	c.tx.n = 0
	return nil
}
