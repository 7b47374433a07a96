package nfdhcpd

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/berth-net/berth/internal/manifest"
)

// setting is one line of nfdhcpd.conf.
type setting struct {
	key    string // "section.key"
	values []string
	list   bool // a comma was written
	line   int
}

// text is the value as one would write it.
func (s setting) text() string { return strings.Join(s.values, ", ") }

// readINI reads the file as Python's configobj did: sections, key = value,
// quotes, lists with commas, comments from "#" to the end of the line.
func readINI(file string, data []byte) ([]setting, []manifest.Problem) {
	r := iniReader{file: file, seen: map[string]int{}}
	switch {
	case len(data) > manifest.MaxFile:
		r.bad("", fmt.Sprintf("longer than %d bytes", manifest.MaxFile))
	case !utf8.Valid(data):
		r.bad("", "not UTF-8 text")
	default:
		for line := range strings.Lines(string(data)) {
			r.line++
			r.read(strings.TrimSpace(line))
		}
	}
	return r.settings, r.problems
}

type iniReader struct {
	file, section string
	line          int
	seen          map[string]int // where each key and section was first
	settings      []setting
	problems      []manifest.Problem
}

func (r *iniReader) bad(value, text string) {
	p := manifest.Problem{File: r.file, Value: value, Text: text}
	if r.line > 0 {
		p.Line, p.Column = r.line, 1
	}
	r.problems = append(r.problems, p)
}

func (r *iniReader) read(line string) {
	switch {
	case line == "" || line[0] == '#':
	case line[0] == '[':
		r.header(line)
	default:
		r.assignment(line)
	}
}

func (r *iniReader) header(line string) {
	line, _, _ = strings.Cut(line, "#")
	name, ok := strings.CutSuffix(strings.TrimSpace(line[1:]), "]")
	if !ok {
		r.bad(line, "not a section such as [dhcp]")
		return
	}
	r.section = strings.TrimSpace(name)
	r.once("[" + r.section + "]")
}

// once refuses what is there twice, as configobj does: which of them is meant
// cannot be told.
func (r *iniReader) once(what string) bool {
	if first, again := r.seen[what]; again {
		r.bad(what, fmt.Sprintf("there twice, first at line %d", first))
		return false
	}
	r.seen[what] = r.line
	return true
}

func (r *iniReader) assignment(line string) {
	key, value, ok := strings.Cut(line, "=")
	key = strings.Trim(strings.TrimSpace(key), `"'`)
	if !ok || key == "" {
		r.bad(line, "not key = value")
		return
	}
	if r.section != "" {
		key = r.section + "." + key
	}
	s := setting{key: key, line: r.line}
	if problem := s.read(strings.TrimSpace(value)); problem != "" {
		r.bad(line, problem)
		return
	}
	if r.once(key) {
		r.settings = append(r.settings, s)
	}
}

// read reads a value, or a list with commas between its values.
func (s *setting) read(rest string) string {
	if strings.HasPrefix(rest, `"""`) || strings.HasPrefix(rest, "'''") {
		return "a value of several lines; none of nfdhcpd's keys has one"
	}
	for rest != "" && rest[0] != '#' {
		value, after, ok := element(rest)
		if !ok {
			return "a quote is not closed"
		}
		if rest[0] != ',' { // "," alone is the empty list
			s.values = append(s.values, value)
		}
		switch {
		case after == "" || after[0] == '#':
			return ""
		case after[0] != ',':
			return "text after a closing quote"
		}
		s.list = true
		rest = strings.TrimSpace(after[1:])
	}
	return ""
}

// element returns the first value of a list and what follows it, from a comma
// or a comment on.
func element(s string) (value, after string, ok bool) {
	if s[0] == '"' || s[0] == '\'' {
		value, after, ok = strings.Cut(s[1:], s[:1])
		return value, strings.TrimSpace(after), ok
	}
	if end := strings.IndexAny(s, ",#"); end >= 0 {
		return strings.TrimSpace(s[:end]), s[end:], true
	}
	return strings.TrimSpace(s), "", true
}
