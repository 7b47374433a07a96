package dir

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// reading is what one look at the directory found, files in order of name.
type reading struct {
	missing bool              // there is no such directory
	failed  *manifest.Problem // the directory exists and cannot be read
	files   []file

	warnings []manifest.Problem
}

// file is one file; an unreadable one has a problem and nothing else.
type file struct {
	path   string
	result manifest.Result
}

// outcome is what is in force after a reading.
type outcome struct {
	good     map[string]*nic.Binding
	stale    map[string]manifest.Problem
	problems []manifest.Problem
}

// merge decides what is in force. A NIC disappears only if a readable
// directory and, where its file still exists, a file without any mistake say
// so: a broken or half-written file must not cut a running guest off.
func merge(last map[string]*nic.Binding, r reading) outcome {
	switch {
	case r.failed != nil:
		return keepAll(last, *r.failed)
	case r.missing && len(last) > 0:
		return keepAll(last, vanished(last))
	}
	out := outcome{good: map[string]*nic.Binding{}, stale: map[string]manifest.Problem{}}
	declared := map[string]string{} // NIC -> the file that has it, good or broken
	for _, f := range r.files {
		out.problems = append(out.problems, f.result.Problems...)
		out.claim(declared, f)
	}
	for _, f := range r.files {
		out.keep(last, declared, f)
	}
	return out
}

// vanished tells what happened to the whole directory: to remove it is far
// more often an accident than a wish to cut every guest off.
func vanished(last map[string]*nic.Binding) manifest.Problem {
	return manifest.Problem{Text: fmt.Sprintf("the directory of the bindings is gone; the %d it had stay in force until it is back (make it again, empty, to remove them)", len(last))}
}

func keepAll(last map[string]*nic.Binding, p manifest.Problem) outcome {
	out := outcome{good: maps.Clone(last), stale: map[string]manifest.Problem{}, problems: []manifest.Problem{p}}
	if out.good == nil {
		out.good = map[string]*nic.Binding{}
	}
	for name := range last {
		out.stale[name] = p
	}
	return out
}

// claim takes a file's bindings. A NIC belongs to the first file that
// declares it, even if its document there is broken: otherwise mending one
// file would silently change what another one said.
func (o *outcome) claim(declared map[string]string, f file) {
	for i := range f.result.Bindings {
		b := &f.result.Bindings[i]
		if first, taken := declared[b.NIC]; taken {
			o.problems = append(o.problems, manifest.Problem{
				File: f.path, Line: b.Origin.Line, Column: 1, NIC: b.NIC, Field: "nic", Value: b.NIC,
				Text: fmt.Sprintf("also declared in %s, which comes first and stays", first),
			})
			continue
		}
		declared[b.NIC] = f.path
		o.good[b.NIC] = b
	}
	for _, name := range f.result.Names {
		if _, taken := declared[name]; !taken {
			declared[name] = f.path
		}
	}
}

// keep holds on to the last good versions of what a broken file had, and of
// what its broken documents name.
func (o *outcome) keep(last map[string]*nic.Binding, declared map[string]string, f file) {
	if len(f.result.Problems) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		b := last[name]
		if _, good := o.good[name]; good {
			continue
		}
		if declared[name] == f.path || declared[name] == "" && b.Origin.File == f.path {
			o.good[name] = b
			o.stale[name] = problemOf(name, f.result.Problems)
		}
	}
}

// problemOf picks the problem that concerns a NIC, else the file's first.
func problemOf(name string, problems []manifest.Problem) manifest.Problem {
	for _, p := range problems {
		if p.NIC == name {
			return p
		}
	}
	return problems[0]
}

func byName(a, b *nic.Binding) int { return cmp.Compare(a.NIC, b.NIC) }
