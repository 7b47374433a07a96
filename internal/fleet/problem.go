package fleet

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is one mistake in a file or a body. Line and Column are 0 if it
// concerns the whole of it.
type Problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Kind   Kind   `json:"kind,omitempty"`
	Name   string `json:"name,omitempty"`
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"` // as written
	Text   string `json:"text"`
}

// Error prints file:line:column: field "value": text, leaving out what is not
// known.
func (p Problem) Error() string {
	var s strings.Builder
	if p.File != "" {
		s.WriteString(clean(p.File) + ":")
	}
	if p.Line > 0 {
		fmt.Fprintf(&s, "%d:%d:", p.Line, p.Column)
	}
	if s.Len() > 0 {
		s.WriteByte(' ')
	}
	if p.Field != "" {
		s.WriteString(clean(p.Field))
		if p.Value != "" {
			s.WriteString(" " + quote(p.Value))
		}
		s.WriteString(": ")
	}
	s.WriteString(clean(p.Text))
	return s.String()
}

// clean escapes what a terminal or a log would act on.
func clean(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

func quote(s string) string {
	const limit = 80
	if len(s) > limit {
		return strconv.Quote(strings.ToValidUTF8(s[:limit], "")) + "..."
	}
	return strconv.Quote(s)
}
