package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// width is what a line may be long; a screen of 100 columns is common.
const width = 100

// screen is the output, and the book of facts that were checked.
type screen struct {
	out    io.Writer
	colour bool
	facts  int
	wrong  []string
}

func newScreen(f *os.File) *screen {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return &screen{out: f, colour: err == nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s *screen) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// heading begins a part of the story.
func (s *screen) heading(format string, args ...any) {
	fmt.Fprintln(s.out, "\n"+s.paint("1", fmt.Sprintf(format, args...)))
}

// line prints one line of fact.
func (s *screen) line(format string, args ...any) {
	fmt.Fprintln(s.out, strings.TrimRight("  "+fmt.Sprintf(format, args...), " "))
}

// wrap prints a line of a program's output, broken at words.
func (s *screen) wrap(text string) {
	for _, row := range fold("   ", text) {
		fmt.Fprintln(s.out, s.paint("2", row))
	}
}

// verbatim prints a line of a program's output as it stands, if that is short
// enough.
func (s *screen) verbatim(text string) {
	if utf8.RuneCountInString(text) > width-4 {
		s.wrap(text)
		return
	}
	fmt.Fprintln(s.out, s.paint("2", "    "+text))
}

// prompt prints what is typed, in a VM or on the hypervisor.
func (s *screen) prompt(ns, text string) {
	for _, row := range fold(" ", ns+"$ "+text) {
		fmt.Fprintln(s.out, row)
	}
}

// fold breaks a text at words.
func fold(margin, text string) []string {
	var rows []string
	row := margin
	for _, word := range strings.Fields(text) {
		if utf8.RuneCountInString(row)+1+utf8.RuneCountInString(word) > width {
			rows = append(rows, row)
			row = margin + "  "
		}
		row += " " + word
	}
	return append(rows, row)
}

// fact notes whether something is as it should be.
func (s *screen) fact(what string, got, want any) {
	s.facts++
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: is %v, should be %v", what, got, want))
	}
}

// holds notes a fact that has no value to compare.
func (s *screen) holds(what string, so bool) {
	s.facts++
	if !so {
		s.wrong = append(s.wrong, what+": is not so")
	}
}

// verdict says how the facts stand, and is an error if one of them is wrong.
func (s *screen) verdict(took time.Duration) error {
	if len(s.wrong) == 0 {
		s.heading("Done after %.0f s", took.Seconds())
		s.line("%d facts, above and behind it, were read from the system: all are as they should be", s.facts)
		return nil
	}
	return fmt.Errorf("%d of %d facts are wrong:\n  %s", len(s.wrong), s.facts, strings.Join(s.wrong, "\n  "))
}
