// Command cheader prints the guard's reasons as a C header for the kernel
// program.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/berth-net/berth/internal/reason"
)

func main() {
	if err := os.WriteFile(os.Args[1], []byte(header()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "cheader:", err)
		os.Exit(1)
	}
}

func header() string {
	var b strings.Builder
	b.WriteString("/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */\n")
	b.WriteString("/* Generated from internal/reason by go generate; do not edit. */\n")
	b.WriteString("#ifndef BERTH_REASONS_H\n#define BERTH_REASONS_H\n\nenum reason {\n")
	for _, i := range reason.All() {
		if i.Room != "guard" {
			continue
		}
		name := strings.ToUpper(strings.ReplaceAll(i.Name, "-", "_"))
		fmt.Fprintf(&b, "\tREASON_%s = %d, /* %s */\n", name, uint8(i.Reason), i.Text)
	}
	b.WriteString("};\n\n#endif\n")
	return b.String()
}
