package dir

import (
	"fmt"

	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/source"
)

// cache keeps the last good versions over a restart, so that a file that was
// broken in the meantime does not cost its NIC's address.
type cache struct {
	kept    disk.Kept
	before  source.LastGood    // what was in force before the start, until the first reading
	damaged []manifest.Problem // found at the start; told as long as we run
	failed  []manifest.Problem // of the last write
}

// load takes up what was in force. A cache that is not exactly what was
// written is set aside and nothing of it is used.
func (c *cache) load() {
	err := c.kept.Load(func(data []byte) (err error) {
		c.before, err = source.ReadLastGood(data)
		return err
	})
	if err != nil {
		c.damaged = c.problem("the last good versions: %v", err)
	}
}

// take returns, once, those of what was in force that merge can need beside a
// reading: none where all can be read and nothing is wrong.
func (c *cache) take(name string, r reading) map[string]*nic.Binding {
	before := c.before
	c.before = nil
	all := r.failed != nil || r.missing
	broken, named := map[string]bool{}, map[string]bool{}
	for _, f := range r.files {
		if len(f.result.Problems) == 0 {
			continue
		}
		broken[f.path] = true
		for _, n := range f.result.Names {
			named[n] = true
		}
	}
	if !all && len(broken) == 0 {
		return nil
	}
	return before.Bindings(name, func(file, nic string) bool { return all || broken[file] || named[nic] })
}

func (c *cache) problem(format string, args ...any) []manifest.Problem {
	return []manifest.Problem{{File: c.kept.Path, Text: fmt.Sprintf(format, args...)}}
}

// store writes what is in force.
func (c *cache) store(bindings []*nic.Binding) {
	if c.kept.Path == "" {
		return
	}
	data, err := source.EncodeLastGood(bindings)
	if err == nil {
		err = c.kept.Store(data)
	}
	c.failed = nil
	if err != nil {
		c.failed = c.problem("cannot keep the last good versions for a restart: %v", err)
	}
}
