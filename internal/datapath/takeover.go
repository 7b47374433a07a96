package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"
)

// older are the layouts whose pins are taken over, the oldest first.
func older() []string { return []string{"v3"} }

// filling is the directory of maps that do not hold everything yet.
const filling = "filling"

// takeover is what Open finds of earlier programs. What there is of an older
// layout is moved in steps, none of which leaves a NIC unguarded:
//
//	load     makes the maps of this layout, apart, while the old programs go on
//	inherit  copies into them what the old ones hold
//	publish  gives their directory its name: it is there only when it is full
//	take     moves the pins of the links
//	adopt    puts the new programs into links and filters
//	clear    keeps what was handed up and not answered, and removes the old maps
//
// Each can be done again: a start that was interrupted is completed by the next.
type takeover struct {
	root string   // of the pins of all layouts
	old  []string // layouts of which there are pins, the oldest first
	from string   // the newest of them that holds rules; "": none
	full bool     // the maps of this layout hold what those did
	none bool     // there were no pins at all
	left [][]byte // handed up by the old programs, as this layout's records
}

// survey looks at what is pinned, and changes nothing.
func (k *Kernel) survey() error {
	if err := checkBPFFS(filepath.Dir(k.root)); err != nil {
		return err
	}
	entries, err := os.ReadDir(k.root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read pin directory: %w", err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case slices.Contains(older(), name):
			k.old = append(k.old, name)
		case name != layout && name != filling:
			return fmt.Errorf("%s holds pins of layout %s, this berthd speaks %s: start the berthd that made them, or see docs/upgrade.md for the way back",
				k.root, name, layout)
		}
	}
	k.none = len(entries) == 0
	slices.SortFunc(k.old, func(a, b string) int { return slices.Index(older(), a) - slices.Index(older(), b) })
	for _, name := range k.old {
		if holdsRules(filepath.Join(k.root, name)) {
			k.from = name
		}
	}
	k.full = k.from == "" || holdsRules(k.dir)
	return nil
}

// holdsRules is false of a directory that an interrupted or refused start left.
func holdsRules(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, berthMapNics))
	return err == nil
}

// inherit copies what the newest older layout holds into this one's maps.
func (k *Kernel) inherit() error {
	if k.full {
		return nil
	}
	spec, err := loadBerth()
	if err != nil {
		return fmt.Errorf("read the kernel program: %w", err)
	}
	shape, err := shapeOf(k.from)
	if err != nil {
		return err
	}
	for name, m := range k.maps.all() {
		if m.Type() != ebpf.Hash && m.Type() != ebpf.LPMTrie {
			continue
		}
		if err := k.inheritMap(m, spec.Maps[name], shape); err != nil {
			return fmt.Errorf("take over map %s of layout %s: %w", name, k.from, err)
		}
	}
	return nil
}

func (k *Kernel) inheritMap(m *ebpf.Map, spec *ebpf.MapSpec, shape *btf.Spec) error {
	old, err := ebpf.LoadPinnedMap(filepath.Join(k.root, k.from, spec.Name), nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil // there was no such map yet
	}
	if err != nil {
		return err
	}
	defer func() { _ = old.Close() }()
	keys, err := since(spec.Key, shape)
	if err != nil {
		return err
	}
	values, err := since(spec.Value, shape)
	if err != nil {
		return err
	}
	if keys.from != int(old.KeySize()) || values.from != int(old.ValueSize()) {
		return fmt.Errorf("entries of %d and %d bytes, want %d and %d", old.KeySize(), old.ValueSize(), keys.from, values.from)
	}
	var key, value []byte
	it := old.Iterate()
	for it.Next(&key, &value) {
		if err := m.Update(keys.apply(key), values.apply(value), ebpf.UpdateAny); err != nil {
			return err
		}
	}
	return it.Err()
}

// since is how a type's values came to be what they are from an older shape.
// Numbers stay what they are.
func since(now btf.Type, shape *btf.Spec) (conversion, error) {
	s, ok := now.(*btf.Struct)
	if !ok {
		return convert(now, now)
	}
	var old *btf.Struct
	if err := shape.TypeByName(s.Name, &old); err != nil {
		return conversion{}, err
	}
	c, err := convert(s, old)
	if err != nil {
		return c, fmt.Errorf("struct %s: %w", s.Name, err)
	}
	return c, nil
}

// publish says that the maps are full.
func (k *Kernel) publish() error {
	if k.full {
		return nil
	}
	os.Remove(k.dir) // an empty one, of a start that was refused
	if err := os.Rename(k.mapDir(), k.dir); err != nil {
		return fmt.Errorf("publish the maps: %w", err)
	}
	k.full = true
	return nil
}

// mapDir is where this layout's maps are pinned at the moment.
func (k *Kernel) mapDir() string {
	if k.full {
		return k.dir
	}
	return filepath.Join(k.root, filling)
}

// take moves the pins of older layouts' links here.
func (k *Kernel) take() error {
	for _, name := range k.old {
		entries, err := os.ReadDir(filepath.Join(k.root, name))
		if err != nil {
			return fmt.Errorf("read pins: %w", err)
		}
		for _, e := range entries {
			if _, ok := parsePin(e.Name()); !ok {
				continue
			}
			if err := os.Rename(filepath.Join(k.root, name, e.Name()), filepath.Join(k.dir, e.Name())); err != nil {
				return fmt.Errorf("take over the pin of a link: %w", err)
			}
		}
	}
	return nil
}

// clear ends what is left of older layouts; no program uses it any more.
func (k *Kernel) clear() error {
	for _, name := range k.old {
		if err := k.keepLeft(name); err != nil {
			return fmt.Errorf("read what layout %s has handed up: %w", name, err)
		}
		if err := os.RemoveAll(filepath.Join(k.root, name)); err != nil {
			return fmt.Errorf("remove the pins of layout %s: %w", name, err)
		}
	}
	return os.RemoveAll(filepath.Join(k.root, filling))
}

// giveUp leaves an older program alone with its pins, and where there were none
// leaves none: another version, to which one goes back then, would refuse them.
func (k *Kernel) giveUp() error {
	if k.full && !k.none {
		return k.Close()
	}
	return errors.Join(k.Close(), os.RemoveAll(k.mapDir()))
}

// settled is how long a program may take that had begun before it was replaced.
const settled = 10 * time.Millisecond

// keepLeft reads what guests have asked and no process has answered.
func (k *Kernel) keepLeft(name string) error {
	m, err := ebpf.LoadPinnedMap(filepath.Join(k.root, name, berthMapPunts), nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	c, err := puntsSince(name)
	if err != nil {
		return err
	}
	r, err := ringbuf.NewReader(m)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	var rec ringbuf.Record
	for {
		r.SetDeadline(time.Now().Add(settled))
		if err := r.ReadInto(&rec); err != nil {
			return ignoreDeadline(err)
		}
		if len(rec.RawSample) >= c.from {
			k.left = append(k.left, c.apply(rec.RawSample))
		}
	}
}

func ignoreDeadline(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func puntsSince(layout string) (conversion, error) {
	spec, err := loadBerth()
	if err != nil {
		return conversion{}, err
	}
	var now *btf.Struct
	if err := spec.Types.TypeByName("punt", &now); err != nil {
		return conversion{}, err
	}
	shape, err := shapeOf(layout)
	if err != nil {
		return conversion{}, err
	}
	return since(now, shape)
}
