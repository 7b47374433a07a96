// Package store keeps the bindings that were set through the socket: one file
// a NIC, replaced as a whole and synced before anybody is told that it is
// kept.
//
// Not here: bindings from files (source/dir), what is installed (the kernel
// knows), and any locking: one goroutine owns a Store.
package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

const (
	format    = 1
	recordEnd = ".json"
	badEnd    = ".json.bad"    // set aside; its NIC stays closed
	mendedEnd = ".json.mended" // set aside and since replaced or deleted
	maxRecord = 8 << 20        // more than the largest binding takes
)

// Store is the directory <state>/nics.
type Store struct{ dir string }

// record is one file. Binding is the document Encode wrote, SHA256 the digest
// of exactly those bytes.
type record struct {
	Format  int             `json:"format"`
	SHA256  string          `json:"sha256"`
	Binding json.RawMessage `json:"binding"`
}

// Open makes the directory below state if needed, refuses one that others
// could write to, and removes what an interrupted write left.
func Open(state string) (*Store, error) {
	dir := filepath.Join(state, "nics")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := disk.Trusted(st); err != nil {
		return nil, fmt.Errorf("open store: %s: %w", dir, err)
	}
	s := &Store{dir: dir}
	return s, s.sweep()
}

// sweep removes temporary files: a write that did not get as far as its
// rename was never acknowledged.
func (s *Store) sweep() error {
	temporary := regexp.MustCompile(`^\..+\.json[0-9]+$`)
	names, err := s.names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if temporary.MatchString(n) {
			if err := os.Remove(filepath.Join(s.dir, n)); err != nil {
				return fmt.Errorf("open store: %w", err)
			}
		}
	}
	return nil
}

func (s *Store) names() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Dir is where the bindings are kept.
func (s *Store) Dir() string { return s.dir }

// Put keeps a binding in place of what its NIC had. When it returns nil the
// binding survives a crash and a power loss; when it returns an error the old
// one is in place, or (only if syncing the directory failed) either of them.
func (s *Store) Put(b *nic.Binding) error {
	staged, err := s.Stage(b)
	if err != nil {
		return err
	}
	return staged.Commit()
}

// Staged is a binding that is written, and not yet in place of what its NIC had.
type Staged struct {
	store *Store
	nic   string
	file  disk.Staged
}

// Stage does of Put what takes no time and may fail for want of room; Commit
// the rest. Whoever does not call that calls Cancel.
func (s *Store) Stage(b *nic.Binding) (Staged, error) {
	if err := nic.Validate(b); err != nil {
		return Staged{}, fmt.Errorf("store NIC %s: %w", b.NIC, err)
	}
	data, err := encode(b)
	if err != nil {
		return Staged{}, fmt.Errorf("store NIC %s: %w", b.NIC, err)
	}
	f, err := disk.Stage(s.path(b.NIC, recordEnd), data)
	if err != nil {
		return Staged{}, fmt.Errorf("store NIC %s: %w", b.NIC, err)
	}
	return Staged{s, b.NIC, f}, nil
}

// Commit ends a Put.
func (s Staged) Commit() error {
	if err := errors.Join(s.file.Commit(), s.store.mend(s.nic)); err != nil {
		return fmt.Errorf("store NIC %s: %w", s.nic, err)
	}
	return nil
}

// Cancel keeps what there was.
func (s Staged) Cancel() error { return s.file.Cancel() }

// Delete forgets a NIC, also one whose record is set aside. A NIC that is not
// there is fs.ErrNotExist.
func (s *Store) Delete(name string) error {
	if !nic.ValidName(name) {
		return fmt.Errorf("delete NIC %q: %w", name, fs.ErrNotExist)
	}
	err := os.Remove(s.path(name, recordEnd))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Lstat(s.path(name, badEnd))
	}
	if err == nil {
		err = errors.Join(s.mend(name), disk.SyncDir(s.dir))
	}
	if err != nil {
		return fmt.Errorf("delete NIC %s: %w", name, err)
	}
	return nil
}

// mend takes the NIC's quarantine away, keeping the bad file for whoever
// wants to know what happened. A record beside it counts, so after Put it does
// not matter if the power fails before this is on disk.
func (s *Store) mend(name string) error {
	err := os.Rename(s.path(name, badEnd), s.path(name, mendedEnd))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// All returns every binding, sorted by NIC. A record that is not exactly what
// was written is set aside and its NIC named in a problem: the NIC must stay
// closed until it is set or deleted anew.
func (s *Store) All() ([]nic.Binding, []manifest.Problem) {
	names, err := s.names()
	if err != nil {
		return nil, []manifest.Problem{{File: s.dir, Text: err.Error()}}
	}
	slices.Sort(names)
	var out []nic.Binding
	var problems []manifest.Problem
	for _, n := range names {
		name, ok := strings.CutSuffix(n, recordEnd)
		if bad, isBad := strings.CutSuffix(n, badEnd); isBad && !slices.Contains(names, bad+recordEnd) {
			problems = append(problems, s.problem(bad, badEnd, errors.New("damaged and set aside; the NIC stays closed until it is set or deleted anew")))
		}
		if !ok {
			continue
		}
		b, err := s.read(name)
		if err != nil {
			problems = append(problems, s.quarantine(name, err))
			continue
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b nic.Binding) int { return strings.Compare(a.NIC, b.NIC) })
	return out, problems
}

func (s *Store) problem(name, end string, err error) manifest.Problem {
	return manifest.Problem{File: s.path(name, end), NIC: name, Text: err.Error()}
}

// errUnread marks a record that could not be read: it may be good, so it stays.
var errUnread = errors.New("cannot be read")

func (s *Store) quarantine(name string, why error) manifest.Problem {
	if errors.Is(why, errUnread) {
		return s.problem(name, recordEnd, fmt.Errorf("%w; the NIC stays closed", why))
	}
	if err := os.Rename(s.path(name, recordEnd), s.path(name, badEnd)); err != nil {
		return s.problem(name, recordEnd, fmt.Errorf("%w, and cannot be set aside: %w", why, err))
	}
	return s.problem(name, badEnd, fmt.Errorf("%w; set aside, and the NIC stays closed until it is set or deleted anew", why))
}

func (s *Store) path(name, end string) string { return filepath.Join(s.dir, name+end) }

// read reads one record; anything but the bytes Put wrote is an error.
func (s *Store) read(name string) (nic.Binding, error) {
	path := s.path(name, recordEnd)
	st, err := os.Lstat(path)
	if err != nil {
		return nic.Binding{}, fmt.Errorf("%w: %w", errUnread, err)
	}
	if err := regular(st); err != nil {
		return nic.Binding{}, fmt.Errorf("%w: %w", errUnread, err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nic.Binding{}, fmt.Errorf("%w: %w", errUnread, err)
	}
	defer f.Close()
	data := make([]byte, st.Size())
	if n, err := f.ReadAt(data, 0); err != nil {
		return nic.Binding{}, fmt.Errorf("%w: %d of %d bytes: %w", errUnread, n, len(data), err)
	}
	return decode(name, data)
}

// regular refuses what is no file of ours.
func regular(st fs.FileInfo) error {
	switch {
	case !st.Mode().IsRegular():
		return errors.New("not a regular file")
	case st.Size() > maxRecord:
		return fmt.Errorf("%d bytes; no record has more than %d", st.Size(), maxRecord)
	}
	return disk.Trusted(st)
}

func encode(b *nic.Binding) ([]byte, error) {
	doc, err := manifest.Encode(b)
	if err != nil {
		return nil, err
	}
	return seal(bytes.TrimSpace(doc)), nil
}

// seal writes the header around a document, in the one form decode accepts.
func seal(doc []byte) []byte {
	sum := sha256.Sum256(doc)
	return fmt.Appendf(nil, "{\"format\":%d,\"sha256\":\"%s\",\"binding\":%s}\n", format, hex.EncodeToString(sum[:]), doc)
}

func decode(name string, data []byte) (nic.Binding, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nic.Binding{}, fmt.Errorf("damaged: %w", err)
	}
	if r.Format != format {
		// Perhaps a newer version's, which will want it again: not set aside.
		return nic.Binding{}, fmt.Errorf("%w: format %d; this version reads %d", errUnread, r.Format, format)
	}
	// Written again it must be the same file: no byte is outside the digest.
	if !bytes.Equal(seal(r.Binding), data) {
		return nic.Binding{}, errors.New("damaged: the digest does not fit")
	}
	res := manifest.Resolved("", r.Binding)
	if len(res.Problems) > 0 {
		return nic.Binding{}, fmt.Errorf("not a valid binding: %w", res.Problems[0])
	}
	if len(res.Bindings) != 1 || res.Bindings[0].NIC != name {
		return nic.Binding{}, errors.New("holds the binding of another NIC")
	}
	b := res.Bindings[0]
	b.Origin = nic.Origin{Source: "socket"}
	return b, nil
}
