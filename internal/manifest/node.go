package manifest

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

// kind is what a node is.
type kind uint8

const (
	scalar kind = iota
	list
	mapping
	null
)

func (k kind) String() string {
	return [...]string{"one value", "a list", "keys with values", "nothing"}[k]
}

// node is a YAML value with its place in the file: what is left of the
// parser's tree once everything the format does not use is refused.
type node struct {
	kind      kind
	text      string // of a scalar, as written
	quoted    bool
	line, col int
	items     []*node
	keys      []entry
}

type entry struct {
	name      string
	line, col int
	value     *node
}

// syntaxError is a mistake the YAML itself has.
type syntaxError struct {
	line, col int
	text      string
}

func (e *syntaxError) Error() string { return e.text }

// load parses one document; lines are counted from its first line in the
// file.
func load(doc document) (n *node, err error) {
	// The parser reads whatever an operator's tools wrote and is not ours: if it
	// panics, that costs this document and not the agent.
	defer func() {
		if r := recover(); r != nil {
			n, err = nil, &syntaxError{line: doc.line, col: 1, text: fmt.Sprintf("cannot be parsed: %v", r)}
		}
	}()
	text, err := settle(doc)
	if err != nil {
		return nil, err
	}
	tokens := lexer.Tokenize(text)
	if err := refuse(tokens, doc.line-1); err != nil {
		return nil, err
	}
	// Duplicate keys are found by us, with both places.
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, parserError(err, doc.line)
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, &syntaxError{line: doc.line, col: 1, text: "cannot be parsed as one YAML document"}
	}
	c := converter{offset: doc.line - 1}
	return c.node(f.Docs[0].Body)
}

func parserError(err error, line int) error {
	y, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return &syntaxError{line: line, col: 1, text: err.Error()}
	}
	// Not err.Error(): it prints the source around, in quadratic time.
	e := &syntaxError{line: line, col: 1, text: y.GetMessage()}
	if t := y.GetToken(); t != nil && t.Position != nil {
		e.line, e.col = line-1+t.Position.Line, t.Position.Column
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
	return &syntaxError{line: offset + t.Position.Line, col: t.Position.Column, text: text}
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
func settle(doc document) (string, error) {
	var b strings.Builder
	b.Grow(len(doc.text))
	line, blank := doc.line-1, 0
	for l := range strings.Lines(doc.text) {
		line++
		l = strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r")
		if i := strings.IndexByte(l, '\r'); i >= 0 {
			return "", &syntaxError{line: line, col: i + 1, text: "a carriage return inside a line"}
		}
		if strings.TrimSpace(l) == "" {
			l = ""
			if blank++; blank > maxBlank {
				return "", &syntaxError{line: line, col: 1, text: fmt.Sprintf("more than %d empty lines in one document", maxBlank)}
			}
		}
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// converter turns the parser's tree into nodes.
type converter struct{ offset int }

func (c converter) node(a ast.Node) (*node, error) {
	n := &node{}
	n.line, n.col = c.place(a)
	switch v := a.(type) {
	case *ast.MappingNode:
		return n, c.mapping(n, v.Values)
	case *ast.MappingValueNode:
		return n, c.mapping(n, []*ast.MappingValueNode{v})
	case *ast.SequenceNode:
		return n, c.list(n, v.Values)
	case *ast.NullNode:
		n.kind = null
	case *ast.LiteralNode:
		n.text, n.quoted = v.Value.Value, true
	case *ast.StringNode:
		n.text, n.quoted = v.Value, isQuoted(v.Token)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		n.text = a.GetToken().Value
	default:
		return nil, &syntaxError{line: n.line, col: n.col, text: fmt.Sprintf("a YAML %s is not allowed here", strings.ToLower(a.Type().YAMLName()))}
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

func (c converter) list(n *node, values []ast.Node) error {
	n.kind = list
	for _, v := range values {
		item, err := c.node(v)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	return nil
}

func (c converter) mapping(n *node, values []*ast.MappingValueNode) error {
	n.kind = mapping
	for i, v := range values {
		line, col := c.place(v.Key)
		if _, ok := v.Key.(ast.ScalarNode); !ok || v.Key.Type() == ast.NullType {
			return &syntaxError{line: line, col: col, text: "a key must be a word"}
		}
		value, err := c.node(v.Value)
		if err != nil {
			return err
		}
		n.keys = append(n.keys, entry{name: v.Key.GetToken().Value, line: line, col: col, value: value})
		// The parser places a block of keys at its first colon.
		if i == 0 && n.line >= line && n.col > col {
			n.line, n.col = line, col
		}
	}
	return nil
}
