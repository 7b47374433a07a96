package statichcpd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/berth-net/berth/internal/compat/ini"
	"github.com/berth-net/berth/internal/manifest"
)

// File is one file as read.
type File struct {
	Name string
	Data []byte
}

// entry is one key's value and where it stands.
type entry struct {
	value, file string
	line        int
}

func (e entry) problem(key, format string, args ...any) manifest.Problem {
	return manifest.Problem{File: e.file, Line: e.line, Column: 1, Field: key, Value: e.value, Text: fmt.Sprintf(format, args...)}
}

// sections are the values of all files, of which the later ones win.
type sections struct {
	of       map[string]map[string]entry // by name, then key
	problems []manifest.Problem
}

// read reads what Python's configparser reads: sections, "key = value" or
// "key: value", keys in any case, comments on lines of their own, values that
// go on in indented lines, and %% for %.
func (p *sections) read(f File) {
	configparser := ini.Dialect{Comment: "#;", Separator: "=:", Continued: true, Lower: true}
	for _, l := range configparser.Lines(string(f.Data)) {
		switch l.Kind {
		case ini.Section:
			p.begin(l.Section)
		case ini.Setting:
			p.set(f.Name, l)
		case ini.More:
			p.more(l)
		case ini.BadSection:
			p.fail(f.Name, l, "not a section such as [statichcpd]")
		case ini.Unknown:
			p.fail(f.Name, l, "neither a section, nor key = value, nor a comment")
		}
	}
}

func (p *sections) begin(name string) {
	if p.of == nil {
		p.of = map[string]map[string]entry{}
	}
	if p.of[name] == nil {
		p.of[name] = map[string]entry{}
	}
}

func (p *sections) set(file string, l ini.Line) {
	switch e := (entry{value: l.Value, file: file, line: l.Number}); {
	case l.Section == "":
		p.fail(file, l, "stands before the first section, such as [statichcpd]")
	case l.First > 0:
		p.problems = append(p.problems, e.problem(l.Key, "given twice in this file, first in line %d", l.First))
	default:
		p.of[l.Section][l.Key] = e
	}
}

// more goes on with a value, unless that was a mistake.
func (p *sections) more(l ini.Line) {
	if l.Section == "" || l.First > 0 {
		return
	}
	e := p.of[l.Section][l.Key]
	e.value += "\n" + l.Value
	p.of[l.Section][l.Key] = e
}

func (p *sections) fail(file string, l ini.Line, text string) {
	p.problems = append(p.problems, manifest.Problem{File: file, Line: l.Number, Column: 1, Value: l.Text, Text: text})
}

// merged returns the values of [DEFAULT] with those of a section over them.
func (p *sections) merged(section string) map[string]entry {
	out := map[string]entry{}
	for _, name := range []string{"DEFAULT", section} {
		for key, e := range p.of[name] {
			value, err := interpolate(e.value)
			if err != nil {
				p.problems = append(p.problems, e.problem(key, "%v", err))
				continue
			}
			e.value = value
			out[key] = e
		}
	}
	return out
}

// interpolate knows %% alone of configparser's interpolation.
func interpolate(s string) (string, error) {
	plain := strings.ReplaceAll(s, "%%", "")
	if strings.Contains(plain, "%") {
		return "", errors.New("a % is written %%; references such as %(key)s are not followed")
	}
	return strings.ReplaceAll(s, "%%", "%"), nil
}
