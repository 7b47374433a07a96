package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
)

// The exit codes. Scripts branch on them, so they never change; docs/cli.md
// and the man page list them.
const (
	exitOK = iota
	exitError
	exitUsage
	exitNotFound
	exitInvalid
	exitConflict
	exitUnreachable
	exitTimeout
	exitChanges
	exitLeftOut
)

type exitMeaning struct {
	code int
	text string
}

func exitMeanings() []exitMeaning {
	return []exitMeaning{
		{exitOK, "done; for plan: there is nothing to change"},
		{exitError, "something failed, on the node or here"},
		{exitUsage, "the command line is wrong; nothing was asked of berthd"},
		{exitNotFound, "there is no such NIC"},
		{exitInvalid, "the binding or a value in it is refused"},
		{exitConflict, "another binding, or another source, holds what was asked for"},
		{exitUnreachable, "berthd cannot be reached, or does not answer"},
		{exitTimeout, "not in force within the time given"},
		{exitChanges, "plan: changes are pending"},
		{exitLeftOut, "import: not everything was carried over"},
	}
}

func exitText() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n\n")
	for _, m := range exitMeanings() {
		fmt.Fprintf(&b, "    %d  %s\n", m.code, m.text)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// errChanges is how plan says that there is something to do.
var errChanges = errors.New("changes are pending")

// usageError is a wrong command line.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// exitCode is that of the first failure if there are several.
func exitCode(err error) int {
	var wrong *usageError
	err = split(err)[0]
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		return exitUsage
	case errors.Is(err, api.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, api.ErrNotFound):
		return exitNotFound
	case errors.Is(err, api.ErrInvalid):
		return exitInvalid
	case errors.Is(err, api.ErrConflict):
		return exitConflict
	case errors.Is(err, api.ErrTimeout):
		return exitTimeout
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.Is(err, errLeftOut):
		return exitLeftOut
	}
	return exitError
}

// failures are those of several documents, in the order of the file; at least
// one.
type failures []error

func (f failures) Error() string { return errors.Join(f...).Error() }

// split takes failures apart.
func split(err error) []error {
	var all failures
	if errors.As(err, &all) {
		return all
	}
	return []error{err}
}

// report writes a failure for people: one line, and one more for each field.
func (a *app) report(cmd *cobra.Command, err error) {
	if errors.Is(err, errChanges) || errors.Is(err, errLeftOut) {
		return // what was printed says it
	}
	for _, one := range split(err) {
		reportOne(a.stderr, one)
	}
	var wrong *usageError
	if errors.As(err, &wrong) {
		fmt.Fprintf(a.stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
}

func reportOne(w io.Writer, err error) {
	var invalid *api.InvalidError
	if !errors.As(err, &invalid) {
		fmt.Fprintf(w, "berth: %s\n", printable(err.Error()))
		return
	}
	fmt.Fprintf(w, "berth: %s\n", printable(invalid.Detail))
	for _, field := range invalid.Fields {
		fmt.Fprintf(w, "  %s\n", printable(field))
	}
}
