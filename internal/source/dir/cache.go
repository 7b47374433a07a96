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
	damaged []manifest.Problem // found at the start; told as long as we run
	failed  []manifest.Problem // of the last write
}

// load returns what was in force. A cache that is not exactly what was
// written is set aside and nothing of it is used.
func (c *cache) load(name string) map[string]nic.Binding {
	var last map[string]nic.Binding
	err := c.kept.Load(func(data []byte) (err error) {
		last, err = source.DecodeLastGood(name, data)
		return err
	})
	if err != nil {
		c.damaged = c.problem("the last good versions: %v", err)
	}
	return last
}

func (c *cache) problem(format string, args ...any) []manifest.Problem {
	return []manifest.Problem{{File: c.kept.Path, Text: fmt.Sprintf(format, args...)}}
}

// store writes what is in force.
func (c *cache) store(bindings []nic.Binding) {
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
