package kea

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/berth-net/berth/internal/compat"
)

// node is a JSON value and its place.
type node struct {
	compat.Place
	text string // of a scalar
	list []*node
	keys []string
	of   map[string]*node // of an object; nil: it is none
}

func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	return n.of[key]
}

// str is the text of a scalar, "" if there is none.
func (n *node) str(key string) string {
	if v := n.get(key); v != nil {
		return v.text
	}
	return ""
}

func (n *node) items(key string) []*node {
	if v := n.get(key); v != nil {
		return v.list
	}
	return nil
}

// maxDepth bounds nesting.
const maxDepth = 64

// load reads JSON as Kea has it: with comments of #, // and /* */. What it
// includes by <?include ...?> is left out and told. A mistake is told with its
// place, and there is no node then.
func load(f compat.File, r *compat.Result) *node {
	plain, includes := blank(f.Data)
	for _, line := range includes {
		r.Note(compat.Place{File: f.Name, Line: line}, "an included file is not read: put its text in place of the include")
	}
	l := loader{file: f.Name, data: plain, d: json.NewDecoder(bytes.NewReader(plain))}
	l.d.UseNumber()
	n, err := l.value(0)
	if _, more := l.d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something stands behind the closing brace")
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it ends too early")
	}
	if err != nil {
		r.Note(l.place(), "%v; the file is not read", err)
		return nil
	}
	return n
}

type loader struct {
	file string
	data []byte
	d    *json.Decoder
}

// place is where the decoder is: at the end of the last token.
func (l *loader) place() compat.Place {
	end := min(int(l.d.InputOffset()), len(l.data))
	return compat.Place{File: l.file, Line: 1 + bytes.Count(l.data[:end], []byte("\n"))}
}

func (l *loader) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	t, err := l.d.Token()
	if err != nil {
		return nil, err
	}
	n := &node{Place: l.place()}
	switch t {
	case json.Delim('{'):
		return n, l.object(n, depth)
	case json.Delim('['):
		return n, l.array(n, depth)
	case nil:
		return n, nil
	}
	n.text = fmt.Sprint(t)
	return n, nil
}

func (l *loader) object(n *node, depth int) error {
	n.of = map[string]*node{}
	for l.d.More() {
		key, err := l.d.Token()
		if err != nil {
			return err
		}
		name := fmt.Sprint(key)
		v, err := l.value(depth + 1)
		if err != nil {
			return err
		}
		if n.of[name] == nil {
			n.keys = append(n.keys, name)
		}
		n.of[name] = v
	}
	_, err := l.d.Token()
	return err
}

func (l *loader) array(n *node, depth int) error {
	for l.d.More() {
		v, err := l.value(depth + 1)
		if err != nil {
			return err
		}
		n.list = append(n.list, v)
	}
	_, err := l.d.Token()
	return err
}

// blank puts blanks where comments and includes are, so that lines stay, and
// returns the lines of the includes.
func blank(data []byte) (plain []byte, includes []int) {
	plain = bytes.Clone(data)
	for i := 0; i < len(plain); {
		var n int
		rest := plain[i:]
		switch {
		case rest[0] == '"':
			i += stringEnd(rest)
			continue
		case rest[0] == '#' || bytes.HasPrefix(rest, []byte("//")):
			n = end(rest, "\n")
		case bytes.HasPrefix(rest, []byte("/*")):
			n = end(rest, "*/")
		case bytes.HasPrefix(rest, []byte("<?include")):
			includes = append(includes, 1+bytes.Count(plain[:i], []byte("\n")))
			n = end(rest, "?>")
		default:
			i++
			continue
		}
		for j := range n {
			if rest[j] != '\n' {
				rest[j] = ' '
			}
		}
		i += n
	}
	return plain, includes
}

// end is the length up to and with a mark, or all.
func end(s []byte, mark string) int {
	if i := bytes.Index(s, []byte(mark)); i >= 0 {
		return i + len(mark)
	}
	return len(s)
}

func stringEnd(s []byte) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}
