package ini_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/compat/ini"
)

// The dialects of Python's readers.
func configObj() ini.Dialect {
	return ini.Dialect{Comment: "#", Inline: "#", Separator: "=", Quoted: true}
}

func configParser2() ini.Dialect {
	return ini.Dialect{Comment: "#;", Inline: ";", Separator: "=:", Continued: true}
}

func configParser3() ini.Dialect {
	return ini.Dialect{Comment: "#;", Separator: "=:", Continued: true, Lower: true}
}

// show prints lines as a test wants them.
func show(lines []ini.Line) string {
	var out []string
	for _, l := range lines {
		kind := [...]string{ini.Section: "section", ini.Setting: "", ini.More: "more", ini.BadSection: "bad section", ini.Unknown: "unknown"}[l.Kind]
		s := fmt.Sprintf("%d %s", l.Number, kind)
		switch l.Kind {
		case ini.Section:
			s += " " + l.Section
		case ini.Setting, ini.More:
			s += fmt.Sprintf("%s.%s=%s", l.Section, l.Key, l.Value)
		case ini.BadSection, ini.Unknown:
			s += " " + l.Text
		}
		if l.First > 0 {
			s += fmt.Sprintf(" (as %d)", l.First)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestLines(t *testing.T) {
	tests := []struct {
		d          ini.Dialect
		text, want string
	}{
		{configObj(), "\n# c\n\r\n", ""},
		{configObj(), "a=1\n[s]\na = 2\n", "1 .a=1, 2 section s, 3 s.a=2"},
		{configObj(), "\ufeff[ s ] # c\r\n  A = 'x # y' # z\r\n", "1 section s, 2 s.A='x # y' # z"},
		{configObj(), "\"a\" = 1\n'a': 2 = 3\na=4", "1 .a=1, 2 .a': 2=3, 3 .a=4 (as 1)"},
		{configObj(), "'' = 1\n; c\n", "1 unknown '' = 1, 2 unknown ; c"},
		{configObj(), "[[s]]#c\n", "1 section [s]"},
		{configParser2(), "[s] ; c\na: 1 ; c\n", "1 section s, 2 s.a=1"},
		{configParser2(), "[s]\na: 1;2\nB = ; c\n", "1 section s, 2 s.a=1;2, 3 s.B="},
		{configParser2(), "[s]\na: 1\n  2 ; c\n\n# c\n\t[3]\n", "1 section s, 2 s.a=1, 3 mores.a=2, 6 mores.a=[3]"},
		{configParser2(), " [s]\n a: 1\n", "1 section s, 2 s.a=1"},
		{configParser2(), "[s]\na = 1\nwhat\n b = 2\n", "1 section s, 2 s.a=1, 3 unknown what, 4 s.b=2"},
		{configParser3(), "[s]\nA = %x ; no comment\n", "1 section s, 2 s.a=%x ; no comment"},
		{configParser3(), "[s]\na=1\nA:2\n 3\n", "1 section s, 2 s.a=1, 3 s.a=2 (as 2), 4 mores.a=3 (as 2)"},
		{configParser3(), "[s]\na=1\n[r]\na=2\n[s]\nb=3", "1 section s, 2 s.a=1, 3 section r, 4 r.a=2, 5 section s (as 1), 6 s.b=3"},
		{configParser3(), "[s] ; text\na = 1\nb\n[r]\na = 2", "1 bad section [s] ; text, 4 section r, 5 r.a=2"},
		{configParser3(), "[]\n[ ]\n[s\n", "1 bad section [], 2 bad section [ ], 3 bad section [s"},
		{configParser3(), "= 1\n:\n", "1 unknown = 1, 2 unknown :"},
	}
	for _, test := range tests {
		if d := cmp.Diff(test.want, show(test.d.Lines(test.text))); d != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, d)
		}
	}
}

// FuzzLines: what was read, written plainly, is read as the same again.
func FuzzLines(f *testing.F) {
	f.Add("[s] ; c\na: 1 ; c\n  2\n\na = 3\n[r\nb\n[s]\nwhat\n")
	f.Add("[dhcp]\na = 'b', \"c\" # d\n[[x]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		configObj().Lines(text) // quotes are not written again
		for _, d := range []ini.Dialect{configParser2(), configParser3()} {
			lines := d.Lines(text)
			if diff := cmp.Diff(plain(lines), plain(d.Lines(written(lines)))); diff != "" {
				t.Errorf("(-read +again):\n%s", diff)
			}
		}
	})
}

// written has each line where it was in the file.
func written(lines []ini.Line) string {
	var out strings.Builder
	out.WriteString("\ufeff")
	last := 1
	for _, l := range lines {
		out.WriteString(strings.Repeat("\n", l.Number-last))
		last = l.Number
		switch l.Kind {
		case ini.Section:
			out.WriteString("[" + l.Section + "]")
		case ini.Setting:
			out.WriteString(l.Key + " = " + l.Value)
		case ini.More:
			out.WriteString(" " + l.Value)
		case ini.BadSection, ini.Unknown:
			out.WriteString(l.Text)
		}
	}
	return out.String()
}

// plain is lines without what is not written again.
func plain(lines []ini.Line) []ini.Line {
	lines = slices.Clone(lines)
	for i := range lines {
		lines[i].Text = ""
	}
	return lines
}
