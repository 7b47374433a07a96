package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The errors somebody branches on. Wrap them with what exactly is wrong; the
// text of the wrapping error is what the user reads.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")
	ErrInvalid     = errors.New("invalid")
	ErrTimeout     = errors.New("timed out")
	ErrUnreachable = errors.New("berthd cannot be reached") // Client only
)

// InvalidError is an ErrInvalid with one entry for each field at fault.
type InvalidError struct {
	Detail string
	Fields []string // "line:column: field value: problem"
}

// Error joins the detail and the fields in one line.
func (e *InvalidError) Error() string {
	if len(e.Fields) == 0 {
		return e.Detail
	}
	return e.Detail + ": " + strings.Join(e.Fields, "; ")
}

// Is makes it an ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Error is a refusal by the server, as the client returns it. It unwraps to
// one of the sentinels, if one fits.
type Error struct{ Problem Problem }

// Error gives the detail, which names the NIC and the value.
func (e *Error) Error() string {
	if e.Problem.Detail == "" {
		return strings.ToLower(e.Problem.Title)
	}
	return e.Problem.Detail
}

// Unwrap returns the sentinel of the status.
func (e *Error) Unwrap() error {
	switch e.Problem.Status {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return ErrInvalid
	case http.StatusGatewayTimeout:
		return ErrTimeout
	}
	return nil
}

// problemOf words an error of the node for the wire.
func problemOf(err error) Problem {
	var refused *refusal
	if errors.As(err, &refused) {
		return newProblem(refused.status, refused.detail)
	}
	p := newProblem(statusOf(err), err.Error())
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		// What wraps the fields stays in the detail, the fields become a list.
		p.Detail = strings.Replace(p.Detail, invalid.Error(), invalid.Detail, 1)
		p.Errors = invalid.Fields
	}
	return p
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrConflict):
		return http.StatusConflict
	case errors.Is(err, ErrInvalid):
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrTimeout):
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

func newProblem(status int, detail string) Problem {
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// refusal is the server's own no, before the node is asked.
type refusal struct {
	status int
	detail string
}

func (r *refusal) Error() string { return r.detail }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}
