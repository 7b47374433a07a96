package yamltree

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Mistake is what is wrong at one place of a file. Line is 0 if it concerns the
// whole of it.
type Mistake struct {
	File         string
	Line, Column int
	Field, Value string // Value as written
	Text         string
}

// Error prints file:line:column: field "value": text, leaving out what is not
// known.
func (m Mistake) Error() string {
	var s strings.Builder
	if m.File != "" {
		s.WriteString(Clean(m.File) + ":")
	}
	if m.Line > 0 {
		fmt.Fprintf(&s, "%d:%d:", m.Line, m.Column)
	}
	if s.Len() > 0 {
		s.WriteByte(' ')
	}
	if m.Field != "" {
		s.WriteString(Clean(m.Field))
		if m.Value != "" {
			s.WriteString(" " + Quote(m.Value))
		}
		s.WriteString(": ")
	}
	s.WriteString(Clean(m.Text))
	return s.String()
}

// Clean escapes what a terminal or a log would act on: keys and messages of
// the parser can hold any text of the file.
func Clean(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// Quote prints a value so that it can stand in a log line, whatever it holds.
func Quote(s string) string {
	const limit = 80
	if len(s) > limit {
		return strconv.Quote(strings.ToValidUTF8(s[:limit], "")) + "..."
	}
	return strconv.Quote(s)
}

// Join is the path of a key in what has a path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Unique returns the entries of a mapping without those given twice, of which
// twice is told.
func (n *Node) Unique(twice func(e Entry, first int)) []Entry {
	var out []Entry
	first := map[string]int{}
	for _, e := range n.Keys {
		if line, dup := first[e.Name]; dup {
			twice(e, line)
			continue
		}
		first[e.Name] = e.Line
		out = append(out, e)
	}
	return out
}
