// Command demo shows on a few screens what berth does: real clients of DHCP and
// DHCPv6, and kernels that configure themselves, behind a bridge get what their
// bindings say, the site sees none of it, a hostile one is stopped, and none of
// it needs the daemon to live. The controllers of older systems are as good as
// files, VMs share an address or have the same in networks of their own, and
// one that a DHCP server has is taken over. In a second act a controller decides
// for two nodes: who gets which address, who is refused and why, and where a VM
// is that moves. Everything happens in namespaces of its own.
// What it prints it has read from the system, and it fails if any of it is not
// as it should be.
//
// Usage: go run ./demo -bin DIR [-act 1|2], where DIR holds berthd, berth and berth-controller.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// insideEnv marks the second life of this program, in its own namespaces.
const insideEnv = "BERTH_DEMO_INSIDE"

// limit is far more than the demo takes: it never hangs.
const limit = 3 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "`directory` of berthd, berth and berth-controller")
	act := flag.Int("act", 0, "play this `act` alone, 1 or 2")
	flag.Parse()
	if err := run(*bin, *act); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(bin string, act int) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	if err := needTools(bin); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return throughSudo(bin, act)
	}
	if os.Getenv(insideEnv) == "" {
		return outside()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return inside(ctx, bin, act)
}

// needTools names what is missing before anything is started.
func needTools(bin string) error {
	for _, name := range []string{"berthd", "berth", "berth-controller"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("%w: run `make build` first", err)
		}
	}
	var missing []string
	for _, name := range []string{"ip", "nft", "ping", "arping", "tcpdump", "sqlite3", "dnsmasq", "dhclient", "udhcpc", "dhcpcd"} {
		if _, err := lookTool(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s not found: run test/deps.sh", strings.Join(missing, ", "))
	}
	return nil
}

// lookTool also looks where Debian keeps tools from a user's path.
func lookTool(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

func throughSudo(bin string, act int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		return errors.New("namespaces and eBPF need root: run `make demo` as root")
	}
	return foreground(exec.Command("sudo", self, "-bin", bin, "-act", strconv.Itoa(act)))
}

// outside starts the demo in namespaces of its own, waits, and looks whether
// the host is as it was.
func outside() error {
	before := lookAtHost()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// PDEATHSIG fires when the parent thread ends, not the process.
	runtime.LockOSThread()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	// A process namespace too: whatever was started inside ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := foreground(cmd); err != nil {
		return err
	}
	return lookAtHost().sameAs(before)
}

// foreground runs a command with our streams and passes signals on to it.
func foreground(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended already
		}
	}()
	var exit *exec.ExitError
	err := cmd.Wait()
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode()) // it has said why
	}
	return err
}
