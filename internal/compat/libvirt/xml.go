package libvirt

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/berth-net/berth/internal/compat"
)

// node is an XML element and its place.
type node struct {
	compat.Place
	name  string
	attrs map[string]string
	text  string
	in    []*node
}

// child is the first element of a name; nil if there is none, on which the
// methods work too.
func (n *node) child(name string) *node {
	if all := n.all(name); len(all) > 0 {
		return all[0]
	}
	return nil
}

func (n *node) all(name string) (out []*node) {
	if n == nil {
		return nil
	}
	for _, c := range n.in {
		if c.name == name {
			out = append(out, c)
		}
	}
	return out
}

func (n *node) attr(name string) string {
	if n == nil {
		return ""
	}
	return n.attrs[name]
}

// maxDepth bounds nesting.
const maxDepth = 64

// load reads the elements of a document; the returned node is around them, and
// at the place of the mistake if there is one.
func load(f compat.File) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(f.Data))
	around := &node{Place: compat.Place{File: f.Name, Line: 1}}
	open := []*node{around}
	for {
		t, err := d.Token()
		line, _ := d.InputPos()
		if errors.Is(err, io.EOF) {
			return around, nil
		}
		if err != nil {
			around.Line = line
			return around, plain(err)
		}
		top := open[len(open)-1]
		switch e := t.(type) {
		case xml.StartElement:
			n := element(e, compat.Place{File: f.Name, Line: line})
			top.in = append(top.in, n)
			if open = append(open, n); len(open) > maxDepth {
				around.Line = line
				return around, errors.New("nested too deep")
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.text += strings.TrimSpace(string(e))
		}
	}
}

// plain is a mistake without its line, which is told before it.
func plain(err error) error {
	if s, ok := errors.AsType[*xml.SyntaxError](err); ok {
		return errors.New(s.Msg)
	}
	return err
}

func element(e xml.StartElement, p compat.Place) *node {
	n := &node{Place: p, name: e.Name.Local, attrs: map[string]string{}}
	for _, a := range e.Attr {
		n.attrs[a.Name.Local] = a.Value
	}
	return n
}
