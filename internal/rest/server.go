// Package rest is the controller's HTTP interface: for people and programs,
// and for the nodes. docs/openapi.json describes it, made from the table of
// routes; what it does not describe is refused.
//
// Not here: any decision (control), and who is asking (identity).
package rest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/rest/wire"
)

// How long one request may take, but for what waits on purpose.
const (
	headerTime = 5 * time.Second
	headerSize = 16 << 10
	bodyTime   = 10 * time.Second // to send a body of the usual size
	writeTime  = 30 * time.Second // to take an answer, or one line of a stream
	workTime   = 25 * time.Second // to decide
	idleTime   = 2 * time.Minute
)

// Options of a Server.
type Options struct {
	Replica *control.Replica
	Who     *identity.Authenticator
	Log     *slog.Logger // one line for every change and every refusal
	Version string
}

// Server answers for one replica.
type Server struct {
	replica *control.Replica
	who     *identity.Authenticator
	log     *slog.Logger
	version string
	mux     *http.ServeMux
	methods map[string][]string // by path of the mux
	doc     []byte
	alive   time.Duration
	slow    time.Duration // to take an answer
	body    time.Duration // to send a body
	work    time.Duration // to decide
	trials  chan struct{} // of those who try policies
	watches crowd
}

// New returns a server.
func New(o Options) (*Server, error) {
	doc, err := OpenAPI()
	if err != nil {
		return nil, err
	}
	all := routes()
	s := &Server{
		replica: o.Replica, who: o.Who, log: o.Log, version: o.Version, doc: doc,
		mux: http.NewServeMux(), methods: methods(all), alive: wire.KeepAlive, slow: writeTime, body: bodyTime, work: workTime,
		trials: make(chan struct{}, maxTrials), watches: crowd{most: maxWatches, here: map[string]int{}},
	}
	for i := range all {
		s.mux.HandleFunc(all[i].method+" "+all[i].path, s.wrap(&all[i]))
	}
	return s, nil
}

// Serve answers on a listener until ctx ends, then lets what is under way
// finish for a short while. Streams and waits end at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerSize,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       identity.ConnContext,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 64},
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

// ServeHTTP lets tests and other listeners use the routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern != "" && clean(r.URL.Path) {
		s.mux.ServeHTTP(w, r)
		return
	}
	s.deadline(w, s.slow)
	c := &call{w: w, r: r}
	// For the log alone: who asks for what is not there is told no more.
	if who, err := s.who.Identify(r); err == nil {
		c.who = who
	}
	if allowed := s.allowed(r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.refused(c, refuse(http.StatusMethodNotAllowed, "%s is not possible here, only %s", r.Method, strings.Join(allowed, ", ")))
		return
	}
	s.refused(c, refuse(http.StatusNotFound, "there is nothing at %s", r.URL.Path))
}

// clean reports whether the mux would not send the asker elsewhere.
func clean(p string) bool { return p == path.Clean(p) }

// allowed are the methods that a path knows, if it is one.
func (s *Server) allowed(r *http.Request) []string {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(other); pattern != "" && clean(r.URL.Path) {
			_, p, _ := strings.Cut(pattern, " ")
			return s.methods[p]
		}
	}
	return nil
}

// call is one request on its way.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	who  identity.Identity
	args arguments
	body []byte
	// match is the revision of If-Match; 0: none.
	match int64
	sent  bool // the handler has answered by itself
}

func (s *Server) wrap(rt *route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// A write deadline for the whole server would end waits and streams. HTTP/2
		// gives a request up when it has passed, also before anything is written.
		s.deadline(w, s.body+s.work+s.slow)
		c := &call{w: w, r: r}
		answer, err := s.answer(rt, c)
		switch {
		case err != nil:
			s.refused(c, err)
		case !c.sent:
			s.deadline(w, s.slow)
			write(w, http.StatusOK, typeJSON, answer)
		}
	}
}

func (s *Server) answer(rt *route, c *call) (any, error) {
	if err := s.admit(rt, c); err != nil {
		return nil, err
	}
	var err error
	if c.args, err = readArguments(rt, c.r); err != nil {
		return nil, err
	}
	if err := s.mayUse(rt, c); err != nil {
		return nil, err
	}
	if c.match, err = readMatch(rt, c.r); err != nil {
		return nil, err
	}
	if c.body, err = s.readBody(rt, c); err != nil {
		return nil, err
	}
	return rt.handle(s, c)
}
