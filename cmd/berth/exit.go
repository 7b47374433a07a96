package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
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
	exitDenied
	exitWho
)

type exitMeaning struct {
	code int
	text string
}

func exitMeanings() []exitMeaning {
	return []exitMeaning{
		{exitOK, "done; for plan and diff -f: there is nothing to change"},
		{exitError, "something failed, on the node, at the controller or here"},
		{exitUsage, "the command line is wrong; nothing was asked of anybody"},
		{exitNotFound, "there is no such NIC or resource; for who-has and who-had: nobody has or had the address"},
		{exitInvalid, "the document or a value in it is refused"},
		{exitConflict, "somebody else holds what was asked for, or uses what should go, or has changed it in between"},
		{exitUnreachable, "berthd or the controller cannot be reached, or does not answer"},
		{exitTimeout, "not in force within the time given"},
		{exitChanges, "plan and diff -f: changes are pending"},
		{exitLeftOut, "import: not everything was carried over"},
		{exitDenied, "denied by a policy, by a quota, or for want of a role or of a good token"},
		{exitWho, "the controller does not know who asks"},
	}
}

func exitText() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n\n")
	for _, m := range exitMeanings() {
		fmt.Fprintf(&b, "    %2d  %s\n", m.code, m.text)
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

// How who-has and who-had say that.
var (
	errNobody    = errors.New("nobody had it")
	errNobodyNow = errors.New("nobody has it")
)

// codes are the exit codes of the errors that somebody branches on.
func codes() []struct {
	err  error
	code int
} {
	return []struct {
		err  error
		code int
	}{
		{api.ErrUnreachable, exitUnreachable},
		{api.ErrNotFound, exitNotFound},
		{api.ErrInvalid, exitInvalid},
		{api.ErrConflict, exitConflict},
		{api.ErrTimeout, exitTimeout},
		{errChanges, exitChanges},
		{errLeftOut, exitLeftOut},
		{errNobody, exitNotFound},
		{errNobodyNow, exitNotFound},
		{client.ErrUnreachable, exitUnreachable},
		{client.ErrNotFound, exitNotFound},
		{client.ErrInvalid, exitInvalid},
		{client.ErrConflict, exitConflict},
		{client.ErrTimeout, exitTimeout},
		{client.ErrDenied, exitDenied},
		{client.ErrUnauthenticated, exitWho},
	}
}

// exitCode is that of the first failure if there are several.
func exitCode(err error) int {
	var wrong *usageError
	err = split(err)[0]
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		return exitUsage
	}
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			return c.code
		}
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
	if s, none := a.chosen(); errors.Is(err, client.ErrUnreachable) && none == nil && s.Name == "" {
		fmt.Fprintln(a.stderr, "  no context is in use, so that this host's own controller was asked: see berth context")
	}
	var wrong *usageError
	if errors.As(err, &wrong) {
		fmt.Fprintf(a.stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
}

func reportOne(w io.Writer, err error) {
	if r, ok := asRefusal(err); ok {
		reportRefusal(w, err, r)
		return
	}
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

// reportRefusal writes a controller's no: what about, field and value, why, and
// by which rule of which policy.
func reportRefusal(w io.Writer, err error, r *client.Error) {
	p := r.Problem
	on := strings.TrimSuffix(err.Error(), r.Error()) // what wraps it says about what
	if n := len(p.Errors); n > 1 {
		fmt.Fprintf(w, "berth: %srefused for %d reasons\n", on, n)
		for _, m := range p.Errors {
			fmt.Fprintf(w, "  %s\n", printable(mistakeText(m)+parenthesis(m.Rule)))
		}
		return
	}
	text := cmp.Or(p.Detail, strings.ToLower(p.Title))
	if len(p.Errors) == 1 {
		text = mistakeText(p.Errors[0])
	}
	fmt.Fprintf(w, "berth: %s%s\n", on, printable(text))
	if by := byRule(p.Policy, p.Rule); by != "" {
		fmt.Fprintf(w, "  refused by %s\n", printable(by))
	}
}

func parenthesis(rule string) string {
	if rule == "" {
		return ""
	}
	return " (" + rule + ")"
}

// mistakeText is: field "value": problem.
func mistakeText(m wire.Mistake) string {
	switch {
	case m.Field != "" && m.Value != "":
		return fmt.Sprintf("%s %q: %s", m.Field, m.Value, m.Problem)
	case m.Field != "":
		return m.Field + ": " + m.Problem
	}
	return m.Problem
}
