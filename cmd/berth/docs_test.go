package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berth-net/berth/internal/reason"
)

// tree is the command tree as it is when it runs.
func tree(t *testing.T) *cobra.Command {
	t.Helper()
	a := &app{env: env{getenv: func(string) string { return "" }}}
	root := a.root()
	root.InitDefaultHelpCmd()
	return root
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCLIDocIsComplete holds docs/cli.md to the commands, their flags, formats
// and exit codes, both ways.
func TestCLIDocIsComplete(t *testing.T) {
	text := readDoc(t, "cli.md")
	sections := map[string]string{}
	for _, s := range strings.Split(text, "\n### `berth ")[1:] {
		name, body, _ := strings.Cut(s, "`")
		body, _, _ = strings.Cut(body, "\n## ")
		sections[strings.Fields(name)[0]] = body
	}
	for _, cmd := range tree(t).Commands() {
		body, ok := sections[cmd.Name()]
		if !ok {
			t.Errorf("docs/cli.md has no section on %s", cmd.Name())
		}
		delete(sections, cmd.Name())
		if diff := cmp.Diff(flagsInSection(cmd), documentedFlags(body)); diff != "" {
			t.Errorf("docs/cli.md: flags of %s (-has +documented):\n%s", cmd.Name(), diff)
		}
		if names := known(cmd); len(names) > 0 && !strings.Contains(strings.ReplaceAll(body, " (one object a line)", ""), "Formats: "+strings.Join(names, ", ")) {
			t.Errorf("docs/cli.md: %s has the formats %v", cmd.Name(), names)
		}
	}
	for name := range sections {
		t.Errorf("docs/cli.md has %s, which is no command", name)
	}
	if diff := cmp.Diff(globalFlagNames(tree(t)), documentedFlags(text[:strings.Index(text, "## Exit")])); diff != "" {
		t.Errorf("docs/cli.md: global flags (-has +documented):\n%s", diff)
	}
}

// flagsInSection are a command's flags with those of the commands in it, unless
// these have a page of their own. Such a group has a row for each.
func flagsInSection(cmd *cobra.Command) []string {
	names := flagNames(cmd)
	if !strings.Contains("context node policy", cmd.Name()) {
		return names
	}
	for _, inner := range cmd.Commands() {
		names = append(names, flagNames(inner)...)
	}
	slices.Sort(names)
	return names
}

// TestCLIDocHasInnerCommands: each has a row, with its formats.
func TestCLIDocHasInnerCommands(t *testing.T) {
	text := readDoc(t, "cli.md")
	for _, group := range []string{"context", "node", "policy"} {
		cmd, _, err := tree(t).Find([]string{group})
		if err != nil {
			t.Fatal(err)
		}
		for _, inner := range cmd.Commands() {
			_, rest, ok := strings.Cut(text, "\n| `"+group+" "+inner.Use+"` | ")
			line, _, _ := strings.Cut(rest, "\n")
			if !ok {
				t.Errorf("docs/cli.md has no row `%s %s`", group, inner.Use)
			}
			if names := known(inner); len(names) > 0 && !strings.HasSuffix(line, "Formats: "+strings.Join(names, ", ")+" |") {
				t.Errorf("docs/cli.md: %s %s has the formats %v", group, inner.Name(), names)
			}
		}
	}
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			names = append(names, flagName(f))
		}
	})
	slices.Sort(names)
	return names
}

func globalFlagNames(root *cobra.Command) []string {
	names := []string{"-h --help"}
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { names = append(names, flagName(f)) })
	slices.Sort(names)
	return names
}

func flagName(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand + " --" + f.Name
	}
	return "--" + f.Name
}

// documentedFlags are the first cells of the tables' rows that hold flags.
func documentedFlags(text string) (names []string) {
	for line := range strings.Lines(text) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if strings.HasPrefix(line, "| `-") {
			names = append(names, strings.NewReplacer("`", "", ",", "").Replace(cell))
		}
	}
	slices.Sort(names)
	return names
}

func TestExitCodesAreDocumented(t *testing.T) {
	var want []string
	for i, m := range exitMeanings() {
		if m.code != i {
			t.Errorf("exit code %d is listed at %d", m.code, i)
		}
		want = append(want, fmt.Sprintf("| %d | %s |", m.code, m.text))
	}
	var got []string
	for line := range strings.Lines(readDoc(t, "cli.md")) {
		if len(line) > 3 && line[:2] == "| " && line[2] >= '0' && line[2] <= '9' {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/cli.md (-is +documented):\n%s", diff)
	}
}

// TestReasonsDoc generates docs/reasons.md.
func TestReasonsDoc(t *testing.T) {
	want := reasonsDoc()
	if *update {
		if err := os.WriteFile("../../docs/reasons.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, readDoc(t, "reasons.md")); diff != "" {
		t.Errorf("docs/reasons.md is out of date, run the test with -update (-want +got):\n%s", diff)
	}
}

func reasonsDoc() string {
	var b strings.Builder
	b.WriteString("<!-- Generated by `go test ./cmd/berth -update`; the list is internal/reason. -->\n\n# Reasons\n\n")
	b.WriteString("Why a frame was dropped, a message was not answered or a NIC waits. The list is closed, names and numbers are never used again for another meaning. A name is a value of the API, a label of metrics, and what `berth reasons` prints.\n")
	rooms := [][2]string{
		{"guard", "What the guard drops, or in audit mode counts"},
		{"dhcp", "Why a DHCP message of either version got no answer, or a refusal"},
		{"dhcp4", "Why a DHCPv4 message got no answer, or a NAK"},
		{"dhcp6", "Why a DHCPv6 message got no answer, or a refusal"},
		{"nd", "Why a solicitation or an ARP request got no answer"},
		{"answerer", "Why any message got no answer"},
		{"plan", "Why a NIC is not, or not yet, served"},
	}
	for _, room := range rooms {
		fmt.Fprintf(&b, "\n## %s\n\n| reason | number | means |\n|---|--:|---|\n", room[1])
		for _, i := range reason.All() {
			if i.Room == room[0] {
				fmt.Fprintf(&b, "| `%s` | %d | %s |\n", i.Name, i.Reason, strings.ReplaceAll(i.Text, "|", `\|`))
			}
		}
	}
	return b.String()
}

// TestReasonsDocHasAll: a new room would be left out silently.
func TestReasonsDocHasAll(t *testing.T) {
	text := reasonsDoc()
	for _, i := range reason.All() {
		if !strings.Contains(text, "| `"+i.Name+"` | "+strconv.Itoa(int(i.Reason))+" | ") {
			t.Errorf("%s of the room %q has no row", i.Name, i.Room)
		}
	}
}

// TestManPages: a page for every command that is not hidden, the same each
// time, with the exit codes.
func TestManPages(t *testing.T) {
	w := newWorld(t)
	w.vars["SOURCE_DATE_EPOCH"] = "1767323045"
	var dirs [2]map[string]string
	for i := range dirs {
		dir := filepath.Join(t.TempDir(), "man1")
		if _, msgs, code := w.berth(t.Context(), "man", dir); code != 0 {
			t.Fatalf("man: exit %d: %s", code, msgs)
		}
		dirs[i] = readDir(t, dir)
	}
	if diff := cmp.Diff(dirs[0], dirs[1]); diff != "" {
		t.Errorf("made twice, the pages differ:\n%s", diff)
	}
	want := []string{"berth.1"}
	for _, cmd := range tree(t).Commands() {
		if cmd.Name() != "help" {
			want = append(want, pages(cmd)...)
		}
	}
	var got []string
	for name := range dirs[0] {
		got = append(got, name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	page := dirs[0]["berth.1"]
	if !strings.Contains(page, `.TH "BERTH" "1" "Jan 2026" "berth" "berth"`) {
		t.Errorf("berth.1 has no title of its date:\n%s", page)
	}
	for _, m := range exitMeanings() {
		if !strings.Contains(page, fmt.Sprintf("%d  %s", m.code, m.text)) {
			t.Errorf("berth.1 lacks exit code %d", m.code)
		}
	}
	w.vars["SOURCE_DATE_EPOCH"] = "today"
	if _, msgs, code := w.berth(t.Context(), "man", t.TempDir()); code != exitError || msgs != "berth: SOURCE_DATE_EPOCH \"today\" is not a number of seconds\n" {
		t.Errorf("a wrong SOURCE_DATE_EPOCH: exit %d, %q", code, msgs)
	}
}

// pages are those of a command and of the commands in it.
func pages(cmd *cobra.Command) (names []string) {
	if !cmd.IsAvailableCommand() {
		return nil
	}
	names = append(names, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
	for _, inner := range cmd.Commands() {
		names = append(names, pages(inner)...)
	}
	return names
}

func readDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}
