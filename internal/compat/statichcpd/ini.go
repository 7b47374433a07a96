package statichcpd

import (
	"errors"
	"fmt"
	"strings"

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

// ini reads what Python's configparser reads: sections, "key = value" or
// "key: value", keys in any case, comments on lines of their own, values that
// go on in indented lines, and %% for %.
type ini struct {
	sections map[string]map[string]entry
	problems []manifest.Problem

	file    string
	section map[string]entry
	seen    map[string]int // keys of this file as section/key, by line
	open    string         // the key that an indented line continues
}

func (p *ini) read(f File) {
	p.file, p.section, p.seen, p.open = f.Name, nil, map[string]int{}, ""
	name, n := "", 0
	for line := range strings.Lines(strings.TrimPrefix(string(f.Data), "\ufeff")) {
		n++
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
		case p.open != "" && (line[0] == ' ' || line[0] == '\t'):
			e := p.section[p.open]
			e.value += "\n" + text
			p.section[p.open] = e
		case text[0] == '[':
			name = p.header(text, n)
		default:
			p.pair(name, text, n)
		}
	}
}

func (p *ini) header(text string, line int) string {
	name, rest, closed := strings.Cut(text[1:], "]")
	p.open = ""
	if !closed || strings.TrimSpace(rest) != "" {
		p.fail(line, "", text, "not a section such as [statichcpd]")
		p.section = map[string]entry{} // what follows belongs nowhere
		return ""
	}
	if p.sections == nil {
		p.sections = map[string]map[string]entry{}
	}
	if p.sections[name] == nil {
		p.sections[name] = map[string]entry{}
	}
	p.section = p.sections[name]
	return name
}

func (p *ini) pair(section, text string, line int) {
	i := strings.IndexAny(text, "=:")
	switch {
	case i <= 0:
		p.fail(line, "", text, "neither a section, nor key = value, nor a comment")
		return
	case p.section == nil:
		p.fail(line, "", text, "stands before the first section, such as [statichcpd]")
		return
	}
	key := strings.ToLower(strings.TrimSpace(text[:i]))
	if first, twice := p.seen[section+"/"+key]; twice {
		p.fail(line, key, strings.TrimSpace(text[i+1:]), fmt.Sprintf("given twice in this file, first in line %d", first))
		return
	}
	p.seen[section+"/"+key] = line
	p.section[key] = entry{value: strings.TrimSpace(text[i+1:]), file: p.file, line: line}
	p.open = key
}

func (p *ini) fail(line int, key, value, text string) {
	p.problems = append(p.problems, manifest.Problem{File: p.file, Line: line, Column: 1, Field: key, Value: value, Text: text})
}

// merged returns the values of [DEFAULT] with those of a section over them.
func (p *ini) merged(section string) map[string]entry {
	out := map[string]entry{}
	for _, name := range []string{"DEFAULT", section} {
		for key, e := range p.sections[name] {
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
