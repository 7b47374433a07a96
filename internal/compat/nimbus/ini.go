package nimbus

import "strings"

// setting is one line of a configuration file as Python's ConfigParser reads
// it: sections in brackets, `key: value` or `key = value`, comments behind `#`
// or `;`, and a value that goes on in indented lines.
type setting struct {
	section, key, value string
	line                int
	more                bool // a further line of the value before
}

// parseINI reads the settings in their order.
func parseINI(file, data string) (all []setting, bad Mistakes) {
	r := reader{file: file}
	section, key := "", ""
	for i, text := range strings.Split(data, "\n") {
		r.line = i + 1
		text = strings.TrimRight(text, " \t\r")
		bare := strings.TrimLeft(text, " \t")
		switch {
		case bare == "" || bare[0] == '#' || bare[0] == ';':
		case bare != text && key != "":
			all = append(all, setting{section, key, uncomment(bare), r.line, true})
		case bare[0] == '[':
			section, key = r.section(bare), ""
		default:
			var value string
			key, value = r.setting(bare)
			if key != "" {
				all = append(all, setting{section, key, value, r.line, false})
			}
		}
	}
	return all, r.bad
}

func (r *reader) section(text string) string {
	name, rest, closed := strings.Cut(text[1:], "]")
	if !closed || uncomment(strings.TrimSpace(rest)) != "" {
		r.fail("", "", "not a section such as [bridges]: %s", text)
	}
	return strings.TrimSpace(name)
}

func (r *reader) setting(text string) (key, value string) {
	i := strings.IndexAny(text, ":=")
	if i <= 0 {
		r.fail("", "", "neither a section nor `key: value`: %s", text)
		return "", ""
	}
	return strings.TrimSpace(text[:i]), uncomment(strings.TrimSpace(text[i+1:]))
}

// uncomment cuts an inline comment: `;` at the beginning or behind white space.
func uncomment(s string) string {
	for i := range len(s) {
		if s[i] == ';' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			return strings.TrimSpace(s[:i])
		}
	}
	return s
}
