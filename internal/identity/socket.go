package identity

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a unix socket, as the kernel vouches
// for it, of the moment when it connected.
type peer struct {
	uid    uint32
	groups []uint32 // its own and the supplementary ones
	err    error    // it cannot be told
}

type peerKey struct{}

// ConnContext is for http.Server: it notes who is at the other end of a unix
// socket. Other connections pass.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c.LocalAddr().Network() != "unix" {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, peerOf(c))
}

func peerOf(c net.Conn) (p peer) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return peer{err: errors.New("the connection has no file descriptor")}
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return peer{err: err}
	}
	if err := raw.Control(func(fd uintptr) { p = peerOfFD(int(fd)) }); err != nil {
		return peer{err: err}
	}
	return p
}

func peerOfFD(fd int) peer {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return peer{err: err}
	}
	groups, err := peerGroups(fd)
	return peer{uid: cred.Uid, groups: append(groups, cred.Gid), err: err}
}

// maxGroups is Linux' NGROUPS_MAX.
const maxGroups = 65536

// peerGroups are the supplementary groups (SO_PEERGROUPS, Linux 4.13).
func peerGroups(fd int) ([]uint32, error) {
	for room := 64; ; room = maxGroups {
		groups := make([]uint32, room)
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno != unix.ERANGE || room == maxGroups:
			return nil, errno
		}
	}
}

// local is who a peer is: an operator if its uid or one of its groups is
// configured, or root's.
func (a *Authenticator) local(p peer) (Identity, error) {
	if p.err != nil {
		return Identity{}, &Refusal{Text: "the kernel does not tell who is at the other end of the socket", Cause: p.err}
	}
	operator := p.uid == 0 || slices.Contains(a.config.UIDs, p.uid) ||
		slices.ContainsFunc(p.groups, func(g uint32) bool { return slices.Contains(a.config.GIDs, g) })
	return Identity{Kind: Local, Name: strconv.FormatUint(uint64(p.uid), 10), Operator: operator}, nil
}
