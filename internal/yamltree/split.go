package yamltree

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Document is one YAML document of a file; Line is where it begins.
type Document struct {
	Line int
	Text string
}

// Limits are what one file may cost.
type Limits struct {
	Bytes     int
	Documents int
}

// Split cuts a file at its document markers before anything is parsed, so
// that a syntax error ends with its document. YAML 1.2 section 9.1.2 allows no
// line that begins with a marker inside a document, not even in a block of
// text, so no parser is needed to find them.
func Split(data []byte, most Limits) ([]Document, *SyntaxError) {
	if p := wholeFile(data, most.Bytes); p != "" {
		return nil, &SyntaxError{Text: p}
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	var docs []Document
	cur := Document{Line: 1}
	var body strings.Builder
	var cut *SyntaxError
	line := 0
	for l := range strings.Lines(text) {
		line++
		if rest, ok := marker(l); ok {
			docs = appendDoc(docs, cur, body.String())
			cur = Document{Line: line}
			body.Reset()
			l = rest
		}
		if l == "-" || l == "--" {
			// Nothing of ours ends like this but a marker that was cut off.
			cut = &SyntaxError{Line: line, Col: 1, Text: "the file ends inside a document marker"}
			break
		}
		body.WriteString(l)
	}
	docs = appendDoc(docs, cur, body.String())
	if len(docs) > most.Documents {
		return nil, &SyntaxError{Text: fmt.Sprintf("%d documents; at most %d are allowed in one file", len(docs), most.Documents)}
	}
	return docs, cut
}

// wholeFile says why a file is not text at all.
func wholeFile(data []byte, limit int) string {
	if len(data) > limit {
		return fmt.Sprintf("%d bytes; at most %d are read", len(data), limit)
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return fmt.Sprintf("a NUL at byte %d: not a text file", i)
	}
	if utf8.Valid(data) {
		return ""
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return fmt.Sprintf("byte %d (0x%02x) is not UTF-8", i, data[i])
		}
		i += n
	}
	return "not UTF-8"
}

// marker reports whether a line begins or ends a document, and returns what
// stands behind the marker, moved so that its column stays.
func marker(l string) (string, bool) {
	if len(l) < 3 || l[:3] != "---" && l[:3] != "..." {
		return "", false
	}
	rest := l[3:]
	if rest == "" || strings.ContainsRune(" \t\r\n", rune(rest[0])) {
		return "   " + rest, true
	}
	return "", false
}

// appendDoc leaves out documents that hold only blanks and comments.
func appendDoc(docs []Document, d Document, text string) []Document {
	for l := range strings.Lines(text) {
		if t := strings.TrimSpace(l); t != "" && t[0] != '#' {
			d.Text = text
			return append(docs, d)
		}
	}
	return docs
}
