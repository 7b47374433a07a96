package iscdhcpd

import (
	"fmt"
	"strings"

	"github.com/berth-net/berth/internal/compat"
)

// maxDepth bounds nesting, of blocks and of included files.
const maxDepth = 32

// token is a word, a text in quotes or a mark of { } ; , = ( ).
type token struct {
	text   string
	quoted bool
	line   int
}

func (t token) is(mark string) bool { return !t.quoted && t.text == mark }

// statement is words that end in a semicolon, or in a block of statements.
type statement struct {
	compat.Place
	words   []token
	block   []statement
	isBlock bool
}

// word returns the i-th word, "" if there are fewer.
func (s *statement) word(i int) string {
	if i >= len(s.words) {
		return ""
	}
	return s.words[i].text
}

// keyword is the first word: dhcpd reads those in any case.
func (s *statement) keyword() string { return strings.ToLower(s.word(0)) }

// text is the statement's words for a message, cut where they are many.
func (s *statement) text() string {
	const many = 6
	var b strings.Builder
	for i, w := range s.words {
		if i == many {
			b.WriteString(" ...")
			break
		}
		if i > 0 && !w.is(",") {
			b.WriteByte(' ')
		}
		if w.quoted {
			fmt.Fprintf(&b, "%q", w.text)
		} else {
			b.WriteString(w.text)
		}
	}
	return b.String()
}

// syntaxError is a mistake of the grammar: nothing behind it is read.
type syntaxError struct {
	line int
	text string
}

func (e *syntaxError) Error() string { return e.text }

func scan(data string) ([]token, error) {
	var out []token
	for line := 1; data != ""; {
		c := data[0]
		switch {
		case c == '\n':
			line++
			data = data[1:]
		case strings.IndexByte(" \t\r\f", c) >= 0:
			data = data[1:]
		case c == '#':
			data = data[lineEnd(data):]
		case c == '"':
			text, rest, ok := quotedText(data[1:])
			if !ok {
				return out, &syntaxError{line, "a text without its closing quote"}
			}
			out = append(out, token{text, true, line})
			line += strings.Count(data[:len(data)-len(rest)], "\n")
			data = rest
		default:
			n := wordEnd(data)
			out = append(out, token{data[:n], false, line})
			data = data[n:]
		}
	}
	return out, nil
}

func lineEnd(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i
	}
	return len(s)
}

// wordEnd is the length of a mark, or of a word up to the next mark.
func wordEnd(s string) int {
	const marks = "{};,=()"
	if strings.IndexByte(marks, s[0]) >= 0 {
		return 1
	}
	if i := strings.IndexAny(s, marks+"\"# \t\r\n\f"); i >= 0 {
		return i
	}
	return len(s)
}

// quotedText reads up to the closing quote, with the escapes of
// dhcp-eval(5): \n \t \" \\, octal \123 and hexadecimal \xff.
func quotedText(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			c, n := escape(s[i+1:])
			b.WriteByte(c)
			i += n
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

func escape(s string) (c byte, n int) {
	digits := func(s string, base, most int) (v, n int) {
		for n < len(s) && n < most {
			d := strings.IndexByte("0123456789abcdef", s[n]|0x20)
			if s[n] < 'A' {
				d = int(s[n]) - '0'
			}
			if d < 0 || d >= base {
				break
			}
			v, n = v*base+d, n+1
		}
		return v, n
	}
	if s == "" {
		return '\\', 0
	}
	if v, n := digits(s, 8, 3); n > 0 {
		return byte(v), n
	}
	if v, n := digits(s[1:], 16, 2); s[0] == 'x' && n > 0 {
		return byte(v), n + 1
	}
	switch s[0] {
	case 'n':
		return '\n', 1
	case 't':
		return '\t', 1
	case 'r':
		return '\r', 1
	}
	return s[0], 1
}

// parse reads a file's statements.
func parse(f compat.File) ([]statement, error) {
	tokens, bad := scan(string(f.Data))
	p := parser{file: f.Name, rest: tokens}
	out, err := p.statements(0)
	if bad != nil {
		err = bad
	}
	return out, err
}

type parser struct {
	file string
	rest []token
	line int // of the last token taken
}

func (p *parser) next() (token, bool) {
	if len(p.rest) == 0 {
		return token{}, false
	}
	t := p.rest[0]
	p.rest, p.line = p.rest[1:], t.line
	return t, true
}

// statements reads up to the closing brace of a block, or the end of the file.
func (p *parser) statements(depth int) ([]statement, error) {
	if depth > maxDepth {
		return nil, &syntaxError{p.line, "nested too deep"}
	}
	var out []statement
	for len(p.rest) > 0 {
		if p.rest[0].is("}") {
			if _, _ = p.next(); depth == 0 {
				return out, &syntaxError{p.line, "a closing brace without an opening one"}
			}
			return out, nil
		}
		s, err := p.statement(depth)
		if len(s.words) > 0 {
			out = append(out, s)
		}
		if err != nil {
			return out, err
		}
	}
	if depth > 0 {
		return out, &syntaxError{p.line, "the file ends within a block"}
	}
	return out, nil
}

func (p *parser) statement(depth int) (s statement, err error) {
	s.Place = compat.Place{File: p.file, Line: p.rest[0].line}
	for {
		t, ok := p.next()
		switch {
		case !ok || t.is("}"):
			return statement{}, &syntaxError{p.line, "a statement without its semicolon: " + s.text()}
		case t.is(";"):
			return s, nil
		case t.is("{"):
			s.isBlock = true
			s.block, err = p.statements(depth + 1)
			return s, err
		}
		s.words = append(s.words, t)
	}
}
