package nic

import (
	"fmt"
	"hash/fnv"
)

// Digest identifies the meaning of a binding, wherever it was declared; it is
// never 0. Two bindings of one digest give the same guard and the same answers.
func (b *Binding) Digest() uint64 {
	c := *b
	c.Origin = Origin{}
	h := fnv.New64a()
	// fmt prints maps in key order, so the text is canonical.
	_, _ = fmt.Fprintf(h, "%+v", c)
	return max(h.Sum64(), 1)
}
