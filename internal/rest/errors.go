package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/ipam"
	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/rest/wire"
)

// refusal is the server's own no.
type refusal struct{ problem wire.Problem }

func (r *refusal) Error() string { return r.problem.Detail }

func refuse(status int, format string, args ...any) error {
	return &refusal{newProblem(status, fmt.Sprintf(format, args...))}
}

// refuseValues names each bad value of what was sent.
func refuseValues(status int, what string, mistakes []wire.Mistake) error {
	p := newProblem(status, fmt.Sprintf("%s: %d mistakes", what, len(mistakes)))
	if len(mistakes) == 1 {
		p.Detail = what + ": " + sentence(&mistakes[0])
	}
	p.Errors = mistakes
	return &refusal{p}
}

func sentence(m *wire.Mistake) string {
	switch {
	case m.Field == "":
		return m.Problem
	case m.Value == "":
		return fmt.Sprintf("%s: %s", m.Field, m.Problem)
	default:
		return fmt.Sprintf("%s %q: %s", m.Field, m.Value, m.Problem)
	}
}

func newProblem(status int, detail string) wire.Problem {
	return wire.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// problemOf words an error for the wire.
func problemOf(err error) wire.Problem {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.problem
	}
	if all := ipam.Refusals(err); len(all) > 0 {
		return problemOfRefusals(all)
	}
	if d, ok := errors.AsType[*control.Denied](err); ok {
		p := newProblem(http.StatusForbidden, d.Error())
		p.Policy, p.Rule = d.Verdict.Policy, d.Verdict.Rule
		if d.Verdict.Field != "" {
			p.Errors = []wire.Mistake{{Field: d.Verdict.Field, Value: d.Verdict.Value, Problem: d.Verdict.Message, Rule: d.Verdict.Rule}}
		}
		return p
	}
	if r, ok := errors.AsType[*identity.Refusal](err); ok {
		if r.Unavailable {
			return newProblem(http.StatusServiceUnavailable, r.Text)
		}
		return newProblem(http.StatusUnauthorized, r.Text)
	}
	if _, ok := errors.AsType[*control.Refused](err); ok {
		return newProblem(http.StatusForbidden, control.ErrToken.Error())
	}
	return newProblem(statusOf(err), err.Error())
}

func statusOf(err error) int {
	if _, ok := errors.AsType[*identity.Denied](err); ok {
		return http.StatusForbidden
	}
	for _, known := range []struct {
		err    error
		status int
	}{
		{identity.ErrNone, http.StatusUnauthorized},
		{pki.ErrRequest, http.StatusUnprocessableEntity},
		{control.ErrNoNode, http.StatusNotFound},
		{control.ErrNever, http.StatusNotFound},
		{control.ErrCompacted, http.StatusGone},
		{control.ErrTimeout, http.StatusGatewayTimeout},
		{control.ErrBusy, http.StatusServiceUnavailable},
		{control.ErrReplaced, http.StatusConflict},
		{etcd.ErrTooLarge, http.StatusRequestEntityTooLarge},
		{etcd.ErrConflict, http.StatusConflict},
		{control.ErrUnavailable, http.StatusServiceUnavailable},
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
		{context.Canceled, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	return http.StatusInternalServerError
}

// problemOfRefusals has an entry for each, and the status of the first.
func problemOfRefusals(all []*ipam.Refusal) wire.Problem {
	p := newProblem(statusOfClass(all[0].Class), all[0].Error())
	p.Rule = all[0].Rule
	for _, r := range all {
		p.Errors = append(p.Errors, wire.Mistake{Field: r.Field, Value: r.Value, Problem: r.Text, Rule: r.Rule})
	}
	if n := len(all); n > 1 {
		p.Detail += fmt.Sprintf(" (and %d more)", n-1)
	}
	return p
}

func statusOfClass(c ipam.Class) int {
	switch c {
	case ipam.Conflict, ipam.Exhausted:
		return http.StatusConflict
	case ipam.Quota, ipam.Denied:
		return http.StatusForbidden
	case ipam.NotFound:
		return http.StatusNotFound
	default:
		return http.StatusUnprocessableEntity
	}
}

// levelOf is how loud a refusal is in the log.
func levelOf(status int) slog.Level {
	switch status {
	case http.StatusInternalServerError:
		return slog.LevelError
	case http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusForbidden:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}
