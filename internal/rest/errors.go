package rest

import (
	"errors"
	"fmt"
	"net/http"

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
		m := mistakes[0]
		p.Detail = fmt.Sprintf("%s %q: %s", m.Field, m.Value, m.Problem)
		if m.Value == "" {
			p.Detail = fmt.Sprintf("%s: %s", m.Field, m.Problem)
		}
	}
	p.Errors = mistakes
	return &refusal{p}
}

func newProblem(status int, detail string) wire.Problem {
	return wire.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// problemOf words an error for the wire.
func problemOf(err error) wire.Problem {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.problem
	}
	return newProblem(http.StatusInternalServerError, err.Error())
}
