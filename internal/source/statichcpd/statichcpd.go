// Package statichcpd is the source that reads bindings from a database of
// statichcpd, into which a controller goes on writing. It never writes a row,
// and with a write-ahead log it never keeps a writer waiting; without one, a
// commit waits for the reading that is going on, as it did for statichcpd.
//
// Not here: what the rows mean (compat/statichcpd), and what becomes of the
// bindings (table, plan).
package statichcpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	compat "github.com/berth-net/berth/internal/compat/statichcpd"
	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/source"
)

const (
	// tick is how often SQLite is asked whether somebody has committed: one
	// read of shared memory or of the file's header. However many commits there
	// are, there is one reading a tick.
	tick = 50 * time.Millisecond
	// cacheEvery bounds how often the last good versions are written while
	// commits go on without a pause.
	cacheEvery = 5 * time.Second
	// locked is told of a database that a writer has to itself.
	locked = "locked by a writer"
)

// Source is one database.
type Source struct {
	Path       string            // the database; it may be made later
	Config     compat.Config     // of statichcpd.conf; its Database is not looked at
	Attributes compat.Attributes // the allowed attributes
	Cache      string            // the file that keeps the last good versions over a restart; "": none
	Create     bool              // the database is made, or brought up to date, by Run

	refresh chan chan struct{}
	db      *database
	version int64
	read    bool // the open database was read at this version
	last    map[string]*nic.Binding
	said    *source.Update // what the rows said; nil: they were not read, or cannot be any more
	kept    disk.Kept
	dirty   bool
	saved   time.Time
	// createFailed and cacheFailed are told with every update.
	createFailed, cacheFailed []manifest.Problem
	prev                      source.Update
}

// New makes a source; set its other fields before Run.
func New(path string, cfg compat.Config, attrs compat.Attributes) *Source {
	return &Source{Path: path, Config: cfg, Attributes: attrs, refresh: make(chan chan struct{})}
}

// Name is the source's name.
func (s *Source) Name() string { return compat.Source }

// Refresh has the database read again and returns when what was found has been
// published, be it that it cannot be read. It is for callers who have just
// written to it.
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

// Run reads the database at once and after every commit, and calls publish
// from this goroutine with the first reading, every one that differs from the
// one before, and those asked for, until ctx ends.
func (s *Source) Run(ctx context.Context, publish func(source.Update)) error {
	s.start(ctx)
	defer s.stop()
	t := time.NewTicker(tick)
	defer t.Stop()
	if u := s.look(ctx); ctx.Err() == nil {
		publish(u)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case done := <-s.refresh:
			s.read = false
			u := s.look(ctx)
			if ctx.Err() != nil {
				return nil
			}
			publish(u)
			close(done)
		case <-t.C:
			if !s.changed(ctx) {
				s.save(0)
				continue
			}
			before := s.prev.Generation
			if u := s.look(ctx); u.Generation != before && ctx.Err() == nil {
				publish(u)
			}
			s.save(cacheEvery)
		}
	}
}

// Check reads the database once, without anything that was good before. What
// Run would make first is no mistake. It is not for use beside Run.
func (s *Source) Check() source.Update {
	defer s.drop()
	ctx := context.Background()
	if _, err := s.rows(ctx); s.Create && unmade(err) && isDir(filepath.Dir(s.Path)) {
		p := manifest.Problem{File: s.Path, Text: fmt.Sprintf("%v: berthd makes the database when it starts", err)}
		return source.Update{Source: compat.Source, Path: s.Path, Warnings: []manifest.Problem{p}}
	}
	return s.look(ctx)
}

func unmade(err error) bool { return errors.Is(err, errNoFile) || errors.Is(err, errNoTable) }

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func (s *Source) start(ctx context.Context) {
	s.kept = disk.Kept{Path: s.Cache}
	err := s.kept.Load(func(data []byte) (err error) {
		s.last, err = source.DecodeLastGood(compat.Source, data)
		return err
	})
	if err != nil {
		s.cacheFailed = []manifest.Problem{{File: s.Cache, Text: fmt.Sprintf("the last good versions: %v", err)}}
	}
	if !s.Create {
		return
	}
	if err := Create(ctx, s.Path, s.Attributes); err != nil {
		s.createFailed = []manifest.Problem{{File: s.Path, Text: err.Error()}}
	}
}

func (s *Source) stop() {
	s.save(0)
	s.drop()
}

func (s *Source) drop() {
	if s.db != nil {
		_ = s.db.close() // nothing was written
	}
	s.db, s.read = nil, false
}

// changed reports whether there may be something new.
func (s *Source) changed(ctx context.Context) bool {
	if s.db == nil || !s.read || s.db.replaced(s.Path) {
		return true
	}
	v, err := s.db.version(ctx)
	return err != nil || v != s.version
}

// look reads everything once and decides.
func (s *Source) look(ctx context.Context) source.Update {
	u := source.Update{Source: compat.Source, Path: s.Path}
	rows, err := s.rows(ctx)
	switch {
	case err == nil:
		s.merge(&u, rows)
	case busy(err) && s.said != nil:
		s.waitFor(&u)
	default:
		s.keepAll(&u, err)
	}
	u.Problems = slices.Concat(u.Problems, s.createFailed, s.cacheFailed)
	u.Bindings = slices.SortedFunc(maps.Values(s.last), func(a, b *nic.Binding) int { return cmp.Compare(a.NIC, b.NIC) })
	u.Generation = s.prev.Generation
	if u.Generation == 0 || !same(&u, &s.prev) {
		u.Generation++
		s.dirty = true
	}
	s.prev = u
	return u
}

func same(a, b *source.Update) bool {
	return source.Same(a.Bindings, b.Bindings) && reflect.DeepEqual(a.Stale, b.Stale) &&
		slices.Equal(a.Problems, b.Problems) && slices.Equal(a.Warnings, b.Warnings)
}

// rows reads the database, opening it anew if it is another file by now.
func (s *Source) rows(ctx context.Context) ([]compat.Row, error) {
	if s.db != nil && s.db.replaced(s.Path) {
		s.drop()
	}
	if s.db == nil {
		db, err := open(ctx, s.Path)
		if err != nil {
			return nil, err
		}
		s.db = db
	}
	// The version comes first: what is committed in between is read twice.
	v, err := s.db.version(ctx)
	if err == nil {
		var rows []compat.Row
		if rows, err = s.db.rows(ctx); err == nil {
			s.version, s.read = v, true
			return rows, nil
		}
	}
	if !busy(err) {
		s.drop() // a damaged one is looked at anew
	}
	s.read = false
	return nil, err
}

// waitFor leaves everything as it was read last: what a writer that holds the
// lock has not committed is not yet said.
func (s *Source) waitFor(u *source.Update) {
	*u = *s.said
	u.Problems = append([]manifest.Problem{{File: s.Path, Text: locked}}, u.Problems...)
}

// keepAll leaves everything in force: a database that cannot be read says
// nothing about any NIC.
func (s *Source) keepAll(u *source.Update, err error) {
	s.said = nil
	text := fmt.Sprintf("cannot be read: %v", err)
	if busy(err) {
		text = locked
	}
	p := manifest.Problem{File: s.Path, Text: text}
	u.Problems = []manifest.Problem{p}
	u.Stale = map[string]manifest.Problem{}
	for name := range s.last {
		u.Stale[name] = p
	}
}

// merge takes what the rows say; a NIC with a mistake keeps what it had.
func (s *Source) merge(u *source.Update, rows []compat.Row) {
	cfg := s.Config
	cfg.Database = s.Path
	r := compat.Build(rows, cfg, s.Attributes)
	if r.Unusable {
		s.keepAll(u, r.Problems[0])
		return
	}
	good := make(map[string]*nic.Binding, len(r.Bindings))
	for i := range r.Bindings {
		good[r.Bindings[i].NIC] = &r.Bindings[i]
	}
	u.Stale = map[string]manifest.Problem{}
	for _, name := range r.Names {
		if b, ok := s.last[name]; ok {
			good[name] = b
			u.Stale[name] = r.Problems[slices.IndexFunc(r.Problems, func(p manifest.Problem) bool { return p.NIC == name })]
		}
	}
	s.last = good
	u.Problems, u.Warnings = r.Problems, r.Notes
	said := *u
	s.said = &said
}

// save writes the last good versions, if they have changed and were not
// written within the time given.
func (s *Source) save(pause time.Duration) {
	if !s.dirty || s.Cache == "" || time.Since(s.saved) < pause {
		return
	}
	s.saved, s.dirty = time.Now(), false
	data, err := source.EncodeLastGood(s.prev.Bindings)
	if err == nil {
		err = s.kept.Store(data)
	}
	s.cacheFailed = nil
	if err != nil {
		s.cacheFailed = []manifest.Problem{{File: s.Cache, Text: fmt.Sprintf("cannot keep the last good versions for a restart: %v", err)}}
	}
}
