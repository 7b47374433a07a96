package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"testing"
)

// Kinds of entries, as in st_mode.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
)

// Image is an initramfs in the making: a cpio archive in the "newc" format,
// which the kernel unpacks (its Documentation/driver-api/early-userspace/
// buffer-format.rst).
type Image struct {
	t    testing.TB
	buf  bytes.Buffer
	have map[string]bool
}

// NewImage is an image with busybox as /bin/busybox, an init, and the
// directories that it mounts on.
func NewImage(t testing.TB, init []byte) *Image {
	t.Helper()
	i := &Image{t: t, have: map[string]bool{}}
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp"} {
		i.dir(dir)
	}
	i.File("bin/busybox", 0o755, i.read("/bin/busybox"))
	i.File("init", 0o755, init)
	return i
}

// File adds a file and the directories it is in. A name that is there already
// stays as it is.
func (i *Image) File(name string, perm uint32, data []byte) {
	i.add(name, modeFile|perm, data)
}

// Link adds a symbolic link.
func (i *Image) Link(name, target string) { i.add(name, modeLink|0o777, []byte(target)) }

// Copy adds a file of this machine, executable, under another name.
func (i *Image) Copy(name, file string) {
	i.t.Helper()
	i.File(name, 0o755, i.read(file))
}

// Tree adds the files of a directory of this machine, if there is one.
func (i *Image) Tree(name, dir string) {
	i.t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(file string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			i.File(path.Join(name, file), 0o644, i.read(filepath.Join(dir, file)))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		i.t.Fatal(err)
	}
}

// Program adds a program of this machine to /bin, and the libraries it is
// linked with where its loader looks for them.
func (i *Image) Program(name string) {
	i.t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		i.t.Fatalf("%v: run test/deps.sh", err)
	}
	i.Copy("bin/"+name, file)
	out, err := exec.Command("ldd", file).Output()
	if err != nil {
		i.t.Fatalf("ldd %s: %v", file, err)
	}
	for _, m := range regexp.MustCompile(`(?m)(/\S+) \(0x`).FindAllSubmatch(out, -1) {
		library := string(m[1])
		i.Copy(library[1:], library)
	}
}

// Write ends the image and returns its file.
func (i *Image) Write() string {
	i.t.Helper()
	i.entry("TRAILER!!!", 0, nil)
	file := filepath.Join(i.t.TempDir(), "initramfs")
	if err := os.WriteFile(file, i.buf.Bytes(), 0o644); err != nil {
		i.t.Fatal(err)
	}
	return file
}

func (i *Image) add(name string, mode uint32, data []byte) {
	if i.have[name] {
		return
	}
	i.dir(path.Dir(name))
	i.entry(name, mode, data)
}

func (i *Image) dir(name string) {
	if name == "." || i.have[name] {
		return
	}
	i.dir(path.Dir(name))
	i.entry(name, modeDir|0o755, nil)
}

func (i *Image) entry(name string, mode uint32, data []byte) {
	i.have[name] = true
	fmt.Fprintf(&i.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		len(i.have), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	i.buf.WriteString(name + "\x00")
	i.pad()
	i.buf.Write(data)
	i.pad()
}

func (i *Image) pad() {
	for i.buf.Len()%4 != 0 {
		i.buf.WriteByte(0)
	}
}

func (i *Image) read(file string) []byte {
	i.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		i.t.Fatalf("%v: run test/deps.sh", err)
	}
	return b
}
