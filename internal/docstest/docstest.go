// Package docstest is what tests need that hold a page of docs to the code.
package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the top of the repository, above the test that runs.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("not in the repository")
		}
		dir = up
	}
}

// Section returns the part of a page of docs under a heading.
func Section(t testing.TB, page, heading string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/%s has no section %q", page, heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// Tests returns the names of the tests in directories, which are said from the
// top of the repository.
func Tests(t testing.TB, dirs ...string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	decl := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(root(t), dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d test files, %v", dir, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range decl.FindAllStringSubmatch(string(b), -1) {
				names[m[1]] = true
			}
		}
	}
	return names
}

// Numbered returns the first cell of those rows of a table in which it matches
// number, a regular expression without groups. The last cell must name tests
// that exist, each in backquotes and perhaps behind "test/story: ".
func Numbered(t testing.TB, text, number string, exists map[string]bool) []string {
	t.Helper()
	row := regexp.MustCompile(`(?m)^\| (` + number + `) \|.*\| ([^|]+) \|$`)
	name := regexp.MustCompile("`(?:test/story: )?([^`]+)`")
	var numbers []string
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		numbers = append(numbers, m[1])
		tests := name.FindAllStringSubmatch(m[2], -1)
		if len(tests) == 0 {
			t.Errorf("%s names no test", m[1])
		}
		for _, n := range tests {
			if !exists[n[1]] {
				t.Errorf("%s: there is no %s", m[1], n[1])
			}
		}
	}
	return numbers
}
