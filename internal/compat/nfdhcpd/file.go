package nfdhcpd

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/berth-net/berth/internal/manifest"
)

// entry is one value of a binding file.
type entry struct {
	value string
	line  int
}

// lines reads KEY=value lines. nfdhcpd took a key at the start of a line and
// all up to the next "=" as its value; comments, blanks and quotes, which it
// could not read, are read as a shell would. As there, the first of several
// counts and an empty value is none.
func (d *draft) lines(data []byte) map[string]entry {
	keys := map[string]entry{}
	if len(data) > manifest.MaxFile {
		d.problem("", "", fmt.Sprintf("longer than %d bytes", manifest.MaxFile))
		return keys
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		d.problem("", "", "not UTF-8 text")
		return keys
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok {
			p := manifest.Problem{File: d.file, Line: n, Column: 1, NIC: d.name, Value: line, Text: "not KEY=value; ignored"}
			d.warnings = append(d.warnings, p)
			continue
		}
		if _, again := keys[key]; !again && slices.Contains(known(), key) {
			keys[key] = entry{unquote(strings.TrimSpace(value)), n}
		}
	}
	return keys
}

// unquote takes away a pair of quotes, or what follows a blank and "#".
func unquote(s string) string {
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		inner, rest, closed := strings.Cut(s[1:], s[:1])
		rest = strings.TrimSpace(rest)
		if closed && (rest == "" || rest[0] == '#') {
			return strings.TrimSpace(inner)
		}
		return s
	}
	if strings.HasPrefix(s, "#") {
		return ""
	}
	for i := range len(s) - 1 {
		if (s[i] == ' ' || s[i] == '\t') && s[i+1] == '#' {
			return strings.TrimSpace(s[:i])
		}
	}
	return s
}
