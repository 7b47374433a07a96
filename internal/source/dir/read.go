package dir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/manifest"
)

// trust says whose files are read, besides root's and our own.
type trust struct{ owners []uint32 }

func (s *Source) trust() trust { return trust{owners: s.Owners} }

// list returns the names of the files to read, sorted.
func (t trust) list(dir string, wanted func(string) bool) ([]string, reading) {
	failed := func(err error) ([]string, reading) {
		return nil, reading{failed: &manifest.Problem{File: dir, Text: fmt.Sprintf("cannot read the directory: %v", cause(err))}}
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, reading{missing: true}
	}
	if err != nil {
		return failed(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return failed(err)
	}
	if err := disk.Trusted(st, t.owners...); err != nil {
		return failed(err)
	}
	names, err := f.Readdirnames(-1)
	if err != nil {
		return failed(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !wanted(n) })
	slices.Sort(names)
	return names, reading{}
}

// wanted leaves out hidden files and what editors and package managers leave
// behind, all of which have another ending.
func wanted(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return name[0] != '.' && name[0] != '#'
	}
	return false
}

// readFile reads one regular file that nobody untrusted could have written.
// It never blocks, whatever stands in the file's place.
func (t trust) readFile(path string) (data []byte, p *manifest.Problem, missing bool) {
	data, err := t.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, true
	}
	if err != nil {
		return nil, &manifest.Problem{File: printable(path), Text: err.Error()}, false
	}
	return data, nil, false
}

func (t trust) read(path string) ([]byte, error) {
	// Opening a device can have effects, so what it is comes first; what was
	// opened is looked at again, since it may have been exchanged.
	st, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	if err := regular(st); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	if err := errors.Join(regular(st), disk.Trusted(st, t.owners...), small(st), named(path)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, manifest.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	return data, nil
}

func regular(st fs.FileInfo) error {
	switch m := st.Mode(); {
	case m.IsRegular():
		return nil
	case m&fs.ModeSymlink != 0:
		return errors.New("a symbolic link; only regular files are read")
	case m.IsDir():
		return errors.New("a directory; only regular files are read")
	case m&fs.ModeNamedPipe != 0:
		return errors.New("a FIFO; only regular files are read")
	case m&fs.ModeSocket != 0:
		return errors.New("a socket; only regular files are read")
	}
	return errors.New("a device; only regular files are read")
}

func small(st fs.FileInfo) error {
	if st.Size() > manifest.MaxFile {
		return fmt.Errorf("%d bytes; at most %d are read", st.Size(), manifest.MaxFile)
	}
	return nil
}

// named refuses names that would garble a message.
func named(path string) error {
	if printable(path) != path {
		return errors.New("a file name with characters that cannot be printed")
	}
	return nil
}

func printable(path string) string {
	if utf8.ValidString(path) && !strings.ContainsFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return path
	}
	return strconv.Quote(path)
}

// cause drops the path from an error whose message names the file anyway.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
