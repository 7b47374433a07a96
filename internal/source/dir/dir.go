// Package dir is the source that reads bindings from a directory of files and
// keeps reading it, be they documents of our own format or nfdhcpd's binding
// files. Events only wake it; what it says is always everything.
//
// Not here: the file formats (manifest, compat/nfdhcpd), other sources, and
// what becomes of the bindings (table, plan).
package dir

import (
	"context"
	"crypto/sha256"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/source"
)

// rescan is how often the directory is read without any event: inotify says
// nothing of changes made on the server of a network file system, nor of a
// watch the kernel had no room for.
const rescan = 30 * time.Second

// New makes a source of documents; set its fields before Run.
func New(path string) *Source {
	s := &Source{Path: path, name: "dir", refresh: make(chan chan struct{})}
	s.format = s.documents
	return s
}

// Source is one directory and its networks file.
type Source struct {
	Path     string // the directory; it may be made later
	Networks string // the networks file of documents; it may be missing
	Cache    string // the file that keeps the last good versions over a restart
	// Owners are the user ids, beside root and our own, whose files are read.
	Owners []uint32

	name    string
	format  func() format
	refresh chan chan struct{}
	last    map[string]*nic.Binding // by NIC: in force since the last read; nil before the first
	cache   cache
	files   map[string]parsed // by path: what unchanged files said

	// hadNetworks: a networks file was read once. One that is then gone or
	// empty is an accident, as an editor's save or a full disk make it.
	hadNetworks bool
	prev        source.Update
	kept        uint64 // the generation of it that the cache has
}

// format is how the files of a directory are read, as of one reading.
type format struct {
	wanted func(name string) bool
	parse  func(path string, data []byte) manifest.Result
	// warnings says what of a file has no effect; nil: nothing ever.
	warnings func(path string, data []byte) []manifest.Problem
	// around identifies what parse depends on besides the file.
	around   [sha256.Size]byte
	networks manifest.Networks
	problems []manifest.Problem
}

// parsed is what one content said, given what was around it.
type parsed struct {
	sum, around [sha256.Size]byte
	result      manifest.Result
	warnings    []manifest.Problem
}

// Name is the source's name: "dir" or "nfdhcpd".
func (s *Source) Name() string { return s.name }

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
func (s *Source) Run(ctx context.Context, publish func(source.Update)) error {
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
		if s.keep() {
			publish(s.prev)
		}
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
func (s *Source) Check() source.Update {
	once := New(s.Path)
	once.Networks, once.Owners, once.name = s.Networks, s.Owners, s.name
	if s.name != "dir" {
		once.format = s.format
	}
	once.start()
	return once.read()
}

// start takes up what was in force before the restart.
func (s *Source) start() {
	s.files = map[string]parsed{}
	s.cache = cache{kept: disk.Kept{Path: s.Cache}}
	s.cache.load()
}

// read reads everything once and decides.
func (s *Source) read() source.Update {
	f := s.format()
	r := s.scan(f)
	if s.last == nil {
		s.last = s.cache.take(s.name, r)
	}
	m := merge(s.last, r)
	s.last = m.good
	u := source.Update{Source: s.name, Path: s.Path, Networks: f.networks, Warnings: r.warnings}
	u.Bindings = slices.SortedFunc(maps.Values(m.good), byName)
	u.Stale = m.stale
	u.Problems = append(f.problems, m.problems...)
	u.Problems = slices.Concat(u.Problems, s.cache.damaged, s.cache.failed)
	u.Generation = s.prev.Generation
	if u.Generation == 0 || !sameContent(&u, &s.prev) {
		u.Generation++
	}
	s.prev = u
	return u
}

// keep keeps what is in force over a restart; nobody waits for that. It reports
// whether there is news of it to publish.
func (s *Source) keep() (news bool) {
	before := s.cache.failed
	if s.kept == s.prev.Generation && len(before) == 0 {
		return false
	}
	s.kept = s.prev.Generation
	s.cache.store(s.prev.Bindings)
	if slices.Equal(before, s.cache.failed) {
		return false
	}
	s.prev.Problems = append(slices.Clip(s.prev.Problems[:len(s.prev.Problems)-len(before)]), s.cache.failed...)
	s.prev.Generation++
	return true
}

func sameContent(a, b *source.Update) bool {
	return source.Same(a.Bindings, b.Bindings) && reflect.DeepEqual(a.Stale, b.Stale) &&
		slices.Equal(a.Problems, b.Problems) && slices.Equal(a.Warnings, b.Warnings) && reflect.DeepEqual(a.Networks, b.Networks)
}

// documents is our own format: every file under what the networks file says.
func (s *Source) documents() format {
	nets, sum, problems := s.networks()
	return format{
		wanted: wanted, around: sum, networks: nets, problems: problems,
		parse: func(path string, data []byte) manifest.Result { return manifest.Parse(path, data, nets) },
	}
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
func (s *Source) scan(f format) reading {
	names, r := s.trust().list(s.Path, f.wanted)
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
			now := parsed{sum: sha256.Sum256(data), around: f.around, result: old.result, warnings: old.warnings}
			if now.sum != old.sum || now.around != old.around {
				now.result, now.warnings = s.parse(f, path, data)
			}
			seen[path] = now
			r.files = append(r.files, file{path: path, result: now.result})
			r.warnings = append(r.warnings, now.warnings...)
		}
	}
	s.files = seen
	return r
}

func (s *Source) parse(f format, path string, data []byte) (r manifest.Result, warnings []manifest.Problem) {
	r = f.parse(path, data)
	if f.warnings != nil {
		warnings = f.warnings(path, data)
	}
	if len(r.Bindings)+len(r.Problems) == 0 {
		r.Problems = []manifest.Problem{{File: path, Text: "the file is empty; delete it to withdraw what it declared"}}
	}
	for i := range r.Bindings {
		r.Bindings[i].Origin.Source = s.name
	}
	return r, warnings
}
