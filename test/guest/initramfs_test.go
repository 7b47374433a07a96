package guest

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var (
	//go:embed init.sh
	initScript []byte
	//go:embed dhcp.sh
	dhcpScript []byte
)

// modules are what the Debian cloud kernel needs for a virtio NIC, in the
// order of their dependencies.
var modules = []string{
	"net/core/failover", "drivers/net/net_failover", "drivers/virtio/virtio_ring", "drivers/virtio/virtio",
	"drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci",
	"drivers/net/virtio_net",
}

// kernelRoot is where test/deps.sh unpacked the guest's kernel package.
func kernelRoot(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("BERTH_CACHE")
	if cache == "" {
		cache = filepath.Join("..", "..", ".cache")
	}
	return filepath.Join(cache, "guest", "root")
}

// only returns the one file that a pattern matches.
func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %d files, %v: run test/deps.sh", pattern, len(found), err)
	}
	return found[0]
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run test/deps.sh", err)
	}
	return b
}

// initramfs packs busybox, the modules and the guest's script.
func initramfs(t *testing.T) string {
	t.Helper()
	var a archive
	for _, dir := range []string{"bin", "dev", "proc", "sys", "modules"} {
		a.add(dir, modeDir|0o755, nil)
	}
	a.add("bin/busybox", modeFile|0o755, read(t, "/bin/busybox"))
	a.add("bin/sh", modeLink|0o777, []byte("busybox"))
	a.add("init", modeFile|0o755, initScript)
	a.add("dhcp.sh", modeFile|0o755, dhcpScript)
	tree := only(t, filepath.Join(kernelRoot(t), "lib", "modules", "*"))
	for i, m := range modules {
		a.add(fmt.Sprintf("modules/%02d.ko", i), modeFile|0o644, read(t, filepath.Join(tree, "kernel", m+".ko")))
	}
	file := filepath.Join(t.TempDir(), "initramfs")
	if err := os.WriteFile(file, a.close(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// Kinds of entries, as in st_mode.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
)

// archive is a cpio archive in the "newc" format, which the kernel unpacks
// (its Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	buf  bytes.Buffer
	next int
}

func (a *archive) add(name string, mode uint32, data []byte) {
	a.next++
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.next, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.buf.WriteString(name + "\x00")
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

func (a *archive) close() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.buf.Bytes()
}
