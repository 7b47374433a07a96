package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A run takes the place of an earlier one of its size, and stands in order.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	for _, r := range []result{
		{Nodes: 9, NICs: 10, Message: times{Count: 1, P50: 1.5, P99: 2}, Kernel: times{Count: 1, P50: 111, P99: 4}},
		{Nodes: 0, NICs: 10, Kernel: times{Count: 1, P50: 3.25, P99: 4}},
		{Nodes: 9, NICs: 10, Message: times{Count: 1, P50: 1.5, P99: 2}, Kernel: times{Count: 1, P50: 222, P99: 4}},
	} {
		if err := keep(dir, &r); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "controller.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if !strings.HasPrefix(lines[2], "| 10 | 1 |  |  | 3.2 | 4.0 |") || !strings.HasPrefix(lines[3], "| 100 | 10 | 1.5 | 2.0 | 222.0 |") || lines[4] != "" {
		t.Errorf("%s", text)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "controller.svg"))
	if err != nil || !strings.Contains(string(svg), "in the kernel, p99") {
		t.Errorf("%v\n%s", err, svg)
	}
}
