package manifest

import (
	"strings"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/yamltree"
)

// bad notes a value that is not what its key wants.
func (b *builder) bad(path, value string, err error) {
	b.draft.lost = true
	b.report(path, value, err.Error())
}

// check adds what nic.Validate finds. With a value lost its rules would
// complain about what is only missing.
func (b *builder) check(out nic.Binding) {
	if b.draft.lost {
		return
	}
	for _, e := range nic.FieldErrors(nic.Validate(&out)) {
		b.report(e.Field, e.Value, e.Problem)
	}
}

// report places a problem: at the key itself, at what the network gave, or at
// the nearest key around it.
func (b *builder) report(path, value, text string) {
	d := b.draft
	if n, ok := d.index[path]; ok {
		d.fail(path, n, written(n, value), "%s", text)
		return
	}
	if b.net != nil {
		if n, ok := b.net.index[path]; ok {
			from := Problem{File: b.net.file, Line: n.Line, Column: n.Col, Text: "network " + yamltree.Quote(*b.net.raw.Network)}
			d.fail(path, d.near("network"), written(n, value), "%s (from %s)", text, from.Error())
			return
		}
	}
	d.fail(path, d.near(path), value, "%s", text)
}

// written is the value as it stands in the file.
func written(n *yamltree.Node, value string) string {
	if n.Kind == yamltree.Scalar {
		return n.Text
	}
	return value
}

// near returns the node of a path or of the nearest one around it.
func (d *draft) near(path string) *yamltree.Node {
	for path != "" {
		if n, ok := d.index[path]; ok {
			return n
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return d.root
}
