// Command answers measures berth's answers beside those of other DHCP servers,
// of a plain one written in Go and of a program that sends every frame back:
// exchanges a second, latency and CPU, and what changes, restarts and floods do
// to them. Everything happens in network and mount namespaces of its own;
// bench/answers.sh builds and installs what it needs.
//
// Not here: what an answer must contain beyond what a client depends on; the
// rooms' own tests hold the bytes.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "answers:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	commands := map[string]func([]string, io.Writer) error{
		"compare":  compare,
		"measure":  measure,
		"generate": generate,
		"watch":    watchCommand,
		"change":   change,
		"restart":  restart,
		"flood":    flood,
		"spray":    sprayCommand,
	}
	if len(args) == 0 {
		return fmt.Errorf("which of compare, change, restart, flood?")
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("no command %q", args[0])
	}
	return command(args[1:], out)
}
