// Command berth is the command line: it asks a node's berthd over its socket,
// or a controller over HTTP, and prints. docs/cli.md is its manual.
//
// Not here: any decision about a NIC. What is for berthd passes through as
// bytes; what is for a controller is only checked for what it is.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/rest/wire"
)

// env is everything the command takes from the process it runs in.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	terminal       bool   // stdout is one
	berthd         string // socket of the host's berthd, whatever the caller says
	controller     string // socket of the host's controller
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], env{
		stdin:      os.Stdin,
		stdout:     os.Stdout,
		stderr:     os.Stderr,
		getenv:     os.Getenv,
		now:        time.Now,
		terminal:   isTerminal(os.Stdout),
		berthd:     api.DefaultSocket,
		controller: wire.DefaultSocket,
	})
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, e env) int {
	a := &app{env: e}
	root := a.root()
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		a.report(cmd, err)
	}
	if isNimbus(cmd) {
		return nimbusCode(err)
	}
	return exitCode(err)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
