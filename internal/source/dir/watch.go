package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	quiet     = 50 * time.Millisecond  // no event for so long: the writer is done
	impatient = 500 * time.Millisecond // events without end do not put reading off for ever
)

// watcher wakes the source. It may miss events; the source never trusts it.
type watcher struct {
	fs      *fsnotify.Watcher
	targets []string // what matters: the directory and the networks file
	dirs    []string // what is watched
}

func newWatcher(dir, networks string) (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	targets := []string{filepath.Clean(dir)}
	if networks != "" {
		targets = append(targets, filepath.Clean(networks))
	}
	return &watcher{fs: w, targets: targets}, nil
}

func (w *watcher) close() { _ = w.fs.Close() } // nothing to save

// arm sets every watch anew. A watch follows the inode: after the directory
// was replaced the old one would go on silently. The directory above is
// watched for the directory to appear, and if that is missing too, the one
// above it.
func (w *watcher) arm() {
	for _, d := range w.dirs {
		_ = w.fs.Remove(d) // gone already if the directory is
	}
	w.dirs = w.dirs[:0]
	add := func(d string) {
		if w.fs.Add(d) == nil { // else the next rescan finds what it would have told
			w.dirs = append(w.dirs, d)
		}
	}
	add(w.targets[0])
	for _, t := range w.targets {
		add(nearestDir(filepath.Dir(t)))
	}
}

// nearestDir returns the path or the first one above it that exists.
func nearestDir(path string) string {
	for {
		_, err := os.Stat(path)
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// wait returns true when the directory should be read again, with whoever asked
// for it, and false when ctx has ended.
func (w *watcher) wait(ctx context.Context, refresh <-chan chan struct{}) (asked chan struct{}, more bool) {
	timer := time.NewTimer(rescan)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case asked := <-refresh:
			return asked, true
		case <-timer.C:
			return nil, w.settle(ctx)
		case <-w.fs.Errors: //nolint:errcheck // an overflow: something happened, nobody knows what
			return nil, w.settle(ctx)
		case e := <-w.fs.Events:
			if w.concerns(e.Name) {
				return nil, w.settle(ctx)
			}
		}
	}
}

// settle waits until the writer pauses.
func (w *watcher) settle(ctx context.Context) bool {
	limit := time.NewTimer(impatient)
	defer limit.Stop()
	pause := time.NewTimer(quiet)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-limit.C:
			return true
		case <-pause.C:
			return true
		case <-w.fs.Errors: //nolint:errcheck // as above: only that it happened counts
			pause.Reset(quiet)
		case e := <-w.fs.Events:
			if w.concerns(e.Name) {
				pause.Reset(quiet)
			}
		}
	}
}

// concerns reports whether a path is a target, inside one or above one.
func (w *watcher) concerns(path string) bool {
	for _, t := range w.targets {
		if path == t || strings.HasPrefix(path, t+"/") || strings.HasPrefix(t, strings.TrimSuffix(path, "/")+"/") {
			return true
		}
	}
	return false
}
