package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/disk"
)

const (
	memberName = "berth"
	quotaBytes = 8 << 30
	// logged is after how many transactions etcd notes on disk how far it is: so
	// many it makes again when it starts. kept is how many of them stay in memory,
	// which only another member could want; one can have a megabyte.
	logged, kept = 1000, 10
	// maxSocketPath is the size of sockaddr_un.sun_path without its closing zero.
	maxSocketPath = 107
)

// server is an etcd of one member in this process. It listens on a unix socket
// in its directory, which only this user (and root) can reach, and on nothing
// else: there are no peers. etcdctl takes the socket too, for a backup.
type server struct {
	etcd    *embed.Etcd
	socket  string
	lock    *os.File
	running atomic.Bool
}

// start returns when the member answers.
func start(ctx context.Context, dir string, log *slog.Logger) (*server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &server{socket: filepath.Join(dir, "etcd.sock")}
	if len(s.socket) > maxSocketPath {
		return nil, fmt.Errorf("socket %s: the path has %d bytes, at most %d fit", s.socket, len(s.socket), maxSocketPath)
	}
	if s.lock, err = take(dir); err != nil {
		return nil, err
	}
	if err := s.run(ctx, dir, log); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) run(ctx context.Context, dir string, log *slog.Logger) (err error) {
	if s.etcd, err = embed.StartEtcd(s.config(dir, log)); err != nil {
		return fmt.Errorf("start etcd in %s: %w", dir, err)
	}
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case err := <-s.etcd.Err():
		return fmt.Errorf("start etcd in %s: %w", dir, err)
	case <-ctx.Done():
		return fmt.Errorf("start etcd in %s: %w", dir, ctx.Err())
	}
}

func (s *server) config(dir string, log *slog.Logger) *embed.Config {
	c := embed.NewConfig()
	c.Name = memberName
	c.Dir = filepath.Join(dir, "data")
	c.ListenPeerUrls = nil
	c.InitialCluster = c.InitialClusterFromName(memberName)
	c.ListenClientUrls = []url.URL{{Scheme: "unix", Path: s.socket}}
	c.AdvertiseClientUrls = c.ListenClientUrls
	c.EnableGRPCGateway = false
	// Nobody contests a lone member's election: it need not wait for one.
	c.TickMs, c.ElectionMs = 20, 200
	c.QuotaBackendBytes = quotaBytes
	c.SnapshotCount, c.SnapshotCatchUpEntries = logged, kept
	c.MaxTxnOps = maxTxnOps
	c.MaxRequestBytes = maxRequestBytes
	// What berth remembers is in keys; etcd's own past is for slow followers.
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, "24h"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(&bridge{handler: log.Handler(), running: &s.running}))
	return c
}

func (s *server) endpoint() string { return "unix://" + s.socket }

func (s *server) done() <-chan struct{} { return s.etcd.Server.StopNotify() }

// stop returns when all is on disk and another process may have the directory.
func (s *server) stop() error {
	s.running.Store(false)
	if s.etcd != nil {
		s.etcd.Close()
	}
	return s.lock.Close()
}

// take makes the directory this process's, as long as the file is open.
func take(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := own(d); err != nil {
		d.Close()
		return nil, fmt.Errorf("directory %s: %w", dir, err)
	}
	return d, nil
}

func own(dir *os.File) error {
	st, err := dir.Stat()
	if err != nil {
		return err
	}
	if err := disk.Trusted(st); err != nil {
		return err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("mode %04o lets others look into it; remove that (chmod 0700)", st.Mode().Perm())
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("another process has its store there: %w", fs.ErrExist)
	}
	return err
}
