package controller

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/nodelink"
)

// entry is one NIC's document and what is made of it.
type entry struct {
	doc      nodelink.Document
	binding  *nic.Binding      // nil: none was ever good
	good     nodelink.Document // that the binding was made of
	problems []manifest.Problem
}

// set is what the controller has declared. Documents are read once; a binding
// that is published is never changed.
type set struct {
	mirror  *nodelink.Mirror
	entries map[string]*entry // by NIC
	refs    []*nic.Binding    // of the entries that have one, by NIC
}

func newSet(node string) *set {
	return &set{mirror: nodelink.NewMirror(node), entries: map[string]*entry{}}
}

// apply takes a message as a whole, or nothing of it, and returns what differs.
func (s *set) apply(msg *nodelink.Message) (nodelink.Change, error) {
	c, err := s.mirror.Apply(msg)
	if err != nil {
		return c, err
	}
	if msg.Full {
		c.Gone = s.without(msg.Set)
	}
	s.take(c)
	return c, nil
}

// without are the NICs there are that a full set does not name. The mirror does
// not know those of a site that the node was of before.
func (s *set) without(full []nodelink.Document) []string {
	left := maps.Clone(s.entries)
	for i := range full {
		delete(left, full[i].NIC)
	}
	return slices.Sorted(maps.Keys(left))
}

// take makes a change, whatever the mirror knows of it.
func (s *set) take(c nodelink.Change) {
	refs := slices.Clone(s.refs) // the old ones are published
	for _, doc := range c.Set {
		e := s.entries[doc.NIC].with(doc)
		s.entries[doc.NIC] = e
		refs = place(refs, doc.NIC, e.binding)
	}
	for _, name := range c.Gone {
		delete(s.entries, name)
		refs = place(refs, name, nil)
	}
	s.refs = refs
}

// place puts a NIC's binding where it belongs, nil for none.
func place(refs []*nic.Binding, name string, b *nic.Binding) []*nic.Binding {
	i, found := slices.BinarySearchFunc(refs, name, func(b *nic.Binding, name string) int { return cmp.Compare(b.NIC, name) })
	switch {
	case b == nil && found:
		return slices.Delete(refs, i, i+1)
	case b == nil:
		return refs
	case found:
		refs[i] = b
		return refs
	}
	return slices.Insert(refs, i, b)
}

// with is the NIC's entry with a new document. One that cannot be read leaves
// the binding as it was.
func (e *entry) with(doc nodelink.Document) *entry {
	if e == nil {
		e = &entry{}
	}
	if e.binding != nil && e.good.Digest == doc.Digest {
		b := *e.binding
		b.Origin = originOf(doc)
		return &entry{doc: doc, binding: &b, good: doc}
	}
	b, problems := read(doc)
	if b == nil {
		return &entry{doc: doc, binding: e.binding, good: e.good, problems: problems}
	}
	return &entry{doc: doc, binding: b, good: doc}
}

// originOf says where a binding is from: the NIC's name there, and in the place
// of a line its revision.
func originOf(doc nodelink.Document) nic.Origin {
	return nic.Origin{Source: name, File: name + "/" + doc.Name, Line: int(doc.Revision)}
}

// read makes the binding of a document, or says all that is wrong with it.
func read(doc nodelink.Document) (*nic.Binding, []manifest.Problem) {
	file := originOf(doc).File
	r := manifest.Resolved(file, doc.Body)
	if len(r.Problems) == 0 && (len(r.Bindings) != 1 || r.Bindings[0].NIC != doc.NIC) {
		r.Problems = []manifest.Problem{{File: file, Field: "nic", Text: fmt.Sprintf("the document of NIC %s is not its binding", doc.NIC)}}
	}
	for i := range r.Problems {
		r.Problems[i].NIC = doc.NIC
	}
	if len(r.Problems) > 0 {
		return nil, r.Problems
	}
	b := r.Bindings[0]
	b.Origin = originOf(doc)
	return &b, nil
}

// trouble lists what is wrong with documents, by NIC: stale are those whose last
// good version goes on.
func (s *set) trouble() (stale map[string]manifest.Problem, problems []manifest.Problem) {
	stale = map[string]manifest.Problem{}
	for _, name := range slices.Sorted(maps.Keys(s.entries)) {
		e := s.entries[name]
		problems = append(problems, e.problems...)
		if len(e.problems) > 0 && e.binding != nil {
			stale[name] = e.problems[0]
		}
	}
	return stale, problems
}

// restore has the mirror know what was kept, as of the last mark.
func (s *set) restore(m mark) error {
	msg := nodelink.Message{Site: m.Site, Node: m.Node, Epoch: m.Epoch, Generation: m.Generation, Full: true}
	for _, e := range s.entries {
		msg.Set = append(msg.Set, e.doc)
	}
	msg.Count, msg.Digest = len(msg.Set), nodelink.SumOf(msg.Set).String()
	s.mirror = nodelink.NewMirror(m.Node)
	_, err := s.mirror.Apply(&msg)
	if m.Behind {
		s.mirror.Distrust()
	}
	return err
}
