// Package testenv is the ground that tests on the real kernel stand on: a
// private network and mount namespace for each test binary, further network
// namespaces for hosts and guests, and the means to send and see frames.
//
// Not here: fakes. What a test asserts it asserts about the kernel.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv marks the second life of a test binary. Fuzz workers inherit it
// from their coordinator and so share its namespaces.
const insideEnv = "BERTH_TESTENV_INSIDE"

// Main runs a package's tests in a mount and a network namespace of their
// own, so that no device, rule, pin or sysctl reaches the host. Call it from
// TestMain. Without root the tests fail and say what to do: a test that skips
// itself says nothing.
func Main(m *testing.M) {
	os.Exit(mainCode(m))
}

func mainCode(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "testenv: these tests need root for their own namespaces: run `sudo -E go test ...`")
		return 1
	}
	if os.Getenv(insideEnv) == "" {
		return runInside()
	}
	if _, worker := os.LookupEnv("BERTH_TESTENV_READY"); !worker {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "testenv: prepare the namespaces:", err)
			return 1
		}
		if err := os.Setenv("BERTH_TESTENV_READY", "1"); err != nil {
			fmt.Fprintln(os.Stderr, "testenv:", err)
			return 1
		}
	}
	return m.Run()
}

// runInside starts this very binary again in new namespaces and passes on its
// exit code and the signals `go test` sends.
func runInside() int {
	// PDEATHSIG fires when the parent thread ends, not the process.
	runtime.LockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv: start in new namespaces:", err)
		return 1
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended already
		}
	}()
	return exitCode(cmd.Wait())
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	default:
		fmt.Fprintln(os.Stderr, "testenv:", err)
		return 1
	}
}

// prepare makes the namespaces look like a small host: its own /run for
// named namespaces and sockets, a /sys that shows this network namespace, and
// an empty bpffs.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	mounts := []struct{ kind, path, options string }{
		{"tmpfs", "/run", "mode=755"},
		{"sysfs", "/sys", ""},
		{"bpf", "/sys/fs/bpf", "mode=700"},
	}
	for _, m := range mounts {
		if err := unix.Mount(m.kind, m.path, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.kind, m.path, err)
		}
	}
	if err := os.Mkdir(netnsDir, 0o755); err != nil {
		return err
	}
	return settle()
}
