package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/rest"
	"github.com/berth-net/berth/internal/service"
)

var (
	errEnvironment = errors.New("environment")
	errConfig      = errors.New("configuration")
	errStore       = errors.New("the store's own etcd has stopped")
)

// storeTime is how long a cluster may take to answer at the start.
const storeTime = time.Minute

// serve wires everything by hand and runs it until ctx ends.
func serve(ctx context.Context, cfg config, restored bool, log *slog.Logger) error {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("%w: make the data directory: %w", errEnvironment, err)
	}
	ca, err := cfg.authority()
	if err != nil {
		return fmt.Errorf("%w: %w", errEnvironment, err)
	}
	who, err := cfg.identity([]*x509.Certificate{ca.Certificate()})
	if err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	store, err := openStore(ctx, cfg, log)
	if err != nil {
		return fmt.Errorf("%w: %w", errEnvironment, err)
	}
	defer closeLogged(log, store)
	names, urls := cfg.reachable()
	replica := control.New(control.Options{
		Store: store, CA: ca, Log: log, Name: cfg.Name, URLs: urls,
		Retention: time.Duration(cfg.Retention), Restored: restored,
	})
	server, err := rest.New(rest.Options{Replica: replica, Who: who, Log: log, Version: version})
	if err != nil {
		return err
	}
	remote, local, err := cfg.listeners(server.TLS(ca.Serve(names, time.Now)))
	if err != nil {
		return fmt.Errorf("%w: %w", errEnvironment, err)
	}
	log.Info("berth-controller starts", "version", version, "name", cfg.Name, "listen", remote.Addr().String(), "socket", cfg.Socket.Path, "names", names, "ca", ca.Fingerprint())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return replica.Run(ctx) })
	g.Go(func() error { return server.Serve(ctx, remote) })
	g.Go(func() error { return server.Serve(ctx, local) })
	g.Go(func() error { return ended(ctx, store) })
	g.Go(func() error { return announce(ctx, replica, log) })
	return g.Wait()
}

// openStore opens etcd; a cluster that is not there yet is waited for. One of our
// own may take minutes to read what it has.
func openStore(ctx context.Context, cfg config, log *slog.Logger) (*etcd.Store, error) {
	o, err := cfg.store()
	if err != nil {
		return nil, err
	}
	o.Log = log.With("part", "store")
	if o.Dir != "" {
		return etcd.Open(ctx, o)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	for {
		store, err := etcd.Open(ctx, o)
		if err == nil || ctx.Err() != nil {
			return store, err
		}
		log.Warn("the store does not answer; trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// ended fails when the store's own etcd does.
func ended(ctx context.Context, store *etcd.Store) error {
	select {
	case <-ctx.Done():
		return nil
	case <-store.Done():
		return errStore
	}
}

// announce tells the service manager when the site is known.
func announce(ctx context.Context, replica *control.Replica, log *slog.Logger) error {
	if err := replica.Known(ctx); err != nil {
		return nil // it stops before
	}
	revision, _ := replica.Revision()
	log.Info("the site is known", "revision", revision)
	service.Notify("READY=1")
	<-ctx.Done()
	service.Notify("STOPPING=1")
	return nil
}

func (c *config) authority() (*pki.CA, error) {
	if c.CA.Cert != "" {
		return pki.Load(c.CA.Cert, c.CA.Key)
	}
	return pki.Open(c.Data, time.Now())
}

// listeners are the port and the socket.
func (c *config) listeners(conf *tls.Config) (remote, local net.Listener, err error) {
	tcp, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Dir(c.Socket.Path), 0o755); err != nil {
		tcp.Close()
		return nil, nil, fmt.Errorf("make the socket's directory: %w", err)
	}
	local, err = api.Listen(c.Socket.Path, os.FileMode(c.Socket.Mode), c.Socket.Group)
	if err != nil {
		tcp.Close()
		return nil, nil, err
	}
	return tls.NewListener(rest.Limit(tcp), conf), local, nil
}

func closeLogged(log *slog.Logger, store *etcd.Store) {
	if err := store.Close(); err != nil {
		log.Warn("close the store", "err", err)
	}
}
