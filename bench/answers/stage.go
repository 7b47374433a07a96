package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stage is a host with one port, tap0, and the guest at its other end: eth0 in
// a namespace of its own. The thread that made it must stay the caller's.
type stage struct {
	dir         string // files of the server, in memory
	host, guest int    // namespaces
	cpus        placement
}

// placement keeps server and generator apart.
type placement struct {
	Server, Sender string // as taskset -c takes them
}

const port = "tap0"

func newStage(cpus placement) (*stage, error) {
	runtime.LockOSThread()
	if os.Getenv(inside) == "" {
		return nil, errors.New("a stage needs namespaces of its own")
	}
	// Mounts of this namespace alone; they end with it.
	const memory = "/dev/shm"
	s := &stage{dir: memory, cpus: cpus}
	return s, errors.Join(unix.Mount("tmpfs", memory, "tmpfs", 0, "mode=755"), unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""),
		s.namespaces(), s.wire())
}

// namespaces makes the guest's; /proc/sys/net is that of the calling thread.
func (s *stage) namespaces() (err error) {
	const own = "/proc/thread-self/ns/net"
	if s.host, err = unix.Open(own, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	quiet := map[string]string{"accept_dad": "0", "dad_transmits": "0", "accept_ra": "0"}
	if err := sysctls(quiet); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	if s.guest, err = unix.Open(own, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	return errors.Join(sysctls(map[string]string{"disable_ipv6": "1"}), unix.Setns(s.host, unix.CLONE_NEWNET))
}

func sysctls(values map[string]string) error {
	var errs []error
	for k, v := range values {
		errs = append(errs, os.WriteFile("/proc/sys/net/ipv6/conf/default/"+k, []byte(v), 0))
	}
	return errors.Join(errs...)
}

// wire makes tap0 with the server's addresses and the guest's eth0.
func (s *stage) wire() error {
	mac, guest := serverMAC(), newClient(0).mac
	a := netlink.NewLinkAttrs()
	a.Name, a.HardwareAddr = port, mac[:]
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "eth0", PeerNamespace: netlink.NsFd(s.guest), PeerHardwareAddr: guest[:]})
	if err != nil {
		return fmt.Errorf("add %s: %w", port, err)
	}
	for _, addr := range []string{serverAddr4().String() + "/24", serverAddr6().String() + "/64"} {
		if err := address(port, addr); err != nil {
			return err
		}
	}
	return errors.Join(up(port), s.inGuest(func() error { return errors.Join(up("eth0"), attachEnd("eth0")) }))
}

func address(name, addr string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(l, a)
}

func up(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

// inGuest calls f in the guest's namespace; what f starts stays there.
func (s *stage) inGuest(f func() error) error {
	if err := unix.Setns(s.guest, unix.CLONE_NEWNET); err != nil {
		return err
	}
	return errors.Join(f(), unix.Setns(s.host, unix.CLONE_NEWNET))
}

// pinned is a command that runs on some CPUs and ends with this thread.
func pinned(cpus string, args ...string) *exec.Cmd {
	cmd := exec.Command("taskset", append([]string{"-c", cpus}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// self is another command of this program on the sender's CPUs.
func (s *stage) self(args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := pinned(s.cpus.Sender, append([]string{self}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// generate runs the generator in the guest and returns what it measured.
func (s *stage) generate(o order) (sample, error) {
	cmd, err := s.self(o.args()...)
	if err != nil {
		return sample{}, err
	}
	var out []byte
	err = s.inGuest(func() (err error) {
		out, err = cmd.Output()
		return err
	})
	if err != nil {
		return sample{}, fmt.Errorf("generator: %w", err)
	}
	var m sample
	return m, json.Unmarshal(out, &m)
}

// cpuOf is what a process with all its threads, also those that ended, has
// used of the CPUs, in the kernel and outside: the clock of
// clock_getcpuclockid(3), which counts in nanoseconds.
func cpuOf(pid int) (time.Duration, error) {
	const schedClock = 2
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|schedClock), &t)
	return time.Duration(t.Nano()), err
}

// field is the number behind a key of a file in /proc.
func field(text, key string) (int, error) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, key); ok {
			return strconv.Atoi(strings.Fields(v)[0])
		}
	}
	return 0, fmt.Errorf("no line %q", key)
}

// poll calls f until it succeeds.
func poll(limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %v: %w", limit, err)
		case <-tick.C:
		}
	}
}
