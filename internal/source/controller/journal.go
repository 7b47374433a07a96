package controller

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/nodelink"
)

// journal keeps the set over a restart: as it was once, and what has changed
// since, a record a line with its SHA-256 in front. A change counts once the mark
// behind it is there: what was being written when the power failed does not.
type journal struct {
	path  string
	file  *os.File
	whole int64 // octets of the set as it was written last
	size  int64 // of all
}

// record is one line: one of its members.
type record struct {
	Set  *nodelink.Document `json:"set,omitempty"`
	Gone string             `json:"gone,omitempty"` // NIC
	Mark *mark              `json:"mark,omitempty"`
}

// mark ends a change.
type mark struct {
	CA         string `json:"ca"` // fingerprint of the site's that the node was enrolled with
	Site       string `json:"site,omitempty"`
	Node       string `json:"node"`
	Epoch      int64  `json:"epoch,omitempty"`
	Generation int64  `json:"generation"`
	Behind     bool   `json:"behind,omitempty"` // see nodelink.Mirror
}

// slack is how much may be added before all is written anew.
const slack = 1 << 20

// load returns a set with all that was kept in it, and the last mark; nil if
// there is nothing. A damaged line costs its own record, and the file is set
// aside.
func (j *journal) load() (*set, mark, error) {
	data, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mark{}, nil
	}
	if err != nil {
		return nil, mark{}, fmt.Errorf("cannot read the kept set: %w", err)
	}
	s, last, damaged, whole := replay(data)
	if last.Node == "" {
		return nil, last, j.setAside(errors.New("there is no whole set in it"))
	}
	if err := s.restore(last); err != nil {
		return nil, last, j.setAside(err)
	}
	if damaged > 0 {
		return s, last, j.setAside(fmt.Errorf("%d records are not as they were written", damaged))
	}
	if whole {
		j.whole, j.size = int64(len(data)), int64(len(data))
	} // else the next change does not go behind half a record
	return s, last, nil
}

func (j *journal) setAside(why error) error {
	bad := j.path + ".bad"
	if err := os.Rename(j.path, bad); err != nil {
		return fmt.Errorf("the kept set is damaged (%w) and cannot be set aside: %w", why, err)
	}
	return fmt.Errorf("the kept set is damaged (%w); set aside as %s", why, filepath.Base(bad))
}

// replay makes every change up to the last mark; whole reports whether that is
// the end.
func replay(data []byte) (s *set, last mark, damaged int, whole bool) {
	s = newSet("")
	var open nodelink.Change
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		r, ok := parse(line)
		whole = false
		switch {
		case !ended: // was being written
		case !ok:
			damaged++
		case r.Set != nil:
			open.Set = append(open.Set, *r.Set)
		case r.Gone != "":
			open.Gone = append(open.Gone, r.Gone)
		case r.Mark != nil:
			s.take(open)
			last, open, whole = *r.Mark, nodelink.Change{}, true
		}
	}
	return s, last, damaged, whole
}

func parse(line []byte) (r record, ok bool) {
	sum, body, ok := bytes.Cut(line, []byte(" "))
	if !ok || seal(body) != string(sum) || json.Unmarshal(body, &r) != nil {
		return record{}, false
	}
	return r, true
}

func seal(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// add keeps a change; what was added goes no further than what is whole.
func (j *journal) add(c nodelink.Change, m mark, all *set) error {
	var b bytes.Buffer
	for i := range c.Set {
		write(&b, record{Set: &c.Set[i]})
	}
	for _, name := range c.Gone {
		write(&b, record{Gone: name})
	}
	write(&b, record{Mark: &m})
	if j.whole == 0 || j.size+int64(b.Len()) > 2*j.whole+slack {
		return j.rewrite(m, all)
	}
	err := j.open()
	if err == nil {
		_, err = j.file.Write(b.Bytes())
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.whole = 0 // half a record may be there: all is written anew next time
		return errors.Join(fmt.Errorf("cannot keep the set for a restart: %w", err), j.close())
	}
	j.size += int64(b.Len())
	return nil
}

func (j *journal) open() (err error) {
	if j.file == nil {
		j.file, err = os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	}
	return err
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}

// rewrite keeps all there is, of a NIC whose document is broken the last good
// one before it.
func (j *journal) rewrite(m mark, all *set) error {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(all.entries)) {
		e := all.entries[name]
		if e.binding != nil && len(e.problems) > 0 {
			write(&b, record{Set: &e.good})
		}
		write(&b, record{Set: &e.doc})
	}
	write(&b, record{Mark: &m})
	err := errors.Join(j.close(), disk.Replace(j.path, b.Bytes()))
	if err != nil {
		j.whole = 0
		return fmt.Errorf("cannot keep the set for a restart: %w", err)
	}
	j.whole, j.size = int64(b.Len()), int64(b.Len())
	return nil
}

// write adds a line. A document's body goes as it came.
func write(b *bytes.Buffer, r record) {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	_ = e.Encode(r) // a buffer takes everything, and bodies are JSON
	body := bytes.TrimSuffix(line.Bytes(), []byte("\n"))
	b.WriteString(seal(body))
	b.WriteByte(' ')
	b.Write(body)
	b.WriteByte('\n')
}
