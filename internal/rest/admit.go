package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/rest/wire"
)

// admit finds out who asks.
func (s *Server) admit(rt *route, c *call) error {
	// A browser shows its user's certificate to whatever page has it ask.
	if err := new(http.CrossOriginProtection).Check(c.r); err != nil {
		return refuse(http.StatusForbidden, "a page of another site may not change anything here")
	}
	if rt.lines && c.r.Method == http.MethodHead {
		return refuse(http.StatusMethodNotAllowed, "HEAD is not possible here, only GET")
	}
	if err := s.identify(c); err != nil && rt.access != anybody {
		return err
	}
	return nil
}

// identify takes the asker for who its credentials say, if they are good.
func (s *Server) identify(c *call) error {
	who, err := s.who.Identify(c.r)
	if err != nil {
		return err
	}
	if who.Kind == identity.Node {
		if err := s.replica.Current(who.Name, c.enrolment()); err != nil {
			return err
		}
	}
	c.who = who
	return nil
}

// enrolment is what the certificate of a node that asks follows from.
func (c *call) enrolment() string { return pki.EnrolmentOf(c.r.TLS.PeerCertificates[0]) }

// mayUse judges who may use a route at all.
func (s *Server) mayUse(rt *route, c *call) error {
	switch rt.access {
	case anybody, asker:
		return nil
	case theNode:
		return identity.OwnNode(c.who, c.args.name())
	case operator:
		if !c.who.Operator {
			return refuse(http.StatusForbidden, "%s may not do this: it is for operators", c.who)
		}
	case person:
		if c.who.Kind == identity.Node {
			return refuse(http.StatusForbidden, "%s may not do this: it is for users", c.who)
		}
	}
	return s.replica.Whole()
}

// readMatch reads If-Match: the number of a revision in quotes.
func readMatch(rt *route, r *http.Request) (int64, error) {
	values := r.Header.Values("If-Match")
	if len(values) == 0 || !rt.matches {
		return 0, nil
	}
	text, ok := strings.CutPrefix(values[0], `"`)
	text, closed := strings.CutSuffix(text, `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	if len(values) > 1 || !ok || !closed || err != nil || n < 1 {
		return 0, refuseValues(http.StatusBadRequest, "header", []wire.Mistake{{Field: "If-Match", Value: values[0], Problem: `want one revision in quotes, such as "1234"`}})
	}
	return n, nil
}

// readBody reads what the route takes, within its limit and in good time.
func (s *Server) readBody(rt *route, c *call) ([]byte, error) {
	rc := http.NewResponseController(c.w)
	_ = rc.SetReadDeadline(time.Now().Add(s.body))
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, rt.mostBody()))
	if err == nil {
		// Without a deadline again: the server reads on to notice a client that
		// goes away, and would take the deadline for that. After an error it stays:
		// the server would wait for the rest of the body for ever.
		_ = rc.SetReadDeadline(time.Time{})
	} else {
		c.w.Header().Set("Connection", "close")
	}
	var tooLong *http.MaxBytesError
	empty := len(bytes.TrimSpace(body)) == 0
	switch {
	case errors.As(err, &tooLong):
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", rt.mostBody())
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "read the body: %v", err)
	case rt.body == nil && !empty && string(bytes.TrimSpace(body)) != "{}":
		return nil, refuse(http.StatusBadRequest, "there is a body, and nothing is done with one here")
	case rt.body != nil && empty:
		return nil, refuse(http.StatusBadRequest, "the body is empty")
	case rt.body != nil:
		return body, checkType(rt, c.r)
	}
	return body, nil
}

// maxUnknown bounds the bodies of those who have not said who they are: a token and
// a key go into it, and many are held at a time.
const maxUnknown = 32 << 10

func (rt *route) mostBody() int64 {
	if rt.access == anybody {
		return maxUnknown
	}
	return wire.MaxBody
}

// checkType holds the body's type to what the route reads; none is taken for
// the right one.
func checkType(rt *route, r *http.Request) error {
	header := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(header)
	switch {
	case header == "" || err == nil && kind == typeJSON:
		return nil
	case err == nil && rt.yaml && (kind == typeYAML || kind == "application/x-yaml" || kind == "text/yaml"):
		return nil
	case err == nil && kind == "application/x-www-form-urlencoded":
		return nil // what curl sends unless it is told otherwise
	}
	return refuse(http.StatusUnsupportedMediaType, "the body is of type %q: want %s", header, typeJSON)
}

// decode reads a body strictly.
func decode[T any](c *call) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, notJSON(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, refuse(http.StatusBadRequest, "something follows the JSON document")
	}
	return v, nil
}

func notJSON(err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return refuseValues(http.StatusUnprocessableEntity, "body", []wire.Mistake{{Field: kind.Field, Value: kind.Value, Problem: "want " + kind.Type.String()}})
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(http.StatusBadRequest, "the body is not JSON: %v", err)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return refuseValues(http.StatusUnprocessableEntity, "body", []wire.Mistake{{Field: strings.Trim(field, `"`), Problem: "there is no such field"}})
	}
	return refuse(http.StatusUnprocessableEntity, "the body: %v", err)
}

// decodeResource reads one, as YAML or JSON.
func decodeResource(c *call, kind fleet.Kind) (fleet.Resource, error) {
	res, problems := fleet.DecodeOne(kind, c.args.name(), c.body)
	if len(problems) == 0 {
		return res, nil
	}
	mistakes := make([]wire.Mistake, 0, len(problems))
	for _, p := range problems {
		mistakes = append(mistakes, wire.Mistake{Field: p.Field, Value: p.Value, Problem: p.Text, Line: p.Line, Column: p.Column, Rule: "format"})
	}
	return nil, refuseValues(http.StatusUnprocessableEntity, string(kind)+" "+c.args.name(), mistakes)
}

// refused tells who asked, and the log: every refusal is recorded.
func (s *Server) refused(c *call, err error) {
	if c.sent {
		return // it was told in the middle of an answer
	}
	p := problemOf(err)
	level := levelOf(p.Status)
	if c.r.Context().Err() != nil {
		level = slog.LevelInfo // whoever asked is gone, or was too slow
	}
	s.log.Log(c.r.Context(), level, "refused",
		"actor", c.actor(), "from", c.r.RemoteAddr, "method", c.r.Method, "path", c.r.URL.Path, "status", p.Status, "err", err)
	s.deadline(c.w, s.slow)
	if p.Status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if errors.Is(err, control.ErrUnavailable) || errors.Is(err, control.ErrBusy) {
		c.w.Header().Set("Retry-After", "1")
	}
	write(c.w, p.Status, typeProblem, p)
}

func (c *call) actor() string {
	if c.who.Kind == "" {
		return "nobody"
	}
	return c.who.String()
}

func write(w http.ResponseWriter, status int, kind string, v any) {
	body, err := marshal(v)
	if err != nil {
		status, kind = http.StatusInternalServerError, typeProblem
		body, _ = marshal(newProblem(status, err.Error()))
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	// A failed write means that the client is gone, and the status is sent.
	_, _ = w.Write(body)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

func (s *Server) deadline(w http.ResponseWriter, d time.Duration) {
	// Unsupported only by a test's recorder, which is never slow.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
}
