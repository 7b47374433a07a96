// Package yamltree reads YAML and JSON documents into a plain tree with the
// place of every value. It refuses what makes YAML dangerous (anchors, tags,
// depth without bounds) and never lets a broken document cost more than itself.
//
// Not here: what the keys mean (manifest, fleet).
package yamltree

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds nesting: the parser recurses, and a Go stack that overflows
// ends the process. The format itself needs five levels.
const maxDepth = 24

// maxKeys bounds the keys of one document, far above what the format can use:
// the parser recurses for every further key of a mapping.
const maxKeys = 4096

// maxBlank bounds the empty lines of one document.
const maxBlank = 1000

// Kind is what a node is.
type Kind uint8

// The kinds.
const (
	Scalar Kind = iota
	List
	Mapping
	Null
)

// String names the kind for a message.
func (k Kind) String() string {
	return [...]string{"one value", "a list", "keys with values", "nothing"}[k]
}

// Node is a YAML value with its place in the file: what is left of the
// parser's tree once everything our formats do not use is refused.
type Node struct {
	Kind      Kind
	Text      string // of a scalar, as written
	Quoted    bool
	Line, Col int
	Items     []*Node
	Keys      []Entry
}

// Entry is one key of a mapping.
type Entry struct {
	Name      string
	Line, Col int
	Value     *Node
}

// SyntaxError is a mistake the YAML itself has; Line is 0 if it concerns the
// whole file.
type SyntaxError struct {
	Line, Col int
	Text      string
}

// Error is what is wrong, without the place.
func (e *SyntaxError) Error() string { return e.Text }

// Load parses one document; lines are counted from its first line in the
// file.
func Load(doc Document) (n *Node, err error) {
	// The parser reads whatever an operator's tools wrote and is not ours: if it
	// panics, that costs this document and not the agent.
	defer func() {
		if r := recover(); r != nil {
			n, err = nil, &SyntaxError{Line: doc.Line, Col: 1, Text: fmt.Sprintf("cannot be parsed: %v", r)}
		}
	}()
	text, err := settle(doc)
	if err != nil {
		return nil, err
	}
	tokens := lexer.Tokenize(text)
	if err := refuse(tokens, doc.Line-1); err != nil {
		return nil, err
	}
	// Duplicate keys are found by us, with both places.
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, parserError(err, doc.Line)
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, &SyntaxError{Line: doc.Line, Col: 1, Text: "cannot be parsed as one YAML document"}
	}
	c := converter{offset: doc.Line - 1}
	return c.node(f.Docs[0].Body)
}

func parserError(err error, line int) error {
	y, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return &SyntaxError{Line: line, Col: 1, Text: err.Error()}
	}
	// Not err.Error(): it prints the source around, in quadratic time.
	e := &SyntaxError{Line: line, Col: 1, Text: y.GetMessage()}
	if t := y.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Col = line-1+t.Position.Line, t.Position.Column
	}
	return e
}

// refuse rejects, before the parser sees them, what the format does not use
// (an alias can make a small file huge) and what nests too deep.
func refuse(tokens token.Tokens, offset int) error {
	depth, keys := 0, 0
	for _, t := range tokens {
		if text := refusedToken(t); text != "" {
			return tokenError(t, offset, text)
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			if depth > 0 {
				return tokenError(t, offset, "a list with dashes is not allowed inside brackets")
			}
			// Outside brackets every level is indented deeper than the one around
			// it, so the column bounds the depth.
			if depth == 0 && t.Position.Column > 4*maxDepth {
				depth = maxDepth + 1
			}
		case token.MappingValueType:
			if keys++; keys > maxKeys {
				return tokenError(t, offset, fmt.Sprintf("more than %d keys in one document", maxKeys))
			}
			if depth == 0 && t.Prev != nil && t.Prev.Position.Column > 4*maxDepth {
				depth = maxDepth + 1
			}
		}
		if depth < 0 {
			return tokenError(t, offset, "a closing bracket without an opening one")
		}
		if depth > maxDepth {
			return tokenError(t, offset, "nested too deep")
		}
	}
	return nil
}

func tokenError(t *token.Token, offset int, text string) error {
	return &SyntaxError{Line: offset + t.Position.Line, Col: t.Position.Column, Text: text}
}

func refusedToken(t *token.Token) string {
	switch t.Type {
	case token.AnchorType, token.AliasType, token.MergeKeyType:
		return "YAML anchors, aliases and merge keys are not allowed; write the value out, or put it into a network"
	case token.TagType:
		return "YAML tags are not allowed"
	case token.DirectiveType:
		return "YAML directives are not allowed"
	case token.MappingKeyType:
		return "keys with ? are not allowed"
	case token.InvalidType:
		return cmp.Or(t.Error, "cannot be parsed")
	}
	return ""
}

// settle refuses or evens out the white space over which the lexer takes
// quadratic time: lines of blanks, and carriage returns that end no line.
func settle(doc Document) (string, error) {
	var b strings.Builder
	b.Grow(len(doc.Text))
	line, blank := doc.Line-1, 0
	for l := range strings.Lines(doc.Text) {
		line++
		l = strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r")
		if i := strings.IndexByte(l, '\r'); i >= 0 {
			return "", &SyntaxError{Line: line, Col: i + 1, Text: "a carriage return inside a line"}
		}
		if strings.TrimSpace(l) == "" {
			l = ""
			if blank++; blank > maxBlank {
				return "", &SyntaxError{Line: line, Col: 1, Text: fmt.Sprintf("more than %d empty lines in one document", maxBlank)}
			}
		}
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// converter turns the parser's tree into nodes.
type converter struct{ offset int }

func (c converter) node(a ast.Node) (*Node, error) {
	n := &Node{}
	n.Line, n.Col = c.place(a)
	switch v := a.(type) {
	case *ast.MappingNode:
		return n, c.mapping(n, v.Values)
	case *ast.MappingValueNode:
		return n, c.mapping(n, []*ast.MappingValueNode{v})
	case *ast.SequenceNode:
		return n, c.list(n, v.Values)
	case *ast.NullNode:
		n.Kind = Null
	case *ast.LiteralNode:
		n.Text, n.Quoted = v.Value.Value, true
	case *ast.StringNode:
		n.Text, n.Quoted = v.Value, isQuoted(v.Token)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		n.Text = a.GetToken().Value
	default:
		return nil, &SyntaxError{Line: n.Line, Col: n.Col, Text: fmt.Sprintf("a YAML %s is not allowed here", strings.ToLower(a.Type().YAMLName()))}
	}
	return n, nil
}

func isQuoted(t *token.Token) bool {
	return t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType
}

func (c converter) place(a ast.Node) (line, col int) {
	p := a.GetToken().Position
	return c.offset + p.Line, p.Column
}

func (c converter) list(n *Node, values []ast.Node) error {
	n.Kind = List
	for _, v := range values {
		item, err := c.node(v)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, item)
	}
	return nil
}

func (c converter) mapping(n *Node, values []*ast.MappingValueNode) error {
	n.Kind = Mapping
	for i, v := range values {
		line, col := c.place(v.Key)
		if _, ok := v.Key.(ast.ScalarNode); !ok || v.Key.Type() == ast.NullType {
			return &SyntaxError{Line: line, Col: col, Text: "a key must be a word"}
		}
		value, err := c.node(v.Value)
		if err != nil {
			return err
		}
		n.Keys = append(n.Keys, Entry{Name: v.Key.GetToken().Value, Line: line, Col: col, Value: value})
		// The parser places a block of keys at its first colon.
		if i == 0 && n.Line >= line && n.Col > col {
			n.Line, n.Col = line, col
		}
	}
	return nil
}
