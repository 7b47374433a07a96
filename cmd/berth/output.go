package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
)

// completionTime is how long a shell's completion may wait for the agent.
const completionTime = time.Second

func contextFor(cmd *cobra.Command, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), d)
}

// printable escapes what a terminal would act upon: a guest chooses some of
// what is printed here, such as a hostname in an event.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		s = s[size:]
	}
	return b.String()
}

// orDash keeps a column from being empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 8, 2, ' ', 0) }

// row writes one line of a table; what is not the last cell ends in a tab.
func row(w io.Writer, cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }

// structured writes v as "json" or "yaml", with the API's keys.
func (a *app) structured(format string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if format == "yaml" {
		raw, err = toYAML(raw)
	} else {
		raw, err = indent(raw)
	}
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(raw)
	return err
}

func indent(raw []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return escapeJSON(b.Bytes()), nil
}

// escapeJSON escapes what encoding/json leaves as it is though a terminal may
// act upon it: DEL, the C1 controls, direction marks. Outside of strings JSON
// has nothing but ASCII, so every such rune is inside one.
func escapeJSON(raw []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(raw) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff: // JSON has \u with four digits only: a surrogate pair
			s := r - 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+s>>10, 0xdc00+s&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// toYAML writes JSON as YAML. A string is left bare only if every YAML reader
// takes it for one: readers of YAML 1.1 see a number in an address like
// 52:54:00:12:34:56, and all of them in an xid like 0e345678. Keys are the
// API's own, and those of tags, which berthd checks; no guest chooses any.
func toYAML(raw []byte) ([]byte, error) {
	var v any
	if err := yaml.UnmarshalWithOptions(raw, &v, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	return yaml.MarshalWithOptions(v, yaml.CustomMarshaler(quoteYAML))
}

// quoteYAML gives a JSON string, which is a double-quoted YAML scalar too
// (YAML 1.2.2 section 1.3).
func quoteYAML(s string) ([]byte, error) {
	if isWord(s) {
		return []byte(s), nil
	}
	raw, err := json.Marshal(s)
	return escapeJSON(raw), err
}

// isWord reports whether s is letters and inner hyphens, and none of the words
// that mean something in YAML 1.1 or 1.2.
func isWord(s string) bool {
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return false
		}
	}
	return true
}

// colour is sparing: one word, and only for a person.
func (a *app) colour(s, code string) string {
	if !a.terminal || a.getenv("NO_COLOR") != "" || a.getenv("TERM") == "dumb" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (a *app) stateWord(s api.State) string {
	switch s {
	case api.InForce:
		return a.colour(string(s), "32")
	case api.Stale, api.Waiting:
		return a.colour(string(s), "33")
	default: // closed, failed, and what a newer agent may say
		return a.colour(printable(string(s)), "31")
	}
}

// stamp prints a moment as the agent's clock has it.
func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05Z07:00") }

// age prints a duration in its largest unit, as a column has room for.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s" // two clocks that differ a little
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func join[T fmt.Stringer](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = v.String()
	}
	return strings.Join(words, ",")
}
