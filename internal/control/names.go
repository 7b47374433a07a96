package control

import (
	"github.com/tidwall/btree"

	"github.com/berth-net/berth/internal/fleet"
)

// names are those of all resources, in order: lists come in pages, and there
// may be a million.
type names map[fleet.Kind]*btree.Set[string]

func newNames() names {
	n := names{}
	for _, k := range fleet.Kinds() {
		n[k] = &btree.Set[string]{}
	}
	return n
}

// note takes in that a resource is there, or, with nil, is not.
func (n names) note(kind fleet.Kind, name string, res fleet.Resource) {
	set := n[kind]
	switch {
	case set == nil: // of a later version
	case res == nil:
		set.Delete(name)
	default:
		set.Insert(res.Header().Name)
	}
}

// after tells the names behind one, until the function says that it is enough.
func (n names) after(kind fleet.Kind, name string, more func(string) bool) {
	if set := n[kind]; set != nil {
		set.Ascend(name, func(next string) bool { return next == name && name != "" || more(next) })
	}
}
