// Package vm boots Debian's own kernel in QEMU with an initramfs that a test
// packs, and returns what it said on its console.
//
// Not here: KVM. Everything is emulated, so it runs in any CI; and what the
// machine does, which is its init's business.
package vm

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/testenv"
)

// Machine is a virtual machine that powers itself off at its end.
type Machine struct {
	Memory    int // MiB
	CPUs      int
	Initramfs string        // the file that Image.Write made
	Limit     time.Duration // from power-on to power-off
	Devices   []string      // further arguments for QEMU
	Boot      string        // further parameters for the kernel
}

// Run boots the machine inside a namespace and returns its console when it
// has powered itself off.
func (m Machine) Run(t testing.TB, host *testenv.NS) string {
	t.Helper()
	return m.Start(t, host).End()
}

// Start boots the machine inside a namespace. One that outlives its limit ends
// the test that waits for it.
func (m Machine) Start(t testing.TB, host *testenv.NS) *Running {
	t.Helper()
	program, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatalf("%v: run test/deps.sh", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd := exec.Command(program, m.args(t)...)
	cmd.Stdout, cmd.Stderr = w, w
	host.Start(cmd)
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(m.Limit)); err != nil {
		t.Fatal(err)
	}
	return &Running{t: t, console: r}
}

// Running is a machine from power-on to power-off. It is for one goroutine,
// the test's.
type Running struct {
	t       testing.TB
	console *os.File
	said    []byte
}

// Until returns when the machine has said a text.
func (r *Running) Until(text string) {
	r.t.Helper()
	more := make([]byte, 4096)
	for !bytes.Contains(r.said, []byte(text)) {
		n, err := r.console.Read(more)
		r.said = append(r.said, more[:n]...)
		if err != nil {
			r.t.Fatalf("the machine did not say %q: %v\nconsole:\n%s", text, err, r.said)
		}
	}
}

// End returns all that the machine said when it has powered itself off.
func (r *Running) End() string {
	r.t.Helper()
	rest, err := io.ReadAll(r.console) // ends with QEMU
	r.said = append(r.said, rest...)
	if err != nil {
		r.t.Fatalf("the machine did not come to its end: %v\nconsole:\n%s", err, r.said)
	}
	return string(r.said)
}

// args always choose TCG: a guest under KVM inside another virtual machine is
// as slow or does not boot. microvm would be faster, but does not always boot.
// Without cx16, because QEMU 7.2 has left bits of a pointer in EFLAGS after a
// cmpxchg16b of the guest kernel's allocator, which ended in a double fault.
func (m Machine) args(t testing.TB) []string {
	t.Helper()
	return append([]string{
		"-M", "q35", "-accel", "tcg", "-cpu", "max,-cx16",
		"-m", strconv.Itoa(m.Memory), "-smp", strconv.Itoa(m.CPUs),
		"-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", only(t, filepath.Join(kernelRoot(), "boot", "vmlinuz-*")), "-initrd", m.Initramfs,
		"-append", "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off " + m.Boot,
	}, m.Devices...)
}

// kernelRoot is where test/deps.sh unpacked the kernel package.
func kernelRoot() string {
	cache := os.Getenv("BERTH_CACHE")
	if cache == "" {
		cache = filepath.Join("..", "..", ".cache") // a test runs in test/NAME
	}
	return filepath.Join(cache, "guest", "root")
}

// only returns the one file that a pattern matches.
func only(t testing.TB, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %d files, %v: run test/deps.sh", pattern, len(found), err)
	}
	return found[0]
}
