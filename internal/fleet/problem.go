package fleet

import "github.com/berth-net/berth/internal/yamltree"

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
	return yamltree.Mistake{File: p.File, Line: p.Line, Column: p.Column, Field: p.Field, Value: p.Value, Text: p.Text}.Error()
}
