package rest

import "time"

// Hurry has a server lose patience soon.
func (s *Server) Hurry(alive, slow, body time.Duration) { s.alive, s.slow, s.body = alive, slow, body }
