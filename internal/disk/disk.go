// Package disk writes small files so that a crash or a power failure leaves
// the old or the new one, and never a part; and tells what only trusted users
// can have written.
//
// Not here: what is in the files.
package disk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// Replace writes a file of mode 0600, and syncs its directory. When it returns
// an error the old file is in place, or (only if syncing the directory failed)
// either of them.
func Replace(path string, data []byte) error {
	s, err := Stage(path, data)
	if err != nil {
		return err
	}
	return s.Commit()
}

// Staged is a file that is written beside the one that it is to replace: what
// can fail for want of room or permission has not.
type Staged struct{ file *renameio.PendingFile }

// Stage writes what Commit puts in place. Whoever does not call that calls
// Cancel.
func Stage(path string, data []byte) (Staged, error) {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o600))
	if err != nil {
		return Staged{}, err
	}
	if _, err := f.Write(data); err != nil {
		return Staged{}, errors.Join(err, f.Cleanup())
	}
	return Staged{f}, nil
}

// Commit replaces the file, and syncs it and its directory. Of an error it is
// as of Replace.
func (s Staged) Commit() error {
	if err := s.file.CloseAtomicallyReplace(); err != nil {
		return errors.Join(err, s.file.Cleanup())
	}
	return SyncDir(filepath.Dir(s.file.Name()))
}

// Cancel leaves the file as it is.
func (s Staged) Cancel() error { return s.file.Cleanup() }

// SyncDir makes what was renamed or removed in a directory last: without it
// that may be lost with the power.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Kept is a file that only its owner reads and writes again, such as a cache.
// The zero value keeps nothing.
type Kept struct {
	Path    string
	written [sha256.Size]byte // the digest of what was; it may be long
}

// Load hands what was written to use, which says whether it is sound; nothing
// is loaded if there is no file. What is not sound is set aside under the name
// with ".bad" behind it.
func (k *Kept) Load(use func(data []byte) error) error {
	if k.Path == "" {
		return nil
	}
	data, err := os.ReadFile(k.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read it: %w", cause(err))
	}
	if why := use(data); why != nil {
		return k.setAside(why)
	}
	k.written = sha256.Sum256(data)
	return nil
}

func (k *Kept) setAside(why error) error {
	bad := k.Path + ".bad"
	if err := os.Rename(k.Path, bad); err != nil {
		return fmt.Errorf("damaged (%w) and cannot be set aside: %w", why, err)
	}
	return fmt.Errorf("damaged (%w); set aside as %s", why, filepath.Base(bad))
}

// Store writes data, if it is not what was written last.
func (k *Kept) Store(data []byte) error {
	sum := sha256.Sum256(data)
	if k.Path == "" || sum == k.written {
		return nil
	}
	if err := Replace(k.Path, data); err != nil {
		return err
	}
	k.written = sum
	return nil
}

// cause drops the path from an error whose message names the file anyway.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
