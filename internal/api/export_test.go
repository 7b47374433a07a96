package api

import (
	"io"
	"iter"
	"time"
)

// Routes lists the server's routes as docs/api.md heads them.
func Routes() []string {
	var all []string
	for _, r := range (*Server)(nil).routes() {
		all = append(all, r.method+" "+r.path)
	}
	return all
}

// Params lists every route with each query parameter it knows.
func Params() map[string][]string {
	all := map[string][]string{}
	for _, r := range (*Server)(nil).routes() {
		all[r.method+" "+r.path] = r.query
	}
	return all
}

// Hurry shortens what a test would have to wait for.
func (s *Server) Hurry(alive, slow time.Duration) { s.alive, s.slow = alive, slow }

// HurryBody shortens how long a document may take.
func (s *Server) HurryBody(body time.Duration) { s.body = body }

// The limits, for tests to reach them.
const (
	MaxConns     = maxConns
	MaxFollowers = maxFollowers
	BatchSize    = batchSize
)

// DecodeEvents reads a stream as the client does.
func DecodeEvents(in io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { decodeEvents(in, yield) }
}
