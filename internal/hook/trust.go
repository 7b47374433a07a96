package hook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/berth-net/berth/internal/disk"
)

// Has reports whether an event has anything to run; what cannot be read counts
// as something, which will fail and say why.
func (r *Runner) Has(e Event) bool {
	programs, err := r.list(e)
	return err != nil || len(programs) > 0
}

// list returns the paths of an event's programs in order of name.
func (r *Runner) list(e Event) ([]string, error) {
	dir := filepath.Join(r.dir, string(e)+".d")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hooks cannot be read: %w", err)
	}
	var programs []string
	for _, entry := range entries { // sorted
		if wanted(entry.Name()) {
			programs = append(programs, filepath.Join(dir, entry.Name()))
		}
	}
	return programs, nil
}

// wanted is the rule of run-parts(8): what package managers and editors leave
// behind has a dot or a tilde in its name.
func wanted(name string) bool {
	ok, err := regexp.MatchString(`^[A-Za-z0-9_-]+$`, name)
	return err == nil && ok
}

// trusted refuses a program that anybody but root could have written. Its two
// directories are held to the same, so it cannot be exchanged between this and
// its start.
func (r *Runner) trusted(path string) error {
	dir := filepath.Dir(path)
	for _, d := range []string{r.dir, dir} {
		st, err := os.Stat(d)
		if err != nil {
			return err
		}
		if err := disk.Trusted(st); err != nil {
			return fmt.Errorf("its directory %s: %w", d, err)
		}
	}
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		return errors.New("a symbolic link; only regular files are run")
	case !st.Mode().IsRegular():
		return errors.New("no regular file; only those are run")
	case st.Mode()&0o111 == 0:
		return errors.New("it is not executable (chmod +x)")
	}
	return disk.Trusted(st)
}
