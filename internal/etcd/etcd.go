// Package etcd keeps the controller's truth: an etcd of its own in a
// directory, or the cluster that a site already has. A change is one
// transaction, and every replica follows all of them in order.
//
// All keys are relative to the prefix that the store was opened with.
//
// Not here: what keys mean (fleet), what a change consists of (ipam), and who
// tries again when another was faster (control).
package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// DefaultPrefix is before all keys. Its number is that of the keys' format.
const DefaultPrefix = "/berth/1/"

const (
	// maxTxnOps lets one transaction hold the largest request.
	maxTxnOps       = 20000
	maxRequestBytes = 16 << 20
	defaultTimeout  = 10 * time.Second
)

// Options say where the store is: Endpoints or Dir.
type Options struct {
	// Dir is the directory of an etcd in this process. It is made if needed, for
	// this user alone; one that others can look into is refused.
	Dir string
	// Endpoints of a cluster, as URLs. Without TLS they must be of this machine.
	Endpoints []string
	TLS       TLS
	Username  string // if the cluster asks for one
	Password  string
	Prefix    string        // DefaultPrefix unless given; ends in a slash
	Timeout   time.Duration // of one operation; 10 s unless given. An etcd of its own may take longer to start
	Log       *slog.Logger  // none: nothing is logged
}

// Store is an open one; its methods may be called by many goroutines.
type Store struct {
	client  *clientv3.Client
	server  *server // nil: a cluster elsewhere
	prefix  string
	timeout time.Duration
	asking  time.Duration
	log     *slog.Logger
}

// Open returns when the store can be read. An etcd of its own is then also
// this process's to stop: by Close.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{
		prefix:  cmp.Or(o.Prefix, DefaultPrefix),
		timeout: cmp.Or(o.Timeout, defaultTimeout),
		asking:  asking,
		log:     cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
	}
	if err := s.open(ctx, o); err != nil {
		return nil, fmt.Errorf("open store: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, o Options) (err error) {
	if (o.Dir == "") == (len(o.Endpoints) == 0) {
		return errors.New("want either a directory or endpoints")
	}
	if o.Dir != "" {
		if s.server, err = start(ctx, o.Dir, s.log); err != nil {
			return err
		}
		o.Endpoints = []string{s.server.endpoint()}
	}
	config, err := o.client(s.log)
	if err != nil {
		return err
	}
	if s.client, err = clientv3.New(config); err != nil {
		return err
	}
	if err := s.Health(ctx); err != nil {
		return err
	}
	if s.server != nil {
		s.server.running.Store(true)
	}
	return nil
}

// client is the configuration of the connections.
func (o Options) client(log *slog.Logger) (clientv3.Config, error) {
	secure, err := o.TLS.config(o.Endpoints)
	return clientv3.Config{
		Endpoints: o.Endpoints,
		TLS:       secure,
		Username:  o.Username,
		Password:  o.Password,
		// A cut network is noticed though nothing is sent.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		MaxCallSendMsgSize:   maxRequestBytes,
		// What the client logs are errors that it also returns.
		Logger: zap.New(&bridge{handler: log.Handler(), running: new(atomic.Bool)}),
		// A store that is back after long is found soon.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		})},
	}, err
}

// Close ends all calls, and stops the store's own etcd.
func (s *Store) Close() error {
	var err error
	if s.client != nil {
		err = s.client.Close()
	}
	if s.server != nil {
		err = errors.Join(err, s.server.stop())
	}
	return err
}

// Health is nil if the store can be read, and says that its members agree.
func (s *Store) Health(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if _, err := s.client.Get(clientv3.WithRequireLeader(ctx), s.prefix, clientv3.WithCountOnly()); err != nil {
		return readError(err)
	}
	resp, err := s.client.AlarmList(ctx)
	if err != nil {
		return readError(err)
	}
	for _, a := range resp.Alarms {
		err = errors.Join(err, fmt.Errorf("etcd member %x has raised the alarm %s", a.MemberID, a.Alarm))
	}
	return err
}

// Done is closed if the store's own etcd has ended by itself; nil for a
// cluster elsewhere.
func (s *Store) Done() <-chan struct{} {
	if s.server == nil {
		return nil
	}
	return s.server.done()
}

func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}
