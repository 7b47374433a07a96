// Package manifest is the file format of bindings and networks: YAML or JSON
// documents, one a NIC, read strictly and with the position of every mistake.
// docs/binding.md describes it; packaging/etc/berth shows every key.
//
// Not here: files and directories (source/dir, store), and conflicts between
// NICs (table).
package manifest

import (
	"cmp"
	"slices"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/yamltree"
)

// Limits of one file. They bound what a broken or hostile writer can cost.
const (
	MaxFile      = 1 << 20
	MaxDocuments = 4096
	// maxResolved is larger than MaxFile because Encode fills in every default.
	maxResolved = 4 << 20
	maxProblems = 100 // of one document
)

// Problem is one mistake in a file. Line and Column are 0 if it concerns the
// whole file.
type Problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	NIC    string `json:"nic,omitempty"` // "" if it cannot be told
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"` // as written
	Text   string `json:"text"`
}

// Error prints file:line:column: field "value": text, leaving out what is not
// known.
func (p Problem) Error() string {
	return yamltree.Mistake{File: p.File, Line: p.Line, Column: p.Column, Field: p.Field, Value: p.Value, Text: p.Text}.Error()
}

// Result is what one file says.
type Result struct {
	Bindings []nic.Binding
	Problems []Problem
	// Names are the NICs that broken documents name, sorted: declared, but not
	// to be had from this version of the file.
	Names []string
}

// Parse reads the bindings of one file. A broken document costs its own NIC
// only.
func Parse(file string, data []byte, nets Networks) Result {
	docs, whole := split(file, data, MaxFile)
	return parse(file, docs, whole, nets)
}

// Resolved reads what Encode wrote: everything is in it, so its network is a
// name and nothing is inherited.
func Resolved(file string, data []byte) Result {
	docs, whole := split(file, data, maxResolved)
	return parse(file, docs, whole, Networks{resolved: true})
}

// split cuts a file into its documents.
func split(file string, data []byte, limit int) ([]yamltree.Document, []Problem) {
	docs, err := yamltree.Split(data, yamltree.Limits{Bytes: limit, Documents: MaxDocuments})
	if err != nil {
		return docs, []Problem{{File: file, Line: err.Line, Column: err.Col, Text: err.Text}}
	}
	return docs, nil
}

func parse(file string, docs []yamltree.Document, whole []Problem, nets Networks) Result {
	r := Result{Problems: whole}
	seen := map[string]int{}
	broken := map[string]bool{}
	for _, doc := range docs {
		e := read(file, doc)
		name, line := e.name()
		if e.root != nil && e.root.Kind == yamltree.Mapping && e.index["nic"] == nil {
			e.fail("nic", e.root, "", "missing: a document needs the name of its NIC")
		}
		if first, dup := seen[name]; dup && name != "" {
			e.fail("nic", e.index["nic"], name, "declared twice in this file, first at line %d", first)
			r.add(name, e.problems)
			continue
		}
		seen[name] = line
		b := e.binding(nets)
		r.add(name, e.problems)
		if len(e.problems) == 0 {
			r.Bindings = append(r.Bindings, b)
		} else if nic.ValidName(name) {
			broken[name] = true
		}
	}
	for n := range broken {
		r.Names = append(r.Names, n)
	}
	slices.Sort(r.Names)
	return r
}

// add appends one document's problems in file order, each with its NIC.
func (r *Result) add(name string, problems []Problem) {
	slices.SortStableFunc(problems, func(x, y Problem) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	for _, p := range problems {
		p.NIC = name
		r.Problems = append(r.Problems, p)
	}
}
