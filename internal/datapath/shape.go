package datapath

import (
	"bytes"
	"embed"
	"fmt"
	"reflect"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// The structs of older layouts as BTF, one file each: the kernel would tell
// them of its pinned maps, but only to CAP_SYS_ADMIN, which berthd has not.
// An object of that layout gives the file (TestLayoutsAreDescribed -update).
//
//go:embed layouts
var layouts embed.FS

// shapeOf returns the structs of an older layout.
func shapeOf(layout string) (*btf.Spec, error) {
	b, err := layouts.ReadFile("layouts/" + layout + ".btf")
	if err != nil {
		return nil, fmt.Errorf("the structs of layout %s: %w", layout, err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("the structs of layout %s: %w", layout, err)
	}
	return spec, nil
}

// run is bytes that are the same in two shapes of one type.
type run struct{ to, from, len int }

// conversion makes values of one shape of a type into values of another. Fields
// go by their names, and what only one of the two has is zero, or left out.
type conversion struct {
	runs     []run
	to, from int // bytes of a value
}

func (c *conversion) apply(b []byte) []byte {
	out := make([]byte, c.to)
	for _, r := range c.runs {
		copy(out[r.to:r.to+r.len], b[r.from:r.from+r.len])
	}
	return out
}

// convert finds out how values become another shape, or that they cannot
// without losing what they say.
func convert(to, from btf.Type) (c conversion, err error) {
	if c.to, err = btf.Sizeof(to); err != nil {
		return c, err
	}
	if c.from, err = btf.Sizeof(from); err != nil {
		return c, err
	}
	return c, c.add(pair{to: to, from: from})
}

// pair is one type in both shapes, and where it is in each.
type pair struct {
	to, from     btf.Type
	toAt, fromAt int
}

func (c *conversion) add(p pair) error {
	p.to, p.from = btf.UnderlyingType(p.to), btf.UnderlyingType(p.from)
	if reflect.TypeOf(p.to) != reflect.TypeOf(p.from) {
		return fmt.Errorf("%v became %v", p.from, p.to)
	}
	switch to := p.to.(type) {
	case *btf.Struct:
		return c.addStruct(p, to.Members, p.from.(*btf.Struct).Members)
	case *btf.Array:
		return c.addArray(p, to, p.from.(*btf.Array))
	case *btf.Int:
		return c.addInt(p, to, p.from.(*btf.Int))
	default:
		return fmt.Errorf("no way to copy %v", to)
	}
}

func (c *conversion) addStruct(p pair, to, from []btf.Member) error {
	for _, m := range to {
		i := slices.IndexFunc(from, func(old btf.Member) bool { return old.Name == m.Name })
		if i < 0 {
			continue
		}
		if m.BitfieldSize != 0 || from[i].BitfieldSize != 0 {
			return fmt.Errorf("%s is a bit field", m.Name)
		}
		err := c.add(pair{m.Type, from[i].Type, p.toAt + int(m.Offset.Bytes()), p.fromAt + int(from[i].Offset.Bytes())})
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

func (c *conversion) addArray(p pair, to, from *btf.Array) error {
	if from.Nelems > to.Nelems {
		return fmt.Errorf("%d elements became %d", from.Nelems, to.Nelems)
	}
	toSize, err := btf.Sizeof(to.Type)
	if err != nil {
		return err
	}
	fromSize, err := btf.Sizeof(from.Type)
	if err != nil {
		return err
	}
	for i := range int(from.Nelems) {
		if err := c.add(pair{to.Type, from.Type, p.toAt + i*toSize, p.fromAt + i*fromSize}); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversion) addInt(p pair, to, from *btf.Int) error {
	if to.Size != from.Size {
		return fmt.Errorf("%d bytes became %d", from.Size, to.Size)
	}
	n := int(to.Size)
	if last := len(c.runs) - 1; last >= 0 && c.runs[last].endsAt(p) {
		c.runs[last].len += n
		return nil
	}
	c.runs = append(c.runs, run{p.toAt, p.fromAt, n})
	return nil
}

func (r run) endsAt(p pair) bool { return r.to+r.len == p.toAt && r.from+r.len == p.fromAt }
