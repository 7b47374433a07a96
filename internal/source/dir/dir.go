// Package dir is the source that reads bindings from a directory of files and
// keeps reading it. Events only wake it; what it says is always everything.
//
// Not here: the file format (manifest), other sources, and what becomes of
// the bindings (table, plan).
package dir

import (
	"context"
	"crypto/sha256"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// rescan is how often the directory is read without any event: inotify says
// nothing of changes made on the server of a network file system, nor of a
// watch the kernel had no room for.
const rescan = 30 * time.Second

// New makes a source; set its fields before Run.
func New(path string) *Source {
	return &Source{Path: path, Now: time.Now, refresh: make(chan chan struct{})}
}

// Source is one directory and its networks file.
type Source struct {
	Path     string // the directory; it may be made later
	Networks string // the networks file; it may be missing
	Cache    string // the file that keeps the last good versions over a restart
	// Owners are the user ids, beside root and our own, whose files are read.
	Owners []uint32
	Now    func() time.Time

	refresh chan chan struct{}
	last    map[string]nic.Binding // by NIC: in force since the last read
	cache   cache
	files   map[string]parsed // by path: what unchanged files said

	// hadNetworks: a networks file was read once. One that is then gone or
	// empty is an accident, as an editor's save or a full disk make it.
	hadNetworks bool
	prev        Update
}

// parsed is what one content said under one networks file.
type parsed struct {
	sum, nets [sha256.Size]byte
	result    manifest.Result
}

// Update is everything the directory says.
type Update struct {
	// Generation counts updates that differ from the one before; it starts at 1.
	Generation uint64
	Path       string
	// Bindings are in force, the stale ones among them, sorted by NIC.
	Bindings []nic.Binding
	// Stale are the bindings whose file is broken or cannot be read, by NIC: the
	// last good version goes on.
	Stale map[string]manifest.Problem
	// Problems are all mistakes, also those of NICs without a last good version.
	Problems []manifest.Problem
	// Networks are for bindings that come from elsewhere.
	Networks manifest.Networks
	Read     time.Time
}

// Refresh has the directory read again and returns when what was found has
// been published. It is for callers who have just written a file.
func (s *Source) Refresh(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case s.refresh <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run reads the directory at once and after every change, and calls publish
// from this goroutine each time, until ctx ends. It returns an error only if
// it cannot watch at all.
func (s *Source) Run(ctx context.Context, publish func(Update)) error {
	w, err := newWatcher(s.Path, s.Networks)
	if err != nil {
		return err
	}
	defer w.close()
	s.start()
	var asked chan struct{}
	for {
		// Watches are set before reading, so that a change during the read wakes
		// the next one.
		w.arm()
		publish(s.read())
		if asked != nil {
			close(asked)
		}
		var more bool
		if asked, more = w.wait(ctx, s.refresh); !more {
			return nil
		}
	}
}

// Check reads everything once and keeps nothing: what is wrong with the files
// as they are.
func (s *Source) Check() Update {
	once := *s
	once.Cache = ""
	once.start()
	return once.read()
}

// start takes up what was in force before the restart.
func (s *Source) start() {
	s.files = map[string]parsed{}
	s.cache = cache{path: s.Cache}
	s.last = s.cache.load()
}

// read reads everything once and decides.
func (s *Source) read() Update {
	u := Update{Path: s.Path, Read: s.Now()}
	nets, sum, problems := s.networks()
	r := s.scan(nets, sum)
	m := merge(s.last, r)
	s.last = m.good
	u.Networks = nets
	u.Bindings = slices.SortedFunc(maps.Values(m.good), byName)
	u.Stale = m.stale
	u.Problems = append(problems, m.problems...)
	s.cache.store(u.Bindings)
	u.Problems = slices.Concat(u.Problems, s.cache.damaged, s.cache.failed)
	u.Generation = s.prev.Generation
	if u.Generation == 0 || !sameContent(&u, &s.prev) {
		u.Generation++
	}
	s.prev = u
	return u
}

func sameContent(a, b *Update) bool {
	return reflect.DeepEqual(a.Bindings, b.Bindings) && reflect.DeepEqual(a.Stale, b.Stale) &&
		slices.Equal(a.Problems, b.Problems) && reflect.DeepEqual(a.Networks, b.Networks)
}

// networks reads the networks file; without one there is nothing to inherit.
func (s *Source) networks() (manifest.Networks, [sha256.Size]byte, []manifest.Problem) {
	data, p, missing := s.trust().readFile(s.Networks)
	switch {
	case missing && s.hadNetworks:
		gone := manifest.Problem{File: s.Networks, Text: "the file is gone while NICs inherit from it; they keep what they had until it is back"}
		return manifest.UnreadableNetworks(gone), sha256.Sum256([]byte(gone.Text)), []manifest.Problem{gone}
	case missing || s.Networks == "":
		return manifest.Networks{}, [sha256.Size]byte{}, nil
	case p != nil:
		return manifest.UnreadableNetworks(*p), sha256.Sum256([]byte(p.Text)), []manifest.Problem{*p}
	}
	nets, problems := manifest.ParseNetworks(s.Networks, data)
	if len(nets.Names()) == 0 && len(problems) == 0 && s.hadNetworks {
		empty := manifest.Problem{File: s.Networks, Text: "the file is empty while NICs inherit from it; they keep what they had"}
		return manifest.UnreadableNetworks(empty), sha256.Sum256(data), []manifest.Problem{empty}
	}
	s.hadNetworks = s.hadNetworks || len(nets.Names()) > 0
	return nets, sha256.Sum256(data), problems
}

// scan reads every file of the directory.
func (s *Source) scan(nets manifest.Networks, netsSum [sha256.Size]byte) reading {
	names, r := s.trust().list(s.Path)
	seen := map[string]parsed{}
	for _, name := range names {
		path := filepath.Join(s.Path, name)
		data, p, missing := s.trust().readFile(path)
		switch {
		case missing: // deleted since it was listed
		case p != nil:
			r.files = append(r.files, file{path: path, result: manifest.Result{Problems: []manifest.Problem{*p}}})
		default:
			old := s.files[path]
			now := parsed{sum: sha256.Sum256(data), nets: netsSum, result: old.result}
			if now.sum != old.sum || now.nets != old.nets {
				now.result = s.parse(path, data, nets)
			}
			seen[path] = now
			r.files = append(r.files, file{path: path, result: now.result})
		}
	}
	s.files = seen
	return r
}

func (s *Source) parse(path string, data []byte, nets manifest.Networks) manifest.Result {
	r := manifest.Parse(path, data, nets)
	if len(r.Bindings)+len(r.Problems) == 0 {
		r.Problems = []manifest.Problem{{File: path, Text: "the file is empty; delete it to withdraw what it declared"}}
	}
	for i := range r.Bindings {
		r.Bindings[i].Origin.Source = "dir"
	}
	return r
}
