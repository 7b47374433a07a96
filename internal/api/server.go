package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Limits of one request.
const (
	MaxBody      = 1 << 20 // bytes of a document
	MaxWait      = 10 * time.Minute
	maxFollowers = 32
	bodyTime     = 10 * time.Second // to send a document
	writeTime    = 30 * time.Second // to take an answer, or one batch of events
	keepAlive    = 15 * time.Second // an empty line on an idle stream
)

// Server answers the socket out of a Node. Its zero value is of no use, see
// NewServer.
type Server struct {
	node      Node
	log       *slog.Logger
	mux       *http.ServeMux
	followers chan struct{}
	alive     time.Duration
	slow      time.Duration
	body      time.Duration
}

// NewServer returns a server for the node. The log gets one line for every
// change, with its actor.
func NewServer(node Node, log *slog.Logger) *Server {
	s := &Server{
		node:      node,
		log:       log,
		mux:       http.NewServeMux(),
		followers: make(chan struct{}, maxFollowers),
		alive:     keepAlive,
		body:      bodyTime,
		slow:      writeTime,
	}
	s.register(s.routes())
	return s
}

// Serve answers until ctx ends, then lets what is under way finish for a short
// while. Event streams and waits end at once.
func (s *Server) Serve(ctx context.Context, l *Listener) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if c, ok := c.(*conn); ok {
				return WithActor(ctx, c.actor)
			}
			return ctx
		},
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		cancel()
		grace, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		stopped <- h.Shutdown(grace)
	})
	err := h.Serve(l)
	if stop() { // never asked to stop: the listener failed
		return err
	}
	return <-stopped
}

// route is one line of the table below.
type route struct {
	method, path string
	query        []string // the parameters it knows; any other is refused
	handle       func(*Server, http.ResponseWriter, *http.Request) error
}

// routes is the whole interface; docs/api.md is checked against it.
func (*Server) routes() []route {
	return []route{
		{"GET", "/healthz", nil, (*Server).health},
		{"GET", "/v1/status", nil, (*Server).status},
		{"GET", "/v1/nics", []string{"mac", "address"}, (*Server).list},
		{"GET", "/v1/nics/{name}", nil, (*Server).show},
		{"PUT", "/v1/nics/{name}", []string{"dry-run", "wait"}, (*Server).set},
		{"DELETE", "/v1/nics/{name}", nil, (*Server).delete},
		{"POST", "/v1/nics/{name}/wait", []string{"timeout"}, (*Server).wait},
		{"POST", "/v1/nics/{name}/release", nil, (*Server).release},
		{"POST", "/v1/nics/{name}/trace", nil, (*Server).trace},
		{"GET", "/v1/plan", nil, (*Server).plan},
		{"POST", "/v1/plan", nil, (*Server).planFor},
		{"GET", "/v1/events", []string{"follow", "nic", "since"}, (*Server).events},
	}
}

func (s *Server) register(routes []route) {
	allow := map[string][]string{}
	for _, r := range routes {
		s.mux.HandleFunc(r.method+" "+r.path, s.wrap(r))
		allow[r.path] = append(allow[r.path], r.method)
	}
	for path, methods := range allow {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			writeError(w, refuse(http.StatusMethodNotAllowed, "%s is not possible here, only %s", r.Method, strings.Join(methods, ", ")))
		})
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, refuse(http.StatusNotFound, "there is nothing at %s", r.URL.Path))
	})
}

// ServeHTTP lets tests and other listeners use the routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) wrap(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// A write deadline for the whole server would end waits and streams.
		s.deadline(w, s.slow)
		err := checkRequest(route, r)
		if err == nil {
			err = route.handle(s, w, r)
		}
		// The context also ends with the body: that a client was too slow is told.
		var refused *refusal
		if err != nil && (r.Context().Err() == nil || errors.As(err, &refused)) {
			writeError(w, err)
		}
	}
}

func (s *Server) deadline(w http.ResponseWriter, d time.Duration) {
	// Unsupported only by a test's recorder, which is never slow.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
}

func checkRequest(route route, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusBadRequest, "query %q: %v", r.URL.RawQuery, err)
	}
	for key, values := range query {
		if !slices.Contains(route.query, key) {
			return refuse(http.StatusBadRequest, "unknown query parameter %q", key)
		}
		if len(values) > 1 {
			return refuse(http.StatusBadRequest, "query parameter %q is given %d times", key, len(values))
		}
	}
	if name := r.PathValue("name"); strings.Contains(route.path, "{name}") {
		if err := CheckName(name); err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
	}
	return nil
}

func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.body))
	doc, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err == nil {
		// Without a deadline again: the server reads on to notice a client that
		// goes away, and would take the deadline for that. After an error it stays:
		// the server would wait for the rest of the body for ever.
		_ = rc.SetReadDeadline(time.Time{})
	} else {
		w.Header().Set("Connection", "close")
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, refuse(http.StatusRequestEntityTooLarge, "the document has more than %d bytes", MaxBody)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "read the document: %v", err)
	case len(strings.TrimSpace(string(doc))) == 0:
		return nil, refuse(http.StatusBadRequest, "the request has no document")
	}
	return doc, nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	return write(w, http.StatusOK, "application/json", v)
}

func writeError(w http.ResponseWriter, err error) {
	p := problemOf(err)
	// The client is gone if this fails; there is nobody left to tell.
	_ = write(w, p.Status, "application/problem+json", p)
}

func write(w http.ResponseWriter, status int, kind string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	// A failed write means that the client is gone, and the status is sent.
	_, _ = w.Write(append(body, '\n'))
	return nil
}
