package dir

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

	"github.com/google/renameio/v2"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// cacheHeader begins the cache file; the digest covers every byte behind it.
const cacheHeader = "berth-last-good 1 "

// cache keeps the last good versions over a restart, so that a file that was
// broken in the meantime does not cost its NIC's address.
type cache struct {
	path    string
	written []byte
	damaged []manifest.Problem // found at the start; told as long as we run
	failed  []manifest.Problem // of the last write
}

// cached is one binding with where it was declared.
type cached struct {
	File    string          `json:"file"`
	Line    int             `json:"line"`
	Binding json.RawMessage `json:"binding"`
}

// load returns what was in force. A cache that is not exactly what was
// written is set aside and nothing of it is used.
func (c *cache) load() map[string]nic.Binding {
	if c.path == "" {
		return nil
	}
	data, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.damaged = c.problem("cannot read the last good versions: %v", cause(err))
		return nil
	}
	last, err := decodeCache(data)
	if err != nil {
		c.setAside(err)
		return nil
	}
	c.written = data
	return last
}

func (c *cache) setAside(why error) {
	bad := c.path + ".bad"
	if err := os.Rename(c.path, bad); err != nil {
		c.damaged = c.problem("the last good versions are damaged (%v) and cannot be set aside: %v", why, err)
		return
	}
	c.damaged = c.problem("the last good versions are damaged (%v); set aside as %s", why, filepath.Base(bad))
}

func (c *cache) problem(format string, args ...any) []manifest.Problem {
	return []manifest.Problem{{File: c.path, Text: fmt.Sprintf(format, args...)}}
}

// store writes what is in force, if it is not what was written last.
func (c *cache) store(bindings []nic.Binding) {
	if c.path == "" {
		return
	}
	data, err := encodeCache(bindings)
	if err == nil && bytes.Equal(data, c.written) {
		return
	}
	if err == nil {
		err = writeDurably(c.path, data)
	}
	if err != nil {
		c.failed = c.problem("cannot keep the last good versions for a restart: %v", err)
		return
	}
	c.written = data
	c.failed = nil
}

// writeDurably replaces a file so that after a crash it is the old or the new
// one. The directory is synced too: a rename alone may be lost with the power.
func writeDurably(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := renameio.WriteFile(path, data, 0o600, renameio.WithTempDir(dir)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func encodeCache(bindings []nic.Binding) ([]byte, error) {
	list := make([]cached, 0, len(bindings))
	for i := range bindings {
		b := &bindings[i]
		doc, err := manifest.Encode(b)
		if err != nil {
			return nil, err
		}
		list = append(list, cached{File: b.Origin.File, Line: b.Origin.Line, Binding: doc})
	}
	body, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return append([]byte(cacheHeader+hex.EncodeToString(sum[:])+"\n"), body...), nil
}

func decodeCache(data []byte) (map[string]nic.Binding, error) {
	header, body, _ := bytes.Cut(data, []byte("\n"))
	sum := sha256.Sum256(body)
	if string(header) != cacheHeader+hex.EncodeToString(sum[:]) {
		return nil, errors.New("the digest does not fit")
	}
	var list []cached
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	last := make(map[string]nic.Binding, len(list))
	for _, c := range list {
		r := manifest.Resolved(c.File, c.Binding)
		if len(r.Problems) > 0 || len(r.Bindings) != 1 {
			// Written by a version with other rules; its file will be read anyway.
			continue
		}
		b := r.Bindings[0]
		b.Origin = nic.Origin{Source: "dir", File: c.File, Line: c.Line}
		last[b.NIC] = b
	}
	return last, nil
}
