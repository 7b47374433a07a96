package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// DefaultSocket is where berthd listens unless told otherwise.
const DefaultSocket = "/run/berth/berthd.sock"

// maxConns bounds what one node's clients can hold open.
const maxConns = 1024

// sunPathLen is the size of sockaddr_un.sun_path, with the closing zero byte
// and room for the suffix of the name it is made under.
const sunPathLen = 108 - len(madeSuffix) - 1

const madeSuffix = ".new"

// Listener is berthd's unix socket. Who may connect is decided by the file's
// owner, group and mode; every connection knows its peer.
type Listener struct {
	*net.UnixListener
	path  string
	inode os.FileInfo
	slots chan struct{}
	once  sync.Once
	done  chan struct{}
}

// Listen makes the socket at path with the mode, and for the group unless that
// is empty. A socket another process listens on is left alone and is an error;
// one that nobody listens on is replaced. The socket appears under its name
// only when its mode and group are right, by a rename.
func Listen(path string, mode os.FileMode, group string) (*Listener, error) {
	if len(path) > sunPathLen {
		return nil, fmt.Errorf("socket %s: the path has %d bytes, at most %d fit", path, len(path), sunPathLen)
	}
	dir, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	defer dir.Close() // closing drops the lock
	if err := checkFree(path); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	l, err := listenAs(path, mode, group)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return l, nil
}

// lockDir checks that nobody but root or us can put things into the directory
// and holds a lock on it, so that of two agents started at once one sees the
// other's socket.
func lockDir(path string) (*os.File, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		dir.Close()
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock directory %s: %w", path, err)
	}
	return dir, nil
}

func checkDir(dir *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return fmt.Errorf("directory %s: %w", dir.Name(), err)
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("directory %s belongs to uid %d, want root or uid %d", dir.Name(), st.Uid, os.Geteuid())
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("directory %s has mode %04o: others could replace the socket", dir.Name(), st.Mode&0o7777)
	}
	return nil
}

// checkFree accepts a path with nothing or a dead socket at it.
func checkFree(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("there is something that is no socket (%s)", fi.Mode().Type())
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return errors.New("another process listens on it")
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err // EAGAIN is a full backlog: somebody is there
	}
	return nil
}

func listenAs(path string, mode os.FileMode, group string) (*Listener, error) {
	made := path + madeSuffix
	if err := os.Remove(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	fi, err := publish(made, path, mode, group)
	if err != nil {
		l.Close()
		os.Remove(made)
		return nil, err
	}
	return &Listener{UnixListener: l, path: path, inode: fi, slots: make(chan struct{}, maxConns), done: make(chan struct{})}, nil
}

func publish(made, path string, mode os.FileMode, group string) (os.FileInfo, error) {
	if group != "" {
		gid, err := groupID(group)
		if err != nil {
			return nil, err
		}
		if err := os.Chown(made, -1, gid); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(made, mode); err != nil {
		return nil, err
	}
	fi, err := os.Lstat(made)
	if err != nil {
		return nil, err
	}
	return fi, os.Rename(made, path)
}

func groupID(group string) (int, error) {
	if gid, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(gid), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", group, err)
	}
	return strconv.Atoi(g.Gid)
}

// Accept waits for a free slot and a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.AcceptUnix()
	if err != nil {
		<-l.slots
		return nil, err
	}
	actor, err := peer(c)
	if err != nil {
		_ = c.Close() // the peer is gone already; the next one may not be
	}
	return &conn{UnixConn: c, actor: actor, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close stops listening and removes the socket, if it is still ours.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		if fi, err := os.Lstat(l.path); err == nil && os.SameFile(fi, l.inode) {
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// conn is a connection with its peer; closing it frees its slot.
type conn struct {
	*net.UnixConn
	actor Actor
	free  func()
}

func (c *conn) Close() error {
	defer c.free()
	return c.UnixConn.Close()
}

func peer(c *net.UnixConn) (Actor, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Actor{}, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return Actor{}, err
	}
	if credErr != nil {
		return Actor{}, credErr
	}
	return Actor{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}
