package main

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/wire"
)

// frame is a datagram of 60 bytes, 64 with the check sequence that an
// Ethernet wire would add, from the NIC's guest to the sink.
func (p port) frame() []byte {
	return wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: p.mac, EthDst: sinkMAC(), Src: p.address, Dst: lanAddress(),
		SrcPort: 40000, DstPort: 9, Payload: make([]byte, 18),
	})
}

// spoofed are frames that no guard lets pass: another's MAC, another's
// address, and another's address claimed by ARP.
func (p port) spoofed() [][]byte {
	mac, address := p, p
	mac.mac[5] ^= 0x80
	address.address = address.address.Next()
	arp := wire.ARP{
		EthSrc: p.mac, EthDst: sinkMAC(), Op: 2,
		SenderMAC: p.mac, SenderIP: address.address, TargetMAC: sinkMAC(), TargetIP: lanAddress(),
	}
	return [][]byte{mac.frame(), address.frame(), wire.AppendARP(nil, arp)}
}

// burst is how many frames are sent between two looks at the clock.
const burst = 64

// sender sends burst copies of its frame and says how many the kernel took.
type sender func() (int, error)

// sending is what a guest has sent.
type sending struct {
	frames    int // that the kernel took
	took, cpu time.Duration
}

// send lets a NIC's guest send a frame for a while, one burst at least, from a
// pinned thread. All the way to the sink the frames travel on that thread's
// time, or on that of the CPU's thread for soft interrupts.
func (s *site) send(p port, frame []byte, d time.Duration) (done sending, err error) {
	return done, s.guest.do(func() error {
		if err := pin(0); err != nil {
			return err
		}
		once, finish, err := s.sender(p, frame)
		if err != nil {
			return err
		}
		defer finish()
		before, err := s.spent()
		if err != nil {
			return err
		}
		if err := done.repeat(once, d); err != nil {
			return fmt.Errorf("send from %s: %w", p.name, err)
		}
		after, err := s.spent()
		done.cpu = after - before
		return err
	})
}

func (n *sending) repeat(once sender, d time.Duration) error {
	begin := time.Now()
	for {
		sent, err := once()
		if err != nil {
			return err
		}
		n.frames += sent
		if n.took = time.Since(begin); n.took >= d {
			return nil
		}
	}
}

// spent is the CPU time so far of the calling thread and of the thread for
// soft interrupts of the last CPU.
func (s *site) spent() (time.Duration, error) {
	own, err := threadTime()
	if err != nil {
		return 0, err
	}
	soft, err := s.soft.spent()
	return own + soft, err
}

func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}

func (s *site) sender(p port, frame []byte) (once sender, done func(), err error) {
	if fd, ok := s.taps[p.number]; ok {
		return tapSender(fd, frame), func() {}, nil
	}
	fd, err := openPacket(p.guestName())
	return packetSender(fd, frame), func() { _ = unix.Close(fd) }, err
}

// openPacket is how a program in the guest's namespace sends raw frames, past
// the queueing discipline.
func openPacket(name string) (int, error) {
	iface, err := linkIndex(name)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: iface}),
	)
	return fd, err
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	sent uint32
	_    [4]byte
}

// packetSender sends a burst in one system call.
func packetSender(fd int, frame []byte) sender {
	iov := unix.Iovec{Base: &frame[0]}
	iov.SetLen(len(frame))
	msgs := make([]mmsghdr, burst)
	for i := range msgs {
		msgs[i].Iov = &iov
		msgs[i].SetIovlen(1)
	}
	return func() (int, error) {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&msgs[0])), burst, 0, 0, 0)
		if errno == unix.ENOBUFS {
			return 0, nil // a full backlog: the frame counts as lost
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}

// tapSender writes as QEMU without vhost does: a system call a frame.
func tapSender(fd int, frame []byte) sender {
	return func() (int, error) {
		for i := range burst {
			_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)))
			if errno != 0 {
				return i, errno
			}
		}
		return burst, nil
	}
}

// openTap makes a tap without a virtio header, in the calling thread's
// namespace.
func openTap(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return -1, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	return fd, unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
}

// dropAll makes a tap free all that is sent to it.
func dropAll(tap int) error {
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	program := unix.SockFprog{Len: 1, Filter: &nothing}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(tap), unix.TUNATTACHFILTER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}
