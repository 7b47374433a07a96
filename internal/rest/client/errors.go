package client

import (
	"errors"
	"net/http"
	"strings"

	"github.com/berth-net/berth/internal/rest/wire"
)

// The errors somebody branches on.
var (
	ErrUnauthenticated = errors.New("not authenticated")
	ErrDenied          = errors.New("denied")
	ErrNotFound        = errors.New("not found")
	ErrConflict        = errors.New("conflict")
	ErrInvalid         = errors.New("invalid")
	ErrGone            = errors.New("gone") // a watch from a revision that is no more
	ErrTimeout         = errors.New("timed out")
	ErrUnreachable     = errors.New("the controller cannot be reached")
)

// Error is a refusal by the controller. It unwraps to one of the sentinels, if
// one fits.
type Error struct{ Problem wire.Problem }

// Error gives the detail, and each bad field with its value.
func (e *Error) Error() string {
	text := e.Problem.Detail
	if text == "" {
		text = strings.ToLower(e.Problem.Title)
	}
	for _, m := range e.Problem.Errors {
		line := m.Problem
		if m.Value != "" {
			line = m.Value + ": " + line
		}
		if m.Field != "" {
			line = m.Field + " " + line
		}
		if !strings.Contains(text, line) {
			text += "; " + line
		}
	}
	return text
}

// Unwrap returns the sentinel of the status.
func (e *Error) Unwrap() error {
	switch e.Problem.Status {
	case http.StatusUnauthorized:
		return ErrUnauthenticated
	case http.StatusForbidden:
		return ErrDenied
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return ErrConflict
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return ErrInvalid
	case http.StatusGone:
		return ErrGone
	case http.StatusGatewayTimeout:
		return ErrTimeout
	case http.StatusServiceUnavailable:
		return ErrUnreachable
	}
	return nil
}
