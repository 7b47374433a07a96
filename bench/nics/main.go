// Command nics measures how berthd takes up many NICs at once: time from
// start to all in force, to all hardened, restart over standing guards, and
// memory per NIC. It runs in namespaces of its own and prints a table.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/api"
)

const inside = "BERTH_BENCH_INSIDE"

func main() {
	bin := flag.String("bin", "bin", "directory of the built binaries")
	count := flag.Int("nics", 1000, "NICs")
	flag.Parse()
	if err := run(*bin, *count); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(bin string, count int) error {
	if os.Getenv(inside) == "" {
		return enter()
	}
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""); err != nil {
		return fmt.Errorf("mount bpf: %w", err)
	}
	dir, err := os.MkdirTemp("", "berth-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir, bin: bin, count: count}
	return b.all()
}

// enter runs this program again in namespaces of its own.
func enter() error {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	return cmd.Run()
}

// bench is one berthd with its files.
type bench struct {
	dir, bin string
	count    int
	daemon   *exec.Cmd
	client   *api.Client
}

func (b *bench) socket() string { return filepath.Join(b.dir, "run", "s.sock") }

func (b *bench) all() error {
	if err := b.configure(0); err != nil {
		return err
	}
	empty, err := b.start(0)
	if err != nil {
		return err
	}
	base, err := b.rss()
	if err != nil {
		return errors.Join(err, b.stop())
	}
	fmt.Printf("%-52s %10s\n", "start without bindings, to ready", round(empty))
	if err := b.stop(); err != nil {
		return err
	}
	return b.many(base)
}

// many measures the whole life of count NICs.
func (b *bench) many(base int) error {
	if err := b.configure(b.count); err != nil {
		return err
	}
	if err := b.makeLinks(); err != nil {
		return err
	}
	first, err := b.start(b.count)
	if err != nil {
		return err
	}
	what := func(s string) string { return fmt.Sprintf("%d NICs: %s", b.count, s) }
	fmt.Printf("%-52s %10s\n", what("start to all guarded and answered"), round(first))
	rss, err := b.rss()
	if err != nil {
		return err
	}
	fmt.Printf("%-52s %7.1f kB\n", what("daemon memory per NIC (RSS over none)"), float64(rss-base)/float64(b.count))
	kernel, err := b.kernelMemory()
	if err != nil {
		return err
	}
	fmt.Printf("%-52s %7.1f kB\n", what("kernel memory per NIC (maps, without rings)"), float64(kernel)/1024/float64(b.count))
	begin := time.Now()
	if err := b.wait(func(n api.NIC) bool { return n.Installed != nil && n.Installed.Attach == "tcx" }); err != nil {
		return err
	}
	fmt.Printf("%-52s %10s\n", what("then to all on pinned tcx links"), round(time.Since(begin)))
	busy, err := b.idle(5 * time.Second)
	if err != nil {
		return err
	}
	fmt.Printf("%-52s %8.1f %%\n", what("CPU of the daemon while nothing happens"), 100*busy)
	return b.restart(what)
}

// idle returns the share of one CPU that the daemon uses over a while.
func (b *bench) idle(d time.Duration) (float64, error) {
	before, err := b.ticks()
	if err != nil {
		return 0, err
	}
	<-time.After(d)
	after, err := b.ticks()
	const hz = 100 // USER_HZ, the same on every Linux
	return float64(after-before) / hz / d.Seconds(), err
}

// ticks is the daemon's CPU time, user and system.
func (b *bench) ticks() (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.daemon.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, err := strconv.Atoi(f[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(f[12])
	return user + system, err
}

func (b *bench) restart(what func(string) string) error {
	if err := b.daemon.Process.Kill(); err != nil {
		return err
	}
	_ = b.daemon.Wait() // killed: its error is what we asked for
	again, err := b.start(b.count)
	if err != nil {
		return err
	}
	fmt.Printf("%-52s %10s\n", what("restart after kill -9, to all answered"), round(again))
	begin := time.Now()
	if err := os.Remove(b.file(0)); err != nil {
		return err
	}
	err = b.wait(func(n api.NIC) bool { return n.Name != name(0) || n.State == api.Closed })
	fmt.Printf("%-52s %10s\n", what("one file removed, to its NIC closed"), round(time.Since(begin)))
	return errors.Join(err, b.stop())
}

func round(d time.Duration) string { return d.Round(time.Millisecond).String() }

func name(i int) string { return fmt.Sprintf("tap%d", i) }

func (b *bench) file(i int) string { return filepath.Join(b.dir, "nics", name(i)+".yaml") }

// configure writes the configuration and count bindings.
func (b *bench) configure(count int) error {
	for _, d := range []string{"nics", "run"} {
		if err := os.MkdirAll(filepath.Join(b.dir, d), 0o700); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("nics: %[1]s/nics\nnetworks: %[1]s/networks.yaml\nstate: %[1]s/state\nsocket: {path: %[2]s}\nlog: {level: warn}\n", b.dir, b.socket())
	if err := os.WriteFile(filepath.Join(b.dir, "berthd.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	for i := range count {
		doc := fmt.Sprintf("nic: %s\nmac: 52:54:00:00:%02x:%02x\naddresses: [10.%d.%d.2/24, 2001:db8:%[4]x:%[5]x::2/64]\ngateway: 10.%[4]d.%[5]d.1\ngateway6: fe80::1\n",
			name(i), i>>8, i&255, i>>8, i&255)
		if err := os.WriteFile(b.file(i), []byte(doc), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) makeLinks() error {
	for i := range b.count {
		a := netlink.NewLinkAttrs()
		a.Name = name(i)
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: fmt.Sprintf("peer%d", i)}); err != nil {
			return fmt.Errorf("add %s: %w", a.Name, err)
		}
	}
	return nil
}

// start runs berthd and returns how long it took until count NICs were in force.
func (b *bench) start(count int) (time.Duration, error) {
	b.daemon = exec.Command(filepath.Join(b.bin, "berthd"), "-config", filepath.Join(b.dir, "berthd.yaml"))
	b.daemon.Stderr = os.Stderr
	begin := time.Now()
	if err := b.daemon.Start(); err != nil {
		return 0, err
	}
	b.client = api.NewClient(b.socket())
	err := b.poll(func(ctx context.Context) bool {
		s, err := b.client.Status(ctx)
		return err == nil && s.Generation > 0 && s.NICs[api.InForce] == count
	})
	return time.Since(begin), err
}

func (b *bench) stop() error {
	if err := b.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return b.daemon.Wait()
}

func (b *bench) wait(good func(api.NIC) bool) error {
	return b.poll(func(ctx context.Context) bool {
		all, err := b.client.NICs(ctx)
		if err != nil {
			return false
		}
		for _, n := range all {
			if !good(n) {
				return false
			}
		}
		return len(all) > 0
	})
}

func (b *bench) poll(done func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("berthd did not get there: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// rss returns the daemon's resident memory in kB.
func (b *bench) rss() (int, error) {
	return grep(fmt.Sprintf("/proc/%d/status", b.daemon.Process.Pid), "VmRSS:")
}

// kernelMemory adds up what the kernel charges for the hash maps, in bytes.
func (b *bench) kernelMemory() (int, error) {
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", b.daemon.Process.Pid))
	if err != nil {
		return 0, err
	}
	const ringBuffer = 27 // BPF_MAP_TYPE_RINGBUF: fixed, not per NIC
	sum := 0
	for _, fd := range fds {
		kind, err := grep(fd, "map_type:")
		if err != nil || kind == ringBuffer {
			continue // not a map, or closed meanwhile
		}
		n, err := grep(fd, "memlock:")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func grep(file, key string) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), key); ok {
			return strconv.Atoi(strings.Fields(v)[0])
		}
	}
	return 0, fmt.Errorf("%s: no line %q", file, key)
}
