// Package ini reads the lines of INI files: sections in brackets and the
// settings below them. The programs that read such files disagree on the rest,
// which is a Dialect.
//
// Not here: which sections and keys there are, what a value means, quotes and
// references in it, and the words for what is wrong (the rooms beside).
package ini

import "strings"

// Dialect is what programs that read INI files disagree on.
type Dialect struct {
	Comment   string // the characters that begin a comment on a line of its own
	Inline    string // those that begin one behind a section, or behind white space in a value
	Separator string // those between a key and its value
	Continued bool   // an indented line goes on with the value before it
	Lower     bool   // a key is the same in upper and lower case, and given in lower
	Quoted    bool   // a key may be in quotes; a value too, and is given as it stands, comment and all
}

// Kind is what a line is.
type Kind uint8

// The kinds of lines.
const (
	Section    Kind = iota // begins a section
	Setting                // gives a key a value
	More                   // goes on with the value of the setting before it
	BadSection             // begins with a bracket and is no section
	Unknown                // is none of these
)

// Line is one that is neither blank nor a comment.
type Line struct {
	Kind    Kind
	Number  int    // from 1
	Text    string // without the white space around it
	Section string // the one that it stands in or begins; "": before the first
	Key     string // of Setting and More
	Value   string // of Setting, or what More adds to it
	First   int    // the earlier line with the same section, or key in it; 0: none
}

// Lines returns the lines of a file in their order. What follows a BadSection
// belongs nowhere and is left out, up to the next section.
func (d Dialect) Lines(text string) []Line {
	r := reader{Dialect: d, first: map[[2]string]int{}}
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		r.number++
		r.read(line)
	}
	return r.lines
}

type reader struct {
	Dialect
	number int
	lost   bool              // below a BadSection
	here   Line              // what the next line may go on with, or the section alone
	first  map[[2]string]int // by section and key
	lines  []Line
}

func (r *reader) read(line string) {
	text := strings.TrimSpace(line)
	indented := line[0] == ' ' || line[0] == '\t'
	switch {
	case text == "" || strings.IndexByte(r.Comment, text[0]) >= 0:
	case r.Continued && indented && r.here.Key != "":
		r.here.Kind, r.here.Value = More, r.uncomment(text)
		r.add(text)
	case text[0] == '[':
		r.section(text)
	case !r.lost:
		r.setting(text)
	}
}

func (r *reader) add(text string) {
	r.here.Number, r.here.Text = r.number, text
	r.lines = append(r.lines, r.here)
}

func (r *reader) section(text string) {
	r.here = Line{Kind: BadSection}
	if name, ok := r.header(text); ok {
		r.here = Line{Section: name, First: r.since(name, "")}
	}
	r.lost = r.here.Kind == BadSection
	r.add(text)
}

// header returns a section's name, which ends where nothing but a comment
// follows its bracket.
func (r *reader) header(text string) (name string, ok bool) {
	for i := range len(text) {
		if text[i] != ']' {
			continue
		}
		rest := strings.TrimSpace(text[i+1:])
		if rest == "" || strings.IndexByte(r.Inline, rest[0]) >= 0 {
			name = strings.TrimSpace(text[1:i])
			return name, name != ""
		}
	}
	return "", false
}

func (r *reader) setting(text string) {
	r.here = Line{Kind: Unknown, Section: r.here.Section}
	if key, value, ok := r.pair(text); ok {
		r.here = Line{Kind: Setting, Section: r.here.Section, Key: key, Value: value, First: r.since(r.here.Section, key)}
	}
	r.add(text)
}

func (r *reader) pair(text string) (key, value string, ok bool) {
	i := strings.IndexAny(text, r.Separator)
	if i <= 0 {
		return "", "", false
	}
	key, value = strings.TrimSpace(text[:i]), strings.TrimSpace(text[i+1:])
	if r.Lower {
		key = strings.ToLower(key)
	}
	if r.Quoted {
		key = strings.Trim(key, `"'`)
	}
	return key, r.uncomment(value), key != ""
}

func (r *reader) uncomment(value string) string {
	if r.Quoted {
		return value
	}
	for i := range len(value) {
		behind := i == 0 || value[i-1] == ' ' || value[i-1] == '\t'
		if behind && strings.IndexByte(r.Inline, value[i]) >= 0 {
			return strings.TrimSpace(value[:i])
		}
	}
	return value
}

// since returns the line that a section, or a key in it, was first read from,
// 0 if that is this one.
func (r *reader) since(section, key string) int {
	at := [2]string{section, key}
	if first, again := r.first[at]; again {
		return first
	}
	r.first[at] = r.number
	return 0
}
