package nfdhcpd

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/berth-net/berth/internal/compat/ini"
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
	r := iniReader{file: file}
	switch {
	case len(data) > manifest.MaxFile:
		r.bad(ini.Line{}, "", fmt.Sprintf("longer than %d bytes", manifest.MaxFile))
	case !utf8.Valid(data):
		r.bad(ini.Line{}, "", "not UTF-8 text")
	default:
		configobj := ini.Dialect{Comment: "#", Inline: "#", Separator: "=", Quoted: true}
		for _, l := range configobj.Lines(string(data)) {
			r.read(l)
		}
	}
	return r.settings, r.problems
}

type iniReader struct {
	file     string
	settings []setting
	problems []manifest.Problem
}

func (r *iniReader) bad(l ini.Line, value, text string) {
	p := manifest.Problem{File: r.file, Value: value, Text: text}
	if l.Number > 0 {
		p.Line, p.Column = l.Number, 1
	}
	r.problems = append(r.problems, p)
}

func (r *iniReader) read(l ini.Line) {
	switch l.Kind {
	case ini.Section:
		r.once(l, "["+l.Section+"]")
	case ini.Setting:
		r.assignment(l)
	case ini.BadSection:
		r.bad(l, l.Text, "not a section such as [dhcp]")
	case ini.More, ini.Unknown:
		r.bad(l, l.Text, "not key = value")
	}
}

// once refuses what is there twice, as configobj does: which of them is meant
// cannot be told.
func (r *iniReader) once(l ini.Line, what string) bool {
	if l.First > 0 {
		r.bad(l, what, fmt.Sprintf("there twice, first at line %d", l.First))
	}
	return l.First == 0
}

func (r *iniReader) assignment(l ini.Line) {
	key := l.Key
	if l.Section != "" {
		key = l.Section + "." + key
	}
	s := setting{key: key, line: l.Number}
	if problem := s.read(l.Value); problem != "" {
		r.bad(l, l.Text, problem)
		return
	}
	if r.once(l, key) {
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
