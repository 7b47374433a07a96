// Command berthd is the node agent: it gives every NIC that has a binding its
// identity, and nothing else to any.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/agent"
	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/hook"
	"github.com/berth-net/berth/internal/hostroute"
	"github.com/berth-net/berth/internal/link"
	"github.com/berth-net/berth/internal/lock"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/service"
	"github.com/berth-net/berth/internal/source/controller"
	"github.com/berth-net/berth/internal/store"
)

// version is set by the linker.
var version = "dev"

// Exit codes, documented in docs/berthd.md.
const (
	exitOK      = 0
	exitRuntime = 1 // failed while running
	exitUsage   = 2 // flags
	exitConfig  = 3 // configuration or, with -check, bindings
	exitEnv     = 4 // the machine lacks something: root, bpf file system, kernel features
)

func main() {
	twoAtOnce()
	paceCollector()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("berthd", flag.ContinueOnError)
	fs.SetOutput(stderr)
	file := fs.String("config", "/etc/berth/berthd.yaml", "configuration `file`; may be missing")
	check := fs.Bool("check", false, "check the configuration and every binding, print all mistakes, and exit")
	show := fs.Bool("version", false, "print the version and exit")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		fmt.Fprintln(stderr, "berthd: takes no arguments but flags; see -help")
		return exitUsage
	}
	if *show {
		fmt.Fprintln(stdout, "berthd", version)
		return exitOK
	}
	cfg, err := loadConfig(*file)
	if err != nil {
		fmt.Fprintln(stderr, "berthd:", err)
		return exitConfig
	}
	if *check {
		return checkBindings(cfg, stdout)
	}
	log := cfg.Log.New(stderr)
	if err := serve(ctx, cfg, log); err != nil {
		log.Error("berthd stops", "err", err)
		switch {
		case errors.Is(err, errEnvironment):
			return exitEnv
		case errors.Is(err, errConfig):
			return exitConfig
		}
		return exitRuntime
	}
	return exitOK
}

var (
	errEnvironment = errors.New("environment")
	errConfig      = errors.New("configuration")
)

// serve wires everything by hand and runs it until ctx ends.
func serve(ctx context.Context, cfg config, log *slog.Logger) error {
	from, warnings, err := cfg.readers()
	if err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	for _, w := range warnings {
		log.Warn("configuration", "note", w)
	}
	unlock, err := onlyInstance(cfg.State)
	if err != nil {
		return fmt.Errorf("%w: %w", errEnvironment, err)
	}
	defer unlock()
	kernel, err := datapath.Open(cfg.BPF)
	if err != nil {
		return fmt.Errorf("%w: %w", errEnvironment, err)
	}
	defer closeLogged(log, kernel)
	nft, err := lock.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", errEnvironment, err)
	}
	defer closeLogged(log, nft)
	socket, err := answerer.OpenSocket()
	if err != nil {
		return fmt.Errorf("%w: %w", errEnvironment, err)
	}
	defer closeLogged(log, socket)
	routes, err := hostroute.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", errEnvironment, err)
	}
	defer routes.Close()
	kept, err := store.Open(cfg.State)
	if err != nil {
		return err
	}
	duid, err := serverDUID(cfg.DUID, cfg.State)
	if err != nil {
		return err
	}
	remote := controller.New(filepath.Join(cfg.State, "controller"), controller.Host{Version: version, Kernel: kernelRelease()})
	a, err := agent.New(agent.Options{
		Kernel: kernel, Lock: nft, Routes: routes, Links: &link.Watcher{}, Sender: socket, Store: kept, DUID: duid,
		Sources: append(sources(from), remote),
		Policy:  plan.Policy{Closed: cfg.Closed, Deny: cfg.Deny, Allow: cfg.Allow},
		Hooks:   hook.New(cfg.Hooks), DaemonAnswers: cfg.Answers == byDaemon,
		Log:     log,
		Version: version, Release: kernelRelease(),
		Ready: func() {
			debug.FreeOSMemory() // the first reading of everything takes several times what is kept of it
			service.Notify("READY=1")
		},
	})
	if err != nil {
		return err
	}
	remote.Node = a
	listener, err := cfg.Socket.listen()
	if err != nil {
		return err
	}
	log.Info("berthd starts", "version", version, "kernel", kernelRelease(), "tcx", kernel.TCX(), "duid", formatDUID(duid), "socket", cfg.Socket.Path)
	defer logClients(log, a.Bindings)()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error { return api.NewServer(a, log).Serve(ctx, listener) })
	return g.Wait()
}

func (s *socket) listen() (*api.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o755); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	return api.Listen(s.Path, os.FileMode(s.Mode), s.Group)
}

func closeLogged(log *slog.Logger, c io.Closer) {
	if err := c.Close(); err != nil {
		log.Warn("close", "err", err)
	}
}

// onlyInstance takes the state directory for this process. The kernel drops
// the lock with the process, so there is never a stale one.
func onlyInstance(state string) (unlock func(), err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(state, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: another berthd is running: %w", f.Name(), err)
	}
	return func() { _ = f.Close() }, nil
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
