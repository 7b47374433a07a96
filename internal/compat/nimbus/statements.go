package nimbus

import "strings"

// statement is one of dhcpd.conf's: words up to a `;`, or a block in braces.
type statement struct {
	words  []string
	block  bool
	inside []statement
	line   int
}

// statements takes a text apart that begins at this line. Braces that are not
// closed, and a statement without its `;`, end with the text.
func statements(text string, line int) []statement {
	s := scanner{text: text, line: line}
	var all []statement
	for !s.done() {
		all = append(all, s.list()...) // goes on behind a brace too many
	}
	return all
}

type scanner struct {
	text  string
	line  int
	depth int
}

// maxDepth is far more than any dhcpd.conf has; what is deeper is not read.
const maxDepth = 32

func (s *scanner) done() bool { return s.text == "" }

// list reads up to the brace that closes it.
func (s *scanner) list() (all []statement) {
	now := statement{}
	end := func() {
		if len(now.words) > 0 || now.block {
			all = append(all, now)
		}
		now = statement{}
	}
	for {
		word, line, quoted := s.next()
		switch {
		case word == "" && !quoted, word == "}" && !quoted:
			end()
			return all
		case word == ";" && !quoted:
			end()
		case word == "{" && !quoted:
			now.block, now.line = true, firstOf(now.line, line)
			now.inside = s.nested()
			end()
		case word == "," && !quoted:
		default:
			now.words, now.line = append(now.words, word), firstOf(now.line, line)
		}
	}
}

func (s *scanner) nested() []statement {
	if s.depth == maxDepth {
		s.text = ""
		return nil
	}
	s.depth++
	defer func() { s.depth-- }()
	return s.list()
}

func firstOf(line, otherwise int) int {
	if line > 0 {
		return line
	}
	return otherwise
}

// next returns a word, a quoted one without its quotes, or one of `{};,`; ""
// at the end.
func (s *scanner) next() (word string, line int, quoted bool) {
	s.skip()
	line = s.line
	switch {
	case s.text == "":
		return "", line, false
	case s.text[0] == '"':
		word, s.text, _ = strings.Cut(s.text[1:], `"`)
		s.line += strings.Count(word, "\n")
		return word, line, true
	case strings.IndexByte("{};,", s.text[0]) >= 0:
		word, s.text = s.text[:1], s.text[1:]
		return word, line, false
	}
	end := strings.IndexAny(s.text, " \t\r\n{};,\"#")
	if end < 0 {
		end = len(s.text)
	}
	word, s.text = s.text[:end], s.text[end:]
	return word, line, false
}

// skip leaves white space and comments behind.
func (s *scanner) skip() {
	for s.text != "" {
		switch s.text[0] {
		case '\n':
			s.line++
			s.text = s.text[1:]
		case ' ', '\t', '\r':
			s.text = s.text[1:]
		case '#':
			end := strings.IndexByte(s.text, '\n')
			if end < 0 {
				end = len(s.text)
			}
			s.text = s.text[end:]
		default:
			return
		}
	}
}
